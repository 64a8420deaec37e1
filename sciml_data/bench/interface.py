"""The interface between the engine and a benchmark's own code, and how this code is loaded.

The code of a benchmark is called its runner. It is the folder `runners/<benchmark>/` of the
registry in use, with `runner.py` in it. The folder is loaded by path as the package
`sciml_runner_<benchmark>`, so a registry is not installed and the engine has no list of runners.
The code of another registry than the built-in one runs only if the user trusts it, see
`sciml_data.registry.extensions`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring.compute import compute_metrics
from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.bench.scoring.resampling import replicate
from sciml_data.bench.task.split import Split
from sciml_data.bench.task.splits import (
    TRAIN,
    Options,
    describe,
    divide,
    evenly_spaced,
    leakage,
)
from sciml_data.bench.task.task import load_task
from sciml_data.bench.task.units import find_units
from sciml_data.errors import DescriptorError
from sciml_data.progress import counted
from sciml_data.registry.extensions import load_from_registry
from sciml_data.registry.layout import Registry

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from sciml_data.bench.scoring.intervals import Replicates, Sampling
    from sciml_data.bench.scoring.metrics import Metric
    from sciml_data.bench.task.task import Task
    from sciml_data.registry.stages import Converted

SHARED = "shared"  # key of a batch's inputs that each replica gets whole, of any length
PREFETCH = 4  # batches read ahead
OWN = "own-"  # begins the name (setting `model`) of a user's own model, and of no other
# Methods that a runner defines -> other methods whose own versions do not need them.
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "open": (),
    "keys": ("divide_samples",),
    "build": (),
    "batch": ("batches",),
    "sample_loss": (),
    "targets": ("predictions", "predict"),
}
SELECTION = (
    "the epoch is chosen by the validation part, so that part's scores are those of a chosen "
    "model; the test part is not looked at before"
)

Numbers: TypeAlias = npt.NDArray[np.intp]
Batch: TypeAlias = tuple[Any, Any, Any]
Baseline: TypeAlias = Callable[[Numbers], npt.NDArray[Any]]


@dataclass(frozen=True)
class Array:
    """An input or the output of a model.

    Attributes:
        shape: without the axis of the batch; None for an axis of any length.
        meaning: what the values are, with their unit.
        dtype: name of a NumPy dtype.
    """

    shape: tuple[int | None, ...]
    meaning: str = ""
    dtype: str = "float32"

    @property
    def size(self) -> int:
        """Return the number of values; an axis of any length counts as 1."""
        return prod(length or 1 for length in self.shape)


@dataclass(frozen=True)
class ModelSpec:
    """What a benchmark gives to a model and expects from it; see docs/how-to/own-model.md.

    Attributes:
        inputs: by name. A model of a single input gets an array, other models get a dict.
        output: of the model.
        has_classes: whether targets are numbers of classes, and the output is a logit of each.
        time_axis: axis of inputs and output, counted with the batch, along which an output may
            depend on earlier inputs only; None for no such axis.
    """

    inputs: Mapping[str, Array]
    output: Array
    has_classes: bool = False
    time_axis: int | None = None

    def keras_inputs(self) -> Any:
        """Return a `keras.Input` for each input: a dict by name, or the only one."""
        import keras

        made = {
            name: keras.Input(array.shape, dtype=array.dtype, name=name)
            for name, array in self.inputs.items()
        }
        return made if len(made) > 1 else next(iter(made.values()))


@runtime_checkable
class Problem(Protocol):
    """A benchmark on a dataset and a split, ready for training.

    A sample is the unit in which the benchmark counts its data and its throughput. A problem that
    is written with `keras.ops` and NumPy runs on every backend of the engine.

    A problem may also have:

    * `predict_into(model, part, folder)`, instead of `predict`. It returns the predictions too, and
      may write files into the folder. The record has the digest of their manifest.
    * `given(predictions)`, which returns an array of the values in predictions that follow from the
      data alone. `rescore` compares this array with the data. The default is `observed`.
    * `messages`, lines that are logged before training, such as what the parts of the split share.
      The report shows them again if `diagnostics` returns them as `leakage.told`.
    * `portable(model, inputs)`, for a model with inputs that are not arrays of samples. It returns
      another Keras model with the same weights, and the inputs of a batch for it. The run saves
      this model for stock Keras.
    * `specification()`, `plain(inputs)` and `finish(outputs)`, for models that users bring; see
      `Benchmark`.
    """

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the split's parts; the first is for training, `validation` selects weights."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Number of samples in each part."""

    def build(self) -> Any:
        """Return a new, built Keras model.

        The engine calls this inside `strategy.scope()`, after it has seeded all generators.
        """

    def batches(self, part: str, *, batch_size: int, seed: int) -> Any:
        """Return an epoch as an iterable of batches (inputs, targets, weights).

        Each of the three is a NumPy array, or a dict or tuple of arrays, with the batch as the
        first axis. The last batch may be smaller. Inputs that are a dict may have a key `shared` of
        any length, which each replica gets whole when a batch is divided among replicas. The
        iterable is read once, ahead of the device. It may also be a `tf.data.Dataset` if TensorFlow
        is the benchmark's only backend.

        Args:
            part: of the split.
            batch_size: samples of the batch of all replicas together.
            seed: determines the order of the samples. Equal seeds give equal batches on every
                machine.
        """

    def sample_loss(self, targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """Return (sum of weighted losses, sum of weights), two scalar tensors.

        A row of weight 0 adds nothing to either sum.

        Args:
            targets: of a batch, as `batches` returns them.
            predictions: the model's outputs, float32.
            weights: of a batch, as `batches` returns them.
        """

    def samples_in(self, weights: Any) -> Any:
        """Return the number of samples in a batch, a scalar integer tensor."""

    def predict(self, model: Any, part: str) -> Predictions:
        """Return the model's predictions for a whole part; they must be deterministic."""

    def baselines(self) -> Mapping[str, Mapping[str, Predictions]]:
        """Return the predictions of each baseline: name -> part -> predictions."""

    def score(self, predictions: Predictions) -> Mapping[str, float]:
        """Return metric key -> score over a whole part; a key is `metric` or `metric.variant`."""

    def diagnostics(self) -> Mapping[str, Any]:
        """Return JSON values for the record's `facts`, such as leakage, scaling and counts."""


class Benchmark:
    """A problem with defaults: a runner is a subclass that overrides what differs.

        class Digits(Benchmark):
            def open(self, data): ...            # read what the benchmark needs
            def keys(self): ...                  # a table with a row for each sample
            def build(self): ...                 # the Keras model
            def batch(self, numbers, rng): ...   # inputs, targets and weights of samples
            def sample_loss(self, targets, predictions, weights): ...
            def targets(self, numbers): ...      # observed values with a name for every axis

        prepare = Digits

    Samples have numbers: the positions of the rows of the key table. The split divides these
    numbers into parts. Three settings have a meaning for every benchmark:

    * `train_scored`: samples of the training part that are predicted and scored, evenly spaced.
    * `evaluation_batch`: least size of a batch outside of training.
    * `reader_threads`: threads that read batches ahead.

    Attributes:
        settings: of the run, see task.toml.
        split: stored rule.
        table: the key table, (sample) rows.
        division: sample numbers of each part.
        leakage: what the parts share, for the record.
    """

    LEAKAGE = ""  # a sentence on what shared ids do to the scores, for the report
    # Whether row i of a batch depends on sample i alone, apart from random draws, so that each of
    # several processes can read its own rows. False for a runner that mixes rows.
    READS_OWN_ROWS = True
    # Name of each input -> names of its axes after the samples, for `named_features`.
    INPUTS: Mapping[str, tuple[str, ...]] = {}

    def __init__(self, data: Any, split: Split, settings: Mapping[str, Any]) -> None:
        """Open the data, divide the samples, and fit what only the training part determines.

        Args:
            data: an opened dataset, or the ready files if the runner has `READS = "files"`.
            split: stored rule.
            settings: see task.toml.

        Raises:
            DescriptorError: the runner lacks methods; all of them are listed.
            SciMLDataError: the data lack what the benchmark or the split needs.
        """
        self._require_methods()
        self.settings, self.split = settings, split
        self.open(data)
        self.divide_samples(split)
        self.fit()

    def open(self, data: Any) -> None:
        """Read what the benchmark needs from the data."""
        raise NotImplementedError  # `_require_methods` reports it before anything is read

    def keys(self) -> pd.DataFrame:
        """Return a table with a row for each sample and a column for each key."""
        raise NotImplementedError  # `_require_methods` reports it before anything is read

    def divide_samples(self, split: Split) -> None:
        """Divide the samples by their keys, and find out what the parts share."""
        self.table = self.keys()
        self.division = divide(split, self.table, self.split_options())
        self.leakage = leakage(self.division, self.table, meaning=self.LEAKAGE)

    def split_options(self) -> Options:
        """Return how the rules of stored splits apply to this benchmark."""
        return Options()

    def fit(self) -> None:
        """Compute what depends on the training part, such as the scale of the targets."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the names of the parts, training part first."""
        return tuple(self.division.parts)

    @property
    def sizes(self) -> Mapping[str, int]:
        """Return the number of samples in each part."""
        return {part: len(numbers) for part, numbers in self.division.parts.items()}

    @property
    def messages(self) -> tuple[str, ...]:
        """Return the leakage report in sentences, which are printed before training."""
        return tuple(self.leakage["told"])

    def scored(self, part: str) -> Numbers:
        """Return the samples of a part that are predicted: all, or some of the training part."""
        numbers = self.division.parts[part]
        limit = self.settings.get("train_scored", 0) if part == TRAIN else 0
        return evenly_spaced(numbers, limit) if limit else numbers

    def batches(self, part: str, *, batch_size: int, seed: int) -> Iterator[Batch]:
        """Return one epoch: the training part shuffled, the other parts in order."""
        from sciml_data.ready.patches import read_ahead

        numbers, is_train = self.division.parts[part], part == TRAIN
        order = np.random.default_rng(seed).permutation(numbers) if is_train else numbers
        size = batch_size if is_train else max(batch_size, self._evaluation_batch)

        def read(start: int) -> Batch:
            # Each batch has a generator of its own, so threads do not change what is drawn.
            rng = np.random.default_rng((seed, start)) if is_train else None
            return self.batch(order[start : start + size], rng)

        threads = self.settings.get("reader_threads", 1)
        return read_ahead(range(0, len(order), size), read, threads=threads, prefetch=PREFETCH)

    def batch(self, numbers: Numbers, rng: np.random.Generator | None) -> Batch:
        """Return inputs, targets and weights of samples.

        Args:
            numbers: of the samples.
            rng: draws augmentations in training; None in evaluation.
        """
        raise NotImplementedError  # only a runner with its own `batches` may lack it

    def specification(self) -> ModelSpec:
        """Return what a user's own model gets and has to return; the default is from a sample."""
        inputs, targets, _ = self.batch(self.division.parts[TRAIN][:1], None)
        plain = self.plain(inputs)
        named = plain if isinstance(plain, dict) else {"inputs": plain}
        arrays = {name: Array(tuple(array.shape[1:])) for name, array in named.items()}
        return ModelSpec(arrays, Array(np.shape(targets)[1:], "as the targets"))

    def plain(self, inputs: Any) -> Any:
        """Return what a user's own model gets from the inputs of a batch; with `keras.ops`."""
        return inputs

    def plain_targets(self, targets: Any) -> Any:
        """Return what a user's own model learns from the targets of a batch."""
        return targets

    def finish(self, outputs: Any) -> Any:
        """Return outputs in the form of a batch's targets from those of a user's own model."""
        return outputs

    def samples_in(self, weights: Any) -> Any:
        """Return the number of samples in a batch."""
        from keras import ops

        return ops.shape(weights)[0]

    def predict(self, model: Any, part: str) -> Predictions:
        """Return the model's predictions for the scored samples of a part."""
        numbers = self.scored(part)
        return self.predictions(numbers, self.outputs(model, numbers))

    def outputs(self, model: Any, numbers: Numbers) -> npt.NDArray[Any]:
        """Return the model's outputs for samples: (sample, ...)."""
        size = self._evaluation_batch
        chunks = (numbers[start : start + size] for start in range(0, len(numbers), size))
        return np.concatenate(
            [np.asarray(model(self.batch(chunk, None)[0], training=False)) for chunk in chunks]
        )

    def targets(self, numbers: Numbers) -> xr.DataArray:
        """Return what the predictions of samples are compared with.

        Every axis has a name and a coordinate; the first is the samples with their ids. The
        attribute `units` has the unit, and the name is that of the quantity.

        Args:
            numbers: of the samples.
        """
        raise DescriptorError(
            f"{type(self).__name__} of runner.py has no method targets, so "
            f"{counted(len(numbers), 'sample')} cannot be listed, and predictions of "
            "other programs cannot be scored",
            hint="docs/how-to/extend/benchmark.md",
        )

    def named_features(self, numbers: Numbers) -> xr.Dataset:
        """Return the inputs of samples for models of other programs.

        The default are the inputs of a batch, with the names in `INPUTS`.

        Args:
            numbers: of the samples, which are the first axis of each variable.
        """
        from sciml_data.bench.samples import named_inputs

        return named_inputs(self.INPUTS, self.batch(numbers, None)[0])

    def samples(self, part: str) -> xr.Dataset:
        """Return features and targets of all samples of a part; arrays are read on access."""
        from sciml_data.bench.samples import lazy_samples

        return lazy_samples(self, self.division.parts[part])

    def scored_targets(self, part: str) -> xr.DataArray:
        """Return the targets of the scored samples of a part."""
        return self.targets(self.scored(part))

    def from_values(self, part: str, values: xr.DataArray) -> Predictions:
        """Return predictions that another program made of the scored samples of a part.

        Args:
            part: of the split.
            values: with the axes and coordinates of `scored_targets`.
        """
        return Predictions.of(self.scored_targets(part), values.to_numpy())

    def predictions(self, numbers: Numbers, values: npt.NDArray[Any]) -> Predictions:
        """Return predicted values beside the observed ones, with names for every axis.

        Args:
            numbers: of the samples.
            values: (sample, ...) outputs of the model or of a baseline; the default takes them as
                the targets' values.
        """
        return Predictions.of(self.targets(numbers), values)

    def predict_into(self, model: Any, part: str, folder: Path) -> Predictions:
        """Return the predictions of a part, and let the runner write files of its own."""
        predictions = self.predict(model, part)
        self.write_outputs(folder, part, predictions)
        return predictions

    def write_outputs(self, folder: Path, part: str, predictions: Predictions) -> None:
        """Write files beside the predictions, such as tables and images; the default has none."""

    def fit_baselines(self) -> Mapping[str, Baseline]:
        """Return each baseline as a function from sample numbers to values (sample, ...)."""
        return {}

    def baselines(self) -> Mapping[str, Mapping[str, Predictions]]:
        """Return the predictions of each baseline: name -> part -> predictions.

        They are computed on access, so that one part of one baseline is in memory.
        """
        return {
            name: _BaselineParts(self, baseline) for name, baseline in self.fit_baselines().items()
        }

    @cached_property
    def task(self) -> Task:
        """Return the task of the task.toml beside the runner, without a variant."""
        return load_task(Path(inspect.getfile(type(self))).parent)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Return the metrics of the task."""
        return self.task.metrics

    def score(self, predictions: Predictions) -> Mapping[str, float]:
        """Return every metric of task.toml; see `scoring_data`."""
        return compute_metrics(self.metrics, self.scoring_data(predictions))

    def scoring_data(self, predictions: Predictions) -> xr.Dataset:
        """Return predictions with the coordinates that metrics group by, such as the drug."""
        return predictions.to_dataset()

    def resample(
        self, part: str, predictions: Predictions, headline: str | None
    ) -> tuple[Sampling, Mapping[str, Replicates]] | None:
        """Return scores without each unit that the split holds out; None with a `score` of its own.

        Args:
            part: of the split.
            predictions: of the part.
            headline: metric key that ranks runs.
        """
        if type(self).score is not Benchmark.score:
            return None
        of_split = self.task.units.get(self.split.name)
        declared = self.task.units.get(f"{self.split.name}/{part}", of_split)
        units = find_units(declared, self.split, self.division, self.table, predictions.coords)
        scored = self.scoring_data(predictions)
        return replicate(self.metrics, scored, units, headline=headline)

    def diagnostics(self) -> Mapping[str, Any]:
        """Return parts, leakage and the benchmark's own facts, for the record."""
        return {
            "parts": describe(self.division, self.table),
            "leakage": self.leakage,
            "scored": {part: len(self.scored(part)) for part in self.parts},
            "selection": SELECTION,
            **self.facts(),
        }

    def facts(self) -> Mapping[str, Any]:
        """Return JSON values about data, features and scaling, for the record."""
        return {}

    @classmethod
    def _require_methods(cls) -> None:
        """Check that the runner has every method without a default, before anything is read."""

        def has(method: str) -> bool:
            return getattr(cls, method, None) is not getattr(Benchmark, method, None)

        missing = [name for name, others in REQUIRED.items() if not any(map(has, (name, *others)))]
        if missing:
            raise DescriptorError(
                f"{cls.__name__} of runner.py lacks {', '.join(missing)}",
                hint="docs/how-to/extend/benchmark.md shows a whole benchmark, and the docstring "
                "of sciml_data.bench.Benchmark every method",
            )

    @property
    def _evaluation_batch(self) -> int:
        return int(self.settings.get("evaluation_batch", self.settings["batch_size"]))


class _BaselineParts(Mapping[str, "Predictions"]):
    """A baseline's predictions by part, computed at each access."""

    def __init__(self, benchmark: Benchmark, baseline: Baseline) -> None:
        self._benchmark, self._baseline = benchmark, baseline

    def __getitem__(self, part: str) -> Predictions:
        if part not in self._benchmark.parts:
            raise KeyError(part)
        numbers = self._benchmark.scored(part)
        return self._benchmark.predictions(numbers, self._baseline(numbers))

    def __iter__(self) -> Iterator[str]:
        return iter(self._benchmark.parts)

    def __len__(self) -> int:
        return len(self._benchmark.parts)


class RunnerModule(Protocol):
    """What `runners/<benchmark>/runner.py` defines.

    A runner may also define:

    * `figures(results)`, which returns matplotlib figures by name; see `sciml_data.bench.plots`.
      Every run has the figure `curve` too.
    * `BACKENDS`, the names of the backends it runs on, if it does not run on all.
    * `READS = "files"`, if `prepare` needs the ready files (`registry.Converted`) and not an opened
      dataset.
    """

    def prepare(
        self, dataset: xr.Dataset | Converted, split: Split, settings: Mapping[str, Any]
    ) -> Problem:
        """Return the problem of a split; `settings["model"]` is the name of the model to build."""


def load_runner(registry: Registry, benchmark: str) -> RunnerModule:
    """Return the runner of a benchmark in this registry.

    Raises:
        CallError: the registry has no such benchmark, or its code is not trusted.
        DescriptorError: the folder has no runner.py, or runner.py has no function `prepare`.
    """
    folder = registry.runner(benchmark)
    if not (folder / "runner.py").is_file():
        raise DescriptorError(
            f"benchmark {benchmark!r} has no code: no such file: runners/{benchmark}/runner.py"
        )
    name = f"sciml_runner_{benchmark}"
    module = load_from_registry(folder.parents[1], folder, name, "runner")
    if not callable(getattr(module, "prepare", None)):
        raise DescriptorError(
            f"the runner of {benchmark!r} has no function prepare(dataset, split, settings)",
            hint="sciml_data/bench/interface.py describes the interface of a runner",
        )
    return cast("RunnerModule", module)


def reads_files(runner: RunnerModule) -> bool:
    """Return whether a runner needs the ready files instead of an opened dataset."""
    return getattr(runner, "READS", "dataset") == "files"


def check_problem(problem: object, benchmark: str) -> Problem:
    """Return the problem, after checking that it has every method that the engine calls.

    Raises:
        DescriptorError: methods are missing; all of them are listed.
    """
    existing = {name for name in dir(problem) if not name.startswith("_")}
    required = {name for name in vars(Problem) if not name.startswith("_")}
    if missing := sorted(required - existing):
        raise DescriptorError(
            f"the problem that the runner of {benchmark!r} prepared lacks {', '.join(missing)}",
            hint="sciml_data/bench/interface.py describes the interface of a problem",
        )
    return cast("Problem", problem)
