"""Read batches of patches: values, labels and weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError, nearest
from sciml_data.ready.own_rows import own_rows
from sciml_data.ready.patches.grid import Patches
from sciml_data.ready.patches.reading import MemoryPool, Window, expect_window, read_window
from sciml_data.ready.patches.scenes import Layout, Scenes

CHANNELS = ("reflectance", "brightness_temperature")
AHEAD = 3  # windows that the disk may read while earlier ones are unpacked; one has 1.3 MB
NO_LABEL = 255  # stored label of a pixel without a label
Missing: TypeAlias = float | Sequence[float]


@dataclass(frozen=True)
class BatchContent:
    """Content of a batch.

    Attributes:
        variables: variables with the channels; their bands follow one another.
        label: variable with the label of each pixel: 0, 1 or 255 (no label).
        mask: variable with the mask of each pixel: 0 or 1.
        missing: value of missing channels: a number, or a number for each channel.
        raw: return channels as stored, as 16-bit integers, for a model that scales them.
        step: return every step-th pixel of a patch along each axis, beginning with the first.
    """

    variables: tuple[str, ...] = CHANNELS
    label: str = "cloud"
    mask: str = "valid"
    missing: Missing = 0.0
    raw: bool = False
    step: int = 1


@dataclass(frozen=True)
class Batch:
    """A batch of patches or whole scenes.

    Attributes:
        inputs: (patch, row, column, channel) float32, by default reflectance of S1 to S6 (no unit)
            and brightness temperature of S7 to S9 (K); `missing` without a value; int16 if raw.
        labels: (patch, row, column) uint8, 1 is cloud, 0 is clear; 0 where the weight is 0.
        weights: (patch, row, column) uint8, 1 if the pixel is valid and has a label, else 0.
        index: (patch,) int64, numbers of the patches in `Patches`, or of the scenes.
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
    """Packing of raw channels: value = stored value * scale + offset.

    Attributes:
        scale: (channel,) float32.
        offset: (channel,) float32.
        fill: (channel,) int16, stored value of missing values.
    """

    scale: NDArray[np.float32]
    offset: NDArray[np.float32]
    fill: NDArray[np.int16]


def packing(scenes: Scenes, variables: Sequence[str] = CHANNELS) -> Packing:
    """Return the packing of raw channels, which a model needs to scale them.

    Args:
        scenes: scenes.
        variables: variables with the channels.

    Raises:
        CallError: a variable does not exist or is not packed.
    """
    layouts = [_layout(scenes, name) for name in variables]
    bands = [layout.bands for layout in layouts]

    def spread(values: list[Any], dtype: type) -> NDArray[Any]:
        return np.repeat(np.array(values, dtype), bands)

    return Packing(
        spread([layout.scale for layout in layouts], np.float32),
        spread([layout.offset for layout in layouts], np.float32),
        spread([layout.fill for layout in layouts], np.int16),
    )


def read_patch(patches: Patches, number: int, content: BatchContent | None = None) -> Batch:
    """Return a patch as a batch of one."""
    return read_batch(patches, [number], content)


def read_batch(
    patches: Patches,
    numbers: Sequence[int] | NDArray[np.integer[Any]],
    content: BatchContent | None = None,
) -> Batch:
    """Return patches by their numbers, in this order.

    Patches of other processes are not read; see `ready/own_rows.py`.

    Args:
        patches: patches.
        numbers: (patch,) indices.
        content: content of the batch; None is the default.

    Raises:
        CallError: a variable does not exist.
        ConversionError: a file cannot be read; `.problems` names it.
    """
    index = np.asarray(numbers, np.int64)
    content = content or BatchContent()
    extent = (patches.size, patches.size, content.step)
    windows = [
        (
            int(patches.scene[number]),
            Window(int(patches.row[number]), int(patches.column[number]), *extent),
        )
        for number in index
    ]
    own = own_rows(len(windows))
    return read_windows(patches.scenes, windows, content, index=index, pool=patches.pool, own=own)


def read_windows(
    scenes: Scenes,
    windows: Sequence[tuple[int, Window]],
    content: BatchContent,
    *,
    index: NDArray[np.int64],
    pool: MemoryPool,
    own: slice = slice(None),
) -> Batch:
    """Return windows of scenes as a batch.

    Args:
        scenes: scenes.
        windows: number of the scene, and window; all windows have the same size.
        content: content of the batch.
        index: (window,) numbers for `Batch.index`.
        pool: memory for the batch.
        own: windows to read; the others are copies of the first of these.
    """
    empty = pool.empty
    layouts = {name: _layout(scenes, name) for name in content.variables}
    _require_masks(scenes, (content.label, content.mask))
    shape = windows[0][1].shape
    bands = sum(layout.bands for layout in layouts.values())
    dtype = np.dtype(np.int16 if content.raw else np.float32)
    inputs = empty((len(windows), *shape, bands), dtype)
    labels, weights = (empty((len(windows), *shape), np.dtype(np.uint8)) for _ in range(2))
    stored = {
        name: empty((*shape, layout.bands), np.dtype(layout.dtype))
        for name, layout in layouts.items()
    }
    values = {name: empty(array.shape, np.dtype(np.float32)) for name, array in stored.items()}
    missing = _missing(content.missing, layouts)
    read = range(len(windows))[own]
    for number in read:
        scene, window = windows[number]
        if number + AHEAD in read:
            expect_window(scenes, *windows[number + AHEAD], (*stored, content.label, content.mask))
        masks = {content.label: labels[number], content.mask: weights[number]}
        read_window(scenes, scene, window, {**stored, **masks})
        if not content.raw:
            for name, layout in layouts.items():
                _decode(stored[name], layout, values[name], missing[name])
        _interleave((stored if content.raw else values).values(), inputs[number])
        _mask_labels(labels[number], weights[number])
    for array in (inputs, labels, weights):
        for others in (array[: read.start], array[read.stop :]):
            others[...] = array[read.start]
    return Batch(inputs, labels, weights, index)


def _layout(scenes: Scenes, name: str) -> Layout:
    """Return the layout of a packed variable."""
    layout = scenes.layouts.get(name)
    if layout is None or layout.fill is None:
        known = [key for key, other in scenes.layouts.items() if other.fill is not None]
        raise CallError(
            f"{name!r} is not a packed variable of the ready scenes{nearest(name, known)}",
            untouched="nothing was read",
            hint=f"variables: {', '.join(known)}",
        )
    return layout


def _require_masks(scenes: Scenes, names: Sequence[str]) -> None:
    """Raise an error if a variable has not the type of labels and masks: uint8 without bands."""
    masks = [
        n for n, layout in scenes.layouts.items() if (layout.dtype, layout.bands) == ("|u1", 1)
    ]
    for name in names:
        if name not in masks:
            raise CallError(
                f"{name!r} is not a label or mask of the ready scenes{nearest(name, masks)}",
                untouched="nothing was read",
                hint=f"labels and masks: {', '.join(masks)}",
            )


def _missing(given: Missing, layouts: dict[str, Layout]) -> dict[str, NDArray[np.float32]]:
    """Return the value of missing channels by variable: (1,) if all bands agree, else (band,)."""
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
    """Unpack values by the CF convention in float32, as xarray does for a float32 scale."""
    np.multiply(stored, np.float32(layout.scale), out=values)
    values += np.float32(layout.offset)
    is_missing = stored == layout.fill
    if len(missing) == 1:
        np.copyto(values, missing[0], where=is_missing)
    elif is_missing.any():
        np.copyto(values, missing, where=is_missing)


def _interleave(parts: Any, out: NDArray[Any]) -> None:
    """Put the bands of several variables side by side for each pixel.

    All bands of a pixel are copied as an item of type void. That takes a sixth of the time of
    slices along the short band axis.
    """
    flat, start = out.reshape(-1, out.shape[-1]), 0
    for part in parts:
        bands = part.shape[-1]
        item = np.dtype(f"V{bands * part.itemsize}")
        flat[:, start : start + bands].view(item)[...] = part.reshape(-1, bands).view(item)
        start += bands


def _mask_labels(labels: NDArray[np.uint8], weights: NDArray[np.uint8]) -> None:
    """Set weight 0 where there is no label, and label 0 where the weight is 0."""
    weights &= labels != NO_LABEL
    labels *= weights
