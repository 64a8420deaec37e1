"""The list of a dataset's files: path, size and hash of each, stored as `manifest.csv`.

Software writes a manifest, nobody edits it by hand. Its paths are relative and cannot leave the
folder that they are joined to, so code with a `Manifest` needs no further checks of paths. The
functions at the end use such a path below a folder and follow no symbolic link on the way.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sciml_data.errors import DescriptorError, FetchError, Problem
from sciml_data.home import DatasetFolder

COLUMNS = ("path", "bytes", "hash")
READ_BLOCK_BYTES = 1 << 20  # 1 MiB: larger blocks gain nothing (research: tooling, section 7)
# sha256 of the bytes; md5; an S3 entity tag, for several parts with the part size in bytes;
# a git object id of a blob (sha1).
HASH_PATTERN = re.compile(
    r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}|gitblob:[0-9a-f]{40}"
    r"|s3etag:[0-9a-f]{32}(-[1-9][0-9]*:[1-9][0-9]*)?"
)
MAX_COMPONENT_BYTES = 255  # of a path component, the limit of common Linux file systems


@dataclass(frozen=True, order=True)
class Entry:
    """A native or ready file: safe relative path, size in bytes, hash as `kind:hex`."""

    path: str
    size_bytes: int
    hash: str


@dataclass(frozen=True)
class Manifest:
    """Entries sorted by path, each path once."""

    entries: tuple[Entry, ...]

    @cached_property
    def by_path(self) -> Mapping[str, Entry]:
        """Return the entries by their path."""
        return {entry.path: entry for entry in self.entries}

    @cached_property
    def digest(self) -> str:
        """Return the sha256 of the manifest as `dump` writes it: the identity of the data."""
        return hashlib.sha256(self.dump().encode()).hexdigest()

    @property
    def total_bytes(self) -> int:
        """Return the sum of all sizes."""
        return sum(entry.size_bytes for entry in self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def select(self, paths: Iterable[str]) -> Manifest:
        """Return the manifest of some of the paths; each must be in this one."""
        return Manifest(tuple(sorted(self.by_path[path] for path in paths)))

    def dump(self) -> str:
        """Return the CSV text, with a header, lines ended by a line feed."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((entry.path, entry.size_bytes, entry.hash) for entry in self.entries)
        return text.getvalue()


def parse_manifest(text: str, *, name: str = "manifest.csv") -> Manifest:
    """Return the manifest in a CSV text, with its entries sorted by path.

    Raises:
        DescriptorError: `.problems` has every bad line with its number.
    """
    rows = list(csv.reader(io.StringIO(text)))
    if not rows or tuple(rows[0]) != COLUMNS:
        header = ",".join(rows[0]) if rows else "an empty file"
        problem = Problem("header", f"{name}:1", f"{','.join(COLUMNS)} expected, {header} found")
        raise DescriptorError(f"{name} is not a manifest", problems=[problem])
    entries: list[Entry] = []
    problems: list[Problem] = []
    for number, row in enumerate(rows[1:], start=2):
        entry = _entry(row, f"{name}:{number}", problems)
        if entry is not None:
            entries.append(entry)
    problems += clashes([entry.path for entry in entries], name)
    if problems:
        raise DescriptorError(
            f"{name} has {len(problems)} problems",
            problems=problems,
            untouched="no file it names was touched",
        )
    return Manifest(tuple(sorted(entries)))


def read_manifest(path: Path) -> Manifest:
    """Return the manifest in a file; see `parse_manifest`."""
    return parse_manifest(path.read_text(encoding="utf-8"), name=path.name)


def manifest_of(root: Path) -> Manifest:
    """Return the manifest of every regular file under a folder, hashed with sha256."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    return Manifest(
        tuple(
            sorted(
                Entry(path.relative_to(root).as_posix(), path.stat().st_size, hash_file(path))
                for path in files
            )
        )
    )


def hash_file(path: Path, kind: str = "sha256") -> str:
    """Return `kind:hex` of a file's bytes; `kind` is the name of a hash in hashlib."""
    with path.open("rb") as stream:
        return f"{kind}:{hashlib.file_digest(stream, kind).hexdigest()}"


def unsafe_because(path: str) -> str:
    """Return why a path is not allowed in a manifest, or an empty string if it is."""
    parts = path.split("/")
    if not path or path != unicodedata.normalize("NFC", path):
        return "is empty or not in Unicode normal form C"
    if path.startswith(("/", "~")) or re.match(r"[A-Za-z]:", path) or "\\" in path:
        return "is absolute, or written for another system"
    if any(part in {"", ".", ".."} for part in parts):
        return "has an empty, '.' or '..' component"
    if any(unicodedata.category(character).startswith("C") for character in path):
        return "has a control or unprintable character"
    if any(len(part.encode()) > MAX_COMPONENT_BYTES for part in parts):
        return f"has a component longer than {MAX_COMPONENT_BYTES} bytes"
    return ""


def _entry(row: list[str], place: str, problems: list[Problem]) -> Entry | None:
    if len(row) != len(COLUMNS):
        problems.append(Problem("columns", place, f"{len(COLUMNS)} expected, {len(row)} found"))
        return None
    path, size, digest = row
    before = len(problems)
    if reason := unsafe_because(path):
        problems.append(Problem("path", place, f"{path!r} {reason}"))
    if not re.fullmatch(r"0|[1-9][0-9]*", size):
        problems.append(Problem("bytes", place, f"a whole number expected, {size!r} found"))
    if not HASH_PATTERN.fullmatch(digest):
        problems.append(Problem("hash", place, f"kind:hex expected, {digest!r} found"))
    return Entry(path, int(size), digest) if len(problems) == before else None


def clashes(paths: Iterable[str], name: str) -> list[Problem]:
    """Return a problem for each path that occurs twice, or is a file and a folder.

    Args:
        paths: of files.
        name: of the list, for messages.
    """
    counts = Counter(iter(paths))  # a mapping by path would be taken for counts
    distinct = set(counts)
    problems = [
        Problem("path", name, f"{path!r} occurs {count} times")
        for path, count in sorted(counts.items())
        if count > 1
    ]
    for path in sorted(distinct):
        parents = path.split("/")[:-1]
        above = {"/".join(parents[:depth]) for depth in range(1, len(parents) + 1)}
        problems += [
            Problem("path", name, f"{parent!r} is a file and the folder of {path!r}")
            for parent in sorted(above & distinct)
        ]
    return problems


# --- paths of a manifest below a folder ----------------------------------------------------------


def lstat_inside(root: Path, path: str) -> os.stat_result | None:
    """Return the status of a file below a folder, or None if there is no such file.

    A path in a manifest cannot leave its folder, but a symbolic link on the way could lead out of
    it. Such a link is refused, not followed.

    Args:
        root: the folder; only the path below it is checked for links.
        path: relative path with `/` between its parts, as in a manifest.

    Raises:
        FetchError: a folder in the path is a symbolic link or a file.
    """
    place = root
    *folders, name = path.split("/")
    for folder in folders:
        place /= folder
        if (state := _lstat(place)) is None:
            return None
        _refuse_unless_folder(place, state)
    return _lstat(place / name)


def make_parents_inside(root: Path, path: str) -> Path:
    """Create the folders of a path below a folder, and return the whole path.

    Raises:
        FetchError: a folder in the path is a symbolic link or a file.
    """
    if _lstat(root) is None:  # one lstat is cheaper than mkdir for a folder that exists
        root.mkdir(parents=True, exist_ok=True)
    place = root
    *folders, name = path.split("/")
    for folder in folders:
        place /= folder
        if _lstat(place) is None:
            place.mkdir(exist_ok=True)  # another thread may have created it just now
        # Looked at again after mkdir: what another process put there is not followed either.
        _refuse_unless_folder(place, place.lstat())
    return place / name


def move_to_quarantine(folder: DatasetFolder, wrong: Path, path: str, *, label: str) -> Path:
    """Move a file with wrong content to quarantine and return its new path; nothing is deleted.

    Args:
        folder: of the dataset.
        wrong: the file to move, on the same file system.
        path: its path in the manifest.
        label: end of its new name, e.g. its hash.
    """
    suffix = "".join(c if c.isalnum() else "-" for c in label)
    target = make_parents_inside(folder.quarantine, f"{path}.{suffix}")
    wrong.replace(target)
    return target


def _lstat(place: Path) -> os.stat_result | None:
    try:
        return place.lstat()
    except FileNotFoundError:
        return None


def _refuse_unless_folder(place: Path, state: os.stat_result) -> None:
    if not stat.S_ISDIR(state.st_mode):
        what = "a symbolic link, which is not followed" if stat.S_ISLNK(state.st_mode) else "a file"
        raise FetchError(f"{place} is not a folder: it is {what}")
