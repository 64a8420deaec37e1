"""The same losses on one device, on several, and in several processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sciml_data.bench.interface import Problem, load_runner
from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.split import load_split
from sciml_data.bench.task.task import load_task
from sciml_data.bench.training.backend import cluster_workers, is_first_worker
from sciml_data.bench.training.loop import Training, train
from sciml_data.bench.training.tensorflow_backend import (
    as_dataset,
    distribute_batches,
    make_strategy,
)
from sciml_data.errors import CallError, RecordError
from sciml_data.registry.layout import Registry
from tests.support.paths import TOY_REGISTRY

REGISTRY = Registry(TOY_REGISTRY)
TOY = REGISTRY.root / "runners" / "toy"
LOSS_TOLERANCE = 1e-5  # relative; float32 sums over replicas differ in their order
# 203 training rows: 4 batches of 64, the last of 11; 65 validation rows: the last batch has 1 row,
# so that one of two replicas gets none.
BATCH = 64
CLIP_NORM = 0.05  # below the norms met here, so that clipping in each replica would show


def toy_problem(**changed: Any) -> tuple[Problem, dict[str, Any]]:
    import xarray as xr

    random = np.random.default_rng(3)
    inputs = random.normal(size=(330, 5)).astype("float32")
    targets = np.tanh(inputs @ random.normal(size=(5, 2)).astype("float32"))
    dataset = xr.Dataset({"inputs": (("row", "f"), inputs), "targets": (("row", "o"), targets)})
    settings = resolve_settings(load_task(TOY), model="small", split="thirds")
    settings |= {"epochs": 3, "batch_size": BATCH, "clip_norm": CLIP_NORM, **changed}
    runner = load_runner(REGISTRY, "toy")
    return runner.prepare(dataset, load_split(TOY, "thirds"), settings), settings


def losses(strategy: Any, **changed: Any) -> list[tuple[float, float, int]]:
    problem, settings = toy_problem(**changed)
    trained = train(problem, Training(settings=settings, seed=1, strategy=strategy))
    return [
        (row["train_loss"], row["validation_loss"], row["samples"])
        for row in trained.progress.curve
    ]


@pytest.fixture(scope="module")
def two_cpus() -> Any:
    """Return a strategy over two logical CPUs, which must be set up before TensorFlow runs."""
    try:
        return make_strategy("mirrored:2", {})
    except CallError:
        pytest.skip("TensorFlow was started with one logical CPU by an earlier test")


def test_every_row_reaches_one_replica_and_only_one(two_cpus: Any) -> None:
    import tensorflow as tf

    def batches() -> Any:
        rows = tf.data.Dataset.range(9).map(lambda row: (row, row, tf.constant(1.0)))
        return rows.batch(4)  # 4, 4 and 1

    seen: list[int] = []
    for inputs, _, weights, is_real in distribute_batches(two_cpus, batches):
        for rows, weight, real in zip(
            *(two_cpus.experimental_local_results(value) for value in (inputs, weights, is_real)),
            strict=True,
        ):
            assert [float(real)] * len(rows) == weight.numpy().tolist()
            seen += rows.numpy().tolist() if float(real) else []

    assert list(range(9)) == sorted(seen)


def test_shared_inputs_of_a_batch_reach_every_replica_whole(two_cpus: Any) -> None:
    rows = np.arange(5, dtype=np.int32)
    shared = {"table": np.arange(7, dtype=np.int32)}
    batch = ({"row": rows, "shared": shared}, rows, np.ones(5, np.float32))

    ((inputs, *_),) = distribute_batches(two_cpus, lambda: [batch])

    local = two_cpus.experimental_local_results
    assert [part.numpy().tolist() for part in local(inputs["row"])] == [[0, 1], [2, 3, 4]]
    assert [part.numpy().tolist() for part in local(inputs["shared"]["table"])] == [[*range(7)]] * 2


def test_auto_is_one_device_where_there_is_one(two_cpus: Any) -> None:
    assert make_strategy("auto", {}).num_replicas_in_sync == 1


@pytest.mark.parametrize("name", ["mirrord", "mirrored:two", "mirrored:0", "default:2"])
def test_an_unknown_strategy_is_refused(name: str) -> None:
    with pytest.raises(CallError, match="no such strategy"):
        make_strategy(name, {})


@pytest.mark.parametrize(
    "name", ["data_parallel", "DataParallel", "model-parallel", "keras.distribution.DataParallel"]
)
def test_a_strategy_of_keras_distribution_is_refused_by_name(name: str) -> None:
    with pytest.raises(
        CallError, match=r"keras\.distribution is not supported: .* no effect"
    ) as error:
        make_strategy(name, {})
    assert "--strategy mirrored" in error.value.hint


def test_a_distribution_set_in_keras_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else would tell: Keras accepts it, and trains on one device."""
    import keras

    class DataParallel:
        pass

    problem, settings = toy_problem()
    training = Training(settings=settings, seed=1, strategy=make_strategy("default", {}))
    monkeypatch.setattr(keras.distribution, "distribution", DataParallel)

    with pytest.raises(CallError, match="DataParallel"):
        make_strategy("default", {})
    with pytest.raises(CallError, match="DataParallel"):
        train(problem, training)


def test_batches_of_arrays_become_a_dataset_once() -> None:
    made: list[int] = []

    def batches() -> Any:
        for rows in (3, 3, 1):
            made.append(rows)
            inputs = {"a": np.full((rows, 2), rows, "float32"), "b": np.zeros(rows, "int32")}
            yield inputs, np.ones((rows, 1), "float32"), np.ones(rows, "float32")

    seen = list(as_dataset(batches()))

    assert made == [3, 3, 1]
    assert [inputs["a"].numpy()[0, 0] for inputs, _, _ in seen] == [3.0, 3.0, 1.0]
    assert [tuple(weights.shape) for _, _, weights in seen] == [(3,), (3,), (1,)]


def test_no_batch_at_all_is_refused() -> None:
    with pytest.raises(RecordError, match="no batch"):
        as_dataset(iter(()))


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


def test_multiworker_without_a_cluster_is_refused() -> None:
    with pytest.raises(CallError, match="TF_CONFIG"):
        make_strategy("multiworker", {})


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


@pytest.mark.slow
def test_two_processes_and_two_cpus_give_the_losses_of_one(
    unused_ports: Callable[[int], list[int]],
) -> None:
    addresses = [f"127.0.0.1:{port}" for port in unused_ports(2)]
    unclipped = losses(make_strategy("default", {}), clip_norm=0.0)

    (alone,) = answers([_worker("default", "")])
    processes = answers([_worker("auto", cluster(addresses, index)) for index in range(2)])
    (cpus,) = answers([_worker("mirrored:2", "")])

    assert [one["is_chief"] for one in processes] == [True, False]
    assert [samples for _, _, samples in cpus["dense"]] == [203] * 3
    assert alone["dense"][1] != list(unclipped[1])
    for one in (*processes, cpus):
        for problem in ("dense", "conv"):
            np.testing.assert_allclose(one[problem], alone[problem], rtol=LOSS_TOLERANCE)


@pytest.fixture
def unused_ports() -> Callable[[int], list[int]]:
    """Return a function that finds free loopback ports."""
    import socket

    def find(count: int) -> list[int]:
        sockets = [socket.socket() for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in sockets]
        for one in sockets:
            one.close()
        return ports

    return find


def cluster(addresses: list[str], index: int) -> str:
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": addresses}, "task": task})


def answers(workers: list[subprocess.Popen[str]]) -> list[dict[str, Any]]:
    outputs = [worker.communicate(timeout=300)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * len(workers)
    return [json.loads(output.splitlines()[-1]) for output in outputs]


def _worker(strategy: str, tf_config: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if tf_config:
        environment["TF_CONFIG"] = tf_config
    return subprocess.Popen(
        [sys.executable, __file__, strategy],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )


if __name__ == "__main__":  # one process of the tests above
    import importlib

    from sciml_data.bench.training.tensorflow_backend import is_chief, set_threads

    set_threads(1)
    own = make_strategy(sys.argv[1])
    conv_losses = importlib.import_module("test_backend_jax").conv_losses  # 50 images in 16s
    answer = {
        "is_chief": is_chief(own),
        "dense": losses(own),
        "conv": conv_losses({"clip_norm": CLIP_NORM}, strategy=own),
    }
    print(json.dumps(answer))  # noqa: T201 - its answer
