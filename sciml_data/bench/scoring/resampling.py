"""Compute scores again without each unit of a part: the replicates of `intervals.py`.

A metric with a value for each sample is computed once, and the values of a unit are subtracted from
the sums over all samples. Any other metric, such as a Nash-Sutcliffe efficiency or an F1, is
computed again from the other samples. Medians and extremes of groups have no replicates: leaving
out single units says little about them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring.compute import Arrays, Scoring
from sciml_data.bench.scoring.intervals import (
    MAX_GROUPS,
    MIN_UNITS,
    Replicates,
    Sampling,
)
from sciml_data.bench.scoring.metrics import ALL, EACH, Metric

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.bench.task.units import Units

GROUP_SEED = 0  # of the groups of units, where there are more than MAX_GROUPS
MEAN = "mean"
REDUCED = (ALL, EACH, MEAN)  # values of `reduce` that have replicates
# Values of a part times groups up to which metrics besides the headline are computed again. It
# keeps this work within seconds for a part.
MAX_WORK = 50_000_000

Doubles = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]


@dataclass(frozen=True)
class _Groups:
    """Groups of units of one kind: `slots` has the group of each place on `axis`, -1 for none."""

    axis: str
    slots: tuple[Codes, ...]
    count: int


def replicate(
    metrics: Iterable[Metric], dataset: xr.Dataset, units: Sequence[Units], *, headline: str | None
) -> tuple[Sampling, dict[str, Replicates]]:
    """Return how units were left out, and metric key -> scores without each group of units.

    Args:
        metrics: of a task.
        dataset: as for `compute_metrics`.
        units: of the part, one entry for each kind.
        headline: metric key that ranks runs; its metric is always computed.
    """
    few = [f"{each.kind}: {each.count}" for each in units if each.count < MIN_UNITS]
    groups = [_groups_of(each) for each in units]
    sampling = Sampling(
        {each.kind: each.count for each in units},
        {each.kind: group.count for each, group in zip(units, groups, strict=True)},
        _digest(dataset, units),
        GROUP_SEED if any(each.count > MAX_GROUPS for each in units) else None,
        is_serial=any(each.is_serial for each in units),
        reason=f"too few units for an interval ({', '.join(few)}); {MIN_UNITS} are needed"
        if few
        else None,
    )
    if few:
        return sampling, {}
    work = dataset["observed"].size * sum(group.count for group in groups)
    name = (headline or "").partition(".")[0]
    chosen = [
        _reduced(metric)
        for metric in metrics
        if metric.function is not None and (work <= MAX_WORK or metric.id == name)
    ]
    parts = [_of_kind(list(filter(None, chosen)), dataset, group) for group in groups]
    keys = [key for key in parts[0] if all(key in part for part in parts)]
    return sampling, {key: Replicates.of([part[key] for part in parts], sampling) for key in keys}


def _reduced(metric: Metric) -> Metric | None:
    """Return a metric with only those values of `reduce` that have replicates; None for none."""
    if isinstance(metric.reduce, str):
        return metric if metric.reduce in REDUCED else None
    words = tuple(word for word in metric.reduce if word in REDUCED)
    return replace(metric, reduce=words) if words else None


def _groups_of(units: Units) -> _Groups:
    """Return each unit as a group, or `MAX_GROUPS` random groups of equal numbers of units."""
    if units.count <= MAX_GROUPS:
        return _Groups(units.axis, units.slots, units.count)
    group = np.random.default_rng(GROUP_SEED).permutation(units.count) % MAX_GROUPS
    of_units = np.append(group, -1)  # -1, no unit, is in no group
    slots = tuple(np.asarray(of_units[codes], np.intp) for codes in units.slots)
    return _Groups(units.axis, slots, MAX_GROUPS)


def _digest(dataset: xr.Dataset, units: Sequence[Units]) -> str:
    """Return a digest of the samples and their units."""
    content = hashlib.sha256()
    for axis in dataset["observed"].dims:
        names = dataset[axis].to_numpy()
        text = names.dtype.kind in "OUS"
        content.update("\0".join(map(str, names)).encode() if text else names.tobytes())
    content.update(np.packbits(np.isfinite(dataset["observed"].to_numpy())).tobytes())
    for each in units:
        content.update(f"\0{each.kind}\0{each.axis}\0".encode())
        for codes in each.slots:
            content.update(codes.astype(np.int64).tobytes())
    return f"sha256:{content.hexdigest()}"


def _of_kind(metrics: Sequence[Metric], dataset: xr.Dataset, groups: _Groups) -> dict[str, Doubles]:
    """Return key -> replicates of the groups of one kind of unit."""
    arrays = Arrays.of(dataset)
    names = [f"group {number}" for number in range(len(groups.slots))]
    slots = {name: ((groups.axis,), codes) for name, codes in zip(names, groups.slots, strict=True)}
    arrays = replace(arrays, named={**arrays.named, **slots})
    scoring = _LeaveOut(arrays, names, groups.count)
    found: dict[str, Doubles] = {}
    again = [metric for metric in metrics if not scoring.subtract(metric, found)]
    if again:
        found |= _computed_again(again, arrays, groups)
    present = {key: flags for metric in metrics for key, flags in scoring.present(metric).items()}
    everywhere = np.ones(groups.count, bool)
    return {key: values[present.get(key, everywhere)] for key, values in found.items()}


def _computed_again(
    metrics: Sequence[Metric], arrays: Arrays, groups: _Groups
) -> dict[str, Doubles]:
    """Return the scores of metrics that are computed from the samples without each group."""
    rows = []
    for number in range(groups.count):
        is_left = np.logical_and.reduce([codes != number for codes in groups.slots])
        scoring = Scoring(arrays.take(groups.axis, np.flatnonzero(is_left)))
        rows.append({k: v for metric in metrics for k, v in scoring.scores(metric).items()})
    keys = dict.fromkeys(key for row in rows for key in row)
    # A group of samples that belongs to one unit alone, such as the only scene at night, has no
    # score without it.
    return {key: np.array([row.get(key, np.nan) for row in rows]) for key in keys}


class _LeaveOut(Scoring):
    """Replicates of metrics that have a value for each sample, by subtraction from sums."""

    def __init__(self, arrays: Arrays, slots: Sequence[str], count: int) -> None:
        super().__init__(arrays)
        self._slots, self._count = slots, count

    def subtract(self, metric: Metric, found: dict[str, Doubles]) -> bool:
        """Add the replicates of a metric; return False if they have to be computed again."""
        computed: dict[str, Doubles] = {}
        for word, groups in self._arrays_of(metric).items():
            of_groups = {key: self._replicates(metric, group) for key, group in groups.items()}
            known = {key: values for key, values in of_groups.items() if values is not None}
            if len(known) < len(of_groups):
                return False
            if word == MEAN:
                key = metric.id if isinstance(metric.reduce, str) else f"{metric.id}.{MEAN}"
                known = {key: _mean_of_known([*known.values()])} if known else {}
            computed |= known
        found |= computed
        return True

    def present(self, metric: Metric) -> dict[str, npt.NDArray[np.bool_]]:
        """Return key -> which groups of units have an observation (group), where not all do."""
        flags = {}
        for word, groups in self._arrays_of(metric).items():
            for key, arrays in groups.items() if word != MEAN else ():
                (axis,), _ = arrays.named[self._slots[0]]
                known = _along(
                    np.isfinite(arrays.observed).astype(np.float64), arrays.dims.index(axis)
                )
                slots = [arrays.named[name][1] for name in self._slots]
                flags[key] = self._in_groups(known, slots) > 0
        return flags

    def _arrays_of(self, metric: Metric) -> dict[str, dict[str, Arrays]]:
        """Return word of `reduce` -> key -> the arrays that a score is computed from."""
        selected = self.selected(metric)
        if selected is None:
            return {}
        words = (metric.reduce,) if isinstance(metric.reduce, str) else metric.reduce
        of_words: dict[str, dict[str, Arrays]] = {}
        for word in words:
            if word == ALL:
                of_words[word] = {metric.id: selected}
            elif metric.by in selected.named:
                of_words[word] = {
                    f"{metric.id}.{name}": group
                    for name, samples, group in self.grouped(metric, selected)
                    if samples >= metric.min_samples
                }
        return of_words

    def _replicates(self, metric: Metric, arrays: Arrays) -> Doubles | None:
        """Return the replicates (group) of the mean of a metric; None if it has no such values."""
        values = self.result(metric, arrays)
        if not isinstance(values, np.ndarray) or not values.ndim:
            return None
        (axis,) = arrays.named[self._slots[0]][0]
        texts = [value for value in metric.options.values() if isinstance(value, str)]
        if any(axis in arrays.named.get(text, ((), None))[0] for text in texts):
            return None  # such an option may merge samples, so the values are not theirs
        dims = [name for name in arrays.dims if name not in metric.last]
        sizes = dict(zip(arrays.dims, arrays.observed.shape, strict=True))
        shape = tuple(sizes[name] for name in dims)
        if metric.last:
            values = values.reshape(shape)
        elif values.shape != shape[: values.ndim]:
            return None
        dims = dims[: values.ndim]
        if axis not in dims:
            return None
        weights = (~np.isnan(values)).astype(np.float64)
        if "weights" in arrays.named:
            of, given = arrays.named["weights"]
            weights = weights * given.reshape([sizes[d] if d in of else 1 for d in dims])
        sums = _along(np.nan_to_num(np.asarray(values, np.float64)) * weights, dims.index(axis))
        counts = _along(weights, dims.index(axis))
        slots = [arrays.named[name][1] for name in self._slots]
        total, count = (each.sum() - self._in_groups(each, slots) for each in (sums, counts))
        return _ratio(total, count)

    def _in_groups(self, values: Doubles, slots: Sequence[Codes]) -> Doubles:
        """Return the sum of the values (place) of each group; a place counts once in a group."""
        total = np.zeros(self._count)
        for number, codes in enumerate(slots):
            is_new = codes >= 0
            for before in slots[:number]:
                is_new &= codes != before
            total += np.bincount(codes[is_new], values[is_new], minlength=self._count)
        return total


def _along(values: Doubles, axis: int) -> Doubles:
    """Return the sums of an array over all axes but one."""
    return np.asarray(np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1).sum(axis=1))


def _mean_of_known(of_groups: Sequence[Doubles]) -> Doubles:
    """Return the mean over groups of the values that are not NaN; NaN if all are."""
    values = np.array(of_groups)
    is_known = np.isfinite(values)
    return _ratio(np.where(is_known, values, 0.0).sum(axis=0), is_known.sum(axis=0))


def _ratio(total: Doubles, count: npt.NDArray[Any]) -> Doubles:
    """Return total / count, NaN where the count is 0."""
    return np.asarray(np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0))
