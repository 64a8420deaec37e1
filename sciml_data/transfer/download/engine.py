"""Fetch all files of a plan: what exists, what is missing, and each missing file from its mirrors.

Read from top to bottom: `fetch` (one call for a whole plan), the workers' loop, one file from its
mirrors in order, and `Attempt` (one file from one URL until its hash is right).
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from dataclasses import dataclass, field, replace
from pathlib import Path

from sciml_data.errors import (
    FetchError,
    NoSpaceError,
    NotWritableError,
    Problem,
    SciMLDataError,
    full_disk,
)
from sciml_data.home import DatasetFolder
from sciml_data.progress import Log, Meter, Progress, counted, format_bytes
from sciml_data.registry.manifest import READ_BLOCK_BYTES, unsafe_because
from sciml_data.registry.stages import Fetched, Plan, PlannedFile
from sciml_data.transfer.download.local_files import (
    Publisher,
    StatCache,
    check_existing,
    complete_hashes,
    drop_contradicted,
    fetched_manifest,
    save_manifest,
    save_request,
)
from sciml_data.transfer.download.partial_file import (
    MIB,
    PartialFile,
    is_verifiable,
    received_bytes,
)
from sciml_data.transfer.download.requests import (
    Address,
    ChangedError,
    FetchContext,
    Mirrors,
    Requests,
    StoppedError,
    WrongBytesError,
)
from sciml_data.transfer.download.workers import (
    ByteRange,
    RangeTask,
    SharedDownload,
    WorkerPool,
)
from sciml_data.transfer.protocols.mirrors import MirrorNames, Sources
from sciml_data.transfer.protocols.retry import RetryPolicy
from sciml_data.transfer.protocols.source import (
    NoMirrorError,
    OtherRegionError,
    RangeRefusedError,
    SourceError,
    TransientError,
)

# Requests at once. On loopback 4 to 16 were equally fast; over a long distance more may be faster.
DEFAULT_JOBS = 8
# 16, 32 and 64 MiB were equally fast within the noise of the machine (4 files of 500 MB from a Ceph
# gateway on loopback); the smallest loses the least when a worker fails.
RANGE_BYTES = 16 * MIB
STOP_WAIT_S = 3.0  # for workers to close their files when a run is stopped
# Problem of a file at a mirror that failed for other files before.
NOT_ASKED = re.compile(r"(?P<mirror>.+?): not asked again: (?P<reason>.+)", re.DOTALL)
MIN_RANGES = 2  # a file of this many ranges is large: several workers may download it
# While a mirror gives other files, one file is refused this many times `RetryPolicy.tries` before
# it fails: a busy mirror refuses at random, and that says little about the file.
REFUSALS_FACTOR = 10


def fetch(
    plan: Plan,
    *,
    jobs: int = DEFAULT_JOBS,
    progress: Progress | None = None,
    log: Log | None = None,
    retry: RetryPolicy | None = None,
    range_bytes: int = RANGE_BYTES,
) -> Fetched:
    """Download the planned files to `plan.folder.native`, each with the right hash.

    Existing files with the right hash are not downloaded again; existing files with another hash
    are moved to quarantine. Every file is tried, also after another one failed, and bytes that
    arrived are kept for the next call. For a version that the registry does not pin, the sha256 of
    each file is stored in `plan.folder.manifest`.

    Args:
        plan: the files and their URLs.
        jobs: requests at once, for files or for ranges of large files.
        progress: gets (bytes done, total bytes).
        log: gets a line for each mirror that fails or sends wrong content, and for each reason.
        retry: timeouts and retries.
        range_bytes: size of the ranges in which several workers download a large file; a file is
            large from two ranges on.

    Raises:
        FetchError: a file could not be fetched; `.problems` has each file with each mirror's
            reason.
        NoSpaceError: the disk has no room for the missing files.
        NotWritableError: files are missing, and the folder cannot be written.
        LockedError: another process works in the folder, and waiting is off.
    """
    _check_paths(plan)
    if plan.folder.is_shared:
        if fetched := _existing(plan, jobs):
            return fetched
        plan = replace(plan, folder=plan.folder.own)
    call = _FetchCall(
        plan, jobs, progress, log or logging.getLogger(__name__).info, retry or RetryPolicy()
    )
    name = f"{plan.descriptor.dataset} {plan.descriptor.version}"
    try:
        with plan.folder.lock(f"fetch {name}"):
            try:
                call.run(range_bytes)
            finally:
                # Also after an error: the next call checks these files against the same hashes.
                save_manifest(plan, call.hashes)
    except NotWritableError:
        if fetched := _existing(plan, jobs):
            return fetched
        raise
    if call.problems:
        raise _failure(plan, call.problems)
    return Fetched(plan.descriptor, plan.folder, fetched_manifest(plan, call.hashes))


def _existing(plan: Plan, jobs: int) -> Fetched | None:
    """Return the planned files if all exist and are correct; nothing is changed."""
    hashes = complete_hashes(plan, jobs=jobs)
    if hashes is None:
        return None
    return Fetched(plan.descriptor, plan.folder, fetched_manifest(plan, hashes))


@dataclass
class _FetchCall:
    """One call of `fetch`, with its results so far."""

    plan: Plan
    jobs: int
    progress: Progress | None
    log: Log
    retry: RetryPolicy
    hashes: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def run(self, range_bytes: int) -> None:
        self.plan = plan = drop_contradicted(self.plan, self.log)
        with _saved(StatCache.of(plan.folder)) as cache:
            save_request(plan)
            self.hashes, missing, self.problems = check_existing(
                plan, cache, jobs=self.jobs, log=self.log
            )
            missing = self._take_copies(missing, cache)
            _check_space(missing, plan.folder)
            self._download(missing, cache, range_bytes)
            _remove_empty(plan.folder)

    def _take_copies(self, missing: list[PlannedFile], cache: StatCache) -> list[PlannedFile]:
        """Take files that other versions have, and return those that have to be fetched.

        Raises:
            NoSpaceError: the disk is full.
        """
        copies = self.plan.copies
        wanted = [file for file in missing if file.path in copies]
        if not wanted:
            return missing
        from sciml_data.transfer.download.stored_copies import take_copy

        failures: list[tuple[str, Exception]] = []

        def take(file: PlannedFile) -> None:
            try:
                publisher.add(take_copy(file, copies[file.path], self.plan.folder))
            except (OSError, FetchError) as error:
                failures.append((file.path, error))

        with (
            Publisher(
                self.plan.folder, cache, lambda path, error: failures.append((path, error))
            ) as publisher,
            ThreadPoolExecutor(self.jobs, "copy") as pool,
        ):
            list(pool.map(take, wanted))
        self.hashes |= publisher.published
        for path, error in failures:
            if isinstance(error, OSError) and full_disk(error):
                _disk_problem(error, path, self.plan.folder)
            source = copies[path].source
            self.log(f"{path} cannot be taken from {source}, and is fetched: {error}")
        self._log_copies([file for file in wanted if file.path in publisher.published])
        return [file for file in missing if file.path not in publisher.published]

    def _log_copies(self, taken: Sequence[PlannedFile]) -> None:
        for source in sorted({self.plan.copies[file.path].source for file in taken}):
            files = [file for file in taken if self.plan.copies[file.path].source == source]
            size = format_bytes(sum(file.size_bytes for file in files))
            self.log(f"taken from {source}: {counted(len(files), 'file')}, {size}")

    def _download(self, missing: Sequence[PlannedFile], cache: StatCache, range_bytes: int) -> None:
        """Download the missing files, large ones first, so that none is left alone at the end."""
        plan, stop = self.plan, threading.Event()
        failures: list[tuple[str, Exception]] = []

        def failed(path: str, error: Exception) -> None:
            failures.append((path, error))
            if isinstance(error, OSError) and full_disk(error):
                stop.set()  # no other file will fit either
                workers.wake()

        workers = WorkerPool(sorted(missing, key=lambda file: -file.size_bytes), stop)
        publisher = Publisher(plan.folder, cache, failed)
        try:
            with (
                publisher,
                Sources(
                    connections=self.jobs, timeouts=self.retry.timeouts, log=self.log
                ) as sources,
            ):
                context = FetchContext(
                    folder=plan.folder,
                    sources=sources,
                    mirrors=Mirrors(self.log, self.jobs),
                    names=MirrorNames(plan.descriptor.mirrors, plan.bases),
                    retry=self.retry,
                    publisher=publisher,
                    meter=Meter(sum(file.size_bytes for file in missing), self.progress),
                    stop=stop,
                    workers=workers,
                    range_bytes=range_bytes,
                    is_unpinned=plan.descriptor.manifest is None,
                )
                self.problems += _run_workers(context, self.jobs)
        except StoppedError:
            if not failures:  # else the publisher's error is the reason, and is reported below
                raise
        finally:
            self.hashes |= publisher.published
        self.problems += [_publish_problem(path, error, plan.folder) for path, error in failures]


def _run_workers(context: FetchContext, jobs: int) -> list[Problem]:
    """Return the problems of all files; the first other error stops all workers and is raised."""
    problems: list[Problem] = []
    pool = ThreadPoolExecutor(jobs, "fetch")
    workers = [pool.submit(_work, context) for _ in range(jobs)]
    try:
        for worker in as_completed(workers):
            problems += worker.result()
    except BaseException:  # the disk is full, or the user pressed Ctrl-C
        context.stop.set()
        context.workers.wake()
        # A worker that waits for a slow server would delay the end by up to 30 s. It writes nothing
        # any more when its bytes arrive: the run is stopped.
        wait(workers, timeout=STOP_WAIT_S)
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    return problems


def _work(context: FetchContext) -> list[Problem]:
    """Run tasks until none is left."""
    problems: list[Problem] = []
    while (task := context.workers.next()) is not None:
        if isinstance(task, RangeTask):
            task.run()
            continue
        try:
            problems += _fetch_file(task, context)
        finally:
            context.workers.finished()
    return problems


def _check_paths(plan: Plan) -> None:
    """Refuse paths that could leave the folder, also in a plan that `make_plan` has not made."""
    problems = [
        Problem("path", file.path, reason)
        for file in plan.files
        if (reason := unsafe_because(file.path))
    ]
    if problems:
        raise FetchError(
            f"{counted(len(problems), 'path')} of {plan.descriptor.dataset} cannot be used",
            problems=problems,
            untouched="nothing was fetched or changed",
        )


@contextlib.contextmanager
def _saved(cache: StatCache) -> Iterator[StatCache]:
    try:
        yield cache
    finally:
        cache.save()


def _check_space(missing: Sequence[PlannedFile], folder: DatasetFolder) -> None:
    """Raise NoSpaceError if the disk has no room for the bytes that have yet to arrive."""
    need = sum(file.size_bytes - received_bytes(file, folder) for file in missing)
    state = os.statvfs(folder.root)
    free = state.f_bavail * state.f_frsize
    if need > free:
        raise NoSpaceError(
            f"no room for {counted(len(missing), 'file')}: {format_bytes(need)} ({need} bytes) "
            f"needed, {format_bytes(free)} ({free} bytes) free on the disk of {folder.root}",
            untouched="nothing was fetched",
            hint="make room, use another folder with --home, or fetch a part with --include GLOB",
        )


def _remove_empty(folder: DatasetFolder) -> None:
    """Remove partial files without a byte, and folders that are empty now."""
    for path, _, names in os.walk(folder.partial, topdown=False):
        for name in names:
            partial = Path(path, name)
            if partial.lstat().st_size == 0:
                partial.unlink()
        with contextlib.suppress(OSError):  # not empty
            os.rmdir(path)  # noqa: PTH106 (os.walk gives strings)


def _failure(plan: Plan, problems: Sequence[Problem]) -> FetchError:
    descriptor = plan.descriptor
    failed = {problem.place for problem in problems}
    names = MirrorNames(descriptor.mirrors, plan.bases)
    mirrors = dict.fromkeys(names.of(url) for file in plan.files for url in file.urls)
    problems = sorted(problems, key=lambda problem: problem.place)
    return FetchError(
        f"{len(failed)} of {counted(len(plan.files), 'file')} of {descriptor.dataset} "
        f"{descriptor.version} could not be fetched; mirrors tried: {', '.join(mirrors) or 'none'}",
        problems=problems,
        summary=_summary(problems),
        done=f"{plan.folder.native} has {counted(len(plan.files) - len(failed), 'file')}",
        untouched="partly downloaded files are kept, and the same command resumes them",
        hint="without a network, name a folder or server that has the files: "
        f"sciml-data get {descriptor.dataset} --version {descriptor.version} --mirror file:DIR",
    )


def _summary(problems: Sequence[Problem]) -> list[Problem]:
    """Return the problems, with one for each reason why a mirror gives no file at all.

    Workers ask at the same time, so several files may have the mirror's own answer; the other files
    say that the mirror was not asked again.
    """
    dropped = [match for each in problems if (match := NOT_ASKED.fullmatch(each.message))]
    reasons = {(match["mirror"], match["reason"]) for match in dropped}
    files: dict[str, list[Problem]] = {}
    for problem in problems:
        text = problem.message
        for mirror, reason in reasons:
            if text.startswith(mirror) and text.endswith(f": {reason}"):
                text = f"{mirror}: {reason}"
        files.setdefault(text, []).append(problem)
    return [
        same[0] if len(same) == 1 else Problem("failed", f"{len(same)} files", text)
        for text, same in sorted(files.items(), key=lambda item: -len(item[1]))
    ]


def _publish_problem(path: str, error: Exception, folder: DatasetFolder) -> Problem:
    if isinstance(error, OSError):
        return _disk_problem(error, path, folder)
    message = error.message if isinstance(error, SciMLDataError) else str(error)
    return Problem("failed", path, message)


def _disk_problem(error: OSError, path: str, folder: DatasetFolder) -> Problem:
    """Return the problem of a file that cannot be written.

    Raises:
        NoSpaceError: the disk is full, so that no other file can be written either.
    """
    reason = full_disk(error)
    if not reason:
        return Problem("failed", path, f"cannot be written: {error}")
    state = os.statvfs(folder.root)
    free = format_bytes(state.f_bavail * state.f_frsize)
    raise NoSpaceError(
        f"{reason} in {folder.root}: {free} of the disk were free when {path} arrived",
        done=f"the bytes of it that arrived are kept in {folder.partial}",
        untouched="complete files are kept",
        hint="make room, or use another folder with --home; the same command then resumes",
    ) from error


def _fetch_file(file: PlannedFile, context: FetchContext) -> list[Problem]:
    """Hand one file to the publisher; return no problem then, or one for each mirror.

    Raises:
        NoSpaceError: the disk is full; the bytes so far are kept.
        StoppedError: the run is stopped.
    """
    context.check_stop()
    try:
        with PartialFile(context.folder, file, has_journal=_is_large(file, context)) as partial:
            context.meter.advance(partial.received_bytes)
            problems = _from_mirrors(file, partial, context)
            if not problems:
                context.publisher.add(partial.complete())
    except StoppedError:
        raise
    except FetchError as error:
        return [Problem("failed", file.path, error.message)]
    except OSError as error:
        return [_disk_problem(error, file.path, context.folder)]
    return problems


def _from_mirrors(file: PlannedFile, partial: PartialFile, context: FetchContext) -> list[Problem]:
    """Download a file from the first mirror that has it; return the problems if none has."""
    is_complete = partial.received_bytes >= file.size_bytes and is_verifiable(file)
    if is_complete and not partial.problem():
        return []  # the last run was killed between the last byte and publishing
    problems = []
    groups = itertools.groupby(file.urls, key=context.names.of)
    mirrors = [(mirror, tuple(urls)) for mirror, urls in groups]
    for number, (mirror, urls) in enumerate(mirrors):
        if reason := context.mirrors.dropped_because(mirror):
            problems.append(Problem("failed", file.path, f"{mirror}: not asked again: {reason}"))
            continue
        is_last = all(context.mirrors.dropped_because(other) for other, _ in mirrors[number + 1 :])
        sorted_urls = context.mirrors.sort_urls(mirror, urls)
        addresses = [Address(url, mirror, is_last) for url in sorted_urls]
        result = _from_mirror(addresses, file, partial, context)
        if isinstance(result, str):
            context.mirrors.record_success(mirror, urls, result)
            return []
        problems.append(result)
    return problems or [Problem("failed", file.path, "no mirror is known")]


def _from_mirror(
    addresses: Sequence[Address], file: PlannedFile, partial: PartialFile, context: FetchContext
) -> str | Problem:
    """Return the URL under which a mirror gave the file, or why it did not under any."""
    errors: list[SourceError] = []
    reasons: list[str] = []
    is_dropped = False
    for address in addresses:
        attempt = Attempt(address, file, partial=partial, context=context)
        try:
            attempt.run()
        except SourceError as error:
            errors.append(error)
            is_dropped = isinstance(error, NoMirrorError) or attempt.is_refused_for_good(error)
            where = address.mirror if isinstance(error, NoMirrorError) else address.url
            reasons.append(f"{where}: {error.message}")
            if isinstance(error, TransientError) and error.is_refusal:
                break  # the server refuses its other URLs as well
        else:
            return address.url
    # All files of the bucket are in the other region: it is asked once, and not for each of them.
    elsewhere = [error for error in errors if isinstance(error, OtherRegionError)]
    if not any(isinstance(error, WrongBytesError) for error in errors):
        context.mirrors.record_failure(
            addresses[0].mirror,
            file.path,
            (elsewhere or errors)[-1],
            is_dropped=is_dropped or bool(elsewhere),
        )
    return Problem("failed", file.path, "; ".join(reasons))


def _is_large(file: PlannedFile, context: FetchContext) -> bool:
    """Return whether several workers may download a file."""
    return file.size_bytes >= MIN_RANGES * context.range_bytes


class Attempt:
    """The download of one file from one URL, with as many tries as the retry policy allows."""

    def __init__(
        self, address: Address, file: PlannedFile, *, partial: PartialFile, context: FetchContext
    ) -> None:
        """Start with the bytes so far, which may be of another run or mirror."""
        self._address = address
        self._file = file
        self._partial = partial
        self._context = context
        self._requests = Requests(address, file, partial, context)
        if partial.received_bytes and not is_verifiable(file) and partial.tag is None:
            # Neither a hash nor a tag would tell that the new bytes do not fit to the old ones.
            self._requests.restart()
        self._is_own = partial.received_bytes == 0  # whether all bytes come from this URL
        self._is_second = False  # whether wrong bytes were discarded already
        self._is_alone = False  # whether the server gives no ranges
        self._max_bytes = partial.received_bytes  # after the best try
        self._tries = 0
        self._refusals = 0

    def is_refused_for_good(self, error: SourceError) -> bool:
        """Return whether an error means that the mirror gives no file at all."""
        if not isinstance(error, TransientError) or not error.is_refusal:
            return False
        return self._requests.is_refused_for_good(error)

    def run(self) -> None:
        """Try until the file has the expected hash.

        Raises:
            SourceError: this URL does not give the file.
            StoppedError: the run is stopped.
            OSError: the disk is full or fails.
        """
        while True:
            try:
                return self._try_once()
            except WrongBytesError as error:
                is_mixed = self._requests.is_mixed
                if error.is_in_file:
                    self._requests.quarantine()
                if (self._is_own and not is_mixed) or not error.is_in_file or self._is_second:
                    mirror = self._address.mirror
                    self._context.mirrors.record_wrong_bytes(mirror, self._file.path, error)
                    raise
                # The wrong bytes may be those of another mirror, or of two states of the file: this
                # one gets a second try, from the first byte on.
                self._is_own = self._is_second = True
            except (RangeRefusedError, ChangedError) as error:
                self._restart(error)
            except TransientError as error:
                self._wait_or_raise(error)

    def _try_once(self) -> None:
        if _is_large(self._file, self._context):
            self._download_shared()
        elif self._partial.received_bytes < self._file.size_bytes:
            self._requests.download(ByteRange(self._partial.received_bytes, self._file.size_bytes))
        if wrong := self._partial.problem():
            if self._context.is_unpinned and self._file.hash is not None:
                wrong = f"not what was fetched first: {wrong}"
            raise WrongBytesError(f"{wrong}; what came is in quarantine", is_in_file=True)

    def _download_shared(self) -> None:
        """Download a large file, with the help of idle workers."""
        requests, context = self._requests, self._context
        requests.shared = SharedDownload(
            context.workers, self._partial.missing(), context.range_bytes, requests.help_download
        )
        try:
            requests.shared.download_all(requests.download, is_alone=self._is_alone)
        finally:
            requests.shared = None

    def _restart(self, error: SourceError) -> None:
        """Start from the first byte again, without ranges; raise the error if that was tried."""
        if self._partial.received_bytes == 0 and (
            self._is_alone or not _is_large(self._file, self._context)
        ):
            raise error
        self._is_own = self._is_alone = True
        self._requests.restart()
        self._count_try(error)

    def _wait_or_raise(self, error: TransientError) -> None:
        """Wait before the next try, or raise the error after the last one."""
        if error.is_refusal:  # `RateLimiter.wait_for_all` has waited already
            self._refusals += 1
            max_refusals = REFUSALS_FACTOR * self._context.retry.tries
            if self._refusals >= max_refusals or self._requests.is_refused_for_good(error):
                raise error
            return
        if self._requests.is_put_off(error):
            raise error
        self._count_try(error)
        self._context.wait(self._context.retry.wait_s(self._tries, error))

    def _count_try(self, error: SourceError) -> None:
        """Count a try; raise the error after the last one.

        Tries are counted from zero again when one brought a block more than all before it: a slow
        connection that breaks often still makes progress.
        """
        if self._partial.received_bytes >= self._max_bytes + READ_BLOCK_BYTES:
            self._tries = 0
        self._max_bytes = max(self._max_bytes, self._partial.received_bytes)
        self._tries += 1
        if self._tries >= self._context.retry.tries:
            raise error
