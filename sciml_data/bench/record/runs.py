"""The folders of runs in a home: their names, their files, and how a run is found.

A run is found by its path, its folder's name, the first characters of its id, or `latest`.
"""

from __future__ import annotations

import csv
import datetime
import fcntl
import hashlib
import itertools
import os
import re
import socket
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sciml_data.bench.record.record import RECORD_NAME, SUCCESS, is_external, load_record
from sciml_data.errors import (
    CallError,
    DescriptorError,
    FetchError,
    JsonError,
    Problem,
    RecordError,
    nearest,
)
from sciml_data.home import (
    HOLDER_NAME,
    LOCK_NAME,
    NOT_WRITABLE,
    Home,
    not_writable,
    read_json,
    read_small_file,
    why_not_plain,
    write_atomically,
)
from sciml_data.progress import counted
from sciml_data.registry.manifest import (
    Entry,
    hash_file,
    lstat_inside,
    manifest_of,
    parse_manifest,
    unsafe_because,
)

LATEST = "latest"
STAMP = re.compile(r"\d{8}T\d{6}Z")  # at the start of a folder's name
STATE_FOLDER = "checkpoint"
CURVE_NAME = "curve.jsonl"
LOG_NAME = "log.txt"
PREDICTIONS_NAME = "predictions.nc"
MONITOR_NAME = "monitor.csv"
MODEL_NAME = "model.py"  # copy of the file of a user's own model
OUTPUTS_FOLDER = "outputs"  # the benchmark's own files
OUTPUTS_NAME = "outputs.csv"  # manifest of these files
WEIGHTS_NAME = "best.weights.h5"
KERAS_NAME = "model/model.keras"  # for stock Keras
CARD_NAME = "model/README.md"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MISSING = "is missing"
NO_RUN_LEFT = "no valid run is left"
RUNNING = "running"
SILENT_S = 600  # a monitor that is late by minutes works on an overloaded computer
CLOCK_SLACK_S = 60  # clocks of file systems and processes differ
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
        except OSError as error:
            if error.errno in NOT_WRITABLE:
                raise not_writable("run", home.runs_folder, error.strerror) from error
            raise
        return folder
    raise CallError(
        f"there are a thousand runs with the name {now}-{label}",
        untouched="nothing was run",
        hint="run again, or give the run a name: --name NAME",
    )


def require_runs_folder(home: Home) -> None:
    """Raise an error if no run can be written, before hours of work.

    Raises:
        NotWritableError: the folder of the runs is on a read-only file system, or somebody else's.
    """
    folder = home.runs_folder
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if not existing.is_dir():
        raise not_writable("run", folder, f"{existing} is not a directory")
    if not os.access(existing, os.W_OK):
        raise not_writable("run", folder)


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


def stored_runs(home: Home) -> tuple[list[tuple[Path, dict[str, Any]]], list[Problem]]:
    """Return the runs of a home, oldest first, and why other folders with a record are left out.

    A record alone is not a run: anybody can write one, and copy it here. What a run wrote has its
    curve and its log beside the record, and is in the folder of its benchmark.

    Returns:
        ((folder, record) of each run, a problem for each folder that is left out).
    """
    runs, problems = [], []
    for folder in _folders(home):
        try:
            runs.append((folder, as_ended(folder, load_run(folder))))
        except RecordError as error:
            problems.append(Problem("run", folder.name, error.first_line))
    return runs, problems


def all_runs(home: Home) -> list[Path]:
    """Return the folders of all runs of a home, oldest first; see `stored_runs`."""
    return [folder for folder, _ in stored_runs(home)[0]]


def as_ended(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with the status `aborted` if its run says `running`, and its process is gone.

    A process that is killed cannot write into its record. The file of the record is not changed.
    """
    if record["status"] != RUNNING or folder.is_file() or not (reason := _why_dead(folder)):
        return record
    record = load_record(folder)  # the run may have ended after its record was read
    if record["status"] != RUNNING:
        return record
    resume = f"sciml-data run {record['benchmark']['name']} --resume {folder.name}"
    return {**record, "status": "aborted", "reason": f"{reason}; resume it with: {resume}"}


def _why_dead(folder: Path) -> str:
    """Return why the process of a run is gone; an empty text if it may still work.

    A locked lock says that it works, even if the rest does not: in a container, another process can
    have the same host and number, and clocks of file servers differ.
    """
    reason = _why_silent(folder)
    return "" if reason and _is_locked(folder) else reason


def _is_locked(folder: Path) -> bool:
    """Return whether a process has the lock of a folder. Some network file systems do not say it.

    The lock is taken for an instant, and shared, so that several readers do not disturb each other.
    """
    try:
        lock = os.open(folder / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no locks here
        return False
    finally:
        os.close(lock)
    return False


def _why_silent(folder: Path) -> str:
    """Return why the process of a run seems to be gone, by the files in its folder.

    The file beside the lock names process and host. A process of another host is judged by the
    table of the monitor, which gets a line a second.
    """
    holder = folder / HOLDER_NAME
    if not os.path.lexists(holder):
        return "no process works on it any more"
    try:
        named = read_json(holder)
        pid, host = int(named["pid"]), str(named["host"])
        locked_s = holder.stat().st_mtime
    except (OSError, JsonError, KeyError, TypeError, ValueError):
        return ""
    if host == socket.gethostname():
        return "" if _is_process_since(pid, locked_s) else f"process {pid} was killed"
    try:
        silent_s = time.time() - (folder / MONITOR_NAME).stat().st_mtime
    except OSError:  # without a monitor, an epoch may take hours without a sign
        return ""
    return f"no sign from {host} for {silent_s / 60:.0f} min" if silent_s > SILENT_S else ""


def _is_process_since(pid: int, locked_s: float) -> bool:
    """Return whether a process exists that is older than a lock: numbers are used again."""
    try:
        os.kill(pid, 0)  # signal 0 only asks whether the process exists
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # the process of another user
        return True
    try:
        # Field 22 of proc(5): the start in clock ticks since boot. The name before may have spaces.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        booted_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        started_s = booted_s + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError, IndexError):  # not Linux
        return True
    return started_s <= locked_s + CLOCK_SLACK_S


def load_run(folder: Path) -> dict[str, Any]:
    """Return the record in a folder of a home, after checking that a run wrote it.

    Raises:
        RecordError: the record is not valid, or files that a run writes are not beside it.
    """
    record = load_record(folder)
    if problems := list(_missing_files(folder, record)):
        raise RecordError(
            f"{folder.name} was not written by a run",
            problems=problems,
            untouched="nothing was changed",
            hint="remove the folder, or give its path if you trust the record",
        )
    return record


def find_run(
    home: Home, name: str, *, on_left_out: Callable[[Problem], None] = lambda _problem: None
) -> Path:
    """Return the folder of a run.

    Args:
        home: of the runs.
        name: path of the run's folder or of its `record.json`, the folder's name, the first
            characters of the run's id, `latest`, or `<benchmark>/latest`.
        on_left_out: called for each folder that is passed over because its record does not hold.

    Raises:
        CallError: no such run, or several runs have an id that begins with `name`.
    """
    path = Path(name).expanduser()
    folder = path.parent if path.name == RECORD_NAME else path
    if os.path.lexists(folder / RECORD_NAME):
        return folder.resolve()
    folders = _folders(home)
    benchmark, _, last = name.rpartition("/")
    if last == LATEST:
        newest_first = [run for run in reversed(folders) if benchmark in {"", run.parent.name}]
        matches = list(itertools.islice(_sound(newest_first, on_left_out), 1))
    else:
        matches = [run for run in folders if run.name == name]
        matches = matches or [run for run in _sound(folders, on_left_out) if _has_id(run, name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise CallError(
            f"{len(matches)} runs have an id that begins with {name!r}",
            untouched="nothing was changed",
            hint="give more characters of the id, or the folder's name",
        )
    raise _no_such_run(name, [run.name for run in folders])


def _no_such_run(name: str, names: Sequence[str]) -> CallError:
    """Return the error for a name of no run, with the names of the runs in the home."""
    path = Path(name).expanduser()
    forms = "give a folder, a folder's name, the first characters of a run id, or `latest`"
    hint = (
        f"{forms}; `sciml-data runs` lists the runs"
        if names
        else "`sciml-data run BENCHMARK --sample` makes a run"
    )
    if path.is_dir():
        reason = f"the folder has no {RECORD_NAME}"
    elif path.is_file():
        reason = f"it is a file, and the folder of a run with its {RECORD_NAME} is needed"
        hint = "`sciml-data show FILE` prints the scores of a record without its run"
    else:
        reason = f"this home has {counted(len(names), 'run')}"
    return CallError(
        f"no such run: {name!r}{nearest(name, names)}; {reason}",
        untouched="nothing was changed",
        hint=hint,
    )


def find_runs(
    home: Home, names: Iterable[str]
) -> tuple[list[tuple[Path, dict[str, Any]]], list[Problem]]:
    """Return named runs, and why others of them are left out.

    Args:
        home: of the runs.
        names: of runs, see `find_run`, or paths of record files, such as the published
            `results/tevolop/spatial/record-1.json`.

    Returns:
        ((folder, record) of each run, a problem for each run that is left out). A record file
        whose run is not beside it stands in place of the folder.

    Raises:
        CallError: no such run.
        RecordError: no run is left.
    """
    runs = []
    problems: list[Problem] = []
    for name in names:
        file = Path(name).expanduser()
        if file.is_file() and file.name != RECORD_NAME:
            folder = file
        else:
            folder = find_run(home, name, on_left_out=problems.append)
        try:
            runs.append((folder, load_record(folder)))
        except RecordError as error:
            problems.append(Problem("run", folder.name, error.first_line))
    if problems and not runs:
        raise RecordError(NO_RUN_LEFT, problems=problems, untouched="nothing was written")
    return runs, problems


def _folders(home: Home) -> list[Path]:
    """Return the folders of a home that have a record, valid or not, oldest first."""
    records = home.runs_folder.glob(f"*/*/{RECORD_NAME}")
    return sorted(
        (path.parent for path in records),
        key=lambda folder: (_start_of(folder), folder.name, folder.parent),
    )


def _start_of(folder: Path) -> str:
    """Return when a run started, as YYYYmmddTHHMMSSZ; empty if nothing says it.

    The name of a folder begins with the time unless the user named it. Only then is the record
    read, because a home may have thousands of runs.
    """
    if stamp := STAMP.match(folder.name):
        return stamp[0]
    try:
        start = str(read_json(folder / RECORD_NAME)["timing"]["start_time"])
    except (OSError, JsonError, KeyError, TypeError):
        return ""
    return re.sub(r"\.\d+|[-:]", "", start)


def _sound(folders: Iterable[Path], on_left_out: Callable[[Problem], None]) -> Iterator[Path]:
    """Yield the folders that are runs."""
    for folder in folders:
        try:
            load_run(folder)
        except RecordError as error:
            on_left_out(Problem("run", folder.name, error.first_line))
        else:
            yield folder


def _missing_files(folder: Path, record: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield files of a run that are missing, or are not those of its record.

    Large files may have been removed to save space. A run that has not ended has newer files than
    its record, so only a success is compared with them.
    """
    if (name := record["benchmark"]["name"]) != folder.parent.name:
        message = f"of {name!r:.80}, in the folder of {folder.parent.name}"
        yield Problem("benchmark", RECORD_NAME, message)
    outputs = record["outputs"]
    for stated in outputs.values() if record["status"] == SUCCESS else ():
        reason = why_not_output(folder, stated)
        if reason and reason != MISSING:
            yield Problem("output", f"{stated['path']:.80}", reason)
    if record["status"] != SUCCESS and not record["curve"]:
        return  # a run that stopped in its first epoch has written nothing else
    # The engine did not train external predictions, so there is neither a log nor a curve.
    for file in () if is_external(record) else (LOG_NAME, CURVE_NAME):
        if reason := why_not_plain(folder / file):
            yield Problem("output", file, reason)
    if record["status"] == SUCCESS and "curve" not in outputs and not is_external(record):
        yield Problem("output", CURVE_NAME, "the record does not name it")


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
        return MISSING if reason == "no such file" else reason
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
