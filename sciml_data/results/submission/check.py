"""The verdict on a submission: the same wherever it is asked for, every problem by its name.

| kind | what is held against what |
| --- | --- |
| layout | files and folders against the tree of submit.adoc |
| json, missing, type, unknown, schema, nan | records and terms against their schemas |
| digest | each record against its own digest |
| manifest | each file against the list of sizes and hashes |
| predictions | each predictions file against the digest in its record |
| log | each log against the official checker, the strict one, its record and the terms |
| terms, config, readme, system, version, contribution | what is made from records against them |
| benchmark, dataset, split, runner, definition | records against the registry of whoever checks |
| commit | the code's commit against its history |
| record | what keeps its schema and still cannot be read |
| mixed, duplicate, status | runs against one another, and against all other submissions |
| score, throughput | numbers of one record against one another |
| path | all texts: no folder of somebody's computer |

What nobody can see without computing: a score that was changed in record, log, README and every
digest alike. `rescore` finds that, from the predictions and the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sciml_data
from sciml_data.errors import Problem, SciMLDataError
from sciml_data.registry.layout import Registry
from sciml_data.registry.manifest import hash_file
from sciml_data.results.mlperf_log import application
from sciml_data.results.submission import logs, names, verification
from sciml_data.results.submission.config import config_document, config_problems
from sciml_data.results.submission.elsewhere import Known, elsewhere_problems
from sciml_data.results.submission.names import Terms
from sciml_data.results.submission.provenance import (
    commit_problem,
    has_whole_history,
    is_pinned,
    registry_problems,
    score_problems,
)
from sciml_data.results.submission.system import system_problems
from sciml_data.results.submission.table import policy_table
from sciml_data.results.submission.texts import contribution_mark
from sciml_data.results.submission.together import code_problems, together_problems, unknown_code
from sciml_data.results.submission.tree import NotFiniteError, Tree, parse_json, read_tree

CODE_REPOSITORY = Path(sciml_data.__file__).resolve().parents[1]


@dataclass(frozen=True)
class Verdict:
    """What was found of one submission.

    Attributes:
        folder: `{org}/{application}/{system}/{descriptor}` as its path says.
        problems: all that is wrong; none: accepted.
        warnings: what a reader must know although it is allowed.
        runs: how many records are sound by their schema.
        is_synthetic: whether any is of generated data.
        state: lowest of its records' states after this check.
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
        """Return the verdict as plain values."""
        return {
            "folder": self.folder,
            "accepted": self.is_accepted,
            "state": self.state,
            "runs": self.runs,
            "synthetic": self.is_synthetic,
            "warnings": list(self.warnings),
            "problems": [
                {"kind": one.kind, "place": one.place, "message": one.message}
                for one in self.problems
            ],
        }


def check(
    root: Path,
    registry: Registry,
    *,
    repository: Path | None = None,
    known: Known | None = None,
) -> Verdict:
    """Return the verdict on a submission's folder, and keep it in `verification.json` there.

    Args:
        root: folder `{org}/{application}/{system}/{descriptor}`.
        registry: what datasets, splits and benchmarks are held against.
        repository: checkout of the code whose history must know the commit; None takes the
            checkout this package runs from, if it does.
        known: runs of all submissions (`elsewhere.runs_below`), to find one that comes again.
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
    records = [names.record_name(number) for number in tree.records]
    if (tree.root / names.MANIFEST).is_file() and records:
        told = f"{len(problems)} problems"
        verification.mark(tree.root, "submit check", dict.fromkeys(records, (not problems, told)))
    return Verdict(
        folder="/".join(tree.root.parts[-4:]),
        problems=tuple(problems),
        warnings=tuple(_warnings(tree, registry, history)),
        runs=len(tree.records),
        is_synthetic=any(record["synthetic"] for record in tree.records.values()),
        state=verification.state_of(tree.root) if not problems else verification.STATES[0],
    )


def _record_problems(tree: Tree, registry: Registry, history: Path) -> Iterator[Problem]:
    """Yield what is wrong with each record by itself."""
    others = {names.REFERENCE: tree.reference} if tree.reference is not None else {}
    for name, record in {**tree.named_records, **others}.items():
        yield from _guarded(registry_problems(record, registry, name), name)
        yield from _guarded(score_problems(record, name), name)
        problem = commit_problem(record, history, name)
        if problem is not None:
            yield problem
    for number, record in tree.records.items():
        yield from _predictions_problems(tree, number, record)
        if number in tree.logs:
            path = tree.root / names.result_name(number)
            yield from logs.log_problems(path, tree.logs[number], record, registry)


def _guarded(problems: Iterator[Problem], place: str) -> Iterator[Problem]:
    """Yield problems; what cannot be looked at, though its schema is kept, is one more."""
    try:
        yield from problems
    except (SciMLDataError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        told = (
            error.message
            if isinstance(error, SciMLDataError)
            else f"{type(error).__name__} {error}"
        )
        yield Problem("record", place, f"cannot be held against anything: {told:.200}")


def terms_of(document: dict[str, Any]) -> Terms:
    """Return the terms in a sound `submission.json`."""
    return Terms(**{key: document[key] for key in Terms.__dataclass_fields__})


def _predictions_problems(tree: Tree, number: int, record: dict[str, Any]) -> Iterator[Problem]:
    name, stated = names.predictions_name(number), record["outputs"].get("predictions")
    if stated is None:
        yield Problem("predictions", names.record_name(number), "states none: nothing to score")
        return
    path = tree.root / name
    if path.is_file() and not path.is_symlink():
        if (found := hash_file(path)) != f"sha256:{stated['sha256']}":
            message = f"sha256:{stated['sha256']} in the record, {found} found"
            yield Problem("predictions", name, message)
    elif tree.terms is not None and tree.terms["predictions"]["stored"]:
        yield Problem("predictions", name, "is missing, and was said to be stored")


def _terms_problems(tree: Tree) -> Iterator[Problem]:
    """Yield where `submission.json` says what neither records nor folders say."""
    terms, records = tree.terms or {}, list(tree.records.values())
    theirs = application(records[0]["benchmark"]["name"])
    expected = {
        "application": theirs,
        "synthetic": records[0]["synthetic"],
        "runs": len(_record_numbers(tree)),
    }
    for key, value in expected.items():
        if terms[key] != value:
            message = f"{terms[key]!r} found, the records say {value!r}"
            yield Problem("terms", f"{names.TERMS}/{key}", message)
    folders = "/".join(terms[key] for key in ("org", "application", "system", "descriptor"))
    if "/".join(tree.root.parts[-4:]) != folders:
        yield Problem("layout", "/".join(tree.root.parts[-4:]), f"{folders} is its folder")
    yield from code_problems(tree.named_records, allow_dirty=terms["allow_dirty"])


def _record_numbers(tree: Tree) -> list[Path]:
    return sorted(tree.root.glob("record-*.json"))


def _derived_problems(tree: Tree) -> Iterator[Problem]:
    """Yield where a file that is made from the records does not say what they say."""
    terms = terms_of(tree.terms or {})
    records = [tree.records[number] for number in sorted(tree.records)]
    theirs = application(records[0]["benchmark"]["name"])
    yield from config_problems(tree.texts[names.CONFIG], config_document(records, terms, theirs))
    if policy_table(records, tree.reference) not in tree.texts[names.README]:
        yield Problem("readme", names.README, "has not the table that the records give")
    for number, text in tree.logs.items():
        yield from logs.submitter_problems(names.result_name(number), text, terms)
    version = logs.version_line(records[0], terms)
    if tree.texts[names.VERSION].strip() != version:
        message = f"{version!r} expected, {tree.texts[names.VERSION].strip()!r:.80} found"
        yield Problem("version", names.VERSION, message)
    try:
        yield from system_problems(parse_json(tree.texts[names.SYSTEM]), records[0], terms)
    except (NotFiniteError, ValueError) as error:
        yield Problem("system", names.SYSTEM, f"is not JSON: {error}")
    yield from _contribution_problems(tree)
    if tree.reference is not None:
        yield from _reference_problems(records[0], tree.reference)


def _contribution_problems(tree: Tree) -> Iterator[Problem]:
    """Yield a PDF that is none, or was made of another text; both names hold the same bytes."""
    mark = contribution_mark(tree.texts[names.CONTRIBUTION]).encode("ascii")
    found = []
    for name in (names.CONTRIBUTION_PDF, names.CONTRIBUTION_PDF_AS_IN_POLICY):
        path = tree.root / name
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found.append(content)
        if not content.startswith(b"%PDF-"):
            yield Problem("contribution", name, "is no PDF")
        elif mark not in content:
            yield Problem("contribution", name, f"was not made of {names.CONTRIBUTION}")
    if found[0] != found[1]:
        yield Problem("contribution", name, f"differs from {names.CONTRIBUTION_PDF}")


def _reference_problems(record: dict[str, Any], reference: dict[str, Any]) -> Iterator[Problem]:
    """Yield why a reference run cannot stand beside the submitted ones."""
    fields = {
        "benchmark": ("benchmark", "name"),
        "variant": ("benchmark", "variant"),
        "data": ("dataset", "manifest_digest"),
        "split": ("split", "members_digest"),
    }
    if reference["status"] != "success":
        yield Problem("reference", names.REFERENCE, f"is {reference['status']}")
    for what, (group, key) in fields.items():
        if reference[group].get(key) != record[group].get(key):
            yield Problem("reference", f"{names.REFERENCE}/{group}/{key}", f"another {what}")


def _warnings(tree: Tree, registry: Registry, history: Path) -> Iterator[str]:
    """Yield what is allowed and must be known."""
    records = tree.named_records
    if any(record["synthetic"] for record in records.values()):
        yield "SYNTHETIC data: generated from a seed; these scores say nothing about nature"
    for name, record in records.items():
        if reason := unknown_code(record):
            yield f"{name}: {reason}"
        if not record["synthetic"] and not is_pinned(record, registry):
            yield f"{name}: the registry pins no manifest, so its data are held against nothing"
    if not has_whole_history(history):
        yield "no whole history of the code is here: whether the commit exists was not asked"
    if tree.terms is not None and not tree.terms["predictions"]["stored"]:
        yield f"no predictions are here: {tree.terms['predictions']['reason']}"
