"""STEMDL classification, the benchmark: the space group of a crystal from diffraction patterns.

`prepare` is the entry point of the engine. `Classification` implements the interface `Problem` of
`sciml_data.bench.interface` with the other modules of this folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciml_data.bench.plots import PREVIEWS_NAME, save_previews
from sciml_data.bench.scoring import classification
from sciml_data.bench.scoring.compute import compute_metrics
from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.bench.task.splits import (
    TEST,
    TRAIN,
    Division,
    Options,
    describe,
    divide,
    evenly_spaced,
    leakage,
)
from sciml_data.bench.task.task import load_task
from sciml_data.ready.patches import read_ahead
from sciml_data.ready.samples import Numbers

from . import baselines as simple
from . import losses
from .augment import augment_square
from .log_intensity import make_scaling
from .patterns import (
    GROUP,
    STACK,
    UNSCALED,
    Patterns,
    find_stacks,
    keys_of,
    material_of,
    open_patterns,
)
from .polar import POLAR, REFERENCE, PolarGrid, augment_polar, check_coordinates, scale_radius
from .previews import preview_stacks
from .space_groups import LAST, systems_of
from .tables import write_tables

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.bench.plots import Results
    from sciml_data.bench.task.split import Split
    from sciml_data.registry.stages import Converted

READS = "files"  # `prepare` wants the ready files, not an opened dataset: bench/interface.py
PREFETCH = 4  # batches read ahead
MAX_FOR_STATISTICS = 256  # training stacks, evenly spaced
LEAKAGE = (
    "stacks of one material differ in the energy of the beam alone: scores on materials that were "
    "trained on say what was remembered. A formula on both sides may be another crystal"
)
# Each part gets a unit of every space group that has three.
SPLITS = Options(
    ranked=True,
    min_units=3,
    hint="use more files, a larger sample, --split random or --split published",
)
Batch = tuple[Any, Any, Any]


def prepare(converted: Converted, split: Split, settings: Mapping[str, Any]) -> Classification:
    """Return the benchmark on the stacks on this computer and one split.

    Args:
        converted: ready form of `stemdl_cbed` or `stemdl_ds1`, all of it or some files.
        split: stored rule.
        settings: see task.toml.

    Raises:
        CallError: the value of a setting is not valid, the split is by material and the dataset
            does not name materials, or scikit-learn is not installed.
        SciMLDataError: a part has no stack.
    """
    classification.require_sklearn()
    check_coordinates(settings)
    stacks = find_stacks(converted)
    scaling = make_scaling(
        settings,
        stacks.shapes[STACK][-1],
        is_log_intensity=stacks.attributes["scaling"] != UNSCALED,
    )
    division = divide(split, keys_of(stacks), SPLITS)
    patterns = open_patterns(stacks, scaling, memory_gib=settings["memory_gib"])
    return Classification(patterns, division, settings)


def figures(results: Results) -> Mapping[str, Any]:
    """Return the figures of a run; see `figures.py`."""
    from .figures import draw

    return draw(results)


class Classification:
    """The problem that the engine trains on. A sample is a stack of three patterns."""

    def __init__(self, patterns: Patterns, split: Division, settings: Mapping[str, Any]) -> None:
        """Declare the classes: the space groups of the training part."""
        self.patterns, self.split, self.settings = patterns, split, settings
        self.stacks = patterns.stacks
        self.parts = tuple(split.parts)
        self.leakage = leakage(split, keys_of(self.stacks), meaning=LEAKAGE)
        self.metrics = load_task(Path(__file__).parent).metrics
        self.labels = np.unique(self.stacks[GROUP])
        self.declared, counts = np.unique(
            self.stacks[GROUP][split.parts[TRAIN]], return_counts=True
        )
        self.class_weights = losses.class_weights(
            counts, settings["class_weights"], beta=settings["effective_beta"]
        )
        self._number = {name: number for number, name in enumerate(self.stacks["name"])}
        is_polar = settings["coordinates"] == POLAR
        self.polar_grid = PolarGrid(patterns.scaling.size) if is_polar else None
        self._statistics: tuple[float, float] | None = None

    @property
    def messages(self) -> tuple[str, ...]:
        """Return the leakage report in sentences, which are printed before training."""
        return tuple(self.leakage["told"])

    @property
    def sizes(self) -> Mapping[str, int]:
        """Return the stacks of each part."""
        return {part: len(numbers) for part, numbers in self.split.parts.items()}

    @property
    def is_reference(self) -> bool:
        """Return whether the model takes three patterns as channels and has 231 classes."""
        return bool(self.settings["model"] == REFERENCE)

    @property
    def statistics(self) -> tuple[float, float]:
        """Return mean and standard deviation of the training part's log intensities."""
        if self._statistics is None:
            subset = evenly_spaced(self.split.parts[TRAIN], MAX_FOR_STATISTICS)
            values = self.patterns.take(subset)
            self._statistics = (float(values.mean()), float(max(values.std(), 1e-6)))
        return self._statistics

    def build(self) -> Any:
        """Return the configured model."""
        from .models import build_model

        return build_model(
            self.settings,
            shape=self.patterns.shape[:2] if self.polar_grid is None else self.polar_grid.shape,
            classes=len(self.declared),
            statistics=self.statistics,
        )

    def batches(self, part: str, *, batch_size: int, seed: int) -> Iterator[Batch]:
        """Return one epoch: patterns, classes (stack,) int32, and weights (stack,) float32.

        Patterns are log intensities, float32, 0 to 255: (stack, radius, angle, view), or
        (stack, row, column, view) if coordinates are square. The training part is shuffled, and
        its patterns are rotated and mirrored at random; with `views=1` one view of each stack is
        drawn. The other parts come whole and in order. A stack whose group is not a class has
        weight 0.
        """
        numbers, is_train = self.split.parts[part], part == TRAIN
        order = np.random.default_rng(seed).permutation(numbers) if is_train else numbers
        size = batch_size if is_train else max(batch_size, self.settings["evaluation_batch"])
        tasks = [(place, order[place : place + size]) for place in range(0, len(order), size)]

        def make(task: tuple[int, Numbers]) -> Batch:
            place, chosen = task
            return self._batch(chosen, np.random.default_rng((seed, place)) if is_train else None)

        return read_ahead(tasks, make, threads=self.settings["reader_threads"], prefetch=PREFETCH)

    def sample_loss(self, targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """Return the sums of weighted losses and of weights; see `losses.loss_sums`."""
        smoothing = self.settings["label_smoothing"]
        return losses.loss_sums(targets, predictions, weights, smoothing=smoothing)

    def samples_in(self, weights: Any) -> Any:
        """Return the number of stacks in a batch."""
        from keras import ops

        return ops.shape(weights)[0]

    def predict(self, model: Any, part: str) -> Predictions:
        """Return the predicted probabilities of a part's stacks, averaged over views."""
        numbers = self.scored(part)
        return self._predictions(numbers, self._probabilities(model, numbers))

    def predict_into(self, model: Any, part: str, folder: Path) -> Predictions:
        """Return the predictions; write two tables, and the previews, into a folder."""
        numbers = self.scored(part)
        probabilities = self._probabilities(model, numbers)
        predictions = self._predictions(numbers, probabilities)
        write_tables(folder, part, predictions)
        if part == TEST:
            stacks = preview_stacks(self.patterns, numbers, probabilities)
            save_previews(folder / PREVIEWS_NAME, stacks)
        return predictions

    def baselines(self) -> Mapping[str, Mapping[str, Predictions]]:
        """Return the predictions of each baseline for each part."""
        train = evenly_spaced(self.split.parts[TRAIN], self.settings["baseline_stacks"])
        targets = self._targets(self.stacks[GROUP][train])
        fitted = simple.fit(self.patterns, train, targets, len(self.declared))
        by_name: dict[str, dict[str, Predictions]] = {name: {} for name in fitted}
        for part in self.parts:
            numbers = self.scored(part)
            for name, classifier in fitted.items():
                probabilities = self._all_groups(classifier.probabilities(self.patterns, numbers))
                by_name[name][part] = self._predictions(numbers, probabilities)
        return by_name

    def score(self, predictions: Predictions) -> Mapping[str, float]:
        """Return every metric of task.toml."""
        return compute_metrics(self.metrics, self.scoring_data(predictions))

    def scoring_data(self, predictions: Predictions) -> xr.Dataset:
        """Return predictions with the material of each stack, if known, and facts about groups."""
        groups = predictions.coords["space_group"]
        scored = predictions.to_dataset().assign_coords(
            system=("space_group", systems_of(groups)),
            declared=("space_group", np.isin(groups, self.declared)),
        )
        material = material_of(self.stacks)
        if material is None:
            return scored
        numbers = [self._number[str(name)] for name in predictions.coords["stack"]]
        return scored.assign_coords(material=("stack", material[numbers]))

    def diagnostics(self) -> Mapping[str, Any]:
        """Return parts, leakage, classes and scaling, for the record."""
        return {
            "parts": describe(self.split, keys_of(self.stacks)),
            "leakage": self.leakage,
            "classes": {
                "declared": self.declared.tolist(),
                "meaning": "groups of the training part; a model's classes are these in order",
                "not_declared": np.setdiff1d(self.labels, self.declared).tolist(),
            },
            "class_weights": dict(
                zip(map(str, self.declared), self.class_weights.tolist(), strict=True)
            ),
            "levels": {
                **self.patterns.describe(),
                "mean_and_deviation": list(self.statistics),
            },
            "scored_stacks": {part: len(self.scored(part)) for part in self.parts},
            "baseline_stacks": min(self.settings["baseline_stacks"], len(self.split.parts[TRAIN])),
            "selection": "the epoch is chosen by the validation part, so that part's scores are "
            "those of a chosen model; the test part is not looked at before",
        }

    def scored(self, part: str) -> Numbers:
        """Return the stacks of a part that are predicted: all, or a subset of training."""
        numbers = self.split.parts[part]
        if part != TRAIN:
            return numbers
        return evenly_spaced(numbers, self.settings["train_stacks_scored"])

    def _batch(self, numbers: Numbers, rng: np.random.Generator | None) -> Batch:
        """Return one batch; `rng` augments it (training), None leaves it (evaluation)."""
        patterns, groups = self._inputs(numbers), self.stacks[GROUP][numbers]
        if rng is not None and self.settings["augment"]:
            patterns, groups = self._augmented(patterns, groups, rng)
        if rng is not None and self.settings["views"] == 1 and not self.is_reference:
            view = rng.integers(0, 3, len(patterns))
            patterns = np.take_along_axis(patterns, view[:, None, None, None], axis=-1)
        targets = np.searchsorted(self.declared, groups)
        known = np.isin(groups, self.declared)
        targets[~known] = 0
        weights = known.astype(np.float32)
        if rng is not None:
            weights *= self.class_weights[targets]
        outputs = self.declared[targets] if self.is_reference else targets
        return patterns, outputs.astype(np.int32), weights

    def _inputs(self, numbers: Numbers) -> npt.NDArray[np.float32]:
        """Return log intensities of stacks in the coordinates of the network."""
        patterns = self.patterns.take(numbers)
        return patterns if self.polar_grid is None else self.polar_grid.resample(patterns)

    def _augmented(
        self, patterns: npt.NDArray[np.float32], groups: npt.NDArray[np.int64], rng: Any
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return stacks rotated, mirrored and scaled at random, and their groups."""
        if self.polar_grid is not None:
            if self.settings["stretch"]:
                patterns = scale_radius(patterns, self.settings["stretch"], rng)
            return augment_polar(patterns, groups, self.declared, rng)
        is_sharp = self.patterns.scaling.block == 1
        return augment_square(patterns, groups, self.declared, rng=rng, is_sharp=is_sharp)

    def _targets(self, groups: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.searchsorted(self.declared, groups)

    def _probabilities(self, model: Any, numbers: Numbers) -> npt.NDArray[np.float32]:
        """Return (stack, group 0 to 230) float32; 0 for groups that are not classes."""
        from .models import probabilities

        size = self.settings["evaluation_batch"]
        batches = [
            probabilities(model(self._inputs(numbers[start : start + size]), training=False))
            for start in range(0, len(numbers), size)
        ]
        of_classes = np.concatenate(batches)
        if self.is_reference:  # it has all 231 groups as classes, trained or not: leave those out
            of_classes = of_classes[:, self.declared]
            of_classes = of_classes / of_classes.sum(axis=1, keepdims=True)
        return self._all_groups(of_classes)

    def _all_groups(self, of_classes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return (stack, group 0 to 230) from probabilities (stack, class)."""
        of_groups = np.zeros((len(of_classes), LAST + 1), np.float32)
        of_groups[:, self.declared] = of_classes
        return of_groups

    def _predictions(self, numbers: Numbers, of_groups: npt.NDArray[np.float32]) -> Predictions:
        """Return probabilities and one-hot labels, with axes stack and space_group."""
        names = self.stacks["name"][numbers].astype(object)
        return Predictions(
            observed=(self.stacks[GROUP][numbers][:, None] == self.labels).astype(np.uint8),
            predicted=of_groups[:, self.labels],
            coords={"stack": names, "space_group": self.labels},
        )
