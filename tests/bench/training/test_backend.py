"""The backend is chosen before Keras is imported; TF_CONFIG names the process that writes."""

from __future__ import annotations

import importlib.util
import json

import pytest

from sciml_data.bench.training import backend
from sciml_data.bench.training.backend import cluster_workers, is_first_worker
from sciml_data.errors import CallError

needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="pip install 'sciml-data[jax]'"
)


@needs_jax
def test_keras_loaded_with_another_backend_is_refused_with_a_hint() -> None:
    import keras

    assert keras.config.backend() == "tensorflow"

    with pytest.raises(CallError, match="already loaded") as error:
        backend.choose("jax")
    assert "KERAS_BACKEND=jax" in error.value.hint


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(CallError, match="did you mean 'jax'"):
        backend.choose("jaxx")


def test_a_backend_that_is_not_installed_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)

    with pytest.raises(CallError) as error:
        backend.choose("jax")
    assert error.value.hint == "pip install 'sciml-data[jax]'"


@pytest.mark.parametrize(
    ("cluster", "writer"),
    [
        ({"worker": ["a:1", "b:1"]}, ("worker", 0)),
        ({"chief": ["a:1"], "worker": ["b:1"]}, ("chief", 0)),
    ],
)
def test_one_process_of_a_cluster_writes(
    cluster: dict[str, list[str]], writer: tuple[str, int]
) -> None:
    tasks = [(kind, index) for kind, hosts in cluster.items() for index in range(len(hosts))]
    texts = {
        (kind, index): json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})
        for kind, index in tasks
    }

    assert [writer] == [
        task for task, text in texts.items() if is_first_worker({"TF_CONFIG": text})
    ]


@pytest.mark.parametrize(
    ("text", "workers"),
    [
        ("", 0),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {}}', 2),
        ('{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}}', 2),
        ("{}", 0),
    ],
)
def test_workers_are_counted_from_tf_config(text: str, workers: int) -> None:
    assert workers == cluster_workers({"TF_CONFIG": text})


@pytest.mark.parametrize("text", ["{", "[]", '{"cluster": {"worker": 3}}'])
def test_a_broken_tf_config_is_refused(text: str) -> None:
    with pytest.raises(CallError, match="TF_CONFIG"):
        cluster_workers({"TF_CONFIG": text})
