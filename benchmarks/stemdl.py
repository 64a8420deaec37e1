"""Reading speed of STEMDL's stacks: native HDF5 and npz files, against the ready form.

    python benchmarks/stemdl.py [--home DIR] [--repeat 5]
    python benchmarks/stemdl.py --small        # seconds instead of minutes, to try the script
    python benchmarks/stemdl.py --noise        # stacks of noise, `stemdl_ds1` only: a minute
    python benchmarks/stemdl.py --codecs       # bytes and CPU ms of the standard HDF5 filters

Two samples are simulated and converted in DIR (a temporary folder by default, 3 GB; about 20
minutes on both cores): `stemdl_cbed` with 512 pixels along each side as published, and `stemdl_ds1`
with an npz file for each stack. Each measurement is a new process, and contenders run in turn. The
first epoch starts with no file in the page cache and includes finding the stacks; two more epochs
follow. An epoch reads every stack of the training split once with its label, in a random order. The
order is equal for all contenders of a dataset, and so have to be the values and labels that they
read. Contenders read one stack after the other; those "in batches" read 32 at once, as runners do.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from goals import report
from numpy.typing import NDArray
from page_cache import drop_from_page_cache

from sciml_data.bench.monitoring.machine import peak_memory_bytes
from sciml_data.home import DatasetFolder, find_home
from sciml_data.ready import convert, find_converted, index_samples, open_ready, shards_of_split
from sciml_data.registry.descriptor import Descriptor, load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import manifest_of
from sciml_data.registry.stages import Verified
from sciml_data.synthetic.make import make_sample

ENERGIES = list(range(100, 200, 10))
SAMPLES: dict[str, dict[str, Any]] = {
    "stemdl_cbed": {"materials": 2, "energies": ENERGIES, "size": 512, "materials_per_file": 4},
    "stemdl_ds1": {"materials": 10, "energies": ENERGIES},
}
SMALL: dict[str, dict[str, Any]] = {
    "stemdl_cbed": {"groups": [2, 225], "materials": 2, "size": 64, "materials_per_file": 1},
    "stemdl_ds1": {"groups": [2, 225], "materials": 2},
}
NOISE = {"training": 480, "testing": 8}  # stacks of 3 x 128 x 128 of each split
SPLITS = {"stemdl_cbed": "train", "stemdl_ds1": "training"}
COMPRESSIONS: dict[str, dict[str, str]] = {"none": {}, "gzip": {"compression": "gzip"}}
# Lossless filters that every build of HDF5 can read.
CODECS: dict[str, dict[str, Any]] = {
    "none": {},
    "fletcher32 (a checksum)": {"fletcher32": True},
    "gzip 1": {"compression": "gzip", "compression_opts": 1},
    "shuffle, gzip 1": {"compression": "gzip", "compression_opts": 1, "shuffle": True},
    "shuffle, gzip 4": {"compression": "gzip", "compression_opts": 4, "shuffle": True},
}
MAX_CODED = 64  # stacks for `--codecs`
BATCH = 32
EPOCHS = 3  # the first with a cold cache
GOAL = 3.0  # rate of the ready form, relative to npz files

Stack = NDArray[np.float32]
Key = tuple[str, str]  # native file and name in it
ReadOne = Callable[[Key], tuple[Stack, int]]
Read = Callable[[Sequence[Key]], Iterator[tuple[Stack, int]]]


@dataclass(frozen=True)
class Contender:
    """A way to read stacks.

    Attributes:
        dataset: id of the dataset.
        conversion: key of `COMPRESSIONS`; None reads native files.
        how: reader; see `reader_of`.
    """

    dataset: str
    conversion: str | None
    how: str = "h5py"


CONTENDERS: dict[str, Contender] = {
    "npz files": Contender("stemdl_ds1", None, "npz"),
    "ready of npz": Contender("stemdl_ds1", "none"),
    "ready of npz, gzip": Contender("stemdl_ds1", "gzip"),
    "ready of npz, in batches": Contender("stemdl_ds1", "none", "batches"),
    "ready of npz, open_dataset": Contender("stemdl_ds1", "none", "xarray"),
    "native HDF5": Contender("stemdl_cbed", None, "groups"),
    "ready": Contender("stemdl_cbed", "none"),
    "ready, in batches": Contender("stemdl_cbed", "none", "batches"),
    "ready, gzip": Contender("stemdl_cbed", "gzip"),
}
REFERENCES = {"stemdl_ds1": "npz files", "stemdl_cbed": "native HDF5"}


def sample_descriptor(dataset: str, *, small: bool) -> Descriptor:
    """Return the descriptor of a dataset with the settings of the measured sample."""
    descriptor = load_descriptor(find_registry(), dataset)
    sample = (SMALL if small else SAMPLES)[dataset]
    return replace(descriptor, native={**descriptor.native, "sample": sample})


def folder_of(home: Path, descriptor: Descriptor) -> DatasetFolder:
    """Return the folder of the sample."""
    return find_home(home).dataset(descriptor.dataset, descriptor.version, sample_seed=0)


def prepare(home: Path, datasets: Sequence[str], *, small: bool, noise: bool) -> None:
    """Make and convert the samples unless they exist; print their sizes."""
    for dataset in datasets:
        descriptor = sample_descriptor(dataset, small=small)
        started = time.monotonic()
        if noise:
            folder = folder_of(home, descriptor)
            write_noise(folder.native)
            manifest = manifest_of(folder.native)
        else:
            made = make_sample(descriptor, find_home(home))
            folder, manifest = made.folder, made.manifest
        verified = Verified(descriptor, folder, manifest, is_synthetic=True)
        size = manifest.total_bytes
        print(f"{dataset}: {len(manifest)} native files, {size / 1e6:.1f} MB", end="")
        print(f" (after {time.monotonic() - started:.0f} s)")
        for name, options in COMPRESSIONS.items():
            ready = convert(verified, options=options).manifest.total_bytes
            print(f"  ready, {name:<5} {ready / 1e6:8.1f} MB, {ready / size:.1%} of native")


def write_noise(native: Path) -> None:
    """Write npz files with as many bytes as simulated ones, unless they exist."""
    rng = np.random.default_rng(0)
    for split, count in NOISE.items():
        (native / split).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            path = native / split / f"sample-{number}.npz"
            if not path.exists():
                stack = rng.uniform(0, 170, (3, 128, 128)).astype(np.float32)
                np.savez(path, data=stack, label=np.array([1 + number % 230]))


def ready_of(home: Path, contender: Contender, *, small: bool) -> Any:
    """Return the conversion that a contender reads."""
    descriptor = sample_descriptor(contender.dataset, small=small)
    options = COMPRESSIONS[contender.conversion or "none"]
    converted = find_converted(descriptor, folder_of(home, descriptor), options)
    if converted is None:
        raise SystemExit(f"{contender.dataset} was not converted")
    return converted


def files_of(home: Path, contender: Contender, *, small: bool) -> list[Path]:
    """Return the files of the training split that a contender reads."""
    split = SPLITS[contender.dataset]
    if contender.conversion is None:
        native = folder_of(home, sample_descriptor(contender.dataset, small=small)).native
        return sorted((native / split).iterdir())
    converted = ready_of(home, contender, small=small)
    return [converted.root / name for name in shards_of_split(converted)[split]]


def reader_of(paths: Sequence[Path], how: str, converted: Any) -> tuple[list[Key], Read]:
    """Return the keys of all stacks, and a function that reads a stack; part of the first epoch."""
    if how == "batches":
        return batch_reader(converted)
    readers: dict[str, Callable[[], tuple[list[Key], ReadOne]]] = {
        "npz": lambda: npz_reader(paths),
        "groups": lambda: groups_reader(paths),
        "h5py": lambda: ready_reader(paths),
        "xarray": lambda: xarray_reader(converted),
    }
    keys, read = readers[how]()
    return keys, lambda ordered: map(read, ordered)


def batch_reader(converted: Any) -> tuple[list[Key], Read]:
    """Read batches as runners do, by `SampleIndex`."""
    columns = {"native_file": None, "native_sample": None, "space_group": None}
    index = index_samples(converted, ["cbed_stack"], columns)
    chosen = np.flatnonzero(index["folder"] == SPLITS[converted.descriptor.dataset])
    names = zip(index["native_file"][chosen], index["native_sample"][chosen], strict=True)
    where = dict(zip(names, chosen.tolist(), strict=True))
    groups = index["space_group"].tolist()

    def read(ordered: Sequence[Key]) -> Iterator[tuple[Stack, int]]:
        numbers = [where[key] for key in ordered]
        for start in range(0, len(numbers), BATCH):
            batch = numbers[start : start + BATCH]
            yield from zip(
                index.read("cbed_stack", batch), [groups[number] for number in batch], strict=True
            )

    return list(where), read


def npz_reader(paths: Sequence[Path]) -> tuple[list[Key], ReadOne]:
    """Read npz files as the published loaders do."""
    where = {(f"{path.parent.name}/{path.name}", digits(path.stem)): path for path in paths}

    def read(key: Key) -> tuple[Stack, int]:
        with np.load(where[key]) as file:
            return file["data"], int(file["label"][0])

    return list(where), read


def groups_reader(paths: Sequence[Path]) -> tuple[list[Key], ReadOne]:
    """Read groups of native HDF5 files with h5py; each file is opened once."""
    files = {f"{path.parent.name}/{path.name}": h5py.File(path) for path in paths}

    def read(key: Key) -> tuple[Stack, int]:
        group = files[key[0]][key[1]]
        return group["cbed_stack"][...], int(group.attrs["space_group"])

    return [(place, name) for place, file in files.items() for name in file], read


def ready_reader(paths: Sequence[Path]) -> tuple[list[Key], ReadOne]:
    """Read ready files with h5py; each file is opened once, and labels are read first."""
    where: dict[Key, tuple[Any, int, int]] = {}
    for path in paths:
        file = h5py.File(path)
        names = zip(lines(file["native_file"]), lines(file["native_sample"]), strict=True)
        groups = file["space_group"][...].tolist()
        stacks = file["cbed_stack"]
        where |= {key: (stacks, index, groups[index]) for index, key in enumerate(names)}

    def read(key: Key) -> tuple[Stack, int]:
        stacks, index, group = where[key]
        return stacks[index], group

    return list(where), read


def xarray_reader(converted: Any) -> tuple[list[Key], ReadOne]:
    """Read single samples through `open_dataset`."""
    dataset = open_ready(converted, split=SPLITS[converted.descriptor.dataset])
    names = zip(dataset["native_file"].values, dataset["native_sample"].values, strict=True)
    where = {(file.decode(), name.decode()): index for index, (file, name) in enumerate(names)}
    groups = dataset["space_group"].values
    return list(where), lambda key: (
        dataset["cbed_stack"][where[key]].values,
        int(groups[where[key]]),
    )


def lines(texts: Any) -> list[str]:
    """Return strings from text that NetCDF stores as an array of letters."""
    return [row.tobytes().decode().rstrip("\0") for row in texts[...]]


def digits(stem: str) -> str:
    """Return the number at the end of a name."""
    return stem.rpartition("-")[2]


def measure(home: Path, name: str, *, small: bool) -> dict[str, Any]:
    """Measure a contender in this process: wall and CPU seconds of each epoch, memory, digest."""
    importlib.import_module("pandas")  # an index needs it; imports are not measured
    contender = CONTENDERS[name]
    paths = files_of(home, contender, small=small)
    converted = None
    if contender.conversion is not None:
        converted = ready_of(home, contender, small=small)
    drop_from_page_cache(paths)
    before = peak_memory_bytes()
    epochs: list[dict[str, float]] = []
    keys: list[Key] = []
    read: Read | None = None
    for number in range(EPOCHS):
        wall, cpu = time.perf_counter(), time.process_time()
        if read is None:
            keys, read = reader_of(paths, contender.how, converted)
        for _ in stacks_in_order(keys, read, seed=number):
            pass
        taken = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        epochs.append({**taken, "stacks": len(keys)})
    peak = peak_memory_bytes()
    assert read is not None  # noqa: S101 - for the type checker
    digest = hashlib.sha256()
    for stack, group in stacks_in_order(keys, read, seed=0):
        digest.update(np.ascontiguousarray(stack).data)
        digest.update(f"{group}".encode())
    grown = (peak - before) / 1e6
    return {"name": name, "epochs": epochs, "grown_mb": grown, "digest": digest.hexdigest()}


def stacks_in_order(keys: Sequence[Key], read: Read, seed: int) -> Iterator[tuple[Stack, int]]:
    """Yield every stack with its label in a random order that depends on the seed only."""
    ordered = sorted(keys)  # contenders find the stacks in different orders
    yield from read([ordered[at] for at in np.random.default_rng(seed).permutation(len(ordered))])


def run_all(
    home: Path, datasets: Sequence[str], repeat: int, *, small: bool
) -> dict[str, list[dict[str, Any]]]:
    """Run the contenders in turn, each in a new process, and check that they read the same."""
    results: dict[str, list[dict[str, Any]]] = {
        name: [] for name, item in CONTENDERS.items() if item.dataset in datasets
    }
    for _ in range(repeat):
        for name, runs in results.items():
            command = [sys.executable, __file__, "--home", str(home), "--one", name]
            done = subprocess.run(
                command + ["--small"] * small, stdout=subprocess.PIPE, text=True, check=True
            )
            runs.append(json.loads(done.stdout.splitlines()[-1]))
    for dataset in datasets:
        reference = REFERENCES[dataset]
        names = [name for name, item in CONTENDERS.items() if item.dataset == dataset]
        digests = {run["digest"] for name in names for run in results[name]}
        if len(digests) != 1:
            raise SystemExit(f"{', '.join(names)} differ in content or order")
        print(f"{dataset}: content and order of all {len(names)} equal those of {reference}")
    return results


def rates(runs: Sequence[Mapping[str, Any]], unit: str) -> tuple[list[float], list[float]]:
    """Return stacks per second of the first epoch, and of the later ones, for each round."""
    cold = [run["epochs"][0]["stacks"] / run["epochs"][0][unit] for run in runs]
    warm = [
        sum(epoch["stacks"] for epoch in run["epochs"][1:])
        / sum(epoch[unit] for epoch in run["epochs"][1:])
        for run in runs
    ]
    return cold, warm


def print_rates(results: dict[str, list[dict[str, Any]]]) -> None:
    """Print median rates, and the medians of their ratios to the reference of the dataset."""
    median = statistics.median
    print("stacks per second (CPU ms per stack); ratio to the reference by wall and by CPU time")
    for name, runs in results.items():
        reference = results[REFERENCES[CONTENDERS[name].dataset]]
        columns = [f"{name:<28}"]
        for index, epoch in enumerate(("cold", "warm")):
            wall, cpu = rates(runs, "wall")[index], rates(runs, "cpu")[index]
            base_wall = rates(reference, "wall")[index]
            base_cpu = rates(reference, "cpu")[index]
            wall_ratio = median(a / b for a, b in zip(wall, base_wall, strict=True))
            cpu_ratio = median(a / b for a, b in zip(cpu, base_cpu, strict=True))
            rate = f"{median(wall):7.0f} ({1e3 / median(cpu):6.2f})"
            columns.append(f"{epoch} {rate} {wall_ratio:5.2f} {cpu_ratio:5.2f}")
        columns.append(f"{median(run['grown_mb'] for run in runs):5.0f} MB")
        print("   ".join(columns))
    reference = results[REFERENCES["stemdl_ds1"]]
    for index, epoch in enumerate(("cold", "warm")):
        pairs = zip(
            rates(results["ready of npz, in batches"], "wall")[index],
            rates(reference, "wall")[index],
            strict=True,
        )
        ratio = median(a / b for a, b in pairs)
        report(f"STEMDL in batches / npz files, {epoch}", ratio, at_least=GOAL)


def codecs(home: Path, *, small: bool) -> None:
    """Print size and reading time of a stack (CPU, from the page cache) for each codec."""
    for dataset in SAMPLES:
        paths = files_of(home, Contender(dataset, "none"), small=small)
        with h5py.File(paths[0]) as file:
            count = min(MAX_CODED, len(file["cbed_stack"]))
            chosen = np.linspace(0, len(file["cbed_stack"]) - 1, count).astype(int)
            stacks = file["cbed_stack"][np.unique(chosen)]
        print(f"{dataset}: {len(stacks)} stacks of {stacks[0].nbytes / 1e6:.2f} MB")
        for name, options in CODECS.items():
            path = home / "codec.h5"
            with h5py.File(path, "w") as file:
                file.create_dataset("x", data=stacks, chunks=(1, *stacks.shape[1:]), **options)
            with h5py.File(path) as file:
                stored = file["x"]
                order = np.random.default_rng(0).permutation(len(stacks))
                taken = []
                for index in (*order, *order[::-1], *order):
                    started = time.thread_time()
                    stored[index]
                    taken.append(time.thread_time() - started)
                share = stored.id.get_storage_size() / stacks.nbytes
            path.unlink()
            print(
                f"  {name:<24} {share:6.1%} of the size, {1e3 * statistics.median(taken):6.2f} ms"
            )


def main() -> None:
    """Prepare the samples, measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--home", type=Path, help="folder of the samples, kept (a temporary folder by default)"
    )
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--noise", action="store_true")
    parser.add_argument("--codecs", action="store_true")
    parser.add_argument("--one", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.home, options.one, small=options.small)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        size = "noise" if options.noise else "small" if options.small else "large"
        home = (options.home or Path(scratch)) / size
        datasets = ["stemdl_ds1"] if options.noise else list(SAMPLES)
        prepare(home, datasets, small=options.small, noise=options.noise)
        if options.codecs:
            codecs(home, small=options.small)
        else:
            print_rates(run_all(home, datasets, options.repeat, small=options.small))


if __name__ == "__main__":
    main()
