"""List patches: a regular grid on each scene, and the fraction of valid pixels in each patch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError
from sciml_data.formats.slstr_hdf5 import CROP_BORDER
from sciml_data.ready.patches.cache import FileStats, load_rows, save_rows
from sciml_data.ready.patches.reading import MemoryPool, Window, pieces, read_window
from sciml_data.ready.patches.scenes import Scenes

if TYPE_CHECKING:
    from sciml_data.ready.streaming.reader import ChunkReader

MASK = "valid"
THREADS = 4  # more than cores: reading masks waits for the disk most of the time
REMOTE_THREADS = 8  # as many as there may be requests at once
CACHE_NAME = ".valid-{grid}.npz"


@dataclass(frozen=True)
class PatchGrid:
    """A regular grid of patches on each scene.

    Attributes:
        size: rows and columns of a patch.
        stride: rows or columns from a patch to the next.
        origin: position of the first patch. "corner" is the first pixel; with the size of a chunk,
            each patch is then a chunk. "centre" is the crop of the reference implementation: as
            many whole patches as fit inside a border of 80 pixels, centred; for 1200 x 1500 pixels
            these are 1024 x 1280 from (88, 110). Or a row and a column.
        edges: "drop" leaves out partial patches at the last rows and columns; "pad" includes them,
            with weight 0 beyond the scene.
    """

    size: int = 256
    stride: int = 256
    origin: Literal["corner", "centre"] | tuple[int, int] = "corner"
    edges: Literal["drop", "pad"] = "drop"

    def starts(self, shape: tuple[int, int]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the first rows and the first columns of the patches on scenes of a shape.

        Raises:
            CallError: size or stride is below 1.
        """
        if self.size < 1 or self.stride < 1:
            raise CallError(
                f"a grid of patches needs a size and a stride of 1 or more, not {self.size} and "
                f"{self.stride}"
            )
        rows, columns = (self._along(axis, length) for axis, length in enumerate(shape))
        return rows, columns

    def _along(self, axis: int, length: int) -> NDArray[np.int32]:
        first, stop = 0, length
        if self.origin == "centre":
            inside = (length - 2 * CROP_BORDER) // self.size
            used = max(inside, min(length // self.size, 1)) * self.size  # one on a small scene
            first = (length - used) // 2
            stop = first + used
        elif not isinstance(self.origin, str):
            first = self.origin[axis]
        if self.edges == "pad" and self.origin != "centre":
            count = max(-(-(length - first - self.size) // self.stride) + 1, 1)
            return first + self.stride * np.arange(count, dtype=np.int32)
        return np.arange(first, stop - self.size + 1, self.stride, dtype=np.int32)


@dataclass(frozen=True)
class Patches:
    """Patches of scenes, ordered by scene and row.

    Attributes:
        scenes: scenes of the patches.
        size: rows and columns of a patch.
        scene: (patch,) int32, number of the scene.
        row: (patch,) int32, first row.
        column: (patch,) int32, first column.
        valid_fraction: (patch,) float32, valid pixels over all pixels; None if not computed.
        pool: memory for batches, which is used again in the next epoch.
    """

    scenes: Scenes
    size: int
    scene: NDArray[np.int32]
    row: NDArray[np.int32]
    column: NDArray[np.int32]
    valid_fraction: NDArray[np.float32] | None = None
    pool: MemoryPool = field(default_factory=MemoryPool, repr=False, compare=False)

    def __len__(self) -> int:
        """Return the number of patches."""
        return len(self.scene)

    def select(self, which: Any) -> Patches:
        """Return a selection of the patches, by indices or by a (patch,) array of bool."""
        valid = None if self.valid_fraction is None else self.valid_fraction[which]
        return Patches(
            self.scenes, self.size, self.scene[which], self.row[which], self.column[which], valid
        )


def list_patches(
    scenes: Scenes, grid: PatchGrid | None = None, *, min_valid: float = 0.0
) -> Patches:
    """Return the patches of a grid on all scenes.

    Args:
        scenes: scenes.
        grid: the grid; None has a patch for each whole chunk of 256 x 256.
        min_valid: patches with a smaller fraction of valid pixels are left out. Above 0 the masks
            are read, 2 MB a scene, and the fractions are cached in `.valid-*.npz` beside the files.

    Raises:
        CallError: no patch fits on the scenes.
        ConversionError: a file cannot be read.
    """
    grid = grid or PatchGrid()
    rows, columns = grid.starts(scenes.shape)
    if not (len(rows) and len(columns)):
        raise CallError(
            f"no patch of {grid.size} x {grid.size} pixels fits on {scenes.shape[0]} x "
            f"{scenes.shape[1]} pixels",
            untouched="nothing was read",
            hint="edges='pad' includes partial patches",
        )
    row, column = (axis.ravel() for axis in np.meshgrid(rows, columns, indexing="ij"))
    patches = Patches(
        scenes,
        grid.size,
        np.repeat(np.arange(len(scenes), dtype=np.int32), len(row)),
        np.tile(row, len(scenes)),
        np.tile(column, len(scenes)),
    )
    if min_valid <= 0:
        return patches
    valid = _valid_fractions(patches, grid).ravel()
    measured = Patches(scenes, grid.size, patches.scene, patches.row, patches.column, valid)
    return measured.select(valid >= np.float32(min_valid))


def _valid_fractions(patches: Patches, grid: PatchGrid) -> NDArray[np.float32]:
    """Return the fraction of valid pixels: (scene, patch of the scene), cached beside the files."""
    scenes = patches.scenes
    folders = {path.parent for path in scenes.paths}
    origin = grid.origin if isinstance(grid.origin, str) else "x".join(map(str, grid.origin))
    shape = "x".join(map(str, scenes.shape))
    name = f"{shape}-{grid.size}-{grid.stride}-{origin}-{grid.edges}"
    cache = next(iter(folders)) / CACHE_NAME.format(grid=name)
    files = FileStats(tuple(path.name for path in scenes.paths), scenes.sizes, scenes.mtimes)
    fractions = np.full((len(scenes), len(patches) // len(scenes)), np.nan, np.float32)
    if len(folders) == 1:
        numbers, columns, _ = load_rows(cache, files)
        if len(numbers):
            fractions[numbers] = columns["share"]
    missing = np.flatnonzero(np.isnan(fractions[:, 0]))
    if scenes.remote is not None:
        fractions[missing] = _fractions_on_mirror(scenes.remote, patches, missing)
    else:
        with ThreadPoolExecutor(THREADS) as pool:
            results = pool.map(lambda number: _fractions_of_scene(patches, int(number)), missing)
            for number, of_scene in zip(missing, results, strict=True):
                fractions[number] = of_scene
    if len(missing) and len(folders) == 1:
        save_rows(cache, files, {"share": fractions})
    return fractions


def _fractions_of_scene(patches: Patches, scene: int) -> NDArray[np.float32]:
    """Return the fraction of valid pixels of the patches of a scene: (patch,).

    Patches of a row of the grid share the sums over its pixel rows; their cumulative sums give the
    sum over any columns.
    """
    scenes, size = patches.scenes, patches.size
    count = len(patches) // len(scenes)
    of_scene = slice(scene * count, (scene + 1) * count)
    mask = np.empty(scenes.shape, np.uint8)
    read_window(scenes, scene, Window(0, 0, *scenes.shape), {MASK: mask})
    rows, columns = patches.row[of_scene], patches.column[of_scene]
    left, right = (np.clip(edge, 0, mask.shape[1]) for edge in (columns, columns + size))
    fractions = np.empty(count, np.float32)
    for row in np.unique(rows):
        top, bottom = max(int(row), 0), min(int(row) + size, mask.shape[0])
        sums = np.zeros(mask.shape[1] + 1, np.int64)
        sums[1:] = mask[top:bottom].sum(axis=0, dtype=np.uint32).cumsum()
        here = rows == row
        fractions[here] = (sums[right[here]] - sums[left[here]]) / size**2
    return fractions


# --- masks on a mirror ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Parts:
    """Parts of patches in a chunk of a mask.

    Attributes:
        chunk: number of the chunk.
        patches: numbers of the patches in a scene.
        areas: part of the chunk of each patch: first and end row, first and end column.
    """

    chunk: int
    patches: list[int]
    areas: list[tuple[tuple[int, int], tuple[int, int]]]


def _fractions_on_mirror(
    remote: ChunkReader, patches: Patches, numbers: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Return the fraction of valid pixels of the patches of some scenes: (scene, patch).

    Masks of many scenes have equal chunks, in which all pixels are valid for example. Parts of
    equal chunks are counted once, so the masks of a thousand scenes take less than half a second.
    """
    scenes = patches.scenes
    of_a_scene = _parts_of_chunks(patches)
    firsts: dict[Any, tuple[int, _Parts]] = {}  # by content: a scene that has it
    keys = []
    for number in numbers.tolist():
        path = remote.name_of(scenes.paths[number])
        places = scenes.chunks[MASK][number].tolist()
        for parts in of_a_scene:
            offset, size, skipped = places[parts.chunk]
            identity = remote.identity(path, offset, size) or (path, offset)
            keys.append((identity, size, skipped, parts.chunk))
            firsts.setdefault(keys[-1], (number, parts))
    with ThreadPoolExecutor(REMOTE_THREADS) as pool:
        counted = pool.map(lambda first: _count(scenes, *first), firsts.values())
        counts = dict(zip(firsts, counted, strict=True))
    fractions = np.empty((len(numbers), len(patches) // len(scenes)), np.float32)
    for row in range(len(numbers)):
        total = np.zeros(fractions.shape[1], np.int64)
        for parts, key in zip(of_a_scene, keys[row * len(of_a_scene) :], strict=False):
            total[parts.patches] += counts[key]
        fractions[row] = total / patches.size**2
    return fractions


def _parts_of_chunks(patches: Patches) -> list[_Parts]:
    """Return the chunks of a mask that the patches of a scene need; all scenes have the same."""
    layout = patches.scenes.layouts[MASK]
    numbered = np.zeros((layout.chunks[0] * layout.chunks[1], 3), np.int64)
    numbered[:, 0] = np.arange(len(numbered))  # in place of offsets: a piece has its chunk's number
    parts: dict[int, _Parts] = {}
    for patch in range(len(patches) // len(patches.scenes)):
        window = Window(int(patches.row[patch]), int(patches.column[patch]), *[patches.size] * 2)
        for piece in pieces(layout, numbered, window):
            of_chunk = parts.setdefault(piece.offset, _Parts(piece.offset, [], []))
            of_chunk.patches.append(patch)
            of_chunk.areas.append((piece.rows, piece.columns))
    return list(parts.values())


def _count(scenes: Scenes, scene: int, parts: _Parts) -> NDArray[np.int64]:
    """Return the number of valid pixels of each part of a chunk."""
    layout = scenes.layouts[MASK]
    row, column = divmod(parts.chunk, layout.chunks[1])
    window = Window(row * layout.chunk[0], column * layout.chunk[1], *layout.chunk)
    mask = np.empty(layout.chunk, np.uint8)
    read_window(scenes, scene, window, {MASK: mask})
    return np.array(
        [mask[slice(*rows), slice(*columns)].sum(dtype=np.int64) for rows, columns in parts.areas]
    )
