"""The forecast from means that our network corrects, made of what is known of rows to come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import effects
from .data import Floats, Responses

if TYPE_CHECKING:
    from .split import Layout, Rows

MEANS, NOTHING = "means", "nothing"
BASES = (MEANS, NOTHING)


@dataclass(frozen=True)
class Base:
    """What a network's output is added to.

    Attributes:
        values: (row,) float32.
        kinds: effects that it is made of.
        removed: kinds of entities whose effects it has on training rows alone.
        spread: standard deviation of what it leaves of training rows; 1 for the reference.
    """

    values: Floats
    kinds: tuple[str, ...]
    removed: tuple[str, ...]
    spread: float


def make_base(
    responses: Responses, layout: Layout, used: Mapping[str, Rows], settings: Mapping[str, Any]
) -> Base:
    """Return the base of a split: effects that most rows of the validation part have.

    Of a few held-out drugs a network would learn what each does, which says nothing of another. So
    where training has fewer than `least_entities` of a held-out kind, their own effects are taken
    out of what is trained on; what cells make of drugs is left to learn.

    Args:
        responses: all rows.
        layout: the parts.
        used: "cells" and "drugs" of the training part.
        settings: see task.toml.
    """
    if settings["model"] == "reference":
        return Base(np.zeros(len(responses), np.float32), (), (), 1.0)
    train = layout.parts["train"]
    knows = {"cell": layout.knows_cell, "drug": layout.knows_drug}
    kinds = _kinds(knows, settings, has_doses=responses.doses.shape[1] > 0)
    values = _means(responses, train, kinds, settings)
    least = settings["least_entities"] if settings["base"] == MEANS else 0
    removed = _few(responses, knows, used, least)
    if removed:
        values[train] = _means(responses, train, (*kinds, *removed), settings)[train]
    spread = float((responses.target[train] - values[train]).std())
    return Base(values, kinds, removed, spread or 1.0)


def _kinds(
    knows: Mapping[str, bool], settings: Mapping[str, Any], *, has_doses: bool
) -> tuple[str, ...]:
    if settings["base"] == NOTHING:
        return ()
    wanted = {
        "cell": knows["cell"],
        "level": has_doses,
        "drug": knows["drug"],
        "dose": has_doses and knows["drug"],
    }
    return tuple(kind for kind, is_wanted in wanted.items() if is_wanted)


def _few(
    responses: Responses, knows: Mapping[str, bool], used: Mapping[str, Rows], least: int
) -> tuple[str, ...]:
    """Return the held-out kinds of which training has fewer than so many."""
    tables = {"cell": responses.cells, "drug": responses.drug_table}
    return tuple(
        kind
        for kind, table in tables.items()
        if not knows[kind] and len(np.unique(table.codes[used[f"{kind}s"]])) < least
    )


def _means(
    responses: Responses, train: Rows, kinds: tuple[str, ...], settings: Mapping[str, Any]
) -> Floats:
    made = effects.forecasts(responses, train, {"base": kinds}, penalty=settings["shrinkage"])
    return made["base"].astype(np.float32)
