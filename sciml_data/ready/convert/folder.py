"""The folder of ready files made with one set of options, and the notes in it.

<ready>/<digest of the options>/events.nc        ready files, as the reader names them
<ready>/<digest of the options>/manifest.csv     written last: it says that the folder is whole
<ready>/<digest of the options>/conversion.json  of what, with what, which file is in which split
<ready>/<digest of the options>/shards.jsonl     each ready file as it was made, and of what
<ready>/<digest of the options>/problems.txt     why the files that lack could not be made
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sciml_data.formats import NOTICES
from sciml_data.home import DatasetFolder, write_atomically
from sciml_data.registry.manifest import Entry, Manifest, read_manifest
from sciml_data.registry.stages import Converted

if TYPE_CHECKING:
    from sciml_data.registry.descriptor import Descriptor

MANIFEST_NAME = "manifest.csv"
RECORD_NAME = "conversion.json"
NOTES_NAME = "shards.jsonl"
PROBLEMS_NAME = "problems.txt"
DIGEST_LETTERS = 12  # of sha256: a folder name; the whole of the options stands in the record


class Note(Protocol):
    """Keeps one more ready file in mind."""

    def __call__(self, entry: Entry, identity: str) -> None:
        """Note a ready file and what it was made of."""


def ready_folder(folder: DatasetFolder, options: Mapping[str, Any]) -> Path:
    """Return the folder of the ready files made with these options."""
    text = json.dumps(dict(options), sort_keys=True, separators=(",", ":"))
    return folder.ready / hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LETTERS]


def find_converted(
    descriptor: Descriptor, folder: DatasetFolder, options: Mapping[str, Any] | None = None
) -> Converted | None:
    """Return the ready files that were made with these options, None where there are none."""
    root = ready_folder(folder, options or {})
    record = read_record(root)
    if record is None or not (root / MANIFEST_NAME).is_file():
        return None
    return Converted(
        descriptor=descriptor,
        root=root,
        manifest=read_manifest(root / MANIFEST_NAME),
        native_digest=record["native_manifest_sha256"],
        is_synthetic=record["is_synthetic"],
        options=record["options"],
    )


def shards_of_split(converted: Converted, split: str | None = None) -> dict[str, list[str]]:
    """Return the ready files by split, only one split where it is named."""
    record = read_record(converted.root) or {"splits": {}}
    splits: dict[str, list[str]] = record["splits"]
    return {name: files for name, files in splits.items() if split in (None, name)}


def read_record(root: Path) -> dict[str, Any] | None:
    """Return what the ready files were made of and with, None where nothing was begun."""
    path = root / RECORD_NAME
    if not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def write_record(root: Path, record: Mapping[str, Any]) -> None:
    """Write what the ready files are made of and with."""
    write_atomically(root / RECORD_NAME, json.dumps(record, indent=2, sort_keys=True) + "\n")


def write_manifest(root: Path, entries: Iterable[Entry]) -> None:
    """Declare the folder whole."""
    write_atomically(root / MANIFEST_NAME, Manifest(tuple(sorted(entries))).dump())


def standing(root: Path, identities: Mapping[str, str]) -> dict[str, Entry]:
    """Return the ready files that need not be made again, by name.

    Args:
        root: folder of the ready files.
        identities: of each file that is wanted, the digest of what it is to be made of.
    """
    found = {}
    for entry, identity in _read_notes(root):
        path = root / entry.path
        is_same = identities.get(entry.path) == identity
        if is_same and path.is_file() and path.stat().st_size == entry.size_bytes:
            found[entry.path] = entry
    return found


def clear(root: Path, keep: Collection[str]) -> None:
    """Remove what is not kept; the manifest first, so that the folder is not whole."""
    kept = {*keep, RECORD_NAME, NOTES_NAME}
    (root / MANIFEST_NAME).unlink(missing_ok=True)
    for path in sorted(root.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(root).as_posix() not in kept:
            path.unlink(missing_ok=True)


def notices(path: Path) -> list[str]:
    """Return what a ready file has to say of how it was made, none where it says nothing."""
    import h5py

    with h5py.File(path, "r") as file:
        text = file.attrs.get(NOTICES, "")
    return (text if isinstance(text, str) else text.decode()).splitlines()


@contextmanager
def notes(root: Path, kept: Iterable[tuple[Entry, str]]) -> Iterator[Note]:
    """Yield what notes one more ready file; those that are kept are noted first.

    A line is written at once, after its file: a process may be killed between the two, and then
    that file is made again.
    """
    lines = "".join(_line(entry, identity) for entry, identity in kept)
    write_atomically(root / NOTES_NAME, lines)
    with (root / NOTES_NAME).open("a", encoding="utf-8") as file:

        def note(entry: Entry, identity: str) -> None:
            file.write(_line(entry, identity))
            file.flush()

        yield note


def _line(entry: Entry, identity: str) -> str:
    note = {"path": entry.path, "bytes": entry.size_bytes, "hash": entry.hash, "of": identity}
    return json.dumps(note) + "\n"


def _read_notes(root: Path) -> Iterator[tuple[Entry, str]]:
    """Yield ready files and what they were made of; a last line that is torn is left out."""
    path = root / NOTES_NAME
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            note = json.loads(line)
            yield Entry(note["path"], note["bytes"], note["hash"]), note["of"]
