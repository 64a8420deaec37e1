"""The nine channels, the keys of scenes, and batches of patches.

A split divides scenes. Training reads patches of them: squares on a regular grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from sciml_data.bench.task.splits import TEST, Options, evenly_spaced
from sciml_data.errors import CallError, SciMLDataError
from sciml_data.formats.slstr_hdf5 import REFLECTIVE, THERMAL
from sciml_data.ready.patches import Patches, PatchGrid, Scenes, list_patches, stream

CHANNELS = (*REFLECTIVE, *THERMAL)  # in the order of the last axis of every input
SPLITS = Options(
    coarser={"orbit": "day"},
    optional=(TEST,),
    hint="fetch more of the training scenes: sciml-data get cloud_slstr_ds1 --limit 40",
)
ORIGIN_STEPS = 16  # origins of the moving training grid along each axis
MAX_PATCHES = 512  # of the training part, for statistics and the logistic baseline
PIXEL_STRIDE = 4  # they use every fourth pixel along each axis: neighbouring pixels are alike
STATISTICS_BATCH = 8  # patches that are read together for them
MIN_DEVIATION = 1e-6  # a channel that never varies (reflectance at night) is divided by this
SYMMETRIES = 8  # of a square: four rotations, each with and without a flip

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Doubles: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Batch: TypeAlias = tuple[Floats, Floats, Floats]
Settings: TypeAlias = Mapping[str, Any]


def check_settings(settings: Settings) -> None:
    """Check settings that limit each other.

    Raises:
        CallError: windows leave gaps, or `border` is as wide as half a patch or wider.
    """
    window, step, border = (settings[name] for name in ("window", "window_step", "border"))
    if step > window:
        message = f"window_step={step} is larger than window={window}, and larger steps leave gaps"
        raise CallError(message, untouched="nothing was trained")
    if 2 * border >= settings["patch"]:
        message = f"border={border} leaves no pixel of patches of {settings['patch']} pixels"
        raise CallError(message, untouched="nothing was trained")


def keys_of(scenes: Scenes) -> pd.DataFrame:
    """Return a row for each scene: its granule, orbit, day (UTC), time and folder."""
    return pd.DataFrame(
        {
            "granule": scenes.granule,
            "orbit": scenes.orbit.astype(np.int64) * 16 + scenes.platform,  # satellites share none
            "day": scenes.time.astype("M8[D]").astype(np.int64),
            "time": scenes.time.astype("M8[s]"),
            "folder": scenes.split,
        },
        index=pd.Index(scenes.granule, name="file"),
    )


def fixed_patches(scenes: Scenes, settings: Settings, part: str) -> Patches:
    """Return the patches of a part on the grid that is the same in every epoch.

    Raises:
        SciMLDataError: no patch has enough valid pixels; the test part may be without patches.
    """
    origin: Any = "centre" if settings["grid"] == "reference" else "corner"
    grid = PatchGrid(settings["patch"], settings["step"], origin)
    patches = list_patches(scenes, grid, min_valid=settings["least_valid"])
    if not len(patches) and part != TEST:
        raise SciMLDataError(
            f"no patch of {settings['patch']} x {settings['patch']} pixels of the {part} part has "
            f"{settings['least_valid']:.0%} valid pixels",
            untouched="nothing was trained",
            hint="choose smaller patches: --set patch=...",
        )
    return patches


def moving_patches(scenes: Scenes, settings: Settings, seed: int) -> Patches:
    """Return patches on a grid with a random origin, at which as many fit as from the corner."""
    rng = np.random.default_rng(seed)
    slack = [(length - settings["patch"]) % settings["step"] for length in scenes.shape]
    row, column = (
        int(room * rng.integers(ORIGIN_STEPS + 1)) // ORIGIN_STEPS if room > 0 else 0
        for room in slack
    )
    return list_patches(scenes, PatchGrid(settings["patch"], settings["step"], (row, column)))


def patch_batches(
    patches: Patches,
    settings: Settings,
    *,
    batch_size: int,
    seed: int | None = None,
    step: int = 1,
) -> Iterator[Batch]:
    """Yield channels (patch, row, column, 9), label and weight (..., 1), all float32.

    Missing channels are NaN; the weight is 0 for pixels that are not valid, and in the border.

    Args:
        patches: of a part.
        settings: see task.toml.
        batch_size: patches in a batch.
        seed: of the order; None keeps the order.
        step: only every step-th pixel is returned, along each axis.
    """
    place = np.arange(0, patches.size, step)
    outside = (place < settings["border"]) | (place >= patches.size - settings["border"])
    for batch in stream(
        patches,
        batch_size=batch_size,
        seed=seed,
        threads=settings["reader_threads"],
        missing=float("nan"),
        step=step,
    ):
        weight = batch.weights.astype(np.float32)
        weight[:, outside] = 0.0
        weight[:, :, outside] = 0.0
        yield batch.inputs, batch.labels.astype(np.float32)[..., None], weight[..., None]


def augment_batch(batch: Batch, *, seed: Any) -> Batch:
    """Return a batch with each patch flipped and rotated at random, all its arrays alike.

    At 1 km, cloud has no preferred direction except for that of sunlight. So a rotated patch is as
    likely as the observed one.

    Args:
        batch: arrays (patch, row, column, ...) with as many rows as columns.
        seed: any seed of `numpy.random.default_rng`; equal seeds give equal results.
    """
    draws = np.random.default_rng(seed).integers(SYMMETRIES, size=len(batch[0])).tolist()

    def apply(array: Floats) -> Floats:
        return np.stack([apply_symmetry(*pair) for pair in zip(array, draws, strict=True)])

    channels, label, weight = batch
    return apply(channels), apply(label), apply(weight)


def apply_symmetry(patch: npt.NDArray[Any], symmetry: int) -> npt.NDArray[Any]:
    """Return a patch (row, column, ...) in symmetry 0 to 7 of a square; 0 changes nothing."""
    quarters, is_flipped = divmod(symmetry, 2)
    rotated = np.rot90(patch, quarters, axes=(0, 1))
    return rotated[:, ::-1] if is_flipped else rotated


@dataclass(frozen=True)
class Statistics:
    """Statistics of the channels over valid pixels.

    Attributes:
        mean: (channel,) float64, reflectance without unit and brightness temperature in K.
        covariance: (channel, channel) float64; each is a mean over the pixels with both channels.
        pixels: number of valid pixels.
    """

    mean: Doubles
    covariance: Doubles
    pixels: int

    @property
    def deviation(self) -> Doubles:
        """Return the standard deviation of each channel: (channel,) float64, never 0."""
        return np.asarray(np.maximum(np.sqrt(np.diag(self.covariance)), MIN_DEVIATION))


def training_pixels(patches: Patches, settings: Settings) -> tuple[Floats, Flags]:
    """Return channels (pixel, 9) and label (pixel,) of valid pixels of at most 512 patches."""
    subset = patches.select(evenly_spaced(np.arange(len(patches)), MAX_PATCHES))
    pixels, cloudy = [], []
    for channels, label, weight in patch_batches(
        subset, settings, batch_size=STATISTICS_BATCH, step=PIXEL_STRIDE
    ):
        is_valid = weight[..., 0] > 0
        pixels.append(channels[is_valid])
        cloudy.append(label[..., 0][is_valid] > 0)
    return np.concatenate(pixels), np.concatenate(cloudy)


def statistics_of(pixels: Floats) -> Statistics:
    """Return the statistics of channels (pixel, 9), NaN where missing.

    Raises:
        SciMLDataError: a channel has no value at all.
    """
    is_missing = ~np.isfinite(pixels)
    missing = is_missing.sum(axis=0)
    if (missing == len(pixels)).any():
        names = [name for name, lost in zip(CHANNELS, missing, strict=True) if lost == len(pixels)]
        raise SciMLDataError(
            f"no valid training pixel has a value in channel {', '.join(names)}",
            untouched="nothing was trained",
        )
    values = pixels.astype(np.float64)  # the only copy: new memory takes longer than the sums
    values[is_missing] = 0.0
    mean = values.sum(axis=0) / (len(pixels) - missing)
    values -= mean
    values[is_missing] = 0.0
    gaps = is_missing[is_missing.any(axis=1)].astype(np.float64)
    present = len(pixels) - missing[:, None] - missing + gaps.T @ gaps
    return Statistics(mean, values.T @ values / np.maximum(present, 1), len(pixels))
