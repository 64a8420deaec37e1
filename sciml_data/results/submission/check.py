"""The verdict on a submission: everything that is wrong with it, the same wherever it is checked.

| kind | what is compared |
| --- | --- |
| layout | files and folders with the tree of submit.adoc |
| json, missing, type, unknown, schema, nan | records and terms with their schemas |
| digest | each record with its own digest |
| manifest | each file with the list of sizes and hashes |
| predictions | each predictions file: digest in its record, format, names, shapes, values |
| log | each log with the official checker, our check, its record and the terms |
| terms, config, readme, system, version, contribution | files made from records with the records |
| benchmark, dataset, split, runner, definition | records with the registry of whoever checks |
| commit | the code's commit with its history |
| record | a record that follows its schema and still cannot be checked |
| mixed, duplicate, status | runs with one another, and with all other submissions |
| score, throughput, curve | numbers of one record with one another |
| path | all texts: no folder of somebody's computer |

This check cannot see a score that was changed in record, log, README and every digest alike.
`rescore` finds that, from the predictions and the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sciml_data
from sciml_data.bench.record.record import budget_remark, is_external, own_model_remark
from sciml_data.bench.scoring.predictions import load_predictions, value_problems
from sciml_data.bench.scoring.stored_file import MAX_FILE_BYTES
from sciml_data.errors import JsonError, Problem, RecordError, SciMLDataError
from sciml_data.home import parse_json, read_small_file, why_not_plain
from sciml_data.progress import counted
from sciml_data.registry.layout import Registry
from sciml_data.registry.manifest import hash_file
from sciml_data.results.board.summary import STATES
from sciml_data.results.mlperf_log import application, submission_version
from sciml_data.results.submission import layout, verification
from sciml_data.results.submission.files import (
    config_document,
    config_problems,
    log_problems,
    submitter_problems,
    system_problems,
)
from sciml_data.results.submission.layout import Terms, Tree, read_tree
from sciml_data.results.submission.record_checks import (
    KnownRuns,
    code_problems,
    commit_problem,
    earlier_code_remark,
    elsewhere_problems,
    has_whole_history,
    is_pinned,
    registry_problems,
    score_problems,
    together_problems,
    unknown_code,
)
from sciml_data.results.submission.texts import contribution_mark, policy_table

CODE_REPOSITORY = Path(sciml_data.__file__).resolve().parents[1]


@dataclass(frozen=True)
class Verdict:
    """The result of checking one submission.

    Attributes:
        folder: `{org}/{application}/{system}/{descriptor}` by its path.
        problems: everything that is wrong; the submission is accepted if there is none.
        warnings: facts that are allowed and that readers must know.
        runs: number of records that follow their schema.
        is_synthetic: whether any record is of generated data.
        state: lowest state of the records after this check.
    """

    folder: str
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    runs: int
    is_synthetic: bool
    state: str

    @property
    def is_accepted(self) -> bool:
        """Return whether nothing is wrong."""
        return not self.problems

    def document(self) -> dict[str, Any]:
        """Return the verdict as JSON values."""
        return {
            "folder": self.folder,
            "accepted": self.is_accepted,
            "state": self.state,
            "runs": self.runs,
            "synthetic": self.is_synthetic,
            "warnings": list(self.warnings),
            "problems": [
                {"kind": problem.kind, "place": problem.place, "message": problem.message}
                for problem in self.problems
            ],
        }


def check_submission(
    root: Path,
    registry: Registry,
    *,
    repository: Path | None = None,
    known: KnownRuns | None = None,
) -> Verdict:
    """Check a submission's folder, and store the result in `verification.json` there.

    Args:
        root: folder `{org}/{application}/{system}/{descriptor}`.
        registry: has the datasets, splits and benchmarks that the records are compared with.
        repository: checkout of the code whose history must have the commit; None takes the
            checkout that this package runs from, if it is one.
        known: runs of all submissions (`runs_below`), to find a run that is submitted again.
    """
    tree = read_tree(root)
    history = CODE_REPOSITORY if repository is None else repository
    problems = [*tree.problems, *_record_problems(tree, registry, history)]
    if tree.records:
        problems += together_problems(tree.named_records)
        problems += elsewhere_problems(tree.named_records, tree.root, known or {})
    if tree.terms is not None and tree.records:
        problems += _terms_problems(tree)
        problems += _guarded(_derived_problems(tree), "records")
    problems = list(dict.fromkeys(problems))
    records = [layout.record_name(number) for number in tree.records]
    can_be_marked = why_not_plain(tree.root / layout.VERIFICATION) in {"", "no such file"}
    if not why_not_plain(tree.root / layout.MANIFEST) and records and can_be_marked:
        outcome = (not problems, counted(len(problems), "problem"))
        verification.mark(tree.root, "submit check", dict.fromkeys(records, outcome))
    return Verdict(
        folder="/".join(tree.root.parts[-4:]),
        problems=tuple(problems),
        warnings=tuple(_warnings(tree, registry, history)),
        runs=len(tree.records),
        is_synthetic=any(record["synthetic"] for record in tree.records.values()),
        state=verification.state_of(tree.root) if not problems else STATES[0],
    )


def _record_problems(tree: Tree, registry: Registry, history: Path) -> Iterator[Problem]:
    """Yield the problems of each record by itself."""
    others = {layout.REFERENCE: tree.reference} if tree.reference is not None else {}
    for name, record in {**tree.named_records, **others}.items():
        yield from _guarded(registry_problems(record, registry, name, history), name)
        yield from _guarded(score_problems(record, name), name)
        problem = commit_problem(record, history, name)
        if problem is not None:
            yield problem
    for number, record in tree.records.items():
        yield from _predictions_problems(tree, number, record)
        yield from _model_problems(tree, number, record)
        if number in tree.logs:
            path = tree.root / layout.result_name(number)
            yield from log_problems(path, tree.logs[number], record, registry)


def _guarded(problems: Iterator[Problem], place: str) -> Iterator[Problem]:
    """Yield problems; an error while looking for them becomes one more problem.

    A record can follow its schema and still contain values that no check expects.
    """
    try:
        yield from problems
    except (
        *(SciMLDataError, LookupError, TypeError, ValueError),
        *(ArithmeticError, AttributeError, RecursionError),
    ) as error:
        reason = (
            error.message
            if isinstance(error, SciMLDataError)
            else f"{type(error).__name__} {error}"
        )
        yield Problem("record", place, f"cannot be checked: {reason:.200}")


def terms_of(document: dict[str, Any]) -> Terms:
    """Return the terms in a valid `submission.json`."""
    return Terms(**{key: document[key] for key in Terms.__dataclass_fields__})


def _predictions_problems(tree: Tree, number: int, record: dict[str, Any]) -> Iterator[Problem]:
    name, stated = layout.predictions_name(number), record["outputs"].get("predictions")
    if stated is None:
        yield Problem(
            "predictions",
            layout.record_name(number),
            "names no predictions, so there is nothing to score",
        )
        return
    path = tree.root / name
    reason = why_not_plain(path)
    if not reason:
        yield from _content_problems(path, stated, record)
    # What is not a plain file is a problem of the layout already.
    elif reason == "no such file" and tree.terms and tree.terms["predictions"]["stored"]:
        yield Problem("predictions", name, "is missing, but the terms say that it is stored")


def _model_problems(tree: Tree, number: int, record: dict[str, Any]) -> Iterator[Problem]:
    """Yield why `model.py` is not the file of a record's model; it is never executed."""
    source, path = record["model"]["source"], tree.root / layout.MODEL
    if why_not_plain(path):  # what is not a plain file is a problem of the layout already
        if layout.has_small_model(record):
            yield Problem("model", layout.MODEL, "is missing")
    elif source is None:
        message = f"{layout.record_name(number)} has a model of the registry"
        yield Problem("model", layout.MODEL, message)
    elif (found := hash_file(path)) != f"sha256:{source['sha256']}":
        message = f"sha256:{source['sha256']} in {layout.record_name(number)}, {found} found"
        yield Problem("model", layout.MODEL, message)


def _content_problems(
    path: Path, stated: dict[str, Any], record: dict[str, Any]
) -> Iterator[Problem]:
    """Yield why a file is not the predictions of a record; it is opened last, under limits."""
    size = path.lstat().st_size
    if size != stated["size_bytes"]:  # before the hash, for which the whole file is read
        message = f"{stated['size_bytes']:,} bytes in the record, {size:,} found"
        yield Problem("predictions", path.name, message)
        return
    if size <= MAX_FILE_BYTES and (found := hash_file(path)) != f"sha256:{stated['sha256']}":
        message = f"sha256:{stated['sha256']} in the record, {found} found"
        yield Problem("predictions", path.name, message)
        return
    try:
        stored = load_predictions(path)
    except RecordError as error:
        yield from error.problems or [Problem("predictions", path.name, error.message)]
        return
    parts = set(record["dataset"]["n_samples"])
    for part in sorted(parts ^ set(stored)):
        message = "is missing" if part in parts else "is not a part of the record's split"
        yield Problem("predictions", f"{path.name}/{part}", message)
    yield from value_problems(path.name, stored)


def _terms_problems(tree: Tree) -> Iterator[Problem]:
    """Yield where `submission.json` contradicts the records or the folder's path."""
    terms, records = tree.terms or {}, list(tree.records.values())
    application_name = application(records[0]["benchmark"]["name"])
    expected = {
        "application": application_name,
        "synthetic": records[0]["synthetic"],
        "runs": len(list(tree.root.glob("record-*.json"))),
    }
    for key, value in expected.items():
        if terms[key] != value:
            message = f"{terms[key]!r} found, the records say {value!r}"
            yield Problem("terms", f"{layout.TERMS}/{key}", message)
    folders = "/".join(terms[key] for key in ("org", "application", "system", "descriptor"))
    if "/".join(tree.root.parts[-4:]) != folders:
        yield Problem("layout", "/".join(tree.root.parts[-4:]), f"its folder must be {folders}")
    yield from code_problems(tree.named_records, allow_dirty=terms["allow_dirty"])


def _derived_problems(tree: Tree) -> Iterator[Problem]:
    """Yield where a file that is made from the records differs from what they give."""
    terms = terms_of(tree.terms or {})
    records = [tree.records[number] for number in sorted(tree.records)]
    application_name = application(records[0]["benchmark"]["name"])
    yield from config_problems(
        tree.texts[layout.CONFIG], config_document(records, terms, application_name)
    )
    if policy_table(records, tree.reference) not in tree.texts[layout.README]:
        yield Problem("readme", layout.README, "does not contain the table that the records give")
    for number, text in tree.logs.items():
        yield from submitter_problems(layout.result_name(number), text, terms)
    version = submission_version(records[0])
    if tree.texts[layout.VERSION].strip() != version:
        message = f"{version!r} expected, {tree.texts[layout.VERSION].strip()!r:.80} found"
        yield Problem("version", layout.VERSION, message)
    try:
        system = parse_json(tree.texts[layout.SYSTEM], name=layout.SYSTEM)
        yield from system_problems(system, records[0], terms)
    except JsonError as error:
        yield Problem("system", layout.SYSTEM, error.message)
    yield from _contribution_problems(tree)
    if tree.reference is not None:
        yield from _reference_problems(records[0], tree.reference)


def _contribution_problems(tree: Tree) -> Iterator[Problem]:
    """Yield problems of the PDF under its two names: not a PDF, of another text, or unequal."""
    mark = contribution_mark(tree.texts[layout.CONTRIBUTION]).encode("ascii")
    contents = []
    for name in (layout.CONTRIBUTION_PDF, layout.CONTRIBUTION_PDF_AS_IN_POLICY):
        path = tree.root / name
        content = b"" if why_not_plain(path) else _content_of(path)
        contents.append(content)
        if not content.startswith(b"%PDF-"):
            yield Problem("contribution", name, "is not a PDF")
        elif mark not in content:
            yield Problem("contribution", name, f"was not made from {layout.CONTRIBUTION}")
    if contents[0] != contents[1]:
        yield Problem("contribution", name, f"differs from {layout.CONTRIBUTION_PDF}")


def _content_of(path: Path) -> bytes:
    """Return the content of a file; an empty one if it is too large to be a contribution."""
    try:
        return read_small_file(path)
    except JsonError:
        return b""


def _reference_problems(record: dict[str, Any], reference: dict[str, Any]) -> Iterator[Problem]:
    """Yield why a reference run cannot be compared with the submitted ones."""
    fields = {
        "benchmark": ("benchmark", "name"),
        "variant": ("benchmark", "variant"),
        "data": ("dataset", "manifest_digest"),
        "split": ("split", "members_digest"),
    }
    if reference["status"] != "success":
        yield Problem("reference", layout.REFERENCE, f"is {reference['status']}")
    for name, (group, key) in fields.items():
        if reference[group].get(key) != record[group].get(key):
            yield Problem("reference", f"{layout.REFERENCE}/{group}/{key}", f"another {name}")


def _warnings(tree: Tree, registry: Registry, history: Path) -> Iterator[str]:
    """Yield facts that are allowed and that readers must know."""
    records = tree.named_records
    if any(record["synthetic"] for record in records.values()):
        yield "SYNTHETIC data: generated from a seed; these scores say nothing about nature"
    for name, record in records.items():
        remarks = [
            layout.EXTERNAL_PREDICTIONS if is_external(record) else "",
            own_model_remark(record),
            budget_remark(record),
            unknown_code(record),
            earlier_code_remark(record, registry, history),
        ]
        yield from (f"{name}: {remark}" for remark in remarks if remark)
        if not record["synthetic"] and not is_pinned(record, registry):
            yield f"{name}: the registry pins no manifest, so its data cannot be compared"
    if not has_whole_history(history):
        yield "the code's whole history is not here, so the commit was not looked up"
    if tree.terms is not None and not tree.terms["predictions"]["stored"]:
        yield f"no predictions are here: {tree.terms['predictions']['reason']}"
