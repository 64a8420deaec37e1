"""The forecast from mean effects that the `pooled` network corrects.

It uses only effects that are known for held-out rows: those of cells and drugs that most validation
rows share with the training part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import effects
from .data import Codes, Floats, Responses

MEANS, NOTHING = "means", "nothing"


@dataclass(frozen=True)
class BaseForecast:
    """The forecast that a network's output is added to.

    Attributes:
        values: (row,) float32.
        kinds: kinds of effects that it is the sum of.
        removed: kinds of entities whose effects it contains for training rows only.
        spread: standard deviation of its errors on training rows; 1 for the reference.
    """

    values: Floats
    kinds: tuple[str, ...]
    removed: tuple[str, ...]
    spread: float


def make_base_forecast(
    responses: Responses,
    train: Codes,
    knows: Mapping[str, bool],
    training_entities: Mapping[str, Codes],
    settings: Mapping[str, Any],
) -> BaseForecast:
    """Return the base forecast of a split.

    If cells or drugs are held out and training has only a few of them, a network would learn the
    effect of each, which says nothing about those held out. So if training has fewer than
    `least_entities` entities of a held-out kind, their own effects are part of the base of training
    rows, and the network cannot learn them.

    Args:
        responses: all rows.
        train: rows of the training part.
        knows: whether most validation rows have a `cell`, or only drugs, of the training part.
        training_entities: indices of the "cells" and "drugs" of the training part.
        settings: see task.toml.
    """
    if settings["model"] == "reference":
        return BaseForecast(np.zeros(len(responses), np.float32), (), (), 1.0)
    kinds = _kinds(knows, settings, has_doses=responses.doses.shape[1] > 0)
    values = _means(responses, train, kinds, settings)
    min_entities = settings["least_entities"] if settings["base"] == MEANS else 0
    removed = _scarce_kinds(responses, knows, training_entities, min_entities)
    if removed:
        values[train] = _means(responses, train, (*kinds, *removed), settings)[train]
    spread = float((responses.target[train] - values[train]).std())
    return BaseForecast(values, kinds, removed, spread or 1.0)


def _kinds(
    knows: Mapping[str, bool], settings: Mapping[str, Any], *, has_doses: bool
) -> tuple[str, ...]:
    if settings["base"] == NOTHING:
        return ()
    is_used = {
        "cell": knows["cell"],
        "level": has_doses,
        "drug": knows["drug"],
        "dose": has_doses and knows["drug"],
    }
    return tuple(kind for kind, use in is_used.items() if use)


def _scarce_kinds(
    responses: Responses,
    knows: Mapping[str, bool],
    training_entities: Mapping[str, Codes],
    min_entities: int,
) -> tuple[str, ...]:
    """Return the held-out kinds of which training has fewer than `min_entities` entities."""
    tables = {"cell": responses.cells, "drug": responses.drug_table}
    return tuple(
        kind
        for kind, table in tables.items()
        if not knows[kind]
        and len(np.unique(table.codes[training_entities[f"{kind}s"]])) < min_entities
    )


def _means(
    responses: Responses, train: Codes, kinds: tuple[str, ...], settings: Mapping[str, Any]
) -> Floats:
    named = effects.forecasts(responses, train, {"base": kinds}, penalty=settings["shrinkage"])
    return named["base"].astype(np.float32)
