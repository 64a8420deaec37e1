"""Conversion by processes that know nothing of each other, such as the tasks of a Slurm job array.

Task K of N converts every N-th ready file, beginning with the K-th. A last process finds all files
made and writes the manifest, which completes the ready form.

The tasks share a folder, perhaps on a file system without file locks. So nothing that is right
depends on a lock:

- No two processes write the same file. A ready file gets its name by a rename. Journal, chunk
  indexes and stat cache are in a folder of the process (`shares/3-of-8.<8 letters>/`).
- Two processes that still make the same ready file, because a task was started twice, write equal
  bytes.
- A process that was killed loses the files that it was making. The next one reads the journals of
  all earlier ones, and makes what is missing.

Locks, where the file system has them, prevent useless work and waiting readers: tasks hold the lock
of the dataset together, and a whole conversion, `get` or `cache rm` holds it alone.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from sciml_data.errors import CallError, ConversionError, LockedError, Problem
from sciml_data.home import (
    HOLDER_NAME,
    LOCK_NAME,
    NO_LOCKS,
    NOT_WRITABLE,
    POLL_S,
    SOFT_LOCK_NAME,
    DatasetFolder,
    describe_holder,
    not_writable,
)
from sciml_data.progress import Log, Progress, counted
from sciml_data.ready.conversion import (
    find_in_shared_home,
    log_problems,
    make_missing,
    plan_conversion,
    require_converted,
)
from sciml_data.ready.folder import SHARES_NAME, STAT_CACHE_NAME, ReadyFolder, state_folders
from sciml_data.ready.shards import remove_temporaries
from sciml_data.ready.verification import convert_command
from sciml_data.registry.manifest import Entry
from sciml_data.registry.stages import Converted, Verified
from sciml_data.transfer.download.local_files import StatCache

logger = logging.getLogger(__name__)

MAX_SHARES = 10_000  # a larger number is a mistake; Slurm's own limit is 1,001 by default
SHARE = re.compile(r"([1-9][0-9]{0,4})/([1-9][0-9]{0,4})")
SHARE_NAME = re.compile(r"([0-9]+)-of-([0-9]+)\..+")  # of a lock or a folder
UNIQUE_LETTERS = 8  # of a random name, for the folder of a process


@dataclass(frozen=True)
class Share:
    """Every `count`-th ready file, beginning with the `number`-th."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def name(self) -> str:
        """Return the start of the names of its lock and its folders."""
        return f"{self.number}-of-{self.count}"

    def of(self, names: Mapping[str, str]) -> dict[str, str]:
        """Return the items of this share."""
        return dict(islice(names.items(), self.number - 1, None, self.count))


def parse_share(text: str) -> Share:
    """Return the share that a text names: `3/8` is the third of eight.

    Raises:
        CallError: the text names no share.
    """
    match = SHARE.fullmatch(text)
    number, count = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= count <= MAX_SHARES:
        raise CallError(
            f"{text!r} is not a share K/N, with K from 1 to N",
            untouched="nothing was converted",
            hint="--share 3/8 is the third of eight shares",
        )
    return Share(number, count)


def convert_share(
    verified: Verified,
    share: str,
    *,
    options: Mapping[str, Any] | None = None,
    workers: int = 1,
    log: Log | None = None,
    progress: Progress | None = None,
) -> Path:
    """Make the missing ready files of one share, and return the folder of all ready files.

    The folder can be opened only after `finish_conversion`.

    Args:
        verified: native files with the right bytes; the same for all shares.
        share: `K/N`, for example `3/8`.
        options: options of the format; None are its defaults.
        workers: number of processes.
        log: callback that gets lines.
        progress: callback (bytes done, bytes in all), of this share.

    Raises:
        CallError: the text names no share, the dataset has no format, or the format does not know
            an option.
        LockedError: another process converts this share, or the whole, and waiting is off; or
            other processes convert shares of another size.
        NativeFormatError: native files do not follow their format; all others were converted.
        ConversionError: files could not be made for another reason.
    """
    part, log = parse_share(share), log or logger.info
    folder, tasks = plan_conversion(verified, dict(options or {}))
    if shared := find_in_shared_home(verified.folder, folder, log):
        return shared
    with _locks(verified.folder, folder.root, part):
        own = _ShareFolder(folder, part)
        log_problems(own.find_existing(progress), log)
        files = f"{counted(len(own.identities), 'ready file')} of share {part}"
        if not own.missing:
            log(f"nothing to convert: {files} found")
            return folder.root
        if own.entries:
            log(f"{len(own.entries)} of {files} are there and are kept")
        remove_temporaries(folder.root, own.identities)
        make_missing(
            own, {n: tasks[n] for n in own.identities}, workers, log=log, progress=progress
        )
    return folder.root


def finish_conversion(
    verified: Verified,
    *,
    options: Mapping[str, Any] | None = None,
    log: Log | None = None,
    progress: Progress | None = None,
) -> Converted:
    """Complete a conversion in shares: write the manifest. No ready file is made.

    Args:
        verified: the native files.
        options: options of the format; None are its defaults.
        log: callback that gets lines.
        progress: callback (bytes done, bytes in all) of ready files that are checked.

    Raises:
        ConversionError: ready files are missing; `.problems` has each share with missing files.
        LockedError: a share is still converted, and waiting is off.
    """
    options, log = dict(options or {}), log or logger.info
    folder, _ = plan_conversion(verified, options)
    if not find_in_shared_home(verified.folder, folder, log):
        with verified.folder.lock("finish the conversion"):
            log_problems(folder.find_existing(progress), log)
            if folder.missing:
                seed = verified.folder.sample_seed
                raise _unfinished(folder, convert_command(verified.descriptor, seed, options))
            if not folder.is_complete:
                with folder.update():
                    pass
            shutil.rmtree(folder.root / SHARES_NAME, ignore_errors=True)  # of processes that found
            # nothing to do; those of others are taken over by `update`
            log(f"complete: {counted(len(folder.entries), 'ready file')}")
    return require_converted(verified, folder, options)


class _ShareFolder(ReadyFolder):
    """The files of one share; the journal of this process is in a folder of its own."""

    def __init__(self, whole: ReadyFolder, share: Share) -> None:
        unique = uuid.uuid4().hex[:UNIQUE_LETTERS]
        self._state = whole.root / SHARES_NAME / f"{share.name}.{unique}"
        super().__init__(whole.root, whole.record, share.of(whole.identities))

    @property
    def state(self) -> Path:
        """Return the folder of this process; it is made with the first file."""
        return self._state

    def _read_stat_cache(self) -> StatCache:
        others = [folder / STAT_CACHE_NAME for folder in state_folders(self.root)]
        return StatCache(self._state / STAT_CACHE_NAME, self.root, inherited=others)

    @contextmanager
    def update(self) -> Iterator[Callable[[Entry, str], None]]:
        """Yield a function that records a finished file and its chunk index.

        The folder is marked as incomplete. Nothing else in it is changed: files that do not belong
        to it are removed, and the record is written, by the process that finishes.
        """
        self._mark_incomplete()
        self._state.mkdir(parents=True, exist_ok=True)
        with self._recording() as add:
            yield add


def _unfinished(folder: ReadyFolder, command: str) -> ConversionError:
    """Return an error that names the shares with missing files, or the files."""
    missing = set(folder.missing)
    hint = f"{command} makes them in one process"
    problems = []
    if count := _number_of_shares(folder.root):
        for share in (Share(number, count) for number in range(1, count + 1)):
            own = share.of(folder.identities)
            if lost := [name for name in own if name in missing]:
                text = (
                    f"{len(lost)} of {counted(len(own), 'ready file')} missing, such as {lost[0]}"
                )
                problems.append(Problem("missing", f"share {share}", text))
        again = problems[0].place.removeprefix("share ")
        hint = f"{command} --share {again} makes those of one share, without --share all of them"
    else:
        problems = [Problem("missing", name, "not made by any share") for name in folder.missing]
    return ConversionError(
        f"the conversion is not complete: {len(missing)} of "
        f"{counted(len(folder.identities), 'ready file')} missing",
        problems=problems,
        done="the others are kept",
        untouched="no file was made or removed",
        hint=hint,
    )


def _number_of_shares(root: Path) -> int:
    """Return the number of shares of the process that was started last; 0 without shares."""
    paths = sorted((root / SHARES_NAME).glob("*-of-*.lock"), key=lambda path: path.stat().st_mtime)
    matches = [match for path in paths if (match := SHARE_NAME.fullmatch(path.name))]
    return int(matches[-1][2]) if matches else 0


# --- locks ---------------------------------------------------------------------------------------


@contextmanager
def _locks(dataset: DatasetFolder, root: Path, share: Share) -> Iterator[None]:
    """Hold the locks of a share; see the module."""
    purpose = f"convert share {share}"
    shares = root / SHARES_NAME
    with ExitStack() as stack:
        lock = partial(_lock, dataset, purpose)
        try:
            dataset.root.mkdir(parents=True, exist_ok=True)
            stack.enter_context(lock(dataset.root / LOCK_NAME, fcntl.LOCK_SH))
            shares.mkdir(parents=True, exist_ok=True)
            stack.enter_context(lock(shares / f"{share.name}.lock", fcntl.LOCK_EX))
        except OSError as error:
            if error.errno in NOT_WRITABLE:
                raise not_writable(purpose, dataset.root, error.strerror) from error
            raise
        _refuse_other_sizes(shares, share)
        yield


@contextmanager
def _lock(dataset: DatasetFolder, purpose: str, path: Path, kind: int) -> Iterator[None]:
    """Hold a lock of the operating system, which releases it when the process is killed.

    Args:
        dataset: says whether to wait for another process.
        purpose: for messages.
        path: of the lock.
        kind: `LOCK_EX` for this process alone, or `LOCK_SH` together with others of this kind.
    """
    has_waited = False
    while (descriptor := _try_lock(path, kind)) is None:
        holder = describe_holder(_holder_path(path, kind))
        if not dataset.waiting.is_on:
            raise LockedError(
                f"cannot {purpose}: {holder} works in {dataset.root}",
                untouched="nothing was changed",
                hint="wait for it to end, or convert another share",
            )
        if not has_waited:
            dataset.waiting.log(
                f"waiting for {holder}, which works in {dataset.root} (--no-wait fails instead)"
            )
        has_waited = True
        time.sleep(POLL_S)
    try:
        text = {"pid": os.getpid(), "host": socket.gethostname(), "purpose": purpose}
        _name_holder(_holder_path(path, kind), json.dumps(text))
        yield
    finally:
        if descriptor >= 0:
            os.close(descriptor)  # releases the lock


def _holder_path(path: Path, kind: int) -> Path:
    """Return the file that names the process with a lock; of several, the one started last."""
    return path.with_name(HOLDER_NAME if kind == fcntl.LOCK_SH else f"{path.stem}.holder")


def _name_holder(path: Path, text: str) -> None:
    """Replace the file that names a process with a lock; without it, messages name no process."""
    with suppress(OSError):
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)


def _try_lock(path: Path, kind: int) -> int | None:
    """Return the descriptor of a lock, None if another process has it, -1 without locks."""
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return None
        if error.errno not in NO_LOCKS:
            raise
        # The file system has no locks. A whole conversion then has a file as its lock: this one
        # (filelock does that for ENOSYS), or a second one.
        if error.errno == errno.ENOSYS and path.name == LOCK_NAME:
            if not is_new:
                return None
            path.unlink(missing_ok=True)
        return None if path.with_name(SOFT_LOCK_NAME).exists() else -1
    return descriptor


def _refuse_other_sizes(shares: Path, share: Share) -> None:
    """Raise an error if a process converts shares of another size, which overlap with this one."""
    for path in shares.glob("*-of-*.lock"):
        match = SHARE_NAME.fullmatch(path.name)
        if match is None or int(match[2]) == share.count:
            continue
        if (descriptor := _try_lock(path, fcntl.LOCK_EX)) is None:
            holder = describe_holder(_holder_path(path, fcntl.LOCK_EX))
            raise LockedError(
                f"cannot convert share {share}: {holder} converts one of {match[2]} shares",
                untouched="nothing was changed",
                hint=f"use shares of {match[2]}, or wait for them to end",
            )
        with suppress(OSError):  # -1 without locks
            os.close(descriptor)
