"""The interface between the engine and a benchmark's own code, and how this code is loaded.

The code of a benchmark is called its runner. It is the folder `runners/<benchmark>/` of the
registry in use, with `runner.py` in it. The folder is loaded by path as the package
`sciml_runner_<benchmark>`, so a registry is not installed and the engine has no list of runners.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from sciml_data.bench.task.split import Split
from sciml_data.errors import DescriptorError
from sciml_data.registry.layout import Registry

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.bench.scoring.predictions import Predictions
    from sciml_data.registry.stages import Converted

SHARED = "shared"  # key of a batch's inputs that each replica gets whole, of any length
TRAIN = "train"
VALIDATION = "validation"


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
        CallError: the registry has no such benchmark.
        DescriptorError: the folder has no runner.py, or runner.py has no function `prepare`.
    """
    folder = registry.runner(benchmark)
    if not (folder / "runner.py").is_file():
        raise DescriptorError(
            f"benchmark {benchmark!r} has no code: no such file: runners/{benchmark}/runner.py"
        )
    package = _package(f"sciml_runner_{benchmark}", str(folder))
    module = importlib.import_module(f"{package.__name__}.runner")
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


def _package(name: str, folder: str) -> ModuleType:
    """Import the runner's folder as a package and return it.

    A package of this name from another folder (the same benchmark of another registry) is dropped
    with its modules, and the folder is imported afresh.
    """
    known = sys.modules.get(name)
    if known is not None and list(known.__path__) == [folder]:
        return known
    for loaded in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
        del sys.modules[loaded]
    spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [folder]
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    return package
