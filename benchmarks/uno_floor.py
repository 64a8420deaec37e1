"""The least time that Uno's shared towers can take: their bare matrix products, measured.

Multiply-adds (`uno_work.py`) do not bound time exactly, because products of different shapes run at
different rates, and because the optimiser's pass over all weights costs the same for every way to
compute a step. So `uno.py` times, in turn with the contenders, the products of the entity-wise
network in their shapes with nothing around them, and the optimiser's pass on constant gradients.
TensorFlow only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from uno_work import Network


@dataclass(frozen=True)
class Product:
    """A product of values (rows, inner) and a kernel (inner, outer).

    `has_features`: its values are features, so a training step needs no gradient of them.
    """

    rows: int
    inner: int
    outer: int
    has_features: bool = False


def products(network: Network, distinct: Mapping[str, int], rows: int) -> list[Product]:
    """Return the products of a pass over `rows` rows with these numbers of cells and drugs."""
    made: list[Product] = []
    kinds = {"cells": (network.cells, 1), "drugs": (network.drugs, network.slots)}
    for kind, (features, slots) in kinds.items():
        count = distinct[kind]
        for width in features:
            made.append(Product(count, width, network.tower[0], has_features=True))
            made += [Product(count, *widths) for widths in pairwise(network.tower)]
        made += slots * [Product(count, network.tower[-1] * len(features), network.head[0])]
    return made + [Product(rows, *widths) for widths in pairwise((*network.head, 1))]


def make_products(wanted: Sequence[Product], *, training: bool) -> Callable[[], None]:
    """Return a function that computes products, and in training those of both gradients."""
    import tensorflow as tf

    random = np.random.default_rng(0)

    def draw(*shape: int) -> Any:
        return tf.constant(random.standard_normal(shape, np.float32))

    shapes = set(wanted)
    values = {
        each: (
            draw(each.rows, each.inner),
            draw(each.inner, each.outer),
            draw(each.rows, each.outer),
        )
        for each in shapes
    }

    def compute() -> None:
        for each in wanted:
            rows, kernel, gradient = values[each]
            tf.matmul(rows, kernel)
            if training:
                tf.matmul(rows, gradient, transpose_a=True)
                if not each.has_features:
                    tf.matmul(gradient, kernel, transpose_b=True)

    return compute


def make_update(model: Any, optimizer: Any, *, is_compiled: bool) -> Callable[[], None]:
    """Return a function that applies constant gradients to all weights."""
    import tensorflow as tf

    gradients = [tf.ones(variable.shape) * 1e-6 for variable in model.trainable_variables]

    def update() -> None:
        optimizer.apply(gradients, model.trainable_variables)

    compiled: Callable[[], None] = tf.function(update, jit_compile=is_compiled)
    return compiled
