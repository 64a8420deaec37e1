"""Compute metrics from predictions: select and group samples, call the statistic, take the mean.

The predictions are an `xarray.Dataset` with the variables `observed` and `predicted` on the same
named axes. Coordinates say what the samples belong to, for example the drug of a response. An
optional variable `weights` weighs the values that a statistic returns for each sample.

A metric is left out if the predictions lack a coordinate that it names, or have no sample with the
values in its `where`: a dataset without materials has no scores by material.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring.metrics import ALL, COUNT, EACH, Metric
from sciml_data.errors import SciMLDataError

if TYPE_CHECKING:
    import xarray as xr

DIGITS = ".6g"  # of the numbers in tables

Array: TypeAlias = npt.NDArray[Any]
Doubles: TypeAlias = npt.NDArray[np.float64]


def compute_metrics(metrics: Iterable[Metric], dataset: xr.Dataset) -> dict[str, float]:
    """Return metric key -> score; NaN where a score is not defined.

    Args:
        metrics: of a task. Metrics without a function are left out.
        dataset: `observed`, `predicted`, and the coordinates that the metrics name.

    Raises:
        SciMLDataError: a prediction is missing where there is an observation.
        CallError: the arrays do not fit the metric.
    """
    arrays = Arrays.of(dataset)
    check_predictions(arrays.observed, arrays.predicted)
    scoring = Scoring(arrays)
    return {key: score for metric in metrics for key, score in scoring.scores(metric).items()}


def check_predictions(observed: Array, predicted: Array) -> None:
    """Check that there is a prediction where there is an observation.

    A mean over the other samples would score the model on an easier sample.

    Raises:
        SciMLDataError: a prediction is NaN or infinite.
    """
    known = np.isfinite(observed)
    if missing := int((known & ~np.isfinite(predicted)).sum()):
        raise SciMLDataError(
            f"scoring: {missing} of {int(known.sum())} observations have no finite prediction",
            untouched="nothing was scored",
            hint="a model that gives NaN has diverged: lower its learning rate",
        )


def write_group_table(
    path: Path,
    metrics: Iterable[Metric],
    dataset: xr.Dataset,
    by: str,
    *,
    columns: Sequence[str],
) -> None:
    """Write a CSV table with a row for each group of samples, in the order of their first samples.

    A metric that groups by the same coordinate has its score of the group. Other metrics have the
    score of all samples of the group. Scores that are not defined are empty.

    Args:
        path: of the file; its folder is created.
        metrics: the columns after `columns`.
        dataset: as for `compute_metrics`.
        by: coordinate that groups the samples.
        columns: coordinates of the samples, from the first sample of each group. The column
            `samples` follows if a group may have several samples.
    """
    arrays = Arrays.of(dataset)
    (dim,) = arrays.named[by][0]
    groups = _members(arrays.named[by][1])
    rows = []
    for members in groups:
        scoring = Scoring(arrays.take(dim, members))
        row = {name: arrays.named[name][1][members[0]] for name in columns}
        if len(groups) < len(arrays.named[by][1]):
            row["samples"] = len(members)
        for metric in metrics:
            if dim not in arrays.named.get(metric.by or "", ((), None))[0]:
                row |= scoring.scores(metric)
            elif metric.by == by and len(members) < metric.min_samples:
                row[metric.id] = float("nan")
            else:
                row |= scoring.scores(replace(metric, by=None, reduce=ALL))
        rows.append(row)
    write_table(path, rows)


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV; the first row has the names of the columns, and NaN is an empty field."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows[0] if rows else ())
        writer.writerows([_field(value) for value in row.values()] for row in rows)


def _field(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return format(value, DIGITS) if np.isfinite(value) else ""


@dataclass(frozen=True)
class Arrays:
    """A dataset of predictions as NumPy arrays, because xarray is slow for thousands of groups.

    Attributes:
        observed: (axes of `dims`).
        predicted: the same shape.
        dims: names of the axes.
        named: coordinates and other variables: name -> (axes, values).
    """

    observed: Array
    predicted: Array
    dims: tuple[str, ...]
    named: Mapping[str, tuple[tuple[str, ...], Array]]

    @classmethod
    def of(cls, dataset: xr.Dataset) -> Arrays:
        """Return the arrays of a dataset; see `compute_metrics`."""
        named = {
            str(name): (tuple(map(str, values.dims)), values.to_numpy())
            for name, values in dataset.variables.items()
        }
        dims, observed = named.pop("observed")
        _, predicted = named.pop("predicted")
        return cls(observed, predicted, dims, named)

    def take(self, dim: str, index: Array) -> Arrays:
        """Return the values at some places of an axis; neighbouring places are not copied."""
        is_range = len(index) > 0 and index[-1] - index[0] + 1 == len(index)
        places = slice(index[0], index[-1] + 1) if is_range else index

        def taken(values: Array, dims: tuple[str, ...]) -> Array:
            if dim not in dims:
                return values
            return np.asarray(values[(slice(None),) * dims.index(dim) + (places,)])

        return Arrays(
            taken(self.observed, self.dims),
            taken(self.predicted, self.dims),
            self.dims,
            {name: (dims, taken(values, dims)) for name, (dims, values) in self.named.items()},
        )

    def with_last(self, values: Array, last: tuple[str, ...]) -> Array:
        """Return an array with these axes last and all others as its first axis."""
        if not last:
            return values
        first = [place for place, name in enumerate(self.dims) if name not in last]
        moved = values.transpose(*first, *(self.dims.index(name) for name in last))
        return moved.reshape(-1, *moved.shape[len(first) :])


class Scoring:
    """Scores of one dataset; selections and results that several metrics share are cached."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self._selected: dict[str, Arrays | None] = {}
        self._groups: dict[tuple[str, str], list[tuple[str, int, Arrays]]] = {}
        self._results: dict[tuple[Any, ...], Any] = {}

    def scores(self, metric: Metric) -> dict[str, float]:
        """Return the scores of a metric: key -> score; empty if the predictions lack its names."""
        selected = self.selected(metric)
        if selected is None:
            return {}
        if isinstance(metric.reduce, str):
            return self._reduced(metric, selected, metric.reduce, metric.id)
        scores: dict[str, float] = {}
        for word in metric.reduce:
            scores |= self._reduced(metric, selected, word, f"{metric.id}.{word}")
        return scores

    def selected(self, metric: Metric) -> Arrays | None:
        """Return the samples of a metric; None if the predictions lack a name of the metric."""
        selected = None if metric.function is None else self._select(metric)
        if selected is None:
            return None
        names = {value for value in metric.options.values() if isinstance(value, str)}
        return selected if names | set(metric.last) <= {*selected.named, *selected.dims} else None

    def _reduced(self, metric: Metric, arrays: Arrays, word: str, key: str) -> dict[str, float]:
        """Return the scores of one word of `reduce`; `key` is for words that give one score."""
        if word == ALL:
            values = self._values(metric, arrays)
            return {f"{metric.id}{variant}": value for variant, value in values.items()}
        if metric.by not in arrays.named:
            return {}
        each = {
            name: self._values(metric, group)[""]
            for name, samples, group in self.grouped(metric, arrays)
            if samples >= metric.min_samples
        }
        if word == EACH:
            return {f"{metric.id}.{name}": value for name, value in each.items()}
        known = np.array([value for value in each.values() if np.isfinite(value)])
        return {key: _reduction(known, word, lower_is_better=metric.lower_is_better)}

    def _select(self, metric: Metric) -> Arrays | None:
        """Return the samples that `where` selects; None if there are none."""
        key = repr(metric.where)
        if key not in self._selected:
            arrays: Arrays | None = self._arrays
            for name, value in metric.where.items():
                if arrays is None or name not in arrays.named:
                    arrays = None
                    break
                (dim,), values = arrays.named[name]
                places = np.flatnonzero(values == value)
                arrays = arrays.take(dim, places) if len(places) else None
            self._selected[key] = arrays
        return self._selected[key]

    def grouped(self, metric: Metric, arrays: Arrays) -> list[tuple[str, int, Arrays]]:
        """Return (name, samples, arrays) of each group, in the order of the first samples."""
        by = str(metric.by)
        key = (repr(metric.where), by)
        if key not in self._groups:
            (dim,), values = arrays.named[by]
            self._groups[key] = [
                (str(values[members[0]]), len(members), arrays.take(dim, members))
                for members in _members(values)
            ]
        return self._groups[key]

    def _values(self, metric: Metric, arrays: Arrays) -> dict[str, float]:
        """Return the scores of all samples of some arrays: variant with its dot -> score."""
        result = self.result(metric, arrays)
        if isinstance(result, Mapping):
            name = metric.registered
            return {
                key.removeprefix(name): float(value)
                for key, value in result.items()
                if key == name or key.startswith(f"{name}.")
            }
        return {"": _mean(result, arrays) if np.ndim(result) else float(result)}

    def result(self, metric: Metric, arrays: Arrays) -> Any:
        """Return what the function of a metric returns for some arrays."""
        function = cast("Callable[..., Any]", metric.function)
        key = (function, id(arrays), repr(metric.options))
        if key not in self._results:
            pair = (
                arrays.with_last(values, metric.last)
                for values in (arrays.observed, arrays.predicted)
            )
            options = {
                name: arrays.named[value][1] if isinstance(value, str) else value
                for name, value in metric.options.items()
            }
            self._results[key] = function(*pair, **options)
        return self._results[key]


def _members(values: Array) -> list[Array]:
    """Return the places of each distinct value, in the order of their first places."""
    codes = np.unique(values, return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    return sorted(groups, key=lambda places: int(places[0]))


def _mean(values: Array, arrays: Arrays) -> float:
    """Return the mean of the values that are not NaN, by `weights` if the dataset has them."""
    known = ~np.isnan(values)
    if not known.any():
        return float("nan")
    if "weights" not in arrays.named:
        return float(np.asarray(values, np.float64)[known].mean())
    dims, weights = arrays.named["weights"]
    places = [name in dims for name in arrays.dims[: values.ndim]]
    shape = [size if place else 1 for size, place in zip(values.shape, places, strict=True)]
    weights = np.broadcast_to(weights.reshape(shape), values.shape)
    return float(np.average(values[known], weights=weights[known]))


def _reduction(known: Doubles, word: str, *, lower_is_better: bool) -> float:
    """Return a reduction of the scores of groups; NaN for no group."""
    if word == COUNT:
        return float(len(known))
    if not len(known):
        return float("nan")
    best, worst = (np.min, np.max) if lower_is_better else (np.max, np.min)
    functions: Mapping[str, Callable[..., Any]] = {
        "mean": np.mean,
        "median": np.median,
        "best": best,
        "worst": worst,
    }
    return float(functions[word](known))
