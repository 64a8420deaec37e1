"""Measure what a manifest of many files costs: CPU time and memory of reading it, and of verbs.

Each measurement runs in a process of its own. Twice the files should take twice the time.

    python benchmarks/manifest.py                    # 125,000 to 1,000,000 files
    python benchmarks/manifest.py --files 10000      # one size
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sciml_data.testing import write_dataset

READ = "import sys, pathlib, sciml_data.registry as r; r.read_manifest(pathlib.Path(sys.argv[1]))"
NOTHING = "import sciml_data.registry as r; r.read_manifest"
GOAL = "goals for 1,000,000 files: read in under 10 s of CPU and 500 MB"


def write_registry(root: Path, files: int) -> Path:
    """Write a registry with one dataset of many files, each with another hash."""
    descriptor = write_dataset(root, {"a": b""}, mirrors=[{"": "http://127.0.0.1:9/"}])
    manifest = descriptor.folder / "manifest.csv"
    with manifest.open("w", encoding="utf-8") as stream:
        stream.write("path,bytes,hash\n")
        for number in range(files):
            path = f"day_{number // 1000:04d}/scene_{number:07d}.nc"
            digest = hashlib.sha256(str(number).encode()).hexdigest()
            stream.write(f"{path},{number},sha256:{digest}\n")
    described = descriptor.folder / "datapackage.json"
    document = json.loads(described.read_text(encoding="utf-8"))
    document["resources"][0] |= {
        "bytes": manifest.stat().st_size,
        "hash": f"sha256:{hashlib.sha256(manifest.read_bytes()).hexdigest()}",
    }
    described.write_text(json.dumps(document), encoding="utf-8")
    (descriptor.folder.parent / "README.md").write_text("# tiny\n", encoding="utf-8")
    return manifest


def measure(arguments: Sequence[str]) -> tuple[float, float, int]:
    """Run a command; return its CPU seconds, peak memory in MB, and exit code."""
    process = subprocess.Popen(
        arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ)
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, process.returncode


def main() -> None:
    """Print a line for each size and command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, nargs="*", default=[125_000, 250_000, 500_000, 10**6])
    arguments = parser.parse_args()
    print(GOAL)
    print(f"{'files':>9}  {'command':<32}{'CPU s':>8}{'MB':>8}  exit")
    for files in arguments.files:
        with tempfile.TemporaryDirectory() as place:
            manifest = write_registry(Path(place), files)
            cli = [str(Path(sys.executable).with_name("sciml-data"))]
            where = ["--registry", place]
            home = ["--home", str(Path(place, "home"))]
            commands = {
                "import only": [sys.executable, "-c", NOTHING],
                "read_manifest": [sys.executable, "-c", READ, str(manifest)],
                "check": [*cli, "check", *where],
                "list": [*cli, "list", *where],
                "get --limit 1 --dry-run": [
                    *(*cli, "get", "tiny", "--limit", "1", "--dry-run"),
                    *(*where, *home),
                ],
            }
            for name, command in commands.items():
                cpu, memory, code = measure(command)
                print(f"{files:>9,}  {name:<32}{cpu:>8.2f}{memory:>8.0f}  {code}", flush=True)


if __name__ == "__main__":
    main()
