"""Hashes of the kinds that a manifest names, fed block by block."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Protocol

from sciml_data.errors import FetchError
from sciml_data.manifest import READ_BLOCK_BYTES


class Hash(Protocol):
    """What hashlib returns."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""

    def hexdigest(self) -> str:
        """Return the hash of all bytes so far."""


def new_hash(kind: str, size_bytes: int) -> Hash:
    """Return an empty hash of a file of this size.

    `gitblob` is git's object id: sha1 of `blob SIZE`, a zero byte and the content
    (git-scm.com/book, Git Internals, "Object Storage").

    Raises:
        FetchError: there is no way to compute this kind.
    """
    if kind in {"sha256", "md5"}:
        return hashlib.new(kind, usedforsecurity=False)
    if kind == "gitblob":
        return hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)
    raise FetchError(f"a hash of the kind {kind!r} cannot be computed here yet")


def hash_like(path: Path, expected: str) -> str:
    """Return `kind:hex` of a file, in the kind of the expected hash; a link is not followed."""
    kind = expected.partition(":")[0]
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with open(descriptor, "rb", buffering=0) as stream:  # noqa: PTH123 (a descriptor, no path)
        found = new_hash(kind, os.fstat(descriptor).st_size)
        while block := stream.read(READ_BLOCK_BYTES):
            found.update(block)
    return f"{kind}:{found.hexdigest()}"


def short(text: str) -> str:
    """Return a hash cut for the eye: `sha256 41aa07c2e1b0..`."""
    kind, _, digits = text.partition(":")
    return f"{kind} {digits[:12]}.."
