"""Choose the Keras backend of a run, and check strategies and TF_CONFIG without importing it.

Keras reads its backend from the environment at its first import, so the backend is chosen before.
The training loop (`loop.py`) is the same for all backends. What differs is in a module with the
functions of `Backend`: `tensorflow_backend.py` or `jax_backend.py`.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from sciml_data.errors import CallError, SciMLDataError, nearest

VARIABLE = "KERAS_BACKEND"
DEFAULT = "tensorflow"
MODULES = {
    "tensorflow": "sciml_data.bench.training.tensorflow_backend",
    "jax": "sciml_data.bench.training.jax_backend",
}
EXTRAS = {"tensorflow": "train", "jax": "jax"}
STRATEGIES = ("auto", "default", "mirrored", "multiworker")
CLUSTER_VARIABLE = "TF_CONFIG"
# Refused, because a run would be slow and its record wrong without any error.
KERAS_DISTRIBUTION = (
    "keras.distribution is not supported: on TensorFlow it has no effect (every variable stays on "
    "one device), and on JAX the engine uses one device"
)
# A pass over distributed batches returns (sum of losses, sum of weights, number of samples).
Pass = Callable[[Iterable[Any]], tuple[float, float, int]]


@dataclass(frozen=True)
class Steps:
    """A training pass, which changes the model, and an evaluation pass, which does not."""

    train: Pass
    evaluate: Pass


@dataclass
class RowCheck:
    """Whether a process can read its own rows of a part's batches alone.

    Attributes:
        part: name of the part, for messages.
        holds: None if it is not known yet.
        passes: over the part, by this process.
        failure: raised by the thread that makes batches. TensorFlow replaces it by an error of its
            own, so that the loop has to find it here.
    """

    part: str = ""
    holds: bool | None = None
    passes: int = 0
    failure: SciMLDataError | None = None

    def compares(self) -> bool:
        """Return whether batches of this pass are compared: of passes 1, 2, 4, 8 and so on.

        To compare, a process makes its batches twice. With fewer comparisons in later passes, this
        costs nothing in the long run.
        """
        return self.passes.bit_count() == 1


class Backend(Protocol):
    """The functions of a backend's module; a strategy is what `make_strategy` returned."""

    def set_threads(self, threads: int | None) -> None:
        """Limit the number of the backend's threads; None leaves the backend's choice."""

    def make_strategy(
        self, name: str = "auto", environment: Mapping[str, str] | None = None
    ) -> Any:
        """Return the strategy of a name; models are built in its context manager `scope()`."""

    def seed_everything(self, seed: int, *, deterministic: bool = False) -> None:
        """Seed all random generators; `deterministic` also selects deterministic kernels."""

    def is_chief(self, strategy: Any) -> bool:
        """Return whether this is the process that writes files."""

    def broadcast_from_chief(self, strategy: Any, value: float) -> float:
        """Return the chief's value in every process. Each process waits for all others."""

    def distribute_batches(
        self, strategy: Any, make_batches: Callable[[], Any], check: RowCheck | None = None
    ) -> Iterable[Any]:
        """Return an epoch as the iterable that the passes of `make_steps` take.

        `check` remembers, from epoch to epoch, whether processes can share the reading.
        """

    def make_steps(
        self,
        problem: Any,
        model: Any,
        *,
        optimizer: Any,
        strategy: Any,
        settings: Mapping[str, Any],
    ) -> Steps:
        """Compile the training and evaluation passes of a model and an optimiser."""

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a forward pass of arrays without Python between its operations, if possible."""

    def describe(self, strategy: Any) -> dict[str, Any]:
        """Return strategy, replicas, workers and device type, for the record."""

    def accelerators(self) -> dict[str, Any]:
        """Return accelerators and threads, with the keys of the record's `hardware`."""

    def worker_lost_errors(self) -> tuple[type[BaseException], ...]:
        """Return the exceptions that are raised when another process of the run is gone."""


def choose(name: str | None = None) -> str:
    """Set the backend that Keras will use, and return its name.

    Args:
        name: of the backend; None means the variable KERAS_BACKEND, or TensorFlow if it is not set.

    Raises:
        CallError: no such backend, it is not installed, or Keras is loaded with another backend.
    """
    wanted = name or os.environ.get(VARIABLE) or DEFAULT
    if wanted not in MODULES:
        raise CallError(
            f"no such backend: {wanted!r}{nearest(wanted, MODULES)}",
            untouched="nothing was fetched or run",
            hint=f"--backend {' or '.join(MODULES)}",
        )
    missing = [module for module in (wanted, "keras") if importlib.util.find_spec(module) is None]
    if missing:
        raise CallError(
            f"training needs {' and '.join(missing)}, which "
            f"{'is' if len(missing) == 1 else 'are'} not installed",
            untouched="nothing was fetched or run",
            hint=f"pip install 'sciml-data[{EXTRAS[wanted]}]'",
        )
    loaded = sys.modules["keras"].config.backend() if "keras" in sys.modules else wanted
    if loaded != wanted:
        raise CallError(
            f"Keras is already loaded with backend {loaded!r}, so it cannot use {wanted!r}",
            untouched="nothing was run",
            hint=f"set {VARIABLE}={wanted} before Keras is imported, or use another process",
        )
    os.environ[VARIABLE] = wanted
    return wanted


def name() -> str:
    """Return the name of the backend that is in use or chosen.

    Keras is imported only if neither is known, because its import takes seconds.
    """
    if "keras" not in sys.modules and os.environ.get(VARIABLE):
        return os.environ[VARIABLE]
    import keras

    return str(keras.config.backend())


def current() -> Backend:
    """Return the module of the backend in use.

    Raises:
        CallError: Keras uses a backend that the engine does not support.
    """
    if name() not in MODULES:
        raise CallError(
            f"Keras uses backend {name()!r}, which is not supported",
            untouched="nothing was run",
            hint=f"set {VARIABLE} to {' or '.join(MODULES)} before Keras is imported",
        )
    return cast("Backend", importlib.import_module(MODULES[name()]))


def check_strategy(name: str) -> tuple[str, int | None]:
    """Return (kind, number of devices or None) of a strategy's name, such as `mirrored:2`.

    Raises:
        CallError: no such strategy, or a strategy of `keras.distribution`.
    """
    kind, _, count = name.partition(":")
    plain = name.lower().replace("_", "").replace("-", "").replace(".", "")
    if plain.startswith("kerasdistribution") or plain in {"dataparallel", "modelparallel"}:
        raise CallError(
            f"strategy {name!r}: {KERAS_DISTRIBUTION}",
            untouched="nothing was run",
            hint="--strategy mirrored for the devices of one computer, multiworker for several",
        )
    if kind not in STRATEGIES or (
        count and (kind != "mirrored" or not count.isdecimal() or int(count) < 1)
    ):
        raise CallError(
            f"no such strategy: {name!r}{nearest(kind, STRATEGIES)}",
            untouched="nothing was run",
            hint="--strategy auto, default, mirrored, mirrored:N or multiworker",
        )
    return kind, int(count) if count else None


def check_keras_distribution() -> None:
    """Check that no distribution was set with `keras.distribution.set_distribution`.

    Raises:
        CallError: a distribution is set.
    """
    import keras

    chosen = keras.distribution.distribution()
    if chosen is not None:
        raise CallError(
            f"{type(chosen).__name__} is the distribution of Keras: {KERAS_DISTRIBUTION}",
            untouched="nothing was run",
            hint="keras.distribution.set_distribution(None), and --strategy mirrored",
        )


def cluster_workers(environment: Mapping[str, str]) -> int:
    """Return the number of workers in TF_CONFIG, 0 if the variable is not set.

    Raises:
        CallError: TF_CONFIG is not a JSON object with a cluster.
    """
    try:
        cluster = _cluster(environment).get("cluster", {})
        return sum(len(cluster.get(kind, [])) for kind in ("chief", "worker"))
    except (ValueError, AttributeError, TypeError) as error:
        raise CallError(f"{CLUSTER_VARIABLE} is not a cluster description: {error}") from error


def is_first_worker(environment: Mapping[str, str]) -> bool:
    """Return whether this process writes files: it is the chief in TF_CONFIG, or the only process.

    Raises:
        CallError: TF_CONFIG is not a JSON object with a cluster and a task.
    """
    if cluster_workers(environment) < 1:
        return True
    document = _cluster(environment)
    try:
        kind, index = document["task"]["type"], int(document["task"]["index"])
    except (KeyError, TypeError, ValueError) as error:
        raise CallError(f"{CLUSTER_VARIABLE} has no valid task: {error}") from error
    has_chief = bool(document["cluster"].get("chief"))
    return kind == "chief" or (kind == "worker" and index == 0 and not has_chief)


def _cluster(environment: Mapping[str, str]) -> Any:
    text = environment.get(CLUSTER_VARIABLE, "")
    return json.loads(text) if text else {}
