"""Names of strategies, and what TF_CONFIG says: the part of distribution without a tensor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sciml_data.errors import CallError, nearest

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
