"""Make ready files from shards: one file, or many files with a pool of workers.

A ready file is read, written under a temporary name, hashed and renamed. A pool gets only a few
shards at a time. So neither this process nor a scheduler holds all of 29,300 shards, and an
interrupt has little to wait for.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import resource
import shutil
import uuid
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.errors import FULL_DISK, ConversionError, Problem, SciMLDataError
from sciml_data.formats import NOTICES, Native, Shard, load_format
from sciml_data.formats.processes import process_pool
from sciml_data.home import publish
from sciml_data.registry.layout import trusting
from sciml_data.registry.manifest import Entry, hash_file

if TYPE_CHECKING:
    import xarray as xr

TEMPORARY = ".{name}.{unique}.unfinished"  # beside the ready file, so that a rename is atomic
UNFINISHED = ".unfinished"
TEMPORARY_GLOB = f".*{UNFINISHED}"
UNSEEN, SOFTWARE = "unseen", "software"  # kinds of problems of a worker, not of a shard
WORKER_PROBLEMS = {UNSEEN, SOFTWARE}
QUEUED_PER_WORKER = 2  # one shard that is made, and one so that a worker never waits
QUEUED_AT_EXECUTOR = 64  # for an executor of unknown size
DRIVER = "stdio"  # of HDF5: the default one refuses the symbolic links in /proc
COPY_BYTES = 2**20
MEMORY_BYTES = 64 * 2**20  # of the largest file that is written in memory first
METADATA_BYTES = 2**20  # of headers, beside the arrays
INDEX_PART = 16  # of the arrays, which their indices of chunks never take
ACDD = "ACDD-1.3"  # Attribute Convention for Data Discovery
# Attributes of a native file that say more of it than the registry says of the dataset.
OF_FILES = ("geospatial_", "time_coverage_", "creator_", "publisher_", "instrument", "platform")
MIN_INDEXED_BYTES = 1 << 20  # of a file with a chunk index
MEMORY_NAME_LETTERS = 60  # of at most 249 bytes; the name is only shown in /proc


# --- a ready file --------------------------------------------------------------------------------


@dataclass(frozen=True)
class ShardTask:
    """A ready file to make, with all that its bytes depend on.

    Attributes:
        native: native files as the format sees them; `paths` has only those of the shard.
        shard: name of the ready file, its split and its native files.
        options: options of the format.
        attributes: provenance, which is written into the file.
        root: folder of the ready files.
        inputs_bytes: size of the native files; a file that several shards share is divided.
    """

    native: Native
    shard: Shard
    options: Mapping[str, Any]
    attributes: Mapping[str, Any]
    root: Path
    inputs_bytes: int

    @property
    def target(self) -> Path:
        """Return the path of the ready file."""
        return self.root / self.shard.name

    def identity(self, ancillary: Mapping[str, Any]) -> str:
        """Return a digest of all that the bytes depend on, except for versions of libraries.

        Args:
            ancillary: hashes of the registry's own files that a format may read.
        """
        inputs = {
            "attributes": self.attributes,  # they have the hashes of the native files
            "native": self.native.block,
            "variables": self.native.variables,
            "ancillary": ancillary,
            "split": self.shard.split,
        }
        text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), default=dict)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class MadeShard:
    """A finished ready file.

    Attributes:
        entry: of the manifest.
        notices: lines of its format about it.
        index: its chunk index, a line of JSON; empty for a small file, which is fetched whole.
    """

    entry: Entry
    notices: tuple[str, ...]
    index: str = ""


def make_shard(task: ShardTask) -> MadeShard:
    """Make a ready file.

    The content is a pure function of the native files and the task. The file appears only when it
    is complete. The function runs in any process or computer that sees the folders.

    Raises:
        NativeFormatError: a native file does not follow its format.
        ConversionError: this process does not see the folders.
    """
    _require_folders(task)
    # The process that made the task has loaded the format, so its code is trusted.
    with trusting(trust_code=True):
        native_format = load_format(task.native.block["reader"], task.native.folder)
    dataset = native_format.read(task.native, task.shard, task.options)
    dataset.attrs = _with_origin(dataset.attrs, task.attributes)
    name = TEMPORARY.format(name=task.target.name, unique=uuid.uuid4().hex)
    temporary = task.target.with_name(name)
    try:
        _write(temporary, dataset, {})
        entry = Entry(task.shard.name, temporary.stat().st_size, hash_file(temporary))
        index = _chunk_index(temporary, entry)
        publish(temporary, task.target)
    finally:
        temporary.unlink(missing_ok=True)
    return MadeShard(entry, tuple(str(dataset.attrs.get(NOTICES, "")).splitlines()), index)


def _chunk_index(path: Path, entry: Entry) -> str:
    """Return the chunk index of a finished file while its bytes are still in the page cache."""
    if entry.size_bytes < MIN_INDEXED_BYTES:
        return ""
    from sciml_data.ready.chunk_index import index_line

    return index_line(path, entry)


def _with_origin(own: Mapping[str, Any], origin: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a ready file: those of its format or native file, and its origin.

    A native file may have a history and statements about its own place, time and makers. They stay,
    because those of the origin are of the whole dataset.
    """
    conventions, history = (
        [own[name]] if own.get(name) else [] for name in ("Conventions", "history")
    )
    stays = {name: own[name] for name in own if name.startswith(OF_FILES)}
    return {
        **own,
        **origin,
        **stays,
        "Conventions": ", ".join([*conventions, ACDD]),
        "history": "\n".join([*history, *filter(None, [origin.get("history")])]),
    }


def write_netcdf(
    dataset: xr.Dataset, path: Path, groups: Mapping[str, xr.Dataset] | None = None
) -> None:
    """Write a dataset as NetCDF-4; the same content gives the same bytes at any time.

    The file appears under its name when it is complete; an older one is replaced.

    Args:
        dataset: content of the root group, with the encoding of its variables.
        path: of the file; its folder is made.
        groups: name -> content of further groups.

    Raises:
        OSError: the disk, the quota or the limit of file sizes does not allow that many bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(TEMPORARY.format(name=path.name, unique=uuid.uuid4().hex))
    try:
        _write(temporary, dataset, groups or {})
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write(path: Path, dataset: xr.Dataset, groups: Mapping[str, xr.Dataset]) -> None:
    """Write a file as NetCDF-4. HDF5 never meets a full disk.

    HDF5 cannot close a file that it could not write to the end: on a full disk it would print
    traces, and end the process by a segmentation fault. So a small file is written in memory, from
    which the finished bytes are copied. For a large one, room on the disk is reserved before.
    """
    contents: list[tuple[str | None, xr.Dataset]] = [(None, dataset), *groups.items()]
    size_bytes = sum(_most_bytes(content) for _, content in contents)
    _require_file_size(path, size_bytes)
    # The length of text in the file is known afterwards.
    in_memory = size_bytes <= MEMORY_BYTES or any(_has_text(content) for _, content in contents)
    memory = os.memfd_create(path.name[:MEMORY_NAME_LETTERS])
    try:
        place = f"/proc/self/fd/{memory}"
        _create_without_times(place, groups)
        if not in_memory:
            _copy(memory, path)
            place = str(path)
        for name, content in contents:
            if not in_memory:
                _reserve(path, _most_bytes(content))
            _write_group(place, name, content)
        if in_memory:
            _copy(memory, path)
    finally:
        os.close(memory)


def _write_group(place: str, name: str | None, content: xr.Dataset) -> None:
    """Write the content of a group into an HDF5 file that has the group."""
    from xarray.backends import H5NetCDFStore

    # `to_netcdf` cannot choose a driver. The bytes are those of HDF5's default driver.
    store = H5NetCDFStore.open(place, mode="a", group=name, driver=DRIVER)
    try:
        _storable(content).dump_to_store(store, writer=_OneByOne())
    finally:
        store.close()


def _storable(content: xr.Dataset) -> xr.Dataset:
    """Return content with attributes that HDF5 can store.

    Names and messages that come from a damaged file may have zero bytes, which end a text in HDF5,
    and halves of characters. They become question marks.
    """
    storable = content.copy(deep=False)
    for attributes in (storable.attrs, *(item.attrs for item in storable.variables.values())):
        texts = {name: value for name, value in attributes.items() if isinstance(value, str)}
        attributes.update((name, _storable_text(text)) for name, text in texts.items())
    return storable


def _storable_text(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "?")


class _OneByOne:
    """A writer for xarray that computes lazy arrays one after the other.

    xarray's own writer would leave the chunks of a dask array to threads, so that their order in
    the file, and the bytes, would differ from run to run.
    """

    def add(self, source: Any, target: Any) -> None:
        """Write an array into a variable of the file."""
        import numpy as np

        target[...] = np.asarray(source)


def _copy(memory: int, path: Path) -> None:
    """Copy a file in memory to the disk, if the disk has room for it."""
    size_bytes = os.fstat(memory).st_size
    if size_bytes > shutil.disk_usage(path.parent).free:
        raise _no_room(errno.ENOSPC, path, size_bytes)
    with open(memory, "rb", closefd=False) as source, path.open("wb") as target:
        source.seek(0)
        shutil.copyfileobj(source, target, COPY_BYTES)


def _reserve(path: Path, size_bytes: int) -> None:
    """Make a file longer by bytes for which the disk has room.

    HDF5 writes over them, and when it closes the file it cuts off what is left. Unlike a look at
    the free space, this also holds when other processes write to the disk at the same time.
    """
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size_bytes)
        except OSError as error:
            if error.errno not in FULL_DISK:
                raise
            number = error.errno
        else:
            return
    path.unlink()  # a file system may keep a part of what it reserved
    raise _no_room(number, path, size_bytes)


def _no_room(number: int, path: Path, size_bytes: int) -> OSError:
    free_bytes = shutil.disk_usage(path.parent).free
    message = f"{size_bytes} bytes are needed, {free_bytes} are free"
    return OSError(number, message, str(path.parent))


def _most_bytes(content: xr.Dataset) -> int:
    """Return the most bytes that a group takes in a file, if it has no text of unknown length."""
    import numpy as np

    size_bytes = 0
    for variable in content.variables.values():
        chunks = variable.encoding.get("chunksizes") or (1,) * variable.ndim
        # Chunks at the edges are stored whole.
        pairs = zip(variable.shape, chunks, strict=False)  # text has chunks of letters, too
        stored = [-(-size // chunk) * chunk for size, chunk in pairs]
        itemsize = np.dtype(variable.encoding.get("dtype") or variable.dtype).itemsize
        size_bytes += math.prod(stored) * itemsize
    return size_bytes + size_bytes // INDEX_PART + METADATA_BYTES


def _has_text(content: xr.Dataset) -> bool:
    """Return whether a group has text whose length in the file is not known before."""
    return any(variable.dtype.kind in "OUT" for variable in content.variables.values())


def _require_file_size(path: Path, size_bytes: int) -> None:
    """Raise an error if this process may not write a file of this size.

    The limit (`ulimit -f`) holds for files in memory, too, where HDF5 would meet it.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit != resource.RLIM_INFINITY and size_bytes > limit:
        message = f"about {size_bytes} bytes are to be written, files may have {limit} (ulimit -f)"
        raise OSError(errno.EFBIG, message, str(path))


def remove_temporaries(root: Path, names: Container[str]) -> None:
    """Remove unfinished files of processes that were killed.

    Args:
        root: folder of the ready files.
        names: of the ready files of this conversion. Other shares write other files.
    """
    for path in root.rglob(TEMPORARY_GLOB):
        own = path.name[1:].removesuffix(UNFINISHED).rpartition(".")[0]
        if path.parent.joinpath(own).relative_to(root).as_posix() in names:
            path.unlink(missing_ok=True)


def _require_folders(task: ShardTask) -> None:
    """Raise an error if this process, perhaps on another computer, does not see the folders."""
    unseen = [path for path in (task.native.root, task.root) if not path.is_dir()]
    if unseen:
        raise ConversionError(
            "a worker does not see the folders of the data",
            problems=[Problem(UNSEEN, str(path), "is not a folder there") for path in unseen],
            hint="mount the home under the same path on every computer of the cluster",
        )


def _create_without_times(place: str, groups: Iterable[str]) -> None:
    """Create an HDF5 file of empty groups without the times at which they were made.

    h5netcdf would write these times and has no option against it. Then no two files would be equal.
    """
    import h5py

    in_order = h5py.h5p.CRT_ORDER_TRACKED | h5py.h5p.CRT_ORDER_INDEXED  # netCDF-4 requires it
    file_properties = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    group_properties = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    for properties in (file_properties, group_properties):
        properties.set_obj_track_times(False)
        properties.set_link_creation_order(in_order)
        properties.set_attr_creation_order(in_order)
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fapl_stdio()
    flags = h5py.h5f.ACC_TRUNC
    file = h5py.h5f.create(os.fsencode(place), flags, fcpl=file_properties, fapl=access)
    for name in groups:
        h5py.h5g.create(file, name.encode(), gcpl=group_properties).close()
    file.close()


# --- many ready files ----------------------------------------------------------------------------


@dataclass(frozen=True)
class WorkerPool:
    """An executor, and how shards are given to it.

    Attributes:
        executor: the workers.
        max_queued: largest number of shards at a time, or a function that returns it. Workers of a
            cluster come and go.
        make: function that makes a shard on a worker; None is `make_shard`.
    """

    executor: Executor
    max_queued: int | Callable[[], int]
    make: Callable[[ShardTask], MadeShard] | None = None

    def room(self, queued: int) -> int:
        """Return how many more shards the executor gets."""
        most = self.max_queued if isinstance(self.max_queued, int) else self.max_queued()
        return max(most - queued, 0)


def make_shards(
    tasks: Iterable[ShardTask], pool: WorkerPool, finished: Callable[[ShardTask, MadeShard], None]
) -> list[tuple[ShardTask, Exception]]:
    """Make all shards that can be made, and return those that failed with their errors.

    Args:
        tasks: shards to make.
        pool: workers.
        finished: callback that gets each finished shard, in this thread.

    Raises:
        ConversionError: no other shard can succeed: the disk is full, or the workers are gone.
    """
    failed: list[tuple[ShardTask, Exception]] = []
    stop: ConversionError | None = None
    left = iter(tasks)
    running: dict[Future[MadeShard], ShardTask] = {}
    try:
        while True:
            for task in islice(left, 0 if stop else pool.room(len(running))):
                running[pool.executor.submit(pool.make or make_shard, task)] = task
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task, error = running.pop(future), _error(future)
                if error is None:
                    finished(task, future.result())
                else:
                    failed.append((task, error))
                    stop = stop or _reason_to_stop(error)
    finally:
        for future in running:
            future.cancel()
    if stop is not None:
        raise stop from failed[-1][1]
    return failed


def problems_of(task: ShardTask, error: Exception) -> tuple[Problem, ...]:
    """Return the problems of a shard that failed; their place is the native file, if it has one."""
    if isinstance(error, SciMLDataError) and error.problems:
        return error.problems
    place = task.shard.inputs[0] if len(task.shard.inputs) == 1 else task.shard.name
    message = (
        error.message if isinstance(error, SciMLDataError) else f"{type(error).__name__}: {error}"
    )
    return (Problem("failed", place, message),)


def _error(future: Future[MadeShard]) -> Exception | None:
    """Return why a shard failed; KeyboardInterrupt and SystemExit of a worker are raised here."""
    if future.cancelled():
        return CancelledError("cancelled")
    error = future.exception()
    if error is not None and not isinstance(error, Exception):
        raise error
    return error


def _reason_to_stop(error: Exception) -> ConversionError | None:
    """Return an error if no other shard can succeed, None if others may."""
    if isinstance(error, OSError) and error.errno in (*FULL_DISK, errno.EFBIG):
        reason = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        return _stopped(f"the disk of the ready files is full: {reason}", "free some space, then ")
    if isinstance(error, ConversionError) and {p.kind for p in error.problems} & WORKER_PROBLEMS:
        return error  # this worker would fail with every other shard, and faster than good ones
    if isinstance(error, CancelledError):
        return _stopped("the cluster gave up: its scheduler ended, or someone cancelled the work")
    if isinstance(error, BrokenExecutor):
        return _stopped(
            "a process that makes ready files was killed, perhaps for lack of memory",
            "use fewer --jobs, which need less memory, and ",
        )
    return None


def _stopped(message: str, advice: str = "") -> ConversionError:
    return ConversionError(
        message,
        done="no other ready files were begun",
        untouched="native files and finished ready files are untouched",
        hint=f"{advice}run the same command again: finished files are kept",
    )


@contextmanager
def single_thread_pool() -> Iterator[WorkerPool]:
    """Yield a pool of one thread, so that the main thread waits where an interrupt reaches it.

    In the main thread a shard would delay the interrupt: HDF5 does not return to Python meanwhile.
    """
    executor = ThreadPoolExecutor(1)
    try:
        yield WorkerPool(executor, 1)
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def shard_processes(count: int) -> Iterator[WorkerPool]:
    """Yield a pool of processes; see `sciml_data.formats.processes`."""
    with process_pool(count) as executor:
        yield WorkerPool(executor, count * QUEUED_PER_WORKER)
