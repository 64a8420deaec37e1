"""optical_damage, the benchmark: damaged laser optics from pictures of undamaged ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from sciml_data.bench.interface import Baseline, Batch, Benchmark, Numbers
from sciml_data.bench.plots import confusion
from sciml_data.bench.scoring.classification import require_sklearn, true_and_predicted
from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.bench.task.splits import TEST, TRAIN, VALIDATION, evenly_spaced
from sciml_data.ready import open_ready

if TYPE_CHECKING:
    from sciml_data.bench.plots import Results
    from sciml_data.registry.stages import Converted

READS = "files"  # training, validation and inference are three splits of the ready files
FOLDERS = ("training", "validation", "inference")
PICTURES_AT_ONCE = 64  # read together: 41 MB as published
NAMES = ("damaged", "undamaged")
WORST_SHARE = 0.01  # of the pixels, by whose mean error a picture is judged: damage is local
SMALLEST = 1e-12  # keeps the logarithm of a perfect redrawing finite
MAX_FOR_PCA = 2000  # training pictures, evenly spaced

Values = npt.NDArray[np.float32]
Errors = npt.NDArray[np.float64]


class Damage(Benchmark):
    """The problem that the engine trains on. A sample is one picture.

    A model redraws pictures of undamaged optics. A picture is damaged by as much as its redrawing
    errs more than those of undamaged pictures of the validation part.

    Attributes:
        pictures: (sample, row, column) float32, cropped and averaged over squares of pixels.
        states: (sample,) 0 damaged, 1 undamaged.
        center: mean of the training pictures.
        spread: standard deviation of the training pictures.
    """

    LEAKAGE = (
        "a picture that is in two parts bit by bit was trained on; pictures of one optic that "
        "follow one another look alike too, and the files do not name the optic"
    )

    INPUTS: Mapping[str, tuple[str, ...]] = {"picture": ("row", "column", "channel")}

    def open(self, data: Converted) -> None:
        """Read the pictures of all folders, cropped and averaged, and hash the originals."""
        require_sklearn()
        pictures, states, self._names, self._hashes, self._folders = [], [], [], [], []
        for folder in FOLDERS:
            with open_ready(data, split=folder) as dataset:
                classes = [name.decode() for name in dataset["class_name"].to_numpy()]
                known = np.array([NAMES.index(name) for name in classes])
                count = dataset.sizes["sample"]
                for start in range(0, count, PICTURES_AT_ONCE):
                    chunk = slice(start, start + PICTURES_AT_ONCE)
                    images = dataset["image"][chunk].to_numpy()
                    pictures.append(self._cropped(images))
                    self._hashes += [hashlib.sha256(i.tobytes()).hexdigest()[:16] for i in images]
                states.append(known[dataset["label"].to_numpy()])
                self._names += [name.decode() for name in dataset["file"].to_numpy()]
                self._folders += [folder] * count
        self.pictures = np.concatenate(pictures)
        self.states = np.concatenate(states)

    def keys(self) -> pd.DataFrame:
        """Return folder, state and content (a hash) of each picture.

        Folder and state together name the rows that a part may have: damaged pictures of the
        folders `training` and `validation` are in no part.
        """
        states = [NAMES[state] for state in self.states]
        folders = [f"{folder}/{state}" for folder, state in zip(self._folders, states, strict=True)]
        group = [name if name.startswith(FOLDERS[:2]) else "inference" for name in folders]
        columns = {"folder": group, "content": self._hashes}
        return pd.DataFrame(columns, index=pd.Index(self._names, name="picture"))

    def fit(self) -> None:
        """Compute mean and standard deviation of the training pictures."""
        train = self.pictures[self.division.parts[TRAIN]]
        self.center, self.spread = float(train.mean()), float(max(train.std(), 1e-6))

    def build(self) -> Any:
        """Return an autoencoder of three levels, from (row, column, 1) to (row, column, 1)."""
        import keras
        from keras import layers

        width = self.settings["width"]
        rows, columns = self.pictures.shape[1:]
        inputs = layers.Input((rows, columns, 1))
        values = inputs
        for level in range(3):
            values = layers.Conv2D(width * 2**level, 3, 2, padding="same", activation="relu")(
                values
            )
        values = layers.Conv2D(self.settings["code"], 1)(values)
        for level in (2, 1, 0):
            values = layers.UpSampling2D(interpolation="bilinear")(values)
            values = layers.Conv2D(width * 2**level, 3, padding="same", activation="relu")(values)
        values = layers.Conv2D(1, 1, dtype="float32")(values)
        extra = (
            values.shape[1] - rows,
            values.shape[2] - columns,
        )  # of lengths that 8 does not divide
        return keras.Model(inputs, layers.Cropping2D(((0, extra[0]), (0, extra[1])))(values))

    def batch(self, numbers: Numbers, rng: np.random.Generator | None) -> Batch:
        """Return standardised pictures twice, (sample, row, column, 1), and weights of 1.

        In training they are mirrored at random.
        """
        pictures = ((self.pictures[numbers] - self.center) / self.spread).astype(np.float32)
        if rng is not None:
            mirrored = rng.random(len(numbers)) < 0.5
            pictures[mirrored] = pictures[mirrored, :, ::-1]
        pictures = pictures[..., None]
        return pictures, pictures, np.ones(len(numbers), np.float32)

    def sample_loss(self, targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """Return the sums of weighted mean squared errors and of weights."""
        from keras import ops

        errors = ops.mean(ops.square(targets - predictions), axis=(1, 2, 3))
        return ops.sum(errors * weights), ops.sum(weights)

    def predict(self, model: Any, part: str) -> Predictions:
        """Return the probability of damage of the scored pictures of a part."""
        numbers = self.scored(part)
        errors_of = partial(self._model_errors, model)
        return self.predictions(numbers, self._probabilities(errors_of, numbers))

    def targets(self, numbers: Numbers) -> xr.DataArray:
        """Return the probability of each state, 0 or 1: (sample, state)."""
        return xr.DataArray(
            np.eye(len(NAMES), dtype=np.float32)[self.states[numbers]],
            [
                ("sample", np.asarray(self.table.index, object)[numbers]),
                ("state", np.array(NAMES, object)),
            ],
            name="probability",
            attrs={"units": "1"},
        )

    def fit_baselines(self) -> Mapping[str, Baseline]:
        """Return the errors of two redrawings without a network, as probabilities.

        `mean` redraws each picture as the mean of the training part; `pca` by principal components.
        """
        from sklearn.decomposition import PCA

        chosen = evenly_spaced(self.division.parts[TRAIN], MAX_FOR_PCA)
        train = self.pictures[chosen].reshape(len(chosen), -1)
        count = min(self.settings["components"], len(chosen) - 1)
        components = PCA(count, svd_solver="randomized", random_state=0).fit(train)
        mean = train.mean(axis=0)

        def redrawn(numbers: Numbers) -> Values:
            flat = self.pictures[numbers].reshape(len(numbers), -1)
            return np.asarray(components.inverse_transform(components.transform(flat)), np.float32)

        drawings: dict[str, Callable[[Numbers], Values]] = {"mean": lambda _: mean, "pca": redrawn}
        return {
            name: partial(self._probabilities, partial(self._drawing_errors, drawing))
            for name, drawing in drawings.items()
        }

    def facts(self) -> Mapping[str, Any]:
        """Return form and scaling of the pictures, and the damaged ones of each part."""
        damaged = {
            part: int((self.states[numbers] == 0).sum())
            for part, numbers in self.division.parts.items()
        }
        return {
            "pictures": {"shape": list(self.pictures.shape[1:]), "bin_px": self.settings["bin"]},
            "scaling": {"mean": self.center, "deviation": self.spread, "from": TRAIN},
            "damaged": damaged,
        }

    def _cropped(self, images: npt.NDArray[Any]) -> Values:
        """Return the used square of images, averaged: (sample, row, column) float32."""
        top, left, side, width = (self.settings[key] for key in ("top", "left", "side", "bin"))
        square = images[:, top : top + side, left : left + side].astype(np.float32)
        rows, columns = (length // width for length in square.shape[1:])
        square = square[:, : rows * width, : columns * width]
        shape = (len(images), rows, width, columns, width)
        return np.asarray(square.reshape(shape).mean(axis=(2, 4)), np.float32)

    def _probabilities(self, errors_of: Callable[[Numbers], Errors], numbers: Numbers) -> Values:
        """Return the probability of damage and its complement, by the errors of redrawings.

        It is 0.5 at a quantile of the errors on undamaged pictures of the validation part: the
        share of false alarms follows, and no damaged picture is used to choose it.
        """
        from scipy.special import expit

        reference = errors_of(self.division.parts[VALIDATION])
        limit = np.quantile(reference, 1 - self.settings["false_alarms"])
        damaged = expit((errors_of(numbers) - limit) / max(float(reference.std()), 1e-6))
        return np.stack([damaged, 1 - damaged], axis=1).astype(np.float32)

    def _model_errors(self, model: Any, numbers: Numbers) -> Errors:
        def redrawn(chunk: Numbers) -> Values:
            scaled = self.outputs(model, chunk)[..., 0]
            return np.asarray(scaled * self.spread + self.center, np.float32)

        return self._drawing_errors(redrawn, numbers)

    def _drawing_errors(self, drawing: Callable[[Numbers], Values], numbers: Numbers) -> Errors:
        """Return the logarithm of the mean squared error of the worst pixels of each picture."""
        size, errors = self._evaluation_batch, []
        for start in range(0, len(numbers), size):
            chunk = numbers[start : start + size]
            observed = self.pictures[chunk].reshape(len(chunk), -1)
            squared = (np.reshape(drawing(chunk), (-1, observed.shape[1])) - observed) ** 2.0
            worst = max(1, int(WORST_SHARE * observed.shape[1]))
            errors.append(np.partition(squared, -worst, axis=1)[:, -worst:].mean(axis=1))
        return np.log(np.concatenate(errors).astype(np.float64) + SMALLEST)


prepare = Damage


def figures(results: Results) -> Mapping[str, Any]:
    """Return the figure `confusion` of the test part."""
    values = results.predictions[TEST]
    y_true, y_pred = true_and_predicted(values.observed, values.predicted)
    return {"confusion": confusion(results, y_true, y_pred, NAMES, heading=TEST)}
