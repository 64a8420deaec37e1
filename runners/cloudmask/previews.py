"""Small previews of predicted scenes, from which the figures of a run are drawn.

Figures are drawn later, perhaps on another computer, from the run's folder alone. So the run
stores the first scene by day, in twilight and at night at reduced resolution: false colour, label,
probability and validity.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sciml_data.bench.plots import LEVELS

from .channels import CHANNELS, Floats
from .pixel_counts import ILLUMINATION
from .scenes import Scene

MAX_PIXELS = 600  # along the longer side; every n-th pixel is stored
DAY = ("S5", "S3", "S2")  # red, green, blue by day: ice cloud dark red, water cloud white, sea dark
DAY_RANGES = ((0.0, 0.6), (0.0, 0.8), (0.0, 0.8))
# At night: 12 less 11 um (thick cloud near 0), 11 less 3.7 um (water cloud), 11 um, in kelvin.
NIGHT = (("S9", "S8"), ("S8", "S7"), ("S8", None))
NIGHT_RANGES = ((-4.0, 2.0), (-3.0, 6.0), (230.0, 295.0))


class Previews:
    """The first scene of each illumination."""

    def __init__(self) -> None:
        self._previews: dict[int, tuple[str, dict[str, Any]]] = {}

    def add(self, scene: Scene, probability: Floats) -> None:
        """Add a scene at reduced resolution, unless its illumination has a preview already.

        Args:
            scene: what was predicted.
            probability: (row, column) of cloud.
        """
        if scene.light in self._previews:
            return
        stride = max(1, -(-max(probability.shape) // MAX_PIXELS))  # rounded up
        pixels = (slice(None, None, stride), slice(None, None, stride))
        is_day = scene.light == len(ILLUMINATION) - 1
        images = {
            "input": false_colour(scene.channels[pixels], is_day=is_day),
            "label": scene.cloud[pixels].astype(np.uint8),
            "valid": scene.valid[pixels].astype(np.uint8),
            "probability": np.round(LEVELS * probability[pixels]).astype(np.uint8),
        }
        self._previews[scene.light] = (scene.granule, images)

    def images(self) -> dict[str, dict[str, Any]]:
        """Return the images of each scene by its illumination and time, by day first."""
        return {
            f"{ILLUMINATION[light]}\n{granule[16:31]}": images
            for light, (granule, images) in sorted(self._previews.items(), reverse=True)
        }


def false_colour(channels: Floats, *, is_day: bool) -> npt.NDArray[np.uint8]:
    """Return a false-colour image (row, column, 3), uint8, black where channels are missing.

    Args:
        channels: (row, column, 9), reflectance and brightness temperature in K.
        is_day: whether to use reflectances rather than brightness temperatures.
    """
    band = {name: channels[..., number] for number, name in enumerate(CHANNELS)}
    if is_day:
        layers, ranges = [band[name] for name in DAY], DAY_RANGES
    else:
        layers = [
            band[name] - band[subtracted] if subtracted else band[name]
            for name, subtracted in NIGHT
        ]
        ranges = NIGHT_RANGES
    scaled = [
        (layer - low) / (high - low) for layer, (low, high) in zip(layers, ranges, strict=True)
    ]
    if not is_day:
        scaled[2] = 1 - scaled[2]  # cold is bright, as in infrared satellite images
    image = np.clip(np.nan_to_num(np.stack(scaled, axis=-1), nan=0.0), 0.0, 1.0)
    return np.asarray(np.round(255 * image), np.uint8)
