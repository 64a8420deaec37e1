"""Shards on a Dask cluster: reached within seconds or not at all, and tried before it is used."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.errors import CallError, ConversionError, Problem
from sciml_data.ready.convert.shard import Task
from sciml_data.ready.convert.work import WAITING_PER_WORKER, Workforce

if TYPE_CHECKING:
    from distributed import Client

SCHEDULER_TIMEOUT_S = 5
WORKERS_TIMEOUT_S = 60  # a queue may take its time to start the first
UNTOUCHED = "nothing was converted"
SOFTWARE = ("sciml_data", "numpy", "xarray", "h5py", "h5netcdf")  # what bytes come from


@contextmanager
def dask_workers(address: str, task: Task) -> Iterator[Workforce]:
    """Yield the workers of a cluster, after a look at whether they can do the work.

    Args:
        address: of the scheduler, ``tcp://HOST:PORT``, or a file that it wrote.
        task: one that is to be made: its folders must be seen by every worker.

    Raises:
        CallError: the scheduler cannot be reached or has no workers, or Dask is not installed.
        ConversionError: workers see other folders or have other software.
    """
    client = _client(address)
    try:
        _wait_for_workers(client, address)
        _try_workers(client, task)
        threads = sum(client.nthreads().values())
        with client.get_executor(pure=False) as executor:
            yield Workforce(executor, threads * WAITING_PER_WORKER)
    finally:
        client.close()


def software() -> dict[str, str]:
    """Return the versions of what the bytes of a ready file depend on, where this runs."""
    import importlib

    import h5py

    versions = {name: str(importlib.import_module(name).__version__) for name in SOFTWARE}
    return versions | {"HDF5": h5py.version.hdf5_version}


def look(folders: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return what a worker cannot see (of the last folder: write), and its `software`."""
    unseen = [folder for folder in folders if not Path(folder).is_dir()]
    if not unseen and not os.access(folders[-1], os.W_OK):
        unseen = [folders[-1]]
    return unseen, software()


def _client(address: str) -> Client:
    try:
        from distributed import Client
    except ImportError as error:
        raise CallError(
            "a cluster is used through Dask, which is not installed",
            untouched=UNTOUCHED,
            hint="pip install 'sciml-data[cluster]'",
        ) from error
    address = _address(address)
    try:
        with ThreadPoolExecutor(1) as aside:  # where no event loop runs, as one does in a notebook
            aside.submit(asyncio.run, _greet(address)).result()
        return Client(address, timeout=SCHEDULER_TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise CallError(
            f"no Dask scheduler answers at {address}: {error}",
            untouched=UNTOUCHED,
            hint="`dask scheduler` prints its address when it starts, tcp://HOST:8786",
        ) from error


async def _greet(address: str) -> None:
    """Exchange greetings with a scheduler: Dask's client waits for ever where none is returned."""
    from distributed.comm import connect
    from distributed.security import Security

    arguments = Security().get_connection_args("client")
    async with asyncio.timeout(SCHEDULER_TIMEOUT_S):
        comm = await connect(address, timeout=SCHEDULER_TIMEOUT_S, **arguments)
    await comm.close()


def _address(text: str) -> str:
    """Return the address, read from the scheduler's file where one is named."""
    path = Path(text)
    if "://" in text or (":" in text and not path.exists()):
        return text
    try:
        address = json.loads(path.read_text(encoding="utf-8"))["address"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CallError(
            f"--cluster {text!r} is neither an address nor the file of a Dask scheduler: {error}",
            untouched=UNTOUCHED,
            hint="tcp://HOST:8786, or what `dask scheduler --scheduler-file scheduler.json` wrote",
        ) from error
    return str(address)


def _wait_for_workers(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=WORKERS_TIMEOUT_S)
    except TimeoutError as error:
        raise CallError(
            f"the Dask scheduler at {address} had no worker in {WORKERS_TIMEOUT_S:g} s",
            untouched=UNTOUCHED,
            hint=f"dask worker {client.scheduler.address}",
        ) from error


def _try_workers(client: Client, task: Task) -> None:
    """Hold what every worker sees and runs against what we do."""
    folders = [str(path) for path in (task.native.root, task.native.folder, task.root)]
    try:
        seen = client.run(look, folders)
    except ImportError as error:
        raise ConversionError(
            f"a worker of the cluster cannot load what it needs: {error}",
            untouched=UNTOUCHED,
            hint="every worker needs sciml-data, of the same version as here",
        ) from error
    problems = [problem for worker in sorted(seen) for problem in _problems(worker, *seen[worker])]
    if problems:
        raise ConversionError(
            f"{len({p.place for p in problems})} of the cluster's {len(seen)} workers cannot make "
            "the files that this computer would make",
            problems=problems,
            untouched=UNTOUCHED,
            hint="the home and the registry must be mounted under the same paths on every computer "
            "of the cluster, with the same software",
        )


def _problems(worker: str, unseen: list[str], versions: dict[str, Any]) -> list[Problem]:
    ours = software()
    return [
        Problem("unseen", worker, f"does not see the folder {folder}, or may not write there")
        for folder in unseen
    ] + [
        Problem("software", worker, f"has {name} {versions.get(name)}, here is {ours[name]}")
        for name in ours
        if versions.get(name) != ours[name]
    ]
