"""Give each file a second name or a copy in `partial/adopt/`, and hash it there.

What was hashed is kept in a receipt as it is made, by size, mtime and inode: a call that was killed
goes on with the files that were not read yet. A second name shares the inode with the first, so the
receipt still speaks of the file when it has been moved to `native/`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from sciml_data.errors import CallError, NoSpaceError, Problem
from sciml_data.home import DatasetFolder, fsync_path, make_parents_inside
from sciml_data.progress import Meter, Progress, format_bytes
from sciml_data.registry.manifest import READ_BLOCK_BYTES
from sciml_data.transfer.adoption.matching import Candidate
from sciml_data.transfer.download.checksum import hash_mismatch, new_hash
from sciml_data.transfer.download.receipt import StatCache
from sciml_data.transfer.verification import CHANGED

UNPINNED = "sha256:"  # the kind of hash that is computed where none is expected
# Why a file may not get a second name: another file system, somebody else's file, too many names.
NO_LINK = {
    errno.EXDEV: "it lies on another file system than the home",
    errno.EPERM: "the system does not allow it (a file of somebody else's, or no hard links there)",
    errno.EMLINK: "it has as many names as the file system allows",
    errno.ENOTSUP: "the file system has no hard links",
}


@dataclass
class Bringing:
    """Where files are brought to, and how.

    Attributes:
        staging: its `native` and `receipt` become those of the dataset.
        wanted: hash that a path must have, where one is known.
        copy: copy, instead of a second name.
        jobs: files to read at once.
    """

    staging: DatasetFolder
    wanted: Mapping[str, str]
    copy: bool
    jobs: int
    stop: threading.Event = field(default_factory=threading.Event)


def bring(
    files: Mapping[str, Candidate], bringing: Bringing, progress: Progress | None
) -> tuple[dict[str, str], list[Problem]]:
    """Return the hash of each file that is right, and what is wrong with the others.

    Raises:
        CallError: a file cannot get a second name.
        NoSpaceError: the disk does not hold the copies.
    """
    staging = bringing.staging
    receipt = StatCache(staging)
    staging.native.mkdir(parents=True, exist_ok=True)
    _prune(staging.native, files)
    places = {path: make_parents_inside(staging.native, path) for path in files}
    if not bringing.copy:
        for path, one in files.items():
            _name_again(one.place, places[path])
    hashes = {
        path: known
        for path, one in files.items()
        if (known := _known(path, one, places[path], (bringing, receipt))) is not None
    }
    missing = {path: one for path, one in files.items() if path not in hashes}
    if bringing.copy:
        _require_room(missing, staging)
    meter = Meter(sum(one.size_bytes for one in missing.values()), progress)
    problems: list[Problem] = []

    def take(path: str) -> None:
        found = _through(missing[path], places[path], path, (bringing, meter))
        if isinstance(found, Problem):
            problems.append(found)
            return
        receipt.add(path, found)
        receipt.save()
        hashes[path] = found

    with ThreadPoolExecutor(bringing.jobs, "adopt") as pool:
        try:
            list(pool.map(take, missing))
        except BaseException:  # an interrupt, a full disk
            bringing.stop.set()
            raise
    return hashes, problems


def _known(path: str, one: Candidate, place: Path, work: tuple[Bringing, StatCache]) -> str | None:
    """Return the hash of what was brought before and has not changed since, here or there."""
    bringing, receipt = work
    try:
        state = place.lstat()
    except FileNotFoundError:
        return None
    source = one.place.stat()
    is_same = (state.st_size, state.st_mtime_ns) == (source.st_size, source.st_mtime_ns)
    expected = bringing.wanted.get(path)
    found = receipt.found(path, state) if is_same else None
    return found if found is not None and found == (expected or found) else None


def _name_again(source: Path, place: Path) -> None:
    """Give a file a second name; one that is there already stays.

    Raises:
        CallError: it cannot have one.
    """
    real = source.resolve(strict=True)  # of a link, the file that it leads to
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(real.stat(), place.lstat()):
            return
        place.unlink()
    try:
        os.link(real, place)
    except OSError as error:
        if error.errno not in NO_LINK:
            raise
        raise CallError(
            f"{source} cannot get a second name in the home: {NO_LINK[error.errno]}",
            untouched="nothing was adopted",
            hint="--copy copies the files; --home DIR names a home on the file system of the "
            "files, and needs no room there",
        ) from error


def _through(one: Candidate, place: Path, path: str, work: tuple[Bringing, Meter]) -> str | Problem:
    """Return the hash of a file that is read once, and copied by the way where that is asked."""
    bringing, _ = work
    expected = bringing.wanted.get(path)
    copied = place.with_name(f"{place.name}.copy") if bringing.copy else None
    try:
        found = _read(one, copied, expected or UNPINNED, work)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise
        return Problem(CHANGED, path, f"cannot be read: {error.strerror}")
    if found is None:
        return Problem(CHANGED, path, "was written to while it was read")
    if expected is not None and found != expected:
        if copied is not None:
            copied.unlink()
        return Problem(CHANGED, path, hash_mismatch(expected, found))
    if copied is not None:
        fsync_path(copied, flags=os.O_NOFOLLOW)
        copied.replace(place)
    return found


def _read(
    one: Candidate, copied: Path | None, kind: str, work: tuple[Bringing, Meter]
) -> str | None:
    """Return the hash of a file's bytes, None where they changed meanwhile."""
    bringing, meter = work
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(one.place.open("rb", buffering=0))
        before = os.fstat(source.fileno())
        if not stat.S_ISREG(before.st_mode):
            return None
        copy = stack.enter_context(copied.open("wb")) if copied else None
        found = new_hash(kind, before.st_size)
        while block := source.read(READ_BLOCK_BYTES):
            if bringing.stop.is_set():
                raise InterruptedError("another file stopped it")
            found.update(block)
            if copy is not None:
                copy.write(block)
            meter.advance(len(block))
        after = os.fstat(source.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        return None
    if copied is not None:
        os.utime(copied, ns=(before.st_atime_ns, before.st_mtime_ns))
    return found.text()


def _prune(root: Path, files: Mapping[str, Candidate]) -> None:
    """Remove what an earlier call brought and is not wanted now."""
    for top, _, names in os.walk(root, topdown=False):
        for name in names:
            path = Path(top, name)
            if path.relative_to(root).as_posix() not in files:
                path.unlink()
        if top != str(root) and not any(Path(top).iterdir()):
            Path(top).rmdir()


def _require_room(missing: Mapping[str, Candidate], staging: DatasetFolder) -> None:
    need = sum(one.size_bytes for one in missing.values())
    free = shutil.disk_usage(staging.root).free
    if need > free:
        raise NoSpaceError(
            f"copies of {len(missing)} files need {format_bytes(need)} ({need} bytes), and the "
            f"disk of {staging.root} has {format_bytes(free)} free ({free} bytes)",
            untouched="nothing was adopted",
            hint="without --copy no room is needed, where the files lie on the file system of the "
            "home; else make room, or name another home with --home",
        )
