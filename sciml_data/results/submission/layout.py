"""The folder of a submission: names of its files, what the submitter states, and how it is read.

    {org}/{application}/{system}/{descriptor}/result-n.txt ...

This tree is the one that the working group's submit.adoc asks for. Records, predictions and the
manifest beside them are ours, so that anybody who reads a submission can compute its scores again.

A folder from a pull request may contain anything: links that lead outside, NaN, texts that are made
to be printed. `read_tree` reads data only, trusts no file, and lists everything that is wrong.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sciml_data.bench.record.record import (
    ABSOLUTE_PATH,
    SCHEMA_PATH,
    contradictions,
    has_epochs,
    record_digest,
    schema_validator,
)
from sciml_data.errors import CallError, DescriptorError, JsonError, Problem, RecordError
from sciml_data.home import parse_json, read_small_file, why_not_plain
from sciml_data.registry.manifest import (
    Entry,
    Manifest,
    hash_file,
    manifest_of,
    parse_manifest,
)
from sciml_data.registry.schema import schema_problems, slashed

TERMS = "submission.json"  # what the submitter states: names, status, contact
MANIFEST = "manifest.csv"  # path, size and hash of every file except itself and the verdict
VERIFICATION = "verification.json"  # results of checks, written by whoever runs them
CONFIG = "config.yaml"
README = "README.md"
VERSION = "VERSION.txt"
SYSTEM = "system.json"
MODEL = "model.py"  # file of the submitter's own model, if the registry does not have the model
REFERENCE = "reference.json"  # record of a run of the reference model, if one was given
CONTRIBUTION = "scientific_contribution.md"
CONTRIBUTION_PDF = "scientific_contribution.pdf"
CONTRIBUTION_PDF_AS_IN_POLICY = "sientific_contribution.pdf"  # submit.adoc spells it so

REQUIRED_FILES = (
    TERMS,
    MANIFEST,
    CONFIG,
    README,
    VERSION,
    SYSTEM,
    CONTRIBUTION,
    CONTRIBUTION_PDF,
    CONTRIBUTION_PDF_AS_IN_POLICY,
)
OPTIONAL_FILES = (REFERENCE, VERIFICATION, MODEL)
NUMBERED = re.compile(r"(result|record|predictions)-([1-9][0-9]{0,3})\.(txt|json|nc)")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# MLPerf's words for a system's availability (system_desc_checker, training rules 4 and later).
STATUSES = {
    "research": "Research, Development, or Internal (RDI)",
    "onprem": "Available on-premise",
    "cloud": "Available cloud",
    "preview": "Preview",
}
EXTERNAL_PREDICTIONS = (
    "external predictions: another program trained and predicted, so there is no log of a training"
)
MAX_MODEL_BYTES = 1 << 20
MAX_FILES = 40_000  # three for each of 9,999 runs, and ten more
TERMS_SCHEMA_PATH = Path(__file__).with_name("submission.schema.json")
# What `ABSOLUTE_PATH` does not match: Windows paths, file URLs, and `~/`.
OTHER_PATHS = re.compile(r"\b[A-Za-z]:\\\w|\bfile://|(?<!\S)~/\w")


def result_name(number: int) -> str:
    """Return the name of the log of the n-th run, from 1."""
    return f"result-{number}.txt"


def record_name(number: int) -> str:
    """Return the name of the record of the n-th run, from 1."""
    return f"record-{number}.json"


def predictions_name(number: int) -> str:
    """Return the name of the predictions of the n-th run, from 1."""
    return f"predictions-{number}.nc"


def has_small_model(record: Mapping[str, Any]) -> bool:
    """Return whether a run has the file of its own model, small enough for git."""
    stated = record["outputs"].get("model")
    return stated is not None and stated["size_bytes"] <= MAX_MODEL_BYTES


@dataclass(frozen=True)
class Terms:
    """What a submitter states about a submission, in addition to the records.

    Attributes:
        org, system, descriptor: folders of the tree, and keys of the log.
        status: availability of the system, one of `STATUSES`.
        platform: key of the log; None takes the system's name.
        poc_name, poc_email: point of contact; None names nobody.
        allow_dirty: accept code with uncommitted changes; the submission then says so.
    """

    org: str
    system: str
    descriptor: str
    status: str = "research"
    platform: str | None = None
    poc_name: str | None = None
    poc_email: str | None = None
    allow_dirty: bool = False

    def check(self) -> None:
        """Refuse names that cannot be folder names.

        Raises:
            CallError: `.problems` lists every name.
        """
        named = {"org": self.org, "system": self.system, "descriptor": self.descriptor}
        problems = [
            Problem("name", f"--{key}", f"{value!r} cannot be the name of a folder")
            for key, value in named.items()
            if not NAME.fullmatch(value)
        ]
        if self.status not in STATUSES:
            problems.append(
                Problem("name", "--status", f"one of {', '.join(STATUSES)} is expected")
            )
        if problems:
            raise CallError(
                "these names cannot be used for a submission",
                problems=problems,
                untouched="nothing was written",
                hint="letters, digits, '.', '_' and '-', as in --descriptor experiment-1",
            )

    def folder(self, application: str) -> Path:
        """Return the submission's folder, relative to the tree's root."""
        return Path(self.org, application, self.system, self.descriptor)

    def document(self) -> dict[str, Any]:
        """Return the terms as in `submission.json`."""
        return asdict(self)


@dataclass
class Tree:
    """A submission's folder as read. `problems` grows during reading.

    Attributes:
        root: the folder `{org}/{application}/{system}/{descriptor}`.
        terms: content of `submission.json`; None if it is invalid.
        records: number -> valid record.
        logs: number -> text of the log.
        texts: name -> text of every other text file.
        reference: record of the reference model; None if there is none.
        problems: everything that is wrong so far.
    """

    root: Path
    terms: dict[str, Any] | None = None
    records: dict[int, dict[str, Any]] = field(default_factory=dict)
    logs: dict[int, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    reference: dict[str, Any] | None = None
    problems: list[Problem] = field(default_factory=list)

    @property
    def named_records(self) -> dict[str, dict[str, Any]]:
        """Return the records by the names of their files."""
        return {record_name(number): self.records[number] for number in sorted(self.records)}

    def add(self, kind: str, place: str, message: str) -> None:
        """Add a problem."""
        self.problems.append(Problem(kind, place, message))


def read_tree(root: Path) -> Tree:
    """Read a submission's folder; the tree's `problems` list everything wrong with its form."""
    tree = Tree(root.resolve())
    _read_layout(tree)
    tree.terms = _json(tree, TERMS, TERMS_SCHEMA_PATH)
    for number in _numbers(tree, "record"):
        record = _record(tree, record_name(number))
        if record is not None:
            tree.records[number] = record
    _count_logs(tree)
    if _is_plain(tree.root / REFERENCE):
        tree.reference = _record(tree, REFERENCE)
    for number in _numbers(tree, "result"):
        tree.logs[number] = _text(tree, result_name(number)) or ""
    for name in (CONFIG, README, VERSION, SYSTEM, CONTRIBUTION):
        tree.texts[name] = _text(tree, name) or ""
    _read_manifest(tree)
    return tree


def own_manifest(root: Path) -> Manifest:
    """Return the manifest of a submission's files, without itself and the verdict."""
    manifest = manifest_of(root)
    return manifest.select(
        [path for path in manifest.by_path if path not in {MANIFEST, VERIFICATION}]
    )


def _read_layout(tree: Tree) -> None:
    """Add problems of files that are missing, unknown, not plain files, or misnumbered."""
    names = []
    # Folders are refused, and not searched: their content cannot be part of a submission.
    paths = list(itertools.islice(tree.root.iterdir(), MAX_FILES + 1))
    if len(paths) > MAX_FILES:
        tree.add("layout", tree.root.name, f"has more than {MAX_FILES:,} files")
    for path in sorted(paths):
        if reason := why_not_plain(path):
            tree.add("layout", path.name, f"{reason}; only plain files are allowed here")
        else:
            names.append(path.name)
    known = {*REQUIRED_FILES, *OPTIONAL_FILES}
    for name in names:
        if name not in known and not NUMBERED.fullmatch(name):
            tree.add("layout", name, "a submission has no file with this name")
    for name in REQUIRED_FILES:
        if name not in names:
            tree.add("layout", name, "is missing")
    _count_runs(tree)


def _count_runs(tree: Tree) -> None:
    """Add problems of records and predictions whose numbers do not agree."""
    records = _numbers(tree, "record")
    if records != list(range(1, len(records) + 1)) or not records:
        tree.add("layout", "record-n.json", f"1, 2, 3 ... expected, {records} found")
    for number in set(_numbers(tree, "predictions")) - set(records):
        tree.add("layout", predictions_name(number), "has no record")


def _count_logs(tree: Tree) -> None:
    """Add a problem unless each run that was trained in epochs has a log, and no other has."""
    logs = _numbers(tree, "result")
    without = {number for number, record in tree.records.items() if not has_epochs(record)}
    expected = [number for number in _numbers(tree, "record") if number not in without]
    if logs != expected:
        tree.add("layout", "result-n.txt", f"one for each run expected, {logs} found")


def _numbers(tree: Tree, word: str) -> list[int]:
    matches = (NUMBERED.fullmatch(path.name) for path in tree.root.iterdir() if _is_plain(path))
    return sorted(int(match[2]) for match in matches if match is not None and match[1] == word)


def _is_plain(path: Path) -> bool:
    return not why_not_plain(path)


def _text(tree: Tree, name: str) -> str | None:
    """Return the content of a text file; None if it is missing (a known problem) or unreadable."""
    path = tree.root / name
    if not _is_plain(path):
        return None
    try:
        text = read_small_file(path).decode("utf-8")
    except JsonError as error:
        tree.add("layout", name, error.message)
        return None
    except UnicodeDecodeError as error:
        tree.add("layout", name, f"is not UTF-8: {error.reason} at byte {error.start}")
        return None
    for pattern in (ABSOLUTE_PATH, OTHER_PATHS):
        if match := pattern.search(text):
            tree.add("path", name, f"contains a path of somebody's computer: {match.group():.60}")
    return text


def _json(tree: Tree, name: str, schema: Path) -> dict[str, Any] | None:
    """Return the content of a valid JSON file; None if it is invalid, which adds problems."""
    text = _text(tree, name)
    if text is None:
        return None
    try:
        document = parse_json(text, name=name)
    except JsonError as error:
        tree.add("nan" if error.kind == "nan" else "json", name, error.message)
        return None
    problems = _schema_problems(document, schema, name)
    tree.problems += problems
    return None if problems else dict(document)


def _record(tree: Tree, name: str) -> dict[str, Any] | None:
    record = _json(tree, name, SCHEMA_PATH)
    if record is not None and (problems := list(contradictions(record))):
        for problem in problems:
            tree.add(problem.kind, f"{name}/{problem.place}", problem.message)
        return None
    if record is not None and (actual := record_digest(record)) != record["record_digest"]:
        message = f"{record['record_digest']} expected, {actual} found: the record was changed"
        tree.add("digest", f"{name}/record_digest", message)
    return record


def _schema_problems(document: Any, schema: Path, name: str) -> list[Problem]:
    """Return where a document breaks its schema: `missing`, `type`, `unknown` or `schema`."""
    problems = schema_problems(
        schema_validator(schema).iter_errors(document), place=lambda path: slashed((name, *path))
    )
    return [
        Problem("schema" if item.kind == "value" else item.kind, item.place, item.message)
        for item in problems
    ]


def _read_manifest(tree: Tree) -> None:
    """Add a problem for every file whose size or hash differs from the manifest's."""
    text = _text(tree, MANIFEST)
    if text is None:
        return
    try:
        listed = parse_manifest(text, name=MANIFEST).by_path
    except (DescriptorError, ValueError, csv.Error) as error:
        tree.add("manifest", MANIFEST, f"is not a manifest: {str(error).splitlines()[0]:.200}")
        return
    actual = {path.name: path for path in tree.root.iterdir() if _is_plain(path)}
    for name in sorted({*listed, *actual} - {MANIFEST, VERIFICATION}):
        message = _difference(listed.get(name), actual.get(name))
        if message and not _is_added_predictions(name, listed):
            tree.add("manifest", name, message)


def _difference(listed: Entry | None, actual: Path | None) -> str:
    """Return how a file differs from its entry; only a file of the listed size is read."""
    if actual is None:
        return "is listed and missing"
    if listed is None:
        return "is not listed"
    size = actual.lstat().st_size
    if size != listed.size_bytes:
        return f"has {size:,} bytes, {listed.size_bytes:,} are listed"
    kind = listed.hash.partition(":")[0]
    if kind != "sha256":
        return f"is listed with a hash of kind {kind}, not sha256"
    return "" if hash_file(actual) == listed.hash else "was changed: its hash is not the listed one"


def _is_added_predictions(name: str, listed: Mapping[str, Any]) -> bool:
    """Return whether a file is predictions that were added after packing, to be scored."""
    return name.startswith("predictions-") and name not in listed


def load_packed_record(path: Path) -> dict[str, Any]:
    """Return one record of a packed submission.

    Raises:
        RecordError: the record is invalid; `.problems` has every place.
    """
    tree = Tree(path.parent)
    record = _record(tree, path.name)
    if record is None or tree.problems:
        raise RecordError(f"{path.name} is invalid", problems=tree.problems)
    return record
