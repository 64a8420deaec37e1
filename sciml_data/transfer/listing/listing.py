"""A listing of files: its form on disk, changes since an earlier one, and what is expected of it.

The first accepted listing of a version is stored as `listing.csv` in the dataset's folder.
"""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from sciml_data.errors import ListingError, Problem
from sciml_data.home import write_atomically
from sciml_data.progress import counted
from sciml_data.registry.manifest import match_paths
from sciml_data.transfer.protocols.s3 import etag_hash

GLOB_CHARACTERS = "*?["
MAX_NAMES = 10  # file names in one sentence; the rest is counted


@dataclass(frozen=True, order=True)
class ListedFile:
    """One file as a mirror lists it, under its path in the manifest."""

    path: str
    size_bytes: int
    etag: str
    modified: str
    url: str

    @property
    def etag_hash(self) -> str | None:
        """Return the hash that the ETag contains, or None."""
        return etag_hash(self.etag, self.size_bytes)


@dataclass(frozen=True)
class Listing:
    """Files sorted by path, and the time at which they were listed: ISO 8601, UTC."""

    files: tuple[ListedFile, ...]
    listed: str

    @cached_property
    def by_path(self) -> Mapping[str, ListedFile]:
        """Return the files by their path."""
        return {file.path: file for file in self.files}

    @property
    def total_bytes(self) -> int:
        """Return the sum of all sizes."""
        return sum(file.size_bytes for file in self.files)

    def dump(self) -> str:
        """Return the CSV text; each row has the time, so that one file contains everything."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((*astuple(file), self.listed) for file in self.files)
        return text.getvalue()


COLUMNS = (*(field.name for field in fields(ListedFile)), "listed")


def new_listing(files: Iterable[ListedFile]) -> Listing:
    """Return a listing of files that was made now."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return Listing(tuple(sorted(files)), now.replace("+00:00", "Z"))


def read_listing(path: Path) -> Listing | None:
    """Return the listing in a file, or None if there is no such file.

    Raises:
        ListingError: the file was not written by this program.
    """
    if not path.is_file():
        return None
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")), strict=True))
        files = [
            ListedFile(
                row["path"], int(row["size_bytes"]), row["etag"], row["modified"], row["url"]
            )
            for row in rows
        ]
        return Listing(tuple(sorted(files)), rows[0]["listed"])
    except (ValueError, TypeError, LookupError, csv.Error) as error:
        raise ListingError(
            f"the stored listing cannot be read: {path}: {error}",
            untouched="nothing was fetched or changed",
            hint="move it away; the next `get` then trusts the present listing of the mirrors",
        ) from error


def save_listing(listing: Listing, path: Path) -> None:
    """Write a listing; a reader sees all of it or nothing."""
    write_atomically(path, listing.dump())


def changes(first: Listing, now: Mapping[str, ListedFile]) -> list[Problem]:
    """Return a problem for each file that was changed, added or removed since, by path.

    ETags show a change only if they are comparable: for the same URL, or if both are the md5 of the
    bytes. Another mirror may have been filled in parts of another size.
    """
    problems = [
        Problem("gone", path, f"{file.size_bytes} bytes were listed on {first.listed}")
        for path, file in first.by_path.items()
        if path not in now
    ]
    for path, file in now.items():
        before = first.by_path.get(path)
        if before is None:
            problems.append(Problem("new", path, f"{file.size_bytes} bytes, not listed before"))
        elif file.size_bytes != before.size_bytes:
            message = f"{before.size_bytes} bytes were listed, {file.size_bytes} are now"
            problems.append(Problem("changed", path, message))
        elif _are_comparable(before, file) and file.etag != before.etag:
            message = f"ETag {before.etag} was listed, {file.etag} is now"
            problems.append(Problem("changed", path, message))
    return sorted(problems, key=lambda problem: problem.place)


def _are_comparable(before: ListedFile, now: ListedFile) -> bool:
    if not before.etag or not now.etag:
        return False
    hashes = (before.etag_hash or "", now.etag_hash or "")
    return before.url == now.url or all(each.startswith("md5:") for each in hashes)


def deviations(
    expected: Mapping[str, Any], sizes: Mapping[str, int], known: Collection[str] = ()
) -> list[str]:
    """Return a sentence for each expectation of the descriptor that a listing does not meet.

    Args:
        expected: `Descriptor.expected`: numbers and sizes of files, by glob.
        sizes: bytes of each listed path.
        known: paths that other mirrors list, or that were listed before; missing ones are named.
    """
    sentences = []
    for glob, wanted in expected.get("files", {}).items():
        paths = match_paths([glob], sizes)
        if (count := wanted.get("count", len(paths))) != len(paths):
            missing = sorted(set(match_paths([glob], known)) - set(paths))
            sentences.append(
                f"{glob}: {counted(count, 'file')} expected, {len(paths)} listed"
                + (f"; missing: {join_names(missing)}" if missing and len(paths) < count else "")
            )
        size = wanted.get("bytes_each")
        wrong = [f"{path} ({sizes[path]})" for path in paths if size not in {None, sizes[path]}]
        if wrong:
            sentences.append(
                f"{glob}: {size} bytes each expected; other sizes: {join_names(wrong)}"
            )
    if total := expected.get("total_bytes"):
        total_bytes = sum(sizes.values())
        if not total["least"] <= total_bytes <= total["most"]:
            sentences.append(
                f"between {total['least']} and {total['most']} bytes in all expected, "
                f"{total_bytes} listed"
            )
    return sentences


def expected_names(expected: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the expected files if all of them are known by name; nothing if there is a glob."""
    names = wanted_names(expected)
    return names if len(names) == len(expected.get("files", ())) else ()


def wanted_names(expected: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the files that are expected by name, among others perhaps."""
    names = expected.get("files", ())
    return tuple(n for n in names if not any(letter in n for letter in GLOB_CHARACTERS))


def join_names(names: Sequence[str]) -> str:
    """Return the first names as one text, and the number of the others."""
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")
