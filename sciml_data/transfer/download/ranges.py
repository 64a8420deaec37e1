"""Which bytes of a file are there: spans, and the notes of them that outlive a kill.

A note is one short line appended to a file beside the part. A line that a kill tore has no end and
does not count. What is noted is not trusted: the hash of the whole file decides. Where no hash is
known, the entity tag does that the bytes came under: a server is asked to go on only with that one.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from sciml_data.errors import FetchError

Span = tuple[int, int]  # offsets of the first byte, and of the byte behind the last

MIB = 1 << 20
# Of 16, 32 and 64 MiB none was quicker than another by more than the noise of the machine (4 files
# of 500 MB from a Ceph gateway on loopback); the smallest loses least where a worker fails.
RANGE_BYTES = 16 * MIB
LARGE_RANGES = 2  # a file of so many ranges and more is fetched by several workers


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return spans sorted, those that touch or overlap as one, empty ones left out."""
    found: list[Span] = []
    for start, stop in sorted(spans):
        if start >= stop:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return found


def holes(spans: Iterable[Span], size_bytes: int) -> list[Span]:
    """Return what merged spans leave out of a file."""
    found: list[Span] = []
    at = 0
    for start, stop in spans:
        if start > at:
            found.append((at, min(start, size_bytes)))
        at = max(at, stop)
    if at < size_bytes:
        found.append((at, size_bytes))
    return found


def cut(span: Span, range_bytes: int) -> Iterator[Span]:
    """Yield a span in ranges that end at multiples of the range size."""
    start, stop = span
    while start < stop:
        end = min((start // range_bytes + 1) * range_bytes, stop)
        yield start, end
        start = end


class Notes:
    """The spans noted beside a part; appended to, never rewritten while it is used."""

    def __init__(self, path: Path) -> None:
        """Take where they lie; nothing is read or made."""
        self._path = path
        self._descriptor: int | None = None

    def read(self) -> list[Span] | None:
        """Return what is noted, merged, or None where there are no notes.

        Raises:
            FetchError: a link lies there; it is not followed.
        """
        text = self._text()
        if text is None:
            return None
        return merged(
            (int(found[1]), int(found[2]))
            for found in re.finditer(rb"^(\d{1,18}) (\d{1,18})\n", text, re.MULTILINE)
        )

    def tag(self) -> str | None:
        """Return the entity tag that all bytes came under, or None if there are none or several.

        Raises:
            FetchError: a link lies there; it is not followed.
        """
        found = set(re.findall(rb"^tag (.+)\n", self._text() or b"", re.MULTILINE))
        return found.pop().decode("latin-1") if len(found) == 1 else None

    def add(self, span: Span) -> None:
        """Note that the bytes of a span are written."""
        self._write(b"%d %d\n" % span)

    def add_tag(self, tag: str) -> None:
        """Note the entity tag of the answer that the next bytes come from."""
        self._write(b"tag %s\n" % tag.encode("latin-1"))

    def _text(self) -> bytes | None:
        if self._path.is_symlink():
            raise FetchError(f"{self._path} is no regular file; it is not followed")
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None

    def _write(self, line: bytes) -> None:
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o644)
            os.write(self._descriptor, b"\n")  # ends a line that a kill tore
        os.write(self._descriptor, line)

    def forget(self) -> None:
        """Take all notes away."""
        self.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    def close(self) -> None:
        """End writing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
