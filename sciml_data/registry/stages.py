"""What each stage hands to the next: frozen, so that no stage can be skipped.

Plan -> fetch -> Fetched -> verify -> Verified -> convert -> Converted -> open
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciml_data.home import DatasetFolder
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.manifest import Manifest


@dataclass(frozen=True)
class PlannedFile:
    """One file to fetch: where to (path under the native folder), how large, from where.

    `hash` is `kind:hex` or None where nobody has pinned one; `urls` are tried in order. `etag` is
    what the mirror's own listing says of an unpinned file, in the form of the hash kinds `md5` and
    `s3etag`: held beside the sha256 that is computed as the file arrives.
    """

    path: str
    size_bytes: int
    hash: str | None
    urls: tuple[str, ...]
    etag: str | None = None


@dataclass(frozen=True)
class Plan:
    """What is to be fetched, and into which folder; `is_whole` unless a part was asked for.

    `version_files` and `version_bytes` say how large the whole version is; 0 where nobody asked.
    """

    descriptor: Descriptor
    files: tuple[PlannedFile, ...]
    folder: DatasetFolder
    is_whole: bool = True
    version_files: int = 0
    version_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """Return the sum of the sizes of all planned files."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True)
class Fetched:
    """Native files that lie in `folder.native` under the names of `manifest`."""

    descriptor: Descriptor
    folder: DatasetFolder
    manifest: Manifest
    is_synthetic: bool = False

    @property
    def root(self) -> Path:
        """Return the folder of the native files."""
        return self.folder.native


@dataclass(frozen=True)
class Verified:
    """Native files whose bytes were held against `manifest`."""

    descriptor: Descriptor
    folder: DatasetFolder
    manifest: Manifest
    is_synthetic: bool = False

    @property
    def root(self) -> Path:
        """Return the folder of the native files."""
        return self.folder.native


@dataclass(frozen=True)
class Converted:
    """Ready files in `root` under the names of `manifest`, made with `options`.

    `native_digest` is the digest of the native manifest they were made from.
    """

    descriptor: Descriptor
    root: Path
    manifest: Manifest
    native_digest: str
    is_synthetic: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
