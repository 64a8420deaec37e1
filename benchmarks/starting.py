"""Measure what a command costs that has next to nothing to do: mostly imports.

Each command runs in an interpreter of its own, on a synthetic sample in a scratch home. Printed are
CPU seconds of the process and its children, the median of five runs. One run before them lets
Python keep its compiled modules, as it does for a user.

    python benchmarks/starting.py
    python benchmarks/starting.py --runs 1 --only list check
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

from goals import report

DATASET = "tevolop_socal"  # its sample has 77 files and one ready file
CLI = (sys.executable, "-m", "sciml_data")
OPEN = f"import sciml_data; sciml_data.open_dataset({DATASET!r}, sample=True)"
# Name -> command, goal in CPU seconds; None is for comparison.
COMMANDS: Mapping[str, tuple[tuple[str, ...], float | None]] = {
    "python -c pass": ((sys.executable, "-c", "pass"), None),
    "--version": ((*CLI, "--version"), 0.1),
    "list": ((*CLI, "list"), 0.3),
    "info": ((*CLI, "info", DATASET), 0.3),
    "cite": ((*CLI, "cite", DATASET), 0.3),
    "check": ((*CLI, "check"), 1.0),
    "verify": ((*CLI, "verify", DATASET, "--sample"), 0.5),
    "convert, nothing to do": ((*CLI, "convert", DATASET, "--sample"), 1.0),
    "run --stage-only": ((*CLI, "run", "tevolop", "--sample", "--stage-only"), 2.0),
    "import xarray, dask.array": ((sys.executable, "-c", "import xarray, dask.array"), None),
    "open_dataset": ((sys.executable, "-c", OPEN), 1.5),
}
WITHOUT = ("tensorflow", "keras", "jax")  # what no command above may load


def cpu_seconds(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Run a command and return the CPU seconds of its process."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(environment)
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def frameworks(command: Sequence[str], environment: Mapping[str, str]) -> set[str]:
    """Return the frameworks that a command imports."""
    shown = subprocess.run(
        [command[0], "-X", "importtime", *command[1:]],
        env=dict(environment), capture_output=True, text=True, check=True,
    ).stderr  # fmt: skip
    loaded = {line.rpartition("|")[2].strip() for line in shown.splitlines()}
    return loaded & set(WITHOUT)


def main() -> None:
    """Print a line for each command, and the frameworks that any of them loads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="of each command")
    parser.add_argument("--only", nargs="*", choices=list(COMMANDS), default=list(COMMANDS))
    arguments = parser.parse_args()
    loaded: set[str] = set()
    with tempfile.TemporaryDirectory() as scratch:
        environment = {**os.environ, "SCIML_DATA_HOME": f"{scratch}/home"}
        environment["PYTHONPYCACHEPREFIX"] = f"{scratch}/compiled"
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for verb in ("get", "convert"):
            cpu_seconds([*CLI, verb, DATASET, "--sample"], environment)
        for name in arguments.only:
            command, goal = COMMANDS[name]
            loaded |= frameworks(command, environment)
            rounds = [cpu_seconds(command, environment) for _ in range(arguments.runs)]
            report(f"starting: {name}", statistics.median(rounds), "CPU s", at_most=goal)
    names = f" ({', '.join(sorted(loaded))})" if loaded else ""
    report(f"frameworks that a command loads{names}", len(loaded), at_most=0)


if __name__ == "__main__":
    main()
