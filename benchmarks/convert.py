r"""Conversion speed: tevolop_socal against pandas, cloud_slstr_ds1 against a copy of its files.

    python benchmarks/convert.py [NATIVE] [--repeat 5]
    python benchmarks/convert.py --dataset cloud_slstr_ds1 [--scenes 24] [--scratch DIR]
    python benchmarks/convert.py --dataset cloud_slstr_ds1 --plan 29300

The last two need no download; `convert_granules.py` explains them.

For the first, NATIVE is the folder of the native files; the default is the folder that `sciml-data
get tevolop_socal` writes. All contenders run in this process, in turn, so that load of the computer
affects each of them. Medians of CPU seconds (user and system, this process) and of wall seconds are
printed. Conversion is everything from bytes on disk to a published ready folder: parse, check,
merge, grid, compress, write, hash. pandas' C reader only parses the same text into columns
(`sep=r"\s+"`, types inferred) and discards them. `tokenise` does the same and keeps one column
(`usecols=[0]`), which is the minimum for a reader of the text.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import convert_granules
import pandas as pd
from goals import report

from sciml_data.home import DatasetFolder, find_home
from sciml_data.ready import convert
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import manifest_of
from sciml_data.registry.stages import Verified

GOAL = 3.0  # CPU time of the conversion, relative to pandas


def read_with_pandas(root: Path, *, columns: list[int] | None = None) -> None:
    """Read every native file with pandas' C reader and discard the result."""
    for path in sorted(root.rglob("*.*")):
        if path.suffix == ".csv":
            pd.read_csv(path, usecols=columns, engine="c")
        else:
            pd.read_csv(
                path,
                sep=r"\s+",
                header=None,
                usecols=columns,
                comment="#",
                engine="c",
                quoting=csv.QUOTE_NONE,
                low_memory=False,
                on_bad_lines="skip",  # one line is broken
            )


def convert_once(verified: Verified) -> None:
    """Convert all files again."""
    convert(verified, again=True)


def measured(action: Callable[[], None]) -> tuple[float, float]:
    """Return CPU and wall seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    """Run all contenders in turn and print their times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = find_home().dataset("tevolop_socal", "1.0").native
    parser.add_argument("native", type=Path, nargs="?", default=default)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument(
        "--dataset", choices=("tevolop_socal", "cloud_slstr_ds1"), default="tevolop_socal"
    )
    parser.add_argument(
        "--scenes", type=int, default=24, help="number of scenes of cloud_slstr_ds1"
    )
    parser.add_argument(
        "--patches", type=int, default=100, help="number of patches to read from each form"
    )
    parser.add_argument("--scratch", type=Path, help="folder for the scenes (8 GB)")
    parser.add_argument(
        "--plan", metavar="N", type=int, help="plan N links to one scene, and convert nothing"
    )
    options = parser.parse_args()
    if options.plan or options.dataset == "cloud_slstr_ds1":
        convert_granules.main(
            convert_granules.Options(
                options.scratch, options.scenes, options.repeat, options.patches, options.plan
            )
        )
        return
    if not options.native.is_dir():
        parser.error(
            f"no such folder: {options.native}; run: sciml-data get tevolop_socal --version 1.0"
        )
    descriptor = load_descriptor(find_registry(), "tevolop_socal", "1.0")
    with tempfile.TemporaryDirectory() as scratch:
        folder = DatasetFolder(Path(scratch))
        folder.native.symlink_to(options.native.resolve())
        manifest = manifest_of(folder.native)
        verified = Verified(descriptor, folder, manifest)
        actions: dict[str, Callable[[], None]] = {
            "convert": lambda: convert_once(verified),
            "pandas": lambda: read_with_pandas(folder.native),
            "tokenise": lambda: read_with_pandas(folder.native, columns=[0]),
        }
        for action in actions.values():  # imports, page cache
            action()
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in actions}
        for _ in range(options.repeat):
            for name, action in actions.items():
                taken[name].append(measured(action))
    print(f"{manifest.total_bytes / 1e6:.1f} MB, {options.repeat} runs, {os.cpu_count()} cores")
    median = {
        name: [statistics.median(column) for column in zip(*runs, strict=True)]
        for name, runs in taken.items()
    }
    for name, (cpu, wall) in median.items():
        print(f"{name:<9} {cpu:6.2f} s CPU {wall:6.2f} s wall")
    for reference in ("pandas", "tokenise"):
        ratio = median["convert"][0] / median[reference][0]
        report(f"convert tevolop_socal / {reference}, CPU seconds", ratio, at_most=GOAL)


if __name__ == "__main__":
    main()
