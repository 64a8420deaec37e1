"""hydronet, the benchmark: the energy of a water cluster from its geometry."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from sciml_data.bench.interface import Array, Baseline, Batch, Benchmark, ModelSpec, Numbers
from sciml_data.bench.plots import observed_and_predicted
from sciml_data.bench.scoring.classification import require_sklearn
from sciml_data.bench.task.splits import TRAIN, Options, evenly_spaced
from sciml_data.ready import open_ready

if TYPE_CHECKING:
    from sciml_data.bench.plots import Results
    from sciml_data.bench.scoring.predictions import Predictions
    from sciml_data.registry.stages import Converted

READS = "files"  # each file of the dataset is a split
# QM9 has another kind of energy, and `min` has clusters of `min_data` again.
FILES = ("min_data", "nonmin_data")
ATOMS_EACH = 3  # of a molecule of water
HYDROGEN, OXYGEN = 1, 8
PAIRS = ((OXYGEN, OXYGEN), (OXYGEN, HYDROGEN), (HYDROGEN, HYDROGEN))
NEAREST, FARTHEST = 1.2, 8.0  # angstrom, first and last Gaussian; bonds within molecules are below
CLUSTERS_AT_ONCE = 256  # of which distances are computed: 90 x 90 numbers each at most
PRECISION = 3  # decimals of the distances, in angstrom, that identify a geometry

Values = npt.NDArray[np.float32]


class Energy(Benchmark):
    """The problem that the engine trains on. A sample is one cluster.

    Energies are divided by the number of molecules, so clusters of all sizes weigh alike.

    Attributes:
        descriptors: (cluster, feature) float32, see `describe_clusters`.
        energies: (cluster,) energy for each molecule, in the unit of the file.
        molecules: (cluster,) number of molecules.
    """

    LEAKAGE = (
        "a geometry in both parts is the same cluster; a number of molecules in both parts is "
        "expected except with split size. Clusters of one search for minima resemble each other, "
        "and the files do not name the search"
    )

    INPUTS: Mapping[str, tuple[str, ...]] = {"descriptor": ("feature",)}

    def open(self, data: Converted) -> None:
        """Read the clusters of both files and compute their descriptors."""
        require_sklearn()
        tables = []
        for name in FILES:
            with open_ready(data, split=name) as dataset:
                tables.append(self._read(dataset, name))
        joined = {key: np.concatenate([table[key] for table in tables]) for key in tables[0]}
        self.descriptors, self.energies = joined["descriptor"], joined["energy"]
        self.molecules, self._geometry = joined["molecules"], joined["geometry"]
        self._names, self._files = joined["name"], joined["file"]

    def keys(self) -> pd.DataFrame:
        """Return the file, the geometry (a hash) and the number of molecules of each cluster."""
        columns = {
            "source": self._files,
            "geometry": self._geometry,
            "molecules": self.molecules.astype(np.int64),
        }
        return pd.DataFrame(columns, index=pd.Index(self._names, name="cluster"))

    def split_options(self) -> Options:
        """Return that ids are divided in the order of their hashes, because sizes are few."""
        return Options(ranked=True)

    def fit(self) -> None:
        """Compute mean and standard deviation of descriptors and energies in training."""
        train = self.division.parts[TRAIN]
        chosen, energies = self.descriptors[train], self.energies[train]
        # A feature that is hardly ever present would be scaled up to noise.
        self.features = chosen.mean(axis=0), np.maximum(chosen.std(axis=0), 1e-3)
        self.scale = float(energies.mean()), float(max(energies.std(), 1e-6))

    def build(self) -> Any:
        """Return a network of two hidden layers beside a linear layer."""
        import keras
        from keras import layers

        inputs = layers.Input((self.descriptors.shape[1],))
        values = inputs
        for _ in range(2):
            values = layers.Dense(self.settings["width"], activation="silu")(values)
        linear = layers.Dense(1, dtype="float32", kernel_initializer="zeros")(inputs)
        bent = layers.Dense(1, dtype="float32", kernel_initializer="zeros")(values)
        return keras.Model(inputs, layers.Add(dtype="float32")([linear, bent]))

    def specification(self) -> ModelSpec:
        """Return the shapes of a model."""
        width = self.descriptors.shape[1]
        return ModelSpec(
            {"descriptor": Array((width,), "smeared distances of atoms, standardised")},
            Array((1,), "energy for each molecule, standardised"),
        )

    def batch(self, numbers: Numbers, rng: np.random.Generator | None) -> Batch:
        """Return standardised descriptors, energies (cluster, 1), and weights of 1."""
        del rng  # the descriptor does not change with rotations and the order of atoms
        targets = (self.energies[numbers, None] - self.scale[0]) / self.scale[1]
        weights = np.ones(len(numbers), np.float32)
        return self._standard(numbers), targets.astype(np.float32), weights

    def sample_loss(self, targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """Return the sums of weighted squared errors and of weights."""
        from keras import ops

        return ops.sum(ops.square(targets - predictions)[:, 0] * weights), ops.sum(weights)

    def outputs(self, model: Any, numbers: Numbers) -> npt.NDArray[Any]:
        """Return the energy for each molecule in the unit of the file: (cluster,)."""
        return super().outputs(model, numbers)[:, 0] * self.scale[1] + self.scale[0]

    def targets(self, numbers: Numbers) -> xr.DataArray:
        """Return the energy of clusters for each molecule: (cluster,)."""
        return xr.DataArray(
            self.energies[numbers], [("cluster", self._names[numbers])], name="energy"
        )

    def scoring_data(self, predictions: Predictions) -> xr.Dataset:
        """Return predictions with the file of each cluster."""
        files = [str(name).partition("/")[0] for name in predictions.coords["cluster"]]
        return predictions.to_dataset().assign_coords(file=("cluster", files))

    def fit_baselines(self) -> Mapping[str, Baseline]:
        """Return the mean, a line over the number of molecules, and ridge on the descriptor."""
        from sklearn.linear_model import LinearRegression, RidgeCV

        train = self.division.parts[TRAIN]
        energies = self.energies[train]
        mean, sizes = energies.mean(), self.molecules[:, None].astype(np.float64)
        # A line of the total energy in the number of molecules is a + b / molecules of each.
        size = LinearRegression().fit(1 / sizes[train], energies)
        ridge = RidgeCV(np.logspace(-4, 3, 15)).fit(self._standard(train), energies)
        return {
            "mean": lambda numbers: np.full(len(numbers), mean),
            "molecules": lambda numbers: size.predict(1 / sizes[numbers]),
            "ridge": lambda numbers: ridge.predict(self._standard(numbers)),
        }

    def facts(self) -> Mapping[str, Any]:
        """Return the descriptor and the scaling, for the record."""
        return {
            "descriptor": {
                "features": self.descriptors.shape[1],
                "pairs": ["OO", "OH", "HH"],
                "angstrom": [NEAREST, FARTHEST],
            },
            "scaling": {"mean": self.scale[0], "deviation": self.scale[1], "from": TRAIN},
            "energy": "divided by the number of molecules; unit of the file",
        }

    def _standard(self, numbers: Numbers) -> Values:
        mean, deviation = self.features
        return np.asarray((self.descriptors[numbers] - mean) / deviation, np.float32)

    def _read(self, dataset: xr.Dataset, file: str) -> dict[str, npt.NDArray[Any]]:
        """Return the descriptors, hashes and energies of a file's clusters by name."""
        limit = self.settings["clusters"]
        chosen = evenly_spaced(np.arange(dataset.sizes["sample"]), limit)
        table = dataset.isel(sample=chosen)
        atoms = table["atom_count"].to_numpy()
        descriptors, hashes = [], []
        for start in range(0, len(chosen), CLUSTERS_AT_ONCE):
            some = table.isel(sample=slice(start, start + CLUSTERS_AT_ONCE))
            used = int(some["atom_count"].max())
            found = describe_clusters(
                some["position"].to_numpy()[:, :used],
                some["atomic_number"].to_numpy()[:, :used],
                self.settings["centers"],
            )
            descriptors.append(found[0])
            hashes += found[1]
        names = [f"{file}/{number}" for number in table["sample"].to_numpy()]
        return {
            "descriptor": np.concatenate(descriptors),
            "geometry": np.array(hashes, object),
            "molecules": atoms // ATOMS_EACH,
            "energy": np.asarray(table["energy"].to_numpy() * ATOMS_EACH / atoms, np.float32),
            "name": np.array(names, object),
            "file": np.array([file] * len(names), object),
        }


prepare = Energy


def figures(results: Results) -> Mapping[str, Any]:
    """Return the figure `energies`: observed and predicted energies of each part."""
    panels = [
        (part, values.observed, values.predicted, "energy for each molecule")
        for part, values in results.predictions.items()
    ]
    return {"energies": observed_and_predicted(results, panels)}


def describe_clusters(
    positions: Values, elements: npt.NDArray[np.uint8], centers: int
) -> tuple[Values, list[str]]:
    """Return a descriptor of each cluster, (cluster, feature), and a hash of its geometry.

    For each pair of elements the distances of all pairs of atoms are smeared by Gaussians, summed
    and divided by the number of molecules. Neither changes with rotations, mirrors and the order of
    the atoms. A potential that is a sum over pairs of atoms is linear in the descriptor.

    Args:
        positions: (cluster, atom, 3) in angstrom; NaN where a cluster has no atom.
        elements: (cluster, atom) atomic numbers; 0 where a cluster has no atom.
        centers: number of Gaussians.
    """
    at, step = np.linspace(NEAREST, FARTHEST, centers, retstep=True)
    first, second = np.triu_indices(elements.shape[1], 1)
    descriptors = np.zeros((len(elements), len(PAIRS), centers), np.float32)
    hashes = []
    for number, (places, kinds) in enumerate(zip(positions, elements, strict=True)):
        distances = np.linalg.norm(places[first] - places[second], axis=-1)
        kind = np.minimum(kinds[first], kinds[second]), np.maximum(kinds[first], kinds[second])
        texts = []
        for row, (large, small) in enumerate(PAIRS):
            of_pair = np.sort(distances[(kind[0] == small) & (kind[1] == large)])
            smeared = np.exp(-0.5 * ((of_pair[:, None] - at) / step) ** 2).sum(axis=0)
            descriptors[number, row] = smeared * ATOMS_EACH / np.count_nonzero(kinds)
            texts.append((of_pair.round(PRECISION) + 0.0).astype(np.float32).tobytes())
        hashes.append(hashlib.sha256(b"".join(texts)).hexdigest()[:16])
    return descriptors.reshape(len(elements), -1), hashes
