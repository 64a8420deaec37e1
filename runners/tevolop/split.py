"""Which pixels and dates are in which part of a split, and what the parts share.

A stored split gives each part a period (first day, and the day after the last) and, where pixels
are held out, their numbers. A forecast belongs to a part when its whole window lies inside the
period: no training target reaches into a later part. Inputs may come from before the period, as
they do when a forecast is really made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciml_data.errors import DescriptorError, Problem
from sciml_data.formats.earthquake.grid import COLUMNS, ROWS, active_pixels
from sciml_data.formats.earthquake.hilbert import curve

from . import data
from .data import FIRST_FORECAST, WINDOWS, Fortnights, Indices

if TYPE_CHECKING:
    from sciml_data.bench.task.split import Split

TRAIN = "train"
LEAST_PIXELS = 10  # a catalogue with fewer active ones (a sample) gives its busiest instead
BUSIEST = 50
LEAST_ACTIVE_SHARE = 0.5  # of stored pixels; below it the list is of another catalogue
TRAINING_SHARE = 0.8  # of pixels drawn where the list cannot be used; the published 400 of 500


@dataclass(frozen=True)
class Part:
    """One part: which of the chosen pixels, and fortnights first .. stop - 1 of the targets."""

    name: str
    has_pixel: npt.NDArray[np.bool_]
    first: int
    stop: int


@dataclass(frozen=True)
class Layout:
    """The chosen pixels and the parts.

    pixels: (n) numbers 0..2399, ascending. parts: training part first. origin: how the pixels were
    chosen, a sentence for the record.
    """

    pixels: Indices
    parts: tuple[Part, ...]
    origin: str

    def part(self, name: str) -> Part:
        """Return a part by its name."""
        return next(part for part in self.parts if part.name == name)


def period_end(split: Split) -> str:
    """Return the day after the last that any part may use."""
    return max(str(members["period"][1]) for members in split.members.values())


def lay_out(split: Split, grid: Fortnights) -> Layout:
    """Return the pixels and parts of a split on this catalogue.

    Raises:
        DescriptorError: a part of the split has no period, or a wrong one.
    """
    if problems := _problems(split):
        raise DescriptorError(f"split {split.name!r} cannot be laid out", problems=problems)
    periods = {name: _period(grid, members["period"]) for name, members in split.members.items()}
    if all("pixels" in members for members in split.members.values()):
        pixels, owners, origin = _held_out(split, grid)
    else:
        pixels, origin = _chosen_on(grid, periods[TRAIN][1])
        owners = {name: np.ones(len(pixels), bool) for name in periods}
    parts = [Part(name, owners[name], *period) for name, period in periods.items()]
    parts = [part for part in parts if part.stop - part.first >= WINDOWS[0]]
    return Layout(pixels, tuple(parts), origin)


def inside(part: Part, times: int) -> npt.NDArray[np.bool_]:
    """Return which windows lie in the part: (time, window=8) bool, by the last fortnight seen."""
    last_seen = np.arange(times)[:, None]
    begins, ends = last_seen + 1 >= part.first, last_seen + np.array(WINDOWS) < part.stop
    return np.asarray(begins & ends)


def is_spatial(layout: Layout) -> bool:
    """Return whether parts differ in their pixels."""
    return not all(part.has_pixel.all() for part in layout.parts)


def along_curve(pixels: Indices) -> Indices:
    """Return the order of pixels along a space-filling curve: neighbours stand near each other."""
    walk = curve(COLUMNS, ROWS)
    rank = np.empty(ROWS * COLUMNS, np.intp)
    rank[COLUMNS * walk[:, 1] + walk[:, 0]] = np.arange(len(walk))
    return np.argsort(rank[pixels], kind="stable")


def leakage(layout: Layout, grid: Fortnights) -> Mapping[str, Any]:
    """Return what each later part shares with the training part, in percent, and what follows."""
    train = layout.part(TRAIN)
    report: dict[str, Any] = {}
    for part in layout.parts:
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
        for part in layout.parts
    }
    report["meaning"] = (
        "validation pixels share every date with the training pixels: a model that knows the date "
        "knows what happened then; compare with the baseline same_date_mean"
        if is_spatial(layout)
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
    """Return the first fortnight that begins in a period, and the first that ends after it."""
    first = int(np.searchsorted(grid.start, np.datetime64(period[0], "D")))
    stop = int(np.searchsorted(data.end_of(grid), np.datetime64(period[1], "D"), side="right"))
    return max(first, FIRST_FORECAST), stop


def _chosen_on(grid: Fortnights, stop: int) -> tuple[Indices, str]:
    """Return the pixels that are active before a fortnight, and how they were found."""
    pixels = active_pixels(grid.strong[:stop])
    if len(pixels) >= LEAST_PIXELS:
        return pixels, "pixels active by the published rule in the training period alone"
    busy = np.argsort(-grid.count[:stop].sum(axis=0), kind="stable")[:BUSIEST]
    return (
        np.sort(busy),
        f"the rule found {len(pixels)} pixels; the {BUSIEST} busiest of the training period",
    )


def _held_out(
    split: Split, grid: Fortnights
) -> tuple[Indices, dict[str, npt.NDArray[np.bool_]], str]:
    """Return the pixels of a split by pixel, which part owns which, and where they come from."""
    lists = {name: np.array(members["pixels"]) for name, members in split.members.items()}
    stored = np.unique(np.concatenate(list(lists.values())))
    found, _ = _chosen_on(grid, len(grid))
    if np.isin(stored, found).mean() >= LEAST_ACTIVE_SHARE:
        owners = {name: np.isin(stored, members) for name, members in lists.items()}
        return stored, owners, "the stored list"
    shuffled = np.random.default_rng(split.seed).permutation(len(found))
    is_train = shuffled < round(TRAINING_SHARE * len(found))
    owners = {name: is_train if name == TRAIN else ~is_train for name in lists}
    return (
        found,
        owners,
        (
            f"the stored pixels are not active in this catalogue: {len(found)} of its own, "
            f"drawn 80 to 20 with seed {split.seed}"
        ),
    )
