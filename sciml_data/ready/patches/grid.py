"""Which patches there are: grids on scenes, and how much of each patch is valid."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError
from sciml_data.formats.slstr_hdf5 import CROP_BORDER
from sciml_data.ready.patches.memory import Pool
from sciml_data.ready.patches.reading import Window, read_window
from sciml_data.ready.patches.scenes import Scenes
from sciml_data.ready.patches.store import Identities, keep, load

MASK = "valid"
THREADS = 4  # reading masks waits for the disk more than it computes
STORE = ".valid-{name}.npz"


@dataclass(frozen=True)
class PatchGrid:
    """A regular grid of patches on each scene.

    Attributes:
        size: rows and columns of a patch.
        stride: from one patch to the next.
        origin: where the first one lies. "corner" (the first pixel): with the size of a chunk, each
            patch is one chunk. "centre": the reference's crop, as many whole patches as fit within
            a border of 80 pixels, centred; of 1200 x 1500 pixels these are 1024 x 1280 from (88,
            110). Or row and column themselves.
        edges: "drop" leaves out what is smaller than a patch at the last rows and columns; "pad"
            takes it, with weight 0 beyond the scene.
    """

    size: int = 256
    stride: int = 256
    origin: Literal["corner", "centre"] | tuple[int, int] = "corner"
    edges: Literal["drop", "pad"] = "drop"

    def starts(self, shape: tuple[int, int]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the first rows and the first columns of the patches on scenes of a shape."""
        if self.size < 1 or self.stride < 1:
            raise CallError(f"no grid has patches of {self.size} pixels every {self.stride}")
        rows, columns = (self._along(axis, length) for axis, length in enumerate(shape))
        return rows, columns

    def _along(self, axis: int, length: int) -> NDArray[np.int32]:
        first, stop = 0, length
        if self.origin == "centre":
            within = (length - 2 * CROP_BORDER) // self.size
            kept = max(within, min(length // self.size, 1)) * self.size
            first = (length - kept) // 2
            stop = first + kept
        elif not isinstance(self.origin, str):
            first = self.origin[axis]
        if self.edges == "pad" and self.origin != "centre":
            count = max(-(-(length - first - self.size) // self.stride) + 1, 1)
            return first + self.stride * np.arange(count, dtype=np.int32)
        return np.arange(first, stop - self.size + 1, self.stride, dtype=np.int32)


@dataclass(frozen=True)
class Patches:
    """Patches of scenes, scene by scene and row by row.

    Attributes:
        scenes: they are on.
        size: rows and columns of a patch.
        scene, row, column: (patch,) int32: number of the scene, first row, first column.
        valid_share: (patch,) float32, valid pixels of all pixels; None where nobody asked.
        pool: memory for batches, used again from epoch to epoch; it goes with the patches.
    """

    scenes: Scenes
    size: int
    scene: NDArray[np.int32]
    row: NDArray[np.int32]
    column: NDArray[np.int32]
    valid_share: NDArray[np.float32] | None = None
    pool: Pool = field(default_factory=Pool, repr=False, compare=False)

    def __len__(self) -> int:
        """Return the number of patches."""
        return len(self.scene)

    def select(self, which: Any) -> Patches:
        """Return some of the patches: by numbers, or by a (patch,) array of bool."""
        share = None if self.valid_share is None else self.valid_share[which]
        return Patches(
            self.scenes, self.size, self.scene[which], self.row[which], self.column[which], share
        )


def list_patches(
    scenes: Scenes, grid: PatchGrid | None = None, *, least_valid: float = 0.0
) -> Patches:
    """Return the patches of a grid on all scenes.

    Args:
        scenes: to cut.
        grid: where; None is one patch for each whole chunk of 256 x 256.
        least_valid: patches with a smaller share of valid pixels are left out. Above 0 the masks
            are read, 2 MB a scene, and the shares are kept in `.valid-*.npz` beside the files.

    Raises:
        CallError: the grid has no place on the scenes.
        ConversionError: a file cannot be read.
    """
    grid = grid or PatchGrid()
    rows, columns = grid.starts(scenes.shape)
    if not (len(rows) and len(columns)):
        raise CallError(
            f"no patch of {grid.size} x {grid.size} lies within {scenes.shape[0]} x "
            f"{scenes.shape[1]} pixels",
            hint="edges='pad' takes parts of patches too",
        )
    row, column = (axis.ravel() for axis in np.meshgrid(rows, columns, indexing="ij"))
    patches = Patches(
        scenes,
        grid.size,
        np.repeat(np.arange(len(scenes), dtype=np.int32), len(row)),
        np.tile(row, len(scenes)),
        np.tile(column, len(scenes)),
    )
    if least_valid <= 0:
        return patches
    share = _valid_shares(patches, grid).ravel()
    whole = Patches(scenes, grid.size, patches.scene, patches.row, patches.column, share)
    return whole.select(share >= np.float32(least_valid))


def _valid_shares(patches: Patches, grid: PatchGrid) -> NDArray[np.float32]:
    """Return the share of valid pixels: (scene, patch of the scene)."""
    scenes = patches.scenes
    folders = {path.parent for path in scenes.paths}
    origin = grid.origin if isinstance(grid.origin, str) else "x".join(map(str, grid.origin))
    shape = "x".join(map(str, scenes.shape))
    name = f"{shape}-{grid.size}-{grid.stride}-{origin}-{grid.edges}"
    store = next(iter(folders)) / STORE.format(name=name)
    files = Identities(tuple(path.name for path in scenes.paths), scenes.sizes, scenes.changed)
    shares = np.full((len(scenes), len(patches) // len(scenes)), np.nan, np.float32)
    if len(folders) == 1:
        numbers, columns, _ = load(store, files)
        if len(numbers):
            shares[numbers] = columns["share"]
    missing = np.flatnonzero(np.isnan(shares[:, 0]))
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(lambda number: _shares_of(patches, int(number)), missing)
        for number, share in zip(missing, found, strict=True):
            shares[number] = share
    if len(missing) and len(folders) == 1:
        keep(store, files, {"share": shares})
    return shares


def _shares_of(patches: Patches, scene: int) -> NDArray[np.float32]:
    """Return the share of valid pixels of the patches of one scene."""
    scenes, size = patches.scenes, patches.size
    count = len(patches) // len(scenes)
    mine = slice(scene * count, (scene + 1) * count)
    mask = np.empty(scenes.shape, np.uint8)
    read_window(scenes, scene, Window(0, 0, *scenes.shape), {MASK: mask})
    sums = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int64)
    sums[1:, 1:] = mask.cumsum(0, dtype=np.int64).cumsum(1)
    top, left = (np.clip(a[mine], 0, None) for a in (patches.row, patches.column))
    bottom = np.clip(patches.row[mine] + size, 0, mask.shape[0])
    right = np.clip(patches.column[mine] + size, 0, mask.shape[1])
    valid = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    share: NDArray[np.float32] = (valid / size**2).astype(np.float32)
    return share
