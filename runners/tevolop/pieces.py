"""Read pieces of the series as batches: one pass over a piece trains on all its fortnights.

The published code stores a window of 26 fortnights for each forecast. That holds each number 26
times, and 26 steps of a recurrent model yield one sample. Here models are causal: the output at
fortnight t does not depend on later fortnights. So a piece of 26 + 104 fortnights yields 104
samples. Its first 26 fortnights warm up the model and have weight 0. An epoch needs only the
indices of its pieces in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sciml_data.formats.earthquake import COLUMNS, ROWS, hilbert_curve

from .data import Floats, Indices, Part, windows_in_part


@dataclass(frozen=True)
class PieceShape:
    """The size of a piece.

    Attributes:
        warmup: fortnights that warm up the model.
        scored: fortnights after them, which are trained on or predicted.
        locations: pixels in a piece; more than one for a model with attention over locations.
    """

    warmup: int
    scored: int
    locations: int

    @property
    def length(self) -> int:
        """Return the number of fortnights in a piece."""
        return self.warmup + self.scored


@dataclass(frozen=True)
class Tensors:
    """The series that pieces are read from; all float32.

    Attributes:
        local: (pixel, time, feature) features of pixels.
        shared: (time, feature) features that all pixels share.
        base: (pixel, time, window) forecast that the model corrects, standardised.
        targets: (pixel, time, window) standardised, 0 where missing.
        known: (pixel, time, window) 1 where there is a target, else 0.
        weights: (pixel, window) of the samples of a pixel.
    """

    local: npt.NDArray[np.float32]
    shared: npt.NDArray[np.float32]
    base: npt.NDArray[np.float32]
    targets: npt.NDArray[np.float32]
    known: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]


def curve_order(pixels: Indices) -> Indices:
    """Return the order of pixels along a space-filling curve, in which neighbours are close."""
    walk = hilbert_curve(COLUMNS, ROWS)
    rank = np.empty(ROWS * COLUMNS, np.intp)
    rank[COLUMNS * walk[:, 1] + walk[:, 0]] = np.arange(len(walk))
    return np.argsort(rank[pixels], kind="stable")


def location_groups(order: npt.NDArray[np.intp], size: int) -> npt.NDArray[np.intp]:
    """Return groups of pixels that are in a piece together: (group, size).

    The last group is filled up with the first pixels of `order`.

    Args:
        order: (pixel,) pixels in an order in which neighbours are close.
        size: pixels in a group.
    """
    missing = -len(order) % size
    filled = np.concatenate([order, np.resize(order, missing)]) if missing else order
    return filled.reshape(-1, size)


def piece_starts(
    part: Part, shape: PieceShape, group_count: int, *, rng: np.random.Generator | None
) -> npt.NDArray[np.int32]:
    """Return (piece, 2) int32: group of pixels, and first scored fortnight of each piece.

    The pieces of a group cover each forecast of the part once. With `rng` each group has other
    starts, and pieces are shuffled; without it they are in order.

    Args:
        part: of the split.
        shape: size of a piece.
        group_count: number of groups of pixels.
        rng: draws starts and order.
    """
    first, last = part.first - 1, part.stop - 2
    of_groups = []
    for group in range(group_count):
        shift = int(rng.integers(shape.scored)) if rng is not None else 0
        starts = np.arange(first - shift, last + 1, shape.scored)
        of_groups.append(np.stack([np.full_like(starts, group), starts], axis=1))
    pieces = np.concatenate(of_groups).astype(np.int32)
    return rng.permutation(pieces) if rng is not None else pieces


class PieceReader:
    """Reads the pieces of one part from tensors, and puts the outputs of a model back in place."""

    def __init__(
        self, tensors: Tensors, part: Part, shape: PieceShape, *, groups: npt.NDArray[np.intp]
    ) -> None:
        """Copy the series to TensorFlow once.

        Args:
            tensors: the series.
            part: of the split.
            shape: size of a piece.
            groups: (group, location) pixels; see `location_groups`.
        """
        import tensorflow as tf

        self.shape, self.part, self.groups = shape, part, groups
        self._local, self._base = tf.constant(tensors.local), tf.constant(tensors.base)
        self._targets, self._known = tf.constant(tensors.targets), tf.constant(tensors.known)
        self._shared, self._groups = (
            tf.constant(tensors.shared),
            tf.constant(groups.astype(np.int32)),
        )
        self._is_first = _is_first(groups)
        counts = self._is_first & part.has_pixel[groups]
        self._weights = tf.constant(tensors.weights[groups] * counts[..., None].astype(np.float32))
        within = windows_in_part(part, len(tensors.shared))
        self._in_part = tf.constant(within.astype(np.float32))

    def dataset(self, batch_size: int, *, rng: np.random.Generator | None) -> Any:
        """Return one epoch of (inputs, targets, weights) as a `tf.data.Dataset`.

        inputs: {"series": (batch, location, length, feature), "base": (batch, location, length,
        8)}; targets, weights: (batch, location, length, 8); all float32. With `rng` pieces are
        random and shuffled.
        """
        import tensorflow as tf

        pieces = piece_starts(self.part, self.shape, len(self.groups), rng=rng)
        data = tf.data.Dataset.from_tensor_slices(pieces).batch(batch_size)
        return data.map(self._read, num_parallel_calls=1, deterministic=True).prefetch(2)

    def assemble(self, forward: Callable[[Any], Any], *, batch_size: int, into: Floats) -> None:
        """Write the outputs of a model for the part into an array.

        Args:
            forward: function from the inputs of a batch to (batch, location, length, 8).
            batch_size: pieces in one call of it.
            into: (pixel, time, window); only pixels and fortnights of this part are written.
        """
        pieces = piece_starts(self.part, self.shape, len(self.groups), rng=None)
        last = 0
        for inputs, _targets, _weights in self.dataset(batch_size, rng=None):
            outputs = np.asarray(forward(inputs))
            for (group, start), output in zip(pieces[last:], outputs, strict=False):
                stop = min(start + self.shape.scored, into.shape[1])
                is_first = self._is_first[group]
                warmup = self.shape.warmup
                predicted = output[is_first, warmup : warmup + stop - start]
                pixels = self.groups[group][is_first]
                into[pixels, max(start, 0) : stop] = predicted[:, max(-start, 0) :]
            last += len(outputs)

    def _read(self, piece: Any) -> tuple[Any, Any, Any]:
        """Return inputs, targets and weights of a batch of pieces (piece, 2)."""
        import tensorflow as tf

        group, start = piece[:, 0], piece[:, 1]
        steps = tf.range(self.shape.length) - self.shape.warmup
        wanted = start[:, None] + steps[None]
        time = tf.clip_by_value(wanted, 0, tf.shape(self._shared)[0] - 1)
        shape = tf.stack([tf.shape(group)[0], self.shape.locations, self.shape.length])
        pixel = tf.broadcast_to(tf.gather(self._groups, group)[:, :, None], shape)
        place = tf.stack([pixel, tf.broadcast_to(time[:, None, :], shape)], axis=-1)
        shared = tf.gather(self._shared, time)[:, None]
        shared = tf.broadcast_to(shared, tf.concat([shape, tf.shape(shared)[-1:]], axis=0))
        series = tf.concat([tf.gather_nd(self._local, place), shared], axis=-1)
        is_scored = tf.cast((wanted == time) & (steps >= 0)[None], tf.float32)[..., None]
        within = (tf.gather(self._in_part, time) * is_scored)[:, None]
        weights = tf.gather(self._weights, group)[:, :, None] * within
        weights *= tf.gather_nd(self._known, place)
        inputs = {"series": series, "base": tf.gather_nd(self._base, place)}
        return inputs, tf.gather_nd(self._targets, place), weights


def _is_first(groups: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Return whether it is a pixel's first place in the groups: (group, location) bool."""
    first = np.zeros(groups.size, np.bool_)
    first[np.unique(groups, return_index=True)[1]] = True
    return first.reshape(groups.shape)
