"""What needs no network: means, ridge regression and gradient boosting on reduced features."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring.baselines import fit_ridge

from . import effects
from .data import Floats, Responses
from .features import Scaled

MEANS: Mapping[str, tuple[str, ...]] = {
    "mean": (),
    "drug_mean": ("drug",),
    "cell_mean": ("cell",),
    "drug_cell_mean": ("drug", "cell"),
}
DOSE_MEANS: Mapping[str, tuple[str, ...]] = {
    "level_mean": ("level",),
    "dose_mean": ("level", "drug", "dose"),
    "dose_cell_mean": ("level", "drug", "dose", "cell"),
}
BOOSTING, RIDGE = "boosting", "ridge"
MOST_FOR_AXES = 4000  # entities that principal axes are computed from
BLOCK = 1 << 16  # rows whose features exist at once
Rows: TypeAlias = npt.NDArray[np.int64]


def forecasts(
    responses: Responses,
    scaled: Scaled,
    known: Mapping[str, Mapping[str, Rows]],
    settings: Mapping[str, Any],
    *,
    facts: dict[str, Any],
) -> Iterator[tuple[str, Floats]]:
    """Yield name and forecast (row,) of all rows of each baseline.

    Args:
        responses: all rows.
        scaled: features.
        known: "parts", the rows of each, and "used", the training part's entities.
        settings: see task.toml.
        facts: what the record should say of a baseline is put in, or why one is left out.
    """
    train = known["parts"]["train"]
    named = {**MEANS, **(DOSE_MEANS if responses.doses.shape[1] else {})}
    for name, kinds in named.items():
        made = effects.forecasts(responses, train, {name: kinds}, penalty=settings["shrinkage"])
        yield name, made[name].astype(np.float32)
    reduced = reduce(scaled.cells, scaled.drugs, known["used"], most=settings["components"])
    options = {"penalty": settings["ridge_penalty"], "products": settings["ridge_products"]}
    yield RIDGE, ridge(responses, reduced, train, **options).astype(np.float32)
    missing = boosting_missing()
    if missing or not settings["boosting_trees"]:
        facts[BOOSTING] = {"skipped": missing or "boosting_trees=0"}
        return
    forecast, facts[BOOSTING] = boosting(
        responses, lambda rows: row_features(responses, reduced, rows), known["parts"], settings
    )
    yield BOOSTING, forecast.astype(np.float32)


@dataclass(frozen=True)
class Reduced:
    """Principal components of cells and of drugs, of training entities' features.

    cells: (cell, component) float32; drugs: (drug, component) float32.
    """

    cells: Floats
    drugs: Floats


def reduce(
    cells: Mapping[str, npt.NDArray[Any]],
    drugs: Mapping[str, npt.NDArray[Any]],
    used: Mapping[str, Rows],
    *,
    most: int,
) -> Reduced:
    """Return at most `most` components of each kind; see `_components`."""
    return Reduced(_components(cells, used["cells"], most), _components(drugs, used["drugs"], most))


def row_features(
    responses: Responses, reduced: Reduced, rows: Rows, *, products: int = 0
) -> Floats:
    """Return (row, feature) float32: components of cell and drugs, doses and their squares.

    Of two drugs the components are added up, and the doses too, so their order does not matter.

    Args:
        responses: all rows.
        reduced: components.
        rows: which rows.
        products: leading components of each kind whose products are features as well.
    """
    cells = reduced.cells[responses.cell[rows]]
    padded = np.concatenate([reduced.drugs, np.zeros((1, reduced.drugs.shape[1]), np.float32)])
    slots = responses.drugs[rows]
    drugs = padded[slots].sum(axis=1)
    blocks = [cells, drugs]
    if responses.doses.shape[1]:
        doses = responses.doses[rows]
        blocks += [np.nanmin(doses, axis=1)[:, None], np.nanmax(doses, axis=1)[:, None]]
        blocks += [np.nansum(doses, axis=1)[:, None] ** 2, (slots >= 0).sum(axis=1)[:, None]]
    if products:
        both = cells[:, :products, None] * drugs[:, None, :products]
        blocks.append(both.reshape(len(rows), -1))
        if responses.doses.shape[1]:
            low = np.nanmin(responses.doses[rows], axis=1)[:, None]
            blocks += [low * drugs[:, :products], low * cells[:, :products]]
    return np.concatenate(blocks, axis=1).astype(np.float32)


def ridge(
    responses: Responses, reduced: Reduced, train: Rows, *, penalty: float, products: int
) -> npt.NDArray[np.float64]:
    """Return the forecast of all rows by ridge regression."""

    def blocks(rows: Rows) -> Iterator[Rows]:
        return (rows[first : first + BLOCK] for first in range(0, len(rows), BLOCK))

    line = fit_ridge(
        (
            (
                row_features(responses, reduced, rows, products=products),
                responses.target[rows][:, None],
            )
            for rows in blocks(train)
        ),
        penalty=penalty,
    )
    everything = np.arange(len(responses))
    return np.concatenate(
        [
            line.predict(row_features(responses, reduced, rows, products=products))[:, 0]
            for rows in blocks(everything)
        ]
    )


def boosting_missing() -> str | None:
    """Return why gradient boosting cannot be had; None where it can."""
    if importlib.util.find_spec("lightgbm") is not None:
        return None
    return "lightgbm is not installed: pip install 'sciml-data[uno]'"


def boosting(
    responses: Responses,
    features: Any,
    parts: Mapping[str, Rows],
    settings: Mapping[str, Any],
) -> tuple[npt.NDArray[np.float64], Mapping[str, Any]]:
    """Return the forecast of all rows by LightGBM, and what it was fitted with.

    The number of trees is chosen by the validation part; the order of sums is fixed, so it can be
    computed again.

    Args:
        responses: all rows.
        features: rows -> (row, feature) float32.
        parts: "train", and "validation" to stop by.
        settings: `boosting_*` of task.toml.
    """
    import lightgbm

    train = _some(parts["train"], settings["boosting_rows"])
    judged = _some(parts.get("validation", parts["train"]), settings["boosting_rows"])
    options = {
        "objective": "regression",
        "learning_rate": settings["boosting_rate"],
        "num_leaves": settings["boosting_leaves"],
        "min_data_in_leaf": 20,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 1.0,
        "seed": 0,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": settings["boosting_threads"],
        "verbose": -1,
    }
    known = lightgbm.Dataset(features(train), responses.target[train], free_raw_data=True)
    shown = lightgbm.Dataset(features(judged), responses.target[judged], reference=known)
    booster = lightgbm.train(
        options,
        known,
        num_boost_round=settings["boosting_trees"],
        valid_sets=[shown],
        callbacks=[lightgbm.early_stopping(50, verbose=False)],
    )
    pieces = [
        booster.predict(features(np.arange(first, min(first + BLOCK, len(responses)))))
        for first in range(0, len(responses), BLOCK)
    ]
    return np.concatenate(pieces), {
        "trees": int(booster.best_iteration),
        "rows": len(train),
        "selection": "trees by the validation part",
        "version": lightgbm.__version__,
    }


def _some(rows: Rows, most: int) -> Rows:
    """Return at most so many rows, evenly spaced; 0 takes all."""
    if not most or len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def _components(tables: Mapping[str, npt.NDArray[Any]], used: Rows, most: int) -> Floats:
    """Return principal components of all entities, axes from the used ones, of unit variance."""
    values = np.concatenate([np.asarray(table, np.float32) for table in tables.values()], axis=1)
    used = _some(used, MOST_FOR_AXES)
    known = values[used].astype(np.float64)
    centre = known.mean(axis=0)
    _, sizes, axes = _decomposed(known - centre, most)
    kept = sizes > 1e-6 * max(sizes[0], 1e-12) if len(sizes) else np.zeros(0, bool)
    scale = np.sqrt(len(used)) / np.maximum(sizes[kept], 1e-12)
    turned = (axes[kept].T * scale).astype(np.float32)
    return np.asarray(values @ turned - centre.astype(np.float32) @ turned, np.float32)


def _decomposed(
    known: npt.NDArray[np.float64], most: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the leading singular vectors and values, by way of the smaller Gram matrix."""
    count, width = known.shape
    if count <= width:
        values, vectors = np.linalg.eigh(known @ known.T)
        order = np.argsort(values)[::-1][: min(most, count)]
        sizes = np.sqrt(np.maximum(values[order], 0.0))
        left = vectors[:, order]
        right = (left.T @ known) / np.maximum(sizes, 1e-12)[:, None]
        return left, sizes, right
    values, vectors = np.linalg.eigh(known.T @ known)
    order = np.argsort(values)[::-1][: min(most, width)]
    sizes = np.sqrt(np.maximum(values[order], 0.0))
    right = vectors[:, order].T
    return known @ right.T / np.maximum(sizes, 1e-12), sizes, right
