"""Content is stored once: files that another version in the home has are not fetched again.

A new version of a dataset often changes a few files. The others are found by their hash in the stat
caches of the versions that are here, and taken from there: as a reflink (two files share their
blocks until one is written to; Btrfs, XFS, bcachefs), else as a hard link, else as a copy.

A hard link is a second name of the same file, so an edit under one name would change both versions.
Both names therefore lose their write permission. A file that has names outside of the home (`adopt`
gives it one) or that is in a shared home is copied: its permissions are not ours to change. Samples
are made, not published, and are never used.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
from collections.abc import Container, Iterator
from pathlib import Path

from sciml_data.errors import FetchError
from sciml_data.home import DatasetFolder, Home
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.manifest import lstat_inside, make_parents_inside
from sciml_data.registry.stages import PlannedFile, StoredCopy
from sciml_data.transfer.download.local_files import StatCache
from sciml_data.transfer.download.partial_file import (
    CompleteFile,
    complete_file,
    expected_hashes,
    hashes_like,
)

FICLONE = 0x40049409  # ioctl_ficlone(2): share the blocks of another file of the same file system
WRITE_BITS = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
SUFFIX = ".copy"  # of a file in partial/; nothing ever writes into it, since it may be a hard link


def stored_copies(
    descriptor: Descriptor, home: Home, wanted: Container[str] | None = None
) -> dict[str, StoredCopy]:
    """Return the verified files of the other versions of a dataset, by hash.

    A file counts while its size, mtime and inode are those of its last verification.

    Args:
        descriptor: of the version that needs files.
        home: with the shared homes below it.
        wanted: hashes to look for; None is all.
    """
    copies: dict[str, StoredCopy] = {}
    for version, folder, is_own in _other_folders(descriptor, home):
        cache = StatCache(folder.stat_cache, folder.native)
        for path, known in cache.hashes().items():
            if wanted is not None and known not in wanted:
                continue
            with contextlib.suppress(FetchError, OSError):
                state = lstat_inside(folder.native, path)
                if state is not None and _is_verified(cache, path, known, state):
                    copy = StoredCopy(folder.native / path, f"version {version}", is_own=is_own)
                    copies.setdefault(known, copy)
    return copies


def _is_verified(cache: StatCache, path: str, known: str, state: os.stat_result) -> bool:
    return stat.S_ISREG(state.st_mode) and cache.has(path, known, state)


def _other_folders(descriptor: Descriptor, home: Home) -> Iterator[tuple[str, DatasetFolder, bool]]:
    """Yield version, folder and whether it is in the user's own home, that one first."""
    target = home.dataset(descriptor.dataset, descriptor.version).root
    for root in (home.root, *home.shared):
        for version in home.versions(descriptor.dataset):
            folder = Home(root).dataset(descriptor.dataset, version)
            if folder.root != target and folder.native.is_dir():
                yield version, folder, root == home.root


def take_copy(file: PlannedFile, copy: StoredCopy, folder: DatasetFolder) -> CompleteFile:
    """Put the content of another version's file into `partial/`, and check it.

    Args:
        file: the planned file.
        copy: a file with its hash.
        folder: of the version that needs the file.

    Raises:
        FetchError: the content is not that of the planned file any more.
        OSError: the disk is full or fails.
    """
    place = make_parents_inside(folder.partial, f"{file.path}{SUFFIX}")
    place_copy(copy, place)
    try:
        hashes = hashes_like(place, expected_hashes(file))
        return complete_file(file, place, place.lstat().st_size, hashes)
    except (OSError, FetchError):
        place.unlink()
        raise


def place_copy(copy: StoredCopy, place: Path) -> None:
    """Make a reflink, a hard link or a copy of a file; what is at the new path is replaced.

    Args:
        copy: the file.
        place: its new path, on any file system.

    Raises:
        OSError: the file cannot be read, or the disk is full or fails.
    """
    place.unlink(missing_ok=True)  # left by a kill; it may be a hard link: never write into it
    source = os.open(copy.place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(source, "rb", buffering=0) as stream:  # noqa: PTH123 (a descriptor, no path)
        try:
            if not (_reflink(source, place) or (copy.is_own and _link(source, copy.place, place))):
                with place.open("xb") as target:
                    shutil.copyfileobj(stream, target, 1 << 20)
        except BaseException:
            place.unlink(missing_ok=True)
            raise


def _reflink(source: int, place: Path) -> bool:
    """Return whether a file now shares the blocks of another one."""
    with place.open("xb") as target:
        try:
            fcntl.ioctl(target.fileno(), FICLONE, source)
        except OSError:  # not this file system, or not between these two
            place.unlink()
            return False
    return True


def _link(source: int, original: Path, place: Path) -> bool:
    """Return whether a file without write permission has a second name now."""
    state = os.fstat(source)
    is_writable = bool(state.st_mode & WRITE_BITS)
    if is_writable and state.st_nlink > 1:
        return False  # another name of it may be outside of the home
    try:
        if is_writable:
            os.fchmod(source, stat.S_IMODE(state.st_mode) & ~WRITE_BITS)
        os.link(original, place, follow_symlinks=False)
    except OSError:  # another user's file, another file system, or as many names as it allows
        with contextlib.suppress(OSError):
            os.fchmod(source, stat.S_IMODE(state.st_mode))
        return False
    linked = place.lstat()
    if os.path.samestat(linked, os.fstat(source)) and not linked.st_mode & WRITE_BITS:
        return True
    place.unlink()  # the original was replaced or changed just now
    return False
