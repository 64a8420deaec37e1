"""Percentiles of a dataset's synthetic sample beside those of real data, by group.

The descriptor of the sample names its real counterpart, and what can be compared:

    "sample": {
      "compare_with": {
        "dataset": "slstr_real_mini",
        "split": "slstr_subset",
        "variables": ["reflectance", "brightness_temperature"],
        "by": ["illumination", "surface", "cloud"],
        "where": ["valid"]
      }
    }

A split of each ready form has the variables `variables`, `by` and `where`. Values of `variables`
are grouped by the values of `by`, where all of `where` are above zero. A dimension that has names
as coordinates, such as the bands of an instrument, gives a row for each name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.api.datasets import Log, convert_dataset, describe, get_dataset
from sciml_data.errors import CallError
from sciml_data.home import HomePath
from sciml_data.registry import RegistryPath

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["compare_sample"]

PERCENTILES = (5, 50, 95)
WORDS = "OSU"  # kinds of NumPy types that hold names


@dataclass(frozen=True)
class Summary:
    """The values of a variable in a group.

    Attributes:
        values: how many there are, missing ones included.
        missing: share that is missing.
        percentiles: the 5th, 50th and 95th; None where all are missing.
    """

    values: int
    missing: float
    percentiles: tuple[float, ...] | None


Key = tuple[tuple[str, ...], str, str]  # words of the group, variable, name of the band
Summaries = dict[Key, Summary]


def compare_sample(  # noqa: PLR0913 - the first names the dataset, the rest are keywords
    dataset: str,
    *,
    version: str | None = None,
    split: str | None = None,
    sample_seed: int = 0,
    sample_set: Sequence[str] = (),
    mirrors: Sequence[str] = (),
    registry: RegistryPath = None,
    home: HomePath = None,
    wait: bool = True,
    log: Log | None = None,
) -> dict[str, Any]:
    """Return percentiles of a sample and of its real counterpart, as values for JSON.

    Sample and real data are made, fetched and converted where they are not in the home.

    Args:
        dataset: id in the registry.
        version: see `datasets.py`, as for `registry`, `home`, `wait` and `log`.
        split: split of the real data to read; None is that of the descriptor, or all.
        sample_seed: seed of the sample.
        sample_set: ``KEY=VALUE`` texts for the size of the sample.
        mirrors: addresses of the real data to try first, e.g. ``file:DIR``.
        registry: registry folder.
        home: folder of all data.
        wait: wait while another process works on the same data; otherwise fail at once.
        log: gets a line for each step.

    Returns:
        `sample` and `real` name the data; `by` the grouping variables; `rows` has an entry for each
        group, variable and band, with the unit, and with `sample` and `real` as in `Summary`, or
        None where one lacks the group.

    Raises:
        CallError: the descriptor names no real counterpart, or a variable is not in both.
    """
    descriptor = describe(dataset, version=version, registry=registry)
    plan: Mapping[str, Any] = descriptor.sample.get("compare_with") or {}
    if not plan:
        raise CallError(
            f"{dataset} {descriptor.version} names no real data to compare its sample with",
            untouched="nothing was read",
            hint=f"datasets that do: {', '.join(_comparable(registry)) or 'none'}",
        )
    places: dict[str, Any] = {"registry": registry, "home": home, "wait": wait, "log": log}
    made: dict[str, Any] = {"version": version, "sample": True, "sample_seed": sample_seed}
    real = str(plan["dataset"])
    get_dataset(dataset, **made, sample_set=sample_set, **places)
    convert_dataset(dataset, **made, **places)
    get_dataset(real, mirrors=mirrors, **places)
    convert_dataset(real, **places)
    where: dict[str, Any] = {"registry": registry, "home": home}
    chosen = split or plan.get("split")
    opened = _opened(dataset, None, made | where)
    units = {name: _unit(opened, name) for name in plan["variables"]}
    ours = _summaries(opened, plan, dataset)
    theirs = _summaries(_opened(real, chosen, where), plan, real)
    return {
        "sample": f"{dataset} {descriptor.version}, seed {sample_seed}",
        "real": real + (f", split {chosen}" if chosen else ""),
        "by": list(plan.get("by", ())),
        "percentiles": list(PERCENTILES),
        "rows": [
            _row(key, units[key[1]], ours.get(key), theirs.get(key))
            for key in _ordered(plan, ours, theirs)
        ],
    }


def _unit(parts: Sequence[xr.Dataset], name: str) -> str | None:
    units = (part[name].attrs.get("units") for part in parts if name in part.variables)
    return next((str(unit) for unit in units if unit is not None), None)


def _ordered(plan: Mapping[str, Any], *found: Summaries) -> list[Key]:
    """Return all keys: groups by their words, variables as declared, bands by name."""
    place = {name: number for number, name in enumerate(plan["variables"])}
    keys = {key for summaries in found for key in summaries}
    return sorted(keys, key=lambda key: (key[0], place[key[1]], key[2]))


def _comparable(registry: RegistryPath) -> Iterator[str]:
    """Yield the ids of datasets that declare a real counterpart."""
    from sciml_data.registry import find_registry

    for name in find_registry(registry).datasets():
        if describe(name, registry=registry).sample.get("compare_with"):
            yield name


def _opened(dataset: str, split: str | None, which: Mapping[str, Any]) -> list[xr.Dataset]:
    """Return a dataset, or each of its splits if its ready files have several."""
    from sciml_data.ready import open_dataset

    if split is not None:
        return [open_dataset(dataset, split=split, **which)]
    names = {"version": which.get("version"), "registry": which["registry"]}
    splits = describe(dataset, **names).splits
    if not splits:
        return [open_dataset(dataset, **which)]
    return [open_dataset(dataset, split=name, **which) for name in splits]


def _summaries(parts: Sequence[xr.Dataset], plan: Mapping[str, Any], dataset: str) -> Summaries:
    names = {*plan["variables"], *plan.get("by", ()), *plan.get("where", ())}
    usable = [part for part in parts if names <= set(map(str, part.variables))]
    if not usable:
        absent = names.difference(*(map(str, part.variables) for part in parts))
        raise CallError(
            f"{dataset} has no variable {', '.join(sorted(absent or names))}, which `compare_with` "
            "names",
            untouched="nothing was printed",
        )
    values: dict[Key, list[NDArray[Any]]] = {}
    for part in usable:
        for name in plan["variables"]:
            for key, found in _grouped(part, name, plan):
                values.setdefault(key, []).append(found)
    return {key: _summary(np.concatenate(found)) for key, found in values.items()}


def _grouped(
    part: xr.Dataset, name: str, plan: Mapping[str, Any]
) -> Iterator[tuple[Key, NDArray[Any]]]:
    """Yield the values of a variable in each group and band."""
    import xarray as xr

    for band, values in _bands(part[name]):
        others = [part[other] for other in (*plan.get("by", ()), *plan.get("where", ()))]
        arrays = [array.values.ravel() for array in xr.broadcast(values, *others)]
        first, groups = arrays[0], arrays[1 : 1 + len(plan.get("by", ()))]
        chosen = np.ones(first.shape, bool)
        for flag in arrays[1 + len(groups) :]:
            chosen &= flag > 0
        for words, where in _groups(part, plan.get("by", ()), groups, chosen):
            yield (words, name, band), np.asarray(first[where], np.float64)


def _bands(variable: xr.DataArray) -> Iterator[tuple[str, xr.DataArray]]:
    """Yield a variable for each name of its dimension of names, or the whole of it."""
    named = [dim for dim in variable.dims if _has_names(variable, str(dim))]
    if not named:
        yield "", variable
        return
    for number, label in enumerate(variable[named[0]].values):
        yield _word(label), variable.isel({named[0]: number}, drop=True)


def _has_names(variable: xr.DataArray, dim: str) -> bool:
    return dim in variable.coords and variable[dim].dtype.kind in WORDS


def _groups(
    part: xr.Dataset,
    by: Sequence[str],
    groups: Sequence[NDArray[Any]],
    chosen: NDArray[np.bool_],
) -> Iterator[tuple[tuple[str, ...], NDArray[np.bool_]]]:
    """Yield the words of each group that has values, and where it is."""
    if not by:
        if chosen.any():
            yield (), chosen
        return
    for value in np.unique(groups[0][chosen]):
        within = chosen & (groups[0] == value)
        word = _flag_word(part[by[0]], value)
        for words, where in _groups(part, by[1:], groups[1:], within):
            yield (word, *words), where


def _flag_word(variable: xr.DataArray, value: Any) -> str:
    """Return the CF flag meaning of a value, or the value."""
    meanings = str(variable.attrs.get("flag_meanings", "")).split()
    numbers = np.atleast_1d(variable.attrs.get("flag_values", ()))
    for number, word in zip(numbers, meanings, strict=False):
        if number == value:
            return word
    return _word(value)


def _word(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _summary(values: NDArray[np.float64]) -> Summary:
    known = values[np.isfinite(values)]
    cuts = np.percentile(known, PERCENTILES).tolist() if len(known) else None
    missing = 1 - len(known) / len(values)
    return Summary(len(values), missing, None if cuts is None else tuple(cuts))


def _row(
    key: Key, unit: str | None, sample: Summary | None, real: Summary | None
) -> dict[str, Any]:
    words, variable, band = key
    return {
        "group": list(words),
        "variable": variable,
        "band": band or None,
        "unit": unit,
        "sample": None if sample is None else asdict(sample),
        "real": None if real is None else asdict(real),
    }
