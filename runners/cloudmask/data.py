"""Scenes and patches of each part, in batches; the statistics that models and baselines need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciml_data.errors import SciMLDataError
from sciml_data.ready.patches import Patches, PatchGrid, Scenes, find_scenes, list_patches, stream

from .augment import turned
from .channels import CHANNELS, Floats, Statistics, statistics_of
from .parts import TEST, TRAIN, Layout, Passes, lay_out

if TYPE_CHECKING:
    from sciml_data.bench.task.split import Split
    from sciml_data.registry.stages import Converted

INFERENCE = "inference"  # the folder whose scenes are the test part
PLACES = 16  # of the training grid along each axis, from one epoch to the next
MOST_PATCHES = 512  # of the training part, evenly spaced, for statistics and the logistic baseline
THINNING = 4  # of their pixels along each axis: neighbours are alike
MOST_PIXELS = 200_000  # of them, for the logistic regression
Batch = tuple[Floats, Floats, Floats]


@dataclass(frozen=True)
class Data:
    """The scenes that are here, divided into parts."""

    scenes: Scenes
    layout: Layout
    settings: Mapping[str, Any]
    is_synthetic: bool

    @property
    def passes(self) -> Passes:
        """Return when and on which orbit each scene was seen."""
        return passes_of(self.scenes)

    @cached_property
    def light(self) -> Mapping[str, int]:
        """Return the illumination of each granule: 0 night, 1 twilight, 2 day."""
        return dict(
            zip(self.scenes.granule.tolist(), self.scenes.illumination.tolist(), strict=True)
        )

    @cached_property
    def patches(self) -> Mapping[str, Patches]:
        """Return the patches of each part on the grid that does not move."""
        grid = self._grid("centre" if self.settings["grid"] == "reference" else "corner")
        return {part: self._patches(part, grid) for part in self.layout.parts}

    def scored(self, part: str) -> npt.NDArray[np.intp]:
        """Return the scenes of a part that are predicted whole: of the training part, some."""
        scenes = self.layout.parts[part]
        most = self.settings["train_scenes_scored"]
        if part != TRAIN or len(scenes) <= most:
            return scenes
        return np.asarray(scenes[np.linspace(0, len(scenes) - 1, most).round().astype(int)])

    def batches(self, part: str, *, batch_size: int, seed: int) -> Iterator[Batch]:
        """Yield one epoch: channels (patch, row, column, 9), label and weight (..., 1), float32.

        The training part comes shuffled, on a grid drawn from the seed, flipped and turned; the
        others in order.
        """
        if part != TRAIN:
            yield from self._read(self.patches[part], batch_size, seed=None)
            return
        random = np.random.default_rng(seed)
        patches = self.patches[part]
        if self.settings["grid"] == "moving":
            patches = list_patches(self._of(part), self._grid(self._origin(random)))
        for number, batch in enumerate(self._read(patches, batch_size, seed=seed)):
            yield turned(batch, seed=(seed, number)) if self.settings["augment"] else batch

    @cached_property
    def training_pixels(self) -> tuple[Statistics, Floats, npt.NDArray[np.bool_]]:
        """Return statistics of training pixels, and some of them: channels (pixel, 9), cloudy."""
        chosen: list[tuple[Floats, npt.NDArray[np.bool_]]] = []

        def blocks() -> Iterator[tuple[Floats, npt.NDArray[np.bool_]]]:
            some = _thinned(self.patches[TRAIN], MOST_PATCHES)
            for channels, label, weight in self._read(some, 8, seed=None):
                cut = (slice(None), slice(None, None, THINNING), slice(None, None, THINNING))
                values, valid = channels[cut], weight[cut][..., 0] > 0
                chosen.append((values[valid], label[cut][..., 0][valid] > 0))
                yield values, valid

        statistics = statistics_of(blocks())
        values, cloudy = (np.concatenate(parts) for parts in zip(*chosen, strict=True))
        every = max(1, len(values) // MOST_PIXELS)
        return statistics, values[::every], cloudy[::every]

    def _of(self, part: str) -> Scenes:
        return self.scenes.select(self.layout.parts[part])

    def _grid(self, origin: Any) -> PatchGrid:
        return PatchGrid(self.settings["patch"], self.settings["step"], origin)

    def _patches(self, part: str, grid: PatchGrid) -> Patches:
        least = self.settings["least_valid"]
        found = list_patches(self._of(part), grid, least_valid=least)
        if not len(found) and part != TEST:
            raise SciMLDataError(
                f"no patch of {self.settings['patch']} x {self.settings['patch']} pixels of the "
                f"{part} part has {self.settings['least_valid']:.0%} valid pixels",
                untouched="nothing was trained",
                hint="--set patch=... smaller, where scenes are smaller",
            )
        return found

    def _origin(self, random: np.random.Generator) -> tuple[int, int]:
        """Return where the grid begins in this epoch: as many patches fit as from the corner."""
        size, step = self.settings["patch"], self.settings["step"]
        slack = [(length - size) % step for length in self.scenes.shape]
        row, column = (
            int(room * random.integers(PLACES + 1)) // PLACES if room > 0 else 0 for room in slack
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
                cut = slice(border, -border)
                inner[:, cut, cut] = weight[:, cut, cut]
                weight = inner
            yield batch.inputs, batch.labels.astype(np.float32)[..., None], weight[..., None]


def open_data(converted: Converted, split: Split, settings: Mapping[str, Any]) -> Data:
    """Return the scenes that are here, divided by a split.

    Raises:
        SciMLDataError: there are too few scenes.
    """
    scenes = find_scenes(converted)
    layout = lay_out(split, passes_of(scenes), scenes.split == INFERENCE)
    return Data(scenes, layout, settings, converted.is_synthetic)


def passes_of(scenes: Scenes) -> Passes:
    """Return when and on which orbit scenes were seen."""
    return Passes(scenes.granule, scenes.time, scenes.orbit, scenes.platform)


def _thinned(patches: Patches, most: int) -> Patches:
    """Return at most so many of the patches, evenly spaced."""
    if len(patches) <= most:
        return patches
    return patches.select(np.linspace(0, len(patches) - 1, most).round().astype(int))


def channel_facts(statistics: Statistics) -> dict[str, Any]:
    """Return mean and deviation of each channel, for the record."""
    pairs: Sequence[tuple[float, float]] = list(
        zip(statistics.mean.tolist(), statistics.deviation.tolist(), strict=True)
    )
    return {
        "from": f"{statistics.pixels} valid pixels of the training part",
        **{name: [round(v, 5) for v in pair] for name, pair in zip(CHANNELS, pairs, strict=True)},
    }
