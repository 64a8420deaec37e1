"""All files of a plan, several at once, in a folder that no other process works in."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from sciml_data.errors import FetchError, NoSpaceError, Problem, SciMLDataError
from sciml_data.home import DatasetFolder
from sciml_data.progress import Log, Meter, Progress, format_bytes
from sciml_data.registry.manifest import unsafe_because
from sciml_data.registry.stages import Fetched, Plan, PlannedFile
from sciml_data.transfer.download.asked import note_asked
from sciml_data.transfer.download.crew import Crew, Turn
from sciml_data.transfer.download.kept import fetched_manifest, keep
from sciml_data.transfer.download.mirrors import Mirrors
from sciml_data.transfer.download.part import arrived_bytes
from sciml_data.transfer.download.present import held
from sciml_data.transfer.download.publish import Publisher
from sciml_data.transfer.download.ranges import RANGE_BYTES
from sciml_data.transfer.download.receipt import StatCache
from sciml_data.transfer.download.run import Run, StoppedError
from sciml_data.transfer.download.transfer import NO_SPACE, fetch_file, refused_by_disk
from sciml_data.transfer.protocols.mirrors import mirror_of
from sciml_data.transfer.protocols.retry import RetryPolicy
from sciml_data.transfer.protocols.source import Sources

DEFAULT_JOBS = 8  # requests at once: on loopback 4 to 16 are alike, farther off more may be better


def fetch(
    plan: Plan,
    *,
    jobs: int = DEFAULT_JOBS,
    progress: Progress | None = None,
    log: Log | None = None,
    retry: RetryPolicy | None = None,
    range_bytes: int = RANGE_BYTES,
) -> Fetched:
    """Return the planned files, published in `plan.folder.native`, each with the right hash.

    What lies there already and is right is not asked for; what lies there and is wrong is moved
    to quarantine. Every file is tried, also after the first failure; what arrived stays. Of a
    version that nobody has pinned, the sha256 of what arrived is kept in `plan.folder.manifest`.

    Args:
        plan: what to fetch.
        jobs: requests at once, for files or ranges of large ones.
        progress: is told of (bytes done, bytes to do).
        log: is told of mirrors that lie or fail, once for each mirror and reason.
        retry: timeouts and retries.
        range_bytes: that a worker takes of a large file when several bring it; a file is large
            from twice as many on.

    Raises:
        FetchError: `.problems` has every file that no mirror gave, with each mirror's reason.
        NoSpaceError: the disk does not hold what is missing.
        LockedError: another process works in the folder.
    """
    _check_paths(plan)
    work = _Work(plan, jobs, progress, log or (lambda _: None), retry or RetryPolicy())
    name = f"{plan.descriptor.dataset} {plan.descriptor.version}"
    with plan.folder.lock(f"fetch {name}"):
        try:
            work.do(range_bytes)
        finally:
            keep(plan, work.hashes)
    if work.problems:
        raise _failure(plan, work.problems)
    return Fetched(plan.descriptor, plan.folder, fetched_manifest(plan, work.hashes))


@dataclass
class _Work:
    """What one call of `fetch` is to do, and what came of it so far."""

    plan: Plan
    jobs: int
    progress: Progress | None
    log: Log
    retry: RetryPolicy
    hashes: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def do(self, range_bytes: int) -> None:
        plan = self.plan
        with _saved(StatCache(plan.folder)) as receipt:
            note_asked(plan)
            self.hashes, missing, self.problems = held(plan, receipt, jobs=self.jobs, log=self.log)
            _check_space(missing, plan.folder)
            self._fetch(missing, receipt, range_bytes)
            _tidy(plan.folder)

    def _fetch(self, missing: Sequence[PlannedFile], receipt: StatCache, range_bytes: int) -> None:
        """Fetch what is missing, large files first, so that none ends alone."""
        plan, stop = self.plan, threading.Event()
        failures: list[tuple[str, Exception]] = []

        def failed(path: str, error: Exception) -> None:
            failures.append((path, error))
            if isinstance(error, OSError) and error.errno in NO_SPACE:
                stop.set()
                crew.wake()

        crew = Crew(sorted(missing, key=lambda file: -file.size_bytes), stop)
        publisher = Publisher(plan.folder, receipt, failed)
        try:
            with (
                publisher,
                Sources(connections=self.jobs, timeouts=self.retry.timeouts) as sources,
            ):
                run = Run(
                    folder=plan.folder,
                    sources=sources,
                    mirrors=Mirrors(self.log, self.jobs),
                    retry=self.retry,
                    publisher=publisher,
                    meter=Meter(sum(file.size_bytes for file in missing), self.progress),
                    stop=stop,
                    crew=crew,
                    range_bytes=range_bytes,
                    is_unpinned=plan.descriptor.manifest is None,
                )
                self.problems += _run_workers(run, self.jobs)
        except StoppedError:
            if not failures:
                raise
        finally:
            self.hashes |= publisher.published
        self.problems += [_disk_problem(path, error, plan.folder) for path, error in failures]


def _run_workers(run: Run, jobs: int) -> list[Problem]:
    """Return the problems of all files; the first other error stops all and is raised."""
    problems: list[Problem] = []
    with ThreadPoolExecutor(jobs, "fetch") as pool:
        workers = [pool.submit(_work, run) for _ in range(jobs)]
        try:
            for worker in as_completed(workers):
                problems += worker.result()
        except BaseException:  # the disk is full, or the user wants to stop
            run.stop.set()
            run.crew.wake()
            raise
    return problems


def _work(run: Run) -> list[Problem]:
    """Take what is to be done until nothing is."""
    problems: list[Problem] = []
    while (task := run.crew.next()) is not None:
        if isinstance(task, Turn):
            task.take()
            continue
        try:
            problems += fetch_file(task, run)
        finally:
            run.crew.finished()
    return problems


def _disk_problem(path: str, error: Exception, folder: DatasetFolder) -> Problem:
    if isinstance(error, OSError):
        return refused_by_disk(error, path, folder)
    wrong = error.message if isinstance(error, SciMLDataError) else str(error)
    return Problem("failed", path, wrong)


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
def _saved(receipt: StatCache) -> Iterator[StatCache]:
    try:
        yield receipt
    finally:
        receipt.save()


def _check_space(missing: Sequence[PlannedFile], folder: DatasetFolder) -> None:
    """Raise NoSpaceError if the disk does not hold what has yet to arrive."""
    need = sum(file.size_bytes - arrived_bytes(file, folder) for file in missing)
    state = os.statvfs(folder.root)
    free = state.f_bavail * state.f_frsize
    if need > free:
        raise NoSpaceError(
            f"{len(missing)} files need {format_bytes(need)} more ({need} bytes), and the disk of "
            f"{folder.root} has {format_bytes(free)} free ({free} bytes)",
            untouched="nothing was fetched",
            hint="make room, name another home with --home, or fetch a part with --include GLOB",
        )


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
