"""Workers of a Dask cluster: reached within seconds or not at all, and checked before use."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.errors import CallError, ConversionError, Problem
from sciml_data.ready.shards import (
    QUEUED_PER_WORKER,
    SOFTWARE,
    UNSEEN,
    MadeShard,
    ShardTask,
    WorkerPool,
    make_shard,
)

if TYPE_CHECKING:
    from distributed import Client

SCHEDULER_TIMEOUT_S = 5
WORKERS_TIMEOUT_S = 60  # a batch system may take a while to start the first worker
UNTOUCHED = "nothing was converted"
COUNT_EVERY_S = 5.0  # a question to the scheduler; a shard takes about a second
PACKAGES = ("sciml_data", "numpy", "xarray", "h5py", "h5netcdf")  # bytes depend on their versions


@contextmanager
def open_cluster(address: str, task: ShardTask) -> Iterator[WorkerPool]:
    """Yield the workers of a cluster as a pool, after a check that they make the same bytes.

    Args:
        address: address of the scheduler, ``tcp://HOST:PORT``, or a file that it wrote.
        task: a task; every worker must see its folders.

    Raises:
        CallError: the scheduler cannot be reached or has no workers, or Dask is not installed.
        ConversionError: a worker has other software or does not see the folders.
    """
    client = _client(address)
    try:
        _wait_for_workers(client, address)
        _check_workers(client, task)
        with client.get_executor(pure=False) as executor:
            yield WorkerPool(executor, _Threads(client), partial(make_checked, ours=software()))
    finally:
        client.close()


def software() -> dict[str, str]:
    """Return the versions of the software that the bytes of a ready file depend on."""
    import importlib

    import h5py

    versions = {name: str(importlib.import_module(name).__version__) for name in PACKAGES}
    return versions | {"HDF5": h5py.version.hdf5_version}


class _Threads:
    """Counts the threads of a cluster from time to time; a batch system adds workers later."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._count = int(sum(client.nthreads().values()))
        self._counted_s = time.monotonic()

    def __call__(self) -> int:
        """Return how many shards the scheduler gets at a time."""
        if time.monotonic() - self._counted_s > COUNT_EVERY_S:
            with suppress(OSError, TimeoutError):  # a dead scheduler shows in the results
                self._count = sum(self._client.nthreads().values()) or self._count
            self._counted_s = time.monotonic()
        return self._count * QUEUED_PER_WORKER


def make_checked(task: ShardTask, ours: Mapping[str, str]) -> MadeShard:
    """Make a ready file if this process has the same software; runs on a worker.

    The workers are checked before the conversion, but others may join the cluster later.

    Args:
        task: the ready file.
        ours: `software` of the process that converts.

    Raises:
        ConversionError: this worker has other software, or does not see the folders.
    """
    if problems := _software_problems(f"worker on {socket.gethostname()}", software(), ours):
        raise ConversionError(
            "a worker that joined the cluster would not make the same files",
            problems=problems,
            done="finished ready files are kept",
            untouched="native files were not changed",
            hint="install the same software for every worker, and run the same command again",
        )
    return make_shard(task)


def inspect_worker(folders: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the folders that a worker does not see, and its `software`; runs on a worker.

    The last folder has to be writable, too.
    """
    unseen = [folder for folder in folders if not Path(folder).is_dir()]
    if not unseen and not os.access(folders[-1], os.W_OK):
        unseen = [folders[-1]]
    return unseen, software()


def _client(address: str) -> Client:
    try:
        from distributed import Client
    except ImportError as error:
        raise CallError(
            "a cluster needs the package distributed of Dask, which is not installed",
            untouched=UNTOUCHED,
            hint="pip install 'sciml-data[cluster]'",
        ) from error
    address = _address(address)
    try:
        # In a thread of its own: a notebook already runs an event loop in this thread.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, _greet(address)).result()
        return Client(address, timeout=SCHEDULER_TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise CallError(
            f"no Dask scheduler answers at {address}: {error}",
            untouched=UNTOUCHED,
            hint="`dask scheduler` prints its address when it starts, tcp://HOST:8786",
        ) from error


async def _greet(address: str) -> None:
    """Connect to a scheduler with a timeout.

    Dask's client has no timeout for a server that accepts a connection and then sends nothing.
    """
    from distributed.comm import connect
    from distributed.security import Security

    arguments = Security().get_connection_args("client")
    async with asyncio.timeout(SCHEDULER_TIMEOUT_S):
        comm = await connect(address, timeout=SCHEDULER_TIMEOUT_S, **arguments)
    await comm.close()


def _address(text: str) -> str:
    """Return an address as it is, or the address in the file of a scheduler."""
    path = Path(text)
    if "://" in text or (":" in text and not path.exists()):
        return text
    try:
        address = json.loads(path.read_text(encoding="utf-8"))["address"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise CallError(
            f"--cluster {text!r} is neither an address nor the file of a Dask scheduler: {error}",
            untouched=UNTOUCHED,
            hint="tcp://HOST:8786, or the file of `dask scheduler --scheduler-file scheduler.json`",
        ) from error
    return str(address)


def _wait_for_workers(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=WORKERS_TIMEOUT_S)
    except TimeoutError as error:
        raise CallError(
            f"the Dask scheduler at {address} had no worker in {WORKERS_TIMEOUT_S:g} s",
            untouched=UNTOUCHED,
            hint=f"start one: dask worker {client.scheduler.address}",
        ) from error


def _check_workers(client: Client, task: ShardTask) -> None:
    """Compare the folders and the software of every worker with those of this process."""
    folders = [str(path) for path in (task.native.root, task.native.folder, task.root)]
    try:
        reports = client.run(inspect_worker, folders)
    except ImportError as error:
        raise ConversionError(
            f"a worker of the cluster cannot import its software: {error}",
            untouched=UNTOUCHED,
            hint="install sciml-data for every worker, with the same version as here",
        ) from error
    problems = [
        problem for worker in sorted(reports) for problem in _problems(worker, *reports[worker])
    ]
    if problems:
        raise ConversionError(
            f"{len({p.place for p in problems})} of the cluster's {len(reports)} workers would not "
            "make the same files as this computer",
            problems=problems,
            untouched=UNTOUCHED,
            hint="home and registry must be mounted under the same paths on every computer of the "
            "cluster, with the same software",
        )


def _problems(worker: str, unseen: list[str], versions: dict[str, Any]) -> list[Problem]:
    return [
        Problem(UNSEEN, worker, f"does not see the folder {folder}, or permission denied")
        for folder in unseen
    ] + _software_problems(worker, versions, software())


def _software_problems(
    worker: str, theirs: Mapping[str, str], ours: Mapping[str, str]
) -> list[Problem]:
    return [
        Problem(SOFTWARE, worker, f"has {name} {theirs.get(name)}, and not {ours[name]}")
        for name in ours
        if theirs.get(name) != ours[name]
    ]
