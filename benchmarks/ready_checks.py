"""Cost of checking ready files before CloudMask reads them, and of checksums while it reads.

    python benchmarks/ready_checks.py [--home DIR] [--scenes 12] [--repeat 5]
    python benchmarks/ready_checks.py --checksums     # per chunk: fletcher32 of HDF5, crc32 of ours

Scenes of 1200 x 1500 pixels are made and converted in DIR (a temporary folder by default). The
check is measured with the stat cache that `convert` leaves and without one, each with the files in
the page cache and out of it. It is compared with an epoch of reading (`stream`, batches of 32) and
with an epoch of training: the published U-Net by the steps of the engine, as `train.py` measures
it, of which some batches are timed. All are measured in turn in one process.

`--checksums` rewrites the ready files with the filter fletcher32, and reads single patches and
epochs with and without checksums.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pipeline
import train
from goals import report
from page_cache import drop_from_page_cache

from sciml_data.bench.training import backend
from sciml_data.home import find_home
from sciml_data.ready import convert, require_unchanged
from sciml_data.ready.folder import STAT_CACHE_NAME
from sciml_data.ready.patches import PatchGrid, find_scenes, list_patches, stream
from sciml_data.ready.patches.reading import Window, read_window
from sciml_data.registry.stages import Converted, Verified
from sciml_data.synthetic.make import make_sample

BATCH = 32
MAX_SHARES = {"cold": 2.0, "warm": 0.5}  # % of an epoch of training; epochs differ by 0.5
Measured = dict[str, list[tuple[float, float]]]  # seconds by the clock and of the processors


def main() -> None:
    """Make the scenes, measure, and print."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as temporary:
        home = arguments.home or Path(temporary)
        converted = _converted(home / "scenes", arguments.scenes)
        if arguments.checksums:
            _checksums(converted, home / "fletcher32", arguments.repeat)
        else:
            _checks(converted, home / "trained", arguments)


def _converted(home: Path, scenes: int) -> Converted:
    descriptor = pipeline.sample_descriptor(scenes)
    made = make_sample(descriptor, find_home(home))
    converted = convert(Verified(descriptor, made.folder, made.manifest, is_synthetic=True))
    size = converted.manifest.total_bytes
    print(f"{scenes} scenes of 1200 x 1500, {size / 1e6:.0f} MB, {os.cpu_count()} cores")
    return converted


# --- checks before reading -----------------------------------------------------------------------


def _checks(converted: Converted, home: Path, arguments: argparse.Namespace) -> None:
    paths = [converted.root / entry.path for entry in converted.manifest]
    cache = converted.root / STAT_CACHE_NAME
    patches = 20 * len(paths)
    require_unchanged(converted)

    def hashed() -> None:
        cache.unlink()
        require_unchanged(converted)

    ways: dict[str, Callable[[], object]] = {
        "check, stat cache": lambda: require_unchanged(converted),
        "check, every byte": hashed,
        "epoch of reading": lambda: _read_epoch(paths),
    }
    measured = _measure(ways, paths, arguments.repeat)
    epoch_s, epoch_cpu_s = _training(home, arguments, patches)
    print(f"epoch of training: {epoch_s:.1f} s, {epoch_cpu_s:.1f} CPU s for {patches} patches")
    reading = {state: _median(measured[f"epoch of reading, {state}"]) for state in ("cold", "warm")}
    for name, values in measured.items():
        wall, cpu = _median(values)
        state = name.rpartition(", ")[2]
        print(
            f"{name:30} {1e3 * wall:9.2f} ms {1e3 * cpu:9.2f} CPU ms   "
            f"{wall / epoch_s:9.4%} ({cpu / epoch_cpu_s:.4%}) of training, "
            f"{wall / reading[state][0]:7.2%} ({cpu / reading[state][1]:.2%}) of reading"
        )
        if name.startswith("check"):
            goal = MAX_SHARES[state]
            report(f"{name} / epoch of training", 100 * wall / epoch_s, "%", at_most=goal)


def _training(home: Path, arguments: argparse.Namespace, patches: int) -> tuple[float, float]:
    """Return seconds of an epoch of training, and seconds of the processors."""
    options = argparse.Namespace(home=home, size=256, batch=8, batches=arguments.batches)
    backend.choose("tensorflow")
    backend.current().set_threads(os.cpu_count() or 1)
    problem, settings = train._problem(options)  # noqa: SLF001 - the same measurement
    epoch = train._engine(problem, settings)  # noqa: SLF001
    epoch()  # compiles
    values = _measure({"training": epoch}, (), arguments.repeat)["training, warm"]
    factor = patches / (options.batch * options.batches)
    wall, cpu = _median(values)
    return wall * factor, cpu * factor


# --- checksums while reading ---------------------------------------------------------------------


def _checksums(converted: Converted, folder: Path, repeat: int) -> None:
    plain = [converted.root / entry.path for entry in converted.manifest]
    summed = [_with_fletcher32(path, folder / path.name) for path in plain]
    sizes = [sum(path.stat().st_size for path in paths) for paths in (plain, summed)]
    print(f"bytes: {sizes[0]} plain, {sizes[1]} with fletcher32 ({sizes[1] / sizes[0]:.4%})")
    sums = _crc32(plain)
    ways: dict[str, Callable[[], object]] = {
        "h5py": lambda: _read_with_h5py(plain),
        "h5py, fletcher32": lambda: _read_with_h5py(summed),
        "preadv (ours)": lambda: _read_with_preadv(plain),
        "preadv (ours), crc32": lambda: _read_with_preadv(plain, sums),
    }
    measured = _measure(ways, [*plain, *summed], repeat)
    patches = len(list_patches(find_scenes(plain), PatchGrid()))
    base = {
        name.rpartition(", ")[2]: _median(measured[name])
        for name in ("preadv (ours), cold", "preadv (ours), warm")
    }
    for name, values in measured.items():
        wall, cpu = _median(values)
        of = base[name.rpartition(", ")[2]]
        print(
            f"{name:30} {1e3 * wall / patches:7.3f} ms {1e3 * cpu / patches:7.3f} CPU ms a patch, "
            f"{wall / of[0]:5.2f} ({cpu / of[1]:.2f}) times preadv"
        )


def _with_fletcher32(path: Path, target: Path) -> Path:
    """Copy a ready file with a checksum for each chunk of its arrays."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path) as source, h5py.File(target, "w", libver="latest") as copy:
        for name, dataset in source.items():
            if not dataset.shape or dataset.dtype.kind not in "iuf":
                continue
            copy.create_dataset(
                name,
                data=dataset[...],
                chunks=dataset.chunks or dataset.shape,
                shuffle=dataset.shuffle,
                compression=dataset.compression,
                fletcher32=True,
            )
    return target


def _read_with_h5py(paths: Sequence[Path]) -> None:
    for path in paths:
        with h5py.File(path) as file:
            for number in range(20):
                row, column = 256 * (number // 5), 256 * (number % 5)
                for name in pipeline.STORED:
                    file[name][0, row : row + 256, column : column + 256]


def _read_with_preadv(
    paths: Sequence[Path], sums: Mapping[tuple[int, str], int] | None = None
) -> None:
    patches, arrays = _patches(paths)
    for number in range(len(patches)):
        _into(patches, number, arrays)
        if sums is not None:
            for name, values in arrays.items():
                if zlib.crc32(values) != sums[number, name]:
                    raise SystemExit(f"{name} of patch {number} was damaged")


def _crc32(paths: Sequence[Path]) -> dict[tuple[int, str], int]:
    patches, arrays = _patches(paths)
    sums: dict[tuple[int, str], int] = {}
    for number in range(len(patches)):
        _into(patches, number, arrays)
        sums |= {(number, name): zlib.crc32(array) for name, array in arrays.items()}
    return sums


def _patches(paths: Sequence[Path]) -> tuple[Any, dict[str, Any]]:
    patches = list_patches(find_scenes(paths), PatchGrid())
    arrays = {
        name: np.empty((256, 256, *layout.shape[2:]), layout.dtype)
        for name, layout in patches.scenes.layouts.items()
        if name in pipeline.STORED
    }
    return patches, arrays


def _into(patches: Any, number: int, arrays: Mapping[str, Any]) -> None:
    window = Window(int(patches.row[number]), int(patches.column[number]), 256, 256)
    read_window(patches.scenes, int(patches.scene[number]), window, arrays)


# --- measuring -----------------------------------------------------------------------------------


def _read_epoch(paths: Sequence[Path]) -> None:
    for _ in stream(list_patches(find_scenes(paths), PatchGrid()), batch_size=BATCH, seed=0):
        pass


def _measure(
    ways: Mapping[str, Callable[[], object]], paths: Sequence[Path], repeat: int
) -> Measured:
    """Measure each way in turn, with files out of the page cache (cold) and then in it (warm)."""
    measured: Measured = {}
    for _ in range(repeat):
        for name, way in ways.items():
            for state in ("cold", "warm") if paths else ("warm",):
                if state == "cold":
                    drop_from_page_cache(paths)
                wall, cpu = time.perf_counter(), time.process_time()
                way()
                spent = (time.perf_counter() - wall, time.process_time() - cpu)
                measured.setdefault(f"{name}, {state}", []).append(spent)
    return measured


def _median(values: Sequence[tuple[float, float]]) -> tuple[float, float]:
    walls, cpus = zip(*values, strict=True)
    return statistics.median(walls), statistics.median(cpus)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--home", type=Path, help="folder of the scenes; kept")
    parser.add_argument("--scenes", type=int, default=12)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--batches", type=int, default=2, help="batches of training to time")
    parser.add_argument("--checksums", action="store_true", help="measure checksums of chunks")
    return parser.parse_args()


if __name__ == "__main__":
    main()
