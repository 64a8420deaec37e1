"""Pack runs as a submission: write every file of its folder, or refuse and write nothing.

The same runs give the same bytes each time.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml_data.bench.record.record import (
    RECORD_NAME,
    budget_remark,
    has_epochs,
    is_external,
    load_record,
    own_model_remark,
)
from sciml_data.bench.record.runs import MODEL_NAME, PREDICTIONS_NAME
from sciml_data.bench.run.rescoring import check_outputs
from sciml_data.errors import Problem, RecordError, SciMLDataError
from sciml_data.results.mlperf_log import application, submission_version
from sciml_data.results.submission import layout
from sciml_data.results.submission.files import (
    config_document,
    make_log,
    system_description,
    to_yaml,
)
from sciml_data.results.submission.layout import Terms, own_manifest, read_tree
from sciml_data.results.submission.pull_request import write_workflow
from sciml_data.results.submission.record_checks import (
    code_problems,
    together_problems,
    unknown_code,
)
from sciml_data.results.submission.texts import contribution_pdf, contribution_text, readme_text

# GitHub warns of files above 50 MiB and refuses those above 100 MiB (its documentation, "About
# large files on GitHub").
MAX_PREDICTIONS_BYTES = 50 << 20
UNTOUCHED = "nothing was written"
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Extras:
    """What a submitter adds to the runs.

    Attributes:
        contribution: the submitter's own text in Markdown; None if there is none.
        system: fields of the system description that no record has.
        with_predictions: whether predictions are packed, if they are small enough for git.
        reference: folder of a run of the reference model, for the policy's table.
    """

    contribution: str | None = None
    system: Mapping[str, str] | None = None
    with_predictions: bool = True
    reference: Path | None = None


@dataclass(frozen=True)
class Run:
    """A run to be packed: its folder and its record."""

    folder: Path
    record: dict[str, Any]


def pack_runs(
    folders: Sequence[Path], terms: Terms, *, to: Path, extras: Extras | None = None
) -> Path:
    """Write a submission below `to`, and return its folder.

    Args:
        folders: folders of the runs.
        terms: what the submitter states.
        to: root of the tree: a repository's checkout, or any folder.
        extras: further content.

    Raises:
        CallError: terms or extras are invalid.
        RecordError: the runs cannot be submitted together, or another submission has this folder;
            `.problems` lists everything.
    """
    terms.check()
    runs = [Run(folder, load_record(folder)) for folder in folders]
    runs.sort(key=lambda run: (run.record["seeds"]["seed"], run.record["run_id"]))
    _refuse(runs, terms)
    application_name = application(runs[0].record["benchmark"]["name"])
    place = to / terms.folder(application_name)
    to.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".packing-", dir=to))
    try:
        scratch.chmod(0o755)  # mkdtemp lets only the owner read it
        _write(scratch, runs, terms, extras or Extras())
        if problems := read_tree(scratch).problems:
            raise RecordError(
                "the packed submission is invalid, which is a bug",
                problems=problems,
                untouched=UNTOUCHED,
            )
        _publish(scratch, place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    write_workflow(to)
    return place


def _refuse(runs: Sequence[Run], terms: Terms) -> None:
    """Refuse runs that cannot be one submission.

    Raises:
        RecordError: `.problems` has every reason of every run.
    """
    named = _named(runs)
    problems = together_problems(named) + code_problems(named, allow_dirty=terms.allow_dirty)
    for run in runs:
        if "predictions" not in run.record["outputs"]:
            problems.append(
                Problem(
                    "predictions",
                    run.folder.name,
                    "the run stored none, so there is nothing to score",
                )
            )
        try:
            check_outputs(run.folder, run.record)
        except SciMLDataError as error:
            problems.append(Problem("outputs", run.folder.name, error.message))
    if problems:
        raise RecordError(
            "these runs cannot be submitted together",
            problems=problems,
            untouched=UNTOUCHED,
            hint="commit the code's changes and run again, or give --allow-dirty, which the "
            "submission then mentions"
            if {problem.kind for problem in problems} == {"commit"}
            else "a submission has finished runs that differ only in their seeds",
        )


def _named(runs: Sequence[Run]) -> dict[str, Record]:
    """Return the records by their runs' folders, numbered so that a folder may occur twice."""
    return {f"{number}: {run.folder.name}": run.record for number, run in enumerate(runs, start=1)}


def _write(folder: Path, runs: Sequence[Run], terms: Terms, extras: Extras) -> None:
    """Write every file of a submission."""
    records = [run.record for run in runs]
    application_name = application(records[0]["benchmark"]["name"])
    reference = None
    if extras.reference is not None:
        reference = load_record(extras.reference)
        shutil.copyfile(extras.reference / RECORD_NAME, folder / layout.REFERENCE)
    no_predictions = _why_no_predictions(runs, extras)
    for number, run in enumerate(runs, start=1):
        shutil.copyfile(run.folder / RECORD_NAME, folder / layout.record_name(number))
        if has_epochs(run.record):
            _text(folder, layout.result_name(number), make_log(run.record, terms))
        if no_predictions is None:
            shutil.copyfile(run.folder / PREDICTIONS_NAME, folder / layout.predictions_name(number))
    if layout.has_small_model(records[0]):
        shutil.copyfile(runs[0].folder / MODEL_NAME, folder / layout.MODEL)
    warnings = _warnings(records)
    document = {
        "schema_version": "1.0",
        "application": application_name,
        "division": "open",
        **terms.document(),
        "synthetic": records[0]["synthetic"],
        "runs": len(runs),
        "predictions": {"stored": no_predictions is None, "reason": no_predictions},
        "warnings": warnings,
    }
    text = contribution_text(records, extras.contribution)
    pdf = contribution_pdf(text, records)
    _text(folder, layout.TERMS, _json(document))
    _text(folder, layout.CONFIG, to_yaml(config_document(records, terms, application_name)))
    _text(folder, layout.SYSTEM, _json(system_description(records[0], terms, extras.system)))
    _text(folder, layout.VERSION, submission_version(records[0]) + "\n")
    _text(folder, layout.CONTRIBUTION, text)
    _text(
        folder, layout.README, readme_text(records, terms, warnings=warnings, reference=reference)
    )
    (folder / layout.CONTRIBUTION_PDF).write_bytes(pdf)
    (folder / layout.CONTRIBUTION_PDF_AS_IN_POLICY).write_bytes(pdf)
    _text(folder, layout.MANIFEST, own_manifest(folder).dump())


def _warnings(records: Sequence[Record]) -> list[str]:
    """Return facts that are allowed and that readers must know."""
    warnings = [layout.EXTERNAL_PREDICTIONS] if is_external(records[0]) else []
    warnings += [remark] if (remark := own_model_remark(records[0])) else []
    return warnings + [
        f"seed {record['seeds']['seed']}: {reason}"
        for record in records
        for reason in (budget_remark(record), unknown_code(record))
        if reason
    ]


def _why_no_predictions(runs: Sequence[Run], extras: Extras) -> str | None:
    """Return why predictions are not packed; None if they are."""
    if not extras.with_predictions:
        return "the submitter keeps them; the records hold their digests"
    largest = max(run.record["outputs"]["predictions"]["size_bytes"] for run in runs)
    if largest > MAX_PREDICTIONS_BYTES:
        return f"{largest:,} bytes are too many for git; the records hold their digests"
    return None


def _publish(scratch: Path, place: Path) -> None:
    """Move a finished folder to its place, or leave an equal submission that is there.

    Raises:
        RecordError: another submission is there.
    """
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        scratch.rename(place)
        return
    there, made = own_manifest(place).by_path, own_manifest(scratch).by_path
    problems = [
        Problem("layout", name, "differs" if name in there and name in made else "only in one")
        for name in sorted({*there, *made})
        if there.get(name) != made.get(name)
    ]
    if problems:
        raise RecordError(
            f"{'/'.join(place.parts[-4:])} has another submission",
            problems=problems,
            untouched="it was left as it is",
            hint="choose another --descriptor, or remove the folder first",
        )


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _text(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8", newline="\n")
