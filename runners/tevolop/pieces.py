"""Pieces of the series, cut when read: one pass over a piece trains on all its fortnights at once.

A window of 26 fortnights for each forecast, as the published code lays them out in memory, holds
each number 26 times and yields one sample for 26 steps of work. Here a model is causal (what it
says at fortnight t depends on nothing after t), so a piece of 26 + 104 fortnights yields 104
samples; its first ones only warm the model up and have weight 0. Nothing but indices is made for an
epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .data import Floats
from .split import Part, inside


@dataclass(frozen=True)
class Cut:
    """How series are cut: fortnights that only warm up, those that are scored, pixels together.

    `together` pixels are in one piece, for a model that looks from one location to another.
    """

    warmup: int
    scored: int
    together: int

    @property
    def length(self) -> int:
        """Return the fortnights in a piece."""
        return self.warmup + self.scored


@dataclass(frozen=True)
class Tensors:
    """What pieces are cut from; all float32.

    local: (pixel, time, feature). shared: (time, feature). base: (pixel, time, window), what the
    model corrects. targets: (pixel, time, window), scaled, 0 where missing. weights: (pixel,
    window), of each sample there. known: (pixel, time, window), 1 where there is a target.
    """

    local: npt.NDArray[np.float32]
    shared: npt.NDArray[np.float32]
    base: npt.NDArray[np.float32]
    targets: npt.NDArray[np.float32]
    known: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]


def teams(order: npt.NDArray[np.intp], together: int) -> npt.NDArray[np.intp]:
    """Return the pixels that stay together: (team, together).

    The last team is filled up with the first pixels of all.

    Args:
        order: (pixel) in which neighbours stand near each other.
        together: pixels in a team.
    """
    short = -len(order) % together
    filled = np.concatenate([order, np.resize(order, short)]) if short else order
    return filled.reshape(-1, together)


def pieces(
    part: Part, cut: Cut, team_count: int, *, rng: np.random.Generator | None
) -> npt.NDArray[np.int32]:
    """Return (piece, 2) int32: team, and the first fortnight that is scored.

    The pieces of a team cover every forecast of the part once. With `rng` each team is cut at
    other places and the pieces are shuffled; without, they stand in order.
    """
    first, last = part.first - 1, part.stop - 2
    found = []
    for team in range(team_count):
        shift = int(rng.integers(cut.scored)) if rng is not None else 0
        starts = np.arange(first - shift, last + 1, cut.scored)
        found.append(np.stack([np.full_like(starts, team), starts], axis=1))
    made = np.concatenate(found).astype(np.int32)
    return rng.permutation(made) if rng is not None else made


class Cutter:
    """Cuts the pieces of one part out of tensors, and puts a model's output back in place."""

    def __init__(
        self, tensors: Tensors, part: Part, cut: Cut, *, team: npt.NDArray[np.intp]
    ) -> None:
        """Hand the tensors over once; `team` is what `teams` returned."""
        import tensorflow as tf

        self.cut, self.part, self.team = cut, part, team
        self._local, self._base = tf.constant(tensors.local), tf.constant(tensors.base)
        self._targets, self._known = tf.constant(tensors.targets), tf.constant(tensors.known)
        self._shared, self._team = tf.constant(tensors.shared), tf.constant(team.astype(np.int32))
        self._is_first = _is_first(team)
        counts = self._is_first & part.has_pixel[team]
        self._weights = tf.constant(tensors.weights[team] * counts[..., None].astype(np.float32))
        self._inside = tf.constant(inside(part, len(tensors.shared)).astype(np.float32))

    def dataset(self, batch_size: int, *, rng: np.random.Generator | None) -> Any:
        """Return one epoch of (inputs, targets, weights) as a `tf.data.Dataset`.

        inputs: {"series": (batch, together, length, feature), "base": (batch, together, length,
        8)}; targets, weights: (batch, together, length, 8); all float32.
        """
        import tensorflow as tf

        found = pieces(self.part, self.cut, len(self.team), rng=rng)
        data = tf.data.Dataset.from_tensor_slices(found).batch(batch_size)
        return data.map(self._cut, num_parallel_calls=1, deterministic=True).prefetch(2)

    def assemble(self, forward: Callable[[Any], Any], *, batch_size: int, into: Floats) -> None:
        """Write what a model says of the part into (pixel, time, window).

        Args:
            forward: inputs of a batch -> (batch, together, length, 8).
            batch_size: pieces in one call of it.
            into: what is written to, at the pixels and fortnights of this part.
        """
        found = pieces(self.part, self.cut, len(self.team), rng=None)
        last = 0
        for inputs, _targets, _weights in self.dataset(batch_size, rng=None):
            outputs = np.asarray(forward(inputs))
            for (team, start), output in zip(found[last:], outputs, strict=False):
                stop = min(start + self.cut.scored, into.shape[1])
                mine = self._is_first[team]
                said = output[mine, self.cut.warmup : self.cut.warmup + stop - start]
                into[self.team[team][mine], max(start, 0) : stop] = said[:, max(-start, 0) :]
            last += len(outputs)

    def _cut(self, piece: Any) -> tuple[Any, Any, Any]:
        import tensorflow as tf

        team, start = piece[:, 0], piece[:, 1]
        steps = tf.range(self.cut.length) - self.cut.warmup
        wanted = start[:, None] + steps[None]
        time = tf.clip_by_value(wanted, 0, tf.shape(self._shared)[0] - 1)
        shape = tf.stack([tf.shape(team)[0], self.cut.together, self.cut.length])
        pixel = tf.broadcast_to(tf.gather(self._team, team)[:, :, None], shape)
        place = tf.stack([pixel, tf.broadcast_to(time[:, None, :], shape)], axis=-1)
        shared = tf.gather(self._shared, time)[:, None]
        shared = tf.broadcast_to(shared, tf.concat([shape, tf.shape(shared)[-1:]], axis=0))
        series = tf.concat([tf.gather_nd(self._local, place), shared], axis=-1)
        is_scored = tf.cast((wanted == time) & (steps >= 0)[None], tf.float32)[..., None]
        within = (tf.gather(self._inside, time) * is_scored)[:, None]
        weights = tf.gather(self._weights, team)[:, :, None] * within
        weights *= tf.gather_nd(self._known, place)
        inputs = {"series": series, "base": tf.gather_nd(self._base, place)}
        return inputs, tf.gather_nd(self._targets, place), weights


def _is_first(team: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Return where a pixel stands for the first time: (team, together) bool."""
    first = np.zeros(team.size, np.bool_)
    first[np.unique(team, return_index=True)[1]] = True
    return first.reshape(team.shape)
