"""Baselines without a network: means, ridge regression, gradient boosting on PCA features."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring.baselines import fit_ridge
from sciml_data.bench.task.splits import TRAIN, VALIDATION, evenly_spaced

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
MAX_FOR_AXES = 4000  # entities that principal axes are computed from
BLOCK = 1 << 16  # rows whose features are in memory at once
Rows: TypeAlias = npt.NDArray[np.int64]


def forecasts(
    responses: Responses,
    scaled: Scaled,
    training: Mapping[str, Mapping[str, Rows]],
    settings: Mapping[str, Any],
    *,
    notes: dict[str, Any],
) -> Iterator[tuple[str, Floats]]:
    """Yield name and forecast (row,), float32, of each baseline for all rows.

    Args:
        responses: all rows.
        scaled: features.
        training: "parts": rows by part; "entities": "cells" and "drugs" of the training part.
        settings: see task.toml.
        notes: gets details of a baseline, or why it is skipped, for the record.
    """
    train = training["parts"]["train"]
    named = {**MEANS, **(DOSE_MEANS if responses.doses.shape[1] else {})}
    for name, kinds in named.items():
        forecast = effects.forecasts(responses, train, {name: kinds}, penalty=settings["shrinkage"])
        yield name, forecast[name].astype(np.float32)
    reduced = reduce_features(
        scaled.cells, scaled.drugs, training["entities"], max_components=settings["components"]
    )
    options = {"penalty": settings["ridge_penalty"], "products": settings["ridge_products"]}
    yield RIDGE, ridge(responses, reduced, train, **options).astype(np.float32)
    missing = boosting_missing()
    if missing or not settings["boosting_trees"]:
        notes[BOOSTING] = {"skipped": missing or "boosting_trees=0"}
        return
    boosted, notes[BOOSTING] = boosting(
        responses, lambda rows: row_features(responses, reduced, rows), training["parts"], settings
    )
    yield BOOSTING, boosted.astype(np.float32)


@dataclass(frozen=True)
class Reduced:
    """Principal components of the features, with axes from training entities.

    Attributes:
        cells: (cell, component) float32.
        drugs: (drug, component) float32.
    """

    cells: Floats
    drugs: Floats


def reduce_features(
    cells: Mapping[str, npt.NDArray[Any]],
    drugs: Mapping[str, npt.NDArray[Any]],
    training_entities: Mapping[str, Rows],
    *,
    max_components: int,
) -> Reduced:
    """Return at most `max_components` components of cells and of drugs; see `_components`."""
    return Reduced(
        _components(cells, training_entities["cells"], max_components),
        _components(drugs, training_entities["drugs"], max_components),
    )


def row_features(
    responses: Responses, reduced: Reduced, rows: Rows, *, products: int = 0
) -> Floats:
    """Return (row, feature) float32: components of cell and drugs, doses and their squares.

    Components and doses of two drugs are added, so their order does not matter.

    Args:
        responses: all rows.
        reduced: components of cells and drugs.
        rows: indices of the wanted rows.
        products: number of leading components of each kind whose products are features too.
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
    """Return the forecast (row,) of all rows by ridge regression."""

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
    """Return why gradient boosting is not available; None if it is."""
    if importlib.util.find_spec("lightgbm") is not None:
        return None
    return "lightgbm is not installed: pip install 'sciml-data[uno]'"


def boosting(
    responses: Responses,
    features: Any,
    parts: Mapping[str, Rows],
    settings: Mapping[str, Any],
) -> tuple[npt.NDArray[np.float64], Mapping[str, Any]]:
    """Return the forecast (row,) of all rows by LightGBM, and details for the record.

    The number of trees is chosen by the validation part. The order of sums is fixed, so results are
    reproducible.

    Args:
        responses: all rows.
        features: function from indices of rows to (row, feature) float32.
        parts: rows of "train", and of "validation" for early stopping.
        settings: `boosting_*` of task.toml.
    """
    import lightgbm

    limit = settings["boosting_rows"] or len(responses)  # 0: all rows
    chosen = (parts[TRAIN], parts.get(VALIDATION, parts[TRAIN]))
    train, validation = (evenly_spaced(rows, limit, truncate=True) for rows in chosen)
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
    train_data = lightgbm.Dataset(features(train), responses.target[train], free_raw_data=True)
    validation_data = train_data.create_valid(features(validation), responses.target[validation])
    booster = lightgbm.train(
        options,
        train_data,
        num_boost_round=settings["boosting_trees"],
        valid_sets=[validation_data],
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


def _components(
    tables: Mapping[str, npt.NDArray[Any]], training: Rows, max_components: int
) -> Floats:
    """Return principal components (entity, component) of unit variance, with axes from training."""
    values = np.concatenate([np.asarray(table, np.float32) for table in tables.values()], axis=1)
    training = evenly_spaced(training, MAX_FOR_AXES, truncate=True)
    known = values[training].astype(np.float64)
    centre = known.mean(axis=0)
    _, sizes, axes = _truncated_svd(known - centre, max_components)
    # Axes of rounding noise are left out: unit variance would amplify them.
    is_kept = sizes > 1e-6 * max(sizes[0], 1e-12) if len(sizes) else np.zeros(0, bool)
    scale = np.sqrt(len(training)) / np.maximum(sizes[is_kept], 1e-12)
    projection = (axes[is_kept].T * scale).astype(np.float32)
    return np.asarray(values @ projection - centre.astype(np.float32) @ projection, np.float32)


def _truncated_svd(
    matrix: npt.NDArray[np.float64], max_components: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the leading left singular vectors, singular values and right singular vectors.

    They come from the eigenvectors of the smaller Gram matrix, which is cheaper than an SVD.
    """
    count, width = matrix.shape
    if count <= width:
        values, vectors = np.linalg.eigh(matrix @ matrix.T)
        order = np.argsort(values)[::-1][: min(max_components, count)]
        sizes = np.sqrt(np.maximum(values[order], 0.0))
        left = vectors[:, order]
        right = (left.T @ matrix) / np.maximum(sizes, 1e-12)[:, None]
        return left, sizes, right
    values, vectors = np.linalg.eigh(matrix.T @ matrix)
    order = np.argsort(values)[::-1][: min(max_components, width)]
    sizes = np.sqrt(np.maximum(values[order], 0.0))
    right = vectors[:, order].T
    return matrix @ right.T / np.maximum(sizes, 1e-12), sizes, right
