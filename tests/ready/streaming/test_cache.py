"""The cache of chunks: its bound holds for several processes, also when files of it are removed."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sciml_data.ready.folder import CHUNKS_NAME
from sciml_data.ready.streaming import ChunkCache, ChunkReader
from sciml_data.ready.streaming.cache import COUNTER_NAME
from tests.support.processes import in_fork

BOUND, SIZE = 1000, 100


def write(cache: ChunkCache, content: bytes) -> None:
    cache.write(hashlib.sha256(content).hexdigest(), content)


def stored_bytes(folder: Path) -> int:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != COUNTER_NAME)
    return sum(path.stat().st_size for path in files)


def test_the_bound_holds_after_somebody_removed_the_counter(tmp_path: Path) -> None:
    cache = ChunkCache(tmp_path, BOUND)
    for number in range(9):
        write(cache, bytes([number]) * SIZE)
    (tmp_path / COUNTER_NAME).unlink()
    for number in range(9, 18):
        write(cache, bytes([number]) * SIZE)

    assert 0 < stored_bytes(tmp_path) <= BOUND


def test_a_chunk_that_another_process_is_about_to_write_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the reservation and the writing of a chunk, another process makes room for its."""
    one, other = ChunkCache(tmp_path, BOUND), ChunkCache(tmp_path, BOUND)
    reserve = ChunkCache._reserve

    def interrupted(cache: ChunkCache, *arguments: Any) -> int:
        file = reserve(cache, *arguments)
        if cache is one:
            write(other, b"y" * 600)
        return file

    monkeypatch.setattr(ChunkCache, "_reserve", interrupted)
    write(one, b"x" * 600)

    assert stored_bytes(tmp_path) <= BOUND


# --- after a fork --------------------------------------------------------------------------------


class Remote:
    """Ranges of a content, each after a moment."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def read(self, _path: str, start: int, stop: int, is_right: Callable[[bytes], bool]) -> bytes:
        time.sleep(0.02)
        content = self.content[start:stop]
        assert is_right(content)
        return content


def reader_of(folder: Path, content: bytes, block: int) -> ChunkReader:
    starts = range(0, len(content), block)
    parts = [content[start : start + block] for start in starts]
    blocks = [
        [start, len(part), hashlib.sha256(part).hexdigest()]
        for start, part in zip(starts, parts, strict=True)
    ]
    index = {
        "path": "a.nc", "bytes": len(content), "hash": "sha256:0", "largest": block,
        "version": 1, "templates": {}, "refs": {}, "blocks": blocks, "skipped": {},
    }  # fmt: skip
    (folder / CHUNKS_NAME).write_text(json.dumps(index, separators=(",", ":")) + "\n")
    remote: Any = Remote(content)
    return ChunkReader(folder, remote, ChunkCache(folder / "chunks", 10**7))


def read_all(reader: ChunkReader, spans: list[tuple[int, int]]) -> list[bytes]:
    contents: dict[int, bytes] = {}

    def keep(number: int, content: bytes | memoryview) -> None:
        contents[number] = bytes(content)

    reader.read_each("a.nc", spans, keep)
    return [contents[number] for number in range(len(spans))]


def test_a_reader_that_was_used_reads_in_a_forked_process(tmp_path: Path) -> None:
    content = bytes(range(256)) * 64
    reader = reader_of(tmp_path, content, 1024)
    # No two are neighbours, so that each is a request.
    spans = [(start, 1024) for start in range(0, len(content), 2048)]
    expected = [content[start : start + size] for start, size in spans]
    assert read_all(reader, spans) == expected
    time.sleep(0.1)  # all threads of its pool are idle, so no other one would be started
    shutil.rmtree(tmp_path / "chunks")

    assert in_fork(lambda: read_all(reader, spans) == expected)


def test_a_fork_while_a_thread_has_the_counter_blocks_neither_process(tmp_path: Path) -> None:
    cache = ChunkCache(tmp_path, BOUND)
    has_it, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with cache._counter():
            has_it.set()
            may_end.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    has_it.wait(60)

    def other_process() -> bool:
        content = b"z" * SIZE
        write(cache, content)
        buffer = bytearray(SIZE)
        is_there = cache.read_into(hashlib.sha256(content).hexdigest(), memoryview(buffer))
        return is_there and buffer == content

    try:
        assert in_fork(other_process, meanwhile=may_end.set)
    finally:
        may_end.set()
        thread.join()
