"""Fit what each stage costs against its size, over two decades: does twice the data cost twice?

Every stage runs in this process on data that the script makes, after one run that loads the
libraries. Cost is CPU seconds, of all threads. The script prints the exponents of the fit over all
sizes and of the last step, where constant costs hide the least. 1 is proportional; the goal is 1.1.
It is 1.3 for the last step, because a table that outgrows the processor's cache costs more per
access. It also prints how much higher the peak memory is than before the stage; memory that an
earlier stage has freed is used again and does not count.

    python benchmarks/growth.py                      # under five minutes on one core
    python benchmarks/growth.py --only board site
    python benchmarks/growth.py --times 10           # ten times the sizes
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from goals import report

from sciml_data.cli import group
from sciml_data.testing import change_descriptor, write_dataset, write_files

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))  # for tests.support

GOAL, GOAL_OF_LAST = 1.1, 1.3
NOISE_S = 0.02  # a step between costs below this says nothing
DATASET = "tiny"
COLUMNS: list[dict[str, str]] = [{"name": "id", "type": "integer"}, {"name": "x", "type": "number"}]
Work = Callable[[], object]
Where = tuple[str | Path, ...]


def call(*words: str | Path) -> None:
    """Run a command of sciml-data in this process."""
    sink = io.StringIO()
    with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        group.main([str(word) for word in words], standalone_mode=False)


def write_tables(root: Path, files: int) -> Where:
    """Write a registry and a mirror with a dataset of small CSV files; return the options."""
    contents = {f"part-{n:06d}.csv": f"id,x\n{n},0.5\n{n},1.5\n".encode() for n in range(files)}
    write_files(root / "mirror", contents)
    mirrors = [{"": "http://127.0.0.1:9/"}]
    folder = write_dataset(root / "registry", contents, mirrors=mirrors).folder

    def describe(document: dict[str, Any]) -> None:
        columns = {column["name"]: column["name"] for column in COLUMNS}
        native = {"reader": "csv_table", "columns": columns, "schema": {"fields": COLUMNS}}
        variables = {
            "id": {"dims": ["row"], "dtype": "int32", "long_name": "number"},
            "x": {"dims": ["row"], "dtype": "float32", "units": "1", "long_name": "value"},
        }
        document["sciml"] |= {"native": native, "variables": variables}

    change_descriptor(folder, describe)
    return ("--registry", root / "registry", "--home", root / "home")


def get(root: Path, where: Where) -> None:
    """Fetch from the folder that is the mirror."""
    call("get", DATASET, "--mirror", f"file:{root / 'mirror'}", *where)


def fetch(root: Path, files: int) -> Work:
    """Copy files from a mirror in a folder, hash them, and publish each."""
    return partial(get, root, write_tables(root, files))


def verify(root: Path, files: int) -> Work:
    """Hash all files of a dataset."""
    where = write_tables(root, files)
    get(root, where)
    return partial(call, "verify", DATASET, "--full", *where)


def convert(root: Path, files: int) -> Work:
    """Convert each file into a ready file."""
    where = write_tables(root, files)
    get(root, where)
    return partial(call, "convert", DATASET, *where)


def open_files(root: Path, files: int) -> Work:
    """Open all ready files as one dataset."""
    import sciml_data

    where = write_tables(root, files)
    get(root, where)
    call("convert", DATASET, *where)
    home, registry = root / "home", root / "registry"
    return partial(sciml_data.open_dataset, DATASET, home=home, registry=registry)


def split(_root: Path, rows: int) -> Work:
    """Divide samples by shares of hashed ids, and count what the parts share."""
    import pandas as pd

    from sciml_data.bench.task.split import Split
    from sciml_data.bench.task.splits import divide, leakage

    random = np.random.default_rng(0)
    ids = random.integers(0, max(rows // 10, 10), rows)
    keys = pd.DataFrame({"cell": [f"c{n}" for n in ids]}, index=[f"s{n}" for n in range(rows)])
    ends = {"train": (0.0, 0.6), "validation": (0.6, 0.8), "test": (0.8, 1.0)}
    rule = {"by": ["cell"], "salt": "s"}
    members = {part: {**rule, "from": low, "to": high} for part, (low, high) in ends.items()}
    stored = Split("mine", "for a measurement", None, members, "sha256:0")
    return lambda: leakage(divide(stored, keys), keys, meaning="")


def board(root: Path, runs: int) -> Work:
    """Rank runs of several models, five seeds of each."""
    from tests.support.board_samples import a_run

    for number in range(runs):
        model = {"model.name": f"model-{number // 5}"}
        record = a_run(number % 5, 0.25 + number / runs, **model)
        record["run_id"] = f"00000000-0000-4000-8000-{number:012x}"
        folder = root / "runs" / f"run-{number}"
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps(with_digest(record)), encoding="utf-8")
    return partial(call, "board", root / "runs")


def with_digest(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with the digest of its content."""
    from sciml_data.bench.record import record_digest

    return {**record, "record_digest": record_digest(record)}


def write_registry(root: Path, datasets: int) -> Path:
    """Write a registry of copies of one small dataset."""
    from tests.support.small_registry import small_registry

    registry = small_registry(root / "registry").root
    original = registry / "datapackages" / "waves"
    for number in range(1, datasets):
        name = f"waves_{number}"
        copy = original.with_name(name)
        shutil.copytree(original, copy)
        change_descriptor(copy / "1.0", renaming(name))
    return registry


def renaming(name: str) -> Callable[[dict[str, Any]], object]:
    """Return a function that gives a descriptor another name."""
    return lambda document: document.update(name=name)


def registry(root: Path, datasets: int) -> Work:
    """List and check a registry."""
    where = ("--registry", write_registry(root, datasets))

    def list_and_check() -> None:
        call("list", *where)
        with contextlib.suppress(SystemExit):  # copies lack derived files: problems are named
            call("check", *where)

    return list_and_check


def site(root: Path, datasets: int) -> Work:
    """Make the site of a registry."""
    where = ("--registry", write_registry(root, datasets), "--home", root / "home")
    return partial(call, "site", "build", "--to", root / "site", *where)


# Stage -> what makes its work, sizes, and what is counted.
STAGES: Mapping[str, tuple[Callable[[Path, int], Work], tuple[int, ...], str]] = {
    "fetch": (fetch, (20, 200, 2_000), "files"),
    "verify": (verify, (100, 1_000, 10_000), "files"),
    "convert": (convert, (5, 50, 500), "files"),
    "open": (open_files, (5, 50, 500), "files"),
    "split": (split, (20_000, 200_000, 2_000_000), "samples"),
    "board": (board, (10, 100, 1_000, 10_000), "runs"),
    "registry": (registry, (10, 100, 1_000), "datasets"),
    "site": (site, (10, 100, 1_000), "datasets"),
}


def cost(make: Callable[[Path, int], Work], size: int) -> tuple[float, float]:
    """Return CPU seconds of a stage on data of a size, and the MB that its peak memory adds."""
    with tempfile.TemporaryDirectory() as scratch:
        work = make(Path(scratch), size)
        Path("/proc/self/clear_refs").write_text("5")  # the kernel counts the peak from now on
        before, started = peak_mb(), time.process_time()
        work()
        return time.process_time() - started, peak_mb() - before


def peak_mb() -> float:
    """Return the peak memory of this process since the kernel was told to count it anew."""
    (line,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return float(line) / 1000


def exponents(sizes: tuple[int, ...], costs: Sequence[float]) -> tuple[float, float]:
    """Return the slopes of log cost over log size: of all sizes, and of the last step."""
    logs, base = np.log(np.maximum(costs, NOISE_S)), np.log(sizes)
    return float(np.polyfit(base, logs, 1)[0]), float(np.diff(logs)[-1] / np.diff(base)[-1])


def main() -> None:
    """Print sizes and costs of each stage, and its exponents with their goals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=list(STAGES), default=list(STAGES))
    parser.add_argument("--times", type=int, default=1, help="factor of all sizes")
    arguments = parser.parse_args()
    os.environ["SCIML_DATA_REGISTRY"] = ""
    for name in arguments.only:
        make, sizes, unit = STAGES[name]
        sizes = tuple(size * arguments.times for size in sizes)
        cost(make, sizes[0])  # loads the libraries
        costs, grown = zip(*(cost(make, size) for size in sizes), strict=True)
        fitted, last = exponents(sizes, costs)
        said = ", ".join(f"{size:,}" for size in sizes)
        seconds = ", ".join(f"{value:.2f}" for value in costs)
        memory = ", ".join(f"{value:.0f}" for value in grown)
        print(f"{name}: {said} {unit} in {seconds} CPU s, peak memory {memory} MB higher")
        report(f"growth of {name} to {sizes[-1]:,} {unit}: exponent", fitted, at_most=GOAL)
        report(f"growth of {name}, last step: exponent", last, at_most=GOAL_OF_LAST)


if __name__ == "__main__":
    main()
