"""Scores of the rotation axes and mirror lines of polar patterns, as layers without weights.

A space group shows in the symmetry of its patterns: 4mm has a four-fold axis and two pairs of
mirror lines. A score is the correlation of a pattern with its rotated or mirrored image, for all
radii together and for bands of radii. It does not change when the detector is rotated. From a
hundred materials these scores teach more than the pixels do (docs/results/stemdl.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import keras
import numpy as np
from keras import layers, ops

AXES = (2, 3, 4, 6)  # orders of the rotations of a crystal
BANDS = 8  # of radii, besides all radii together
ORDERS = 24  # of the Fourier transform over the angle, from 1
DIRECTIONS = 96  # of mirror lines in 180 degrees, which 2, 3, 4 and 6 divide
# From the best mirror line to itself, and to those at 45, 90, 30 and 60 degrees, which axes of
# order 4, 2, 6 and 3 add.
OFFSETS = (0, 24, 48, 16, 32)
SMALL = 1e-6
# Of correlations, denser near 1: broken and unbroken symmetries differ there.
THRESHOLDS = (-0.3, 0.0, 0.2, 0.4, 0.6, 0.75, 0.85, 0.92, 0.96)


@keras.saving.register_keras_serializable(package="stemdl_classification")
class SymmetryScores(layers.Layer):  # type: ignore[misc] # Keras ships no types
    """Correlations of each pattern with its rotated and mirrored images."""

    def build(self, shape: Sequence[int]) -> None:
        """Prepare the Fourier transforms over the angle and over the mirror line, and the bands."""
        radii, angles = shape[1:3]
        orders = np.arange(1, min(ORDERS, angles // 2) + 1)
        phase = 2 * np.pi * np.outer(np.arange(angles), orders) / angles
        self.cosine, self.sine = (wave(phase).astype(np.float32) for wave in (np.cos, np.sin))
        lines = 2 * np.pi * np.outer(orders, np.arange(DIRECTIONS)) / DIRECTIONS
        self.line_cosine, self.line_sine = (
            wave(lines).astype(np.float32) for wave in (np.cos, np.sin)
        )
        turns = 2 * np.pi * orders[:, None] / np.array(AXES)
        self.turns = np.cos(turns).astype(np.float32)
        edges = np.linspace(0, radii, BANDS + 1).astype(int)
        limits = [(0, radii), *pairwise(edges.tolist())]
        numbers = np.arange(radii)
        inside = [(numbers >= low) & (numbers < high) for low, high in limits]
        self.bands = np.array(inside, np.float32)
        super().build(shape)

    def call(self, patterns: Any) -> Any:
        """Return (stack, view, feature) from (stack, radius, angle, view).

        The coefficient c_n of order n of a mirrored pattern is that of the pattern conjugated, with
        a phase 2 n phi for a mirror line at phi. So the correlation is a sum of c_n^2.
        """
        patterns = ops.cast(patterns, "float32")
        real, imaginary = (
            ops.einsum("srav,an->srnv", patterns, wave) for wave in (self.cosine, self.sine)
        )
        power, cross, mixed = (
            ops.einsum("srnv,br->svbn", values, self.bands)
            for values in (real**2 + imaginary**2, real**2 - imaginary**2, 2 * real * imaginary)
        )
        total = ops.sum(power, axis=-1, keepdims=True) + SMALL
        rotated = ops.matmul(power, self.turns) / total
        mirrored = ops.matmul(cross, self.line_cosine) + ops.matmul(mixed, self.line_sine)
        mirrored = mirrored / total  # (stack, view, band, direction)
        best = ops.one_hot(ops.argmax(mirrored[:, :, :1], axis=-1), DIRECTIONS)
        at_best = [
            ops.sum(best * ops.roll(mirrored, -offset, axis=-1), axis=-1, keepdims=True)
            for offset in OFFSETS
        ]
        spread = [
            reduce(mirrored, axis=-1, keepdims=True) for reduce in (ops.max, ops.mean, ops.std)
        ]
        scores = ops.concatenate([rotated, *at_best, *spread], axis=-1)
        _, views, bands, count = scores.shape
        return ops.reshape(scores, (-1, views, bands * count))


@keras.saving.register_keras_serializable(package="stemdl_classification")
class AboveThresholds(layers.Layer):  # type: ignore[misc] # Keras ships no types
    """Mean, least and largest score of the views, as steps: 1/2 above a threshold, -1/2 below."""

    def call(self, scores: Any) -> Any:
        """Return (stack, feature) from (stack, view, score)."""
        pooled = [reduce(scores, axis=1) for reduce in (ops.mean, ops.min, ops.max)]
        values = ops.concatenate(pooled, axis=-1)
        above = values[..., None] > np.array(THRESHOLDS, np.float32)
        steps = ops.cast(above, "float32") - 0.5
        return ops.reshape(steps, (-1, values.shape[-1] * len(THRESHOLDS)))


def symmetry_features(patterns: Any) -> Any:
    """Return features (stack, feature) of polar patterns (stack, radius, angle, view)."""
    return AboveThresholds()(SymmetryScores()(patterns))
