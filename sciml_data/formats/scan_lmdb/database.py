"""Read an LMDB database through a process of its own, so that a damaged page ends only that one.

LMDB reads by mapping the file: a page that lies beyond its end, a disk that fails, and a damaged
page number are answered by the system with a signal that ends the process. So `child.py` does the
reading, and gives keys and values through a pipe.
"""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

from sciml_data.errors import CallError, SciMLDataError
from sciml_data.formats.scan_lmdb.child import HEADER
from sciml_data.formats.scan_lmdb.pages import head_problem

CHILD = Path(__file__).with_name("child.py")


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
        """Take the data file; no process is started before something is asked."""
        self._path = path
        self._process: subprocess.Popen[bytes] | None = None

    def keys(self) -> list[bytes]:
        """Return all keys in LMDB's order; values are not read.

        Raises:
            DamagedError: the file is no database, was cut, or has damaged pages.
            CallError: the package lmdb is not installed.
        """
        if (problem := head_problem(self._path)) is not None:
            raise DamagedError(*problem)
        self._ask(b"")
        return list(self._listed())

    def value(self, key: bytes) -> bytes | None:
        """Return a value, None where there is no such key.

        Raises:
            DamagedError: it cannot be read; another one may be.
        """
        self._ask(key)
        kind, text = self._answer()
        return text if kind == b"v" else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _ask(self, key: bytes) -> None:
        stdin, _ = self._pipes()
        try:
            stdin.write(key.hex().encode() + b"\n")
            stdin.flush()
        except OSError as error:
            raise self._died() from error

    def _listed(self) -> Iterator[bytes]:
        while key := self._answer()[1]:
            yield key

    def _answer(self) -> tuple[bytes, bytes]:
        _, stdout = self._pipes()
        head = stdout.read(HEADER.size)
        if len(head) < HEADER.size:
            raise self._died()
        kind, size_bytes = HEADER.unpack(head)
        text = stdout.read(size_bytes)
        if len(text) < size_bytes:
            raise self._died()
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

    def _died(self) -> DamagedError:
        """Return why the process ended, and let it go: the next question starts another."""
        process = self._process
        said, code = b"", 0
        if process is not None:
            with contextlib.suppress(OSError):
                said = process.stderr.read() if process.stderr else b""
            code = process.wait()
        self._end()
        if code < 0:
            name = signal.Signals(-code).name
            return DamagedError("unreadable", f"a damaged page ended the process it read: {name}")
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
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
    """Raise CallError where the package is not installed."""
    if importlib.util.find_spec("lmdb") is None:
        raise CallError(
            "LMDB databases are read with the package lmdb, which is not installed",
            untouched="nothing was converted",
            hint="pip install 'sciml-data[stemdl]'",
        )
