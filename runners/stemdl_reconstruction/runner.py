"""STEMDL reconstruction, the benchmark: potential and electron density from diffraction scans.

`prepare` is the entry point of the engine. `Reconstruction` implements the interface `Problem` of
`sciml_data.bench.interface` with the other modules of this folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml_data.bench.scoring import images
from sciml_data.bench.scoring.compute import compute_metrics, write_group_table
from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.bench.task.splits import describe, leakage
from sciml_data.bench.task.task import load_task
from sciml_data.ready.samples import Floats, Numbers

from . import baselines, data
from .legacy_target import legacy_images
from .scans import (
    FORMULA,
    LEGACY,
    MATERIAL,
    PIXEL,
    POTENTIAL,
    SCAN,
    UNITS,
    channels_of,
    keys_of,
    read_targets,
    view_of,
)

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.bench.plots import Results
    from sciml_data.bench.task.split import Split
    from sciml_data.registry.stages import Converted

    from .data import Data

LEAKAGE = (
    "one material is scanned at several energies, over the same place: scores on materials that "
    "were trained on say what was remembered"
)
TABLE_METRICS = ("mae_scaled", "pearson")  # columns of samples-<part>.csv
READS = "files"  # `prepare` wants the ready files, not an opened dataset: bench/interface.py


def prepare(converted: Converted, split: Split, settings: Mapping[str, Any]) -> Reconstruction:
    """Return the benchmark on the scans on this computer and one split.

    Args:
        converted: ready form of `stemdl_reconst_ds1`, all of it or some files.
        split: stored rule.
        settings: see task.toml.

    Raises:
        CallError: the value of a setting is not valid, the files lack the target, or scikit-image
            is not installed.
        SciMLDataError: a part has no sample.
    """
    images.require_libraries()
    return Reconstruction(data.open_data(converted, split, settings), settings)


def figures(results: Results) -> Mapping[str, Any]:
    """Return the figures of a run; see `figures.py`."""
    from .figures import draw

    return draw(results)


class Reconstruction:
    """The problem that the engine trains on. A sample is one scan."""

    def __init__(self, scans: Data, settings: Mapping[str, Any]) -> None:
        """Store scans and settings; patterns are read batch by batch."""
        self.data, self.settings = scans, settings
        self.parts = tuple(scans.split.parts)
        self.metrics = load_task(Path(__file__).parent).metrics
        self._baselines = baselines.Baselines(scans)
        self._leakage = leakage(scans.split, keys_of(scans.scans), meaning=LEAKAGE)

    @property
    def sizes(self) -> Mapping[str, int]:
        """Return the scans of each part."""
        return {part: len(numbers) for part, numbers in self.data.split.parts.items()}

    @property
    def messages(self) -> tuple[str, ...]:
        """Return the leakage report in sentences, which are printed before training."""
        return tuple(self._leakage["told"])

    @property
    def scored_channels(self) -> tuple[str, ...]:
        """Return the learnt channels, and the legacy target if it can be computed from them."""
        learnt = self.data.channels
        is_computed = POTENTIAL in learnt and LEGACY in channels_of(self.data.scans)
        return (*learnt, LEGACY) if is_computed else learnt

    def build(self) -> Any:
        """Return the configured model, with the scale of the training part."""
        from .models import build_model

        statistics = self.data.statistics
        return build_model(
            self.settings,
            self.data.input_shape,
            view_of(self.data.scans),
            scale=statistics.deviation,
            offset=statistics.mean,
        )

    def batches(self, part: str, *, batch_size: int, seed: int) -> Any:
        """Return one epoch; see `Data.batches` for the shapes."""
        return self.data.batches(part, batch_size=batch_size, seed=seed)

    def sample_loss(self, targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """Return the sums of weighted mean absolute errors and of weights, over the scans.

        Errors are in units of each channel's standard deviation in the training part.
        """
        from keras import ops

        scale = self.data.statistics.deviation.astype(np.float32)
        errors = ops.mean(ops.abs((targets - predictions) / scale), axis=(1, 2, 3))
        return ops.sum(errors * weights), ops.sum(weights)

    def samples_in(self, weights: Any) -> Any:
        """Return the number of scans in a batch."""
        from keras import ops

        return ops.shape(weights)[0]

    def predict(self, model: Any, part: str) -> Predictions:
        """Return predicted and true images of the scored scans of a part."""
        numbers = self.data.scored(part)
        batches = [
            np.asarray(model(self.data.cache.take(batch)[0], training=False), np.float32)
            for batch in self._evaluation_batches(numbers)
        ]
        return self._predictions(numbers, np.concatenate(batches))

    def predict_into(self, model: Any, part: str, folder: Path) -> Predictions:
        """Return the predictions, and write a table of scans into a folder."""
        predictions = self.predict(model, part)
        write_group_table(
            folder / f"samples-{part}.csv",
            [metric for metric in self.metrics if metric.id in TABLE_METRICS],
            self.scoring_data(predictions),
            by="sample",
            columns=("sample", "material", "formula"),
        )
        return predictions

    def baselines(self) -> Mapping[str, Mapping[str, Predictions]]:
        """Return the predictions of each baseline for each part.

        They are computed on access, so that only one part of one baseline is in memory.
        """
        return {name: _LazyPredictions(self, name) for name in baselines.NAMES}

    def baseline(self, name: str, part: str) -> Predictions:
        """Return a baseline's predictions for the scored scans of a part."""
        numbers = self.data.scored(part)
        return self._predictions(numbers, self._baselines.predict(name, numbers))

    def score(self, predictions: Predictions) -> Mapping[str, float]:
        """Return every metric of task.toml."""
        return compute_metrics(self.metrics, self.scoring_data(predictions))

    def scoring_data(self, predictions: Predictions) -> xr.Dataset:
        """Return predictions with facts about scans and channels.

        Scans have a material (their own name if materials are unknown), a formula, and the size of
        a pixel in Å (NaN if unknown). Channels have the scale in which they are learnt (NaN if they
        are not learnt), and whether they are physical quantities.
        """
        scans, statistics = self.data.scans, self.data.statistics
        place = {name: number for number, name in enumerate(scans["name"].tolist())}
        numbers = [place[str(name)] for name in predictions.coords["sample"]]
        material = scans[MATERIAL if scans.is_known(MATERIAL) else "name"]
        channels = [str(name) for name in predictions.coords["channel"]]
        scale = dict(zip(self.data.channels, statistics.deviation.tolist(), strict=True))
        return predictions.to_dataset().assign_coords(
            material=("sample", material[numbers]),
            formula=("sample", scans[FORMULA][numbers]),
            pixel=("sample", scans[PIXEL][numbers]),
            scale=("channel", [scale.get(name, np.nan) for name in channels]),
            learnt=("channel", [name in scale for name in channels]),
            physical=("channel", [name != LEGACY for name in channels]),
        )

    def diagnostics(self) -> Mapping[str, Any]:
        """Return parts, leakage, targets and their scale, for the record."""
        scans, split, statistics = self.data.scans, self.data.split, self.data.statistics
        pixel = np.unique(np.round(scans[PIXEL][np.isfinite(scans[PIXEL])], 6))
        return {
            "parts": describe(split, keys_of(scans)),
            "leakage": self._leakage,
            "scored_scans": {part: len(self.data.scored(part)) for part in self.parts},
            "selection": "the epoch is chosen by the validation part, so that part's scores are "
            "those of a chosen model; the test part is not looked at before",
            "target": self.settings["target"],
            "targets_in_files": list(channels_of(scans)),
            "has_physical_units": any(name != LEGACY for name in self.data.channels),
            "scale": {
                "from": f"{statistics.samples} scans of the training part",
                **{
                    name: {"unit": UNITS[name], "mean": float(mean), "deviation": float(deviation)}
                    for name, mean, deviation in zip(
                        self.data.channels, statistics.mean, statistics.deviation, strict=True
                    )
                },
            },
            "pixel_angstrom": pixel.tolist() or "not known: no peak is placed in Angstrom",
            "shapes": {
                "scan": list(scans.shapes[SCAN]),
                "input": list(self.data.input_shape),
                "view": list(view_of(scans)),
            },
            "scaling_of_files": str(scans.attributes.get("scaling", "not stated")),
            "interval": "95 % of the mean, whole materials drawn again"
            if scans.is_known(MATERIAL)
            else "95 % of the mean, scans drawn again: materials are not known",
            "baselines": baselines.describe_baselines(self.settings, self._baselines.penalty),
        }

    def _predictions(self, numbers: Numbers, predicted: Floats) -> Predictions:
        """Return predictions with axes sample, channel, row and column."""
        channels = self.scored_channels
        observed = read_targets(self.data.scans, channels, numbers)
        of_channels = np.moveaxis(predicted, -1, 1)
        if len(channels) > of_channels.shape[1]:
            legacy = legacy_images(of_channels[:, channels.index(POTENTIAL)])
            of_channels = np.concatenate([of_channels, legacy[:, None]], axis=1)
        rows, columns = view_of(self.data.scans)
        return Predictions(
            observed=np.moveaxis(observed, -1, 1),
            predicted=of_channels,
            coords={
                "sample": self.data.scans["name"][numbers].astype(object),
                "channel": np.array(channels, dtype=object),
                "row": np.arange(rows),
                "column": np.arange(columns),
            },
        )

    def _evaluation_batches(self, numbers: Numbers) -> Iterator[Numbers]:
        size = self.settings["evaluation_batch"]
        return (numbers[first : first + size] for first in range(0, len(numbers), size))


class _LazyPredictions(Mapping[str, Predictions]):
    """A baseline's predictions by part, computed at each access."""

    def __init__(self, problem: Reconstruction, name: str) -> None:
        self._problem, self._name = problem, name

    def __getitem__(self, part: str) -> Predictions:
        if part not in self._problem.parts:
            raise KeyError(part)
        return self._problem.baseline(self._name, part)

    def __iter__(self) -> Iterator[str]:
        return iter(self._problem.parts)

    def __len__(self) -> int:
        return len(self._problem.parts)
