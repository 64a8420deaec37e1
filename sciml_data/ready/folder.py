"""The folder of the ready files of a dataset, for one set of options, and the files about them.

<ready>/<digest of the options>/
events.nc ...     ready files, named by the format
manifest.csv      written last: the folder is complete
conversion.json   record: from which files, with which software, and the files of each split
shards.jsonl      journal: each ready file, and the digest of its inputs
chunks.jsonl      chunk index of each large ready file, in the order in which they were made
verified.jsonl    stat cache: hashes of ready files with their size, mtime and inode; that of files
                  in a shared home is <digest of the options>.verified.jsonl in the user's own
problems.txt      why missing files could not be made
shares/           while several processes convert a share each: for each of them, a folder with a
                  journal, chunk indexes and a stat cache of its own (see `job_array`)
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.errors import Problem, SciMLDataError, VerificationError
from sciml_data.home import DatasetFolder, read_json, write_atomically
from sciml_data.registry.manifest import HASH_PATTERN, Entry, Manifest, read_manifest
from sciml_data.registry.stages import Converted
from sciml_data.transfer.download.local_files import StatCache, append

if TYPE_CHECKING:
    from sciml_data.progress import Progress
    from sciml_data.registry.descriptor import Descriptor

MANIFEST_NAME = "manifest.csv"
RECORD_NAME = "conversion.json"
JOURNAL_NAME = "shards.jsonl"
CHUNKS_NAME = "chunks.jsonl"
PROBLEMS_NAME = "problems.txt"
STAT_CACHE_NAME = "verified.jsonl"
SHARES_NAME = "shares"
INDEX_HEAD = re.compile(  # how the line of a chunk index begins
    rb'\{"path":(?P<path>"(?:[^"\\]|\\.)*"),"bytes":\d+,"hash":"(?P<hash>[^"]*)",'
    rb'"largest":(?P<largest>\d{1,18}),'
)
DIGEST_LETTERS = 12  # of sha256, for the name of the folder; the record has the options in full


# --- for readers of ready files ------------------------------------------------------------------


def ready_folder(folder: DatasetFolder, options: Mapping[str, Any]) -> Path:
    """Return the folder in the user's own home of the ready files for a set of options."""
    return folder.ready / folder_name(options)


def folder_name(options: Mapping[str, Any]) -> str:
    """Return the name of the folder of ready files for a set of options."""
    text = json.dumps(dict(options), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LETTERS]


def find_converted(
    descriptor: Descriptor, folder: DatasetFolder, options: Mapping[str, Any] | None = None
) -> Converted | None:
    """Return the ready files for a set of options, None if they do not exist or are incomplete.

    Those of the user's own home come first, then those of shared homes.

    Args:
        descriptor: descriptor of the dataset.
        folder: folder of the dataset in the home.
        options: options of the conversion; None are the defaults.

    Raises:
        VerificationError: the record or the manifest of the ready files is damaged.
    """
    for place in folder.ready_places:
        if converted := _load(descriptor, folder, place / folder_name(options or {})):
            return converted
    return None


def find_all_converted(descriptor: Descriptor, folder: DatasetFolder) -> list[Converted]:
    """Return the ready files of every set of options; incomplete ones are left out.

    Args:
        descriptor: descriptor of the dataset.
        folder: folder of the dataset in the home.

    Raises:
        VerificationError: a record or a manifest of ready files is damaged.
    """
    found: dict[str, Path] = {}
    for place in folder.ready_places:
        for path in place.glob(f"*/{RECORD_NAME}"):
            found.setdefault(path.parent.name, path.parent)
    roots = [root for _, root in sorted(found.items())]
    return [
        converted for root in roots if (converted := _load(descriptor, folder, root)) is not None
    ]


def _load(descriptor: Descriptor, folder: DatasetFolder, root: Path) -> Converted | None:
    """Return the ready files in a folder, None if they are incomplete."""
    record = read_record(root)
    if record is None or not (root / MANIFEST_NAME).is_file():
        return None
    try:
        manifest = read_manifest(root / MANIFEST_NAME)
    except (SciMLDataError, UnicodeDecodeError) as error:
        raise _damaged(root / MANIFEST_NAME, str(error)) from error
    try:
        return Converted(
            descriptor=descriptor,
            root=root,
            manifest=manifest,
            native_digest=record["native_manifest_sha256"],
            is_synthetic=record["is_synthetic"],
            options=dict(record["options"]),
            sample_seed=folder.sample_seed,
            own_stat_cache=own_stat_cache(folder, root),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(root / RECORD_NAME, f"{type(error).__name__}: {error}") from error


def shards_of_split(converted: Converted, split: str | None = None) -> dict[str, list[str]]:
    """Return the names of the ready files by split; of one split if `split` is given.

    Raises:
        VerificationError: the record of the ready files is damaged.
    """
    record = read_record(converted.root) or {"splits": {}}
    splits: dict[str, list[str]] = record["splits"]
    return {name: files for name, files in splits.items() if split in (None, name)}


def ready_stat_cache(root: Path, own: Path | None = None) -> StatCache:
    """Return the stat cache of the ready files in a folder.

    Args:
        root: the folder.
        own: file in the user's own home to write to, if the folder is in a shared home.
    """
    caches = [folder / STAT_CACHE_NAME for folder in state_folders(root)]
    return StatCache(own or caches[0], root, inherited=caches if own else caches[1:])


def own_stat_cache(folder: DatasetFolder, root: Path) -> Path | None:
    """Return the file for the stat cache of a shared home's files; None for the user's own files.

    It is not in a folder of ready files: such a folder would hide that of the shared home.
    """
    is_own = root.parent == folder.ready
    return None if is_own else folder.ready / f"{root.name}.{STAT_CACHE_NAME}"


def read_record(root: Path) -> dict[str, Any] | None:
    """Return the conversion record of a folder, None if no conversion was begun.

    Raises:
        VerificationError: the record is damaged.
    """
    path = root / RECORD_NAME
    if not path.is_file():
        return None
    try:
        record: dict[str, Any] = read_json(path)
        names = [name for files in record["splits"].values() for name in files]
    except (SciMLDataError, AttributeError, TypeError, KeyError) as error:
        raise _damaged(path, str(error)) from error
    if not all(isinstance(name, str) for name in names):
        raise _damaged(path, "a name of a file is not text")
    return record


def _damaged(path: Path, message: str) -> VerificationError:
    return VerificationError(
        f"the ready files in {path.parent} cannot be used: {path.name} is damaged",
        problems=[Problem("changed", path.name, message)],
        untouched="nothing was changed",
        hint="convert the dataset again: sciml-data convert ID",
    )


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
        self,
        root: Path,
        record: Mapping[str, Any],
        identities: Mapping[str, str],
        own: Path | None = None,
    ) -> None:
        """Describe the folder; no file but the stat cache is read.

        Args:
            root: see the class, as for `record` and `identities`.
            record: of the conversion.
            identities: of the files.
            own: stat cache in the user's own home, if the folder is in a shared home.
        """
        self.root = root
        self.record = record
        self.identities = identities
        self.entries: dict[str, Entry] = {}
        self._own = own
        self._stat_cache = self._read_stat_cache()

    @property
    def state(self) -> Path:
        """Return the folder of the journal, the chunk indexes and the list of problems."""
        return self.root

    def _read_stat_cache(self) -> StatCache:
        return ready_stat_cache(self.root, self._own)

    @property
    def missing(self) -> list[str]:
        """Return the names of the files to make."""
        return [name for name in self.identities if name not in self.entries]

    @property
    def is_complete(self) -> bool:
        """Return whether all files exist, and record and manifest agree with them."""
        if self.missing:
            return False
        try:
            is_recorded = read_record(self.root) == self.record
        except VerificationError:
            return False
        return is_recorded and self._read_manifest() == _manifest(self.entries.values())

    def find_existing(self, progress: Progress | None = None) -> list[Problem]:
        """Fill `entries` with the files of the journal that need not be made again.

        Args:
            progress: gets (bytes done, total bytes) of the files that are read for this.

        Returns:
            Files that were made before and are missing or changed now, and the manifest if it
            differs from the hashes that the files had when they were made.
        """
        from sciml_data.transfer.verification import CHANGED, changed_files

        self._stat_cache = self._read_stat_cache()  # others may have written while this one waited
        lines = list(chain.from_iterable(map(_read_journal, state_folders(self.root))))
        made = list(
            {
                entry.path: entry
                for entry, identity in lines
                if self.identities.get(entry.path) == identity
            }.values()
        )
        problems = changed_files(self.root, made, self._stat_cache, progress=progress)
        changed = {problem.place for problem in problems}
        self.entries = {entry.path: entry for entry in made if entry.path not in changed}
        is_listed = (self.root / MANIFEST_NAME).is_file()
        if is_listed and self._read_manifest() != _manifest({e.path: e for e, _ in lines}.values()):
            message = "differs from the hashes that the files had when they were made"
            problems.append(Problem(CHANGED, MANIFEST_NAME, message))
        return problems

    def _read_manifest(self) -> Manifest | None:
        """Return the manifest, None if it is damaged or the folder was not complete."""
        try:
            return read_manifest(self.root / MANIFEST_NAME)
        except (OSError, UnicodeDecodeError, SciMLDataError):
            return None

    @contextmanager
    def update(self) -> Iterator[Callable[[Entry, str], None]]:
        """Yield a function that records a finished file and its chunk index.

        At the start the folder is marked as incomplete, and files that do not belong to it are
        removed. At the end the manifest is written if no file is missing.
        """
        self._mark_incomplete()
        write_record(self.root, self.record)
        self._take_over_shares()
        lines = "".join(map(self._journal_line, self.entries.values()))
        write_atomically(self.root / JOURNAL_NAME, lines)
        _clear(self.root, keep=self.entries)
        with self._recording() as add:
            yield add
        if not self.missing:
            write_manifest(self.root, self.entries.values())

    def _mark_incomplete(self) -> None:
        """Remove the manifest; the folder exists afterwards."""
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / MANIFEST_NAME).unlink(missing_ok=True)

    def _take_over_shares(self) -> None:
        """Copy chunk indexes and the stat cache of processes that converted a share each.

        Their journals are in `entries`. Their folders are removed only after the new journal is on
        the disk, so a kill in between costs no file.
        """
        _keep_indexes(self.root, self.entries)
        if len(state_folders(self.root)) > 1:
            for entry in self.entries.values():
                self._stat_cache.add(entry.path, entry.hash)
            self._stat_cache.save()

    @contextmanager
    def _recording(self) -> Iterator[Callable[[Entry, str], None]]:
        """Yield the function of `update`.

        A line of the journal is written at once after its file. If the process is killed between
        the two, that file is made again.
        """
        with (self.state / JOURNAL_NAME).open("a", encoding="utf-8") as journal:

            def add(entry: Entry, index: str) -> None:
                if index:  # before the journal: a large file that it names has an index
                    append(self.state / CHUNKS_NAME, index + "\n")
                journal.write(self._journal_line(entry))
                journal.flush()
                self.entries[entry.path] = entry
                with suppress(OSError):  # of another computer, and not visible here yet
                    self._stat_cache.add(entry.path, entry.hash)

            try:
                yield add
            finally:
                self._stat_cache.save()

    def write_problems(self, problems: Iterable[Problem]) -> Path:
        """Write a line for each problem, and return the path of the file."""
        path = self.state / PROBLEMS_NAME
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
    write_atomically(root / MANIFEST_NAME, _manifest(entries).dump())


def _manifest(entries: Iterable[Entry]) -> Manifest:
    return Manifest(tuple(sorted(entries)))


def _clear(root: Path, keep: Collection[str]) -> None:
    """Remove all files but those to keep."""
    kept = {*keep, RECORD_NAME, JOURNAL_NAME, CHUNKS_NAME, STAT_CACHE_NAME}
    for path in sorted(root.rglob("*"), reverse=True):  # files before their folders
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(root).as_posix() not in kept:
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class IndexLine:
    """The chunk index of a ready file.

    Attributes:
        path: of the file in its manifest.
        hash: of the file.
        largest: bytes of the largest block.
        offset: of the line in the file of all indexes.
        content: the line, JSON.
    """

    path: str
    hash: str
    largest: int
    offset: int
    content: bytes


def chunk_indexes(root: Path) -> Iterator[IndexLine]:
    """Yield the chunk index of each ready file in a folder; a line that a kill cut off is left out.

    The line is not parsed: it has 60 kB for a scene, and few of them may be needed.
    """
    path = root / CHUNKS_NAME
    if not path.is_file():
        return
    offset = 0
    with path.open("rb") as stream:
        for line in stream:
            if line.endswith(b"}\n") and (head := INDEX_HEAD.match(line)):
                names = json.loads(head["path"]), head["hash"].decode()
                yield IndexLine(*names, int(head["largest"]), offset, line)
            offset += len(line)


def _keep_indexes(root: Path, entries: Mapping[str, Entry]) -> None:
    """Write the chunk indexes of existing files, also those of shares; they are copied by line."""
    folders = [folder for folder in state_folders(root) if (folder / CHUNKS_NAME).is_file()]
    if not folders:
        return
    copied: set[str] = set()  # a file that two processes have made has two equal indexes
    temporary = root / f".{CHUNKS_NAME}.unfinished"
    with temporary.open("wb") as kept:
        for index in chain.from_iterable(map(chunk_indexes, folders)):
            path = index.path
            if path in entries and entries[path].hash == index.hash and path not in copied:
                kept.write(index.content)
                copied.add(path)
    temporary.replace(root / CHUNKS_NAME)


def state_folders(root: Path) -> list[Path]:
    """Return the folders with a journal: that of the ready files, and those of running shares."""
    shares = (path for path in (root / SHARES_NAME).glob("*") if path.is_dir())
    return [root, *sorted(shares)]


def _read_journal(root: Path) -> Iterator[tuple[Entry, str]]:
    """Yield ready files and the digests of their inputs.

    Incomplete and damaged lines are ignored, and their files made again.
    """
    path = root / JOURNAL_NAME
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        if line.endswith("\n"):
            with suppress(ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
                fields = json.loads(line)
                entry = Entry(str(fields["path"]), int(fields["bytes"]), str(fields["hash"]))
                if HASH_PATTERN.fullmatch(entry.hash):
                    yield entry, str(fields["of"])
