"""Hashes of the kinds that a manifest names, fed block by block."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Protocol

from sciml_data.errors import FetchError
from sciml_data.registry.manifest import READ_BLOCK_BYTES


class Hash(Protocol):
    """A hash that knows its kind."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""

    def text(self) -> str:
        """Return `kind:value` of all bytes so far, as a manifest has it."""


class _Plain:
    """A hash of hashlib under the name of its kind."""

    def __init__(self, kind: str, algorithm: str, start: bytes = b"") -> None:
        self._kind = kind
        self._hash = hashlib.new(algorithm, start, usedforsecurity=False)
        self.update = self._hash.update

    def text(self) -> str:
        return f"{self._kind}:{self._hash.hexdigest()}"


class _Parts:
    """The entity tag of an S3 object that was uploaded in parts: md5 of the parts' md5s.

    Amazon S3 user guide, "Checking object integrity"; held against a Ceph gateway by a test.
    """

    def __init__(self, part_bytes: int) -> None:
        self._part_bytes = part_bytes
        self._whole = hashlib.md5(usedforsecurity=False)
        self._part = hashlib.md5(usedforsecurity=False)
        self._count = 0
        self._room = part_bytes

    def update(self, data: bytes, /) -> None:
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
    """Return an empty hash of a file of this size, of the kind of an expected one.

    `gitblob` is git's object id: sha1 of `blob SIZE`, a zero byte and the content
    (git-scm.com/book, Git Internals, "Object Storage"). `s3etag` is md5 of the bytes, or with
    `-N:PART_BYTES` behind it md5 of the md5s of the parts.

    Raises:
        FetchError: there is no way to compute this kind.
    """
    kind, _, value = expected.partition(":")
    if kind == "gitblob":
        return _Plain(kind, "sha1", b"blob %d\0" % size_bytes)
    part_bytes = _part_bytes(value) if kind == "s3etag" else 0
    if part_bytes:
        return _Parts(part_bytes)
    algorithms = {"sha256": "sha256", "md5": "md5", "s3etag": "md5"}
    if kind not in algorithms:
        raise FetchError(f"a hash of the kind {kind!r} cannot be computed here")
    return _Plain(kind, algorithms[kind])


def hash_like(path: Path, expected: str) -> str:
    """Return `kind:value` of a file, of the kind of an expected hash; a link is not followed."""
    return hashes_like(path, (expected,))[0]


def hashes_like(path: Path, expected: tuple[str, ...]) -> list[str]:
    """Return several hashes of a file that is read once; a link is not followed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with open(descriptor, "rb", buffering=0) as stream:  # noqa: PTH123 (a descriptor, no path)
        size_bytes = os.fstat(descriptor).st_size
        found = [new_hash(one, size_bytes) for one in expected]
        while block := stream.read(READ_BLOCK_BYTES):
            for each in found:
                each.update(block)
    return [each.text() for each in found]


def _short(text: str) -> str:
    """Return a hash cut for the eye: `sha256 41aa07c2e1b0..`."""
    kind, _, value = text.partition(":")
    return f"{kind} {value[:12]}.."


def hash_mismatch(expected: str, found: str) -> str:
    """Return a sentence on two hashes that differ, and on what the expected one rests."""
    part_bytes = _part_bytes(expected) if expected.startswith("s3etag:") else 0
    assumed = f" (with parts of {part_bytes} bytes, which are assumed)" if part_bytes else ""
    return f"{_short(expected)} expected, {_short(found)} found{assumed}"


def _part_bytes(etag: str) -> int:
    """Return the part size in `HEX-N:PART_BYTES`, or 0 where there are no parts."""
    return int(etag.rpartition(":")[2]) if "-" in etag else 0
