"""The files of a dataset on this computer: which were requested, which exist, how new ones arrive.

Four small records are beside the files:

asked.json    paths that were requested, if only a part of the dataset was
manifest.csv  hashes of the fetched files of a version that the registry does not pin
receipt.json  hashes of verified files with their size, mtime and inode: the stat cache
native/       the files; the `Publisher` moves them here
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Self

from sciml_data.errors import FULL_DISK, FetchError, JsonError, Problem, VerificationError
from sciml_data.home import STAT_CACHE_NAME, DatasetFolder, fsync_path, read_json, write_atomically
from sciml_data.progress import Log
from sciml_data.registry.manifest import (
    Entry,
    Manifest,
    lstat_inside,
    make_parents_inside,
    move_to_quarantine,
    read_manifest,
)
from sciml_data.registry.stages import Plan, PlannedFile
from sciml_data.transfer.download.disk_flush import DiskFlush, start_writing
from sciml_data.transfer.download.partial_file import (
    LABEL_LENGTH,
    UNPINNED,
    CompleteFile,
    content_problem,
    expected_hashes,
    hash_like,
    hashes_like,
)

REQUEST_NAME = "asked.json"
# New entries before the stat cache is written. After a kill at most this many files are hashed
# again; none is downloaded again.
SAVE_INTERVAL = 200
# The stat cache is only appended to, until it has this many lines for each file; then it is
# rewritten without the outdated ones.
MAX_LINES_PER_FILE = 2
FLUSHERS = 4  # threads that fsync; more were not faster on the disk that this was measured on
MAX_WAITING = 512  # complete files that wait for the disk; then `Publisher.add` blocks
# Complete files are gathered for this time in seconds, or until there are enough of them to flush.
GATHER_S, ENOUGH = 0.25, 128
MIN_TOGETHER = 8  # complete files that are flushed together; fewer are flushed one by one

# A home that may only be read, or a full disk: a stat cache that is not written only costs time.
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, *FULL_DISK)

Row = list[str | int]  # of the stat cache: kind, size, mtime in ns, inode, hash


def save_request(plan: Plan) -> None:
    """Add the files of a plan to those that were requested, so that `verify` expects them."""
    paths: set[str] | None = None
    if not plan.is_whole:
        before = requested_paths(plan.folder)
        if before is None and (plan.folder.root / REQUEST_NAME).is_file():
            return  # all files were requested before
        paths = {file.path for file in plan.files} | (before or set())
    manifest = plan.descriptor.manifest
    if paths is not None and manifest is not None and len(paths) == len(manifest):
        paths = None
    request = {"paths": None if paths is None else sorted(paths)}
    write_atomically(plan.folder.root / REQUEST_NAME, json.dumps(request, indent=1) + "\n")


def requested_paths(folder: DatasetFolder) -> set[str] | None:
    """Return the paths that were requested so far; None means all of them.

    It is None as well if no request is stored.

    Raises:
        VerificationError: the stored request is damaged.
    """
    path = folder.files_root / REQUEST_NAME
    if not path.is_file():
        return None
    try:
        paths = read_json(path)["paths"]
        return None if paths is None else {f"{each}" for each in paths}
    except (JsonError, TypeError, KeyError) as error:
        raise VerificationError(
            f"{path} is damaged: {error}",
            untouched="nothing was changed",
            hint=f"remove it, and all files of the version are expected: rm {path}",
        ) from error


def fetched_manifest(plan: Plan, hashes: Mapping[str, str]) -> Manifest:
    """Return the manifest of those planned files whose hash is known, by path."""
    return Manifest(
        tuple(
            sorted(
                Entry(file.path, file.size_bytes, hashes[file.path])
                for file in plan.files
                if file.path in hashes
            )
        )
    )


def save_manifest(plan: Plan, hashes: Mapping[str, str]) -> None:
    """Add the hashes of fetched files to the folder's manifest, if the registry has none."""
    if plan.descriptor.manifest is not None or not hashes:
        return
    path = plan.folder.manifest
    entries: dict[str, Entry] = {}
    with contextlib.suppress(FileNotFoundError):
        entries = dict(read_manifest(path).by_path)
    merged = entries | dict(fetched_manifest(plan, hashes).by_path)
    if merged != entries:
        write_atomically(path, Manifest(tuple(sorted(merged.values()))).dump())


def drop_contradicted(plan: Plan, log: Log) -> Plan:
    """Forget stored hashes of files that cannot have the listed size.

    The stored manifest of an unpinned version says what an earlier call received. It proves nothing
    against a mirror that sends what is listed.

    Args:
        plan: of the version, with listed sizes; a pinned one is returned unchanged.
        log: gets a line for each hash that is dropped.

    Returns:
        The plan, in which these files have no hash.
    """
    if plan.descriptor.manifest is not None or not plan.folder.manifest.is_file():
        return plan
    entries = dict(read_manifest(plan.folder.manifest).by_path)
    dropped = {
        file.path: reason
        for file in plan.files
        if file.path in entries
        and (reason := _contradiction(entries[file.path], file, plan.folder))
    }
    if not dropped:
        return plan
    kept = (entry for path, entry in sorted(entries.items()) if path not in dropped)
    write_atomically(plan.folder.manifest, Manifest(tuple(kept)).dump())
    for path, reason in dropped.items():
        log(f"{path}: {reason}: the listing counts, and the stored hash is dropped")
    files = (replace(file, hash=None) if file.path in dropped else file for file in plan.files)
    return replace(plan, files=tuple(files))


def _contradiction(entry: Entry, file: PlannedFile, folder: DatasetFolder) -> str:
    """Return how a stored entry contradicts the listed size of a file, or an empty string."""
    listed = f"{file.size_bytes} bytes are listed"
    if entry.size_bytes != file.size_bytes:
        return f"{listed}, {entry.size_bytes} are in {folder.manifest.name}"
    with contextlib.suppress(FetchError, OSError):
        state = lstat_inside(folder.native, file.path)
        if state is None or not stat.S_ISREG(state.st_mode) or state.st_size == file.size_bytes:
            return ""
        # The file may have been edited since; then its hash is another one, and the entry is right.
        if hash_like(folder.native / file.path, entry.hash) == entry.hash:
            return f"{listed}, its stored hash is that of {state.st_size} bytes"
    return ""


class StatCache:
    """Hashes of the files in a folder, with size, mtime and inode; safe in several threads.

    A file whose status is unchanged is not hashed again, as in git's index. The cache is a file
    with one JSON list per line; the last line of a path counts. A line that a kill cut off is
    ignored, and costs the hashing of one file.
    """

    def __init__(self, file: Path, root: Path, *, inherited: Sequence[Path] = ()) -> None:
        """Read the cache; an unreadable one counts as empty.

        Args:
            file: the cache.
            root: folder of the files.
            inherited: caches of the same files, which are only read: that of a shared home, or
                those of other processes.
        """
        self._file = file
        self._root = root
        # Guards the rows and the file: publisher threads add entries at the same time.
        self._lock = threading.Lock()
        self._rows: dict[str, Row] = {}
        self._unsaved: list[str] = []
        self._lines = 0
        for source in (*inherited, file):
            self._lines = self._load(source)

    @classmethod
    def of(cls, folder: DatasetFolder) -> Self:
        """Return the cache of a dataset's native files."""
        shared = [folder.files_root / STAT_CACHE_NAME] if folder.is_shared else []
        return cls(folder.stat_cache, folder.native, inherited=shared)

    def _load(self, file: Path) -> int:
        """Read a cache, and return its number of lines."""
        lines = []
        with contextlib.suppress(OSError, UnicodeDecodeError):
            lines = file.read_text(encoding="utf-8").splitlines()
        for line in lines:
            with contextlib.suppress(ValueError, TypeError, RecursionError):
                path, *row = json.loads(line)
                self._rows[path] = row
        return len(lines)

    def has(self, path: str, expected: str, state: os.stat_result) -> bool:
        """Return whether a file is known to have a hash.

        Args:
            path: in the manifest.
            expected: the hash, as `kind:value`.
            state: present status of the file.
        """
        return self._rows.get(path) == _row(state, expected)

    def hashes(self) -> dict[str, str]:
        """Return the last known hash of each file by path; `has` tells whether it still holds."""
        return {path: str(row[-1]) for path, row in self._rows.items() if row}

    def hash_of(self, path: str, state: os.stat_result) -> str | None:
        """Return the hash that a file with this status had, or None if it is unknown."""
        row = self._rows.get(path)
        if not row or row != _row(state, str(row[-1])):
            return None
        return str(row[-1])

    def add(self, path: str, actual: str, state: os.stat_result | None = None) -> None:
        """Add the hash of a file.

        Args:
            path: in the manifest.
            actual: the hash, as `kind:value`.
            state: status of the file before it was hashed: a file that was written to meanwhile is
                hashed again next time. None is the present status, of a file that nobody writes to.
        """
        self._set(path, _row(state or os.lstat(f"{self._root}/{path}"), actual))

    def forget(self, path: str) -> None:
        """Remove a file with another content, which may have kept its size, mtime and inode."""
        if path in self._rows:
            self._set(path, [])

    def _set(self, path: str, row: Row) -> None:
        with self._lock:
            self._rows[path] = row
            self._unsaved.append(json.dumps([path, *row]))
            if len(self._unsaved) >= SAVE_INTERVAL:
                self._write()

    def save(self) -> None:
        """Write what was added, except to a full disk or in a read-only home.

        Files that are not written are hashed again by the next process.

        Raises:
            OSError: the disk fails.
        """
        with self._lock:
            if self._unsaved:
                self._write()

    def _write(self) -> None:
        try:
            self._write_lines()
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise

    def _write_lines(self) -> None:
        lines, self._unsaved = self._unsaved, []
        self._file.parent.mkdir(parents=True, exist_ok=True)  # files may be in a shared home
        self._lines += len(lines)
        if self._lines > MAX_LINES_PER_FILE * len(self._rows) + SAVE_INTERVAL:
            rows = (json.dumps([path, *row]) for path, row in self._rows.items())
            write_atomically(self._file, "\n".join([*rows, ""]))
            self._lines = len(self._rows)
            return
        # The empty first line ends one that an earlier kill cut off. No fsync: a lost line only
        # costs the hashing of a file.
        append(self._file, "\n".join(["", *lines, ""]))


def append(path: os.PathLike[str], text: str) -> None:
    """Append text to a file with one write call; the umask decides about a new file's mode."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _row(state: os.stat_result, actual: str) -> Row:
    kind = "file" if stat.S_ISREG(state.st_mode) else "other"
    return [kind, state.st_size, state.st_mtime_ns, state.st_ino, actual]


def existing_paths(plan: Plan) -> set[str]:
    """Return the planned paths that exist with the right size; nothing is hashed."""
    paths: set[str] = set()
    native = plan.folder.native  # once: it looks into all homes
    if not native.is_dir():
        return paths
    for file in plan.files:
        with contextlib.suppress(FetchError):
            if _has_right_size(lstat_inside(native, file.path), file):
                paths.add(file.path)
    return paths


def check_existing(
    plan: Plan, cache: StatCache, *, jobs: int, log: Log
) -> tuple[dict[str, str], list[PlannedFile], list[Problem]]:
    """Compare the files in `native/` with a plan, and move wrong ones to quarantine.

    Args:
        plan: the files that should be there.
        cache: files in it are not hashed; correct files are added to it.
        jobs: number of files to hash in parallel.
        log: gets a line for each file that is moved to quarantine.

    Returns:
        Hashes of the correct files by path, files that are missing now, and problems with paths
        at which no file can be written.
    """
    hashes: dict[str, str] = {}
    missing: list[PlannedFile] = []
    problems: list[Problem] = []
    unknown: list[PlannedFile] = []
    native = plan.folder.native  # once: it looks into all homes
    for file in plan.files:
        try:
            state = lstat_inside(native, file.path)
        except FetchError as error:
            problems.append(Problem("failed", file.path, error.message))
            continue
        if state is None:
            missing.append(file)
        elif known := _cached_hash(file, cache, state):
            hashes[file.path] = known
        else:
            unknown.append(file)
    with ThreadPoolExecutor(jobs) as pool:
        results = pool.map(lambda file: _hash_existing(file, plan.folder), unknown)
        for file, actual in zip(unknown, results, strict=True):
            if actual is not None and not content_problem(file, file.size_bytes, actual):
                cache.add(file.path, actual[0])
                hashes[file.path] = actual[0]
                continue
            label = (actual or ["other"])[0][:LABEL_LENGTH]
            path = plan.folder.native / file.path
            moved = move_to_quarantine(plan.folder, path, file.path, label=label)
            authority = "listing" if plan.descriptor.manifest is None else "manifest"
            log(f"{file.path} differs from the {authority}; it was moved to {moved}")
            missing.append(file)
    return hashes, missing, problems


def complete_hashes(plan: Plan, *, jobs: int) -> dict[str, str] | None:
    """Return the hashes of the planned files if all exist and are correct, else None.

    Nothing is written but the stat cache, and that only where it can be: the files may be in a
    home that is only read.
    """
    cache = StatCache.of(plan.folder)
    hashes: dict[str, str] = {}
    unknown: list[PlannedFile] = []
    native = plan.folder.native
    for file in plan.files:
        with contextlib.suppress(FetchError):
            state = lstat_inside(native, file.path)
            if state is not None and (known := _cached_hash(file, cache, state)):
                hashes[file.path] = known
            elif _has_right_size(state, file):
                unknown.append(file)
    if len(hashes) + len(unknown) < len(plan.files):
        return None
    with ThreadPoolExecutor(jobs) as pool:
        results = pool.map(lambda file: _hash_existing(file, plan.folder), unknown)
        for file, actual in zip(unknown, results, strict=True):
            if actual is None or content_problem(file, file.size_bytes, actual):
                return None
            hashes[file.path] = actual[0]
            cache.add(file.path, actual[0])
    cache.save()
    return hashes


def _cached_hash(file: PlannedFile, cache: StatCache, state: os.stat_result) -> str | None:
    """Return the hash of a file that was correct before and has not changed since."""
    if not _has_right_size(state, file):
        return None
    if file.hash is not None:
        return file.hash if cache.has(file.path, file.hash, state) else None
    # Without a pinned hash, only a sha256 identifies the file.
    known = cache.hash_of(file.path, state)
    return known if known is not None and known.startswith(UNPINNED) else None


def _hash_existing(file: PlannedFile, folder: DatasetFolder) -> list[str] | None:
    """Return the hashes of an existing file, or None if its type or size is wrong already."""
    if not _has_right_size(lstat_inside(folder.native, file.path), file):
        return None
    return hashes_like(folder.native / file.path, expected_hashes(file))


def _has_right_size(state: os.stat_result | None, file: PlannedFile) -> bool:
    return state is not None and stat.S_ISREG(state.st_mode) and state.st_size == file.size_bytes


class Publisher:
    """Moves complete files to `native/` in the background; a context manager.

    The content of a file is on the disk before it is renamed into `native/`: after a power cut, no
    half file is there. The rename itself is flushed once for many files, before the stat cache
    lists them. After a power cut the last files may be in `partial/` again, complete; the next run
    publishes them from there and does not download them.

    A thread of its own takes all files that are complete, flushes them (together if they are many),
    and renames them, so that no connection waits for the disk. Files that are flushed one by one
    are flushed at once, because such fsyncs share the commits of the file system (64 files of 1 MB
    on ext4: 4 ms for each in turn, 0.5 ms for each at once).

    Attributes:
        published: hashes of the files that this object has published, by path.
    """

    def __init__(
        self, folder: DatasetFolder, cache: StatCache, failed: Callable[[str, Exception], None]
    ) -> None:
        """Take the folder, the stat cache to fill, and a callback for (path, error)."""
        self._partial, self._native = folder.partial, folder.native
        self._cache = cache
        self._failed = failed
        self._flush: DiskFlush | None = None  # made for the first batch of many files
        self._pool = ThreadPoolExecutor(FLUSHERS, "flush")
        self._waiting: list[CompleteFile] = []
        self._is_closed = False
        self._error: BaseException | None = None  # that ended the thread
        # Guards the three fields above. A full list of waiting files blocks `add`: a slow disk
        # slows the download down.
        self._changed = threading.Condition()
        self._renamed: list[tuple[str, str]] = []  # path and hash; the rename may not be on disk
        self.published: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run, name="publish")

    def add(self, complete: CompleteFile) -> None:
        """Queue a complete file for publishing; nobody may write to it any more."""
        with self._changed:
            while len(self._waiting) >= MAX_WAITING and self._error is None:
                self._changed.wait()
            self._waiting.append(complete)
            if len(self._waiting) in {1, ENOUGH}:
                self._changed.notify_all()

    def start_flush(self, partial: Path) -> None:
        """Let the disk begin with a large file that is still being written."""
        self._pool.submit(_start_quietly, partial)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Publish everything that is queued."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join()
        self._pool.shutdown(wait=True)
        if self._flush is not None:
            self._flush.close()
        if self._error is not None:
            raise self._error
        self._record_renamed()

    def _run(self) -> None:
        try:
            while batch := self._next_batch():
                self._publish(batch)
        except BaseException as error:  # noqa: BLE001 (raised again at the end)
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _next_batch(self) -> list[CompleteFile]:
        """Return all complete files, and wait until there are some; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            # Further files are probably almost complete: together they cost less.
            self._changed.wait_for(
                lambda: len(self._waiting) >= ENOUGH or self._is_closed, timeout=GATHER_S
            )
            batch, self._waiting = self._waiting, []
            self._changed.notify_all()
            return batch

    def _publish(self, batch: list[CompleteFile]) -> None:
        is_flushed = len(batch) >= MIN_TOGETHER and self._flush_together()
        errors = [None] * len(batch) if is_flushed else self._pool.map(_fsync_error, batch)
        for complete, error in zip(batch, errors, strict=True):
            try:
                if error is not None:
                    raise error
                _check_size(complete)
                complete.place.replace(make_parents_inside(self._native, complete.path))
            except (OSError, FetchError) as problem:
                self._failed(complete.path, problem)
            else:
                self._renamed.append((complete.path, complete.hash))
        if len(self._renamed) >= SAVE_INTERVAL:
            self._record_renamed()

    def _flush_together(self) -> bool:
        if self._flush is None:
            self._flush = DiskFlush(self._partial)
        return self._flush.together()

    def _record_renamed(self) -> None:
        """Flush the folders of renamed files, then add the files to the stat cache."""
        renamed, self._renamed = self._renamed, []
        for folder in {os.path.dirname(path) for path, _ in renamed}:  # noqa: PTH120 (fast)
            fsync_path(self._native / folder, flags=os.O_NOFOLLOW)
        for path, actual in renamed:
            self._cache.add(path, actual)
            self.published[path] = actual
        self._cache.save()


def _check_size(complete: CompleteFile) -> None:
    """Raise FetchError if something was written after the hash was checked."""
    if (size_bytes := os.lstat(complete.place).st_size) != complete.size_bytes:
        raise FetchError(
            f"{complete.place} had {complete.size_bytes} bytes when its hash was checked, "
            f"it has {size_bytes} now"
        )


def _fsync_error(complete: CompleteFile) -> OSError | None:
    """Return when the bytes of a complete file are on the disk, or the error that prevents it."""
    try:
        fsync_path(complete.place, flags=os.O_NOFOLLOW)
    except OSError as error:
        return error
    return None


def _start_quietly(partial: Path) -> None:
    with contextlib.suppress(OSError):  # the fsync before the rename reports the error
        if not start_writing(partial):
            fsync_path(partial, flags=os.O_NOFOLLOW)
