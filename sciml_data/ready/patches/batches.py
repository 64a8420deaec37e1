"""Batches of patches: values, labels and weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError, nearest
from sciml_data.ready.patches.grid import Patches
from sciml_data.ready.patches.heads import Layout
from sciml_data.ready.patches.memory import Pool
from sciml_data.ready.patches.reading import Window, read_window
from sciml_data.ready.patches.scenes import Scenes

CHANNELS = ("reflectance", "brightness_temperature")
NOT_KNOWN = 255  # label of a pixel without one: ready.py
Missing: TypeAlias = float | Sequence[float]


@dataclass(frozen=True)
class Wanted:
    """What a batch is made of.

    Attributes:
        variables: whose bands are the channels, one after the other.
        label: 0, 1 or 255 for each pixel.
        mask: 0 or 1 for each pixel.
        missing: value of a channel where it is missing: one, or one for each channel.
        raw: give channels as stored, 16 bits, for the model's first layer to scale.
    """

    variables: tuple[str, ...] = CHANNELS
    label: str = "cloud"
    mask: str = "valid"
    missing: Missing = 0.0
    raw: bool = False


@dataclass(frozen=True)
class Batch:
    """Patches, or whole scenes.

    Attributes:
        inputs: (patch, row, column, channel) float32, reflectance of S1 to S6 (1) and brightness
            temperature of S7 to S9 (K), `missing` where there is none; int16 if raw.
        labels: (patch, row, column) uint8, 1 cloud, 0 clear, and 0 where the weight is 0.
        weights: (patch, row, column) uint8, 1 where the pixel is valid and has a label.
        index: (patch,) int64, numbers in `Patches`, or of scenes.
    """

    inputs: NDArray[Any]
    labels: NDArray[np.uint8]
    weights: NDArray[np.uint8]
    index: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of patches."""
        return len(self.index)


@dataclass(frozen=True)
class Packing:
    """How raw channels become values: stored times scale plus offset; `fill` is missing.

    scale and offset: (channel,) float32; fill: (channel,) int16.
    """

    scale: NDArray[np.float32]
    offset: NDArray[np.float32]
    fill: NDArray[np.int16]


def packing(scenes: Scenes, variables: Sequence[str] = CHANNELS) -> Packing:
    """Return what the first layer of a model needs to know of raw channels."""
    layouts = [_layout(scenes, name) for name in variables]
    bands = [layout.bands for layout in layouts]

    def spread(values: list[Any], dtype: type) -> NDArray[Any]:
        return np.repeat(np.array(values, dtype), bands)

    return Packing(
        spread([layout.scale for layout in layouts], np.float32),
        spread([layout.offset for layout in layouts], np.float32),
        spread([layout.fill for layout in layouts], np.int16),
    )


def read_patch(patches: Patches, number: int, wanted: Wanted | None = None) -> Batch:
    """Return one patch, as a batch of one."""
    return read_batch(patches, [number], wanted)


def read_batch(
    patches: Patches,
    numbers: Sequence[int] | NDArray[np.integer[Any]],
    wanted: Wanted | None = None,
) -> Batch:
    """Return patches by their numbers, in that order.

    Raises:
        CallError: no such variable.
        ConversionError: a file cannot be read; `.problems` names it.
    """
    index = np.asarray(numbers, np.int64)
    windows = [
        (
            int(patches.scene[number]),
            Window(int(patches.row[number]), int(patches.column[number]), *[patches.size] * 2),
        )
        for number in index
    ]
    return read_windows(patches.scenes, windows, wanted or Wanted(), index=index, pool=patches.pool)


def read_windows(
    scenes: Scenes,
    windows: Sequence[tuple[int, Window]],
    wanted: Wanted,
    *,
    index: NDArray[np.int64],
    pool: Pool,
) -> Batch:
    """Return windows of scenes, all of one size, as a batch."""
    empty = pool.empty
    layouts = {name: _layout(scenes, name) for name in wanted.variables}
    _require_masks(scenes, (wanted.label, wanted.mask))
    shape = (windows[0][1].rows, windows[0][1].columns)
    bands = sum(layout.bands for layout in layouts.values())
    dtype = np.dtype(np.int16 if wanted.raw else np.float32)
    inputs = empty((len(windows), *shape, bands), dtype)
    labels, weights = (empty((len(windows), *shape), np.dtype(np.uint8)) for _ in range(2))
    stored = {
        name: empty((*shape, layout.bands), np.dtype(layout.dtype))
        for name, layout in layouts.items()
    }
    values = {name: empty(array.shape, np.dtype(np.float32)) for name, array in stored.items()}
    missing = _missing(wanted.missing, layouts)
    for number, (scene, window) in enumerate(windows):
        masks = {wanted.label: labels[number], wanted.mask: weights[number]}
        read_window(scenes, scene, window, {**stored, **masks})
        if not wanted.raw:
            for name, layout in layouts.items():
                _decode(stored[name], layout, values[name], missing[name])
        _interleave((stored if wanted.raw else values).values(), inputs[number])
        _leave_out(labels[number], weights[number])
    return Batch(inputs, labels, weights, index)


def _layout(scenes: Scenes, name: str) -> Layout:
    layout = scenes.layouts.get(name)
    if layout is None or layout.fill is None:
        known = [key for key, found in scenes.layouts.items() if found.fill is not None]
        raise CallError(
            f"{name!r} is no packed variable of the ready scenes{nearest(name, known)}",
            hint=f"variables: {', '.join(known)}",
        )
    return layout


def _require_masks(scenes: Scenes, names: Sequence[str]) -> None:
    masks = [
        n for n, layout in scenes.layouts.items() if (layout.dtype, layout.bands) == ("|u1", 1)
    ]
    for name in names:
        if name not in masks:
            raise CallError(
                f"{name!r} is no label or mask of the ready scenes{nearest(name, masks)}",
                hint=f"labels and masks: {', '.join(masks)}",
            )


def _missing(given: Missing, layouts: dict[str, Layout]) -> dict[str, NDArray[np.float32]]:
    """Return by variable what stands for a missing value: (1,) if all bands agree, else (band,)."""
    bands = [layout.bands for layout in layouts.values()]
    whole = np.broadcast_to(np.asarray(given, np.float32), (sum(bands),))
    parts = np.split(whole, np.cumsum(bands)[:-1])
    return {
        name: part[:1] if (part == part[0]).all() or np.isnan(part).all() else part
        for name, part in zip(layouts, parts, strict=True)
    }


def _decode(
    stored: NDArray[Any],
    layout: Layout,
    values: NDArray[np.float32],
    missing: NDArray[np.float32],
) -> None:
    """Unpack as CF says, in single precision as xarray does for a scale of that type."""
    np.multiply(stored, np.float32(layout.scale), out=values)
    values += np.float32(layout.offset)
    is_missing = stored == layout.fill
    if len(missing) == 1:
        np.copyto(values, missing[0], where=is_missing)
    elif is_missing.any():
        np.copyto(values, missing, where=is_missing)


def _interleave(parts: Any, out: NDArray[Any]) -> None:
    """Put bands of several variables side by side, pixel by pixel.

    Copied as wide items: a sixth of the time that slices along so short an axis take.
    """
    flat, start = out.reshape(-1, out.shape[-1]), 0
    for part in parts:
        bands = part.shape[-1]
        item = np.dtype(f"V{bands * part.itemsize}")
        flat[:, start : start + bands].view(item)[...] = part.reshape(-1, bands).view(item)
        start += bands


def _leave_out(labels: NDArray[np.uint8], weights: NDArray[np.uint8]) -> None:
    """Set weight 0 where there is no label, and label 0 where the weight is 0."""
    weights &= labels != NOT_KNOWN
    labels *= weights
