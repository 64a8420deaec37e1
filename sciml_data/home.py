"""Folders on this computer, and the file operations that keep them consistent.

Everything that sciml-data stores is in one folder, the home:

<home>/data/<dataset>/<version>/             published data
<home>/samples/<dataset>/<version>/<seed>/   synthetic samples
<home>/runs/<benchmark>/<run>/               runs and their records

So no name lets a dataset take the place of a run, or a version that of a sample.
The folder of a version or a sample has:

native/       files as published; every file here is complete and correct
partial/      files being downloaded; no other stage reads them
quarantine/   files with wrong content, for inspection
ready/        converted files, one folder for each set of options
receipt.json  hashes of verified files, with their size, mtime and inode
listing.csv   first listing of an unpinned version by a mirror
manifest.csv  manifest of a sample, a live or an unpinned version

Homes can be stacked: everything new is written into the first home; shared homes are only read.

A reader never sees half a file: content is written under a temporary name, flushed to the disk,
and then renamed.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import logging
import math
import os
import re
import socket
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from sciml_data.errors import CallError, JsonError, LockedError, NotWritableError

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from sciml_data.progress import Log

HOME_VARIABLE = "SCIML_DATA_HOME"
NO_FSYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)  # where folders cannot be flushed
MAX_JSON_BYTES = 64 << 20  # the largest record so far has 2 MB
MAX_JSON_DEPTH = 64  # ours have less than 10; recursive code fails at some hundreds
# A dotted key of TOML costs the square of its parts: 20,000 take tomllib four seconds.
DEEP_KEY = rb"(\.[ \t]*([\w-]{1,200}|\"[^\"\n]{0,200}\"|'[^'\n]{0,200}')[ \t]*){64}"
MAX_TOML_BYTES = 4 << 20  # people write these files; the largest so far has 13 kB
MAX_PRINTED_KEY = 60  # characters of a key in a message
MAX_JSON_DIGITS = 40  # of a whole number: 128 bits; Python refuses to print more than 4,300
RUNS_VARIABLE = "SCIML_DATA_RUNS"
STAT_CACHE_NAME = "receipt.json"
LOCK_NAME, SOFT_LOCK_NAME = ".lock", ".lock.soft"
LEFTOVER = re.compile(r"\..+\.[0-9]+")  # temporary file of `write_atomically`: name and process
LEFTOVER_S = 3600.0  # a small file is written in milliseconds; an hour later its writer is gone
HOLDER_NAME = ".lock.holder"  # who has the lock
POLL_S = 0.2  # a waiting process asks this often; a fetch or conversion takes far longer
NO_FOLDER = {errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG}
NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, *NO_FOLDER}  # /proc says ENOENT to mkdir
NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
SEED_NAME = re.compile(r"-?[0-9]+")  # name of a sample's folder


@dataclass(frozen=True)
class Waiting:
    """What to do while another process works on the same data.

    Attributes:
        is_on: wait until the other process is done; otherwise fail at once.
        log: gets a line that names the other process.
    """

    is_on: bool = True
    log: Log = logging.getLogger(__name__).info


@dataclass(frozen=True)
class DatasetFolder:
    """The folder of one version, or of one sample, of a dataset.

    Attributes:
        root: the folder in the user's own home; everything is written here.
        shared: the same folder in homes that are only read. Its files are used where `root` has
            none.
        sample_seed: seed of the sample; None for a version.
        waiting: what `lock` does while another process works in the folder.
    """

    root: Path
    shared: tuple[Path, ...] = ()
    sample_seed: int | None = None
    waiting: Waiting = field(default=Waiting(), compare=False)

    @property
    def files_root(self) -> Path:
        """The folder that has the native files, their manifest and their listing."""
        for place in (self.root, *self.shared):
            if (place / "native").is_dir():
                return place
        return self.root

    @property
    def is_shared(self) -> bool:
        """Whether the native files are in a shared home, which is only read."""
        return bool(self.shared) and self.files_root != self.root

    @property
    def own(self) -> DatasetFolder:
        """The folder without shared homes, to write native files into."""
        return replace(self, shared=())

    @property
    def native(self) -> Path:
        """Published files, each verified before it was moved here."""
        return self.files_root / "native"

    @property
    def partial(self) -> Path:
        """Files that are not complete yet."""
        return self.root / "partial"

    @property
    def quarantine(self) -> Path:
        """Files with wrong content."""
        return self.root / "quarantine"

    @property
    def ready(self) -> Path:
        """Converted files that were made in this home."""
        return self.root / "ready"

    @property
    def ready_places(self) -> tuple[Path, ...]:
        """The folders to search for converted files, in order."""
        return tuple(place / "ready" for place in (self.root, *self.shared))

    @property
    def stat_cache(self) -> Path:
        """Hashes of verified files; an unchanged file is not hashed again."""
        return self.root / STAT_CACHE_NAME

    @property
    def manifest(self) -> Path:
        """Manifest of fetched files, for samples and for versions without one in the registry."""
        return self.files_root / "manifest.csv"

    @property
    def listing(self) -> Path:
        """First listing of an unpinned version by a mirror."""
        return self.files_root / "listing.csv"

    @contextlib.contextmanager
    def lock(self, purpose: str, *, waits: bool = True) -> Iterator[None]:
        """Lock the folder against other processes, and wait while another one has locked it.

        Two processes that fetch into one folder would write to the same partial files.

        Args:
            purpose: what the folder is locked for, e.g. "fetch waves 1.0"; part of messages.
            waits: whether waiting makes sense; `Waiting.is_on` must allow it, too.

        Raises:
            LockedError: another process has locked the folder, and waiting is off.
            NotWritableError: the folder cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = _acquire(self.root, purpose, self.waiting if waits else Waiting(is_on=False))
        except OSError as error:
            if error.errno in NOT_WRITABLE:
                raise not_writable(purpose, self.root, error.strerror) from error
            raise
        holder = self.root / HOLDER_NAME
        try:
            _write_holder(holder, purpose)
            _remove_leftovers(self.root)
            yield
        finally:
            with contextlib.suppress(OSError):
                holder.unlink()
            lock.release()


@dataclass(frozen=True)
class Home:
    """The folder in which sciml-data stores everything, and shared homes below it.

    Attributes:
        root: the user's own home; everything is written here.
        shared: homes that are only read, in the order in which they are searched.
        runs_root: folder of the runs; None is `runs` in `root`.
        waiting: what to do while another process works on the same data.
    """

    root: Path
    shared: tuple[Path, ...] = ()
    runs_root: Path | None = None
    waiting: Waiting = field(default=Waiting(), compare=False)

    def dataset(
        self, dataset: str, version: str, *, sample_seed: int | None = None
    ) -> DatasetFolder:
        """Return the folder of a version, or of a synthetic sample.

        Args:
            dataset: its id.
            version: its version.
            sample_seed: seed of the sample; None means the published data.
        """
        path = f"{_name(dataset)}/{_name(version)}"
        path = f"data/{path}" if sample_seed is None else f"samples/{path}/{sample_seed}"
        root, *shared = (place / path for place in (self.root, *self.shared))
        return DatasetFolder(root, tuple(shared), sample_seed, self.waiting)

    def versions(self, dataset: str) -> list[str]:
        """Return the versions of a dataset that have a folder in this home or a shared one."""
        folders = [place / "data" / dataset for place in (self.root, *self.shared)]
        return sorted({entry.name for each in folders if each.is_dir() for entry in each.iterdir()})

    def sample_seeds(self, dataset: str, version: str) -> list[int]:
        """Return the seeds of the samples that have a folder, in order."""
        folders = [place / "samples" / dataset / version for place in (self.root, *self.shared)]
        names = {entry.name for each in folders if each.is_dir() for entry in each.iterdir()}
        return sorted(int(name) for name in names if SEED_NAME.fullmatch(name))

    @property
    def runs_folder(self) -> Path:
        """The folder of all runs."""
        return self.runs_root or self.root / "runs"

    def runs(self, benchmark: str) -> Path:
        """Return the folder of a benchmark's runs."""
        return self.runs_folder / _name(benchmark)


def _name(text: str) -> str:
    """Return the name of a folder; a path (`../x`, from a stranger's record) is refused."""
    if text in {"", ".", ".."} or "/" in text or "\0" in text:
        raise CallError(
            f"{text!r} is not a dataset, version or benchmark", untouched="no file was touched"
        )
    return text


HomePath: TypeAlias = "Home | str | Path | Sequence[str | Path] | None"


def find_home(
    path: HomePath = None,
    *,
    runs: str | Path | None = None,
    wait: bool | None = None,
    log: Log | None = None,
) -> Home:
    """Return the home at a path, else at `SCIML_DATA_HOME`, else in the user's data folder.

    Args:
        path: a folder; or several, of which the first is the user's own and the others are shared
            homes that are only read; or a home, which is returned with the other arguments
            applied. `SCIML_DATA_HOME` may have several folders, too, separated as in `PATH`.
        runs: folder of the runs; None is `SCIML_DATA_RUNS`, then `runs` in the own home.
        wait: whether to wait while another process works on the same data; None is yes.
        log: gets a line when that happens.
    """
    home = path if isinstance(path, Home) else _home_at(path)
    runs = runs or (None if home.runs_root else os.environ.get(RUNS_VARIABLE))
    is_on = home.waiting.is_on if wait is None else wait
    waiting = Waiting(is_on, home.waiting.log if log is None else log)
    return replace(home, runs_root=_absolute(runs) if runs else home.runs_root, waiting=waiting)


def _home_at(path: str | Path | Sequence[str | Path] | None) -> Home:
    folders = [path] if isinstance(path, str | Path) else list(path or ())
    # An empty variable, or an empty part of one, is as good as none.
    folders = folders or [p for p in os.environ.get(HOME_VARIABLE, "").split(os.pathsep) if p]
    if not folders:
        import platformdirs

        folders = [platformdirs.user_data_path("sciml-data")]
    own, *shared = map(_absolute, folders)
    return Home(own, tuple(shared))


def _absolute(path: str | Path) -> Path:
    try:
        folder = Path(path).expanduser().resolve()
        folder.is_dir()  # fails if a name in the path is too long
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL character
        raise CallError(f"{path!s:.200} cannot be a folder: {error!s:.200}") from error
    return folder


def _acquire(root: Path, purpose: str, waiting: Waiting) -> BaseFileLock:
    """Return the acquired lock of a folder.

    Raises:
        LockedError: another process has it, and waiting is off.
        OSError: the folder cannot be written.
    """
    import filelock

    # The operating system releases the first kind when a process is killed. Some file systems
    # (NFS without a lock daemon, some FUSE) have no such locks. There a file is the lock. It names
    # its process, so the lock of a process that was killed on this computer is taken over.
    kinds: tuple[type[BaseFileLock], ...] = (filelock.FileLock, filelock.SoftFileLock)
    for kind, name in zip(kinds, (LOCK_NAME, SOFT_LOCK_NAME), strict=True):
        lock = kind(root / name)
        try:
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                _wait(lock, root, purpose, waiting)
        except OSError as error:
            if error.errno in NO_LOCKS and kind is filelock.FileLock:
                continue
            raise
        return lock
    raise AssertionError("unreachable: the last kind of lock is returned or raises an error")


def _wait(lock: BaseFileLock, root: Path, purpose: str, waiting: Waiting) -> None:
    holder = describe_holder(root / HOLDER_NAME)
    if not waiting.is_on:
        raise LockedError(
            f"cannot {purpose}: {holder} works in {root}",
            untouched="nothing was changed",
            hint="wait for it to end, or use another folder with --home",
        )
    waiting.log(f"waiting for {holder}, which works in {root} (--no-wait fails instead)")
    lock.acquire(timeout=-1, poll_interval=POLL_S)


def _write_holder(path: Path, purpose: str) -> None:
    """Write who has the lock, for the messages of others; without it they name no process."""
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "purpose": purpose}
    with contextlib.suppress(OSError):
        path.write_text(json.dumps(holder) + "\n", encoding="utf-8")


def _remove_leftovers(root: Path) -> None:
    """Remove temporary files of processes that were killed while they wrote a small file."""
    for path in root.glob(".*"):
        with contextlib.suppress(OSError):
            is_old = time.time() - path.lstat().st_mtime > LEFTOVER_S
            if is_old and LEFTOVER.fullmatch(path.name) and path.is_file():
                path.unlink()


def describe_holder(path: Path) -> str:
    """Return the process that has the lock in words."""
    with contextlib.suppress(OSError, JsonError, KeyError, TypeError):
        holder = read_json(path)
        return f"process {holder['pid']} on {holder['host']} ({holder['purpose']})"
    return "another process"


def not_writable(purpose: str, root: Path, reason: str | None = None) -> NotWritableError:
    """Return the error of a folder that this user cannot write, or that is read-only."""
    return NotWritableError(
        f"cannot {purpose}: {root} is not writable" + (f": {reason}" if reason else ""),
        untouched="nothing was changed",
        hint="choose a folder that you can write: --home MINE, or --home MINE --home SHARED with "
        "a shared home; runs can have a folder of their own: --runs DIR",
    )


def publish(partial: Path, final: Path) -> None:
    """Rename a complete file to its final path, atomically and durably.

    Both paths must be on one file system. An existing file is replaced.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    # First the content, then the name: after a power cut the final name never has half a file.
    fsync_path(partial)
    partial.replace(final)
    fsync_path(final.parent)  # a rename is durable when the folder is on the disk


def write_atomically(path: Path, text: str) -> None:
    """Write a small text file; a reader sees the old or the new content, never a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    publish(temporary, path)


def why_not_plain(path: Path) -> str:
    """Return why a path is not a plain file; an empty text if it is one.

    For folders of strangers, in which a link could lead anywhere and a pipe blocks its reader.
    """
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "no such file"
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        return getattr(error, "strerror", None) or str(error)
    if stat.S_ISREG(mode):
        return ""
    if stat.S_ISLNK(mode):
        return "is a symbolic link, which is not followed"
    return "is a folder, not a file" if stat.S_ISDIR(mode) else "is a pipe, socket or device"


def read_small_file(path: Path, *, max_bytes: int = MAX_JSON_BYTES) -> bytes:
    """Return the content of a plain file that a stranger may have made.

    A pipe or a device is not read: opening a pipe waits for its writer, maybe forever.

    Args:
        path: of the file; a symbolic link to a plain file is followed.
        max_bytes: largest size in bytes.

    Raises:
        JsonError: no such file, not a plain file, permission denied, or too large.
    """
    try:
        # A pipe without a writer blocks the open without O_NONBLOCK; plain files ignore it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise JsonError(f"no such file: {path.name}", kind="missing") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise JsonError(f"{path.name} cannot be read: {reason}", kind="file") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise JsonError(f"{path.name} is not a plain file", kind="file")
    with open(descriptor, "rb") as stream:  # noqa: PTH123 - of a descriptor
        # One byte more than allowed: the size from fstat may be outdated after the read.
        content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise JsonError(f"{path.name} has more than {max_bytes:,} bytes", kind="size")
    return content


def read_json(path: Path, *, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """Return the JSON document in a file that a stranger may have made; see `parse_json`.

    Args:
        path: of the file; a symbolic link to a plain file is followed.
        max_bytes: largest size in bytes.

    Raises:
        JsonError: the file cannot be read, or its content is not JSON within the limits.
    """
    return parse_json(read_small_file(path, max_bytes=max_bytes), name=path.name)


def parse_json(content: bytes | str, *, name: str) -> Any:
    """Return a JSON document; anything that later code could not handle is refused.

    Refused are, besides what is not JSON or not UTF-8: NaN and infinite numbers, whole numbers of
    more than 40 digits, more than 64 levels of nesting, an object with the same key twice, and
    texts that cannot be written as UTF-8 (half of a surrogate pair).

    Args:
        content: UTF-8 bytes, or text.
        name: of the file, for messages.

    Raises:
        JsonError: the content is refused; `.kind` says why.
    """
    with _refusing(name, "JSON"):
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        document = json.loads(
            text, parse_int=_whole_number, parse_constant=_not_finite, object_pairs_hook=_once
        )
        _check_values(document)
    return document


def read_toml(path: Path, *, max_bytes: int = MAX_TOML_BYTES) -> dict[str, Any]:
    """Return the TOML document in a file that a stranger may have made.

    The limits of `parse_json` apply; `nan` and `inf` are refused, too.

    Args:
        path: of the file; a symbolic link to a plain file is followed.
        max_bytes: largest size in bytes.

    Raises:
        JsonError: the file cannot be read, or its content is not TOML within the limits.
    """
    import tomllib

    content = read_small_file(path, max_bytes=max_bytes)
    with _refusing(path.name, "TOML"):
        if re.search(DEEP_KEY, content):
            raise _RefusedError(f"a key has more than {MAX_JSON_DEPTH} parts")
        document = tomllib.loads(content.decode("utf-8"))
        _check_values(document)
    return document


@contextlib.contextmanager
def _refusing(name: str, form: str) -> Iterator[None]:
    """Raise a `JsonError` that names the file for what a parser of JSON or TOML raises."""
    try:
        yield
    except UnicodeDecodeError as error:
        message = f"{name} is not UTF-8: {error.reason} at byte {error.start}"
        raise JsonError(message, kind="utf-8") from error
    except _RefusedError as error:
        raise JsonError(f"{name}: {error}", kind=error.kind) from error
    except RecursionError as error:
        raise JsonError(f"{name} is nested more than {MAX_JSON_DEPTH} levels deep") from error
    except ValueError as error:  # also of Python, for a number of more than 4,300 digits
        raise JsonError(f"{name} is not {form}: {error}") from error


class _RefusedError(ValueError):
    """Why a JSON value is refused: a sentence, and the kind of `JsonError`."""

    def __init__(self, message: str, kind: str = "json") -> None:
        super().__init__(message)
        self.kind = kind


def _whole_number(digits: str) -> int:
    if len(digits) > MAX_JSON_DIGITS:
        raise _RefusedError(f"a whole number has {len(digits):,} digits")
    return int(digits)


def _not_finite(word: str) -> None:
    raise _RefusedError(f"{word} is not a number in JSON", "nan")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; Python would silently keep the last of two equal keys."""
    block = dict(pairs)
    if len(block) != len(pairs):
        keys = sorted(key for key, _ in pairs)
        twice = next(key for key, other in itertools.pairwise(keys) if key == other)
        raise _RefusedError(f"an object has the key {twice[:MAX_PRINTED_KEY]!r} twice")
    return block


def _check_values(document: Any) -> None:
    """Refuse values that are valid JSON and still no later code could handle.

    A loop and not a recursion, so that the depth of a document cannot break the check of it.
    """
    level = [document]
    for _ in range(MAX_JSON_DEPTH + 1):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += value.keys()
                below += value.values()
            elif isinstance(value, list):
                below += value
            else:
                _check_value(value)
        if not below:
            return
        level = below
    raise _RefusedError(f"nested more than {MAX_JSON_DEPTH} levels deep")


def _check_value(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):  # 1e999; `nan` of TOML
        raise _RefusedError("a number is not finite, or too large to be stored", "nan")
    if isinstance(value, int) and abs(value) >= 10**MAX_JSON_DIGITS:  # of TOML
        raise _RefusedError(f"a whole number has more than {MAX_JSON_DIGITS} digits")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise _RefusedError("a text has half of a surrogate pair") from error


def fsync_path(path: Path, *, flags: int = 0) -> None:
    """Return when a file's content, or the names in a folder, are on the disk.

    Args:
        path: of the file or folder.
        flags: added to those with which it is opened, e.g. `os.O_NOFOLLOW`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems (SMB, VirtualBox, some of FUSE) cannot flush a folder. After a power cut
        # a new name may then be missing there, but no file under it is incomplete.
        if error.errno not in NO_FSYNC or not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise
    finally:
        os.close(descriptor)
