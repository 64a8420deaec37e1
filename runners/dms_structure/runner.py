"""dms_structure, the benchmark: the crystal structure from a diffuse scattering pattern."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from sciml_data.bench.interface import Array, Baseline, Batch, Benchmark, ModelSpec, Numbers
from sciml_data.bench.plots import confusion
from sciml_data.bench.scoring.classification import require_sklearn, true_and_predicted
from sciml_data.bench.task.splits import TEST, TRAIN, Options
from sciml_data.ready import open_ready

if TYPE_CHECKING:
    from sciml_data.bench.plots import Results
    from sciml_data.registry.stages import Converted

READS = "files"  # train and test are two splits of the ready files
FOLDERS = (TRAIN, TEST)
PATTERNS_AT_ONCE = 64  # read together: 73 MB as published
LINEAR_SIDE = 4  # binned pixels that are averaged once more for the logistic regression
# Of the label, as SciML-Bench's code reads it; the dataset's page states no numbers.
NAMES = ("monoclinic", "tetragonal")

Values = npt.NDArray[np.float32]


class Structure(Benchmark):
    """The problem that the engine trains on. A sample is one pattern.

    Attributes:
        patterns: (sample, row, column, channel) float32, averaged over squares of pixels.
        labels: (sample,) 0 or 1.
        center: mean of the training patterns.
        spread: standard deviation of the training patterns.
    """

    LEAKAGE = (
        "a pattern that is in both parts bit by bit was trained on; crystals at neighbouring "
        "azimuths look alike too, and the files do not name the azimuth"
    )

    INPUTS: Mapping[str, tuple[str, ...]] = {"pattern": ("row", "column", "channel")}

    def open(self, data: Converted) -> None:
        """Read all patterns, average them over squares of pixels, and hash the originals."""
        require_sklearn()
        patterns, labels, self._names, self._hashes, self._folders = [], [], [], [], []
        for folder in FOLDERS:
            with open_ready(data, split=folder) as dataset:
                count = dataset.sizes["sample"]
                for start in range(0, count, PATTERNS_AT_ONCE):
                    chunk = slice(start, start + PATTERNS_AT_ONCE)
                    images = dataset["image"][chunk].to_numpy()
                    patterns.append(binned(images, self.settings["bin"]))
                    self._hashes += [hashlib.sha256(i.tobytes()).hexdigest()[:16] for i in images]
                labels.append(dataset["label"].to_numpy())
                self._names += [f"{folder}/{number}" for number in dataset["sample"].to_numpy()]
                self._folders += [folder] * count
        self.patterns = np.concatenate(patterns)
        self.labels = np.concatenate(labels).astype(np.int32)

    def keys(self) -> pd.DataFrame:
        """Return the folder, the content (a hash) and the class of each pattern."""
        columns = {"folder": self._folders, "content": self._hashes, "stratum": self.labels}
        return pd.DataFrame(columns, index=pd.Index(self._names, name="pattern"))

    def split_options(self) -> Options:
        """Return that each class is divided in the order of hashes, so both are in each part."""
        return Options(ranked=True)

    def fit(self) -> None:
        """Compute mean and standard deviation of the training patterns."""
        train = self.patterns[self.division.parts[TRAIN]]
        self.center, self.spread = float(train.mean()), float(max(train.std(), 1e-6))

    def build(self) -> Any:
        """Return a network of four convolutions, from a pattern to two logits."""
        import keras
        from keras import layers

        width = self.settings["width"]
        inputs = layers.Input(self.patterns.shape[1:])
        values = inputs
        for level in range(4):
            values = layers.Conv2D(width * 2**level, 3, padding="same", use_bias=False)(values)
            values = layers.GroupNormalization(groups=-1)(values)
            values = layers.MaxPooling2D(padding="same")(layers.Activation("relu")(values))
        values = layers.Dropout(self.settings["dropout"])(layers.GlobalAveragePooling2D()(values))
        return keras.Model(inputs, layers.Dense(len(NAMES), dtype="float32")(values))

    def specification(self) -> ModelSpec:
        """Return the shapes of a model."""
        return ModelSpec(
            {"pattern": Array(self.patterns.shape[1:], "intensity (row, column, channel), scaled")},
            Array((len(NAMES),), f"logits of {' and '.join(NAMES)}"),
            has_classes=True,
        )

    def batch(self, numbers: Numbers, rng: np.random.Generator | None) -> Batch:
        """Return standardised patterns, labels (sample,) int32 and weights of 1."""
        del rng  # nothing is augmented: the geometry of the detector has no symmetry
        patterns = (self.patterns[numbers] - self.center) / self.spread
        weights = np.ones(len(numbers), np.float32)
        return patterns.astype(np.float32), self.labels[numbers], weights

    def sample_loss(self, targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """Return the sums of weighted cross-entropies and of weights."""
        import keras
        from keras import ops

        losses = keras.losses.sparse_categorical_crossentropy(
            targets, predictions, from_logits=True
        )
        return ops.sum(losses * weights), ops.sum(weights)

    def outputs(self, model: Any, numbers: Numbers) -> Values:
        """Return probabilities (sample, class)."""
        from scipy.special import softmax

        return np.asarray(softmax(super().outputs(model, numbers), axis=1), np.float32)

    def targets(self, numbers: Numbers) -> xr.DataArray:
        """Return the probability of each structure, 0 or 1: (sample, structure)."""
        return xr.DataArray(
            np.eye(len(NAMES), dtype=np.float32)[self.labels[numbers]],
            [
                ("sample", np.asarray(self.table.index, object)[numbers]),
                ("structure", np.array(NAMES, object)),
            ],
            name="probability",
            attrs={"units": "1"},
        )

    def fit_baselines(self) -> Mapping[str, Baseline]:
        """Return the shares of the classes in training, and a logistic regression."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        train = self.division.parts[TRAIN]
        shares = np.bincount(self.labels[train], minlength=len(NAMES)) / len(train)
        linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
        linear.fit(self._coarse(train), self.labels[train])
        return {
            "majority": lambda numbers: np.tile(shares, (len(numbers), 1)),
            "linear": lambda numbers: linear.predict_proba(self._coarse(numbers)),
        }

    def facts(self) -> Mapping[str, Any]:
        """Return the scaling of the patterns and what the labels mean, for the record."""
        return {
            "patterns": {"shape": list(self.patterns.shape[1:]), "bin_px": self.settings["bin"]},
            "scaling": {"mean": self.center, "deviation": self.spread, "from": TRAIN},
            "labels": "0 monoclinic, 1 tetragonal: by SciML-Bench's code, not by the files",
        }

    def _coarse(self, numbers: Numbers) -> Values:
        return binned(self.patterns[numbers], LINEAR_SIDE).reshape(len(numbers), -1)


prepare = Structure


def figures(results: Results) -> Mapping[str, Any]:
    """Return the figure `confusion` of the test part."""
    values = results.predictions[TEST]
    y_true, y_pred = true_and_predicted(values.observed, values.predicted)
    return {"confusion": confusion(results, y_true, y_pred, NAMES, heading=TEST)}


def binned(images: npt.NDArray[Any], side: int) -> Values:
    """Return images averaged over squares of pixels: (sample, row, column, channel) float32.

    Rows and columns that do not fill a square are left out.
    """
    count, rows, columns, channels = images.shape
    rows, columns = rows // side, columns // side
    whole = images[:, : rows * side, : columns * side]
    squares = whole.reshape(count, rows, side, columns, side, channels)
    return np.asarray(squares.mean(axis=(2, 4), dtype=np.float64), np.float32)
