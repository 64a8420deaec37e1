"""The state of a run after each epoch, in a file that is replaced atomically.

The file has everything that the next epoch depends on: the variables of the model (with the random
generators of its dropout) and of the optimiser, the best weights so far, and the progress as JSON.
The order of the batches is a function of seed and epoch, and needs no state. So a killed run can
be resumed after its last whole epoch, with the same result as an uninterrupted run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.errors import RecordError
from sciml_data.home import publish

if TYPE_CHECKING:
    import numpy as np

    Arrays = Sequence[np.ndarray[Any, Any]]

FILE = "state.npz"
GROUPS = ("model", "optimizer", "best")


@dataclass(frozen=True)
class State:
    """The state of a run after an epoch.

    Attributes:
        model: values of `model.variables`, in their order.
        optimizer: values of `optimizer.variables`, in their order.
        best: values of `model.weights` after the best epoch; empty before the first choice.
        progress: `Progress.to_json()`.
        settings_digest: of the run, see `journal.settings_digest`; it identifies the state's run.
    """

    model: Arrays
    optimizer: Arrays
    best: Arrays
    progress: Mapping[str, Any]
    settings_digest: str


def save_state(folder: Path, state: State) -> Path:
    """Write the state to `<folder>/state.npz`, and return the path.

    A process that reads the file gets the old state or the new state, never a part of one.
    """
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        f"{group}/{number:04d}": array
        for group in GROUPS
        for number, array in enumerate(getattr(state, group))
    }
    head = {"settings_digest": state.settings_digest, "progress": state.progress}
    arrays["head"] = np.array(json.dumps(head, allow_nan=False))
    temporary = folder / f".{FILE}.{os.getpid()}"
    with temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    publish(temporary, folder / FILE)
    return folder / FILE


def load_state(folder: Path, settings_digest: str) -> State | None:
    """Return the last state of a run, None if there is no state.

    Args:
        folder: of the state.
        settings_digest: that the state must have.

    Raises:
        RecordError: the state belongs to a run with other settings, or cannot be read.
    """
    import zipfile

    import numpy as np

    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            head = json.loads(str(stored["head"]))
            names = sorted(name for name in stored.files if name != "head")
            groups = {group: [] for group in GROUPS} | {
                group: [stored[name] for name in names if name.startswith(f"{group}/")]
                for group in GROUPS
            }
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise RecordError(
            f"the checkpoint cannot be read: {error}",
            untouched="the run was not changed",
            hint="start a new run, without --resume",
        ) from error
    if head["settings_digest"] != settings_digest:
        raise RecordError(
            "the checkpoint belongs to a run with other settings, data or seed",
            untouched="the run was not changed",
            hint="resume with the options that the run was started with, or start a new run",
        )
    return State(
        model=groups["model"],
        optimizer=groups["optimizer"],
        best=groups["best"],
        progress=head["progress"],
        settings_digest=settings_digest,
    )


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
