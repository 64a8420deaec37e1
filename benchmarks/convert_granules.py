"""Conversion of CloudMask's granules, for `convert.py --dataset cloud_slstr_ds1`.

With `--plan N`, N names of one small scene are planned: nothing is converted.

Synthetic scenes of full size are made in a temporary folder, in the native HDF5 form. Six of them
are different, and the others are hard links to these under other names. The contenders run in turn,
round by round, and medians are printed with ratios: copying the native files to the same disk
(`shutil.copyfile` and fsync) in this process and in two, converting in this process, and converting
in one and in two worker processes that are already running. Native files come from the page cache.
All written data are on disk when the time is taken.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from goals import report
from numpy.typing import NDArray
from page_cache import drop_from_page_cache

from sciml_data.formats.slstr_hdf5 import parse_granule_name
from sciml_data.home import DatasetFolder
from sciml_data.ready import convert
from sciml_data.ready.conversion import plan_conversion
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import Entry, Manifest, hash_file, manifest_of
from sciml_data.registry.stages import Converted, Fetched, Verified
from sciml_data.synthetic.slstr_hdf5 import write_sample
from sciml_data.synthetic.slstr_hdf5.granules import write_scene
from sciml_data.transfer import verify

DIFFERENT = 6  # scenes that are not links
GOAL_WORKERS = 1.8  # speed of two processes, relative to one
GOAL_PLAN_S, GOAL_PLAN_MB = 30, 500
SMALL = (96, 112)  # pixels of the scene that is only planned
GOAL_SHARE = 0.40  # size of the ready form, relative to native
PATCH = 256
Table = dict[str, list[float]]


@dataclass(frozen=True)
class Options:
    """Options of the command line.

    Attributes:
        scratch: folder for the scenes; None uses the system's temporary folder.
        scenes: number of scenes.
        repeat: rounds.
        patches: patches to read from each form.
        planned: links to one scene that are planned; None converts instead.
    """

    scratch: Path | None
    scenes: int
    repeat: int
    patches: int
    planned: int | None = None


def main(options: Options) -> None:
    """Make the scenes, measure, and print the results."""
    if options.planned:
        plan(options.planned, options.scratch)
        return
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch, ExitStack() as stack:
        verified = make_scenes(Path(scratch), options.scenes)
        size_mb = verified.manifest.total_bytes / 1e6
        print(f"{options.scenes} scenes, {size_mb:.0f} MB, {os.cpu_count()} cores")
        pools = {count: stack.enter_context(warm_pool(verified, count)) for count in (1, 2)}
        print_throughput(verified, pools, options.repeat)
        ready = {
            name: convert(verified, options={"compression": name}) for name in ("none", "gzip")
        }
        print_bytes(verified, ready["none"], pools[2])
        for name, converted in ready.items():
            share = converted.manifest.total_bytes / verified.manifest.total_bytes
            report(f"size of CloudMask's ready form / native, {name}", share, at_most=GOAL_SHARE)
        print_patches(verified, ready, options.patches)


def make_scenes(root: Path, count: int) -> Verified:
    """Write scenes of 1200 x 1500 pixels and return them as verified files."""
    folder = DatasetFolder(root / "data")
    sample = {"count": {"training": min(count, DIFFERENT)}, "shape": [1200, 1500], "processes": 2}
    write_sample(folder.native, {"sample": sample}, seed=0)
    different = sorted(folder.native.rglob("*.hdf"))
    for number in range(len(different), count):
        source = different[number % len(different)]
        name = parse_granule_name(source.name)
        assert name is not None  # noqa: S101 - our own writer has named it
        later = replace(name, start=name.start + timedelta(days=number))
        source.with_name(f"{later.stem}.hdf").hardlink_to(source)
    descriptor = load_descriptor(find_registry(), "cloud_slstr_ds1", "1.0")
    return Verified(descriptor, folder, manifest_of(folder.native), is_synthetic=True)


def plan(count: int, scratch_folder: Path | None) -> None:
    """Print how long it takes until the first of many files could be converted, and the memory."""
    with tempfile.TemporaryDirectory(dir=scratch_folder) as scratch:
        folder = DatasetFolder(Path(scratch) / "data")
        first = write_scene(folder.native, 0, 0, "training", SMALL)
        name = parse_granule_name(first.name)
        assert name is not None  # noqa: S101 - our own writer has named it
        for number in range(1, count):
            later = replace(name, start=name.start + timedelta(seconds=180 * number))
            first.with_name(f"{later.stem}.hdf").hardlink_to(first)
        size, digest = first.stat().st_size, hash_file(first)
        paths = sorted(path.relative_to(folder.native) for path in first.parent.iterdir())
        manifest = Manifest(tuple(Entry(path.as_posix(), size, digest) for path in paths))
        descriptor = load_descriptor(find_registry(), "cloud_slstr_ds1", "1.0")
        fetched = Fetched(descriptor, folder, manifest, is_synthetic=True)
        began = time.perf_counter()
        with timed(f"hash {count:,} files"):
            verify(fetched)
        with timed("verify them by size, mtime and inode"):
            verified = verify(fetched)
        with timed("plan the conversion"):
            ready, tasks = plan_conversion(verified, {})
            ready.find_existing()
        with timed("prepare the folder"), ready.update():
            pass
        assert len(tasks) == count  # noqa: S101 - else nothing was measured
        seconds = time.perf_counter() - began
    report(f"planning {count:,} files, with hashing", seconds, "s", at_most=GOAL_PLAN_S)
    report(f"planning {count:,} files, peak memory", peak_mb(), "MB", at_most=GOAL_PLAN_MB)


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Print the seconds of a block, and the peak memory of this process so far."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name:<38} {wall:6.2f} s wall {cpu:6.2f} s CPU, peak so far {peak_mb():4.0f} MB")


def peak_mb() -> float:
    """Return the peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


@contextmanager
def warm_pool(verified: Verified, processes: int) -> Iterator[Executor]:
    """Yield worker processes that have converted before, so that their libraries are loaded."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        first = Manifest(tuple(islice(verified.manifest, 4 * processes)))
        convert(
            with_own_folder(replace(verified, manifest=first), f"warm-{processes}"), workers=pool
        )
        yield pool


def with_own_folder(verified: Verified, name: str) -> Verified:
    """Return the same native files with a ready folder of their own."""
    folder = DatasetFolder(verified.folder.root.with_name(name))
    folder.root.mkdir(exist_ok=True)
    if not folder.native.exists():
        folder.native.symlink_to(verified.root)
    return replace(verified, folder=folder)


def copy_all(verified: Verified, pool: Executor | None = None) -> None:
    """Copy every native file and wait until it is on the disk."""
    target = verified.folder.root.with_name("copy")
    target.mkdir()
    sources = [verified.root / entry.path for entry in verified.manifest]
    for _ in (pool.map if pool else map)(partial(copy_into, target), sources):
        pass
    shutil.rmtree(target)


def copy_into(folder: Path, source: Path) -> None:
    """Copy a file into a folder and wait until it is on the disk."""
    copied = folder / source.name
    shutil.copyfile(source, copied)
    descriptor = os.open(copied, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def print_throughput(verified: Verified, pools: dict[int, Executor], repeat: int) -> None:
    """Print MB/s of native input, and ratios to the copy."""

    def converting(workers: Any) -> Callable[[], object]:
        return lambda: convert(verified, workers=workers, again=True)

    actions: dict[str, Callable[[], object]] = {
        "copy": lambda: copy_all(verified),
        "copy, 2 warm processes": lambda: copy_all(verified, pools[2]),
        "this process": converting(1),
        "1 warm process": converting(pools[1]),
        "2 warm processes": converting(pools[2]),
        "2 processes, start included": converting(2),
    }
    taken: Table = {name: [] for name in actions}
    cpu: Table = {name: [] for name in actions}
    for _ in range(repeat):
        for name, action in actions.items():
            started, began = time.perf_counter(), time.process_time()
            action()
            taken[name].append(time.perf_counter() - started)
            cpu[name].append(time.process_time() - began)
    median = {name: statistics.median(seconds) for name, seconds in taken.items()}
    for name, seconds in median.items():
        rate = verified.manifest.total_bytes / 1e6 / seconds
        runs = " ".join(f"{seconds:.1f}" for seconds in taken[name])
        ratio = median["copy"] / seconds
        print(f"{name:<28} {rate:7.0f} MB/s of native, {ratio:.2f} times the copy ({runs} s)")
    per_scene = {
        name: statistics.median(cpu[name]) / len(verified.manifest)
        for name in ("copy", "this process")
    }
    for name, seconds in per_scene.items():
        print(f"CPU seconds per scene, {name}: {seconds:.3f}")
    for name, one, two in (
        ("copying", "copy", "copy, 2 warm processes"),
        ("converting", "1 warm process", "2 warm processes"),
    ):
        ratios = sorted(a / b for a, b in zip(taken[one], taken[two], strict=True))
        each = " ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"{name}, speed of 2 processes / 1 in each round: {each}")
        goal = GOAL_WORKERS if name == "converting" else None
        report(f"{name}, speed of 2 processes / 1", statistics.median(ratios), at_least=goal)


def print_bytes(verified: Verified, alone: Converted, pool: Executor) -> None:
    """Print whether a process pool and Dask write the same bytes as one process."""
    from distributed import LocalCluster

    subset = replace(verified, manifest=Manifest(tuple(islice(verified.manifest, DIFFERENT))))
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as dask:
        by_pool = {
            name: convert(with_own_folder(subset, name), options=alone.options, workers=workers)
            for name, workers in (("pool", pool), ("Dask", dask.scheduler_address))
        }
    for name, converted in by_pool.items():
        is_same = converted.manifest.by_path.items() <= alone.manifest.by_path.items()
        outcome = "the same bytes" if is_same else "DIFFERENT"
        print(f"{len(converted.manifest)} files of {name}: {outcome}")


def print_patches(verified: Verified, ready: dict[str, Converted], count: int) -> None:
    """Print the milliseconds to read a patch: all bands as float32, label and mask."""
    folders = {
        "native": (verified.root, "*.hdf", native_patch),
        **{name: (form.root, "*.nc", ready_patch) for name, form in ready.items()},
    }
    random = np.random.default_rng(0)
    taken: dict[tuple[str, str], list[float]] = {}
    for _ in range(count):
        row, column = PATCH * random.integers(4), PATCH * random.integers(5)
        scene = int(random.integers(DIFFERENT))
        for name, (root, glob, read) in folders.items():
            path = sorted(root.rglob(glob))[scene]
            for state in ("cold", "warm"):
                if state == "cold":
                    drop_from_page_cache([path])
                started = time.perf_counter()
                read(path, int(row), int(column))
                taken.setdefault((name, state), []).append(time.perf_counter() - started)
    for (name, state), seconds in taken.items():
        milliseconds = statistics.median(seconds) * 1e3
        ratio = statistics.median(taken["native", state]) * 1e3 / milliseconds
        print(f"patch from {name:<6} {state}: {milliseconds:6.2f} ms, {ratio:.2f} x native speed")


def native_patch(path: Path, row: int, column: int) -> list[NDArray[Any]]:
    """Return reflectance, brightness temperature and label of a native file's patch."""
    window = np.s_[row : row + PATCH, column : column + PATCH]
    with h5py.File(path) as file:
        channels = [file[key][window].astype(np.float32) for key in ("refs", "bts")]
        return [*channels, file["bayes"][window] > 0]


def ready_patch(path: Path, row: int, column: int) -> list[NDArray[Any]]:
    """Return the same of a ready file, and the mask of valid pixels."""
    window = np.s_[0, row : row + PATCH, column : column + PATCH]
    with h5py.File(path) as file:
        channels = []
        for key in ("reflectance", "brightness_temperature"):
            packing = file[key].attrs
            values = file[key][window] * np.float32(packing["scale_factor"])
            channels.append(values + np.float32(packing["add_offset"]))
        return [*channels, file["cloud"][window], file["valid"][window]]
