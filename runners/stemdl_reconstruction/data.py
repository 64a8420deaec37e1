"""Scans and targets of each part in batches, with the statistics that models and baselines need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciml_data.errors import CallError, nearest

from . import patterns
from .scan_cache import Store
from .scans import DENSITY, LEGACY, POTENTIAL, SCAN, Floats, Numbers, Scans, find_scans
from .split import TRAIN, Layout, lay_out
from .symmetry import moved

if TYPE_CHECKING:
    from sciml_data.bench.task.split import Split
    from sciml_data.registry.stages import Converted

TARGETS = {
    "potential": (POTENTIAL,),
    "electron_density": (DENSITY,),
    "both": (POTENTIAL, DENSITY),
    "legacy": (LEGACY,),
}
AT_ONCE = 16  # samples whose targets are read together for the statistics
LEAST_DEVIATION = 1e-9  # of a target that never varies
Batch = tuple[Floats, Floats, Floats]


@dataclass(frozen=True)
class Statistics:
    """Of the training part's targets: mean, deviation (channel,), and the mean image.

    image: (row, column, channel) float64. samples: how many they are of.
    """

    mean: npt.NDArray[np.float64]
    deviation: npt.NDArray[np.float64]
    image: npt.NDArray[np.float64]
    samples: int


@dataclass(frozen=True)
class Data:
    """The samples that are here, divided into parts; channels are those that are learnt."""

    scans: Scans
    layout: Layout
    settings: Mapping[str, Any]
    channels: tuple[str, ...]
    store: Store = field(repr=False)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Return probes, rows and columns of a prepared scan."""
        probes, rows, columns = self.scans.shape
        thinning = self.settings["thinning"]
        return probes, patterns.blocks(rows, thinning), patterns.blocks(columns, thinning)

    def scored(self, part: str) -> Numbers:
        """Return the samples of a part that are predicted: all, or evenly some of very many."""
        most = self.settings["train_scored" if part == TRAIN else "most_scored"]
        return evenly(self.layout.parts[part], most)

    def batches(self, part: str, *, batch_size: int, seed: int) -> Iterator[Batch]:
        """Yield one epoch: scans, targets in their own units, weights; all float32.

        Scans are (sample, probe, y, x), targets (sample, row, column, channel), weights (sample,).
        The training part comes shuffled and moved at random; the others in order, as they are.
        """
        numbers, is_train = self.layout.parts[part], part == TRAIN
        random = np.random.default_rng(seed)
        if is_train:
            numbers = random.permutation(numbers)
        for first in range(0, len(numbers), batch_size):
            inputs, targets = self.store.take(numbers[first : first + batch_size])
            if is_train and self.settings["augment"]:
                inputs, targets = moved(inputs, targets, random=random)
            yield inputs, targets, np.ones(len(inputs), np.float32)

    @cached_property
    def statistics(self) -> Statistics:
        """Return mean, deviation and mean image of the training part's targets."""
        numbers = evenly(self.layout.parts[TRAIN], self.settings["most_fitted"])
        image = np.zeros((*self.scans.view, len(self.channels)))
        square = np.zeros(len(self.channels))
        for first in range(0, len(numbers), AT_ONCE):
            some = numbers[first : first + AT_ONCE]
            values = self.scans.read_targets(self.channels, some).astype(np.float64)
            image += values.sum(axis=0)
            square += (values**2).sum(axis=(0, 1, 2))
        image /= len(numbers)
        mean = image.mean(axis=(0, 1))
        pixels = len(numbers) * image[..., 0].size
        deviation = np.sqrt(np.maximum(square / pixels - mean**2, 0))
        return Statistics(mean, np.maximum(deviation, LEAST_DEVIATION), image, len(numbers))


def open_data(converted: Converted, split: Split, settings: Mapping[str, Any]) -> Data:
    """Return the scans that are here, divided by a split.

    Raises:
        CallError: a setting names what does not exist, or the files have not the target asked for.
        SciMLDataError: a part is left without a sample.
    """
    patterns.check_scale(settings["scale"])
    scans = find_scans(converted)
    channels = _channels(settings["target"], scans)
    thinning, rows, columns = settings["thinning"], *scans.shape[1:]
    if thinning % 2 == 0 or not 1 <= thinning <= min(rows, columns):
        raise CallError(
            f"thinning={thinning}: an odd number is expected, at most the {min(rows, columns)} "
            "pixels of a pattern",
            untouched="nothing was trained",
        )

    def read(numbers: Numbers) -> tuple[Floats, Floats]:
        made = [
            patterns.prepared(
                scans.read(SCAN, [number])[0],
                thinning=settings["thinning"],
                scale=settings["scale"],
            )
            for number in numbers.tolist()
        ]
        return np.stack(made), scans.read_targets(channels, numbers)

    store = Store(read, budget_mib=settings["memory_mib"])
    return Data(scans, lay_out(split, scans), settings, channels, store)


def evenly(numbers: Numbers, most: int) -> Numbers:
    """Return at most so many of the numbers, evenly spaced."""
    if len(numbers) <= most:
        return numbers
    return np.asarray(numbers[np.linspace(0, len(numbers) - 1, most).round().astype(int)])


def _channels(target: str, scans: Scans) -> tuple[str, ...]:
    if target not in TARGETS:
        raise CallError(
            f"there is no target {target!r}{nearest(target, TARGETS)}; there are "
            f"{', '.join(TARGETS)}",
            untouched="nothing was trained",
        )
    if missing := [name for name in TARGETS[target] if name not in scans.channels]:
        raise CallError(
            f"target {target!r} needs {' and '.join(missing)}, which these scans have not: the "
            "published files have the legacy target alone",
            untouched="nothing was trained",
            hint="--set target=legacy",
        )
    return TARGETS[target]
