"""Scenes and patches of each part of a split, in batches, and statistics of the channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from sciml_data.bench.task.splits import TEST, TRAIN, Division, Options, divide, evenly_spaced
from sciml_data.errors import SciMLDataError
from sciml_data.ready.patches import Patches, PatchGrid, Scenes, find_scenes, list_patches, stream

from .augment import augment_batch
from .channels import CHANNELS, Floats, Statistics, statistics_of

if TYPE_CHECKING:
    from sciml_data.bench.task.split import Split
    from sciml_data.registry.stages import Converted

SPLITS = Options(
    coarser={"orbit": "day"},
    optional=(TEST,),
    hint="fetch more of the training scenes: sciml-data get cloud_slstr_ds1 --limit 40",
)
ORIGIN_STEPS = 16  # origins of the moving training grid along each axis
MAX_PATCHES = 512  # of the training part, for statistics and the logistic baseline
PIXEL_STRIDE = 4  # they use every fourth pixel along each axis: neighbouring pixels are alike
MAX_PIXELS = 200_000  # for the logistic regression
Batch = tuple[Floats, Floats, Floats]


@dataclass(frozen=True)
class Data:
    """The scenes on this computer, divided into parts.

    Attributes:
        scenes: all ready scenes, sorted by the name of their granule.
        split: scene numbers of each part.
        keys: what scenes may share; see `keys_of`.
        settings: see task.toml.
        is_synthetic: whether the scenes are a synthetic sample.
    """

    scenes: Scenes
    split: Division
    keys: pd.DataFrame
    settings: Mapping[str, Any]
    is_synthetic: bool

    @cached_property
    def light(self) -> Mapping[str, int]:
        """Return the illumination of each granule: 0 night, 1 twilight, 2 day."""
        return dict(
            zip(self.scenes.granule.tolist(), self.scenes.illumination.tolist(), strict=True)
        )

    @cached_property
    def patches(self) -> Mapping[str, Patches]:
        """Return the patches of each part on the fixed grid."""
        grid = self._grid("centre" if self.settings["grid"] == "reference" else "corner")
        return {part: self._patches(part, grid) for part in self.split.parts}

    def scored(self, part: str) -> npt.NDArray[np.intp]:
        """Return the scenes of a part that are predicted whole: all, or a subset of training."""
        scenes = self.split.parts[part]
        if part != TRAIN:
            return scenes
        return evenly_spaced(scenes, self.settings["train_scenes_scored"])

    def batches(self, part: str, *, batch_size: int, seed: int) -> Iterator[Batch]:
        """Yield one epoch: channels (patch, row, column, 9), label and weight (..., 1), float32.

        Missing channels are NaN; the weight is 0 for pixels that are not valid. The training part
        is shuffled, on a grid whose origin is drawn from the seed, and patches are flipped and
        rotated at random. The other parts come in order.
        """
        if part != TRAIN:
            yield from self._read(self.patches[part], batch_size, seed=None)
            return
        random = np.random.default_rng(seed)
        patches = self.patches[part]
        if self.settings["grid"] == "moving":
            patches = list_patches(self._scenes_of(part), self._grid(self._origin(random)))
        for number, batch in enumerate(self._read(patches, batch_size, seed=seed)):
            yield augment_batch(batch, seed=(seed, number)) if self.settings["augment"] else batch

    @cached_property
    def training_pixels(self) -> tuple[Statistics, Floats, npt.NDArray[np.bool_]]:
        """Return statistics of training pixels, and channels (pixel, 9) and label of a subset."""
        chosen: list[tuple[Floats, npt.NDArray[np.bool_]]] = []

        def blocks() -> Iterator[tuple[Floats, npt.NDArray[np.bool_]]]:
            patches = self.patches[TRAIN]
            subset = patches.select(evenly_spaced(np.arange(len(patches)), MAX_PATCHES))
            for channels, label, weight in self._read(subset, 8, seed=None):
                thinned = (slice(None), *[slice(None, None, PIXEL_STRIDE)] * 2)
                values, valid = channels[thinned], weight[thinned][..., 0] > 0
                chosen.append((values[valid], label[thinned][..., 0][valid] > 0))
                yield values, valid

        statistics = statistics_of(blocks())
        values, cloudy = (np.concatenate(parts) for parts in zip(*chosen, strict=True))
        stride = max(1, len(values) // MAX_PIXELS)
        return statistics, values[::stride], cloudy[::stride]

    def _scenes_of(self, part: str) -> Scenes:
        return self.scenes.select(self.split.parts[part])

    def _grid(self, origin: Any) -> PatchGrid:
        return PatchGrid(self.settings["patch"], self.settings["step"], origin)

    def _patches(self, part: str, grid: PatchGrid) -> Patches:
        min_valid = self.settings["least_valid"]
        patches = list_patches(self._scenes_of(part), grid, min_valid=min_valid)
        if not len(patches) and part != TEST:
            raise SciMLDataError(
                f"no patch of {self.settings['patch']} x {self.settings['patch']} pixels of the "
                f"{part} part has {min_valid:.0%} valid pixels",
                untouched="nothing was trained",
                hint="choose smaller patches: --set patch=...",
            )
        return patches

    def _origin(self, random: np.random.Generator) -> tuple[int, int]:
        """Return row and column of the grid's origin in this epoch.

        As many patches fit as from the corner.
        """
        size, step = self.settings["patch"], self.settings["step"]
        slack = [(length - size) % step for length in self.scenes.shape]
        row, column = (
            int(room * random.integers(ORIGIN_STEPS + 1)) // ORIGIN_STEPS if room > 0 else 0
            for room in slack
        )
        return row, column

    def _read(self, patches: Patches, batch_size: int, *, seed: int | None) -> Iterator[Batch]:
        border, threads = self.settings["border"], self.settings["reader_threads"]
        for batch in stream(
            patches, batch_size=batch_size, seed=seed, threads=threads, missing=float("nan")
        ):
            weight = batch.weights.astype(np.float32)
            if border:
                inner = np.zeros_like(weight)
                inside = slice(border, -border)
                inner[:, inside, inside] = weight[:, inside, inside]
                weight = inner
            yield batch.inputs, batch.labels.astype(np.float32)[..., None], weight[..., None]


def open_data(converted: Converted, split: Split, settings: Mapping[str, Any]) -> Data:
    """Return the scenes on this computer, divided into the parts of a split.

    Raises:
        SciMLDataError: there are too few scenes.
    """
    scenes = find_scenes(converted)
    scenes = scenes.select(np.argsort(scenes.granule, kind="stable"))
    keys = keys_of(scenes)
    return Data(scenes, divide(split, keys, SPLITS), keys, settings, converted.is_synthetic)


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


def describe_channels(statistics: Statistics) -> dict[str, Any]:
    """Return mean and standard deviation of each channel, for the record."""
    pairs: Sequence[tuple[float, float]] = list(
        zip(statistics.mean.tolist(), statistics.deviation.tolist(), strict=True)
    )
    return {
        "from": f"{statistics.pixels} valid pixels of the training part",
        **{name: [round(v, 5) for v in pair] for name, pair in zip(CHANNELS, pairs, strict=True)},
    }
