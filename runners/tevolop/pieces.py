"""Pieces of the series as batches: one pass over a piece trains on all its fortnights.

The published code stores a window of 26 fortnights for each forecast. That holds each number 26
times, and 26 steps of a recurrent model yield one sample. Here models are causal: the output at
fortnight t does not depend on later fortnights. So a piece of 26 + 104 fortnights yields 104
samples. Its first 26 fortnights warm up the model and have weight 0. An epoch needs only the
indices of its pieces in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.formats.earthquake import COLUMNS, ROWS, hilbert_curve
from sciml_data.ready import read_own

from .data import Flags, Floats, Indices, Singles

Batch: TypeAlias = tuple[Mapping[str, Singles], Singles, Singles]
PieceStarts: TypeAlias = npt.NDArray[np.int32]

MIN_SPREAD = 1e-6  # magnitude
# Added to each pixel's variance, relative to the mean variance, so that a pixel without activity
# does not get a huge weight.
MIN_VARIANCE = 0.05


@dataclass(frozen=True)
class Scale:
    """Centre and spread of each window's training targets, which become 0 and 1.

    Attributes:
        centre: (window,) float64, magnitude.
        spread: (window,) float64, magnitude.
    """

    centre: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]

    def scaled(self, magnitude: Floats) -> Singles:
        """Return scaled targets from magnitudes (..., window)."""
        return np.asarray((magnitude - self.centre) / self.spread, np.float32)

    def magnitude(self, scaled: Floats) -> Singles:
        """Return magnitudes from scaled targets (..., window)."""
        return np.asarray(scaled * self.spread + self.centre, np.float32)


def scale_of(training: Floats, scaling: str = "standard") -> Scale:
    """Return the scale of training targets (pixel, time, window); a spread of 0 becomes 1.

    It has mean and standard deviation, or with scaling "minmax" the least value and the range.
    """
    if scaling == "minmax":
        centre = np.nanmin(training, axis=(0, 1)).astype(np.float64)
        spread = np.nanmax(training, axis=(0, 1)) - centre
    else:
        centre = np.asarray(np.nanmean(training, axis=(0, 1), dtype=np.float64))
        spread = np.sqrt(np.nanmean((training - centre) ** 2, axis=(0, 1)))
    return Scale(centre, np.where(spread > MIN_SPREAD, spread, 1.0))


def weights_of(training: Floats, even_out: float) -> Singles:
    """Return weights (pixel, window) float32, of mean 1 over training pixels.

    NNSE divides the squared errors of a pixel by the variance of that pixel. The weights do the
    same in the loss.

    Args:
        training: (pixel, time, window) targets, NaN outside of the training part.
        even_out: exponent of the relative weight. 1 counts a quiet pixel as much as an active one,
            0 gives all pixels the same weight. Other pixels than those of the training part have
            weight 1, because their variance must not be used.
    """
    known = np.isfinite(training)
    count = known.sum(axis=1)
    mean = np.where(known, training, 0.0).sum(axis=1, keepdims=True) / np.maximum(count[:, None], 1)
    variance = (np.where(known, training - mean, 0.0) ** 2).sum(axis=1) / np.maximum(count, 1)
    is_training = count > 0
    typical = variance.sum(axis=0) / np.maximum(is_training.sum(axis=0), 1)
    relative = typical / np.maximum(variance + MIN_VARIANCE * typical, 1e-12)
    weights = np.where(is_training, relative**even_out, 0.0)
    weights /= np.maximum(weights.sum(axis=0) / np.maximum(is_training.sum(axis=0), 1), 1e-12)
    return np.where(is_training, weights, 1.0).astype(np.float32)


def curve_order(pixels: Indices) -> Indices:
    """Return the order of pixels along a space-filling curve, in which neighbours are close."""
    walk = hilbert_curve(COLUMNS, ROWS)
    rank = np.empty(ROWS * COLUMNS, np.intp)
    rank[COLUMNS * walk[:, 1] + walk[:, 0]] = np.arange(len(walk))
    return np.argsort(rank[pixels], kind="stable")


@dataclass(frozen=True)
class Pieces:
    """The pieces of one part, each of some pixels and of `warmup + scored` fortnights.

    Attributes:
        features: (pixel, time, feature) float32, of all pixels and times.
        base: (pixel, time, window) float32, scaled forecast that the model corrects; None for a
            model that corrects no forecast.
        targets: (pixel, time, output) float32, scaled, 0 where missing.
        weights: (pixel, time, output) float32, 0 if the target is not in the part, or missing.
        times: fortnights of the part at which forecasts are made, in order.
        order: pixels, in an order in which neighbours are close.
        locations: pixels in a piece; more than one for a model with attention over locations.
        warmup: fortnights that warm up the model.
        scored: fortnights after them, which are trained on or predicted.
    """

    features: Singles
    base: Singles | None
    targets: Singles
    weights: Singles
    times: Indices
    order: Indices
    locations: int
    warmup: int
    scored: int

    @cached_property
    def groups(self) -> Indices:
        """Return the pixels of each piece: (group, location); the first ones fill up the last."""
        return np.resize(self.order, (-(-len(self.order) // self.locations), self.locations))

    def starts(self, rng: np.random.Generator | None) -> PieceStarts:
        """Return group of pixels and first scored fortnight of each piece: (piece, 2).

        The pieces of a group cover each forecast of the part once. With `rng` each group has other
        starts, and pieces are shuffled; without it they are in order.
        """
        of_groups = []
        for group in range(len(self.groups)):
            shift = int(rng.integers(self.scored)) if rng is not None else 0
            starts = np.arange(self.times[0] - shift, self.times[-1] + 1, self.scored)
            of_groups.append(np.stack([np.full_like(starts, group), starts], axis=1))
        pieces = np.concatenate(of_groups).astype(np.int32)
        return rng.permutation(pieces) if rng is not None else pieces

    def batches(self, batch_size: int, rng: np.random.Generator | None) -> Iterator[Batch]:
        """Yield one epoch of inputs, targets and weights; with `rng` random and shuffled.

        inputs: {"series": (piece, location, time, feature), "base": (piece, location, time,
        window)}; targets, weights: (piece, location, time, window); all float32.
        """
        starts = self.starts(rng)
        for first in range(0, len(starts), batch_size):
            yield self.read(starts[first : first + batch_size])

    def read(self, starts: PieceStarts) -> Batch:
        """Return inputs, targets and weights of some pieces; see `batches` for the shapes.

        Of several processes that share a batch, each cuts its own pieces alone.
        """
        series = (self.targets, self.features, *(() if self.base is None else (self.base,)))

        def cut(own: slice) -> tuple[Singles, ...]:
            pixel, time, is_scored = self._places(starts[own])
            weights = self.weights[pixel, time] * is_scored[..., None]
            return weights, *(values[pixel, time] for values in series)

        weights, targets, features, *base = read_own(len(starts), cut)
        return {"series": features, **({"base": base[0]} if base else {})}, targets, weights

    def write(self, starts: PieceStarts, outputs: Floats, into: Floats) -> None:
        """Copy a model's forecasts (piece, location, time, output) to (pixel, time, window)."""
        pixel, time, is_scored = self._places(starts)
        into[pixel[is_scored], time[is_scored]] = outputs[is_scored][:, : into.shape[-1]]

    def _places(self, starts: PieceStarts) -> tuple[Indices, Indices, Flags]:
        """Return pixel, fortnight and whether it is scored: (piece, location, time) each.

        A piece may begin before the series or end after it. A pixel is scored only in its first
        place of all groups.
        """
        group, start = starts.T
        steps = np.arange(-self.warmup, self.scored)
        wanted = start[:, None] + steps
        time = np.clip(wanted, 0, self.features.shape[1] - 1)
        is_scored = (wanted == time) & (steps >= 0)
        is_first = np.arange(self.groups.size).reshape(self.groups.shape) < len(self.order)
        pixel, time, is_first, is_scored = np.broadcast_arrays(
            self.groups[group][:, :, None],
            time[:, None],
            is_first[group][:, :, None],
            is_scored[:, None],
        )
        return pixel, time, is_first & is_scored
