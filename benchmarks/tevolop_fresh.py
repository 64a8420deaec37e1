"""Score TEvolOp's fresh part (2020 to August 2026), and log that somebody looked at it.

    python benchmarks/tevolop_fresh.py --seeds 0-4
    python benchmarks/tevolop_fresh.py --model reference-lstm --seeds 0-2

Runs leave the fresh part out. It is for the end: when model, settings and features are final, they
are committed, and this script trains and scores once. It refuses a checkout with changes, and adds
a line to results/tevolop/fresh.csv, which is committed with the records. Whoever changes the model
after a look has used the part up: its scores choose then, as those of a validation part do.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import subprocess
import sys
from pathlib import Path

from sciml_data.bench.monitoring import code
from sciml_data.registry.layout import find_registry

LOG = Path("results/tevolop/fresh.csv")
COLUMNS = ("date", "commit", "model", "seeds", "scored", "exit_code")


def main() -> int:
    """Run the benchmark with its fresh part, log it, and return the exit code of the run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", default="residual-lstm")
    parser.add_argument("--seeds", default="0-4")
    parser.add_argument("options", nargs="*", help="further words of `sciml-data run`, after --")
    arguments = parser.parse_args()
    source = code(find_registry().runner("tevolop"))
    if source["is_dirty"] is not False:
        print(
            "tevolop_fresh: the checkout has changes, or is none. Nothing was scored. Commit first."
        )
        return 2
    command = [sys.executable, "-m", "sciml_data", "run", "tevolop", "--set", "fresh=true"]
    command += ["--model", arguments.model, "--seeds", arguments.seeds, *arguments.options]
    status = subprocess.run(command, check=False).returncode
    add_line(
        LOG,
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        commit=str(source["commit"]),
        model=arguments.model,
        seeds=arguments.seeds,
        scored="temporal: test and fresh, averaged, summed and pooled NNSE of 8 windows",
        exit_code=str(status),
    )
    return status


def add_line(path: Path, **values: str) -> None:
    """Add a line to the log, with a heading if it is the first.

    A failed run is logged, too: it may have printed scores before it failed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(values)


if __name__ == "__main__":
    sys.exit(main())
