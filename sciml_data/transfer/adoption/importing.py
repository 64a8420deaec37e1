"""Import a folder that a user already has as the native files of a dataset.

Some datasets are delivered in their own way (Globus, a disk by post, a DataLad clone), and nobody
wants to copy 500 GB without need. The files therefore get a second name in the home, a hard link.
No byte is copied, and a file in the home stays a regular file. Symbolic links are not used, because
nothing in the home follows them. If hard links are not possible, files can be copied.

Every file is hashed before the dataset appears in `native/`; until then all of it is in
`partial/adopt/`. Each hash is stored at once, with size, mtime and inode of the file: a call that
was killed resumes with the files that were not read yet. A hard link has the same inode as its
original, so the stored hashes stay valid when the files are moved to `native/`.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import stat
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from sciml_data.errors import CallError, NoSpaceError, Problem, VerificationError, full_disk
from sciml_data.home import DatasetFolder, Home, fsync_path, publish, write_atomically
from sciml_data.progress import Log, Meter, Progress, counted, format_bytes
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.manifest import READ_BLOCK_BYTES, Entry, Manifest, make_parents_inside
from sciml_data.registry.stages import Fetched, StoredCopy
from sciml_data.transfer.adoption.matching import FolderMatch, LocalFile, match_folder
from sciml_data.transfer.download.local_files import REQUEST_NAME, StatCache
from sciml_data.transfer.download.partial_file import UNPINNED, hash_like, hash_mismatch, new_hash
from sciml_data.transfer.download.stored_copies import place_copy, stored_copies
from sciml_data.transfer.listing.listing import save_listing
from sciml_data.transfer.verification import CHANGED, UNEXPECTED, load_fetched

logger = logging.getLogger(__name__)

STAGING = "adopt"  # folder below `partial/`
MAX_LOGGED = 5  # problems that are logged before hours of reading; the final error has all
# Why a hard link is not possible, by the error of the system.
NO_LINK = {
    errno.EXDEV: "it is on another file system than the home",
    errno.EPERM: "operation not permitted (another user's file, or no hard links there)",
    errno.EMLINK: "it has as many names as the file system allows",
    errno.ENOTSUP: "the file system has no hard links",
}


def adopt(  # noqa: PLR0913 - the dataset, the folder, how to import it, and two callbacks
    descriptor: Descriptor,
    home: Home,
    source: Path,
    *,
    copy: bool = False,
    ignore: Sequence[str] = (),
    jobs: int = 2,
    log: Log | None = None,
    progress: Progress | None = None,
) -> Fetched:
    """Import the files of a folder as those of a version, after checking every byte.

    The files of a pinned version must match its manifest. Those of an unpinned version must meet
    the expectations of the descriptor; their hashes and their listing are stored in the home, and
    other files are an error from then on, as after `get`.

    Args:
        descriptor: of a version with files.
        home: where the dataset is stored.
        source: folder with the files, in the layout of the dataset or of one of its mirrors.
        copy: copy the files instead of making hard links.
        ignore: globs of files in the folder that are not of the dataset.
        jobs: number of files to read in parallel.
        log: gets lines about the files before they are read.
        progress: gets (bytes done, total bytes).

    Raises:
        CallError: the folder cannot be imported, or the version is in the home already.
        VerificationError: files are missing, changed, or not of the dataset; `.problems` has each
            of them, and nothing was imported.
        NoSpaceError: the disk has no room for a copy.
        LockedError: another process works in the dataset's folder.
    """
    log = log or logger.info
    root = _check_source(descriptor, home, source)
    folder = home.dataset(descriptor.dataset, descriptor.version).own
    with folder.lock(f"adopt {root}"):
        _check_target(descriptor, folder)
        match = match_folder(descriptor, root, folder, ignore=ignore, skip=home.root)
        _log_match(match, log, root)
        staging = DatasetFolder(folder.partial / STAGING)
        stored = stored_copies(descriptor, home) if copy else {}
        work = _Import(staging, match.expected, copy=copy, jobs=jobs, stored=stored)
        hashes, wrong = _import_files(match.files, work, progress)
        problems = [*match.problems, *wrong]
        if problems:
            problems.sort(key=lambda problem: (problem.place, problem.kind))
            raise _failure(descriptor, root, problems)
        _publish(folder, staging, match, hashes)
    return load_fetched(descriptor, folder)


def _check_source(descriptor: Descriptor, home: Home, source: Path) -> Path:
    """Return the folder to import, without links in its path.

    Raises:
        CallError: it does not exist, or cannot be imported.
    """
    name = f"{descriptor.dataset} {descriptor.version}"
    wrong = ""
    root = source.expanduser().resolve()
    if descriptor.live is not None:
        wrong = f"{name} has no files to adopt: it is fetched from a service, for a period"
    elif not root.exists():
        wrong = f"no such folder: {source}"
    elif not root.is_dir():
        wrong = f"{source} is not a folder; the folder with the files of {name} is expected"
    elif root.is_relative_to(home.root):
        wrong = f"{source} is in the home {home.root}, which has files of datasets already"
    elif not any(root.iterdir()):
        wrong = f"{source} is empty"
    if wrong:
        raise CallError(wrong, untouched="nothing was adopted")
    return root


def _check_target(descriptor: Descriptor, folder: DatasetFolder) -> None:
    """Raise CallError if the version is in the home already; an empty folder is removed."""
    if not folder.native.exists():
        return
    count = sum(path.is_file() for path in folder.native.rglob("*"))
    if count == 0:
        shutil.rmtree(folder.native)
        return
    name = f"{descriptor.dataset} --version {descriptor.version}"
    raise CallError(
        f"{descriptor.dataset} {descriptor.version} is here already: {counted(count, 'file')} in "
        f"{folder.native}",
        untouched="nothing was adopted",
        hint=f"sciml-data verify {name} checks these files; sciml-data get {name} --mirror "
        f"file:DIR copies missing ones from a folder. To start over, move {folder.root} away",
    )


def _log_match(match: FolderMatch, log: Log, root: Path) -> None:
    """Log the files and the first problems, before hours of reading.

    Raises:
        CallError: no file belongs to the dataset.
    """
    if not match.files and CHANGED not in {problem.kind for problem in match.problems}:
        raise CallError(
            f"no file in {root} belongs to the dataset; expected are {', '.join(match.examples)}",
            problems=match.problems,
            untouched="nothing was adopted",
            hint="name the folder that has these files",
        )
    total = format_bytes(sum(file.size_bytes for file in match.files.values()))
    log(f"found in {root}: {counted(len(match.files), 'file')} of the dataset, {total}")
    if match.problems:
        log(f"{counted(len(match.problems), 'problem')} so far; the other files are checked, too:")
        for problem in match.problems[:MAX_LOGGED]:
            log(f"  {problem}")
    if match.skipped:
        log(f"skipped: {counted(match.skipped, 'hidden or ignored file')}")


@dataclass
class _Import:
    """How files are imported.

    Attributes:
        staging: folder whose `native` and stat cache become those of the dataset.
        expected: hash that a path must have, if it is known.
        copy: copy the files instead of making hard links.
        jobs: number of files to read in parallel.
        stored: files of other versions in the home, by hash; these are not copied again.
        stop: set when all threads have to end.
    """

    staging: DatasetFolder
    expected: Mapping[str, str]
    copy: bool
    jobs: int
    stored: Mapping[str, StoredCopy] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)


def _import_files(
    files: Mapping[str, LocalFile], work: _Import, progress: Progress | None
) -> tuple[dict[str, str], list[Problem]]:
    """Return the hash of each correct file, and the problems of the others.

    Raises:
        CallError: a hard link is not possible.
        NoSpaceError: the disk has no room for the copies.
    """
    staging = work.staging
    cache = StatCache(staging.stat_cache, staging.native)
    staging.native.mkdir(parents=True, exist_ok=True)
    _remove_others(staging.native, files)
    places = {path: make_parents_inside(staging.native, path) for path in files}
    if not work.copy:
        for path, file in files.items():
            _link(file.place, places[path])
    hashes = {
        path: known
        for path, file in files.items()
        if (known := _known_hash(path, file, places[path], work, cache)) is not None
    }
    missing = {path: file for path, file in files.items() if path not in hashes}
    if work.copy:
        _check_space(
            [file for path, file in missing.items() if work.expected.get(path) not in work.stored],
            staging,
        )
    meter = Meter(sum(file.size_bytes for file in missing.values()), progress)
    problems: list[Problem] = []

    def take(path: str) -> None:
        result = _check_file(missing[path], places[path], path, work, meter)
        if isinstance(result, Problem):
            problems.append(result)
            return
        cache.add(path, result)
        cache.save()  # after each file: reading one again may take many minutes
        hashes[path] = result

    with ThreadPoolExecutor(work.jobs, "adopt") as pool:
        try:
            list(pool.map(take, missing))
        except BaseException:  # Ctrl-C, or the disk is full
            work.stop.set()
            raise
    return hashes, problems


def _known_hash(
    path: str, file: LocalFile, place: Path, work: _Import, cache: StatCache
) -> str | None:
    """Return the hash of a file that an earlier call has read, if neither copy has changed."""
    try:
        state = place.lstat()
    except FileNotFoundError:
        return None
    source = file.place.stat()
    is_same = (state.st_size, state.st_mtime_ns) == (source.st_size, source.st_mtime_ns)
    expected = work.expected.get(path)
    known = cache.hash_of(path, state) if is_same else None
    return known if known is not None and known == (expected or known) else None


def _link(source: Path, place: Path) -> None:
    """Make a hard link to a file; an existing link to it stays.

    Raises:
        CallError: a hard link is not possible.
    """
    real = source.resolve(strict=True)  # the target of a symbolic link gets the hard link
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
            f"{source} cannot get a hard link in the home: {NO_LINK[error.errno]}",
            untouched="nothing was adopted",
            hint="--copy copies the files; --home DIR uses a home on the file system of the files, "
            "and needs no room there",
        ) from error


def _check_file(
    file: LocalFile, place: Path, path: str, work: _Import, meter: Meter
) -> str | Problem:
    """Return the hash of a file, which is read once and, if requested, copied at the same time."""
    expected = work.expected.get(path)
    # What another version has is read and compared, but not copied a second time.
    is_copied = work.copy and expected not in work.stored
    copied = place.with_name(f"{place.name}.copy") if is_copied else None
    try:
        actual = _read(file, copied, expected or UNPINNED, work, meter)
    except OSError as error:
        if full_disk(error):
            raise
        return Problem(CHANGED, path, f"cannot be read: {error.strerror}")
    if actual is None:
        return Problem(CHANGED, path, "was written to while it was read")
    if expected is not None and actual != expected:
        if copied is not None:
            copied.unlink()
        return Problem(CHANGED, path, hash_mismatch(expected, actual))
    if work.copy:
        _publish_copy(file, place, actual, work)
    return actual


def _publish_copy(file: LocalFile, place: Path, actual: str, work: _Import) -> None:
    """Give a copy its name; of content that another version has, no second copy is made."""
    copied = place.with_name(f"{place.name}.copy")
    stored = work.stored.get(actual)
    if stored is not None:
        place_copy(stored, copied)
        # The other version was verified once; its disk may have lost a bit since then.
        if hash_like(copied, actual) != actual:
            copied.unlink()
            shutil.copyfile(file.place, copied)
    # On the disk before it gets its name: the stat cache lists it next.
    fsync_path(copied, flags=os.O_NOFOLLOW)
    copied.replace(place)


def _read(
    file: LocalFile, copied: Path | None, kind: str, work: _Import, meter: Meter
) -> str | None:
    """Return the hash of a file's bytes, or None if it changed while it was read."""
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(file.place.open("rb", buffering=0))
        before = os.fstat(source.fileno())
        if not stat.S_ISREG(before.st_mode):
            return None
        if copied is not None:
            copied.unlink(missing_ok=True)  # left by a kill; it may be a hard link
        copy = stack.enter_context(copied.open("xb")) if copied else None
        digest = new_hash(kind, before.st_size)
        while block := source.read(READ_BLOCK_BYTES):
            if work.stop.is_set():
                raise InterruptedError("stopped because another file failed")
            digest.update(block)
            if copy is not None:
                copy.write(block)
            meter.advance(len(block))
        after = os.fstat(source.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        return None
    if copied is not None:
        # The same mtime as the original: `_known_hash` compares them.
        os.utime(copied, ns=(before.st_atime_ns, before.st_mtime_ns))
    return digest.text()


def _remove_others(root: Path, files: Mapping[str, LocalFile]) -> None:
    """Remove files that an earlier call imported and that are not wanted now."""
    for top, _, names in os.walk(root, topdown=False):
        for name in names:
            path = Path(top, name)
            if path.relative_to(root).as_posix() not in files:
                path.unlink()
        if top != str(root) and not any(Path(top).iterdir()):
            Path(top).rmdir()


def _check_space(missing: Sequence[LocalFile], staging: DatasetFolder) -> None:
    need = sum(file.size_bytes for file in missing)
    free = shutil.disk_usage(staging.root).free
    if need > free:
        raise NoSpaceError(
            f"copies of {counted(len(missing), 'file')} need {format_bytes(need)} ({need} bytes), "
            f"and the disk of {staging.root} has {format_bytes(free)} free ({free} bytes)",
            untouched="nothing was adopted",
            hint="without --copy no room is needed if the files are on the file system of the "
            "home; else make room, or use another folder with --home",
        )


def _publish(
    folder: DatasetFolder, staging: DatasetFolder, match: FolderMatch, hashes: dict[str, str]
) -> None:
    """Move all files to their place in one step.

    Listing, manifest and stat cache come first. After a kill in between, `native/` does not exist
    yet, and the same call resumes.
    """
    if match.listing is not None:
        save_listing(match.listing, folder.listing)
        entries = (Entry(path, file.size_bytes, hashes[path]) for path, file in match.files.items())
        write_atomically(folder.manifest, Manifest(tuple(sorted(entries))).dump())
    (folder.root / REQUEST_NAME).unlink(missing_ok=True)  # all files are here
    if staging.stat_cache.is_file():
        publish(staging.stat_cache, folder.stat_cache)
    publish(staging.native, folder.native)
    shutil.rmtree(staging.root)
    if not any(folder.partial.iterdir()):
        folder.partial.rmdir()


def _failure(descriptor: Descriptor, root: Path, problems: Sequence[Problem]) -> VerificationError:
    has_unexpected = any(problem.kind == UNEXPECTED for problem in problems)
    skip = "; --ignore GLOB skips files that are not of the dataset"
    return VerificationError(
        f"{root} differs from {descriptor.dataset} {descriptor.version} in "
        f"{counted(len(problems), 'place')}",
        problems=problems,
        done="unchanged files that were read are not read again by the next call",
        untouched="nothing was adopted",
        hint="correct the folder, and adopt it again" + (skip if has_unexpected else ""),
    )
