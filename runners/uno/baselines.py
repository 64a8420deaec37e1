"""Baselines without a network: means, ridge regression, boosting, and the Gaussian process."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciml_data.bench.task.splits import TRAIN, VALIDATION, evenly_spaced

from . import effects, gaussian_process
from .data import Codes, Floats, Responses

if TYPE_CHECKING:
    from sciml_data.bench.interface import Baseline

    from .runner import Uno

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
BOOSTING, PROCESS, RIDGE = "boosting", "gaussian_process", "ridge"
BOOSTING_MODULE = "lightgbm"
# Evenly spaced samples bound time and memory: 20 million rows give the ridge's few hundred weights
# no more precision. A singular value decomposition of 2,000 drugs takes about 10 seconds.
MAX_FOR_AXES = 2000  # entities that principal axes are computed from
RIDGE_ROWS = 100_000  # rows that the ridge is fitted to
MIN_AXIS = 1e-6  # singular value of an axis, relative to that of the first
ENTITIES = 4096  # that are projected at once
BLOCK = 1 << 16  # rows whose features are in memory at once


def fit(problem: Uno) -> tuple[dict[str, Baseline], dict[str, Any]]:
    """Return each baseline as a function from rows to values (row,), and notes for the record.

    A note has details of a baseline, or why it is skipped.
    """
    responses, settings, parts = problem.responses, problem.settings, problem.division.parts
    train, penalty = parts[TRAIN], settings["shrinkage"]
    means = {**MEANS, **(DOSE_MEANS if responses.has_doses else {})}
    fitted: dict[str, Baseline] = {
        name: effects.forecast(responses, train, kinds, penalty=penalty).__getitem__
        for name, kinds in means.items()
    }
    reduced = {
        kind: _components(tables, problem.training[kind], settings["components"])
        for kind, tables in problem.features.items()
    }
    features = RowFeatures(
        responses, problem.table["combination"].to_numpy(), reduced["cell"], reduced["drug"]
    )
    fitted[RIDGE] = _fit_ridge(features, train, settings)
    notes: dict[str, Any] = {}
    if problem.process is None:
        notes[PROCESS] = {"skipped": gaussian_process.reason_against(responses)}
    else:
        fitted[PROCESS] = problem.process.forecast.__getitem__
        notes[PROCESS] = problem.process.choice._asdict()
    if not settings["boosting_trees"]:
        notes[BOOSTING] = {"skipped": "boosting_trees=0"}
    elif importlib.util.find_spec(BOOSTING_MODULE) is None:
        reason = f"{BOOSTING_MODULE} is not installed: pip install 'sciml-data[uno]'"
        notes[BOOSTING] = {"skipped": reason}
    else:
        fitted[BOOSTING], notes[BOOSTING] = _fit_boosting(features, problem)
    return fitted, notes


@dataclass(frozen=True)
class RowFeatures:
    """Features of rows for a regression: principal components of the row's cell and drugs, doses.

    Attributes:
        responses: all rows.
        combination: (row,) number of the drug or the pair of drugs.
        cells: (cell, component) float32.
        drugs: (drug, component) float32.
    """

    responses: Responses
    combination: Codes
    cells: Floats
    drugs: Floats

    def of(self, rows: Codes, *, products: int = 0, with_code: bool = False) -> Floats:
        """Return (row, feature) float32: components of cell and drugs, doses and their squares.

        Components and doses of two drugs are added, so their order does not matter.

        Args:
            rows: indices of rows.
            products: number of leading components of each kind whose products are features too.
            with_code: whether the first column is the number of the drug or the pair of drugs.
        """
        cells = self.cells[self.responses.cell[rows]]
        slots, doses = self.responses.drugs[rows], self.responses.doses[rows]
        drugs = np.pad(self.drugs, ((0, 1), (0, 0)))[slots].sum(axis=1)  # an empty slot is -1
        blocks, dose_products = [cells, drugs], []
        if with_code:
            blocks.insert(0, self.combination[rows][:, None])
        if self.responses.has_doses:
            low = np.nanmin(doses, axis=1)[:, None]
            blocks += [low, np.nanmax(doses, axis=1)[:, None]]
            blocks += [np.nansum(doses, axis=1)[:, None] ** 2, (slots >= 0).sum(axis=1)[:, None]]
            dose_products = [low * drugs[:, :products], low * cells[:, :products]]
        if products:
            both = cells[:, :products, None] * drugs[:, None, :products]
            blocks += [both.reshape(len(rows), -1), *dose_products]
        return np.concatenate(blocks, axis=1).astype(np.float32)

    def baseline(self, model: Any, **options: Any) -> Baseline:
        """Return a function from rows to values (row,); `model.predict` takes `of(rows)`."""

        def values(rows: Codes) -> npt.NDArray[Any]:
            blocks = (rows[first : first + BLOCK] for first in range(0, len(rows), BLOCK))
            return np.concatenate([model.predict(self.of(block, **options)) for block in blocks])

        return values


def _fit_ridge(features: RowFeatures, train: Codes, settings: Mapping[str, Any]) -> Baseline:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, products = evenly_spaced(train, RIDGE_ROWS), settings["ridge_products"]
    # The penalty is for each row, so that it means the same for datasets of different sizes.
    line = make_pipeline(
        StandardScaler(copy=False), Ridge(settings["ridge_penalty"] * len(rows), copy_X=False)
    )
    values = features.of(rows, products=products).astype(np.float64)
    line.fit(values, features.responses.target[rows].astype(np.float64))
    return features.baseline(line, products=products)


def _fit_boosting(features: RowFeatures, problem: Uno) -> tuple[Baseline, dict[str, Any]]:
    """Return LightGBM, fitted, and details for the record.

    The validation part chooses the number of trees, and one of two sets of options: half of the
    columns for each tree, or all columns and the drug as a category. New drugs have no category.
    The order of sums is fixed, so results are reproducible.
    """
    import lightgbm

    settings, parts = problem.settings, problem.division.parts
    chosen = (parts[TRAIN], parts.get(VALIDATION, parts[TRAIN]))
    train, validation = (evenly_spaced(rows, settings["boosting_rows"]) for rows in chosen)
    target, fitted = features.responses.target, []
    for with_code in (False, True) if problem.knows["drug"] else (False,):
        columns = {"categorical_feature": [0]} if with_code else {}
        data = lightgbm.Dataset(features.of(train, with_code=with_code), target[train], **columns)
        held_out = features.of(validation, with_code=with_code)
        booster = lightgbm.train(
            _boosting_options(settings) | {"feature_fraction": 1.0 if with_code else 0.5},
            data,
            num_boost_round=settings["boosting_trees"],
            valid_sets=[data.create_valid(held_out, target[validation])],
            callbacks=[lightgbm.early_stopping(50, verbose=False)],
        )
        error = float(np.square(target[validation] - booster.predict(held_out)).mean())
        fitted.append((error, with_code, booster))
    _, with_code, booster = min(fitted, key=itemgetter(0))
    return features.baseline(booster, with_code=with_code), {
        "trees": int(booster.best_iteration),
        "rows": len(train),
        "drug_as_category": with_code,
        "selection": "trees and options by the validation part",
        "version": lightgbm.__version__,
    }


def _boosting_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "objective": "regression",
        "learning_rate": settings["boosting_rate"],
        "num_leaves": settings["boosting_leaves"],
        "min_data_in_leaf": 20,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 1.0,
        "seed": 0,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": settings["boosting_threads"],
        "verbose": -1,
    }


def _components(
    tables: Mapping[str, npt.NDArray[Any]], training: Codes, max_components: int
) -> Floats:
    """Return principal components (entity, component) of unit variance, with axes from training."""
    from sklearn.decomposition import PCA

    values = np.concatenate([np.asarray(table, np.float32) for table in tables.values()], axis=1)
    known = values[evenly_spaced(training, MAX_FOR_AXES)].astype(np.float64)
    # The covariance of wide tables is too large: 5,270 descriptors of 24 drugs.
    solver = "covariance_eigh" if len(known) >= known.shape[1] else "full"
    pca = PCA(min(max_components, *known.shape), svd_solver=solver, whiten=True).fit(known)
    # Axes of rounding noise are left out: unit variance would amplify them.
    sizes = pca.singular_values_
    is_kept = sizes > MIN_AXIS * max(sizes[0], MIN_AXIS)
    blocks = range(0, len(values), ENTITIES)
    return np.concatenate(
        [pca.transform(values[first : first + ENTITIES])[:, is_kept] for first in blocks]
    ).astype(np.float32)
