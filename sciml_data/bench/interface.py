"""What a benchmark's own code offers the engine, and how it is loaded.

A runner lies in `runners/<benchmark>/runner.py` of the registry in use. It is loaded by path, as
the package `sciml_runner_<benchmark>`, so a registry needs no installation and nothing in the
engine lists its runners.
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

SHARED = "shared"  # of a batch's inputs: what each replica gets whole, whatever its length
TRAIN = "train"
VALIDATION = "validation"


@runtime_checkable
class Problem(Protocol):
    """One benchmark on one dataset and one split, ready to be trained on.

    A sample is what the benchmark counts when it speaks of throughput. `seed` fixes the order of
    the batches: equal seeds give equal batches, whatever the machine. Written on `keras.ops` and
    NumPy, a problem runs on every backend of the engine.

    Optional: `predict_into(model, part, folder)`, which returns what `predict` does and may write
    files of its own under the folder; the record then holds the digest of their manifest.
    `given(predictions)`, an array of what in predictions follows from the data alone, where that is
    not `observed` as it stands: `rescore` holds it against the data. And `told`, lines that are
    told before anything is trained, such as what the parts share; they are shown with the scores
    where `facts` has them as `leakage.told`.
    """

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the split's parts; the first is trained on, `validation` selects weights."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Samples in each part."""

    def build(self) -> Any:
        """Return a new, built Keras model; called inside `strategy.scope()`, after seeding."""

    def batches(self, part: str, *, batch_size: int, seed: int) -> Any:
        """Return one epoch as an iterable of (inputs, targets, weights).

        Each is a NumPy array, or a dict or tuple of arrays; its first axis is the batch, and
        the last batch may be smaller. Inputs that are a dict may have an entry `shared`, of any
        length, that is not cut where replicas share a batch. A batch is read once, ahead of the
        device. A `tf.data.Dataset` will do as well where TensorFlow is the only backend.
        """

    def sample_loss(self, targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """Return the sums of weighted losses and of weights: two scalars, 0 for weight 0."""

    def samples_in(self, weights: Any) -> Any:
        """Return the number of samples in a batch, a scalar integer tensor."""

    def predict(self, model: Any, part: str) -> Predictions:
        """Return the model's predictions for a whole part, the same each time."""

    def baselines(self) -> Mapping[str, Mapping[str, Predictions]]:
        """Return for each baseline its predictions for each part."""

    def score(self, predictions: Predictions) -> Mapping[str, float]:
        """Return metric key -> score over the whole part; keys are `metric` or `metric.variant`."""

    def facts(self) -> Mapping[str, Any]:
        """Return what the record should say of the data: what parts share, scaling, counts."""


class RunnerModule(Protocol):
    """What `runners/<benchmark>/runner.py` defines.

    Optional: `figures(run_folder, record)`, and `BACKENDS`, the names of those it runs on where
    these are not all (a runner whose batches or predictions are TensorFlow's), and `READS =
    "files"` where `prepare` wants the ready files (a `stages.Converted`) and no opened dataset.
    """

    def prepare(
        self, dataset: xr.Dataset | Converted, split: Split, settings: Mapping[str, Any]
    ) -> Problem:
        """Return the problem for one split; `settings["model"]` names the model to build."""


def load_runner(registry: Registry, benchmark: str) -> RunnerModule:
    """Return the runner of a benchmark of this registry.

    Raises:
        CallError: the registry has no such benchmark.
        DescriptorError: the folder has no runner.py, or it offers no `prepare`.
    """
    folder = registry.runner(benchmark)
    if not (folder / "runner.py").is_file():
        raise DescriptorError(f"benchmark {benchmark!r} has no runner.py beside its task.toml")
    package = _package(f"sciml_runner_{benchmark}", str(folder))
    module = importlib.import_module(f"{package.__name__}.runner")
    if not callable(getattr(module, "prepare", None)):
        raise DescriptorError(
            f"the runner of {benchmark!r} offers no function prepare(dataset, split, settings)",
            hint="sciml_data/bench/interface.py says what a runner offers",
        )
    return cast("RunnerModule", module)


def reads_files(runner: RunnerModule) -> bool:
    """Return whether a runner wants the ready files rather than one opened dataset."""
    return getattr(runner, "READS", "dataset") == "files"


def check_problem(problem: object, benchmark: str) -> Problem:
    """Return the problem if it offers everything the engine calls.

    Raises:
        DescriptorError: names are missing; all of them are listed.
    """
    offered = {name for name in dir(problem) if not name.startswith("_")}
    wanted = {name for name in vars(Problem) if not name.startswith("_")}
    if missing := sorted(wanted - offered):
        raise DescriptorError(
            f"what the runner of {benchmark!r} prepared is no problem: it lacks "
            f"{', '.join(missing)}"
        )
    return cast("Problem", problem)


def _package(name: str, folder: str) -> ModuleType:
    """Return the runner's folder as a package, anew where the name stood for another folder."""
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
