"""The classification of stacks as the engine sees it: parts, batches, predictions, scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring import classification
from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.ready.patches.streams import read_ahead

from . import baselines as simple
from . import losses, scores
from . import previews as shown
from . import split as parts
from .augment import turned
from .log_intensity import scaling_of
from .patterns import Patterns, open_patterns
from .polar import REFERENCE, RINGS, Rings, check_coordinates, stretched, turned_rings
from .space_groups import LAST
from .split import TEST, TRAIN, Layout
from .stacks import Numbers, find_stacks

if TYPE_CHECKING:
    from sciml_data.bench.task.split import Split
    from sciml_data.registry.stages import Converted

READS = "files"  # 548 GB: the ready files themselves, not one opened dataset
PREFETCH = 4  # batches read ahead
MOST_FOR_STATISTICS = 256  # training stacks, evenly spaced
Batch = tuple[Any, Any, Any]


def prepare(converted: Converted, split: Split, settings: Mapping[str, Any]) -> Classification:
    """Return the benchmark on the stacks that are here and one split.

    Args:
        converted: ready form of `stemdl_cbed` or `stemdl_ds1`, whole or in part.
        split: a stored rule; see `parts.py`.
        settings: see task.toml.

    Raises:
        CallError: a setting names what does not exist, materials are not known that the split is
            by, or scikit-learn is not installed.
        SciMLDataError: a part is left without a stack.
    """
    classification.require_sklearn()
    losses.check_loss(settings)
    check_coordinates(settings)
    stacks = find_stacks(converted)
    scaling = scaling_of(settings, stacks.side, is_scaled=stacks.is_scaled)
    layout = parts.lay_out(split, stacks)
    patterns = open_patterns(stacks, scaling, memory_gib=settings["memory_gib"])
    return Classification(patterns, layout, settings)


def figures(run_folder: Path, record: Mapping[str, Any]) -> list[Path]:
    """Draw the run: patterns, crystal systems, groups, curve; see `figures.py`."""
    from .figures import draw

    return draw(run_folder, record)


class Classification:
    """The problem that the engine trains on; a sample is a stack of three patterns."""

    def __init__(self, patterns: Patterns, layout: Layout, settings: Mapping[str, Any]) -> None:
        """Declare the classes: the groups of the training part."""
        self.patterns, self.layout, self.settings = patterns, layout, settings
        self.stacks = patterns.stacks
        self.parts = tuple(layout.parts)
        self.leakage = parts.leakage(layout, self.stacks)
        self.labels = np.unique(self.stacks.group)
        self.declared, counts = np.unique(
            self.stacks.group[layout.parts[TRAIN]], return_counts=True
        )
        self.class_weights = losses.class_weights(
            counts, settings["class_weights"], beta=settings["effective_beta"]
        )
        self._number = {name: number for number, name in enumerate(self.stacks.names)}
        is_round = settings["coordinates"] == RINGS
        self.rings = Rings(patterns.scaling.size) if is_round else None
        self._standard: tuple[float, float] | None = None

    @property
    def messages(self) -> tuple[str, ...]:
        """Return what has to be known before the run starts: what its parts share."""
        return tuple(self.leakage["told"])

    @property
    def sizes(self) -> Mapping[str, int]:
        """Return the stacks of each part."""
        return {part: len(numbers) for part, numbers in self.layout.parts.items()}

    @property
    def is_reference(self) -> bool:
        """Return whether the model takes three patterns as channels and has 231 classes."""
        return bool(self.settings["model"] == REFERENCE)

    @property
    def standard(self) -> tuple[float, float]:
        """Return mean and deviation of the training part's levels."""
        if self._standard is None:
            some = _spread(self.layout.parts[TRAIN], MOST_FOR_STATISTICS)
            levels = self.patterns.take(some)
            self._standard = (float(levels.mean()), float(max(levels.std(), 1e-6)))
        return self._standard

    def build(self) -> Any:
        """Return the model that the settings name."""
        from .models import build_model

        return build_model(
            self.settings,
            shape=self.patterns.shape[:2] if self.rings is None else self.rings.shape,
            classes=len(self.declared),
            standard=self.standard,
        )

    def batches(self, part: str, *, batch_size: int, seed: int) -> Iterator[Batch]:
        """Return one epoch: levels (stack, y, x, view) float32, classes int32, weights float32.

        The training part comes shuffled, turned and mirrored, and with `views=1` as one pattern of
        each stack drawn at random; the others come whole and in order. A stack whose group is not
        declared has weight 0.
        """
        numbers, is_train = self.layout.parts[part], part == TRAIN
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
        """Return the stacks of a batch."""
        from keras import ops

        return ops.shape(weights)[0]

    def predict(self, model: Any, part: str) -> Predictions:
        """Return probabilities of a part's stacks, the mean over their views."""
        numbers = self.scored(part)
        return self._predictions(numbers, self._probabilities(model, numbers))

    def predict_into(self, model: Any, part: str, folder: Path) -> Predictions:
        """Return what `predict` does; write a table of groups and one of systems under a folder."""
        numbers = self.scored(part)
        whole = self._probabilities(model, numbers)
        predictions = self._predictions(numbers, whole)
        scores.write_tables(folder, part, predictions)
        if part == TEST:
            shown.write_shown(folder / shown.FILE_NAME, self.patterns, numbers, whole)
        return predictions

    def baselines(self) -> Mapping[str, Mapping[str, Predictions]]:
        """Return for each baseline its probabilities of every part."""
        train = _spread(self.layout.parts[TRAIN], self.settings["baseline_stacks"])
        targets = self._targets(self.stacks.group[train])
        fitted = simple.fit(self.patterns, train, targets, len(self.declared))
        made: dict[str, dict[str, Predictions]] = {name: {} for name in fitted}
        for part in self.parts:
            numbers = self.scored(part)
            for name, one in fitted.items():
                whole = self._widened(one.probabilities(self.patterns, numbers))
                made[name][part] = self._predictions(numbers, whole)
        return made

    def score(self, predictions: Predictions) -> Mapping[str, float]:
        """Return every metric; see `scores.score`."""
        materials = self.stacks.material
        if materials is not None:
            numbers = [self._number[str(name)] for name in predictions.coords["stack"]]
            materials = materials[numbers]
        return scores.score(predictions, self.declared, materials)

    def diagnostics(self) -> Mapping[str, Any]:
        """Return parts, leakage, classes and levels, for the record."""
        return {
            "parts": parts.describe(self.layout, self.stacks),
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
                **self.patterns.facts(),
                "mean_and_deviation": list(self.standard),
            },
            "scored_stacks": {part: len(self.scored(part)) for part in self.parts},
            "baseline_stacks": min(self.settings["baseline_stacks"], len(self.layout.parts[TRAIN])),
            "selection": "the epoch is chosen by the validation part, so that part's scores are "
            "those of a chosen model; the test part is not looked at before",
        }

    def scored(self, part: str) -> Numbers:
        """Return the stacks of a part that are predicted: all, of the training part evenly some."""
        numbers = self.layout.parts[part]
        return _spread(numbers, self.settings["train_stacks_scored"]) if part == TRAIN else numbers

    def _batch(self, numbers: Numbers, rng: np.random.Generator | None) -> Batch:
        levels, groups = self._shown(numbers), self.stacks.group[numbers]
        if rng is not None and self.settings["augment"]:
            levels, groups = self._turned(levels, groups, rng)
        if rng is not None and self.settings["views"] == 1 and not self.is_reference:
            view = rng.integers(0, 3, len(levels))
            levels = np.take_along_axis(levels, view[:, None, None, None], axis=-1)
        targets = np.searchsorted(self.declared, groups)
        known = np.isin(groups, self.declared)
        targets[~known] = 0
        weights = known.astype(np.float32)
        if rng is not None:
            weights *= self.class_weights[targets]
        outputs = self.declared[targets] if self.is_reference else targets
        return levels, outputs.astype(np.int32), weights

    def _shown(self, numbers: Numbers) -> npt.NDArray[np.float32]:
        """Return stacks in the coordinates that the network sees."""
        levels = self.patterns.take(numbers)
        return levels if self.rings is None else self.rings.of(levels)

    def _turned(
        self, levels: npt.NDArray[np.float32], groups: npt.NDArray[np.int64], rng: Any
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        if self.rings is not None:
            if self.settings["stretch"]:
                levels = stretched(levels, self.settings["stretch"], rng)
            return turned_rings(levels, groups, self.declared, rng)
        is_sharp = self.patterns.scaling.block == 1
        return turned(levels, groups, self.declared, rng=rng, is_sharp=is_sharp)

    def _targets(self, groups: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.searchsorted(self.declared, groups)

    def _probabilities(self, model: Any, numbers: Numbers) -> npt.NDArray[np.float32]:
        """Return (stack, group 0 to 230) float32, of declared groups alone."""
        from .models import probabilities

        size = self.settings["evaluation_batch"]
        found = [
            probabilities(model(self._shown(numbers[start : start + size]), training=False))
            for start in range(0, len(numbers), size)
        ]
        whole = np.concatenate(found)
        if self.is_reference:  # classes that were never taught are no answer
            whole = whole[:, self.declared]
            whole = whole / whole.sum(axis=1, keepdims=True)
        return self._widened(whole)

    def _widened(self, of_declared: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        whole = np.zeros((len(of_declared), LAST + 1), np.float32)
        whole[:, self.declared] = of_declared
        return whole

    def _predictions(self, numbers: Numbers, whole: npt.NDArray[np.float32]) -> Predictions:
        names = np.array([self.stacks.name(number) for number in numbers])
        return scores.collect(names, self.stacks.group[numbers], self.labels, whole[:, self.labels])


def _spread(numbers: Numbers, most: int) -> Numbers:
    """Return at most so many of the numbers, evenly spaced."""
    if len(numbers) <= most:
        return numbers
    return np.asarray(numbers[np.linspace(0, len(numbers) - 1, most).round().astype(np.intp)])
