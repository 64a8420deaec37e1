"""A limit on the time of training, and the time that the whole training would take.

The clock counts training and validation, also those of earlier processes of a resumed run. Staging,
preparation and the final scoring are not counted, because they take the same time in a long run.

A run stops at the end of the first step after its time. The epoch that it stops in is validated,
so its weights can be the best ones. The checkpoint stays that of the last whole epoch: a resumed
run repeats the partial epoch from its start, and so makes the same steps as a run without a limit.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sciml_data.bench.training.schedule import Progress, is_finished
from sciml_data.errors import CallError

SECONDS_OF = {"s": 1, "min": 60, "h": 3600}
DURATION = re.compile(r"(\d+(?:\.\d+)?) *(s|min|h)")
Row = Mapping[str, Any]


def read_duration(text: str) -> float:
    """Return the seconds of a duration such as `90s`, `10min` or `1.5h`.

    Raises:
        CallError: the text is not a duration above 0.
    """
    match = DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * SECONDS_OF[match[2]] if match else 0.0
    if not seconds or not math.isfinite(seconds):
        raise CallError(
            f"{text!r} is not a duration: a number and s, min or h",
            untouched="nothing was run",
            hint="--budget 90s, --budget 10min or --budget 2h",
        )
    return seconds


class TimeLimit:
    """Stops training after some time, in all processes of a run at the same step."""

    def __init__(
        self, seconds: float, progress: Progress, agree: Callable[[float], float] | None = None
    ) -> None:
        """Start the clock.

        Args:
            seconds: of training and validation, all processes of the run together.
            progress: of earlier processes.
            agree: returns the chief's value in every process; None if there is one process.
        """
        spent = sum(row["train_s"] + row["evaluation_s"] for row in progress.curve)
        self._until = time.perf_counter() + seconds - spent
        self._agree = agree
        self._is_over = False
        self.steps = 0
        self.first_step_s = 0.0
        self.is_partial = False

    def is_over(self) -> bool:
        """Return whether the time is over. Each process has to call it at the same places."""
        if not self._is_over:
            own = float(time.perf_counter() > self._until)
            self._is_over = bool(own if self._agree is None else self._agree(own))
        return self._is_over

    def cut(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Yield the batches of an epoch until the time is over, at least one.

        The code after `yield` runs when the training pass has made the step and wants the next
        batch. So an epoch that ends within the time is whole.
        """
        self.steps, self.is_partial = 0, False
        started = time.perf_counter()
        for batch in batches:
            if self.steps and self.is_over():
                self.is_partial = True
                return
            yield batch
            self.steps += 1
            if self.steps == 1:
                self.first_step_s = time.perf_counter() - started

    def row(self) -> dict[str, Any]:
        """Return the keys of the last epoch's row of the curve."""
        return {
            "steps": self.steps,
            "first_step_s": self.first_step_s,
            "is_partial": self.is_partial,
        }


def is_partial(row: Row) -> bool:
    """Return whether an epoch was cut by a time limit."""
    return bool(row.get("is_partial", False))


def budget_block(
    seconds: float,
    progress: Progress,
    settings: Mapping[str, Any],
    samples: int,
    *,
    has_ended: bool = False,
) -> dict[str, Any]:
    """Return the group `budget` of a record.

    A run can stop between two epochs, where the clock of the limit also counts the writing of a
    checkpoint. So a training that has ended without all its epochs has reached its budget, even if
    the seconds of its curve have not.

    Args:
        seconds: the limit.
        progress: of the run.
        settings: of the run.
        samples: number of samples in the training part.
        has_ended: whether the training has ended by itself.
    """
    curve, planned = progress.curve, int(settings["epochs"])
    whole = [row for row in curve if not is_partial(row)]
    steps_of_epoch = _steps_of_epoch(curve, samples)
    spent = sum(row["train_s"] + row["evaluation_s"] for row in curve)
    is_cut = len(whole) < len(curve)
    steps = None
    if steps_of_epoch:
        cut = sum(row["steps"] for row in curve if is_partial(row))
        steps = len(whole) * steps_of_epoch + cut
    return {
        "budget_seconds": seconds,
        "is_reached": is_cut
        or ((has_ended or spent >= seconds) and not is_finished(progress, settings)),
        "epochs": len(whole),
        "planned_epochs": planned,
        "steps": steps,
        "planned_steps": steps_of_epoch and planned * steps_of_epoch,
        "training_seconds": spent,
        "whole_training_seconds": _whole_training_s(curve, steps_of_epoch, planned),
    }


def _steps_of_epoch(curve: Sequence[Row], samples: int) -> int | None:
    """Return the steps of a whole epoch: counted, or estimated from the samples of a partial one.

    Epochs of a process without a limit have no count. None if no epoch has one.
    """
    counted = [row for row in curve if row.get("steps")]
    whole = [int(row["steps"]) for row in counted if not is_partial(row)]
    if whole:
        return whole[-1]
    if not counted or not counted[-1]["samples"]:
        return None
    return math.ceil(int(counted[-1]["steps"]) * samples / int(counted[-1]["samples"]))


def _whole_training_s(
    curve: Sequence[Row], steps_of_epoch: int | None, planned: int
) -> float | None:
    """Return the estimated seconds of all epochs, without early stopping.

    The first step of a process compiles the model, so it says nothing about the other steps: after
    a single step, nothing can be estimated. The validation of the first epoch compiles, too, and
    counts only if there is no other one.
    """
    counted = [row for row in curve if row.get("steps")]
    if not counted or steps_of_epoch is None:
        return None
    steady = [row for row in counted if not row["is_first_of_process"]] or counted
    later = sum(row["steps"] - 1 for row in steady)
    if not later:
        return None
    step_s = sum(row["train_s"] - row["first_step_s"] for row in steady) / later
    compiling = max(counted[0]["first_step_s"] - step_s, 0.0)
    evaluation_s = sum(row["evaluation_s"] for row in steady) / len(steady)
    return float(compiling + planned * (steps_of_epoch * step_s + evaluation_s))
