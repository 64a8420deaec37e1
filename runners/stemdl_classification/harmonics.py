"""A layer that measures rotational symmetry: Fourier transform over the angle, without phase.

The absolute value of a coefficient does not change when the detector is rotated, and an n-fold axis
shows as orders that are multiples of n. A mean over angles would keep order 0 alone.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

MIN_ABSOLUTE = 1e-4  # added under the root, because its slope at 0 is infinite
OFFSET = 1e-2  # added before the logarithm: smaller coefficients are noise


@keras.saving.register_keras_serializable(package="stemdl_classification")
class Harmonics(layers.Layer):  # type: ignore[misc] # Keras ships no types
    """Logarithms of absolute Fourier coefficients over the angle, orders 0 to `orders` - 1."""

    def __init__(self, orders: int, **options: Any) -> None:
        super().__init__(**options)
        self.orders = orders

    def build(self, shape: Any) -> None:
        """Prepare cosine and sine (angle, order) of the transform."""
        angles = shape[2]
        phase = 2 * np.pi * np.outer(np.arange(angles), np.arange(self.orders)) / angles
        self.cosine = (np.cos(phase) / angles).astype(np.float32)
        self.sine = (np.sin(phase) / angles).astype(np.float32)
        super().build(shape)

    def call(self, values: Any) -> Any:
        """Return (image, radius x order x channel) from (image, radius, angle, channel)."""
        values = ops.cast(values, "float32")
        parts = [ops.einsum("brac,ao->broc", values, wave) for wave in (self.cosine, self.sine)]
        absolute = ops.sqrt(parts[0] ** 2 + parts[1] ** 2 + MIN_ABSOLUTE**2)
        radii, channels = values.shape[1], values.shape[3]
        return ops.reshape(ops.log(absolute + OFFSET), (-1, radii * self.orders * channels))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor, for saving."""
        return {**super().get_config(), "orders": self.orders}
