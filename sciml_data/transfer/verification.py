"""Check a folder of files against its manifest, and name every file that differs.

`fetch` checks each file as it arrives. This stage is for files that came another way, for disks
that lose data, and for people who edit files. A correct file is not read again while its size,
mtime and inode are unchanged, unless `full` is set.

A file that the manifest does not list is a difference, too: a reader could take it for data. It is
left alone, because only its owner knows what it is. Files that an operating system puts into any
folder (`.DS_Store`, `Thumbs.db`, `.nfs…`) are not data: they are named, and are not differences.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from sciml_data.errors import CallError, FetchError, Problem, VerificationError
from sciml_data.home import DatasetFolder, not_writable
from sciml_data.progress import Log, Meter, Progress, counted
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.manifest import (
    Entry,
    describe_left_out,
    list_files,
    lstat_inside,
    move_to_quarantine,
    read_manifest,
)
from sciml_data.registry.stages import Fetched, Plan, Verified
from sciml_data.transfer.download.engine import fetch
from sciml_data.transfer.download.local_files import StatCache, drop_contradicted, requested_paths
from sciml_data.transfer.download.partial_file import hash_like, hash_mismatch
from sciml_data.transfer.protocols.retry import RetryPolicy

logger = logging.getLogger(__name__)

MARKER_NAME = "SYNTHETIC.json"  # in the folder of a synthetic sample, and in no other folder
MISSING, CHANGED, UNEXPECTED = "missing", "changed", "unexpected"  # kinds of problems


def load_fetched(descriptor: Descriptor, folder: DatasetFolder) -> Fetched:
    """Return the files that a folder should have, without looking at them.

    The manifest is that of the registry, less the files that were not requested and do not exist.
    Samples, live versions and unpinned versions have a manifest in their own folder.

    Raises:
        CallError: nothing was ever fetched into the folder.
    """
    is_synthetic = (folder.files_root / MARKER_NAME).is_file()
    has_own = is_synthetic or descriptor.manifest is None
    if has_own and folder.manifest.is_file():
        return Fetched(descriptor, folder, read_manifest(folder.manifest), is_synthetic)
    requested = requested_paths(folder)
    if has_own or descriptor.manifest is None or not (folder.native.is_dir() or requested):
        flag = "" if folder.sample_seed is None else f" --sample --sample-seed {folder.sample_seed}"
        version = f"{descriptor.dataset} --version {descriptor.version}{flag}"
        has_ready = any(place.is_dir() for place in folder.ready_places)
        raise CallError(
            f"{'the native files of ' if has_ready else ''}{descriptor.dataset} "
            f"{descriptor.version} {'are' if has_ready else 'is'} not in {folder.root}",
            untouched="nothing was read or changed",
            hint=f"sciml-data get {version} fetches them; sciml-data verify {version} --ready "
            "checks the ready files"
            if has_ready
            else f"sciml-data get {version}",
        )
    manifest = descriptor.manifest
    if requested is not None:
        existing = list_files(folder.native)
        # A link or a pipe in the place of a file is reported by the check.
        there = {*existing.files, *existing.left_out, *(p.place for p in existing.problems)}
        manifest = manifest.select(set(manifest.by_path) & (requested | there))
    return Fetched(descriptor, folder, manifest)


def verify(
    fetched: Fetched,
    *,
    full: bool = False,
    jobs: int = 2,
    progress: Progress | None = None,
    log: Log | None = None,
) -> Verified:
    """Return the folder as verified, or raise an error with everything that differs.

    All files are checked, also after the first difference: which files differ often shows what is
    wrong with a disk or a mirror.

    Args:
        fetched: result of `fetch`, `load_fetched` or `make_sample`.
        full: read every byte, also of files that were correct before and are unchanged.
        jobs: number of files to read in parallel.
        progress: gets (bytes done, total bytes).
        log: gets a line about files of the operating system, such as `.DS_Store`, if there are any.

    Raises:
        VerificationError: files are missing, changed or unexpected; `.problems` has each of them.
    """
    log = log or logger.info
    problems = differences(fetched, full=full, jobs=jobs, progress=progress, log=log)
    if problems:
        raise _failure(fetched, problems)
    return Verified(fetched.descriptor, fetched.folder, fetched.manifest, fetched.is_synthetic)


def repair(  # noqa: PLR0913 - the files, how to read and to fetch them, and two callbacks
    fetched: Fetched,
    plan: Plan,
    *,
    full: bool = False,
    jobs: int = 2,
    progress: Progress | None = None,
    log: Log | None = None,
    retry: RetryPolicy | None = None,
) -> Verified:
    """Move changed files to quarantine, fetch missing ones, and verify all files.

    Args:
        fetched: the files to check.
        plan: has the URLs of these files; its other files are not fetched.
        full: read every byte first.
        jobs: number of files to read or fetch in parallel.
        progress: gets (bytes done, total bytes), first of reading, then of fetching.
        log: gets a line for each file that is moved, and for each mirror that fails.
        retry: timeouts and retries of the fetch.

    Raises:
        FetchError: a file could not be fetched.
        VerificationError: there are unexpected files; these are left alone.
    """
    log = log or logger.info
    problems = differences(fetched, full=full, jobs=jobs, progress=progress)
    changed = [problem.place for problem in problems if problem.kind == CHANGED]
    wanted = {problem.place for problem in problems if problem.kind in {MISSING, CHANGED}}
    if wanted and fetched.folder.is_shared:
        raise not_writable("repair the files", fetched.folder.files_root)
    # `fetch` takes the lock itself, so it is released in between. Another process can at most
    # fetch the missing files first; they are then found correct.
    with fetched.folder.lock("repair the files"):
        plan = drop_contradicted(plan, log)
        for path in changed:
            if lstat_inside(fetched.root, path) is not None:
                wrong = fetched.root / path
                moved = move_to_quarantine(fetched.folder, wrong, path, label=CHANGED)
                log(f"{path} was moved to {moved}")
    if wanted:
        part = replace(
            plan,
            files=tuple(file for file in plan.files if file.path in wanted),
            # If all files were requested before, they still are; if a part was, it stays a part.
            is_whole=requested_paths(fetched.folder) is None,
        )
        fetch(part, jobs=jobs, progress=progress, log=log, retry=retry)
    if fetched.descriptor.manifest is None:
        fetched = load_fetched(fetched.descriptor, fetched.folder)  # `fetch` adds to the manifest
    return verify(fetched, jobs=jobs, progress=progress, log=log)


def differences(
    fetched: Fetched,
    *,
    full: bool = False,
    jobs: int = 2,
    progress: Progress | None = None,
    log: Log | None = None,
) -> list[Problem]:
    """Return one problem for each file that is missing, changed or unexpected, by path.

    The arguments are those of `verify`; without `log`, left-out files are not reported.
    """
    cache = StatCache.of(fetched.folder)
    problems = changed_files(
        fetched.root, _expected(fetched), cache, full=full, jobs=jobs, progress=progress
    )
    known = fetched.manifest.by_path
    content = list_files(fetched.root)
    unlisted = {path: f"{state.st_size} bytes" for path, state in content.files.items()}
    unlisted |= {problem.place: problem.message for problem in content.problems}
    problems += [
        Problem(UNEXPECTED, path, f"{what}, not in the manifest")
        for path, what in unlisted.items()
        if path not in known
    ]
    if log and (left_out := [path for path in content.left_out if path not in known]):
        log(describe_left_out(left_out))
    return sorted(problems, key=lambda problem: (problem.place, problem.kind))


def _expected(fetched: Fetched) -> Iterable[Entry]:
    """Return the entries of the manifest, for an unpinned version with the sizes that are listed.

    The manifest of such a version says what was received, and the listing what exists.
    """
    folder = fetched.folder
    if fetched.descriptor.manifest is not None or not folder.listing.is_file():
        return fetched.manifest
    from sciml_data.transfer.listing.listing import read_listing

    listing = read_listing(folder.listing)
    sizes = {file.path: file.size_bytes for file in listing.files} if listing is not None else {}
    return [
        replace(entry, size_bytes=sizes.get(entry.path, entry.size_bytes))
        for entry in fetched.manifest
    ]


def changed_files(
    root: Path,
    manifest: Iterable[Entry],
    cache: StatCache,
    *,
    full: bool = False,
    jobs: int = 2,
    progress: Progress | None = None,
) -> list[Problem]:
    """Return one problem for each listed file that is missing or changed.

    Args:
        root: folder of the files.
        manifest: entries of the files to check.
        cache: correct files are added to it, changed ones removed.
        full: hash also files that the cache knows.
        jobs: number of files to read in parallel.
        progress: gets (bytes done, total bytes).
    """
    problems: list[Problem] = []
    to_read: list[tuple[Entry, os.stat_result]] = []
    for entry in manifest:
        state = _state_or_problem(root, entry)
        if isinstance(state, Problem):
            problems.append(state)
        elif full or not cache.has(entry.path, entry.hash, state):
            to_read.append((entry, state))
    meter = Meter(sum(entry.size_bytes for entry, _ in to_read), progress)
    pool = ThreadPoolExecutor(jobs)
    try:
        results = pool.map(partial(_read, root, cache, meter), to_read)
        problems += [problem for problem in results if problem is not None]
    except BaseException:  # Ctrl-C does not wait until large files are read to their end
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    finally:
        cache.save()  # what was read need not be read again
    pool.shutdown()
    return problems


def _state_or_problem(root: Path, entry: Entry) -> os.stat_result | Problem:
    """Return the status of a file, or what is wrong as far as path, type and size show."""
    try:
        state = lstat_inside(root, entry.path)
    except FetchError as error:
        return Problem(CHANGED, entry.path, error.message)
    if state is None:
        return Problem(MISSING, entry.path, f"{entry.size_bytes} bytes expected")
    if not stat.S_ISREG(state.st_mode):
        # Such a file must not be opened: a FIFO would block until somebody writes to it.
        return Problem(CHANGED, entry.path, "not a regular file")
    if state.st_size != entry.size_bytes:
        return Problem(
            CHANGED, entry.path, f"{entry.size_bytes} bytes expected, {state.st_size} found"
        )
    return state


def _read(
    root: Path, cache: StatCache, meter: Meter, file: tuple[Entry, os.stat_result]
) -> Problem | None:
    """Hash one file; a correct one is added to the cache with its status from before."""
    entry, state = file
    try:
        actual = hash_like(root / entry.path, entry.hash)
    except OSError as error:
        return Problem(CHANGED, entry.path, f"cannot be read: {error.strerror}")
    meter.advance(entry.size_bytes)
    if actual != entry.hash:
        cache.forget(entry.path)
        return Problem(CHANGED, entry.path, hash_mismatch(entry.hash, actual))
    cache.add(entry.path, actual, state)
    return None


def _failure(fetched: Fetched, problems: list[Problem]) -> VerificationError:
    descriptor = fetched.descriptor
    name = f"{descriptor.dataset} --version {descriptor.version}"
    hint = f"sciml-data verify {name} --repair"
    if all(problem.kind == UNEXPECTED for problem in problems):
        hint = f"move the unexpected files out of {fetched.root}"
    elif fetched.is_synthetic:
        hint = f"sciml-data get {name} --sample makes the sample again"
    elif descriptor.live is not None:
        hint = f"sciml-data get {name} --start … --end … asks the service again"
    differ = "1 file differs" if len(problems) == 1 else f"{len(problems)} files differ"
    total = counted(len(fetched.manifest), "file")
    return VerificationError(
        f"{descriptor.dataset} {descriptor.version}: {differ} from the manifest of {total}",
        problems=problems,
        untouched="nothing was changed",
        hint=hint,
    )
