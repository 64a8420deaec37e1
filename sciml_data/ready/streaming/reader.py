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
import os
import threading
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from sciml_data.errors import FetchError, Problem, VerificationError
from sciml_data.ready.folder import CHUNKS_NAME, chunk_indexes
from sciml_data.ready.streaming.cache import ChunkCache
from sciml_data.transfer.ranges import RangeReader

# Requests at once, of all threads of a process together.
REQUESTS = 8
# Of consecutive blocks in one request. Each request takes a millisecond of the processor, and the
# time to the mirror and back. Longer ones would leave connections without work.
MAX_REQUEST_BYTES = 4 << 20
DIGEST_BYTES = 32
INFLATED = 256  # blocks of indexes that stay in memory; one has 64 kB
Content: TypeAlias = bytes | memoryview


@dataclass(frozen=True)
class RemoteIndex:
    """The blocks of a ready file.

    Attributes:
        path: of the file below the address of the ready form.
        ends: (block + 1) offsets of the blocks, ascending from 0, and at last the size of the file.
        digests: sha256 of the blocks, one after the other.
        heads: content of blocks that the index has itself, compressed by zlib, by their number.
    """

    path: str
    ends: array[int]
    digests: bytes
    heads: Mapping[int, bytes]

    @property
    def size(self) -> int:
        """Return the bytes of the file."""
        return self.ends[-1]

    def number_at(self, offset: int) -> int:
        """Return the number of the block with a byte of the file."""
        return bisect.bisect_right(self.ends, offset) - 1

    def digest(self, number: int) -> str:
        """Return the sha256 of a block in hexadecimal digits."""
        return self.digests[DIGEST_BYTES * number : DIGEST_BYTES * (number + 1)].hex()


def parse_index(line: bytes) -> RemoteIndex:
    """Return the blocks of a ready file from a line of the chunk index.

    Raises:
        VerificationError: the index is damaged.
    """
    try:
        index = json.loads(line)
    except ValueError as error:
        raise _damaged(repr(line[:100]), f"{type(error).__name__}: {error}") from error
    return index_of(index)


def index_of(index: Any) -> RemoteIndex:
    """Return the blocks of a ready file from the document of its line.

    Raises:
        VerificationError: the index is damaged.
    """
    try:
        path, blocks = str(index["path"]), index["blocks"]
        starts = [int(block[0]) for block in blocks]
        ends = [0, *(int(block[0]) + int(block[1]) for block in blocks)]
        digests = b"".join(bytes.fromhex(block[2]) for block in blocks)
        heads = {
            number: base64.b64decode(block[3])
            for number, block in enumerate(blocks)
            if len(block) > 3
        }
        size = int(index["bytes"])
    except (ValueError, LookupError, TypeError) as error:
        raise _damaged(repr(index)[:100], f"{type(error).__name__}: {error}") from error
    if [*starts, size] != ends or len(digests) != DIGEST_BYTES * len(blocks):
        raise _damaged(path, "its blocks do not cover the file")
    return RemoteIndex(path, array("q", ends), digests, heads)


def _damaged(place: str, message: str) -> VerificationError:
    return VerificationError(
        "the chunk index cannot be used",
        problems=[Problem("index", place, message)],
        untouched="nothing was read",
        hint="the curator makes it again: sciml-data pin ID --ready",
    )


class ChunkReader:
    """Reads ranges of remote ready files; several threads may use it.

    It can be sent to another process, or be used after a fork. That process then has threads and
    connections of its own.

    Attributes:
        root: folder that has the chunk index; files of mirrors are named as if they were in it.
        ranges: reads from the mirrors.
        cache: of blocks.
    """

    def __init__(self, root: Path, ranges: RangeReader, cache: ChunkCache) -> None:
        """Take the chunk index, where the files are, and where blocks are kept.

        Args:
            root: folder that has the chunk index.
            ranges: reads from the mirrors.
            cache: of blocks.

        Raises:
            CallError: a block is larger than the cache.
        """
        self.root = root
        self.ranges = ranges
        self.cache = cache
        self._places: dict[str, tuple[int, int]] = {}  # offset and bytes of each line
        largest = 0
        for line in chunk_indexes(root):
            self._places[line.path] = (line.offset, len(line.content))
            largest = max(largest, line.largest)
        cache.require_room_for(largest)
        self._start()

    def __getstate__(self) -> dict[str, Any]:
        names = ("root", "ranges", "cache", "_places")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self._start()

    def _start(self) -> None:
        self._pool = ThreadPoolExecutor(REQUESTS, thread_name_prefix="chunks")
        self._indexes: dict[str, RemoteIndex] = {}  # of the files that were read
        self._buffers = threading.local()
        self._process = os.getpid()  # last: other threads then use the new pool

    def index(self, path: str) -> RemoteIndex:
        """Return the blocks of a file; its line is parsed when the file is read first.

        Raises:
            VerificationError: the index does not have the file, or is damaged.
        """
        index = self._indexes.get(path)
        if index is None:
            if path not in self._places:
                raise _damaged(path, "has no line in the index")
            offset, size = self._places[path]
            with (self.root / CHUNKS_NAME).open("rb") as stream:
                stream.seek(offset)
                index = self._indexes[path] = parse_index(stream.read(size))
        return index

    def keep_index(self, document: Any) -> None:
        """Take the line of a file that the caller has parsed, so that it is parsed once.

        Args:
            document: of the line.

        Raises:
            VerificationError: the index is damaged.
        """
        index = index_of(document)
        self._indexes[index.path] = index

    def identity(self, path: str, offset: int, size: int) -> tuple[bytes, int] | None:
        """Return what two ranges of equal size and content have in common; nothing is requested.

        Args:
            path: of the file.
            offset: of the first byte.
            size: number of bytes.

        Returns:
            The sha256 of the range's block and the place of the range in it; None if the range is
            in several blocks.
        """
        index = self.index(path)
        number = index.number_at(offset)
        start, end = index.ends[number : number + 2]
        if offset + size > end:
            return None
        return index.digests[DIGEST_BYTES * number : DIGEST_BYTES * (number + 1)], offset - start

    def read(self, path: str, offset: int, size: int) -> bytes:
        """Return a range of a file; beyond its end, what there is.

        Args:
            path: of the file.
            offset: of the first byte.
            size: number of bytes.

        Raises:
            FetchError: no mirror sends a block with the right bytes.
        """
        return bytes(self._range(self.index(path), offset, size))

    def read_each(
        self, path: str, ranges: Sequence[tuple[int, int]], use: Callable[[int, Content], None]
    ) -> None:
        """Call a function with the number and the content of each range of a file.

        Blocks that the cache does not have are requested several at once. The function is called
        for them in the threads that do it. This thread reads the others meanwhile.

        Args:
            path: of the file.
            ranges: (offset, bytes) of each range; no two are equal.
            use: called for each range in any order; the content is valid until it returns.

        Raises:
            FetchError: no mirror sends a block with the right bytes.
        """
        index = self.index(path)
        if self._process != os.getpid():  # the threads of a pool do not exist after a fork
            self._start()
        absent = self._absent(index, ranges)

        def request(blocks: range) -> None:
            for block, content in self._request(index, blocks):
                use(absent[block], content)

        requests = [self._pool.submit(request, blocks) for blocks in _runs(index, sorted(absent))]
        try:
            for number in sorted({*range(len(ranges))} - {*absent.values()}):
                use(number, self._range(index, *ranges[number]))
            for done in requests:
                done.result()
        finally:
            for done in requests:
                done.cancel()

    def name_of(self, path: Path) -> str:
        """Return the path of a file on the mirror from its path in the root."""
        return path.relative_to(self.root).as_posix()

    def open(self, path: str) -> RemoteFile:
        """Return a file that h5py can open."""
        return RemoteFile(self, path)

    def _absent(self, index: RemoteIndex, ranges: Sequence[tuple[int, int]]) -> dict[int, int]:
        """Return the blocks that the cache does not have, with the numbers of their ranges.

        The disk begins to read the others. Ranges that are not whole blocks are left out.
        """
        absent = {}
        for number, (offset, size) in enumerate(ranges):
            block = index.number_at(offset)
            is_whole = index.ends[block : block + 2].tolist() == [offset, offset + size]
            is_remote = is_whole and block not in index.heads
            if is_remote and not self.cache.expect(index.digest(block)):
                absent[block] = number
        return absent

    def _range(self, index: RemoteIndex, offset: int, size: int) -> Content:
        """Return a range of a file. The next range of this thread may overwrite its memory."""
        stop = min(offset + size, index.size)
        parts: list[Content] = []
        while offset < stop:
            block = index.number_at(offset)
            start, end = index.ends[block : block + 2]
            content = memoryview(self._block(index, block))[offset - start : stop - start]
            if len(content) == size:
                return content
            parts.append(bytes(content))
            offset = end
        return b"".join(parts)

    def _block(self, index: RemoteIndex, number: int) -> Content:
        """Return a block whose sha256 is that of the index."""
        digest = index.digest(number)
        if number in index.heads:
            content = _inflated(digest, index.heads[number])
            if content is None:
                raise _damaged(index.path, f"block {number} has another hash than its bytes")
            return content
        start, end = index.ends[number : number + 2]
        buffer = self._buffer(end - start)
        if self.cache.read_into(digest, buffer):
            return buffer
        return next(self._request(index, range(number, number + 1)))[1]

    def _request(self, index: RemoteIndex, blocks: range) -> Iterator[tuple[int, Content]]:
        """Yield numbers and contents of consecutive blocks, which are requested together.

        All of them are checked before the first is returned. They are stored in the cache.
        """
        start, end = index.ends[blocks.start], index.ends[blocks.stop]

        def parts(content: bytes) -> Iterator[tuple[int, str, memoryview]]:
            view = memoryview(content)
            for block in blocks:
                first, last = index.ends[block : block + 2]
                yield block, index.digest(block), view[first - start : last - start]

        def is_right(content: bytes) -> bool:
            return all(_is_of(digest, part) for _, digest, part in parts(content))

        for block, digest, part in parts(self.ranges.read(index.path, start, end, is_right)):
            self.cache.write(digest, part)
            yield block, part

    def _buffer(self, size: int) -> memoryview:
        """Return memory of this thread; to get it anew for each block costs as much as a copy."""
        buffer: bytearray = getattr(self._buffers, "bytes", bytearray())
        if len(buffer) < size:
            buffer = self._buffers.bytes = bytearray(size)
        return memoryview(buffer)[:size]


@lru_cache(maxsize=INFLATED)
def _inflated(digest: str, compressed: bytes) -> bytes | None:
    """Return a block of the index; None if its sha256 is not that of the index.

    Masks of many scenes have equal blocks, which are inflated and compared once.
    """
    content = zlib.decompress(compressed)
    return content if _is_of(digest, content) else None


def _is_of(digest: str, content: Content) -> bool:
    return hashlib.sha256(content).hexdigest() == digest


def _runs(index: RemoteIndex, blocks: Sequence[int]) -> Iterator[range]:
    """Yield ranges of consecutive blocks, each not longer than a request should be.

    Args:
        index: of the file.
        blocks: numbers, ascending.
    """
    start = 0
    for stop in range(1, len(blocks) + 1):
        first, last = blocks[start], blocks[stop - 1]
        if (
            stop == len(blocks)
            or blocks[stop] != last + 1
            or index.ends[blocks[stop] + 1] - index.ends[first] > MAX_REQUEST_BYTES
        ):
            yield range(first, last + 1)
            start = stop


class RemoteFile(io.RawIOBase):
    """A remote ready file as h5py reads it: a stream with positions.

    HDF5 gets zeros in place of bytes that cannot be read, because it is not made for exceptions in
    the middle of a read. So whoever reads values calls `require_complete` before they are used. The
    error stays: HDF5 may keep the zeros.
    """

    mode = "rb"  # as xarray expects of a stream

    def __init__(self, reader: ChunkReader, path: str) -> None:
        """Take the reader and the path of the file."""
        self._reader = reader
        self._path = path
        self._at = 0
        self._error: FetchError | VerificationError | None = None

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
        size = self._reader.index(self._path).size
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: size}[whence]
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the position on, and return the number of bytes."""
        try:
            content = self._reader.read(self._path, self._at, len(buffer))
        except (FetchError, VerificationError) as error:
            self._error = error
            content = bytes(len(buffer))
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)

    def require_complete(self) -> None:
        """Raise the error of the first read that failed.

        Raises:
            FetchError: no mirror sent a block with the right bytes.
            VerificationError: the index is damaged.
        """
        if self._error is not None:
            raise self._error
