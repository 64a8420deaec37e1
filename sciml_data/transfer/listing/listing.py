"""The listing that was accepted first, kept as `listing.csv` in the dataset's folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from functools import cached_property
from pathlib import Path

from sciml_data.errors import ListingError, Problem
from sciml_data.home import write_atomically
from sciml_data.transfer.protocols.s3 import etag_hash


@dataclass(frozen=True, order=True)
class ListedFile:
    """One file as a mirror lists it, under its manifest path."""

    path: str
    size_bytes: int
    etag: str
    modified: str
    url: str

    @property
    def etag_hash(self) -> str | None:
        """Return the ETag as a hash that can be held, or None."""
        return etag_hash(self.etag, self.size_bytes)


@dataclass(frozen=True)
class Listing:
    """Files sorted by path, and when they were listed: ISO 8601, UTC."""

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
        """Return the CSV text; the date stands in each row, so that one file says everything."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((*astuple(file), self.listed) for file in self.files)
        return text.getvalue()


COLUMNS = (*(field.name for field in fields(ListedFile)), "listed")


def read_listing(path: Path) -> Listing | None:
    """Return the listing in a file, or None where none is kept.

    Raises:
        ListingError: it is not one that this program wrote.
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
            f"the kept listing cannot be read: {path}: {error}",
            untouched="nothing was fetched or changed",
            hint="move it away, and the next `get` trusts what the mirrors list then",
        ) from error


def keep_listing(listing: Listing, path: Path) -> None:
    """Write a listing so that a reader sees all of it or none."""
    write_atomically(path, listing.dump())


def changes(kept: Listing, now: Mapping[str, ListedFile]) -> list[Problem]:
    """Return a problem for each file that was changed, added or taken away since, by path.

    ETags tell a change where they can be compared: of one address, or where both are the md5 of
    the bytes. Another mirror may have been filled in parts of another size.
    """
    problems = [
        Problem("gone", path, f"{file.size_bytes} bytes were listed on {kept.listed}")
        for path, file in kept.by_path.items()
        if path not in now
    ]
    for path, file in now.items():
        before = kept.by_path.get(path)
        if before is None:
            problems.append(Problem("new", path, f"{file.size_bytes} bytes, not listed before"))
        elif file.size_bytes != before.size_bytes:
            what = f"{before.size_bytes} bytes were listed, {file.size_bytes} are now"
            problems.append(Problem("changed", path, what))
        elif _are_comparable(before, file) and file.etag != before.etag:
            what = f"ETag {before.etag} was listed, {file.etag} is now"
            problems.append(Problem("changed", path, what))
    return sorted(problems, key=lambda problem: problem.place)


def _are_comparable(one: ListedFile, other: ListedFile) -> bool:
    if not one.etag or not other.etag:
        return False
    hashes = (one.etag_hash or "", other.etag_hash or "")
    return one.url == other.url or all(each.startswith("md5:") for each in hashes)
