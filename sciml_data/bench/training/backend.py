"""Which of Keras' backends a run computes on.

Keras takes its backend when it is first imported, so it is chosen before that. The loop
(`loop.py`) is written once; what a backend does in its own way is a module with the functions of
`Backend`: `distribute.py` and `steps.py` for TensorFlow, `jax_backend.py` for JAX.
"""

from __future__ import annotations

import importlib
import importlib.util
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
