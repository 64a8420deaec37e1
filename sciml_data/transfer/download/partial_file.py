"""A file while it is being downloaded: its bytes, which of them are there, and its hash.

Read from top to bottom: hashes of the kinds that a manifest may name, the hashes that a file must
have, spans of bytes, the journal of a large file, and `PartialFile` itself. A `PartialFile` may be
written to by several threads, in any order. Its hash is computed while the bytes arrive, so that a
large file need not be read a second time.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from sciml_data.errors import FetchError
from sciml_data.home import DatasetFolder
from sciml_data.registry.manifest import (
    READ_BLOCK_BYTES,
    lstat_inside,
    make_parents_inside,
    move_to_quarantine,
)
from sciml_data.registry.stages import PlannedFile

MIB = 1 << 20
# Write-back is started after this many bytes, so that the fsync before publishing does not have to
# wait for a whole large file.
FLUSH_BYTES = 16 * MIB
# What open() says of a symbolic link, a folder, a socket or a device.
NOT_REGULAR = {errno.ELOOP, errno.EISDIR, errno.ENXIO}
# The umask takes bits away: in a shared home another member of the group may resume the download.
NEW_FILE_MODE = 0o666
UNPINNED = "sha256:"  # kind of hash that is computed for a file without a pinned hash
LABEL_LENGTH = 19  # "sha256:" and 12 digits: enough to tell files in quarantine apart

Bytes = bytes | memoryview
Span = tuple[int, int]  # offsets of the first byte, and of the byte after the last


class Hash(Protocol):
    """A hash that knows its kind."""

    def update(self, data: Bytes, /) -> None:
        """Add bytes."""

    def text(self) -> str:
        """Return `kind:value` of all bytes so far, as a manifest has it."""


class _NamedHash:
    """A hash of hashlib, under the name of its kind in a manifest."""

    def __init__(self, kind: str, algorithm: str, start: bytes = b"") -> None:
        self._kind = kind
        # md5 and sha1 protect against damage here, not against attackers: systems that forbid
        # them for security (FIPS) allow this use.
        self._hash = hashlib.new(algorithm, start, usedforsecurity=False)
        self.update = self._hash.update

    def text(self) -> str:
        return f"{self._kind}:{self._hash.hexdigest()}"


class _MultipartETag:
    """The entity tag of an S3 object that was uploaded in parts: md5 of the parts' md5s.

    Amazon S3 user guide, "Checking object integrity"; a test compares it with a Ceph gateway.
    """

    def __init__(self, part_bytes: int) -> None:
        self._part_bytes = part_bytes
        self._whole = hashlib.md5(usedforsecurity=False)
        self._part = hashlib.md5(usedforsecurity=False)
        self._count = 0
        self._room = part_bytes  # bytes until the current part is complete

    def update(self, data: Bytes, /) -> None:
        view = memoryview(data)
        while view:
            block, view = view[: self._room], view[self._room :]
            self._part.update(block)
            self._room -= len(block)
            if self._room == 0:
                self._whole.update(self._part.digest())
                self._count += 1
                self._part, self._room = hashlib.md5(usedforsecurity=False), self._part_bytes

    def text(self) -> str:
        whole, count = self._whole.copy(), self._count
        if self._room < self._part_bytes or count == 0:
            whole.update(self._part.digest())
            count += 1
        return f"s3etag:{whole.hexdigest()}-{count}:{self._part_bytes}"


def new_hash(expected: str, size_bytes: int) -> Hash:
    """Return an empty hash of the same kind as an expected one, for a file of this size.

    `gitblob` is git's object id: sha1 of `blob SIZE`, a zero byte and the content
    (git-scm.com/book, Git Internals, "Object Storage"). `s3etag` is md5 of the bytes, or with
    `-N:PART_BYTES` at its end md5 of the md5s of the parts.

    Raises:
        FetchError: this kind of hash is unknown.
    """
    kind, _, value = expected.partition(":")
    if kind == "gitblob":
        return _NamedHash(kind, "sha1", b"blob %d\0" % size_bytes)
    part_bytes = _part_bytes(value) if kind == "s3etag" else 0
    if part_bytes:
        return _MultipartETag(part_bytes)
    algorithms = {"sha256": "sha256", "md5": "md5", "s3etag": "md5"}
    if kind not in algorithms:
        raise FetchError(f"a hash of the kind {kind!r} cannot be computed here")
    return _NamedHash(kind, algorithms[kind])


def hash_like(path: Path, expected: str) -> str:
    """Return `kind:value` of a file, of the same kind as an expected hash."""
    return hashes_like(path, (expected,))[0]


def hashes_like(path: Path, expected: tuple[str, ...]) -> list[str]:
    """Return several hashes of a file, which is read once.

    Raises:
        OSError: the file cannot be read, or is a symbolic link.
    """
    # The caller has looked at the file. O_NOFOLLOW: it may have become a link since then.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with open(descriptor, "rb", buffering=0) as stream:  # noqa: PTH123 (a descriptor, no path)
        size_bytes = os.fstat(descriptor).st_size
        hashes = [new_hash(kind, size_bytes) for kind in expected]
        while block := stream.read(READ_BLOCK_BYTES):
            for each in hashes:
                each.update(block)
    return [each.text() for each in hashes]


def hash_mismatch(expected: str, actual: str) -> str:
    """Return a sentence about two hashes that differ."""
    part_bytes = _part_bytes(expected) if expected.startswith("s3etag:") else 0
    assumed = f" (with parts of {part_bytes} bytes, which are assumed)" if part_bytes else ""
    return f"{_short(expected)} expected, {_short(actual)} found{assumed}"


def _short(text: str) -> str:
    """Return the first digits of a hash: `sha256 41aa07c2e1b0..`."""
    kind, _, value = text.partition(":")
    return f"{kind} {value[:12]}.."


def _part_bytes(etag: str) -> int:
    """Return the part size in `HEX-N:PART_BYTES`, or 0 if there are no parts."""
    return int(etag.rpartition(":")[2]) if "-" in etag else 0


def expected_hashes(file: PlannedFile) -> tuple[str, ...]:
    """Return the hashes to compute for a file, as `new_hash` takes them.

    The first one identifies the file: its pinned hash, or else its sha256. The second one, of an
    unpinned file, is the hash that follows from the ETag in the mirror's listing.
    """
    if file.hash is not None:
        return (file.hash,)
    return (UNPINNED, file.etag) if file.etag is not None else (UNPINNED,)


def is_verifiable(file: PlannedFile) -> bool:
    """Return whether a hash of the file is known before it is downloaded."""
    return file.hash is not None or file.etag is not None


@dataclass(frozen=True)
class CompleteFile:
    """A file with its planned size and hashes; only `complete_file` makes one.

    Attributes:
        place: where the file is now.
        path: its path in the manifest.
        size_bytes: its size.
        hash: the hash that identifies it, as `kind:value`.
    """

    place: Path
    path: str
    size_bytes: int
    hash: str


def complete_file(
    file: PlannedFile, place: Path, size_bytes: int, hashes: list[str]
) -> CompleteFile:
    """Return a file as complete. Every file passes here before it is published.

    Args:
        file: the planned file.
        place: where its bytes are now.
        size_bytes: their number.
        hashes: of the bytes, in the order of `expected_hashes`.

    Raises:
        FetchError: the size or a hash is not the planned one.
    """
    if problem := content_problem(file, size_bytes, hashes):
        raise FetchError(problem)
    return CompleteFile(place, file.path, size_bytes, hashes[0])


def content_problem(file: PlannedFile, size_bytes: int, hashes: list[str]) -> str:
    """Return how size or hashes differ from those of a planned file, or an empty string.

    Args:
        file: has the size and the hashes that are expected.
        size_bytes: the actual size.
        hashes: the actual hashes, in the order of `expected_hashes`.
    """
    if size_bytes != file.size_bytes:
        return f"{file.size_bytes} bytes expected, {size_bytes} found"
    for expected, actual in zip(expected_hashes(file), hashes, strict=True):
        if expected not in {UNPINNED, actual}:
            mismatch = hash_mismatch(expected, actual)
            return mismatch if file.hash is not None else f"of its listed ETag, {mismatch}"
    return ""


def merge_spans(spans: Iterable[Span]) -> list[Span]:
    """Return spans sorted; those that touch or overlap are joined, empty ones are left out."""
    merged: list[Span] = []
    for start, stop in sorted(spans):
        if start >= stop:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return merged


def missing_spans(spans: Iterable[Span], size_bytes: int) -> list[Span]:
    """Return the gaps that merged spans leave in a file."""
    gaps: list[Span] = []
    offset = 0
    for start, stop in spans:
        if start > offset:
            gaps.append((offset, min(start, size_bytes)))
        offset = max(offset, stop)
    if offset < size_bytes:
        gaps.append((offset, size_bytes))
    return gaps


def split_span(span: Span, range_bytes: int) -> Iterator[Span]:
    """Yield a span in ranges that end at multiples of the range size."""
    start, stop = span
    while start < stop:
        end = min((start // range_bytes + 1) * range_bytes, stop)
        yield start, end
        start = end


class RangeJournal:
    """Which bytes of a large file are written, in a small file that survives a kill.

    Each span is one short line that is appended after the bytes are written. A line that a kill cut
    off has no line break and does not count. The journal is not trusted: the hash of the whole file
    decides. A file without a known hash relies on the entity tag (HTTP ETag) instead, which is in
    the journal, too: a server is asked to resume only if the file still has that tag.
    """

    def __init__(self, path: Path) -> None:
        """Take the path; nothing is read or created yet."""
        self._path = path
        self._descriptor: int | None = None

    def spans(self) -> list[Span] | None:
        """Return the spans that are written, merged, or None if there is no journal.

        Raises:
            FetchError: the path is a symbolic link.
        """
        text = self._text()
        if text is None:
            return None
        return merge_spans(
            (int(line[1]), int(line[2]))
            for line in re.finditer(rb"^(\d{1,18}) (\d{1,18})\n", text, re.MULTILINE)
        )

    def tag(self) -> str | None:
        """Return the entity tag that all bytes came with; None if there is no or no single one.

        Raises:
            FetchError: the path is a symbolic link.
        """
        tags = set(re.findall(rb"^tag (.+)\n", self._text() or b"", re.MULTILINE))
        return tags.pop().decode("latin-1") if len(tags) == 1 else None

    def add(self, span: Span) -> None:
        """Append a span whose bytes are written."""
        self._append(b"%d %d\n" % span)

    def add_tag(self, tag: str) -> None:
        """Append the entity tag of the answer that the next bytes come from."""
        self._append(b"tag %s\n" % tag.encode("latin-1"))

    def delete(self) -> None:
        """Remove the journal."""
        self.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    def close(self) -> None:
        """Stop writing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _text(self) -> bytes | None:
        if self._path.is_symlink():
            raise FetchError(f"{self._path} is not a regular file: symbolic links are not followed")
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None

    def _append(self, line: bytes) -> None:
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, NEW_FILE_MODE)
            os.write(self._descriptor, b"\n")  # ends a line that an earlier kill cut off
        os.write(self._descriptor, line)  # one write call: lines of two threads do not mix


def partial_name(path: str) -> str:
    """Return the name of a partial file below `partial/`."""
    return f"{path}.part"


def journal_name(path: str) -> str:
    """Return the name below `partial/` of the journal of a large file."""
    return f"{path}.part.ranges"


def received_bytes(file: PlannedFile, folder: DatasetFolder) -> int:
    """Return how many bytes of a file an earlier run has downloaded; nothing is hashed."""
    with contextlib.suppress(FetchError):
        state = lstat_inside(folder.partial, partial_name(file.path))
        if state is not None and stat.S_ISREG(state.st_mode):
            spans = RangeJournal(folder.partial / journal_name(file.path)).spans()
            count = state.st_size if spans is None else sum(stop - start for start, stop in spans)
            return min(count, state.st_size, file.size_bytes)
    return 0


class PartialFile:
    """A `.part` file that several threads may write to; a context manager.

    Bytes of an earlier run are hashed before they are used: all of the file, or the spans in the
    journal beside it.

    Bytes that continue the hashed part of the file are hashed as they arrive. Bytes further on are
    read back, usually from the page cache, once the gap before them is closed.

    Attributes:
        path: of the partial file.
        received_bytes: how many bytes of the file are there.
        tag: entity tag that these bytes came with, if the journal says so.
    """

    def __init__(self, folder: DatasetFolder, file: PlannedFile, *, has_journal: bool) -> None:
        """Open or create the partial file; a large file has a journal.

        Raises:
            FetchError: the path is not a regular file, or the kind of hash is unknown.
            OSError: the file cannot be created or read.
        """
        self._folder = folder
        self._file = file
        self._expected = expected_hashes(file)
        self._hashes: list[Hash] = [new_hash(kind, file.size_bytes) for kind in self._expected]
        self.path: Path = make_parents_inside(folder.partial, partial_name(file.path))
        self._journal = RangeJournal(folder.partial / journal_name(file.path))
        self._has_journal = has_journal
        self._has_old_journal = False
        # Guards the counters, the spans and the journal. It is never held while content is read,
        # written or hashed, so that workers do not wait for each other's bytes.
        self._lock = threading.Lock()
        self._descriptor = _open(self.path)
        self._written: list[Span] = []  # merged; in the journal, too
        self._unflushed_bytes = 0
        self._hashed_bytes = 0
        self._is_hashing = False  # whether a thread feeds the hashes: only one may, and in order
        self.received_bytes = 0
        self.tag: str | None = None
        try:
            self._resume()
        except BaseException:
            self.close()
            raise

    def problem(self) -> str:
        """Return what is wrong with the size or the hashes; empty if the file is complete."""
        return content_problem(self._file, self._size_bytes(), self._texts())

    def complete(self) -> CompleteFile:
        """Remove the journal and return the file as complete; nobody may write to it any more.

        Raises:
            FetchError: the size or a hash is not the planned one.
        """
        complete = complete_file(self._file, self.path, self._size_bytes(), self._texts())
        if self._has_journal or self._has_old_journal:
            self._journal.delete()
        return complete

    def missing(self) -> list[Span]:
        """Return the spans that are not written."""
        with self._lock:
            return missing_spans(self._written, self._file.size_bytes)

    def write(self, offset: int, block: Bytes) -> None:
        """Write bytes at an offset, and hash them if they continue the hashed part.

        Raises:
            OSError: the disk is full or fails; bytes written before stay, and are not counted.
        """
        view, position = memoryview(block), offset
        while view:  # pwrite may write less than it is given
            written = os.pwrite(self._descriptor, view, position)
            view, position = view[written:], position + written
        with self._lock:
            self.received_bytes += len(block)
            if self._is_hashing or offset != self._hashed_bytes:
                return  # `_catch_up` reads these bytes back later
            self._is_hashing = True
        # Without the lock: hashing a block takes longer than the others should wait. The flag
        # keeps all other threads away from the hashes meanwhile.
        self._update_hashes(block)
        with self._lock:
            self._is_hashing = False

    def mark_written(self, start: int, stop: int) -> bool:
        """Record a span whose bytes are written, and hash what can be hashed now.

        Returns:
            Whether so much was written that the caller should start a flush.
        """
        if start == stop:
            return False
        with self._lock:
            self._written = merge_spans([*self._written, (start, stop)])
            if self._has_journal:
                self._journal.add((start, stop))
            self._unflushed_bytes += stop - start
            is_due = self._unflushed_bytes >= FLUSH_BYTES
            if is_due:
                self._unflushed_bytes = 0
        self._catch_up()
        return is_due

    def set_tag(self, tag: str) -> None:
        """Record the entity tag of the answer that the next bytes come from."""
        with self._lock:
            self.tag = tag
            if self._has_journal:
                self._journal.add_tag(tag)

    def restart(self) -> None:
        """Discard all bytes; no other thread may write at the same time."""
        os.ftruncate(self._descriptor, 0)
        self._journal.delete()
        self._written, self._hashed_bytes, self.received_bytes = [], 0, 0
        self.tag = None
        self._hashes = [new_hash(kind, self._file.size_bytes) for kind in self._expected]

    def quarantine(self) -> None:
        """Move the bytes to quarantine, named by their hash, and start with an empty file."""
        label = self._texts()[0][:LABEL_LENGTH]
        move_to_quarantine(self._folder, self.path, self._file.path, label=label)
        os.close(self._descriptor)
        self._descriptor = _open(self.path)
        self.restart()

    def close(self) -> None:
        """Close the file; the bytes that arrived stay."""
        self._journal.close()
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _size_bytes(self) -> int:
        """Return the size of the file on the disk, or of its hashed part if that is shorter."""
        return min(os.fstat(self._descriptor).st_size, self._hashed_bytes)

    def _texts(self) -> list[str]:
        """Return the hashes of the hashed part, in the order of `expected_hashes`."""
        return [each.text() for each in self._hashes]

    def _resume(self) -> None:
        """Hash the bytes that an earlier run has left."""
        size_bytes = os.fstat(self._descriptor).st_size
        if not size_bytes and not self._has_journal:
            return
        # A small file may have a journal as well: of a run with another range size.
        journaled = self._journal.spans()
        spans = [(0, size_bytes)] if journaled is None else journaled
        self._written = merge_spans((start, min(stop, size_bytes)) for start, stop in spans)
        self.received_bytes = sum(stop - start for start, stop in self._written)
        self._catch_up()
        self._has_old_journal = journaled is not None
        self.tag = self._journal.tag() if self._has_journal else None
        if journaled is None and self._has_journal and size_bytes:
            self._journal.add((0, size_bytes))

    def _catch_up(self) -> None:
        """Hash the written bytes that follow the hashed part without a gap.

        If another thread is hashing, nothing is done: that thread calls `mark_written` for its own
        bytes afterwards, and catches up then.
        """
        while True:
            with self._lock:
                first = self._written[0] if self._written else (0, 0)
                end = first[1] if first[0] == 0 else 0
                if self._is_hashing or self._hashed_bytes >= end:
                    return
                self._is_hashing = True
                offset = self._hashed_bytes
            try:
                size_bytes = min(READ_BLOCK_BYTES, end - offset)
                self._update_hashes(os.pread(self._descriptor, size_bytes, offset))
            finally:
                with self._lock:
                    self._is_hashing = False

    def _update_hashes(self, block: Bytes) -> None:
        for each in self._hashes:
            each.update(block)
        self._hashed_bytes += len(block)


def _open(path: Path) -> int:
    # O_NONBLOCK: opening a FIFO must not wait for its other end; it has no effect on files.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    wrong = f"{path} is not a regular file; links are not followed"
    try:
        descriptor = os.open(path, flags, NEW_FILE_MODE)
    except OSError as error:
        if error.errno not in NOT_REGULAR:
            raise
        raise FetchError(wrong) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FetchError(wrong)
    return descriptor
