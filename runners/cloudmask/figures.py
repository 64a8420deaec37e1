"""Figures of a run: scenes with their masks, and a reliability diagram.

Figures are drawn later, perhaps on another computer, from the run's folder alone. So a run stores
the first scene by day, in twilight and at night at reduced resolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sciml_data.bench import plots

from .data import CHANNELS, Floats
from .scenes import ILLUMINATION, REGIONS, VALID, Scene

MAX_PIXELS = 600  # along the longer side; every n-th pixel is stored
# Red, green and blue: a channel, the channel that is subtracted, and the range of their difference.
# By day ice cloud is dark red, water cloud white, the sea dark.
DAY = (("S5", None, 0.0, 0.6), ("S3", None, 0.0, 0.8), ("S2", None, 0.0, 0.8))
# At night: 12 less 11 um (thick cloud near 0), 11 less 3.7 um (water cloud), 11 um, in kelvin.
NIGHT = (("S9", "S8", -4.0, 2.0), ("S8", "S7", -3.0, 6.0), ("S8", None, 230.0, 295.0))


def draw(results: plots.Results) -> Mapping[str, Any]:
    """Return the figures `scenes`, if scenes were stored, and `reliability`."""
    region = REGIONS.index(VALID)
    counts = {
        part: (values.observed[:, region].sum(axis=0), values.predicted[:, region].sum(axis=0))
        for part, values in results.predictions.items()
    }
    drawn = {}
    if results.previews():
        heading = "input by day: S5, S3, S2; at night: S9 - S8, S8 - S7, cold S8 (red, green, blue)"
        look = {"positive": "cloud", "negative": "clear", "heading": heading}
        drawn["scenes"] = plots.masks(results, **look)
    return {**drawn, "reliability": plots.reliability(results, counts, label="cloud")}


def preview(scene: Scene, probability: Floats) -> tuple[str, dict[str, Any]]:
    """Return illumination and time of a scene, and its images as `plots.masks` draws them.

    Args:
        scene: the scene.
        probability: (row, column) of cloud.
    """
    stride = max(1, -(-max(probability.shape) // MAX_PIXELS))  # rounded up
    pixels = (slice(None, None, stride), slice(None, None, stride))
    images = {
        "input": false_colour(scene.channels[pixels], is_day=ILLUMINATION[scene.light] == "day"),
        "label": scene.cloud[pixels].astype(np.uint8),
        "valid": scene.valid[pixels].astype(np.uint8),
        "probability": np.round(plots.LEVELS * probability[pixels]).astype(np.uint8),
    }
    return f"{ILLUMINATION[scene.light]}\n{scene.granule[16:31]}", images


def false_colour(channels: Floats, *, is_day: bool) -> npt.NDArray[np.uint8]:
    """Return a false-colour image (row, column, 3), uint8, black where channels are missing.

    Args:
        channels: (row, column, 9), reflectance and brightness temperature in K.
        is_day: whether to use reflectances rather than brightness temperatures.
    """
    band = {name: channels[..., number] for number, name in enumerate(CHANNELS)}
    scaled = []
    for name, subtracted, low, high in DAY if is_day else NIGHT:
        layer = band[name] - band[subtracted] if subtracted else band[name]
        scaled.append((layer - low) / (high - low))
    if not is_day:
        scaled[2] = 1 - scaled[2]  # cold is bright, as in infrared satellite images
    image = np.clip(np.nan_to_num(np.stack(scaled, axis=-1), nan=0.0), 0.0, 1.0)
    return np.asarray(np.round(255 * image), np.uint8)
