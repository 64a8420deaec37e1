"""The folders of runs in a home: their names, their files, and how a run is found.

A run is found by its path, its folder's name, the first characters of its id, or `latest`.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from pathlib import Path
from typing import Any

from sciml_data.bench.record.record import RECORD_NAME, load_record
from sciml_data.errors import CallError, nearest
from sciml_data.home import Home, write_atomically
from sciml_data.registry.manifest import manifest_of, read_manifest

LATEST = "latest"
STATE_FOLDER = "checkpoint"
CURVE_NAME = "curve.jsonl"
LOG_NAME = "log.txt"
PREDICTIONS_NAME = "predictions.nc"
MONITOR_NAME = "monitor.csv"
OUTPUTS_FOLDER = "outputs"  # the benchmark's own files
OUTPUTS_NAME = "outputs.csv"  # manifest of these files
WEIGHTS_NAME = "best.weights.h5"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MIN_ID_CHARACTERS = 4  # of a run id that find a run; fewer could be the start of a name


def new_run_folder(home: Home, benchmark: str, label: str) -> Path:
    """Create and return a new folder `<home>/runs/<benchmark>/<UTC time>-<label>`.

    Args:
        home: to create it in.
        benchmark: name of the benchmark.
        label: end of the folder's name; a number is added if the name exists.

    Raises:
        CallError: all numbers are in use.
    """
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    for number in range(1, 1000):
        suffix = "" if number == 1 else f"-{number}"
        folder = home.runs(benchmark) / f"{now}-{label}{suffix}"
        try:
            folder.mkdir(parents=True)  # atomic, so two processes never get the same folder
        except FileExistsError:
            continue
        return folder
    raise CallError(
        f"there are a thousand runs with the name {now}-{label}",
        untouched="nothing was run",
        hint="run again, or give the run a name: --name NAME",
    )


def named_run_folder(home: Home, benchmark: str, name: str) -> Path:
    """Return `<home>/runs/<benchmark>/<name>`, the same path in every process of a run.

    Args:
        home: of the runs.
        benchmark: name of the benchmark.
        name: of the run's folder.

    Raises:
        CallError: the name cannot be that of a folder, or has a meaning of its own (`latest`).
    """
    if not NAME.fullmatch(name) or name == LATEST:
        raise CallError(
            f"a run cannot be named {name!r}",
            untouched="nothing was run",
            hint="use letters, digits, '.', '_' and '-', as in slurm-42",
        )
    return home.runs(benchmark) / name


def all_runs(home: Home) -> list[Path]:
    """Return the folders of all runs that have a record, oldest first."""
    records = home.runs("x").parent.glob(f"*/*/{RECORD_NAME}")
    return sorted(
        (path.parent for path in records), key=lambda folder: (folder.name, folder.parent)
    )


def find_run(home: Home, name: str) -> Path:
    """Return the folder of a run.

    Args:
        home: of the runs.
        name: path of the run's folder, the folder's name, the first characters of the run's id,
            `latest`, or `<benchmark>/latest`.

    Raises:
        CallError: no such run, or several runs have an id that begins with `name`.
    """
    path = Path(name).expanduser()
    if (path / RECORD_NAME).is_file():
        return path.resolve()
    runs = all_runs(home)
    benchmark, _, last = name.rpartition("/")
    if last == LATEST:
        matches = [run for run in runs if benchmark in {"", run.parent.name}][-1:]
    else:
        matches = [run for run in runs if run.name == name]
        matches = matches or [run for run in runs if _has_id(run, name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise CallError(
            f"{len(matches)} runs have an id that begins with {name!r}",
            hint="give more characters of the id, or the folder's name",
        )
    names = [run.name for run in runs]
    raise CallError(
        f"no such run: {name!r}{nearest(name, names)}; "
        f"this home has {len(runs)} run{'s' if len(runs) != 1 else ''}",
        hint="give a folder, a folder's name, the first characters of a run id, or `latest`",
    )


def write_outputs_manifest(folder: Path) -> None:
    """Write the manifest of the benchmark's own files, if there are any, into a run's folder."""
    manifest = manifest_of(folder / OUTPUTS_FOLDER)
    if len(manifest):
        write_atomically(folder / OUTPUTS_NAME, manifest.dump())


def changed_outputs(folder: Path) -> list[str]:
    """Return the paths of the benchmark's own files that do not match their manifest."""
    if not (folder / OUTPUTS_NAME).is_file():
        return []
    existing = manifest_of(folder / OUTPUTS_FOLDER).by_path
    listed = read_manifest(folder / OUTPUTS_NAME)
    return [entry.path for entry in listed if existing.get(entry.path) != entry]


def describe_output(folder: Path, name: str, form: str) -> dict[str, Any]:
    """Return path, hash, size and format of a run's file, as its record has them.

    Args:
        folder: of the run.
        name: path of the file relative to the folder.
        form: the format, in words.
    """
    path = folder / name
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"path": name, "sha256": sha256, "size_bytes": path.stat().st_size, "format": form}


def _has_id(run: Path, start: str) -> bool:
    return len(start) >= MIN_ID_CHARACTERS and str(load_record(run)["run_id"]).startswith(start)
