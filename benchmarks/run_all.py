"""Run the benchmarks in turn, then print one table of their goals and results.

    python benchmarks/run_all.py                        # all; `nox -s benchmarks` runs this
    python benchmarks/run_all.py growth "stream --train-only"

If a script fails, the others still run. The exit code is 1 then, and the last line names the
scripts that failed. A missed goal is no failure. `nox -s transfer` is separate: it needs Ceph.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import goals

from sciml_data.home import find_home

FOLDER = Path(__file__).resolve().parent
UNO = "--blocks --batches 512 --steps 8 --rounds 2 --evaluation-rows 10000"
# bfloat16 is left out of `train`: it took ten times as long on processors without AMX.
SCRIPTS = (
    "starting",
    "growth",
    "convert --dataset cloud_slstr_ds1 --scenes 12",
    "convert --dataset cloud_slstr_ds1 --plan 29300",
    "pipeline --repeat 3",
    "ready_checks --batches 1",
    "stemdl --noise --repeat 3",
    "train --variants default,xla",
    "lstm",
    "monitor --rounds 3",
    f"uno --variant auc {UNO}",
    f"uno --variant dose --rows 2530304 --drugs 4684 {UNO}",
)
WITH_DATA, WITH_NGINX = "convert", "stream --scenes 6 --rounds 2 --train"


def default_scripts() -> list[str]:
    """Return all scripts that can run on this computer, and print why others are left out."""
    scripts = list(SCRIPTS)
    if find_home().dataset("tevolop_socal", "1.0").native.is_dir():
        scripts.append(WITH_DATA)
    else:
        print(f"left out: {WITH_DATA}; run: sciml-data get tevolop_socal --version 1.0")
    if shutil.which("nginx"):
        scripts.append(WITH_NGINX)
    else:
        print(f"left out: {WITH_NGINX}; nginx is not installed")
    return scripts


def main() -> None:
    """Run the scripts of the command line, or all; print the table; name scripts that failed."""
    scripts = sys.argv[1:] or default_scripts()
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch) / "goals.jsonl"
        results.touch()
        # TensorFlow's messages at import would be most of the output.
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3"}
        environment = quiet | os.environ | {goals.VARIABLE: str(results)}
        for script in scripts:
            print(f"\n=== {script}", flush=True)
            name, *options = script.split()
            command = [sys.executable, str(FOLDER / f"{name}.py"), *options]
            if subprocess.run(command, env=environment, check=False).returncode:
                failed.append(script)
        goals.print_table(results)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
