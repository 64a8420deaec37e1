"""The folders of runs in a home: their names, their files, and how a run is found.

A run is found by its path, its folder's name, the first characters of its id, or `latest`.
"""

from __future__ import annotations

import csv
import datetime
import hashlib
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sciml_data.bench.record.record import RECORD_NAME, load_record
from sciml_data.errors import (
    CallError,
    DescriptorError,
    FetchError,
    JsonError,
    RecordError,
    nearest,
)
from sciml_data.home import Home, lstat_inside, read_small_file, why_not_plain, write_atomically
from sciml_data.registry.manifest import (
    Entry,
    hash_file,
    manifest_of,
    parse_manifest,
    unsafe_because,
)

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
    """Return the paths of the benchmark's own files that do not match their manifest.

    Raises:
        RecordError: the manifest cannot be read.
    """
    if why_not_plain(folder / OUTPUTS_NAME) == "no such file":
        return []
    try:
        text = read_small_file(folder / OUTPUTS_NAME).decode("utf-8")
        listed = parse_manifest(text, name=OUTPUTS_NAME)
    except (JsonError, DescriptorError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "message", str(error))
        raise RecordError(f"{OUTPUTS_NAME} of {folder.name} cannot be read: {reason}") from error
    return [entry.path for entry in listed if not _is_entry(folder / OUTPUTS_FOLDER, entry)]


def why_not_output(folder: Path, stated: Mapping[str, Any]) -> str:
    """Return why a run has no such file as its record states; an empty text if it has.

    Only the name, the kind and the size are compared. A record of a stranger can name any path, so
    a path that leaves the folder is refused before the file is looked at.

    Args:
        folder: of the run.
        stated: entry of the record's `outputs`.
    """
    if reason := unsafe_because(stated["path"]):
        return f"its path {stated['path']!r:.80} {reason}"
    for parent in reversed((Path(stated["path"])).parents[:-1]):
        if (folder / parent).is_symlink():
            return f"{parent} is a symbolic link, which is not followed"
    path = folder / stated["path"]
    if reason := why_not_plain(path):
        return "is missing" if reason == "no such file" else reason
    size = path.lstat().st_size
    expected = stated["size_bytes"]
    return "" if size == expected else f"was changed: {expected:,} bytes expected, {size:,} found"


def _is_entry(root: Path, entry: Entry) -> bool:
    """Return whether a file matches its manifest; only a file of the right size is read."""
    try:
        status = lstat_inside(root, entry.path)
    except FetchError:  # a link on the way
        return False
    is_plain = status is not None and stat.S_ISREG(status.st_mode) and not root.is_symlink()
    if status is None or not is_plain or status.st_size != entry.size_bytes:
        return False
    kind = entry.hash.partition(":")[0]
    return kind == "sha256" and hash_file(root / entry.path) == entry.hash


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
