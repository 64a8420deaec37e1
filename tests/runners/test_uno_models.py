"""Networks on distinct entities equal those on joined rows, and have the published sizes."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from uno_joined import copy_weights, joined_model, joined_rows

from sciml_data.bench.interface import load_runner
from sciml_data.registry.layout import find_registry

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")

CELLS, DRUGS, ROWS = 17, 13, 60
WIDTHS = {"expression": 11, "descriptors": 8, "fingerprints": 6}


def module(name: str) -> ModuleType:
    load_runner(find_registry(), "uno")
    return importlib.import_module(f"sciml_runner_uno.{name}")


def settings(model: str, **changed: Any) -> dict[str, Any]:
    return {
        "model": model,
        "evaluation": "clean",
        "dropout": 0.0,
        "input_dropout": 0.0,
        "tower_widths": [10, 9, 8],
        "head_widths": [7, 6, 5],
        "cell_widths": [10],
        "drug_widths": [9],
        "slot_width": 4,
        "knows": ["cell", "drug"],
        "output_scale": 0.5,
        "has_process": False,
        "process_share": 0.5,
        **changed,
    }


def tables(variant: str) -> tuple[dict[str, Any], dict[str, Any]]:
    random = np.random.default_rng(0)
    cells = {"expression": random.normal(size=(CELLS, WIDTHS["expression"])).astype("f4")}
    drugs = {"descriptors": random.normal(size=(DRUGS, WIDTHS["descriptors"])).astype("f4")}
    if variant == "dose":
        drugs["fingerprints"] = random.integers(0, 2, (DRUGS, 6)).astype(np.uint8)
    return cells, drugs


def batch(variant: str, *, distinct: bool = True, seed: int = 1) -> dict[str, Any]:
    """Return the inputs of a batch, with distinct entities or with one entity for each row."""
    random = np.random.default_rng(seed)
    cell = random.integers(0, CELLS, ROWS).astype("i4")
    slots = random.integers(0, DRUGS, (ROWS, 2 if variant == "dose" else 1)).astype("i4")
    inputs: dict[str, Any] = {"base": random.normal(size=ROWS).astype("f4")}
    if variant == "dose":
        doses = random.normal(size=(ROWS, 2)).astype("f4")
        has_second = (random.random(ROWS) < 0.5).astype("f4")
        inputs |= {"dose1": doses[:, 0], "dose2": doses[:, 1], "has_second": has_second}
    if distinct:
        cells, inputs["cell"] = np.unique(cell, return_inverse=True)
        drugs, places = np.unique(slots, return_inverse=True)
        places = places.reshape(slots.shape)
    else:
        cells, inputs["cell"] = cell, np.arange(ROWS)
        drugs, places = slots.ravel(), np.arange(slots.size).reshape(slots.shape)
    inputs |= {f"drug{slot + 1}": places[:, slot] for slot in range(slots.shape[1])}
    return {**inputs, "shared": {"cells": cells, "drugs": drugs}}


def build(model: str, variant: str, *, has_pairs: bool = False, **changed: Any) -> Any:
    keras.utils.set_random_seed(3)
    built = module("model").build_model(
        settings(model, has_doses=variant == "dose", has_pairs=has_pairs, **changed),
        module("model").Tables(*tables(variant)),
    )
    random = np.random.default_rng(5)
    for (
        weight
    ) in built.trainable_variables:  # biases and zeros too, so that every weight has an effect
        weight.assign(weight + random.normal(0, 0.1, weight.shape))
    return built


@contextlib.contextmanager
def short_precision() -> Iterator[None]:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


def joined(reference: Any, variant: str) -> Any:
    cells, drugs = tables(variant)
    network = joined_model(
        {name: table.shape[1] for name, table in cells.items()},
        {name: table.shape[1] for name, table in drugs.items()},
        tower_widths=settings("reference")["tower_widths"],
        head_widths=settings("reference")["head_widths"],
        has_doses=variant == "dose",
    )
    copy_weights(reference, network)
    return network


def gradients(model: Any, inputs: Any, weights: Any, **how: Any) -> list[Any]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(model(inputs, **how) - 0.3))
    computed = tape.gradient(loss, [weight.value for weight in weights])
    return [tf.convert_to_tensor(gradient).numpy() for gradient in computed]


@pytest.mark.parametrize(
    ("variant", "widths", "head", "expected"),
    [
        ("auc", {"expression": 942, "descriptors": 5270}, 5, 16_224_001),
        ("dose", {"expression": 942, "descriptors": 5270, "fingerprints": 2048}, 3, 21_275_001),
    ],
)
def test_the_reference_has_the_published_number_of_parameters(
    variant: str, widths: dict[str, int], head: int, expected: int
) -> None:
    cells = {"expression": np.zeros((1, widths.pop("expression")), "f4")}
    drugs = {name: np.zeros((1, width), "f4") for name, width in widths.items()}
    from sciml_data.bench.task.settings import resolve_settings
    from sciml_data.bench.task.task import load_task
    from sciml_data.bench.task.variants import choose_variant

    task = choose_variant(load_task(find_registry().runner("uno")), variant)
    chosen = resolve_settings(task, model="reference", split="row")
    model = module("model").build_model(
        {**chosen, "has_doses": variant == "dose", "has_pairs": False, "has_process": False},
        module("model").Tables(cells, drugs),
    )

    assert [1000] * head == chosen["head_widths"]
    assert model.count_params() == expected
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == expected


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("variant", ["auc", "dose"])
def test_the_reference_has_the_outputs_of_joined_rows(variant: str, training: bool) -> None:  # noqa: FBT001
    model = build("reference", variant)
    inputs = batch(variant)
    rows = joined_rows(*tables(variant), inputs)

    expected = joined(model, variant)(rows, training=training).numpy()

    assert model(inputs, training=training).numpy() == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert np.std(expected) > 0.01


@pytest.mark.parametrize("variant", ["auc", "dose"])
def test_the_reference_has_the_gradients_of_joined_rows(variant: str) -> None:
    model = build("reference", variant)
    other = joined(model, variant)
    inputs = batch(variant)
    rows = joined_rows(*tables(variant), inputs)

    own = dict(
        zip(
            [weight.path for weight in model.trainable_variables],
            gradients(model, inputs, model.trainable_variables, training=True),
            strict=True,
        )
    )
    blocks = [own.pop(weight.path) for weight in model.join.kernels.values()]
    computed = [np.concatenate(blocks), *own.values()]
    expected = gradients(other, rows, other.trainable_variables, training=True)

    shapes = sorted(gradient.shape for gradient in computed)
    assert shapes == sorted(gradient.shape for gradient in expected)
    for gradient in computed:
        same = [other for other in expected if other.shape == gradient.shape]
        assert min(float(np.abs(gradient - other).max()) for other in same) < 1e-4 * (
            1 + float(np.abs(gradient).max())
        )


@pytest.mark.parametrize("model", ["pooled", "reference"])
@pytest.mark.parametrize("variant", ["auc", "dose"])
def test_each_network_gives_the_same_for_distinct_entities_and_for_rows(
    variant: str, model: str
) -> None:
    built = build(model, variant)

    outputs, expected = (built(batch(variant, distinct=d), training=True) for d in (True, False))
    own, others = (
        gradients(built, batch(variant, distinct=d), built.trainable_variables, training=True)
        for d in (True, False)
    )

    assert outputs.numpy() == pytest.approx(expected.numpy(), rel=1e-5, abs=1e-5)
    for gradient, other in zip(own, others, strict=True):
        assert gradient == pytest.approx(other, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("variant", ["auc", "dose"])
def test_the_first_product_is_shared_with_dropout(variant: str) -> None:
    """A dropout rate of a millionth takes the path with dropout and changes nothing."""
    model = build("reference", variant, dropout=1e-6)
    inputs = batch(variant)
    rows = joined_rows(*tables(variant), inputs)

    expected = joined(model, variant)(rows).numpy()

    assert model(inputs, training=True).numpy() == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_dropout_is_applied_in_training_and_in_noisy_evaluation_only() -> None:
    inputs = batch("auc")
    for evaluation, is_noisy in (("clean", False), ("reference-noisy", True)):
        model = build("reference", "auc", dropout=0.5, evaluation=evaluation)
        trained = [model(inputs, training=True).numpy() for _ in range(2)]
        evaluated = [model(inputs, training=False).numpy() for _ in range(2)]

        assert not np.array_equal(*trained)
        assert np.array_equal(*evaluated) != is_noisy


def swapped(inputs: dict[str, Any]) -> dict[str, Any]:
    pairs = {"drug1": "drug2", "dose1": "dose2"}
    both = pairs | {second: first for first, second in pairs.items()}
    return {name: inputs[both.get(name, name)] for name in inputs}


@pytest.mark.parametrize("model", ["pooled", "reference"])
def test_the_order_of_a_pair_does_not_matter_in_evaluation(model: str) -> None:
    built = build(model, "dose", has_pairs=True)
    inputs = batch("dose") | {"has_second": np.ones(ROWS, "f4")}

    first, second = (built(given, training=False).numpy() for given in (inputs, swapped(inputs)))
    learnt = [built(given, training=True).numpy() for given in (inputs, swapped(inputs))]

    assert first == pytest.approx(second, rel=1e-5, abs=1e-5)
    assert (np.abs(learnt[0] - learnt[1]).max() < 1e-5) == (model == "pooled")


def test_the_second_slot_of_a_single_drug_does_not_matter() -> None:
    model = build("pooled", "dose", has_pairs=True)
    inputs = batch("dose") | {"has_second": np.zeros(ROWS, "f4")}
    other = inputs | {"drug2": inputs["drug1"], "dose2": inputs["dose2"] * 3 + 1}

    assert model(inputs).numpy() == pytest.approx(model(other).numpy())


@pytest.mark.parametrize("has_pairs", [False, True])
@pytest.mark.parametrize("variant", ["auc", "dose"])
def test_terms_of_a_row_are_added_in_the_same_order_in_a_compiled_pass(
    variant: str,
    has_pairs: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Wide and long enough that TensorFlow would let threads choose the order of a chain."""
    model = build("reference", variant, has_pairs=has_pairs, head_widths=[1000, 1])
    random = np.random.default_rng(2)
    rows = 10_000
    terms = {name: random.normal(size=(20, 1000)).astype("f4") for name in ("cell", *model.slots)}
    inputs = {name: random.integers(0, 20, rows).astype("i4") for name in terms}
    if variant == "dose":
        inputs |= {name: random.normal(size=rows).astype("f4") for name in ("dose1", "dose2")}
    columns = {name: inputs[name] for name in terms}

    expected = sum(terms[name][inputs[name]] for name in terms)
    combine, _ = model.forward

    assert np.array_equal(model.sum_of_terms(terms, columns), expected)
    eager = model.combine(terms, inputs, use_dropout=False, training=False)
    for _ in range(5):
        assert np.asarray(combine(terms, inputs)) == pytest.approx(np.asarray(eager), abs=1e-4)
    runs = {np.asarray(combine(terms, inputs)).tobytes() for _ in range(5)}
    assert len(runs) == 1


def test_features_are_not_weights() -> None:
    model = build("reference", "dose")
    shapes = {tuple(variable.shape) for variable in model.variables}

    assert not shapes & {(CELLS, 11), (DRUGS, 8), (DRUGS, 6)}


@pytest.mark.parametrize("model", ["pooled", "reference"])
@pytest.mark.parametrize("variant", ["auc", "dose"])
def test_in_bfloat16_outputs_are_those_of_float32_but_for_rounding(
    model: str, variant: str
) -> None:
    inputs, full = batch(variant), build(model, variant, has_pairs=True)
    with short_precision():
        short = build(model, variant, has_pairs=True)
    short.set_weights(full.get_weights())

    expected = full(inputs).numpy()
    rounded = short(inputs).numpy()
    by_entity = module("model").predict_by_entity(short, inputs, batch_size=25)

    assert rounded.dtype == np.float32
    largest = float(np.abs(expected).max())
    assert rounded == pytest.approx(expected, abs=0.05 * largest)
    # Evaluation is compiled: products, biases and ReLU are fused, and rounded at other places.
    assert by_entity == pytest.approx(expected, abs=0.05 * largest)
    assert np.abs(rounded - expected).max() > 0  # the precision differs


def test_the_base_is_not_rounded_in_bfloat16() -> None:
    """A network with an output of 0 predicts the base, to the last bit."""
    with short_precision():
        model = build("pooled", "auc")
    model.out.set_weights([np.zeros_like(weight) for weight in model.out.get_weights()])
    inputs = batch("auc")

    assert inputs["base"].tolist() == model(inputs).numpy()[:, 0].tolist()


@pytest.mark.parametrize("variant", ["auc", "dose"])
@pytest.mark.parametrize(("model", "has_pairs"), [("reference", True), ("pooled", False)])
def test_a_network_is_portable_for_rows_with_features(
    model: str,
    variant: str,
    has_pairs: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    from sciml_data.bench.training.portable import portable_model

    has_process = model == "pooled"
    network = build(model, variant, has_pairs=has_pairs, has_process=has_process)
    inputs = batch(variant)
    if has_process:
        inputs["process"] = inputs["base"] + 1
    random = np.random.default_rng(5)
    network.set_weights([w + random.normal(size=w.shape) / 4 for w in network.get_weights()])
    rewrite = module("portable").rewrite
    portable = portable_model(network, inputs, rewrite)
    _, features = rewrite(network, inputs)

    np.testing.assert_allclose(portable(features), network(inputs), rtol=1e-5, atol=1e-5)
    assert "cell_expression" in features
    assert features["drug1_descriptors"].shape == (ROWS, WIDTHS["descriptors"])
    assert ("cell_number" in features) == (model == "pooled")
