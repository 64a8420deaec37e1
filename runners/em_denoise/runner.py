"""em_denoise, the benchmark: clean micrographs of graphene from noisy ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from sciml_data.bench.interface import Array, Baseline, Batch, Benchmark, ModelSpec, Numbers
from sciml_data.bench.plots import best_and_worst
from sciml_data.bench.scoring.images import require_libraries
from sciml_data.bench.task.splits import TEST, TRAIN, Options, evenly_spaced
from sciml_data.ready import read_own

if TYPE_CHECKING:
    from sciml_data.bench.plots import Results

GAUSSIAN_WIDTHS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)  # pixels, standard deviation
MEDIAN_WIDTHS = (3, 5, 7, 9)  # pixels, side of the window
MAX_FOR_SCALE = 64  # training pairs, evenly spaced

Images = npt.NDArray[np.float32]


class Denoise(Benchmark):
    """The problem that the engine trains on. A sample is a noisy image and the clean one.

    Attributes:
        images: the dataset, `noisy` and `clean` (sample, row, column) float32.
        scale: root mean square of the clean images of the training part, which the model divides
            its inputs and targets by.
    """

    LEAKAGE = (
        "pairs with the same clean image differ in noise alone: a score on them shows what the "
        "model remembers"
    )

    INPUTS: Mapping[str, tuple[str, ...]] = {"noisy": ("row", "column", "channel")}

    def open(self, data: xr.Dataset) -> None:
        """Store the dataset; images are read when they are needed."""
        require_libraries()
        self.images = data

    def keys(self) -> pd.DataFrame:
        """Return the clean image (a hash) and the scene of each pair.

        A scene is a block of neighbouring pairs. Blocks that share a clean image are one scene, so
        a division by scenes separates the clean images too.
        """
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        count = self.images.sizes["sample"]
        hashes = [hashlib.sha256(self._read("clean", [n]).tobytes()) for n in range(count)]
        codes, names = pd.factorize(np.array([each.hexdigest()[:16] for each in hashes]))
        blocks = np.arange(count) // self.settings["block"]
        size = len(names) + int(blocks[-1]) + 1
        edges = coo_array((np.ones(count), (codes, len(names) + blocks)), shape=(size, size))
        scenes = connected_components(edges, directed=False)[1][codes]
        columns = {"scene": scenes.astype(np.int64), "clean_image": names[codes]}
        return pd.DataFrame(columns, index=pd.Index(self.images["sample"].to_numpy(), name="pair"))

    def split_options(self) -> Options:
        """Return that scenes are divided in the order of their hashes, because they may be few."""
        return Options(ranked=True, hint="use a smaller block: --set block=1")

    def fit(self) -> None:
        """Compute the scale from at most `MAX_FOR_SCALE` training pairs."""
        chosen = evenly_spaced(self.division.parts[TRAIN], MAX_FOR_SCALE)
        self.scale = float(np.sqrt(np.mean(self._read("clean", chosen).astype(np.float64) ** 2)))

    def build(self) -> Any:
        """Return a U-Net of three levels, from (row, column, 1) to (row, column, 1)."""
        import keras
        from keras import layers

        def block(values: Any, width: int) -> Any:
            for _ in range(2):
                values = layers.Conv2D(width, 3, padding="same", activation="relu")(values)
            return values

        width = self.settings["width"]
        inputs = layers.Input((None, None, 1))
        first = block(inputs, width)
        second = block(layers.AveragePooling2D(2)(first), 2 * width)
        values = block(layers.AveragePooling2D(2)(second), 4 * width)
        for skipped, of_level in ((second, 2 * width), (first, width)):
            upper = layers.UpSampling2D(interpolation="bilinear")(values)
            values = block(layers.Concatenate()([upper, skipped]), of_level)
        return keras.Model(inputs, layers.Conv2D(1, 1, dtype="float32")(values))

    def specification(self) -> ModelSpec:
        """Return the shapes of a model."""
        return ModelSpec(
            {"noisy": Array((None, None, 1), "image, scaled; rows and columns differ by batch")},
            Array((None, None, 1), "clean image of the same size, scaled"),
        )

    def batch(self, numbers: Numbers, rng: np.random.Generator | None) -> Batch:
        """Return noisy and clean images in units of the scale, and weights of 1.

        Images are (sample, row, column, 1) float32. In training they are random squares that are
        rotated by quarters and mirrored, the same of both images.
        """
        pair = list(read_own(len(numbers), lambda own: self._scaled_pair(numbers[own])))
        if rng is not None:
            pair = self._augmented(pair, rng)
        noisy, clean = (images[..., None] for images in pair)
        return noisy, clean, np.ones(len(numbers), np.float32)

    def sample_loss(self, targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """Return the sums of weighted mean squared errors and of weights."""
        from keras import ops

        errors = ops.mean(ops.square(targets - predictions), axis=(1, 2, 3))
        return ops.sum(errors * weights), ops.sum(weights)

    def outputs(self, model: Any, numbers: Numbers) -> Images:
        """Return denoised images in the unit of the data: (sample, row, column)."""
        return np.asarray(super().outputs(model, numbers)[..., 0] * self.scale, np.float32)

    def targets(self, numbers: Numbers) -> xr.DataArray:
        """Return clean images: (sample, channel, row, column)."""
        clean = self._read("clean", numbers)
        rows, columns = (np.arange(length) for length in clean.shape[1:])
        return xr.DataArray(
            clean[:, None],
            [
                ("sample", np.asarray(self.table.index)[numbers]),
                ("channel", np.array(["clean"], object)),
                ("row", rows),
                ("column", columns),
            ],
            name="clean",
        )

    def fit_baselines(self) -> Mapping[str, Baseline]:
        """Return the noisy image itself and two filters of the best width in training."""
        return {
            "noisy": lambda numbers: self._read("noisy", numbers),
            "gaussian": lambda numbers: self._filtered("gaussian", numbers),
            "median": lambda numbers: self._filtered("median", numbers),
        }

    @cached_property
    def widths(self) -> Mapping[str, float]:
        """Return the width of each filter, which was chosen on scored training pairs."""
        return {
            "gaussian": self._best_width("gaussian", GAUSSIAN_WIDTHS),
            "median": self._best_width("median", MEDIAN_WIDTHS),
        }

    def facts(self) -> Mapping[str, Any]:
        """Return the scale and the widths of the filters, for the record."""
        return {"scale": self.scale, "filter_widths_px": dict(self.widths)}

    def _scaled_pair(self, numbers: Numbers) -> tuple[Images, ...]:
        images = (self._read(name, numbers) for name in ("noisy", "clean"))
        return tuple(each / np.float32(self.scale) for each in images)

    def _read(self, name: str, numbers: Any) -> Images:
        return np.asarray(self.images[name][np.asarray(numbers)].to_numpy(), np.float32)

    def _augmented(self, pair: list[Images], rng: np.random.Generator) -> list[Images]:
        count, rows, columns = pair[0].shape
        side = min(self.settings["patch"], rows, columns) // 4 * 4  # two halvings in the U-Net
        cut: list[list[Images]] = [[], []]
        for number in range(count):
            row, column = rng.integers(0, (rows - side + 1, columns - side + 1))
            quarters, is_mirrored = rng.integers(4), rng.integers(2)
            for images, pieces in zip(pair, cut, strict=True):
                piece = images[number, row : row + side, column : column + side]
                piece = np.rot90(piece, int(quarters))
                pieces.append(piece[::-1] if is_mirrored else piece)
        return [np.stack(pieces) for pieces in cut]

    def _filtered(self, kind: str, numbers: Numbers, width: float | None = None) -> Images:
        """Return filtered noisy images: (sample, row, column)."""
        from scipy import ndimage

        width = self.widths[kind] if width is None else width
        noisy = self._read("noisy", numbers)
        if kind == "gaussian":
            return np.asarray(ndimage.gaussian_filter(noisy, (0, width, width)), np.float32)
        return np.asarray(ndimage.median_filter(noisy, (1, int(width), int(width))), np.float32)

    def _best_width(self, kind: str, widths: tuple[float, ...]) -> float:
        """Return the width with the lowest mean squared error on the scored training pairs."""
        train = self.scored(TRAIN)
        clean = self._read("clean", train)
        errors = [np.mean((self._filtered(kind, train, width) - clean) ** 2) for width in widths]
        return widths[int(np.argmin(errors))]


prepare = Denoise


def figures(results: Results) -> Mapping[str, Any]:
    """Return the figure `images`: the best, the median and the worst image of the test part."""
    return {"images": best_and_worst(results, TEST, {"clean": "micrograph"})}
