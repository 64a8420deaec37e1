"""How symmetric a pattern is, ring by ring: the Fourier transform over the angle, without phase.

The absolute value of an order does not change when the detector is turned, and an n-fold axis shows
as orders that are multiples of n. A mean over angles keeps order 0 alone.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

SMALLEST = 1e-4  # added under the root, whose slope at 0 is infinite
OFFSET = 1e-2  # added before the logarithm: what is smaller is noise of standardised levels


@keras.saving.register_keras_serializable(package="stemdl_classification")
class Harmonics(layers.Layer):  # type: ignore[misc] # Keras ships no types
    """Logarithms of the absolute Fourier coefficients: (image, ring x order x channel)."""

    def __init__(self, orders: int, **options: Any) -> None:
        super().__init__(**options)
        self.orders = orders

    def build(self, shape: Any) -> None:
        """Make the waves, one for each order from 0."""
        angles = shape[2]
        phase = 2 * np.pi * np.outer(np.arange(angles), np.arange(self.orders)) / angles
        self.cosine = (np.cos(phase) / angles).astype(np.float32)
        self.sine = (np.sin(phase) / angles).astype(np.float32)
        super().build(shape)

    def call(self, values: Any) -> Any:
        """Return the logarithms of (image, ring, angle, channel), one after the other."""
        values = ops.cast(values, "float32")
        parts = [ops.einsum("brac,ao->broc", values, wave) for wave in (self.cosine, self.sine)]
        absolute = ops.sqrt(parts[0] ** 2 + parts[1] ** 2 + SMALLEST**2)
        rings, channels = values.shape[1], values.shape[3]
        return ops.reshape(ops.log(absolute + OFFSET), (-1, rings * self.orders * channels))

    def get_config(self) -> dict[str, Any]:
        """Return what makes the layer again."""
        return {**super().get_config(), "orders": self.orders}
