"""Scans and targets of each part of a split, in batches, and statistics of the targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciml_data.bench.task.splits import TRAIN, Division, Options, divide, evenly_spaced
from sciml_data.errors import CallError
from sciml_data.ready import SampleCache, SampleIndex
from sciml_data.ready.samples import Floats, Numbers

from . import patterns
from .scans import (
    DENSITY,
    LEGACY,
    POTENTIAL,
    SCAN,
    channels_of,
    find_scans,
    keys_of,
    read_targets,
    view_of,
)
from .symmetry import augment_pairs

if TYPE_CHECKING:
    from sciml_data.bench.task.split import Split
    from sciml_data.registry.stages import Converted

TARGETS = {
    "potential": (POTENTIAL,),
    "electron_density": (DENSITY,),
    "both": (POTENTIAL, DENSITY),
    "legacy": (LEGACY,),
}
MEBIBYTE = 1 << 20
SPLITS = Options(
    ranked=True, hint="use more files, a larger sample, --split random or --split published"
)
SAMPLES_PER_READ = 16  # when statistics are computed
MIN_DEVIATION = 1e-9  # a target that never varies is divided by this
Batch = tuple[Floats, Floats, Floats]


@dataclass(frozen=True)
class Statistics:
    """Statistics of the targets of the training part.

    Attributes:
        mean: (channel,) float64, in the unit of the channel.
        deviation: (channel,) standard deviation, float64.
        image: (row, column, channel) mean image, float64.
        samples: number of samples.
    """

    mean: npt.NDArray[np.float64]
    deviation: npt.NDArray[np.float64]
    image: npt.NDArray[np.float64]
    samples: int


@dataclass(frozen=True)
class Data:
    """The samples on this computer, divided into parts.

    Attributes:
        scans: all ready scans.
        split: sample numbers of each part.
        settings: see task.toml.
        channels: names of the targets that are learnt.
        cache: prepared scans and targets by sample number.
    """

    scans: SampleIndex
    split: Division
    settings: Mapping[str, Any]
    channels: tuple[str, ...]
    cache: SampleCache = field(repr=False)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Return the shape of a prepared scan: probes, rows, columns."""
        probes, rows, columns = self.scans.shapes[SCAN]
        binning = self.settings["thinning"]
        count = patterns.block_count
        return probes, count(rows, binning), count(columns, binning)

    def scored(self, part: str) -> Numbers:
        """Return the samples of a part that are predicted: all, or an evenly spaced subset."""
        limit = self.settings["train_scored" if part == TRAIN else "most_scored"]
        return evenly_spaced(self.split.parts[part], limit)

    def batches(self, part: str, *, batch_size: int, seed: int) -> Iterator[Batch]:
        """Yield one epoch: scans, targets in their own units, weights; all float32.

        Scans are (sample, probe, y, x), targets (sample, row, column, channel), weights (sample,).
        The training part is shuffled, and each pair is in a random symmetry. The other parts come
        in order and unchanged.
        """
        numbers, is_train = self.split.parts[part], part == TRAIN
        random = np.random.default_rng(seed)
        if is_train:
            numbers = random.permutation(numbers)
        for first in range(0, len(numbers), batch_size):
            inputs, targets = self.cache.take(numbers[first : first + batch_size])
            if is_train and self.settings["augment"]:
                inputs, targets = augment_pairs(inputs, targets, random=random)
            yield inputs, targets, np.ones(len(inputs), np.float32)

    @cached_property
    def statistics(self) -> Statistics:
        """Return the statistics of the training part's targets."""
        numbers = evenly_spaced(self.split.parts[TRAIN], self.settings["most_fitted"])
        image = np.zeros((*view_of(self.scans), len(self.channels)))
        square = np.zeros(len(self.channels))
        for first in range(0, len(numbers), SAMPLES_PER_READ):
            block = numbers[first : first + SAMPLES_PER_READ]
            values = read_targets(self.scans, self.channels, block).astype(np.float64)
            image += values.sum(axis=0)
            square += (values**2).sum(axis=(0, 1, 2))
        image /= len(numbers)
        mean = image.mean(axis=(0, 1))
        pixels = len(numbers) * image[..., 0].size
        deviation = np.sqrt(np.maximum(square / pixels - mean**2, 0))
        return Statistics(mean, np.maximum(deviation, MIN_DEVIATION), image, len(numbers))


def open_data(converted: Converted, split: Split, settings: Mapping[str, Any]) -> Data:
    """Return the scans on this computer, divided into the parts of a split.

    Raises:
        CallError: the value of a setting is not valid, or the files lack the target.
        SciMLDataError: a part has no sample.
    """
    scans = find_scans(converted)
    channels = _channels(settings["target"], scans)
    binning, rows, columns = settings["thinning"], *scans.shapes[SCAN][1:]
    if binning % 2 == 0 or binning > min(rows, columns):
        raise CallError(
            f"thinning={binning}: an odd number is expected, at most the {min(rows, columns)} "
            "pixels of a pattern",
            untouched="nothing was trained",
        )

    def read(numbers: Numbers) -> tuple[Floats, Floats]:
        prepared = [
            patterns.prepared(
                scans.read(SCAN, [number])[0],
                binning=binning,
                scale=settings["scale"],
            )
            for number in numbers.tolist()
        ]
        return np.stack(prepared), read_targets(scans, channels, numbers)

    cache = SampleCache(read, budget_bytes=settings["memory_mib"] * MEBIBYTE)
    return Data(scans, divide(split, keys_of(scans), SPLITS), settings, channels, cache)


def _channels(target: str, scans: SampleIndex) -> tuple[str, ...]:
    if missing := [name for name in TARGETS[target] if name not in channels_of(scans)]:
        raise CallError(
            f"target {target!r} needs {' and '.join(missing)}, which these scans do not have; the "
            "published files have the legacy target only",
            untouched="nothing was trained",
            hint="--set target=legacy",
        )
    return TARGETS[target]
