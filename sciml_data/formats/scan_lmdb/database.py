"""Read an LMDB database in another process, so that a damaged page ends only that process.

LMDB maps the file into memory and follows page numbers without a look at the file's length: for a
page beyond the end, a failing disk or a damaged page number the system ends the process with a
signal. So `reader_process.py` reads, and passes keys and values through a pipe.

Before that, the head of the file is compared with its length. LMDB's two meta pages say how many
pages are in use. The layout is that of LMDB's data format 1 (LMDB 0.9, `mdb.c`: MDB_page,
MDB_meta), on a 64-bit little-endian computer, as Summit and all likely others are:

    page header  16 bytes: number, unused, flags, bounds
    MDB_meta     magic u32, format u32, address u64, map size u64, two MDB_db of 48 bytes (the first
                 begins with the page size, u32; the second is the table of keys), last page u64,
                 transaction u64
"""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from sciml_data.errors import CallError, SciMLDataError
from sciml_data.formats.scan_lmdb.reader_process import HEADER

CHILD = Path(__file__).with_name("reader_process.py")
MAGIC, FORMAT = 0xBEEFC0DE, 1
META = struct.Struct("<16x II QQ I44x I2xHQQQQQ QQ")  # the page header, then MDB_meta
PAGE_SIZES = frozenset(2**power for power in range(8, 17))  # LMDB writes 512 bytes to 64 KiB
NODE_BYTES = 8  # a key takes at least this much of a page


class DamagedError(SciMLDataError):
    """A database, or one value of it, cannot be read.

    Attributes:
        kind: a word for it: `unreadable`, `truncated`.
    """

    def __init__(self, kind: str, wrong: str) -> None:
        """Keep the word and the sentence."""
        super().__init__(wrong)
        self.kind = kind


class Database:
    """An LMDB database that is read by another process; a context manager."""

    def __init__(self, path: Path) -> None:
        """Take the data file; the first request starts the process."""
        self._path = path
        self._process: subprocess.Popen[bytes] | None = None

    def keys(self) -> list[bytes]:
        """Return all keys in LMDB's order; values are not read.

        Raises:
            DamagedError: the file is not a database, was cut short, or has damaged pages.
            CallError: the package lmdb is not installed.
        """
        if (problem := head_problem(self._path)) is not None:
            raise DamagedError(*problem)
        self._request(b"")
        return list(self._key_answers())

    def value(self, key: bytes) -> bytes | None:
        """Return a value, None if there is no such key.

        Raises:
            DamagedError: the value cannot be read; other values may be readable.
        """
        self._request(key)
        kind, text = self._answer()
        return text if kind == b"v" else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _request(self, key: bytes) -> None:
        stdin, _ = self._pipes()
        try:
            stdin.write(key.hex().encode() + b"\n")
            stdin.flush()
        except OSError as error:
            raise self._exit_error() from error

    def _key_answers(self) -> Iterator[bytes]:
        while key := self._answer()[1]:
            yield key

    def _answer(self) -> tuple[bytes, bytes]:
        _, stdout = self._pipes()
        head = stdout.read(HEADER.size)
        if len(head) < HEADER.size:
            raise self._exit_error()
        kind, size_bytes = HEADER.unpack(head)
        text = stdout.read(size_bytes)
        if len(text) < size_bytes:
            raise self._exit_error()
        if kind == b"!":
            self._end()
            raise DamagedError("unreadable", f"LMDB says: {text.decode(errors='replace')}")
        return kind, text

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._process is None:
            require_lmdb()
            self._process = subprocess.Popen(  # noqa: S603 (our own program, no shell)
                [sys.executable, "-P", str(CHILD), str(self._path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise DamagedError("unreadable", "the process that reads it has no pipes")
        return stdin, stdout

    def _exit_error(self) -> DamagedError:
        """Return why the process ended; the next request starts another one."""
        process = self._process
        output, code = b"", 0
        if process is not None:
            with contextlib.suppress(OSError):
                output = process.stderr.read() if process.stderr else b""
            code = process.wait()
        self._end()
        if code < 0:
            name = signal.Signals(-code).name
            return DamagedError("unreadable", f"a damaged page ended the process it read: {name}")
        last = output.decode(errors="replace").strip().rpartition("\n")[2]
        return DamagedError("unreadable", f"the process that reads it ended: {last or code}")

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        process.wait()


def require_lmdb() -> None:
    """Raise CallError if the package lmdb is not installed."""
    if importlib.util.find_spec("lmdb") is None:
        raise CallError(
            "LMDB databases are read with the package lmdb, which is not installed",
            untouched="nothing was converted",
            hint="pip install 'sciml-data[stemdl]'",
        )


@dataclass(frozen=True)
class Meta:
    """The entries of a meta page that concern the length of the file."""

    page_bytes: int
    entries: int
    last_page: int
    transaction: int

    @property
    def used_bytes(self) -> int:
        """Return the offset at which the last page in use ends."""
        return (self.last_page + 1) * self.page_bytes


def head_problem(path: Path) -> tuple[str, str] | None:
    """Return what is wrong with the head of an LMDB file, as kind and sentence; None for nothing.

    A file may be longer than the pages in use: LMDB extends it to its map size when it is written
    through the map.

    Args:
        path: of the data file.
    """
    try:
        with path.open("rb") as file:
            size_bytes = path.stat().st_size
            first = _meta(file.read(META.size))
            if not isinstance(first, Meta):
                return "unreadable", first
            file.seek(first.page_bytes)
            second = _meta(file.read(META.size))
    except OSError as error:
        return "unreadable", f"cannot be read: {error.strerror}"
    if not isinstance(second, Meta):
        return "unreadable", f"{second} (in its second meta page)"
    newest = max(first, second, key=lambda meta: meta.transaction)
    if newest.used_bytes > size_bytes:
        return "truncated", (
            f"{newest.used_bytes} bytes are in use by its head, the file has {size_bytes}"
        )
    if newest.entries * NODE_BYTES > newest.used_bytes:
        return "unreadable", f"{newest.entries} keys do not fit into {newest.used_bytes} bytes"
    return None


def _meta(data: bytes) -> Meta | str:
    """Return a meta page, or what is wrong with it."""
    if len(data) < META.size:
        return "is too short for an LMDB database"
    magic, form, _, _, page_bytes, _, _, _, _, _, entries, _, last, transaction = META.unpack(data)
    if magic != MAGIC:
        return "is not an LMDB database"
    if form != FORMAT:
        return f"is an LMDB database of format {form}, and {FORMAT} is known"
    if page_bytes not in PAGE_SIZES:
        return f"is a damaged LMDB database: pages of {page_bytes} bytes"
    return Meta(page_bytes, entries, last, transaction)
