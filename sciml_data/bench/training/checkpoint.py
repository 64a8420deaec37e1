"""The state of a run after each epoch, in a file that is replaced atomically.

The file has everything that the next epoch depends on: the variables of the model (with the random
generators of its dropout) and of the optimiser, the best weights so far, and the progress as JSON.
The order of the batches is a function of seed and epoch, and needs no state. So a killed run can
be resumed after its last whole epoch, with the same result as an uninterrupted run.

Each state has a checksum of its content. The state before it is kept, so that a run with a damaged
file loses one epoch and not all of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.errors import RecordError
from sciml_data.home import parse_json, publish, why_not_plain

if TYPE_CHECKING:
    import numpy as np

    Arrays = Sequence[np.ndarray[Any, Any]]

FILE = "state.npz"
PREVIOUS = "state.previous.npz"
GROUPS = ("model", "optimizer", "best")
# Name of a temporary file: that of the final file, and the id of the process that wrote it.
LEFTOVER = re.compile(r"\.(?P<name>.+)\.(?P<pid>[0-9]{1,10})")
OLD_S = 86_400  # a day; no file takes this long to be written


@dataclass(frozen=True)
class State:
    """The state of a run after an epoch.

    Attributes:
        model: values of `model.variables`, in their order.
        optimizer: values of `optimizer.variables`, in their order.
        best: values of `model.weights` after the best epoch; empty before the first choice.
        progress: `Progress.to_json()`.
        settings_digest: of the run, see `journal.settings_digest`; it identifies the state's run.
        damage: why the state after a later epoch could not be read; empty if this is the last.
    """

    model: Arrays
    optimizer: Arrays
    best: Arrays
    progress: Mapping[str, Any]
    settings_digest: str
    damage: str = ""


def save_state(folder: Path, state: State) -> Path:
    """Write the state to `<folder>/state.npz`, and return the path.

    A process that reads the file gets the old state or the new state, never a part of one. The old
    state becomes `state.previous.npz` when the new one is complete.
    """
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        f"{group}/{number:04d}": array
        for group in GROUPS
        for number, array in enumerate(getattr(state, group))
    }
    head = {"settings_digest": state.settings_digest, "progress": state.progress}
    text = json.dumps(head, allow_nan=False)
    checksum = _checksum(text, arrays)
    temporary = folder / f".{FILE}.{os.getpid()}"
    with temporary.open("wb") as file:
        # Without `allow_pickle`: NumPy 2.1 takes that name for one more array of the file.
        np.savez(file, **arrays, head=np.array(text), checksum=np.array(checksum))
    _keep_previous(folder)
    publish(temporary, folder / FILE)
    return folder / FILE


def load_state(folder: Path, settings_digest: str) -> State | None:
    """Return the last state of a run, the one before it if that is damaged; None if there is none.

    Args:
        folder: of the state.
        settings_digest: that the state must have.

    Raises:
        RecordError: the state belongs to a run with other settings, or no state can be read.
    """
    reasons = []
    # The last one twice: another process of the run may just have replaced it by the previous one.
    for name in (FILE, PREVIOUS, FILE):
        if not os.path.lexists(folder / name):
            continue
        try:
            state = _read(folder / name)
        except _DamagedError as error:
            reasons.append(f"{name} {error}")
            continue
        if state.settings_digest != settings_digest:
            raise RecordError(
                "the checkpoint belongs to a run with other settings, data or seed",
                untouched="the run was not changed",
                hint="resume with the options that the run was started with, or start a new run",
            )
        return replace(state, damage="; ".join(reasons))
    if reasons:
        raise RecordError(
            f"the checkpoint cannot be read: {'; '.join(dict.fromkeys(reasons))}",
            untouched="the run was not changed",
            hint="start a new run, without --resume",
        )
    return None


def replace_damaged(folder: Path) -> None:
    """Put the previous state into the place of the last one, which could not be read.

    Otherwise the next epoch would make the damaged state the previous one, and replace the only
    state that is sound.
    """
    if os.path.lexists(folder / PREVIOUS):
        (folder / PREVIOUS).replace(folder / FILE)


def drop_previous(folder: Path) -> None:
    """Remove the previous state of a run that has ended."""
    (folder / PREVIOUS).unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove temporary files of processes that were killed, in a run's folder; return them.

    A process that is alive may still write its file. On a shared disk it can be a process of
    another computer, so a file is removed only if no process here has its number, or after a day.
    """
    removed = []
    for path in [*folder.glob(".*"), *folder.glob("checkpoint/.*")]:
        match = LEFTOVER.fullmatch(path.name)
        if match is None or why_not_plain(path):
            continue
        is_old = time.time() - path.lstat().st_mtime > OLD_S
        if is_old or int(match["pid"]) == os.getpid() or not _is_alive(int(match["pid"])):
            path.unlink(missing_ok=True)
            removed.append(path)
    return removed


class _DamagedError(Exception):
    """Why a state cannot be read."""


def _read(path: Path) -> State:
    """Return a state, after checking its checksum.

    Raises:
        _DamagedError: the file is not a state, or is not as it was written.
    """
    if reason := why_not_plain(path):
        raise _DamagedError(reason)
    try:
        text, checksum, arrays = _content(path)
        is_as_written = _checksum(text, arrays) == checksum
        head = parse_json(text, name=path.name)
        model, optimizer, best = (
            [arrays[name] for name in sorted(arrays) if name.startswith(f"{group}/")]
            for group in GROUPS
        )
        state = State(model, optimizer, best, head["progress"], head["settings_digest"])
    # NumPy, zipfile and zlib report damage by errors of many types, in no documented list.
    except Exception as error:
        first = str(error).partition("\n")[0]
        raise _DamagedError(f"cannot be read: {type(error).__name__} {first:.200}") from error
    if not is_as_written:
        raise _DamagedError("is not as it was written: its checksum differs")
    return state


def _content(path: Path) -> tuple[str, str, dict[str, np.ndarray[Any, Any]]]:
    """Return head, checksum and arrays of a file; nothing in it is unpickled or decompressed."""
    import zipfile

    import numpy as np

    with zipfile.ZipFile(path) as archive:
        if any(item.compress_type != zipfile.ZIP_STORED for item in archive.infolist()):
            # Ours are not compressed. A compressed file could fill the memory from a few bytes.
            raise ValueError("it has compressed members")
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return str(arrays.pop("head")), str(arrays.pop("checksum")), arrays


def _checksum(head: str, arrays: Mapping[str, np.ndarray[Any, Any]]) -> str:
    """Return the sha256 of names, sizes, shapes and values."""
    import numpy as np

    total = hashlib.sha256(head.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"\n{name} {array.dtype.itemsize} {arrays[name].shape} ".encode())
        total.update(array.reshape(-1).view("u1").data if array.size else b"")
    return total.hexdigest()


def _keep_previous(folder: Path) -> None:
    """Give the last state a second name, under which the next one does not replace it."""
    if why_not_plain(folder / FILE):
        return
    second = folder / f".{PREVIOUS}.{os.getpid()}"
    try:
        second.unlink(missing_ok=True)
        second.hardlink_to(folder / FILE)
    except OSError:  # a file system without hard links: for a moment there is no last state
        (folder / FILE).replace(folder / PREVIOUS)
    else:
        second.replace(folder / PREVIOUS)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # signal 0 only asks whether the process exists
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # the process of another user
        return True
    return True


def values_of(variables: Sequence[Any]) -> list[np.ndarray[Any, Any]]:
    """Return copies of the values of Keras variables."""
    import numpy as np

    return [np.array(variable.numpy()) for variable in variables]


def restore(variables: Sequence[Any], values: Arrays) -> None:
    """Assign values to Keras variables, after checking all shapes.

    Raises:
        RecordError: number or shapes differ, so the values are those of another model.
    """
    shapes = [tuple(value.shape) for value in values]
    expected = [tuple(variable.shape) for variable in variables]
    if shapes != expected:
        raise RecordError(
            f"the checkpoint is of another model: it has {len(shapes)} arrays where "
            f"{len(expected)} are expected, or arrays of other shapes",
            untouched="no variable was changed",
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
