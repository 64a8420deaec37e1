"""A trained model in a form that stock Keras loads, without sciml-data or the runner.

Runners write models with layer classes of their own, which another program does not have. Here such
a model becomes a functional model with the same weights: each call of a runner's layer is replaced
by the Keras layers and operations that it consists of. Layers of Keras itself are shared.

A model is not portable if its inputs are not arrays with a sample in each row, or if a layer of the
runner has trainable weights of its own. `NotPortableError` says why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

SAMPLES = 2  # of the example with which both models are compared
TOLERANCE = 1e-6  # relative to the largest output: sums are done in another order at most
Rewrite: TypeAlias = Callable[[Any, Any], tuple[Any, Any]]


class NotPortableError(Exception):
    """Why stock Keras cannot load the model."""


def portable_model(model: Any, inputs: Any, rewrite: Rewrite | None = None) -> Any:
    """Return a functional model of stock layers with the weights and outputs of a trained model.

    Args:
        model: a Keras model.
        inputs: inputs of a batch: an array (sample, ...), or a structure of such arrays.
        rewrite: of the runner: returns another model with the same weights, and its inputs for the
            batch; for a model with inputs that are not arrays of samples.

    Raises:
        NotPortableError: the model cannot be written with stock layers.
    """
    try:
        if rewrite is None:
            inputs = _first_samples(inputs)
        expected = np.asarray(model(inputs, training=False), np.float64)[:SAMPLES]
        if rewrite is not None:
            model, inputs = rewrite(model, inputs)
        example = _first_samples(inputs)
        portable = _inlined(model) if _is_functional(model) else _traced(model, example)
        _require_stock(portable)
        _require_equal(expected, np.asarray(portable(example, training=False), np.float64))
    except NotPortableError:
        raise
    # Keras and its backends report what they cannot trace or write by errors of many types.
    except Exception as error:
        first = str(error).partition("\n")[0]
        raise NotPortableError(f"{type(error).__name__}: {first:.200}") from error
    return portable


def _first_samples(inputs: Any) -> Any:
    import keras

    return keras.tree.map_structure(lambda array: np.asarray(array)[:SAMPLES], inputs)


def _is_functional(model: Any) -> bool:
    import keras

    return isinstance(model, keras.Sequential) or (
        isinstance(model, keras.Model) and hasattr(model, "operations")
    )


def _is_stock(layer: Any) -> bool:
    return type(layer).__module__.split(".")[0] == "keras"


def _traced(model: Any, example: Any) -> Any:
    """Return the functional model that a subclassed model computes."""
    import keras

    symbols = keras.tree.map_structure(
        lambda array: keras.Input(array.shape[1:], dtype=array.dtype.name), example
    )
    outputs = type(model).call(_Inlined(model), symbols, training=False)
    return keras.Model(symbols, outputs, name=model.name)


def _inlined(model: Any) -> Any:
    """Return a functional model without layers of a runner; it shares all other layers."""
    import keras

    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=_call)


def _call(layer: Any, *values: Any, **options: Any) -> Any:
    """Call a stock layer, or do what the call of another layer does."""
    from keras import ops

    if _is_functional(layer):
        return _inlined(layer)(*values, **options)
    if _is_stock(layer):
        return layer(*values, **options)
    if layer.trainable_weights:
        raise NotPortableError(f"the layer {type(layer).__name__} has trainable weights")
    if layer.autocast:  # as `Layer.__call__` does it
        values = tuple(ops.cast(value, layer.compute_dtype) for value in values)
    return type(layer).call(_Inlined(layer), *values, **options)


class _Inlined:
    """A layer or model whose variables are constants, and whose layers are inlined."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    def __getattr__(self, name: str) -> Any:
        import keras

        value = getattr(self._layer, name)
        if isinstance(value, keras.Variable):
            return np.array(value.numpy())
        if isinstance(value, keras.Layer):
            return lambda *values, **options: _call(value, *values, **options)
        return value


def _require_stock(portable: Any) -> None:
    """Raise an error if a class of the model is not of Keras."""
    foreign = sorted({*_foreign_modules(json.loads(portable.to_json()))})
    if foreign:
        raise NotPortableError(f"it needs {', '.join(foreign)}")


def _foreign_modules(config: Any) -> Iterator[str]:
    """Yield the classes in a model's configuration that are not of Keras."""
    if isinstance(config, dict):
        module = config.get("module")
        if isinstance(module, str) and module.split(".")[0] not in {"keras", "builtins"}:
            yield f"{module}.{config.get('class_name')}"
        elif config.get("registered_name") not in {None, config.get("class_name")}:
            yield str(config["registered_name"])
        for value in config.values():
            yield from _foreign_modules(value)
    elif isinstance(config, list):
        for value in config:
            yield from _foreign_modules(value)


def _require_equal(expected: npt.NDArray[Any], found: npt.NDArray[Any]) -> None:
    """Raise an error if outputs differ from those of the trained model."""
    if expected.shape != found.shape:
        raise NotPortableError(f"its outputs would be {found.shape} and not {expected.shape}")
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    difference = float(np.abs(expected - found).max(initial=0.0))
    if not difference <= TOLERANCE * scale:
        raise NotPortableError(f"its outputs would differ by {difference:.3g}")
