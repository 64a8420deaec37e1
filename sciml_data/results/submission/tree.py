"""Read a submission that somebody else wrote: every file held against its form, none trusted.

A folder from a pull request may hold anything: links that lead outside, numbers that are none,
texts made to be printed. What is read here is data only; all that is wrong is said by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from sciml_data.bench.record.record import ABSOLUTE_PATH, SCHEMA_PATH, record_digest
from sciml_data.errors import DescriptorError, Problem, RecordError
from sciml_data.registry.manifest import Manifest, manifest_of, read_manifest
from sciml_data.results.submission import names

MOST_TEXT_BYTES = 64 << 20  # of one text file; the largest record so far has 2 MB
TERMS_SCHEMA_PATH = Path(__file__).with_name("submission.schema.json")
# Beyond `ABSOLUTE_PATH`: folders of Windows users, and the home folder's sign.
OTHER_PATHS = re.compile(r"\b[A-Za-z]:\\\w|\bfile://|(?<!\S)~/\w")
KINDS = {"required": "missing", "type": "type", "additionalProperties": "unknown"}


class NotFiniteError(ValueError):
    """A JSON text has NaN or Infinity, which are no JSON."""


@dataclass
class Tree:
    """A submission's folder as read; `problems` grows while it is.

    Attributes:
        root: the folder `{org}/{application}/{system}/{descriptor}`.
        terms: `submission.json`; None where it is not sound.
        records: number -> record, those that are sound.
        logs: number -> text of the log.
        texts: name -> text of every other text file.
        reference: record of the reference model; None where there is none.
        problems: all that was wrong so far.
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
        return {names.record_name(number): self.records[number] for number in sorted(self.records)}

    def add(self, kind: str, place: str, message: str) -> None:
        """Note one thing that is wrong."""
        self.problems.append(Problem(kind, place, message))


def find_submissions(folder: Path) -> list[Path]:
    """Return the folders of all submissions in a folder, itself among them, sorted."""
    return sorted(path.parent for path in folder.rglob(names.TERMS) if path.is_file())


def read_tree(root: Path) -> Tree:
    """Return a submission's folder as read, with everything that is wrong with its form."""
    tree = Tree(root.resolve())
    _read_layout(tree)
    tree.terms = _json(tree, names.TERMS, TERMS_SCHEMA_PATH)
    for number in _numbers(tree, "record"):
        record = _record(tree, names.record_name(number))
        if record is not None:
            tree.records[number] = record
    if (tree.root / names.REFERENCE).is_file():
        tree.reference = _record(tree, names.REFERENCE)
    for number in _numbers(tree, "result"):
        tree.logs[number] = _text(tree, names.result_name(number)) or ""
    for name in (names.CONFIG, names.README, names.VERSION, names.SYSTEM, names.CONTRIBUTION):
        tree.texts[name] = _text(tree, name) or ""
    _read_manifest(tree)
    return tree


def own_manifest(root: Path) -> Manifest:
    """Return the manifest of a submission's files, but of itself and of the verdict."""
    found = manifest_of(root)
    kept = [path for path in found.by_path if path not in {names.MANIFEST, names.VERIFICATION}]
    return found.select(kept)


def parse_json(text: str) -> Any:
    """Return a JSON document.

    Raises:
        NotFiniteError: it has a number that is none.
        ValueError: it is not JSON.
    """

    def refuse(word: str) -> None:
        raise NotFiniteError(f"{word} is no number in JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _read_layout(tree: Tree) -> None:
    """Note files that are missing, too many, no files, or whose numbers have gaps."""
    found = []
    for path in sorted(tree.root.rglob("*")):
        name = path.relative_to(tree.root).as_posix()
        if path.is_symlink() or not path.is_file():
            tree.add("layout", name, "only plain files may stand here: no folder, no link")
        else:
            found.append(name)
    known = {*names.ALWAYS, *names.SOMETIMES}
    for name in found:
        if name not in known and not names.NUMBERED.fullmatch(name):
            tree.add("layout", name, "no file of a submission has this name")
    for name in names.ALWAYS:
        if name not in found:
            tree.add("layout", name, "is missing")
    _count_runs(tree)


def _count_runs(tree: Tree) -> None:
    """Note numbers of records, logs and predictions that do not belong together."""
    records, logs = _numbers(tree, "record"), _numbers(tree, "result")
    if records != list(range(1, len(records) + 1)) or not records:
        tree.add("layout", "record-n.json", f"1, 2, 3 ... expected, {records} found")
    if logs != records:
        tree.add("layout", "result-n.txt", f"one for each record expected, {logs} found")
    for number in set(_numbers(tree, "predictions")) - set(records):
        tree.add("layout", names.predictions_name(number), "has no record")


def _numbers(tree: Tree, word: str) -> list[int]:
    found = (names.NUMBERED.fullmatch(path.name) for path in tree.root.iterdir() if _is_plain(path))
    return sorted(int(one[2]) for one in found if one is not None and one[1] == word)


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _text(tree: Tree, name: str) -> str | None:
    """Return a text file's content; None where it is missing (that is said already) or none."""
    path = tree.root / name
    if not _is_plain(path):
        return None
    if path.stat().st_size > MOST_TEXT_BYTES:
        tree.add("layout", name, f"has more than {MOST_TEXT_BYTES:,} bytes")
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        tree.add("layout", name, f"is not UTF-8: {error.reason} at byte {error.start}")
        return None
    for pattern in (ABSOLUTE_PATH, OTHER_PATHS):
        if shown := pattern.search(text):
            tree.add("path", name, f"names a folder of somebody's computer: {shown.group():.60}")
    return text


def _json(tree: Tree, name: str, schema: Path) -> dict[str, Any] | None:
    """Return a JSON file that keeps its schema; else None, and the problems are noted."""
    text = _text(tree, name)
    if text is None:
        return None
    try:
        document = parse_json(text)
    except NotFiniteError as error:
        tree.add("nan", name, str(error))
        return None
    except ValueError as error:
        tree.add("json", name, f"is not JSON: {error}")
        return None
    problems = schema_problems(document, schema, name)
    tree.problems += problems
    return None if problems else dict(document)


def _record(tree: Tree, name: str) -> dict[str, Any] | None:
    record = _json(tree, name, SCHEMA_PATH)
    if record is not None and (found := record_digest(record)) != record["record_digest"]:
        message = f"{record['record_digest']} expected, {found} found: the record was changed"
        tree.add("digest", f"{name}/record_digest", message)
    return record


def schema_problems(document: Any, schema: Path, name: str) -> list[Problem]:
    """Return where a document breaks its schema: `missing`, `type`, `unknown` or `schema`."""
    errors = sorted(_validator(schema).iter_errors(document), key=lambda one: str(one.json_path))
    return [
        Problem(
            KINDS.get(str(error.validator), "schema"),
            "/".join([name, *map(str, error.absolute_path)]),
            error.message[:300],
        )
        for error in errors
    ]


@cache
def _validator(schema: Path) -> Any:
    import jsonschema

    return jsonschema.Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))


def _read_manifest(tree: Tree) -> None:
    """Note every file whose size or hash is not the manifest's."""
    path = tree.root / names.MANIFEST
    if not _is_plain(path):
        return
    try:
        listed: Mapping[str, Any] = read_manifest(path).by_path
    except (DescriptorError, UnicodeDecodeError) as error:
        tree.add("manifest", names.MANIFEST, str(error).splitlines()[0])
        return
    found = own_manifest(tree.root).by_path
    for name in sorted({*listed, *found}):
        if listed.get(name) != found.get(name) and not _is_late_predictions(name, listed):
            tree.add("manifest", name, _judgement(name, listed, found))


def _judgement(name: str, listed: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    if name not in found:
        return "is listed and missing"
    if name not in listed:
        return "is not listed"
    return "was changed: its size or hash is not the listed one"


def _is_late_predictions(name: str, listed: Mapping[str, Any]) -> bool:
    """Return whether these are predictions that were laid here to be scored, not packed."""
    return name.startswith("predictions-") and name not in listed


def load_packed_record(path: Path) -> dict[str, Any]:
    """Return one record of a packed submission.

    Raises:
        RecordError: it is not sound; `.problems` has every place.
    """
    tree = Tree(path.parent)
    record = _record(tree, path.name)
    if record is None or tree.problems:
        raise RecordError(f"{path.name} is not sound", problems=tree.problems)
    return record
