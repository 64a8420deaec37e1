"""Divide pixels and dates into training and later parts, and report what the parts share.

A stored split gives each part a period (the first day, and the day after the last) and, if pixels
are held out, their numbers. A forecast belongs to a part if its whole window is inside the period,
so no training target reaches into a later part. Inputs may come from before the period, as they do
in real forecasts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciml_data.errors import DescriptorError, Problem
from sciml_data.formats.earthquake import COLUMNS, ROWS, active_pixels, hilbert_curve

from . import data
from .data import FIRST_FORECAST, WINDOWS, Fortnights, Indices

if TYPE_CHECKING:
    from sciml_data.bench.task.split import Split

TRAIN = "train"
MIN_PIXELS = 10  # with fewer active pixels (a sample), the busiest pixels are used instead
BUSIEST = 50  # how many of them
MIN_ACTIVE_SHARE = 0.5  # of the stored pixels; with less, the list is of another catalogue
TRAINING_SHARE = 0.8  # of pixels if the stored list cannot be used; published: 400 of 500


@dataclass(frozen=True)
class Part:
    """One part of a split.

    Attributes:
        name: of the part.
        has_pixel: (pixel,) bool, which of the chosen pixels belong to it.
        first: first fortnight of the targets.
        stop: first fortnight after the targets.
    """

    name: str
    has_pixel: npt.NDArray[np.bool_]
    first: int
    stop: int


@dataclass(frozen=True)
class SplitParts:
    """The chosen pixels, and the parts of a split.

    Attributes:
        pixels: (pixel,) numbers 0..2399, ascending.
        parts: training part first.
        origin: a sentence on how the pixels were chosen, for the record.
    """

    pixels: Indices
    parts: tuple[Part, ...]
    origin: str

    def part(self, name: str) -> Part:
        """Return the part with this name."""
        return next(part for part in self.parts if part.name == name)


def period_end(split: Split) -> str:
    """Return the day after the last day of all parts."""
    return max(str(members["period"][1]) for members in split.members.values())


def make_split(split: Split, grid: Fortnights) -> SplitParts:
    """Return the pixels and parts of a split on this catalogue.

    Raises:
        DescriptorError: a part of the split has no period, or its end is before its start.
    """
    if problems := _problems(split):
        raise DescriptorError(f"split {split.name!r} has no valid periods", problems=problems)
    periods = {name: _period(grid, members["period"]) for name, members in split.members.items()}
    if all("pixels" in members for members in split.members.values()):
        pixels, owners, origin = _held_out(split, grid)
    else:
        pixels, origin = _active_pixels(grid, periods[TRAIN][1])
        owners = {name: np.ones(len(pixels), bool) for name in periods}
    parts = [Part(name, owners[name], *period) for name, period in periods.items()]
    parts = [part for part in parts if part.stop - part.first >= WINDOWS[0]]
    return SplitParts(pixels, tuple(parts), origin)


def windows_in_part(part: Part, times: int) -> npt.NDArray[np.bool_]:
    """Return which windows are in the part: (time, window=8) bool.

    Time is the last fortnight of the input; the window starts after it.
    """
    last_input = np.arange(times)[:, None]
    begins, ends = last_input + 1 >= part.first, last_input + np.array(WINDOWS) < part.stop
    return np.asarray(begins & ends)


def is_spatial(split: SplitParts) -> bool:
    """Return whether parts differ in their pixels."""
    return not all(part.has_pixel.all() for part in split.parts)


def curve_order(pixels: Indices) -> Indices:
    """Return the order of pixels along a space-filling curve, in which neighbours are close."""
    walk = hilbert_curve(COLUMNS, ROWS)
    rank = np.empty(ROWS * COLUMNS, np.intp)
    rank[COLUMNS * walk[:, 1] + walk[:, 0]] = np.arange(len(walk))
    return np.argsort(rank[pixels], kind="stable")


def leakage(split: SplitParts, grid: Fortnights) -> Mapping[str, Any]:
    """Return what each later part shares with the training part, in percent, for the record."""
    train = split.part(TRAIN)
    report: dict[str, Any] = {}
    for part in split.parts:
        if part is train:
            continue
        dates = set(range(train.first, train.stop)) & set(range(part.first, part.stop))
        shared = int((train.has_pixel & part.has_pixel).sum())
        report[part.name] = {
            "dates_shared_percent": round(100 * len(dates) / max(part.stop - part.first, 1), 1),
            "pixels_shared_percent": round(100 * shared / max(int(part.has_pixel.sum()), 1), 1),
        }
    report["period"] = {
        part.name: [str(grid.start[part.first]), str(data.end_of(grid)[part.stop - 1])]
        for part in split.parts
    }
    report["meaning"] = (
        "validation pixels share every date with the training pixels: a model that knows the date "
        "knows what happened then; compare with the baseline same_date_mean"
        if is_spatial(split)
        else "no training target ends after the training period; inputs of later parts may look "
        "back into earlier ones"
    )
    return report


def _problems(split: Split) -> list[Problem]:
    problems = []
    for name, members in split.members.items():
        period = members.get("period") if isinstance(members, Mapping) else None
        if not isinstance(period, list) or len(period) != 2 or str(period[0]) >= str(period[1]):
            message = "a period of two days, the first before the second, is expected"
            problems.append(Problem("period", f"{split.name}: {name}", message))
    if TRAIN not in split.members:
        problems.append(Problem("missing", f"{split.name}: {TRAIN}", "is required"))
    return problems


def _period(grid: Fortnights, period: list[str]) -> tuple[int, int]:
    """Return the first fortnight that starts in a period, and the first that ends after it."""
    first = int(np.searchsorted(grid.start, np.datetime64(period[0], "D")))
    stop = int(np.searchsorted(data.end_of(grid), np.datetime64(period[1], "D"), side="right"))
    return max(first, FIRST_FORECAST), stop


def _active_pixels(grid: Fortnights, stop: int) -> tuple[Indices, str]:
    """Return the pixels that are active before fortnight `stop`, and how they were chosen."""
    pixels = active_pixels(grid.strong[:stop])
    if len(pixels) >= MIN_PIXELS:
        return pixels, "pixels active by the published rule in the training period alone"
    busy = np.argsort(-grid.count[:stop].sum(axis=0), kind="stable")[:BUSIEST]
    return (
        np.sort(busy),
        f"the rule found {len(pixels)} pixels; the {BUSIEST} busiest of the training period",
    )


def _held_out(
    split: Split, grid: Fortnights
) -> tuple[Indices, dict[str, npt.NDArray[np.bool_]], str]:
    """Return all pixels of a split by pixel, those of each part, and how they were chosen."""
    lists = {name: np.array(members["pixels"]) for name, members in split.members.items()}
    stored = np.unique(np.concatenate(list(lists.values())))
    active, _ = _active_pixels(grid, len(grid))
    if np.isin(stored, active).mean() >= MIN_ACTIVE_SHARE:
        owners = {name: np.isin(stored, members) for name, members in lists.items()}
        return stored, owners, "the stored list"
    shuffled = np.random.default_rng(split.seed).permutation(len(active))
    is_train = shuffled < round(TRAINING_SHARE * len(active))
    owners = {name: is_train if name == TRAIN else ~is_train for name in lists}
    return (
        active,
        owners,
        (
            f"the stored pixels are not active in this catalogue: {len(active)} of its own, "
            f"drawn 80 to 20 with seed {split.seed}"
        ),
    )
