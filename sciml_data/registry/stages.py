"""What each stage of the data path returns and the next one takes.

    Plan -> fetch -> Fetched -> verify -> Verified -> convert -> Converted -> open

A function that needs verified files asks for a `Verified`, so no stage can be skipped by mistake.
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
    """A file to fetch.

    Attributes:
        path: under the native folder.
        size_bytes: expected size.
        hash: `kind:hex`, None for a file that is not pinned.
        urls: tried in this order.
        etag: entry of the mirror's listing for an unpinned file, in the form of the hash kinds
            `md5` and `s3etag`; it is checked in addition to the sha256 of the received bytes.
    """

    path: str
    size_bytes: int
    hash: str | None
    urls: tuple[str, ...]
    etag: str | None = None


@dataclass(frozen=True)
class StoredCopy:
    """A verified file that has the content of a planned one.

    Attributes:
        place: where it is.
        owner: what it belongs to, as messages say it: `version 1.0`, `the ready files here`.
        is_own: whether it is in the user's own home, and not in a shared one.
    """

    place: Path
    owner: str
    is_own: bool = True

    @property
    def source(self) -> str:
        """Return where the bytes come from, as messages say it."""
        return self.owner + ("" if self.is_own else " in a shared home")


@dataclass(frozen=True)
class Plan:
    """The files to fetch, and their folder.

    Attributes:
        descriptor: of the version.
        files: to fetch.
        folder: of the version in the home.
        is_whole: whether these are all files of the version.
        version_files: number of all files of the version, 0 if it was not determined.
        version_bytes: their size in bytes, 0 if it was not determined.
        copies: files of other versions with the content of planned ones, by the planned path.
        bases: base URLs of the user's mirrors.
    """

    descriptor: Descriptor
    files: tuple[PlannedFile, ...]
    folder: DatasetFolder
    is_whole: bool = True
    version_files: int = 0
    version_bytes: int = 0
    copies: Mapping[str, StoredCopy] = field(default_factory=dict)
    bases: tuple[str, ...] = ()

    @property
    def total_bytes(self) -> int:
        """Return the sum of the sizes of all planned files."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True)
class Fetched:
    """Native files in `folder.native`, under the names of `manifest`."""

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
    """Native files whose bytes agree with `manifest`.

    Attributes:
        descriptor: of the version.
        folder: of the version or sample in the home.
        manifest: path, size and hash of each native file.
        is_synthetic: whether the native files are a sample.
        ready: sets of ready files that were checked, too.
    """

    descriptor: Descriptor
    folder: DatasetFolder
    manifest: Manifest
    is_synthetic: bool = False
    ready: tuple[Converted, ...] = ()

    @property
    def root(self) -> Path:
        """Return the folder of the native files."""
        return self.folder.native


@dataclass(frozen=True)
class Converted:
    """Ready files in `root` under the names of `manifest`, made with `options`.

    Attributes:
        descriptor: of the version.
        root: folder of the files.
        manifest: path, size and hash of each file when it was made.
        native_digest: digest of the manifest of the native files that they were made of.
        is_synthetic: whether the native files are a sample.
        options: options of the conversion.
        sample_seed: seed of the sample; None for published data.
        own_stat_cache: stat cache of these files in the user's own home, if `root` is in a shared
            home, which is only read.
    """

    descriptor: Descriptor
    root: Path
    manifest: Manifest
    native_digest: str
    is_synthetic: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    sample_seed: int | None = None
    own_stat_cache: Path | None = None
