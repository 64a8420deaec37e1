"""The same losses on one device, on several, and in several processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sciml_data.bench.training.backend import RowCheck
from sciml_data.bench.training.loop import Training, train
from sciml_data.bench.training.tensorflow_backend import (
    _own_batches,
    as_dataset,
    compiled,
    distribute_batches,
    make_steps,
    make_strategy,
)
from sciml_data.errors import CallError, DescriptorError, RecordError
from sciml_data.ready import SampleCache
from sciml_data.ready.own_rows import STRIDE, OwnRows
from sciml_data.ready.patches import read_ahead
from tests.support.conv_problem import BATCH as CONV_BATCH
from tests.support.conv_problem import ROWS, ConvProblem
from tests.support.paths import ROOT
from tests.support.ports import unused_ports
from tests.support.shared_reading import CountedPredictions, tevolop_losses, uno_losses
from tests.support.toy import toy_problem

LOSS_TOLERANCE = 1e-5  # relative; float32 sums over replicas differ in their order
# 203 training rows: 4 batches of 64, the last of 11; 65 validation rows: the last batch has 1 row,
# so that one of two replicas gets none.
BATCH = 64
# Rows that are read for comparisons in passes 1 and 2 over each of two parts of the convolutional
# problem: the first batch, another, and the last (2 rows) whole, and a row of the fourth.
COMPARED = 2 * 2 * (2 * CONV_BATCH + 2 + 1)
SMALL_BATCHES = 2 * 3  # a row of each, for a process that has none of the 2 rows
CLIP_NORM = 0.05  # below the norms met here, so that clipping in each replica would show


def monitored(strategy: Any) -> dict[str, Any]:
    """Return a score of the validation part by epoch, and how often this process predicted it."""
    problem, settings = toy_problem(epochs=3, batch_size=BATCH, monitor="rmse.a")
    counted = CountedPredictions(problem)
    trained = train(counted, Training(settings=settings, seed=1, strategy=strategy))
    return {
        "values": [row["monitored"] for row in trained.progress.curve],
        "predictions": counted.count,
    }


def losses(strategy: Any, **changed: Any) -> list[tuple[float, float, int]]:
    changed = {"epochs": 3, "batch_size": BATCH, "clip_norm": CLIP_NORM, **changed}
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

    received: list[int] = []
    for inputs, _, weights, is_real in distribute_batches(two_cpus, batches):
        for rows, weight, real in zip(
            *(two_cpus.experimental_local_results(value) for value in (inputs, weights, is_real)),
            strict=True,
        ):
            assert [float(real)] * len(rows) == weight.numpy().tolist()
            received += rows.numpy().tolist() if float(real) else []

    assert list(range(9)) == sorted(received)


def test_shared_inputs_of_a_batch_reach_every_replica_whole(two_cpus: Any) -> None:
    rows = np.arange(5, dtype=np.int32)
    shared = {"table": np.arange(7, dtype=np.int32)}
    batch = ({"row": rows, "shared": shared}, rows, np.ones(5, np.float32))

    ((inputs, *_),) = distribute_batches(two_cpus, lambda: [batch])

    local = two_cpus.experimental_local_results
    assert [part.numpy().tolist() for part in local(inputs["row"])] == [[0, 1], [2, 3, 4]]
    assert [part.numpy().tolist() for part in local(inputs["shared"]["table"])] == [[*range(7)]] * 2


@pytest.mark.parametrize("weights", [[1.0] * 32, [1.0] * 31, [0.25, 0.25], [0.0], [3.0, 0.5]])
def test_the_mean_gradient_has_the_bits_of_a_division(weights: list[float]) -> None:
    """A sum of weights that is a power of two scales the loss, any other divides the gradients."""
    import keras
    import tensorflow as tf

    random = np.random.default_rng(0)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(7), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(learning_rate=1.0)
    optimizer.build(model.trainable_variables)
    inputs = random.normal(size=(len(weights), 5)).astype("f4")
    weight = np.array(weights, "f4")[:, None]
    batch = (inputs, inputs[:, :1] + 1, weight)

    def sample_loss(targets: Any, outputs: Any, weights: Any) -> tuple[Any, Any]:
        return tf.reduce_sum(tf.square(targets - outputs) * weights), tf.reduce_sum(weights)

    with tf.GradientTape() as tape:
        loss, total = sample_loss(batch[1], model(inputs), weight)
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    expected = [
        variable.numpy() - tf.math.divide_no_nan(gradient, total).numpy()
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True)
    ]

    problem: Any = SimpleNamespace(sample_loss=sample_loss, samples_in=len)
    strategy, settings = make_strategy("default", {}), {"clip_norm": 0.0, "xla": False}
    steps = make_steps(problem, model, optimizer=optimizer, strategy=strategy, settings=settings)
    steps.train(distribute_batches(strategy, lambda: [batch]))

    for variable, value in zip(model.trainable_variables, expected, strict=True):
        assert variable.numpy().tobytes() == value.tobytes()


def test_a_compiled_function_is_made_once_for_any_number_of_rows() -> None:
    calls = []

    def double(batch: dict[str, Any]) -> Any:
        calls.append(batch)
        return batch["x"] * 2

    run = compiled(double)

    for rows in (3, 1, 3, 0):
        assert run({"x": np.ones((rows, 2), "f4")}).numpy().tolist() == [[2.0, 2.0]] * rows
    assert len(calls) == 1


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

    dataset = list(as_dataset(batches()))

    assert made == [3, 3, 1]
    assert [inputs["a"].numpy()[0, 0] for inputs, _, _ in dataset] == [3.0, 3.0, 1.0]
    assert [tuple(weights.shape) for _, _, weights in dataset] == [(3,), (3,), (1,)]


def test_no_batch_at_all_is_refused() -> None:
    with pytest.raises(RecordError, match="no batch"):
        as_dataset(iter(()))


def test_multiworker_without_a_cluster_is_refused() -> None:
    with pytest.raises(CallError, match="TF_CONFIG"):
        make_strategy("multiworker", {})


def own_batches(read_order: slice, pieces: int) -> tuple[list[Any], list[int]]:
    """Return the batches of the second of two processes, and the samples that it reads."""
    read: list[int] = []

    def prepare(numbers: Any) -> Any:
        read.extend(numbers.tolist())
        return (numbers * 1.0,)

    def make_batches() -> Any:
        for first in (0, 8, 16):
            numbers = np.arange(first, min(first + 8, 19))
            (values,) = SampleCache(prepare, budget_bytes=0).take(numbers[read_order])
            yield values[read_order], values[read_order] * 0.0, np.ones(len(values))

    rows, check = OwnRows(pieces // 2, pieces, pieces), RowCheck()
    for _ in range(2):  # passes in which batches are compared
        list(_own_batches(make_batches, rows, check))
    read.clear()
    return list(_own_batches(make_batches, rows, check)), read


@pytest.mark.parametrize("pieces", [2, 4])
def test_a_process_reads_its_rows_of_each_batch_alone(pieces: int) -> None:
    batches, read = own_batches(slice(None), pieces)

    assert read == [4, 5, 6, 7, 12, 13, 14, 15, 17, 18]
    assert [len(inputs) for inputs, *_ in batches] == [8, 8, 3]
    assert batches[1][0].tolist() == [12.0] * 4 + [12.0, 13.0, 14.0, 15.0]


def test_a_benchmark_that_reads_its_rows_in_another_order_reads_all() -> None:
    batches, read = own_batches(slice(None, None, -1), 2)

    assert sorted(read) == list(range(19))
    assert np.concatenate([inputs for inputs, *_ in batches]).tolist() == list(range(19))


def mixing_batches(number: int, kind: str, *, size: int = 4, batches: int = 3 * STRIDE) -> Any:
    """Yield batches, one of which has its rows in another order, or all minus their mean."""
    samples = SampleCache(lambda numbers: (numbers * 1.0,), budget_bytes=0)
    count = batches * size - 1  # the last batch is smaller
    for batch, first in enumerate(range(0, count, size)):
        (values,) = samples.take(np.arange(first, min(first + size, count)))
        if batch == number:
            values = values[::-1] if kind == "order" else values - values.mean()
        yield values, values * 0.0, np.ones(len(values))


@pytest.mark.parametrize("kind", ["order", "mean"])
@pytest.mark.parametrize("number", [2, 9, 17, 3 * STRIDE - 1])
@pytest.mark.parametrize("process", [0, 1])
def test_a_benchmark_that_mixes_rows_in_a_later_batch_is_refused(
    process: int, number: int, kind: str
) -> None:
    check = RowCheck("validation")

    def make_batches() -> Any:
        return mixing_batches(number, kind)

    def train_long() -> None:
        for _ in range(2**STRIDE):  # passes
            list(_own_batches(make_batches, OwnRows(process, process + 1, 2), check))

    with pytest.raises(DescriptorError, match="validation") as error:
        train_long()

    assert f"batch {number + 1} " in error.value.message
    assert "READS_OWN_ROWS = False" in error.value.hint
    assert check.failure is error.value


def test_the_small_last_batch_is_compared_in_the_first_pass() -> None:
    last = 3 * STRIDE - 1
    with pytest.raises(DescriptorError, match=f"batch {last + 1} "):
        list(_own_batches(lambda: mixing_batches(last, "order"), OwnRows(1, 2, 2), RowCheck()))


def test_a_benchmark_that_says_that_it_mixes_rows_reads_whole_batches() -> None:
    check, expected = RowCheck(holds=False), list(mixing_batches(5, "mean"))
    made = list(_own_batches(lambda: mixing_batches(5, "mean"), OwnRows(1, 2, 2), check))

    for batch, whole in zip(made, expected, strict=True):
        np.testing.assert_array_equal(batch, whole)


def test_rows_that_are_read_ahead_in_other_pieces_than_batches_are_not_called_mixed() -> None:
    """The number of a task is then not that of a batch, and the comparison cannot tell."""
    samples = SampleCache(lambda numbers: (numbers * 1.0,), budget_bytes=0)

    def make_batches() -> Any:
        def read(first: int) -> Any:
            return samples.take(np.arange(first, first + 4))[0]

        values = read_ahead(range(0, 64 * STRIDE, 4), read, threads=2, prefetch=2)
        next(values)  # is left out
        yield from ((each, each * 0.0, np.ones(4)) for each in values)

    check = RowCheck()
    assert len(list(_own_batches(make_batches, OwnRows(1, 2, 2), check))) == 16 * STRIDE - 1
    assert check.holds


def test_statistics_that_are_computed_with_the_first_batch_are_of_all_rows() -> None:
    samples = SampleCache(lambda numbers: (numbers * 1.0,), budget_bytes=0)
    means: list[float] = []

    def make_batches() -> Any:
        if not means:
            means.append(float(samples.take(np.arange(16))[0].mean()))
        for first in (0, 8):
            (values,) = samples.take(np.arange(first, first + 8))
            yield values - means[0], values, np.ones(len(values))

    list(_own_batches(make_batches, OwnRows(1, 2, 2), RowCheck()))

    assert means == [7.5]


def test_devices_of_one_process_share_batches_that_are_read_once(two_cpus: Any) -> None:
    problem = ConvProblem()
    for _ in distribute_batches(two_cpus, lambda: problem.batches("train", batch_size=16, seed=0)):
        pass

    assert problem.rows_read == problem.sizes["train"]


@pytest.mark.slow
def test_four_processes_read_a_quarter_each_and_give_the_losses_of_one() -> None:
    addresses = [f"127.0.0.1:{port}" for port in unused_ports(4)]

    (alone,) = answers([_worker("default", "")])
    processes = answers([_worker("auto", cluster(addresses, index)) for index in range(4)])

    for process in processes:
        for problem in ("conv", "tevolop", "uno"):
            np.testing.assert_allclose(process[problem], alone[problem], rtol=LOSS_TOLERANCE)
        assert process["rows_read"] <= alone["rows_read"] / 4 + COMPARED + SMALL_BATCHES


@pytest.mark.slow
def test_two_processes_and_two_cpus_give_the_losses_of_one() -> None:
    addresses = [f"127.0.0.1:{port}" for port in unused_ports(2)]
    unclipped = losses(make_strategy("default", {}), clip_norm=0.0)

    (alone,) = answers([_worker("default", "")])
    processes = answers([_worker("auto", cluster(addresses, index)) for index in range(2)])
    (cpus,) = answers([_worker("mirrored:2", "")])

    assert [process["is_chief"] for process in processes] == [True, False]
    assert [samples for _, _, samples in cpus["dense"]] == [203] * 3
    assert alone["dense"][1] != list(unclipped[1])
    assert alone["rows_read"] == cpus["rows_read"] == 3 * 2 * ROWS
    assert max(process["rows_read"] for process in processes) <= alone["rows_read"] / 2 + COMPARED
    for distributed in (*processes, cpus):
        for problem in ("dense", "conv", "tevolop", "uno"):
            np.testing.assert_allclose(distributed[problem], alone[problem], rtol=LOSS_TOLERANCE)
    # The chief alone reads and predicts the validation part, and all have its scores.
    scored = [each["monitored"] for each in (alone, cpus, *processes)]
    assert [each["predictions"] for each in scored] == [3, 3, 3, 0]
    assert scored[2]["values"] == scored[3]["values"]
    for each in scored:
        np.testing.assert_allclose(each["values"], scored[0]["values"], rtol=LOSS_TOLERANCE)


@pytest.mark.slow
def test_a_run_of_two_processes_ends_with_the_error_of_mixed_rows() -> None:
    addresses = [f"127.0.0.1:{port}" for port in unused_ports(2)]

    workers = [_worker("auto", cluster(addresses, index), "mixing") for index in range(2)]
    outputs = [worker.communicate(timeout=300)[0] for worker in workers]

    assert all(worker.returncode for worker in workers)
    assert any("DescriptorError: batch 4 of part 'train'" in output for output in outputs)


def cluster(addresses: list[str], index: int) -> str:
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": addresses}, "task": task})


def answers(workers: list[subprocess.Popen[str]]) -> list[dict[str, Any]]:
    outputs = [worker.communicate(timeout=300)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * len(workers)
    return [json.loads(output.splitlines()[-1]) for output in outputs]


def _worker(strategy: str, tf_config: str, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    if tf_config:
        environment["TF_CONFIG"] = tf_config
    return subprocess.Popen(
        [sys.executable, __file__, strategy, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )


if __name__ == "__main__":  # one process of the tests above
    from sciml_data.bench.training.tensorflow_backend import is_chief, set_threads
    from tests.support.conv_problem import conv_losses

    class MixingProblem(ConvProblem):
        """Adds the mean of the last batch, which is smaller, to its rows."""

        def batches(self, part: str, **options: Any) -> Any:
            for number, (images, *others) in enumerate(super().batches(part, **options)):
                yield images + (images.mean() if number == ROWS // CONV_BATCH else 0), *others

    set_threads(1)
    own = make_strategy(sys.argv[1])
    if sys.argv[2:]:
        try:
            conv_losses({}, strategy=own, problem=MixingProblem())
        except DescriptorError as error:
            print(f"DescriptorError: {error.message}", flush=True)  # noqa: T201 - its answer
        os._exit(1)  # at once: the other process may wait for this one
    problem = ConvProblem()  # 50 images in batches of 16
    answer = {
        "is_chief": is_chief(own),
        "dense": losses(own),
        "conv": conv_losses({"clip_norm": CLIP_NORM}, strategy=own, problem=problem),
        "rows_read": problem.rows_read,
        "monitored": monitored(own),
        "tevolop": tevolop_losses(own),
        "uno": uno_losses(own),
    }
    print(json.dumps(answer))  # noqa: T201 - its answer
