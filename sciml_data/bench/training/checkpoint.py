"""A run's state after each epoch, in one file that is replaced in one step.

It holds everything the next epoch depends on: the model's variables (the generators of its dropout
among them), the optimiser's, the best weights so far, and a small JSON of counters and the curve.
The order of the batches is a function of seed and epoch and needs no state. So a killed run goes
on from its last whole epoch as if nothing had happened.
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
    """What an epoch leaves behind.

    Attributes:
        model: values of `model.variables`, in their order.
        optimizer: values of `optimizer.variables`, in their order.
        best: values of `model.weights` after the best epoch; empty where none was chosen yet.
        progress: JSON-able counters and the curve.
        settings_digest: what the run was run with; another run's state is refused by it.
    """

    model: Arrays
    optimizer: Arrays
    best: Arrays
    progress: Mapping[str, Any]
    settings_digest: str


def save_state(folder: Path, state: State) -> Path:
    """Write the state; a reader sees the one before or this one, never a part."""
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
    """Return the last state written, or None where there is none.

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
            untouched="the run was left as it is",
            hint="start the run anew, without --resume",
        ) from error
    if head["settings_digest"] != settings_digest:
        raise RecordError(
            "the checkpoint belongs to a run with other settings, data or seed",
            untouched="the run was left as it is",
            hint="resume with the options the run was started with, or start a new run",
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
    """Assign values to Keras variables, all or none.

    Raises:
        RecordError: number or shapes differ: the values are another model's.
    """
    found = [tuple(value.shape) for value in values]
    expected = [tuple(variable.shape) for variable in variables]
    if found != expected:
        raise RecordError(
            f"the checkpoint holds {len(found)} arrays of a model with {len(expected)}, "
            "or their shapes differ",
            untouched="nothing was assigned",
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
