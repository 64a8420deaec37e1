"""Learning-rate schedules, choice of the best epoch, and early stopping, without tensors.

Everything is a function of the settings and of the validation values so far. So a resumed run
makes the same decisions as an uninterrupted run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

MIN_IMPROVEMENT = 1e-6  # relative; a smaller change of a float32 loss is rounding


@dataclass(frozen=True)
class Progress:
    """The progress of a run.

    Attributes:
        epochs: number of whole epochs done.
        best_value: best monitored value so far; None before the first epoch.
        best_epoch: epoch of the best value, counted from 1; 0 before the first epoch.
        plateau_epochs: epochs without improvement since the best value or the last reduction.
        reductions: number of reductions of the learning rate on a plateau.
        curve: a row for each epoch.
    """

    epochs: int = 0
    best_value: float | None = None
    best_epoch: int = 0
    plateau_epochs: int = 0
    reductions: int = 0
    curve: tuple[Mapping[str, Any], ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self) | {"curve": [dict(row) for row in self.curve]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Progress:
        """Return the progress that `to_json` made a document of."""
        return cls(**{**document, "curve": tuple(document["curve"])})


def learning_rate(settings: Mapping[str, Any], progress: Progress) -> float:
    """Return the learning rate of the next epoch.

    During warm-up the rate goes linearly to the base rate: from `warmup_rate`, or in equal steps
    from near 0. Then `constant` keeps the base rate.
    `cosine` falls to 0 over the remaining epochs (Loshchilov and Hutter 2017, equation 5, without
    restarts). `plateau` multiplies the rate by `plateau_factor` after each `plateau_patience`
    epochs without improvement, down to `min_learning_rate`.
    """
    base, epoch, warmup = settings["learning_rate"], progress.epochs, settings["warmup_epochs"]
    if epoch < warmup and settings["warmup_rate"]:
        return float(settings["warmup_rate"] + (base - settings["warmup_rate"]) * epoch / warmup)
    if epoch < warmup:
        return float(base * (epoch + 1) / (warmup + 1))
    if settings["schedule"] == "cosine":
        done = (epoch - warmup) / max(settings["epochs"] - warmup, 1)
        return float(base * 0.5 * (1.0 + math.cos(math.pi * done)))
    if settings["schedule"] == "plateau":
        reduced = base * settings["plateau_factor"] ** progress.reductions
        return float(max(reduced, settings["min_learning_rate"]))
    return float(base)


def advance(
    progress: Progress,
    row: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    lower_is_better: bool,
) -> Progress:
    """Return the progress after one more epoch.

    Args:
        progress: before the epoch.
        row: the epoch's row of the curve. If `row["monitored"]` is None, there is no validation
            part, and the last epoch is the best.
        settings: of the run.
        lower_is_better: whether a lower monitored value is better.
    """
    value = row["monitored"]
    epochs = progress.epochs + 1
    after = replace(progress, epochs=epochs, curve=(*progress.curve, row))
    if value is None or _is_better(value, progress.best_value, lower_is_better=lower_is_better):
        return replace(after, best_value=value, best_epoch=epochs, plateau_epochs=0)
    waited = progress.plateau_epochs + 1
    if settings["schedule"] == "plateau" and waited >= settings["plateau_patience"]:
        return replace(after, plateau_epochs=0, reductions=progress.reductions + 1)
    return replace(after, plateau_epochs=waited)


def is_finished(progress: Progress, settings: Mapping[str, Any]) -> bool:
    """Return whether all epochs are done, or early stopping ends the run."""
    return bool(progress.epochs >= settings["epochs"]) or has_stopped_early(progress, settings)


def has_stopped_early(progress: Progress, settings: Mapping[str, Any]) -> bool:
    """Return whether the last `patience` epochs had no improvement, before all epochs were done."""
    waited = progress.epochs - progress.best_epoch
    return bool(0 < settings["patience"] <= waited and progress.epochs < settings["epochs"])


def _is_better(value: float, best: float | None, *, lower_is_better: bool) -> bool:
    if best is None:
        return True
    gain = best - value if lower_is_better else value - best
    return gain > MIN_IMPROVEMENT * abs(best)
