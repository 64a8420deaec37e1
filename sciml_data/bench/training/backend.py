"""Which of Keras' backends a run computes on.

Keras takes its backend when it is first imported, so it is chosen before that. The loop
(`loop.py`) is written once; what a backend does in its own way is a module with the functions of
`Backend`: `tensorflow_backend.py` and `jax_backend.py`.
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

from sciml_data.errors import CallError, nearest

VARIABLE = "KERAS_BACKEND"
DEFAULT = "tensorflow"
MODULES = {
    "tensorflow": "sciml_data.bench.training.tensorflow_backend",
    "jax": "sciml_data.bench.training.jax_backend",
}
EXTRAS = {"tensorflow": "train", "jax": "jax"}
# One pass over shared batches -> (sum of losses, sum of weights, samples).
Pass = Callable[[Iterable[Any]], tuple[float, float, int]]


@dataclass(frozen=True)
class Steps:
    """A training pass, which changes the model, and an evaluation pass, which does not."""

    train: Pass
    evaluate: Pass


class Backend(Protocol):
    """What the engine asks of a backend; a strategy is what `make_strategy` returned."""

    def set_threads(self, threads: int | None) -> None:
        """Limit the backend to so many threads; None leaves its choice."""

    def make_strategy(
        self, name: str = "auto", environment: Mapping[str, str] | None = None
    ) -> Any:
        """Return what to run on; it has a context manager `scope()` to build models in."""

    def seed_everything(self, seed: int, *, deterministic: bool = False) -> None:
        """Seed all generators; `deterministic` also forbids kernels without an order."""

    def is_chief(self, strategy: Any) -> bool:
        """Return whether this process writes."""

    def agree(self, strategy: Any, value: float) -> float:
        """Return the chief's value in every process."""

    def share(self, strategy: Any, make_batches: Callable[[], Any]) -> Iterable[Any]:
        """Return one epoch as what the passes of `make_steps` take."""

    def make_steps(
        self,
        problem: Any,
        model: Any,
        *,
        optimizer: Any,
        strategy: Any,
        settings: Mapping[str, Any],
    ) -> Steps:
        """Compile the passes for one model and optimiser."""

    def describe(self, strategy: Any) -> dict[str, Any]:
        """Return strategy, replicas, workers and device type, for the record."""

    def accelerators(self) -> dict[str, Any]:
        """Return accelerators and threads, named as the record's `hardware` names them."""

    def lost_errors(self) -> tuple[type[BaseException], ...]:
        """Return what is raised where another process of the run is gone."""


def choose(name: str | None = None) -> str:
    """Make Keras use a backend, and return its name.

    Args:
        name: of the backend; None takes KERAS_BACKEND, else TensorFlow.

    Raises:
        CallError: no such backend, it is not installed, or Keras is loaded with another.
    """
    wanted = name or os.environ.get(VARIABLE) or DEFAULT
    if wanted not in MODULES:
        raise CallError(
            f"there is no backend {wanted!r} here{nearest(wanted, MODULES)}",
            hint=f"--backend {' or '.join(MODULES)}",
        )
    missing = [one for one in (wanted, "keras") if importlib.util.find_spec(one) is None]
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
            f"Keras is loaded already, with backend {loaded!r} and not {wanted!r}",
            untouched="nothing was run",
            hint=f"set {VARIABLE}={wanted} before Keras is imported, or use a process of its own",
        )
    os.environ[VARIABLE] = wanted
    return wanted


def name() -> str:
    """Return the name of the backend in use, or chosen; Keras is imported only where neither."""
    if "keras" not in sys.modules and os.environ.get(VARIABLE):
        return os.environ[VARIABLE]
    import keras

    return str(keras.config.backend())


def current() -> Backend:
    """Return the backend in use.

    Raises:
        CallError: Keras runs on one that the engine does not know.
    """
    if name() not in MODULES:
        raise CallError(
            f"Keras runs on {name()!r}, on which nothing here was made to run",
            hint=f"set {VARIABLE} to {' or '.join(MODULES)} before Keras is imported",
        )
    return cast("Backend", importlib.import_module(MODULES[name()]))


STRATEGIES = ("auto", "default", "mirrored", "multiworker")
CLUSTER_VARIABLE = "TF_CONFIG"
KERAS_DISTRIBUTION = (
    "keras.distribution is refused: on the TensorFlow backend it is accepted and does nothing "
    "(every variable stays on one device), and on JAX the engine uses one device"
)


def check_strategy(name: str) -> tuple[str, int | None]:
    """Return the word and the number of devices of a strategy's name, such as `mirrored:2`.

    Raises:
        CallError: no such strategy; those of `keras.distribution` are refused with the reason.
    """
    word, _, count = name.partition(":")
    plain = name.lower().replace("_", "").replace("-", "").replace(".", "")
    if plain.startswith("kerasdistribution") or plain in {"dataparallel", "modelparallel"}:
        raise CallError(
            f"strategy {name!r}: {KERAS_DISTRIBUTION}",
            untouched="nothing was run",
            hint="--strategy mirrored for the devices of one computer, multiworker for several",
        )
    if word not in STRATEGIES or (
        count and (word != "mirrored" or not count.isdecimal() or int(count) < 1)
    ):
        raise CallError(
            f"no such strategy: {name!r}{nearest(word, STRATEGIES)}",
            hint="--strategy auto, default, mirrored, mirrored:N or multiworker",
        )
    return word, int(count) if count else None


def refuse_keras_distribution() -> None:
    """Refuse a distribution that was set with `keras.distribution.set_distribution`.

    Raises:
        CallError: one is set.
    """
    import keras

    chosen = keras.distribution.distribution()
    if chosen is not None:
        raise CallError(
            f"{type(chosen).__name__} is set as Keras' distribution: {KERAS_DISTRIBUTION}",
            untouched="nothing was run",
            hint="keras.distribution.set_distribution(None), and --strategy mirrored",
        )


def cluster_workers(environment: Mapping[str, str]) -> int:
    """Return how many workers TF_CONFIG names, 0 where it is not set.

    Raises:
        CallError: TF_CONFIG is not a JSON object with a cluster.
    """
    try:
        cluster = _cluster(environment).get("cluster", {})
        return sum(len(cluster.get(kind, [])) for kind in ("chief", "worker"))
    except (ValueError, AttributeError, TypeError) as error:
        raise CallError(f"{CLUSTER_VARIABLE} is not a cluster description: {error}") from error


def is_first_worker(environment: Mapping[str, str]) -> bool:
    """Return whether TF_CONFIG, where it is set, makes this process the one that writes.

    Raises:
        CallError: TF_CONFIG is not a JSON object with a cluster and a task.
    """
    if cluster_workers(environment) < 1:
        return True
    document = _cluster(environment)
    try:
        kind, index = document["task"]["type"], int(document["task"]["index"])
    except (KeyError, TypeError, ValueError) as error:
        raise CallError(f"{CLUSTER_VARIABLE} does not say which task this is: {error}") from error
    has_chief = bool(document["cluster"].get("chief"))
    return kind == "chief" or (kind == "worker" and index == 0 and not has_chief)


def _cluster(environment: Mapping[str, str]) -> Any:
    text = environment.get(CLUSTER_VARIABLE, "")
    return json.loads(text) if text else {}
