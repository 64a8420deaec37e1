"""CloudMask, the benchmark: cloud or clear for each pixel of a satellite scene.

A sample of the split is a scene, and scores are over whole scenes. Training reads patches, so
`sizes` and throughput count patches.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from sciml_data.bench.interface import Array, Baseline, Benchmark, ModelSpec, Numbers
from sciml_data.bench.previews import PREVIEWS_NAME, save_previews
from sciml_data.bench.scoring import classification, segmentation
from sciml_data.bench.scoring.compute import write_group_table
from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.bench.task.splits import TEST, TRAIN, Options
from sciml_data.errors import RecordError
from sciml_data.ready.patches import find_scenes

from . import data
from .baselines import fit_masks
from .figures import draw, preview
from .scenes import (
    ILLUMINATION,
    REGIONS,
    VALID,
    Mask,
    Scene,
    count_pixels,
    predict_scene,
    read_scenes,
    write_mask,
)  # fmt: skip

if TYPE_CHECKING:
    from pathlib import Path

    from sciml_data.registry.stages import Converted

READS = "files"  # `prepare` wants the ready files, not an opened dataset: bench/interface.py
WEIGHTED = "weighted_cross_entropy"
SOURCE = "sciml-data, benchmark cloudmask; Contains modified Copernicus Sentinel data"


class CloudMask(Benchmark):
    """The problem that the engine trains on."""

    LEAKAGE = (
        "granules of one orbit follow one another, and cloud continues from one to the next: "
        "scores on scenes whose orbit was trained on are too good"
    )

    def open(self, converted: Converted) -> None:
        """Find the ready scenes, sorted by the name of their granule; no pixel is read.

        Raises:
            CallError: settings contradict each other, or scikit-learn is not installed.
        """
        data.check_settings(self.settings)
        classification.require_sklearn()
        scenes = find_scenes(converted)
        self.scenes = scenes.select(np.argsort(scenes.granule, kind="stable"))
        self.attributes = {  # of mask files
            "synthetic": int(converted.is_synthetic),
            "model": self.settings["model"],
            "source": SOURCE,
        }
        light = np.array(ILLUMINATION)[self.scenes.illumination]
        self.light = pd.Series(light, index=self.scenes.granule)  # of each granule
        self._inference: dict[str, dict[str, float]] = {}  # time for a scene, by part

    def keys(self) -> pd.DataFrame:
        """Return granule, orbit, day, time and folder of each scene."""
        return data.keys_of(self.scenes)

    def split_options(self) -> Options:
        """Return that orbits are drawn by whole days, and that there may be no test scenes."""
        return data.SPLITS

    def fit(self) -> None:
        """List the patches of each part on the fixed grid, and read pixels of the training part."""
        self.patches = {
            part: data.fixed_patches(self.scenes.select(numbers), self.settings, part)
            for part, numbers in self.division.parts.items()
        }
        self.training_pixels = data.training_pixels(self.patches[TRAIN], self.settings)
        self.statistics = data.statistics_of(self.training_pixels[0])

    @property
    def sizes(self) -> Mapping[str, int]:
        """Return the number of patches of each part on the fixed grid."""
        return {part: len(patches) for part, patches in self.patches.items()}

    def build(self) -> Any:
        """Return the configured model, with the normalisation of the training part."""
        from .model import build_model

        return build_model(self.settings, self.statistics)

    def specification(self) -> ModelSpec:
        """Return the shapes of a model."""
        channels = len(data.CHANNELS)
        return ModelSpec(
            {"channels": Array((None, None, channels), "standardised channels, 0 where missing")},
            Array((None, None, 1), "probability of cloud, 0 to 1, of each pixel"),
        )

    def plain(self, inputs: Any) -> Any:
        """Return standardised channels of (..., channel), 0 where missing."""
        from keras import ops

        mean = self.statistics.mean.astype(np.float32)
        standardised = (inputs - mean) / self.statistics.deviation.astype(np.float32)
        return ops.where(ops.isfinite(standardised), standardised, 0.0)

    def batches(self, part: str, *, batch_size: int, seed: int) -> Iterator[data.Batch]:
        """Return one epoch of patches; see `data.patch_batches` for the shapes.

        The training part is shuffled, on a grid with an origin that is drawn from the seed, and
        patches are flipped and rotated at random. The other parts come in order.
        """
        patches = self.patches[part]
        if part != TRAIN:
            return data.patch_batches(patches, self.settings, batch_size=batch_size)
        if self.settings["grid"] == "moving":
            patches = data.moving_patches(patches.scenes, self.settings, seed)
        epoch = data.patch_batches(patches, self.settings, batch_size=batch_size, seed=seed)
        if not self.settings["augment"]:
            return epoch
        return (data.augment_batch(batch, seed=(seed, n)) for n, batch in enumerate(epoch))

    def sample_loss(self, targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """Return the sums of weighted losses and of weights over the pixels of a batch."""
        from .model import loss_sums

        is_weighted = self.settings["loss"] == WEIGHTED
        pos_weight = self.settings["pos_weight"] if is_weighted else 1.0
        return loss_sums(targets, predictions, weights, pos_weight=pos_weight)

    def predict(self, model: Any, part: str) -> Predictions:
        """Return counts of predicted probability of the scored scenes; see `count_pixels`."""
        return self.predict_into(model, part, None)

    def predict_into(self, model: Any, part: str, folder: Path | None) -> Predictions:
        """Return the predictions; write masks, a table of scenes and previews into a folder."""
        numbers, seconds = self.scored(part), 0.0
        previews: dict[int, tuple[str, dict[str, Any]]] = {}

        def mask(scene: Scene) -> data.Floats:
            nonlocal seconds
            started = time.perf_counter()
            probability = predict_scene(model, scene.channels, self.settings)
            seconds += time.perf_counter() - started
            if folder and part == TEST and scene.light not in previews:
                previews[scene.light] = preview(scene, probability)
            if folder and part in self.settings["masks"]:
                path = folder / "masks" / part / f"{scene.granule}.nc"
                write_mask(path, scene, probability, self.attributes)
            return probability

        predictions = self.predictions(numbers, self._count(mask, numbers))
        if len(numbers):
            speed = {"scenes": len(numbers), "s_per_scene": seconds / len(numbers)}
            self._inference[part] = speed
        if folder:
            self.write_outputs(folder, part, predictions)
        if folder and part == TEST:
            by_day_first = sorted(previews, reverse=True)
            save_previews(folder / PREVIEWS_NAME, dict(previews[light] for light in by_day_first))
        return predictions

    def write_outputs(self, folder: Path, part: str, predictions: Predictions) -> None:
        """Write a row of scores for each scene, over its valid pixels."""
        pixels = self.given(predictions)[:, REGIONS.index(VALID), 1]
        write_group_table(
            folder / f"scenes-{part}.csv",
            [metric for metric in self.metrics if metric.where and metric.by != "scene"],
            self.scoring_data(predictions).assign_coords(valid_pixels=("scene", pixels)),
            by="scene",
            columns=("scene", "light", "valid_pixels"),
        )

    def predictions(self, numbers: Numbers, values: npt.NDArray[Any]) -> Predictions:
        """Return the counts (scene, 2, region, level): cloudy pixels and all pixels."""
        coords = {
            "scene": self.scenes.granule[numbers].astype(object),
            "region": np.array(REGIONS, dtype=object),
            "level": segmentation.probabilities(),
        }
        return Predictions(values[:, 0], values[:, 1], coords)

    def named_features(self, numbers: Numbers) -> xr.Dataset:
        """Return channels of whole scenes, NaN where missing."""
        channels = [scene.channels for scene in read_scenes(self.scenes, numbers)]
        axes = ("scene", "row", "column", "channel")
        return xr.Dataset({"channels": (axes, channels)}, {"channel": list(data.CHANNELS)})

    def targets(self, numbers: Numbers) -> xr.DataArray:
        """Return whether pixels of whole scenes are cloudy: (scene, row, column) 0 or 1.

        Pixels that are not valid are NaN. Their scores are separate, so they need predictions too.
        """
        cloudy = np.stack(
            [
                np.where(scene.valid, scene.cloud, np.float32("nan"))
                for scene in read_scenes(self.scenes, numbers)
            ]
        )
        rows, columns = (np.arange(length) for length in cloudy.shape[1:])
        return xr.DataArray(
            cloudy,
            [("scene", self.scenes.granule[numbers]), ("row", rows), ("column", columns)],
            name="cloud",
            attrs={"units": "1"},
        )

    def from_values(self, part: str, values: xr.DataArray) -> Predictions:
        """Return the counts of probabilities of cloud (scene, row, column).

        Raises:
            RecordError: a value is no probability.
        """
        if not ((values >= 0) & (values <= 1)).all():
            raise RecordError(
                f"{part}: every pixel of a scene needs a probability of cloud from 0 to 1, also "
                "where the target is NaN",
                untouched="nothing was scored",
            )
        numbers = self.scored(part)
        masks = dict(zip(self.scenes.granule[numbers], values.to_numpy(), strict=True))
        return self.predictions(numbers, self._count(lambda scene: masks[scene.granule], numbers))

    def fit_baselines(self) -> Mapping[str, Baseline]:
        """Return each baseline as a function from scene numbers to counts."""
        scenes = read_scenes(self.scenes, self.scored(TRAIN))
        masks = fit_masks(scenes, *self.training_pixels, self.statistics)
        return {name: partial(self._count, mask) for name, mask in masks.items()}

    def scoring_data(self, predictions: Predictions) -> xr.Dataset:
        """Return predictions with the coordinate `light` of each scene."""
        light = self.light.loc[predictions.coords["scene"]].tolist()
        return predictions.to_dataset().assign_coords(light=("scene", light))

    def given(self, predictions: Predictions) -> npt.NDArray[np.int64]:
        """Return cloudy and all pixels (scene, region, 2), the same for every model.

        They follow from the data alone; `rescore` compares them with the data.
        """
        pair = predictions.observed, predictions.predicted
        return np.stack([counts.sum(axis=-1, dtype=np.int64) for counts in pair], axis=-1)

    def facts(self) -> Mapping[str, Any]:
        """Return light, label, channels and the time for each scene, for the record."""
        light = {
            part: {word: int((self.light.iloc[numbers] == word).sum()) for word in ILLUMINATION}
            for part, numbers in self.division.parts.items()
        }
        mean_and_deviation = np.stack([self.statistics.mean, self.statistics.deviation], axis=1)
        return {
            "light": light,
            "label": "the Bayesian mask, itself a product: agreement with it is no truth",
            "channels": {
                "from": f"{self.statistics.pixels} valid pixels of the training part",
                **dict(zip(data.CHANNELS, mean_and_deviation.round(5).tolist(), strict=True)),
            },
            "inference": self._inference,
        }

    def _count(self, mask: Mask, numbers: Numbers) -> npt.NDArray[np.int32]:
        """Return the counts (scene, 2, region, level) of scenes."""
        counts = [count_pixels(scene, mask(scene)) for scene in read_scenes(self.scenes, numbers)]
        shape = (len(counts), 2, len(REGIONS), segmentation.LEVELS)
        return np.array(counts, np.int32).reshape(shape)


prepare, figures = CloudMask, draw
