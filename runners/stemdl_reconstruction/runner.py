"""STEMDL reconstruction, the benchmark: potential and electron density from diffraction scans.

A sample is one scan. `prepare` is the entry point of the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml_data.bench.interface import Array, Baseline, Batch, Benchmark, ModelSpec
from sciml_data.bench.scoring import images
from sciml_data.bench.scoring.compute import write_group_table
from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.bench.task.splits import TRAIN, Options, evenly_spaced
from sciml_data.errors import CallError
from sciml_data.ready import SampleCache
from sciml_data.ready.samples import Floats, Numbers

from . import baselines, data
from .data import DENSITY, FORMULA, LEGACY, MATERIAL, PIXEL, POTENTIAL, SCAN, UNITS

if TYPE_CHECKING:
    import pandas as pd

    from sciml_data.bench.plots import Results
    from sciml_data.registry.stages import Converted

TARGETS = {
    "potential": (POTENTIAL,),
    "electron_density": (DENSITY,),
    "both": (POTENTIAL, DENSITY),
    "legacy": (LEGACY,),
}
SPLITS = Options(
    ranked=True, hint="use more files, a larger sample, --split random or --split published"
)
TABLE_METRICS = ("mae_scaled", "pearson")  # columns of samples-<part>.csv
READS = "files"  # `prepare` wants the ready files, not an opened dataset: bench/interface.py
MEBIBYTE = 1 << 20
SAMPLES_PER_READ = 16  # when statistics are computed
MIN_DEVIATION = 1e-9  # a target that never varies is divided by this


@dataclass(frozen=True)
class Statistics:
    """Statistics of the targets of the training part.

    Attributes:
        mean: (channel,) float64, in the unit of the channel.
        deviation: (channel,) standard deviation, float64.
        image: (row, column, channel) mean image, float64.
        samples: number of samples.
    """

    mean: npt.NDArray[np.float64]
    deviation: npt.NDArray[np.float64]
    image: npt.NDArray[np.float64]
    samples: int


class Reconstruction(Benchmark):
    """Images of a specimen from scans of `stemdl_reconst_ds1`, all of it or some files."""

    LEAKAGE = (
        "one material is scanned at several energies, over the same place: scores on materials "
        "that were trained on say what was remembered"
    )
    INPUTS: Mapping[str, tuple[str, ...]] = {"scan": ("probe", "y", "x")}

    def open(self, converted: Converted) -> None:
        """Index the scans; patterns are read batch by batch.

        Raises:
            CallError: the value of a setting is not valid, the files lack the target, or
                scikit-image is not installed.
        """
        images.require_libraries()
        self.scans = data.find_scans(converted)
        self.channels = self._channels()
        self.view = data.view_of(self.scans)
        binning, rows, columns = self.settings["thinning"], *self.scans.shapes[SCAN][1:]
        if binning % 2 == 0 or binning > min(rows, columns):
            raise CallError(
                f"thinning={binning}: an odd number is expected, at most the "
                f"{min(rows, columns)} pixels of a pattern",
                untouched="nothing was trained",
            )
        budget = self.settings["memory_mib"] * MEBIBYTE
        self.cache = SampleCache(self._read, budget_bytes=budget)

    def keys(self) -> pd.DataFrame:
        """Return folder, material and formula of each scan."""
        return data.keys_of(self.scans)

    def split_options(self) -> Options:
        """Return that ids are ranked: there are few materials."""
        return SPLITS

    def fit(self) -> None:
        """Compute the statistics of the training part's targets."""
        numbers = evenly_spaced(self.division.parts[TRAIN], self.settings["most_fitted"])
        image = np.zeros((*self.view, len(self.channels)))
        square = np.zeros(len(self.channels))
        for first in range(0, len(numbers), SAMPLES_PER_READ):
            block = numbers[first : first + SAMPLES_PER_READ]
            values = data.read_targets(self.scans, self.channels, block).astype(np.float64)
            image += values.sum(axis=0)
            square += (values**2).sum(axis=(0, 1, 2))
        image /= len(numbers)
        mean = image.mean(axis=(0, 1))
        pixels = len(numbers) * image[..., 0].size
        deviation = np.sqrt(np.maximum(square / pixels - mean**2, 0))
        deviation = np.maximum(deviation, MIN_DEVIATION)
        self.statistics = Statistics(mean, deviation, image, len(numbers))
        self.baseline_notes: Mapping[str, Any] = {}

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Return the shape of a prepared scan: probes, rows, columns."""
        probes, *sides = self.scans.shapes[SCAN]
        rows, columns = (data.block_count(side, self.settings["thinning"]) for side in sides)
        return probes, rows, columns

    @property
    def scored_channels(self) -> tuple[str, ...]:
        """Return the learnt channels, and the legacy target if it can be computed from them."""
        is_computed = POTENTIAL in self.channels and LEGACY in data.channels_of(self.scans)
        return (*self.channels, LEGACY) if is_computed else self.channels

    def scored(self, part: str) -> Numbers:
        """Return the scans of a part that are predicted: all, or an evenly spaced subset."""
        limit = self.settings["train_scored" if part == TRAIN else "most_scored"]
        return evenly_spaced(self.division.parts[part], limit)

    def build(self) -> Any:
        """Return the configured model, with the scale of the training part."""
        from .model import build_model

        return build_model(
            self.settings,
            self.input_shape,
            self.view,
            scale=self.statistics.deviation,
            offset=self.statistics.mean,
        )

    def specification(self) -> ModelSpec:
        """Return the shapes of a model."""
        images = f"images (row, column, channel) of {', '.join(self.channels)}, standardised"
        return ModelSpec(
            {"scan": Array(self.input_shape, "patterns (probe, row, column), scaled")},
            Array((*self.view, len(self.channels)), images),
        )

    def plain_targets(self, targets: Any) -> Any:
        """Return standardised images."""
        return (targets - self.statistics.mean) / self.statistics.deviation

    def finish(self, outputs: Any) -> Any:
        """Return images in physical units."""
        mean, deviation = self.statistics.mean, self.statistics.deviation
        return outputs * deviation.astype(np.float32) + mean.astype(np.float32)

    def batches(self, part: str, *, batch_size: int, seed: int) -> Iterator[Batch]:
        """Yield one epoch: scans, targets in their own units, weights; all float32.

        Scans are (sample, probe, y, x), targets (sample, row, column, channel), weights (sample,).
        The training part is shuffled, and each pair is in a random symmetry. The other parts come
        in order and unchanged. One generator draws for the whole epoch.
        """
        numbers, is_train = self.division.parts[part], part == TRAIN
        random = np.random.default_rng(seed)
        if is_train:
            numbers = random.permutation(numbers)
        for first in range(0, len(numbers), batch_size):
            chosen = numbers[first : first + batch_size]
            yield self.batch(chosen, random if is_train else None)

    def batch(self, numbers: Numbers, rng: np.random.Generator | None) -> Batch:
        """Return scans, targets and weights; see `batches`."""
        inputs, targets = self.cache.take(numbers)
        if rng is not None and self.settings["augment"]:
            inputs, targets = data.augment_pairs(inputs, targets, random=rng)
        return inputs, targets, np.ones(len(inputs), np.float32)

    def sample_loss(self, targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """Return the sums of weighted mean absolute errors and of weights, over the scans.

        Errors are in units of each channel's standard deviation in the training part.
        """
        from keras import ops

        scale = self.statistics.deviation.astype(np.float32)
        errors = ops.mean(ops.abs((targets - predictions) / scale), axis=(1, 2, 3))
        return ops.sum(errors * weights), ops.sum(weights)

    def targets(self, numbers: Numbers) -> xr.DataArray:
        """Return images of the scored channels: (sample, channel, row, column)."""
        channels, (rows, columns) = self.scored_channels, self.view
        images = data.read_targets(self.scans, channels, numbers)
        return xr.DataArray(
            np.moveaxis(images, -1, 1),
            [
                ("sample", self.scans["name"][numbers].astype(object)),
                ("channel", np.array(channels, dtype=object)),
                ("row", np.arange(rows)),
                ("column", np.arange(columns)),
            ],
            name="image",
            attrs={"units": ", ".join(UNITS[name] for name in channels)},
        )

    def predictions(self, numbers: Numbers, values: npt.NDArray[Any]) -> Predictions:
        """Return predictions with axes sample, channel, row and column.

        Args:
            numbers: of the scans.
            values: (sample, row, column, channel) of the learnt channels.
        """
        channels = self.scored_channels
        predicted = np.moveaxis(np.asarray(values, np.float32), -1, 1)
        if len(channels) > predicted.shape[1]:
            legacy = data.legacy_images(predicted[:, channels.index(POTENTIAL)])
            predicted = np.concatenate([predicted, legacy[:, None]], axis=1)
        return super().predictions(numbers, predicted)

    def write_outputs(self, folder: Path, part: str, predictions: Predictions) -> None:
        """Write a table with the errors of each scan."""
        write_group_table(
            folder / f"samples-{part}.csv",
            [metric for metric in self.metrics if metric.id in TABLE_METRICS],
            self.scoring_data(predictions),
            by="sample",
            columns=("sample", "material", "formula"),
        )

    def fit_baselines(self) -> Mapping[str, Baseline]:
        """Return constants and ridge regressions; see `baselines.py`."""
        fitted, self.baseline_notes = baselines.fit(self)
        return fitted

    def scoring_data(self, predictions: Predictions) -> xr.Dataset:
        """Return predictions with facts about scans and channels.

        Scans have a material (their own name if materials are unknown), a formula, and the size of
        a pixel in Å (NaN if unknown). Channels have the scale in which they are learnt (NaN if they
        are not learnt), and whether they are physical quantities.
        """
        scans = self.scans
        place = {name: number for number, name in enumerate(scans["name"].tolist())}
        numbers = [place[str(name)] for name in predictions.coords["sample"]]
        material = scans[MATERIAL if scans.is_known(MATERIAL) else "name"]
        channels = [str(name) for name in predictions.coords["channel"]]
        scale = dict(zip(self.channels, self.statistics.deviation.tolist(), strict=True))
        return predictions.to_dataset().assign_coords(
            material=("sample", material[numbers]),
            formula=("sample", scans[FORMULA][numbers]),
            pixel=("sample", scans[PIXEL][numbers]),
            scale=("channel", [scale.get(name, np.nan) for name in channels]),
            learnt=("channel", [name in scale for name in channels]),
            physical=("channel", [name != LEGACY for name in channels]),
        )

    def facts(self) -> Mapping[str, Any]:
        """Return targets and their scale, shapes and baselines, for the record."""
        scans, statistics = self.scans, self.statistics
        pixel = np.unique(np.round(scans[PIXEL][np.isfinite(scans[PIXEL])], 6))
        rows = zip(self.channels, statistics.mean, statistics.deviation, strict=True)
        return {
            "target": self.settings["target"],
            "targets_in_files": list(data.channels_of(scans)),
            "has_physical_units": any(name != LEGACY for name in self.channels),
            "scale": {
                "from": f"{statistics.samples} scans of the training part",
                **{
                    name: {"unit": UNITS[name], "mean": float(mean), "deviation": float(deviation)}
                    for name, mean, deviation in rows
                },
            },
            "pixel_angstrom": pixel.tolist() or "not known: no peak is placed in Angstrom",
            "shapes": {
                "scan": list(scans.shapes[SCAN]),
                "input": list(self.input_shape),
                "view": list(self.view),
            },
            "scaling_of_files": str(scans.attributes.get("scaling", "not stated")),
            "baselines": self.baseline_notes,
        }

    def _read(self, numbers: Numbers) -> tuple[Floats, Floats]:
        """Return prepared scans and their targets, for the cache."""
        binning, scale = self.settings["thinning"], self.settings["scale"]
        prepared = [
            data.prepared(self.scans.read(SCAN, [number])[0], binning=binning, scale=scale)
            for number in numbers.tolist()
        ]
        return np.stack(prepared), data.read_targets(self.scans, self.channels, numbers)

    def _channels(self) -> tuple[str, ...]:
        target, existing = self.settings["target"], data.channels_of(self.scans)
        if missing := [name for name in TARGETS[target] if name not in existing]:
            raise CallError(
                f"target {target!r} needs {' and '.join(missing)}, which these scans do not have; "
                "the published files have the legacy target only",
                untouched="nothing was trained",
                hint="--set target=legacy",
            )
        return TARGETS[target]


def figures(results: Results) -> Mapping[str, Any]:
    """Return the figures of a run; see `figures.py`."""
    from .figures import draw

    return draw(results)


prepare = Reconstruction
