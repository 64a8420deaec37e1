"""A Gaussian process over cell lines and treatments: a baseline, and a part of model `pooled`.

A treatment is a drug, or drugs at their doses. The responses are mean effects plus a process with
the covariance

    of two cell lines (a radial basis function of their expression)
    times that of two treatments,

plus noise of each measurement. This is known as coregionalisation. Treatments that are in the
training part have the covariance of their training residuals over cell lines. New drugs have a
radial basis function of their descriptors instead. The validation part chooses the kind of
covariance, the length scales and the noise.

Cell lines times treatments form a grid, and most of it is measured. The covariance matrix of all
rows is therefore never formed: a product with it is two small matrix products, and conjugate
gradients solve the linear system. scikit-learn's `GaussianProcessRegressor` would need a matrix of
all pairs of rows, 38 GB for the doses of CCLE, and has no covariance by treatment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import effects
from .data import NO_SLOT, Codes, Floats, Responses
from .effects import Doubles

Tables = Mapping[str, Mapping[str, npt.NDArray[Any]]]

LENGTHS = (0.5, 0.7, 1.0, 1.5)  # of expression, in units of the median distance of two cells
DRUG_LENGTHS = (0.7, 1.0, 2.0, 4.0)  # of descriptors, likewise
NOISES = (
    0.25,
    0.5,
    1.0,
    2.0,
    4.0,
)  # variance of the noise, in units of a treatment's mean variance
DOSE_LENGTH = 1.0  # of -log10(mol/L)
# For new drugs, shares of the variance: common to all cell lines, and common to all drugs.
COMMON_TO_CELLS, COMMON_TO_DRUGS = 0.8, 0.1
MAX_ENTITIES = 6000  # cells, or treatments: their covariances are dense matrices
# Of conjugate gradients: relative residual, and iterations. With a looser tolerance, the number of
# threads decided by rounding when they ended, which moved the sixth digit of scores.
TOLERANCE, MAX_STEPS = 1e-7, 1000
MIN_SHARED = 0.5  # share of validation rows with a treatment of the training part, for `EMPIRICAL`
SAME = 1e-9  # relative squared distance of entities with the same features
EMPIRICAL, DESCRIPTORS = "training residuals", "descriptors"


class Choice(NamedTuple):
    """Settings of the process that the validation part chooses.

    Attributes:
        covariance: of treatments, `EMPIRICAL` or `DESCRIPTORS`.
        length: of the radial basis function of cells, or of drugs if they are new.
        noise: variance, relative to that of the residuals.
    """

    covariance: str
    length: float
    noise: float


def reason_against(responses: Responses) -> str:
    """Return why the process does not apply to these responses, or an empty text."""
    sizes = {"cell lines": len(responses.cells), "treatments": int(treatments(responses).max()) + 1}
    too_many = [f"{size:,} {name}" for name, size in sizes.items() if size > MAX_ENTITIES]
    return f"{' and '.join(too_many)}, more than {MAX_ENTITIES:,}" if too_many else ""


def treatments(responses: Responses) -> Codes:
    """Return (row,) the number of each row's drug, or of its drugs at their doses in any order."""
    factors = effects.factors_of(responses)
    codes = factors["drug"][0][:, 0]
    if responses.has_doses:
        single, *pairs = factors["dose"]
        codes = single if single.ndim == 1 else single[:, 0]
        if pairs:
            codes = np.where(pairs[-1] == NO_SLOT, codes, codes.max() + 1 + pairs[-1])
    return np.asarray(np.unique(codes, return_inverse=True)[1])


class GaussianProcess:
    """The process on the rows of a dataset.

    Attributes:
        choice: settings that the validation part chose, after `choose`.
        forecast: (row,) of all rows with these settings.
    """

    choice: Choice
    forecast: Floats

    def __init__(
        self, responses: Responses, tables: Tables, *, kinds: Sequence[str], penalty: float
    ) -> None:
        """Compute the distances of cells and of treatments.

        Args:
            responses: all rows.
            tables: scaled features by kind, `cell` and `drug`, and by name.
            kinds: of the mean effects; see `effects.forecast`.
            penalty: of the mean effects.
        """
        self._responses, self._kinds, self._penalty = responses, kinds, penalty
        self._treatment = treatments(responses)
        self._cell = responses.cell.astype(np.int64)
        first = np.unique(self._treatment, return_index=True)[1]
        drugs = np.pad(_joined(tables["drug"]), ((0, 1), (0, 0)))  # an empty slot is -1
        of_treatments = sum(drugs[slot] for slot in responses.drugs[first].T)
        self._cells = _square_distances(_joined(tables["cell"]))
        self._drugs = _square_distances(np.asarray(of_treatments))
        doses = responses.doses[first]
        self._doses = np.zeros_like(self._drugs)
        if responses.has_doses:
            for column in (np.nanmin(doses, axis=1), np.nanmax(doses, axis=1)):
                self._doses += np.subtract.outer(column, column) ** 2

    def choose(self, train: Codes, validation: Codes) -> None:
        """Fit the training rows with each setting, and keep the best of the validation rows."""
        shared = np.isin(self._treatment[validation], self._treatment[train])
        if shared.mean() >= MIN_SHARED:
            options = [Choice(EMPIRICAL, *pair) for pair in product(LENGTHS, NOISES)]
        else:
            options = [Choice(DESCRIPTORS, *pair) for pair in product(DRUG_LENGTHS, NOISES)]
        target, least = self._responses.target[validation], np.inf
        for option in options:
            values = self._fit(train, option)
            error = float(np.square(target - values[validation]).mean())
            if error < least:
                least, self.choice, self.forecast = error, option, values

    def _fit(self, train: Codes, choice: Choice) -> Floats:
        """Return the forecasts (row,) of all rows from the training rows."""
        means = effects.forecast(self._responses, train, self._kinds, penalty=self._penalty)
        residual = (self._responses.target - means).astype(np.float64)
        shape = len(self._cells), len(self._drugs)
        counts, totals = np.zeros(shape), np.zeros(shape)
        place = self._cell[train], self._treatment[train]
        np.add.at(counts, place, 1.0)
        np.add.at(totals, place, residual[train])
        average = totals / np.maximum(counts, 1.0)
        is_measured = counts > 0
        variance = float(np.square(average[is_measured]).mean())
        terms = self._terms(choice, average, is_measured, variance)
        noise = choice.noise * variance / np.maximum(counts, 1.0)

        def covariance(weights: Doubles) -> Doubles:
            return sum((cells @ weights @ drugs for cells, drugs in terms), np.zeros(shape))

        def system(weights: Doubles) -> Doubles:
            return np.where(is_measured, covariance(weights) + noise * weights, 0.0)

        solved = covariance(_conjugate_gradients(system, average))
        return (means + solved[self._cell, self._treatment]).astype(np.float32)

    def _terms(
        self, choice: Choice, average: Doubles, is_measured: npt.NDArray[np.bool_], variance: float
    ) -> list[tuple[Doubles, Doubles]]:
        """Return pairs of covariances, of cells and of treatments; the covariance is their sum."""
        seen_cells, seen = (np.flatnonzero(is_measured.any(axis=axis)) for axis in (1, 0))
        is_new = choice.covariance == DESCRIPTORS
        cells = _radial(self._cells, seen_cells, 1.0 if is_new else choice.length)
        if not is_new:
            both = is_measured.T.astype(np.float64) @ is_measured
            empirical = average.T @ average / np.maximum(both, 1.0)
            # Each pair of treatments has its own cells, so eigenvalues may be below 0.
            sizes, axes = np.linalg.eigh(empirical)
            return [(cells, (axes * np.maximum(sizes, 0.0)) @ axes.T)]
        doses = variance * np.exp(-self._doses / (2 * DOSE_LENGTH**2))
        drugs: Doubles = doses * _radial(self._drugs, seen, choice.length)
        mixed = COMMON_TO_CELLS + (1 - COMMON_TO_CELLS) * cells
        return [(mixed, drugs), (cells, COMMON_TO_DRUGS * doses)]


def _joined(tables: Mapping[str, npt.NDArray[Any]]) -> Doubles:
    return np.concatenate([np.asarray(table, np.float64) for table in tables.values()], axis=1)


def _square_distances(values: Doubles) -> Doubles:
    squares = np.square(values).sum(axis=1)
    return np.asarray(np.maximum(squares[:, None] + squares - 2 * values @ values.T, 0.0))


def _radial(distances: Doubles, seen: Codes, length: float) -> Doubles:
    """Return the radial basis function, its length in units of the median distance of `seen`."""
    known = distances[np.ix_(seen, seen)]
    known = known[known > known.max(initial=0.0) * SAME]
    unit = float(np.median(known)) if known.size else 1.0
    return np.asarray(np.exp(-distances / (2 * length**2 * unit)))


def _conjugate_gradients(system: Callable[[Doubles], Doubles], target: Doubles) -> Doubles:
    """Return the solution of a positive definite system; arrays are the grid (cell, treatment)."""
    solution, residual = np.zeros_like(target), target.copy()
    direction, size = residual.copy(), float(np.square(residual).sum())
    enough = TOLERANCE**2 * size
    for _ in range(MAX_STEPS):
        if size <= enough:
            break
        changed = system(direction)
        step = size / float((direction * changed).sum())
        solution += step * direction
        residual -= step * changed
        size, before = float(np.square(residual).sum()), size
        direction = residual + size / before * direction
    return solution
