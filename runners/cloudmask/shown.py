"""What the pictures of a run are drawn from: a few scenes, small, kept beside the record.

The figures are drawn later and perhaps elsewhere, from the run's folder alone, so a thinned copy
of scene, label, probability and validity is kept of the first scene of each kind of light.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from .channels import CHANNELS, Floats
from .scenes import Scene
from .tables import ILLUMINATION

FILE_NAME = "shown.nc"
MOST_PIXELS = 600  # along the longer side; every n-th pixel is kept
DAY = ("S5", "S3", "S2")  # red, green, blue by day: ice cloud dark red, water cloud white, sea dark
DAY_RANGES = ((0.0, 0.6), (0.0, 0.8), (0.0, 0.8))
# At night: 12 less 11 um (thick cloud near 0), 11 less 3.7 um (water cloud), 11 um, in kelvin.
NIGHT = (("S9", "S8"), ("S8", "S7"), ("S8", None))
NIGHT_RANGES = ((-4.0, 2.0), (-3.0, 6.0), (230.0, 295.0))
KEPT = ("rgb", "cloud", "valid", "probability")


class Shown:
    """The scenes kept so far: the first of each kind of light."""

    def __init__(self) -> None:
        self._kept: dict[int, dict[str, Any]] = {}

    def offer(self, scene: Scene, probability: Floats) -> None:
        """Keep a thinned copy of a scene, if there is none of its light yet."""
        if scene.light in self._kept:
            return
        thin = max(1, -(-max(probability.shape) // MOST_PIXELS))
        cut = (slice(None, None, thin), slice(None, None, thin))
        self._kept[scene.light] = {
            "granule": scene.granule,
            "rgb": false_colour(scene.channels[cut], is_day=scene.light == len(ILLUMINATION) - 1),
            "cloud": scene.cloud[cut].astype(np.uint8),
            "valid": scene.valid[cut].astype(np.uint8),
            "probability": np.round(250 * probability[cut]).astype(np.uint8),
        }

    def write(self, path: Path) -> Path:
        """Write what was kept, one group for each scene."""
        path.parent.mkdir(parents=True, exist_ok=True)
        lights = sorted(self._kept, reverse=True)
        names = [ILLUMINATION[light] for light in lights]
        xr.Dataset(attrs={"scenes": ",".join(names)}).to_netcdf(path, engine="h5netcdf", mode="w")
        for name, light in zip(names, lights, strict=True):
            kept = self._kept[light]
            dataset = xr.Dataset(
                {key: (("row", "column", "colour")[: kept[key].ndim], kept[key]) for key in KEPT},
                attrs={"granule": kept["granule"]},
            )
            packing = {key: {"zlib": True, "complevel": 4} for key in KEPT}
            dataset.to_netcdf(path, engine="h5netcdf", mode="a", group=name, encoding=packing)
        return path


def load_shown(path: Path) -> Mapping[str, xr.Dataset]:
    """Return the kept scenes by kind of light; `probability` in steps of 1/250."""
    with xr.open_dataset(path, engine="h5netcdf") as root:
        names = [name for name in str(root.attrs["scenes"]).split(",") if name]
    loaded = {}
    for name in names:
        with xr.open_dataset(path, engine="h5netcdf", group=name) as dataset:
            loaded[name] = dataset.load()
    return loaded


def false_colour(channels: Floats, *, is_day: bool) -> npt.NDArray[np.uint8]:
    """Return a picture of a scene: (row, column, 3) uint8; black where channels are missing."""
    band = {name: channels[..., number] for number, name in enumerate(CHANNELS)}
    if is_day:
        layers, ranges = [band[name] for name in DAY], DAY_RANGES
    else:
        layers = [band[one] - band[other] if other else band[one] for one, other in NIGHT]
        ranges = NIGHT_RANGES
    scaled = [
        (layer - low) / (high - low) for layer, (low, high) in zip(layers, ranges, strict=True)
    ]
    if not is_day:
        scaled[2] = 1 - scaled[2]  # cold is bright
    picture = np.clip(np.nan_to_num(np.stack(scaled, axis=-1), nan=0.0), 0.0, 1.0)
    return np.asarray(np.round(255 * picture), np.uint8)
