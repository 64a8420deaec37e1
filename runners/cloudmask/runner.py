"""CloudMask, the benchmark: cloud or clear for each pixel of a satellite scene.

`prepare` is the entry point of the engine. `CloudMask` implements the interface `Problem` of
`sciml_data.bench.interface` with the other modules of this folder.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.bench.plots import PREVIEWS_NAME, save_previews
from sciml_data.bench.scoring.compute import compute_metrics, write_group_table
from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.bench.task.splits import TEST, TRAIN, describe, leakage
from sciml_data.bench.task.task import load_task
from sciml_data.errors import CallError

from . import data, losses, pixel_counts
from .baselines import ALL_CLOUD, LOGISTIC, SUMMARY, fit_logistic, fit_rates
from .data import Data
from .mask_files import write_mask
from .previews import Previews
from .scenes import predict_scene, predictor, read_scenes

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.bench.plots import Results
    from sciml_data.bench.task.split import Split
    from sciml_data.registry.stages import Converted

    from .baselines import Logistic, Rates
    from .scenes import Predict, Scene

READS = "files"  # `prepare` wants the ready files, not an opened dataset: bench/interface.py
LEAKAGE = (
    "granules of one orbit follow one another, and cloud continues from one to the next: scores on "
    "scenes whose orbit was trained on are too good"
)
MASKS, SCENES = "masks", "scenes"  # folder and table in the run's outputs


def prepare(converted: Converted, split: Split, settings: Mapping[str, Any]) -> CloudMask:
    """Return the benchmark on the scenes on this computer and one split.

    Args:
        converted: ready form of `cloud_slstr_ds1`, all of it or some scenes.
        split: stored rule.
        settings: see task.toml.

    Raises:
        CallError: settings contradict each other.
        SciMLDataError: there are too few scenes.
    """
    losses.check_loss(settings)
    if settings["window_step"] > settings["window"]:
        raise CallError(
            f"window_step={settings['window_step']} is larger than window={settings['window']}, "
            "and larger steps leave gaps",
            untouched="nothing was trained",
        )
    return CloudMask(data.open_data(converted, split, settings), settings)


def figures(results: Results) -> Mapping[str, Any]:
    """Return the figures of a run; see `figures.py`."""
    from .figures import draw

    return draw(results)


class CloudMask:
    """The problem that the engine trains on. A sample is one patch."""

    def __init__(self, scenes: Data, settings: Mapping[str, Any]) -> None:
        """Store scenes and settings; pixels are read batch by batch."""
        self.data, self.settings = scenes, settings
        self.parts = tuple(scenes.split.parts)
        self.metrics = load_task(Path(__file__).parent).metrics
        self._inference: dict[str, dict[str, float]] = {}  # time for a scene, by part

    @property
    def sizes(self) -> Mapping[str, int]:
        """Return the number of patches of each part on the fixed grid."""
        return {part: len(patches) for part, patches in self.data.patches.items()}

    def build(self) -> Any:
        """Return the configured model, with the normalisation of the training part."""
        from .models import build_model

        return build_model(self.settings, self.data.training_pixels[0])

    def batches(self, part: str, *, batch_size: int, seed: int) -> Any:
        """Return one epoch; see `Data.batches` for the shapes."""
        return self.data.batches(part, batch_size=batch_size, seed=seed)

    def sample_loss(self, targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """Return the sums of weighted losses and of weights over the pixels of a batch."""
        is_weighted = self.settings["loss"] == losses.WEIGHTED
        return losses.loss_sums(
            targets,
            predictions,
            weights,
            pos_weight=self.settings["pos_weight"] if is_weighted else 1.0,
        )

    def samples_in(self, weights: Any) -> Any:
        """Return the number of patches in a batch."""
        from keras import ops

        return ops.shape(weights)[0]

    def predict(self, model: Any, part: str) -> Predictions:
        """Return histograms of predicted probability of the scored scenes; see `pixel_counts`."""
        return self._predict(predictor(model), part, None)

    def predict_into(self, model: Any, part: str, folder: Path) -> Predictions:
        """Return the predictions, and write masks and a table of scenes into a folder."""
        return self._predict(predictor(model), part, folder)

    def baselines(self) -> Mapping[str, Mapping[str, Predictions]]:
        """Return the predictions of each baseline for the scored scenes of each part."""
        statistics, pixels, cloudy = self.data.training_pixels
        logistic = fit_logistic(pixels, cloudy, statistics)
        rates = fit_rates(
            (scene.cloud, scene.summary, scene.valid) for scene in self._scenes(TRAIN)
        )
        by_name: dict[str, dict[str, Predictions]] = {}
        for part in self.parts:
            for name, predictions in self._baselines_of(part, rates, logistic).items():
                by_name.setdefault(name, {})[part] = predictions
        return by_name

    def score(self, predictions: Predictions) -> Mapping[str, float]:
        """Return every metric of task.toml."""
        return compute_metrics(self.metrics, self.scoring_data(predictions))

    def scoring_data(self, predictions: Predictions) -> xr.Dataset:
        """Return predictions with the coordinate `light` of each scene."""
        granules = predictions.coords["scene"]
        light = [pixel_counts.ILLUMINATION[self.data.light[str(name)]] for name in granules]
        return predictions.to_dataset().assign_coords(light=("scene", light))

    def given(self, predictions: Predictions) -> pixel_counts.Integers:
        """Return the part of the predictions that depends on the data alone, for `rescore`."""
        return pixel_counts.pixel_totals(predictions)

    def diagnostics(self) -> Mapping[str, Any]:
        """Return scenes, leakage, channels and time for each scene, for the record."""
        split, keys = self.data.split, self.data.keys
        return {
            "parts": describe(split, keys),
            "leakage": leakage(split, keys, meaning=LEAKAGE),
            "light": {
                part: {
                    word: int((self.data.scenes.illumination[scenes] == number).sum())
                    for number, word in enumerate(pixel_counts.ILLUMINATION)
                }
                for part, scenes in split.parts.items()
            },
            "scored_scenes": {part: len(self.data.scored(part)) for part in self.parts},
            "selection": "the epoch is chosen by the validation part, so that part's scores are "
            "those of a chosen model; the test part is not looked at before",
            "label": "the Bayesian mask, itself a product: agreement with it is no truth",
            "channels": data.describe_channels(self.data.training_pixels[0]),
            "inference": self._inference,
        }

    def _predict(self, predict: Predict, part: str, folder: Path | None) -> Predictions:
        """Return the predictions of a part; write the outputs if there is a folder."""
        granules, rows, previews = [], [], Previews()
        seconds = 0.0
        for scene in self._scenes(part):
            started = time.perf_counter()
            probability = self._probability(predict, scene)
            seconds += time.perf_counter() - started
            granules.append(scene.granule)
            rows.append(pixel_counts.count_pixels(scene, probability))
            if folder is not None and part == TEST:
                previews.add(scene, probability)
            if folder is not None and part in self.settings["masks"]:
                write_mask(folder / MASKS / part, scene, probability, self._attributes())
        if granules:
            self._inference[part] = {
                "scenes": len(granules),
                "s_per_scene": seconds / len(granules),
            }
        predictions = pixel_counts.as_predictions(granules, rows)
        if folder is not None:
            self._write_table(folder / f"{SCENES}-{part}.csv", predictions)
            if part == TEST:
                save_previews(folder / PREVIEWS_NAME, previews.images())
        return predictions

    def _probability(self, predict: Predict, scene: Scene) -> Any:
        return predict_scene(
            predict,
            scene.channels,
            size=self.settings["window"],
            step=self.settings["window_step"],
            batch_size=self.settings["window_batch"],
        )

    def _scenes(self, part: str) -> Iterator[Scene]:
        return read_scenes(self.data.scenes, self.data.scored(part).tolist())

    def _baselines_of(
        self, part: str, rates: Rates, logistic: Logistic
    ) -> Mapping[str, Predictions]:
        granules: list[str] = []
        rows: dict[str, list[pixel_counts.Counts]] = {ALL_CLOUD: [], SUMMARY: [], LOGISTIC: []}
        for scene in self._scenes(part):
            granules.append(scene.granule)
            rows[ALL_CLOUD].append(
                pixel_counts.count_pixels(scene, rates.all_cloud(scene.cloud.shape))
            )
            rows[SUMMARY].append(pixel_counts.count_pixels(scene, rates.summary(scene.summary)))
            rows[LOGISTIC].append(
                pixel_counts.count_pixels(scene, logistic.predict(scene.channels))
            )
        return {
            name: pixel_counts.as_predictions(granules, counted) for name, counted in rows.items()
        }

    def _attributes(self) -> Mapping[str, Any]:
        return {
            "synthetic": int(self.data.is_synthetic),
            "model": self.settings["model"],
            "source": "sciml-data, benchmark cloudmask; Contains modified Copernicus Sentinel data",
        }

    def _write_table(self, path: Path, predictions: Predictions) -> None:
        """Write a row of scores for each scene, over its valid pixels."""
        scored = self.scoring_data(predictions)
        pixels = pixel_counts.pixel_totals(predictions)[:, 0, 1]
        write_group_table(
            path,
            [metric for metric in self.metrics if metric.where and metric.by != "scene"],
            scored.assign_coords(valid_pixels=("scene", pixels)),
            by="scene",
            columns=("scene", "light", "valid_pixels"),
        )
