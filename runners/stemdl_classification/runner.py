"""STEMDL classification, the benchmark: the space group of a crystal from diffraction patterns."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from sciml_data.bench.interface import OWN, Array, Baseline, Batch, Benchmark, ModelSpec, Numbers
from sciml_data.bench.previews import PREVIEWS_NAME
from sciml_data.bench.scoring.classification import require_sklearn
from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.bench.task.splits import TEST, TRAIN, Options, evenly_spaced
from sciml_data.errors import CallError

from . import baselines
from .augment import PolarGrid, Values, augment_polar, augment_square, scale_radius
from .data import GROUP, MATERIAL, Groups, Patterns, find_stacks, keys_of, systems_of
from .figures import draw, save_previews, write_tables

if TYPE_CHECKING:
    from sciml_data.registry.stages import Converted

READS = "files"  # `prepare` needs the ready files, not an opened dataset: bench/interface.py
REFERENCE, POLAR, MEAN, SYMMETRY = "reference", "rings", "mean", "symmetry"  # values of settings
VIEWS = 3  # patterns of a stack
# Each part gets a unit of every space group that has three.
SPLITS = Options(
    ranked=True,
    min_units=3,
    hint="use more files, a larger sample, --split random or --split published",
)
MAX_FOR_STATISTICS = 256  # training stacks, evenly spaced


class Classification(Benchmark):
    """The problem that the engine trains on. A sample is a stack of three patterns.

    Attributes:
        stacks: all stacks, with labels and names.
        patterns: their log intensities.
        labels: space groups of the dataset.
        declared: space groups of the training part, which are the classes.
        class_weights: (class,) weights in the loss, float32.
    """

    LEAKAGE = (
        "stacks of one material differ in the energy of the beam alone: scores on materials that "
        "were trained on say what was remembered. A formula on both sides may be another crystal"
    )

    def open(self, data: Converted) -> None:
        """Check the settings and find the stacks; patterns are read later."""
        require_sklearn()
        check_coordinates(self.settings)
        self.stacks = find_stacks(data)
        self.patterns = Patterns(self.stacks, self.settings)
        is_polar = self.settings["coordinates"] == POLAR
        self.polar_grid = PolarGrid(self.patterns.size) if is_polar else None
        self.is_reference = self.settings["model"] == REFERENCE
        is_own = self.settings["model"].startswith(OWN)
        is_joint = self.is_reference or self.settings["head"] == SYMMETRY
        self.needs_all_views = is_joint or is_own

    def keys(self) -> pd.DataFrame:
        """Return the folder, space group, material and formula of each stack."""
        return keys_of(self.stacks)

    def split_options(self) -> Options:
        """Return that every space group with three units is in every part."""
        return SPLITS

    def fit(self) -> None:
        """Declare the classes, the space groups of the training part, and their weights."""
        self.labels = np.unique(self.stacks[GROUP])
        train = self.stacks[GROUP][self.division.parts[TRAIN]]
        self.declared, counts = np.unique(train, return_counts=True)
        self.class_weights = class_weights(counts, self.settings["effective_beta"])

    @cached_property
    def statistics(self) -> tuple[float, float]:
        """Return mean and standard deviation of the training part's log intensities."""
        subset = evenly_spaced(self.division.parts[TRAIN], MAX_FOR_STATISTICS)
        values = self.patterns.take(subset)
        return float(values.mean()), float(max(values.std(), 1e-6))

    def build(self) -> Any:
        """Return the configured model."""
        from .model import build_model

        side = self.patterns.size
        return build_model(
            self.settings,
            shape=(side, side) if self.polar_grid is None else self.polar_grid.shape,
            classes=len(self.declared),
            statistics=self.statistics,
        )

    def specification(self) -> ModelSpec:
        """Return the shapes of a model."""
        side = self.patterns.size
        shape = (side, side) if self.polar_grid is None else self.polar_grid.shape
        axes = "row, column" if self.polar_grid is None else "radius, angle"
        return ModelSpec(
            {"patterns": Array((*shape, VIEWS), f"log intensity ({axes}, view), standardised")},
            Array((len(self.declared),), "logits of the space groups of the training part"),
            has_classes=True,
        )

    def plain(self, inputs: Any) -> Any:
        """Return standardised patterns (stack, ..., view)."""
        mean, deviation = self.statistics
        return (inputs - mean) / deviation

    def finish(self, outputs: Any) -> Any:
        """Return logits (stack, 1, class): one prediction from all views."""
        from keras import ops

        return ops.expand_dims(outputs, 1)

    def batch(self, numbers: Numbers, rng: np.random.Generator | None) -> Batch:
        """Return patterns, classes (stack,) int32, and weights (stack,) float32.

        Patterns are log intensities, float32, 0 to 255: (stack, radius, angle, view), or
        (stack, row, column, view) if coordinates are square. With `views=1` one view of each stack
        is drawn in training. A stack whose group is not a class has weight 0.
        """
        patterns, groups = self.patterns.take(numbers), self.stacks[GROUP][numbers]
        if self.polar_grid is not None:
            patterns = self.polar_grid.resample(patterns)
        if rng is not None and self.settings["augment"]:
            patterns, groups = self._augmented(patterns, groups, rng)
        if rng is not None and self.settings["views"] == 1 and not self.needs_all_views:
            view = rng.integers(0, VIEWS, len(patterns))
            patterns = np.take_along_axis(patterns, view[:, None, None, None], axis=-1)
        known = np.isin(groups, self.declared)
        targets = np.where(known, np.searchsorted(self.declared, groups), 0)
        weights = known.astype(np.float32)
        if rng is not None:
            weights *= self.class_weights[targets]
        outputs = self.declared[targets] if self.is_reference else targets
        return patterns, outputs.astype(np.int32), weights

    def sample_loss(self, targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """Return the sums of weighted losses and of weights; see `model.loss_sums`."""
        from .model import loss_sums

        smoothing = self.settings["label_smoothing"]
        return loss_sums(targets, predictions, weights, smoothing=smoothing)

    def outputs(self, model: Any, numbers: Numbers) -> npt.NDArray[np.float32]:
        """Return probabilities (stack, class), averaged over views."""
        from .model import probabilities

        of_classes = probabilities(super().outputs(model, numbers))
        if self.is_reference:  # it has all 231 groups as classes, trained or not: leave those out
            of_classes = of_classes[:, self.declared]
            of_classes = of_classes / of_classes.sum(axis=1, keepdims=True)
        return of_classes

    def named_features(self, numbers: Numbers) -> xr.Dataset:
        """Return patterns: log intensities with the axes of the settings' coordinates."""
        axes = ("row", "column") if self.polar_grid is None else ("radius", "angle")
        names, values = self.stacks["name"][numbers], self.batch(numbers, None)[0]
        return xr.Dataset({"patterns": (("stack", *axes, "view"), values)}, {"stack": names})

    def targets(self, numbers: Numbers) -> xr.DataArray:
        """Return the probability of each space group, 0 or 1: (stack, space group)."""
        return xr.DataArray(
            (self.stacks[GROUP][numbers][:, None] == self.labels).astype(np.uint8),
            [
                ("stack", self.stacks["name"][numbers].astype(object)),
                ("space_group", self.labels),
            ],
            name="probability",
            attrs={"units": "1"},
        )

    def predictions(self, numbers: Numbers, values: npt.NDArray[Any]) -> Predictions:
        """Return probabilities (stack, space group) from those of classes; 0 of other groups."""
        of_labels = np.zeros((len(numbers), len(self.labels)), np.float32)
        of_labels[:, np.isin(self.labels, self.declared)] = values
        return super().predictions(numbers, of_labels)

    def write_outputs(self, folder: Path, part: str, predictions: Predictions) -> None:
        """Write two tables, and the previews of the test part."""
        write_tables(folder, part, predictions)
        if part == TEST:
            path = folder / PREVIEWS_NAME
            save_previews(path, self.patterns, self.scored(part), predictions)

    def fit_baselines(self) -> Mapping[str, Baseline]:
        """Return the baselines, fitted to at most `baseline_stacks` stacks."""
        train = evenly_spaced(self.division.parts[TRAIN], self.settings["baseline_stacks"])
        targets = np.searchsorted(self.declared, self.stacks[GROUP][train])
        return baselines.fit(self.patterns, train, targets, len(self.declared))

    def scoring_data(self, predictions: Predictions) -> xr.Dataset:
        """Return predictions with the material of each stack, if known, and facts about groups."""
        groups = predictions.coords["space_group"]
        scored = predictions.to_dataset().assign_coords(
            system=("space_group", systems_of(groups)),
            declared=("space_group", np.isin(groups, self.declared)),
        )
        if not self.stacks.is_known(MATERIAL):
            return scored
        material = self.table[MATERIAL].loc[[*predictions.coords["stack"]]]
        return scored.assign_coords(material=("stack", material.to_numpy()))

    def facts(self) -> Mapping[str, Any]:
        """Return classes and scaling, for the record."""
        weights = zip(map(str, self.declared), self.class_weights.tolist(), strict=True)
        return {
            "classes": {
                "declared": self.declared.tolist(),
                "meaning": "groups of the training part; a model's classes are these in order",
                "not_declared": np.setdiff1d(self.labels, self.declared).tolist(),
            },
            "class_weights": dict(weights),
            "levels": {**self.patterns.describe(), "mean_and_deviation": list(self.statistics)},
        }

    def _augmented(
        self, patterns: Values, groups: Groups, rng: np.random.Generator
    ) -> tuple[Values, Groups]:
        """Return stacks rotated, mirrored and scaled at random, and their groups."""
        if self.polar_grid is None:
            is_sharp = self.patterns.block == 1
            return augment_square(patterns, groups, self.declared, rng=rng, is_sharp=is_sharp)
        if self.settings["stretch"]:
            patterns = scale_radius(patterns, self.settings["stretch"], rng)
        return augment_polar(patterns, groups, self.declared, rng)


prepare = Classification
figures = draw


def check_coordinates(settings: Mapping[str, Any]) -> None:
    """Check that coordinates, head and model fit each other.

    Raises:
        CallError: the reference is to take polar patterns, or harmonics or symmetries are to be
            taken of square patterns.
    """
    name, is_reference = settings["coordinates"], settings["model"] == REFERENCE
    if is_reference and name == POLAR:
        reason, hint = "the reference needs square patterns", "coordinates=square, or --model base"
    elif not is_reference and name != POLAR and settings["head"] != MEAN:
        reason = f"head={settings['head']} needs polar patterns"
        hint = f"coordinates={POLAR}, or --set head=mean"
    else:
        return
    message = f"{reason}, and coordinates={name}"
    raise CallError(message, untouched="nothing was trained", hint=f"--set {hint}")


def class_weights(counts: npt.NDArray[np.integer[Any]], beta: float) -> npt.NDArray[np.float32]:
    """Return (1 - beta) / (1 - beta^count) of each class, scaled to a mean of one over all samples.

    The denominator is the effective number of samples (Cui et al. 2019, equation 2).

    Args:
        counts: (class,) samples in training, at least one each.
        beta: 0 gives equal weights, values near 1 approach the inverse number of samples.
    """
    raw = (1 - beta) / (1 - beta ** counts.astype(np.float64))
    return np.asarray(raw * counts.sum() / (raw * counts).sum(), np.float32)
