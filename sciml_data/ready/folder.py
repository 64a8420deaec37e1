"""The folder of the ready files of a dataset, for one set of options, and the files about them.

<ready>/<digest of the options>/
events.nc ...     ready files, named by the format
manifest.csv      written last: the folder is complete
conversion.json   record: from which files, with which software, and the files of each split
shards.jsonl      journal: each ready file, and the digest of its inputs
problems.txt      why missing files could not be made
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.formats import NOTICES
from sciml_data.home import DatasetFolder, write_atomically
from sciml_data.registry.manifest import Entry, Manifest, read_manifest
from sciml_data.registry.stages import Converted

if TYPE_CHECKING:
    from sciml_data.errors import Problem
    from sciml_data.registry.descriptor import Descriptor

MANIFEST_NAME = "manifest.csv"
RECORD_NAME = "conversion.json"
JOURNAL_NAME = "shards.jsonl"
PROBLEMS_NAME = "problems.txt"
DIGEST_LETTERS = 12  # of sha256, for the name of the folder; the record has the options in full


# --- for readers of ready files ------------------------------------------------------------------


def ready_folder(folder: DatasetFolder, options: Mapping[str, Any]) -> Path:
    """Return the folder of the ready files for a set of options."""
    text = json.dumps(dict(options), sort_keys=True, separators=(",", ":"))
    return folder.ready / hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LETTERS]


def find_converted(
    descriptor: Descriptor, folder: DatasetFolder, options: Mapping[str, Any] | None = None
) -> Converted | None:
    """Return the ready files for a set of options, None if they do not exist or are incomplete.

    Args:
        descriptor: descriptor of the dataset.
        folder: folder of the dataset in the home.
        options: options of the conversion; None are the defaults.
    """
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
    """Return the names of the ready files by split; of one split if `split` is given."""
    record = read_record(converted.root) or {"splits": {}}
    splits: dict[str, list[str]] = record["splits"]
    return {name: files for name, files in splits.items() if split in (None, name)}


def file_notices(path: Path) -> list[str]:
    """Return the lines that a ready file has about its own conversion."""
    import h5py

    with h5py.File(path, "r") as file:
        text = file.attrs.get(NOTICES, "")
    return (text if isinstance(text, str) else text.decode()).splitlines()


def read_record(root: Path) -> dict[str, Any] | None:
    """Return the conversion record of a folder, None if no conversion was begun."""
    path = root / RECORD_NAME
    if not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


# --- for the conversion --------------------------------------------------------------------------


class ReadyFolder:
    """State of a conversion: the files that the folder should have and those that exist.

    Attributes:
        root: the folder.
        record: the conversion record.
        identities: for each file that the folder should have, a digest of all its inputs.
        entries: existing files with the right identity, by name.
    """

    def __init__(
        self, root: Path, record: Mapping[str, Any], identities: Mapping[str, str]
    ) -> None:
        """Describe the folder; no file is read or written."""
        self.root = root
        self.record = record
        self.identities = identities
        self.entries: dict[str, Entry] = {}

    @property
    def missing(self) -> list[str]:
        """Return the names of the files to make."""
        return [name for name in self.identities if name not in self.entries]

    @property
    def is_complete(self) -> bool:
        """Return whether all files exist, and record and manifest agree with them."""
        has_manifest = (self.root / MANIFEST_NAME).is_file()
        return has_manifest and read_record(self.root) == self.record and not self.missing

    def find_existing(self) -> None:
        """Fill `entries` with the files of the journal that need not be made again."""
        for entry, identity in _read_journal(self.root):
            path = self.root / entry.path
            is_same = self.identities.get(entry.path) == identity
            if is_same and path.is_file() and path.stat().st_size == entry.size_bytes:
                self.entries[entry.path] = entry

    @contextmanager
    def update(self) -> Iterator[Callable[[Entry], None]]:
        """Yield a function that records a finished file.

        At the start the folder is marked as incomplete, and files that do not belong to it are
        removed. At the end the manifest is written if no file is missing.

        A line of the journal is written at once after its file. If the process is killed between
        the two, that file is made again.
        """
        _clear(self.root, keep=self.entries)
        write_record(self.root, self.record)
        lines = "".join(map(self._journal_line, self.entries.values()))
        write_atomically(self.root / JOURNAL_NAME, lines)
        with (self.root / JOURNAL_NAME).open("a", encoding="utf-8") as journal:

            def add(entry: Entry) -> None:
                journal.write(self._journal_line(entry))
                journal.flush()
                self.entries[entry.path] = entry

            yield add
        if not self.missing:
            write_manifest(self.root, self.entries.values())

    def write_problems(self, problems: Iterable[Problem]) -> Path:
        """Write a line for each problem, and return the path of the file."""
        path = self.root / PROBLEMS_NAME
        write_atomically(path, "".join(f"{problem}\n" for problem in problems))
        return path

    def _journal_line(self, entry: Entry) -> str:
        line = {
            "path": entry.path,
            "bytes": entry.size_bytes,
            "hash": entry.hash,
            "of": self.identities[entry.path],
        }
        return json.dumps(line) + "\n"


def write_record(root: Path, record: Mapping[str, Any]) -> None:
    """Write the conversion record of a folder."""
    write_atomically(root / RECORD_NAME, json.dumps(record, indent=2, sort_keys=True) + "\n")


def write_manifest(root: Path, entries: Iterable[Entry]) -> None:
    """Write the manifest of a folder, which marks it as complete."""
    write_atomically(root / MANIFEST_NAME, Manifest(tuple(sorted(entries))).dump())


def _clear(root: Path, keep: Collection[str]) -> None:
    """Remove all files but those to keep; the manifest goes first, so the folder is incomplete."""
    kept = {*keep, RECORD_NAME, JOURNAL_NAME}
    (root / MANIFEST_NAME).unlink(missing_ok=True)
    for path in sorted(root.rglob("*"), reverse=True):  # files before their folders
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(root).as_posix() not in kept:
            path.unlink(missing_ok=True)


def _read_journal(root: Path) -> Iterator[tuple[Entry, str]]:
    """Yield ready files and the digests of their inputs; an incomplete last line is ignored."""
    path = root / JOURNAL_NAME
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            fields = json.loads(line)
            yield Entry(fields["path"], fields["bytes"], fields["hash"]), fields["of"]
