"""Bytes of ready files on a mirror: every block comes from the cache or the network, checked.

`ChunkReader.read` returns any range of a file. It takes the blocks of the chunk index that cover
the range, and compares the sha256 of each with the index, whether it comes from the mirror or from
the cache. So no byte that a program sees was not checked. Blocks of HDF5's own metadata are in the
index itself, and need no request.

`RemoteFile` is such a file for h5py.
"""

from __future__ import annotations

import base64
import bisect
import hashlib
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml_data.errors import FetchError, Problem, VerificationError
from sciml_data.ready.streaming.cache import ChunkCache
from sciml_data.transfer.ranges import RangeReader

# Requests at once, of all threads of a process together.
REQUESTS = 8


@dataclass(frozen=True)
class RemoteIndex:
    """The blocks of a ready file.

    Attributes:
        path: of the file below the address of the ready form.
        size: bytes of the file.
        offsets: of the blocks, ascending from 0.
        digests: (block) sha256 in hexadecimal digits.
        heads: content of blocks that the index has itself, compressed by zlib, by their number.
    """

    path: str
    size: int
    offsets: Sequence[int]
    digests: Sequence[str]
    heads: Mapping[int, bytes]

    def span(self, number: int) -> tuple[int, int]:
        """Return first and end offset of a block."""
        is_last = number + 1 == len(self.offsets)
        return self.offsets[number], self.size if is_last else self.offsets[number + 1]


def parse_index(line: str) -> RemoteIndex:
    """Return the blocks of a ready file from a line of the chunk index.

    Raises:
        VerificationError: the index is damaged.
    """
    try:
        index = json.loads(line)
        blocks = index["blocks"]
        remote = RemoteIndex(
            str(index["path"]),
            int(index["bytes"]),
            [int(block[0]) for block in blocks],
            [str(block[2]) for block in blocks],
            {
                number: base64.b64decode(block[3])
                for number, block in enumerate(blocks)
                if len(block) > 3
            },
        )
        ends = [int(block[0]) + int(block[1]) for block in blocks]
    except (ValueError, LookupError, TypeError) as error:
        raise _damaged(line[:100], f"{type(error).__name__}: {error}") from error
    if [0, *ends] != [*remote.offsets, remote.size]:
        raise _damaged(remote.path, "its blocks do not cover the file")
    return remote


def _damaged(place: str, message: str) -> VerificationError:
    return VerificationError(
        "the chunk index cannot be used",
        problems=[Problem("index", place, message)],
        untouched="nothing was read",
        hint="the curator makes it again: sciml-data pin ID --ready",
    )


class ChunkReader:
    """Reads ranges of remote ready files; several threads may use it.

    It can be sent to another process, which then opens connections of its own.

    Attributes:
        root: folder that has the chunk index; files of mirrors are named as if they were in it.
        indexes: of the files, by path.
        ranges: reads from the mirrors.
        cache: of blocks.
    """

    def __init__(
        self,
        root: Path,
        indexes: Iterable[RemoteIndex],
        ranges: RangeReader,
        cache: ChunkCache,
    ) -> None:
        """Take the files, where they are, and where blocks are kept.

        Args:
            root: folder that has the chunk index.
            indexes: of all files.
            ranges: reads from the mirrors.
            cache: of blocks.

        Raises:
            CallError: a block is larger than the cache.
        """
        self.root = root
        self.indexes = {index.path: index for index in indexes}
        self.ranges = ranges
        self.cache = cache
        cache.require_room_for(max(map(_largest, self.indexes.values()), default=0))
        self._start()

    def __getstate__(self) -> dict[str, Any]:
        names = ("root", "indexes", "ranges", "cache")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self._start()

    def _start(self) -> None:
        self._pool = ThreadPoolExecutor(REQUESTS, thread_name_prefix="chunks")

    def read(self, path: str, offset: int, size: int) -> bytes:
        """Return a range of a file; beyond its end, what there is.

        Args:
            path: of the file.
            offset: of the first byte.
            size: number of bytes.

        Raises:
            FetchError: no mirror sends a block with the right bytes.
        """
        index = self.indexes[path]
        stop = min(offset + size, index.size)
        if stop <= offset:
            return b""
        number = bisect.bisect_right(index.offsets, offset) - 1
        start, end = index.span(number)
        content = self._block(index, number)
        if (start, end) == (offset, stop):
            return content
        parts = [content[offset - start : stop - start]]
        while end < stop:
            number += 1
            start, end = index.span(number)
            parts.append(self._block(index, number)[: stop - start])
        return b"".join(parts)

    def read_many(self, path: str, ranges: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        """Yield ranges (offset, bytes) of a file in their order, several requests at once."""
        if len(ranges) < 2:
            return iter([self.read(path, *span) for span in ranges])
        return self._pool.map(lambda span: self.read(path, *span), ranges)

    def name_of(self, path: Path) -> str:
        """Return the path of a file on the mirror from its path in the root."""
        return path.relative_to(self.root).as_posix()

    def open(self, path: str) -> RemoteFile:
        """Return a file that h5py can open."""
        return RemoteFile(self, path)

    def _block(self, index: RemoteIndex, number: int) -> bytes:
        """Return a block whose sha256 is that of the index."""
        digest = index.digests[number]
        if number in index.heads:
            content = zlib.decompress(index.heads[number])
            if not _matches(digest)(content):
                raise _damaged(index.path, f"block {number} has another hash than its bytes")
            return content
        cached = self.cache.read(digest)
        if cached is not None:
            return cached
        content = self.ranges.read(index.path, *index.span(number), _matches(digest))
        self.cache.write(digest, content)
        return content


def _matches(digest: str) -> Callable[[bytes], bool]:
    return lambda content: hashlib.sha256(content).hexdigest() == digest


def _largest(index: RemoteIndex) -> int:
    """Return the bytes of the largest block that has to be fetched."""
    numbers = (number for number in range(len(index.offsets)) if number not in index.heads)
    return max((end - start for start, end in map(index.span, numbers)), default=0)


class RemoteFile(io.RawIOBase):
    """A remote ready file as h5py reads it: a stream with positions."""

    def __init__(self, reader: ChunkReader, path: str) -> None:
        """Take the reader and the path of the file."""
        self._reader = reader
        self._path = path
        self._at = 0
        # HDF5 knows only that a read failed; the reason is raised afterwards.
        self.error: Exception | None = None

    def __reduce__(self) -> tuple[type[RemoteFile], tuple[ChunkReader, str]]:
        return RemoteFile, (self._reader, self._path)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position, and return it."""
        size = self._reader.indexes[self._path].size
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: size}[whence]
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the position on, and return the number of bytes."""
        try:
            content = self._reader.read(self._path, self._at, len(buffer))
        except FetchError as error:
            self.error = error
            raise
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)
