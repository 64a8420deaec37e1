"""Runs to a submission's folder: refused, or whole, and the same bytes each time."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml_data.bench.record.record import RECORD_NAME, load_record
from sciml_data.bench.record.runs import PREDICTIONS_NAME
from sciml_data.bench.run.rescoring import check_outputs
from sciml_data.errors import Problem, RecordError, SciMLDataError
from sciml_data.results.mlperf_log import application
from sciml_data.results.submission import logs, names
from sciml_data.results.submission.config import config_document, to_yaml
from sciml_data.results.submission.names import Terms
from sciml_data.results.submission.system import system_description
from sciml_data.results.submission.texts import contribution_pdf, contribution_text, readme_text
from sciml_data.results.submission.together import code_problems, together_problems, unknown_code
from sciml_data.results.submission.tree import own_manifest, read_tree
from sciml_data.results.submission.workflow import write_workflow

# GitHub warns of files above 50 MiB and refuses those above 100 MiB (its documentation, "About
# large files on GitHub").
MOST_PREDICTIONS_BYTES = 50 << 20
UNTOUCHED = "nothing was written"
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Extras:
    """What a submitter adds to the runs.

    Attributes:
        contribution: Markdown of their own; None where there is none.
        system: fields of the system description that no record knows.
        with_predictions: whether predictions are packed, where they are small enough.
        reference: folder of a run of the reference model, to stand in the policy's table.
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


def pack(folders: Sequence[Path], terms: Terms, *, to: Path, extras: Extras | None = None) -> Path:
    """Write a submission below `to`, and return its folder.

    Args:
        folders: of the runs.
        terms: what the submitter says.
        to: root of the tree; a repository's checkout, or any folder.
        extras: what else goes in.

    Raises:
        CallError: terms or extras cannot be used.
        RecordError: the runs make no submission, or another one stands there; all problems at once.
    """
    terms.check()
    runs = [Run(folder, load_record(folder)) for folder in folders]
    runs.sort(key=lambda run: (run.record["seeds"]["seed"], run.record["run_id"]))
    _refuse(runs, terms)
    theirs = application(runs[0].record["benchmark"]["name"])
    place = to / terms.folder(theirs)
    to.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".packing-", dir=to))
    try:
        scratch.chmod(0o755)  # a folder that others read
        _write(scratch, runs, terms, extras or Extras())
        if problems := read_tree(scratch).problems:
            raise RecordError("what was made is not sound", problems=problems, untouched=UNTOUCHED)
        _publish(scratch, place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    write_workflow(to)
    return place


def _refuse(runs: Sequence[Run], terms: Terms) -> None:
    """Refuse runs that make no submission.

    Raises:
        RecordError: `.problems` has every reason of every run.
    """
    named = _named(runs)
    problems = together_problems(named) + code_problems(named, allow_dirty=terms.allow_dirty)
    for run in runs:
        if "predictions" not in run.record["outputs"]:
            problems.append(Problem("predictions", run.folder.name, "has none: nothing to score"))
        try:
            check_outputs(run.folder, run.record)
        except SciMLDataError as error:
            problems.append(Problem("outputs", run.folder.name, error.message))
    if problems:
        raise RecordError(
            "these runs make no submission",
            problems=problems,
            untouched=UNTOUCHED,
            hint="commit the code's changes and run again, or give --allow-dirty, which the "
            "submission then says"
            if {one.kind for one in problems} == {"commit"}
            else "one submission: finished runs of one thing that differ in their seeds only",
        )


def _named(runs: Sequence[Run]) -> dict[str, Record]:
    """Return records by the folders of their runs; a folder given twice keeps both."""
    return {f"{number}: {run.folder.name}": run.record for number, run in enumerate(runs, start=1)}


def _write(folder: Path, runs: Sequence[Run], terms: Terms, extras: Extras) -> None:
    """Write every file of a submission."""
    records = [run.record for run in runs]
    theirs = application(records[0]["benchmark"]["name"])
    reference = None
    if extras.reference is not None:
        reference = load_record(extras.reference)
        shutil.copyfile(extras.reference / RECORD_NAME, folder / names.REFERENCE)
    reason = _without_predictions(runs, extras)
    for number, run in enumerate(runs, start=1):
        shutil.copyfile(run.folder / RECORD_NAME, folder / names.record_name(number))
        _text(folder, names.result_name(number), logs.make_log(run.record, terms))
        if reason is None:
            shutil.copyfile(run.folder / PREDICTIONS_NAME, folder / names.predictions_name(number))
    warnings = [
        f"seed {record['seeds']['seed']}: {told}"
        for record in records
        if (told := unknown_code(record))
    ]
    document = {
        "schema_version": "1.0",
        "application": theirs,
        "division": "open",
        **terms.document(),
        "synthetic": records[0]["synthetic"],
        "runs": len(runs),
        "predictions": {"stored": reason is None, "reason": reason},
        "warnings": warnings,
    }
    text = contribution_text(records, extras.contribution)
    pdf = contribution_pdf(text, records)
    _text(folder, names.TERMS, _json(document))
    _text(folder, names.CONFIG, to_yaml(config_document(records, terms, theirs)))
    _text(folder, names.SYSTEM, _json(system_description(records[0], terms, extras.system)))
    _text(folder, names.VERSION, logs.version_line(records[0], terms) + "\n")
    _text(folder, names.CONTRIBUTION, text)
    _text(folder, names.README, readme_text(records, terms, warnings=warnings, reference=reference))
    (folder / names.CONTRIBUTION_PDF).write_bytes(pdf)
    (folder / names.CONTRIBUTION_PDF_AS_IN_POLICY).write_bytes(pdf)
    _text(folder, names.MANIFEST, own_manifest(folder).dump())


def _without_predictions(runs: Sequence[Run], extras: Extras) -> str | None:
    """Return why predictions stay outside; None where they are packed."""
    if not extras.with_predictions:
        return "the submitter keeps them; the records hold their digests"
    largest = max(run.record["outputs"]["predictions"]["size_bytes"] for run in runs)
    if largest > MOST_PREDICTIONS_BYTES:
        return f"{largest:,} bytes are too many for git; the records hold their digests"
    return None


def _publish(scratch: Path, place: Path) -> None:
    """Move a finished folder to its place, or leave the same one that is there.

    Raises:
        RecordError: another submission stands there.
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
            f"{'/'.join(place.parts[-4:])} holds another submission",
            problems=problems,
            untouched="it was left as it is",
            hint="choose another --descriptor, or remove the folder first",
        )


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _text(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8", newline="\n")
