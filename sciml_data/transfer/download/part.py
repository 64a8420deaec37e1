"""One file on its way: the bytes that arrived so far, in any order, and their hash in file order.

Bytes that arrive where the hash stands are hashed as they come; those further on are read back,
from the memory that the system keeps of the file, once the gap before them is closed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from pathlib import Path
from typing import Self

from sciml_data.errors import FetchError
from sciml_data.home import DatasetFolder, lstat_inside, make_parents_inside, move_to_quarantine
from sciml_data.registry.manifest import READ_BLOCK_BYTES
from sciml_data.registry.stages import PlannedFile
from sciml_data.transfer.download.checksum import Hash, hash_mismatch, new_hash
from sciml_data.transfer.download.ranges import MIB, Notes, Span, holes, merged

FLUSH_BYTES = 16 * MIB  # written to a file before the disk is given them, so that none has to wait
NO_FILE = {errno.ELOOP, errno.EISDIR, errno.ENXIO}  # a link, a folder, a socket or a device
IDENTITY = "sha256:"  # kind of hash that a file gets of which nobody has pinned one


def part_name(path: str) -> str:
    """Return the name below `partial/` of a file on its way."""
    return f"{path}.part"


def notes_name(path: str) -> str:
    """Return the name below `partial/` of the notes of what a large file has."""
    return f"{path}.part.ranges"


def wanted_hashes(file: PlannedFile) -> tuple[str, ...]:
    """Return the hashes to compute of a file, as `new_hash` takes them; the first names it."""
    if file.hash is not None:
        return (file.hash,)
    return (IDENTITY, file.etag) if file.etag is not None else (IDENTITY,)


def is_held(file: PlannedFile) -> bool:
    """Return whether anything is known to hold the bytes of a file against."""
    return file.hash is not None or file.etag is not None


def wrong_because(file: PlannedFile, found: list[str]) -> str:
    """Return what is wrong with a file of these hashes, as `wanted_hashes` has them, or ""."""
    wanted = wanted_hashes(file)
    for expected, text in zip(wanted, found, strict=True):
        if expected not in {IDENTITY, text}:
            what = hash_mismatch(expected, text)
            return what if file.hash is not None else f"of its listed ETag, {what}"
    return ""


def arrived_bytes(file: PlannedFile, folder: DatasetFolder) -> int:
    """Return how much of a file is there already; nothing is hashed."""
    with contextlib.suppress(FetchError):
        state = lstat_inside(folder.partial, part_name(file.path))
        if state is not None and stat.S_ISREG(state.st_mode):
            noted = Notes(folder.partial / notes_name(file.path)).read()
            there = state.st_size if noted is None else sum(stop - start for start, stop in noted)
            return min(there, state.st_size, file.size_bytes)
    return 0


class Part:
    """A `.part` file that several threads may write to; a context manager.

    What lies there from an earlier run is hashed before it is trusted: all of it, or the spans
    that notes beside it say.

    Attributes:
        path: where it lies.
        received_bytes: how much of it is there.
        tag: entity tag that these bytes came under, where notes say so.
    """

    def __init__(self, folder: DatasetFolder, file: PlannedFile, *, has_notes: bool) -> None:
        """Open or make the part of a file; of a large one, notes are kept of what is there.

        Raises:
            FetchError: a link lies where it has to be, or its kind of hash is unknown.
            OSError: the disk refuses.
        """
        self._folder = folder
        self._file = file
        self._wanted = wanted_hashes(file)
        self._hashes: list[Hash] = [new_hash(one, file.size_bytes) for one in self._wanted]
        self.path: Path = make_parents_inside(folder.partial, part_name(file.path))
        self._notes = Notes(folder.partial / notes_name(file.path))
        self._has_notes = has_notes
        self._has_old_notes = False
        self._lock = threading.Lock()
        self._descriptor = _open(self.path)
        self._whole: list[Span] = []  # what is written and noted
        self._unflushed_bytes = 0
        self._hashed_bytes = 0
        self._is_hashing = False  # whether a thread feeds the hashes
        self.received_bytes = 0
        self.tag: str | None = None
        try:
            self._take_over()
        except BaseException:
            self.close()
            raise

    def found(self) -> list[str]:
        """Return the hashes of a part that is whole, as `wanted_hashes` has them."""
        return [one.text() for one in self._hashes]

    def missing(self) -> list[Span]:
        """Return the spans that are not there."""
        with self._lock:
            return holes(self._whole, self._file.size_bytes)

    def write(self, offset: int, block: bytes) -> None:
        """Write bytes where they belong, and hash them if the hash stands there.

        Raises:
            OSError: the disk refuses; what was written before stays, and is not counted.
        """
        view, at = memoryview(block), offset
        while view:
            written = os.pwrite(self._descriptor, view, at)
            view, at = view[written:], at + written
        with self._lock:
            self.received_bytes += len(block)
            if self._is_hashing or offset != self._hashed_bytes:
                return
            self._is_hashing = True
        self._feed(block)
        with self._lock:
            self._is_hashing = False

    def note(self, start: int, stop: int) -> bool:
        """Note that a span is written, and let the hash follow; return whether to flush."""
        if start == stop:
            return False
        with self._lock:
            self._whole = merged([*self._whole, (start, stop)])
            if self._has_notes:
                self._notes.add((start, stop))
            self._unflushed_bytes += stop - start
            is_due = self._unflushed_bytes >= FLUSH_BYTES
            if is_due:
                self._unflushed_bytes = 0
        self._catch_up()
        return is_due

    def note_tag(self, tag: str) -> None:
        """Note the entity tag of the answer that the next bytes come from."""
        with self._lock:
            self.tag = tag
            if self._has_notes:
                self._notes.add_tag(tag)

    def restart(self) -> None:
        """Forget all bytes; no other thread may write meanwhile."""
        os.ftruncate(self._descriptor, 0)
        self._notes.forget()
        self._whole, self._hashed_bytes, self.received_bytes = [], 0, 0
        self.tag = None
        self._hashes = [new_hash(one, self._file.size_bytes) for one in self._wanted]

    def set_aside(self) -> None:
        """Move the bytes to quarantine under a name that has their hash, and start again."""
        move_to_quarantine(self._folder, self.path, self._file.path, label=self.found()[0][:19])
        os.close(self._descriptor)
        self._descriptor = _open(self.path)
        self.restart()

    def forget_notes(self) -> None:
        """Take the notes of a part away that is whole and about to be published."""
        if self._has_notes or self._has_old_notes:
            self._notes.forget()

    def close(self) -> None:
        """End writing; what arrived stays."""
        self._notes.close()
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take_over(self) -> None:
        """Hash what lies there; notes of a file that is not large are of another time."""
        size_bytes = os.fstat(self._descriptor).st_size
        if not size_bytes and not self._has_notes:
            return
        noted = self._notes.read()
        spans = [(0, size_bytes)] if noted is None else noted
        self._whole = merged((start, min(stop, size_bytes)) for start, stop in spans)
        self.received_bytes = sum(stop - start for start, stop in self._whole)
        self._catch_up()
        self._has_old_notes = noted is not None
        self.tag = self._notes.tag() if self._has_notes else None
        if noted is None and self._has_notes and size_bytes:
            self._notes.add((0, size_bytes))

    def _catch_up(self) -> None:
        """Hash what is there behind the hash without a gap, unless a thread does so already."""
        while True:
            with self._lock:
                end = self._whole[0][1] if self._whole and self._whole[0][0] == 0 else 0
                if self._is_hashing or self._hashed_bytes >= end:
                    return
                self._is_hashing = True
                at = self._hashed_bytes
            try:
                self._feed(os.pread(self._descriptor, min(READ_BLOCK_BYTES, end - at), at))
            finally:
                with self._lock:
                    self._is_hashing = False

    def _feed(self, block: bytes) -> None:
        for one in self._hashes:
            one.update(block)
        self._hashed_bytes += len(block)


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o644)
    except OSError as error:
        if error.errno not in NO_FILE:
            raise
        raise FetchError(f"{path} is no regular file; it is not followed") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FetchError(f"{path} is no regular file; it is not followed")
    return descriptor
