"""All files of a plan, several at once, in a folder that no other process works in."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from sciml_data.errors import FetchError, NoSpaceError, Problem
from sciml_data.fetch.asked import note_asked
from sciml_data.fetch.attempt import Run
from sciml_data.fetch.checksum import hash_like
from sciml_data.fetch.meter import Meter, Notice, Progress, in_words
from sciml_data.fetch.mirrors import Mirrors
from sciml_data.fetch.part import part_name
from sciml_data.fetch.place import find_file, quarantine
from sciml_data.fetch.receipt import Receipt
from sciml_data.fetch.transfer import fetch_file
from sciml_data.home import DatasetFolder
from sciml_data.manifest import Entry, Manifest, unsafe_because
from sciml_data.sources import Sources
from sciml_data.sources.mirrors import mirror_of
from sciml_data.sources.patience import Patience
from sciml_data.stages import Fetched, Plan, PlannedFile

DEFAULT_JOBS = 8  # files at once: 2 cores hash what 8 connections bring (benchmarks/transport.py)


def fetch(
    plan: Plan,
    *,
    jobs: int = DEFAULT_JOBS,
    progress: Progress | None = None,
    notice: Notice | None = None,
    patience: Patience | None = None,
) -> Fetched:
    """Return the planned files, published in `plan.folder.native`, each with the right hash.

    What lies there already and is right is not asked for; what lies there and is wrong is moved
    to quarantine. Every file is tried, also after the first failure; what arrived stays.

    Args:
        plan: what to fetch.
        jobs: files to transfer at once.
        progress: is told of (bytes done, bytes to do).
        notice: is told of mirrors that lie or fail, once for each mirror and reason.
        patience: timeouts and retries.

    Raises:
        FetchError: `.problems` has every file that no mirror gave, with each mirror's reason.
        NoSpaceError: the disk does not hold what is missing.
        LockedError: another process works in the folder.
    """
    _check_paths(plan)
    notice = notice or (lambda _: None)
    patience = patience or Patience()
    name = f"{plan.descriptor.dataset} {plan.descriptor.version}"
    with plan.folder.lock(f"fetch {name}"), _saved(Receipt(plan.folder)) as receipt:
        note_asked(plan)
        problems, missing = _missing(plan, receipt, jobs=jobs, notice=notice)
        _check_space(missing, plan.folder)
        with Sources(connections=jobs, timeouts=patience.timeouts) as sources:
            meter = Meter(sum(file.size_bytes for file in missing), progress)
            mirrors = Mirrors(notice)
            stop = threading.Event()
            run = Run(plan.folder, sources, mirrors, patience, receipt, meter, stop)
            problems += _fetch_all(missing, run, jobs)
        _tidy(plan.folder)
    if problems:
        raise _failure(plan, problems)
    entries = (Entry(file.path, file.size_bytes, file.hash or "") for file in plan.files)
    return Fetched(plan.descriptor, plan.folder, Manifest(tuple(sorted(entries))))


def present_paths(plan: Plan) -> set[str]:
    """Return the planned paths where a file of the right size lies; nothing is hashed."""
    found = set()
    for file in plan.files:
        with contextlib.suppress(FetchError):
            state = find_file(plan.folder.native, file.path)
            if _may_be_right(state, file):
                found.add(file.path)
    return found


def _check_paths(plan: Plan) -> None:
    """Refuse a path that could leave the folder, also in a plan that no manifest made."""
    problems = [
        Problem("path", file.path, reason)
        for file in plan.files
        if (reason := unsafe_because(file.path))
    ]
    if problems:
        raise FetchError(
            f"{len(problems)} paths of {plan.descriptor.dataset} are refused",
            problems=problems,
            untouched="nothing was fetched or changed",
        )


@contextlib.contextmanager
def _saved(receipt: Receipt) -> Iterator[Receipt]:
    try:
        yield receipt
    finally:
        receipt.save()


def _missing(
    plan: Plan, receipt: Receipt, *, jobs: int, notice: Notice
) -> tuple[list[Problem], list[PlannedFile]]:
    """Return what cannot lie where it has to, and the files that are not there or are wrong."""
    problems: list[Problem] = []
    missing: list[PlannedFile] = []
    unproven: list[PlannedFile] = []
    for file in plan.files:
        try:
            state = find_file(plan.folder.native, file.path)
        except FetchError as error:
            problems.append(Problem("failed", file.path, error.wrong))
            continue
        if state is None:
            missing.append(file)
        elif not receipt.stands(file.path, file.hash or "", state):
            unproven.append(file)
    with ThreadPoolExecutor(jobs) as pool:
        for file, found in zip(
            unproven, pool.map(lambda file: _found_hash(file, plan.folder), unproven), strict=True
        ):
            if found is not None and found == file.hash:
                receipt.add(file.path, found)
                continue
            path = plan.folder.native / file.path
            kept = quarantine(plan.folder, path, file.path, what=(found or "other")[:19])
            notice(f"{file.path} was not what the manifest says; it is now {kept}")
            missing.append(file)
    return problems, missing


def _found_hash(file: PlannedFile, folder: DatasetFolder) -> str | None:
    """Return the hash of what lies there, or None where its kind or size is wrong already."""
    if file.hash is None or not _may_be_right(find_file(folder.native, file.path), file):
        return None
    return hash_like(folder.native / file.path, file.hash)


def _may_be_right(state: os.stat_result | None, file: PlannedFile) -> bool:
    return state is not None and stat.S_ISREG(state.st_mode) and state.st_size == file.size_bytes


def _check_space(missing: Sequence[PlannedFile], folder: DatasetFolder) -> None:
    """Raise NoSpaceError if the disk does not hold what has yet to arrive."""
    need = sum(file.size_bytes - _arrived_bytes(file, folder) for file in missing)
    state = os.statvfs(folder.root)
    free = state.f_bavail * state.f_frsize
    if need > free:
        raise NoSpaceError(
            f"{len(missing)} files need {in_words(need)} more ({need} bytes), and the disk of "
            f"{folder.root} has {in_words(free)} free ({free} bytes)",
            untouched="nothing was fetched",
            hint="make room, name another home with --home, or fetch a part with --include GLOB",
        )


def _arrived_bytes(file: PlannedFile, folder: DatasetFolder) -> int:
    with contextlib.suppress(FetchError):
        state = find_file(folder.partial, part_name(file.path))
        if state is not None and stat.S_ISREG(state.st_mode):
            return min(state.st_size, file.size_bytes)
    return 0


def _fetch_all(files: Sequence[PlannedFile], run: Run, jobs: int) -> list[Problem]:
    """Return the problems of all files; large ones start first, so that none ends alone."""
    problems: list[Problem] = []
    by_size = sorted(files, key=lambda file: -file.size_bytes)
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(fetch_file, file, run) for file in by_size]
        try:
            for future in as_completed(futures):
                problems += future.result()
        except BaseException:  # the disk is full, or the user wants to stop
            run.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return problems


def _tidy(folder: DatasetFolder) -> None:
    """Remove parts of which nothing came, and the empty folders that finished ones leave."""
    for path, _, names in os.walk(folder.partial, topdown=False):
        for name in names:
            part = Path(path, name)
            if part.lstat().st_size == 0:
                part.unlink()
        with contextlib.suppress(OSError):
            os.rmdir(path)  # noqa: PTH106 (os.walk gives strings)


def _failure(plan: Plan, problems: Sequence[Problem]) -> FetchError:
    descriptor = plan.descriptor
    failed = {problem.place for problem in problems}
    mirrors = dict.fromkeys(
        mirror_of(url, file.path, file.urls) for file in plan.files for url in file.urls
    )
    return FetchError(
        f"{len(failed)} of {len(plan.files)} files of {descriptor.dataset} {descriptor.version} "
        f"could not be fetched; mirrors tried: {', '.join(mirrors) or 'none'}",
        problems=sorted(problems, key=lambda problem: problem.place),
        done=f"{len(plan.files) - len(failed)} files are in {plan.folder.native}",
        untouched="what arrived of the others is kept, and the same command goes on from there",
        hint="without a network, name a folder or server that holds the files: "
        f"sciml-data get {descriptor.dataset} --version {descriptor.version} --mirror file:DIR",
    )
