"""The units that a split holds out, such as cell lines: intervals of scores resample them.

The rule of a split names its unit: the kinds of ids that it divides, or blocks of time where it
divides by periods. The table `[units]` of task.toml overrides this for a split:

    [units]
    orbit = "orbit"                          # a kind of ids of the key table, or an axis
    "cell+drug" = ["cell", "drug"]           # each is left out in turn
    temporal = {block_days = 182}            # blocks of the axis `time`
    "cross-study/test_new_drugs" = "drug"    # of one part of a split
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciml_data.bench.task.splits import ORIGINS, Division, codes_of

if TYPE_CHECKING:
    import pandas as pd

    from sciml_data.bench.task.split import Split

TIME = "time"
BLOCK_DAYS = 182  # half a year: 13 fortnights
Codes = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Units:
    """The units of one kind in a part.

    Attributes:
        kind: such as `cell`, or `block of 182 days`.
        axis: of the predictions, along which the units are.
        slots: (place on the axis) number of the unit, -1 for none. A response to two drugs belongs
            to two units of the kind `drug`, so there are two arrays.
        count: number of units in the part.
        is_serial: whether units are neighbouring blocks of time.
    """

    kind: str
    axis: str
    slots: tuple[Codes, ...]
    count: int
    is_serial: bool = False


def find_units(
    declared: Any,
    split: Split,
    division: Division,
    keys: pd.DataFrame,
    coords: Mapping[str, npt.NDArray[Any]],
) -> list[Units]:
    """Return the units of predictions, one entry for each kind.

    Args:
        declared: value of the split in the table `[units]` of task.toml; None for the default.
        split: stored rule.
        division: of the samples.
        keys: the key table.
        coords: of the predictions: name of each axis -> its values, samples first.
    """
    rule = _default(split, division, keys) if declared is None else declared
    if isinstance(rule, Mapping):
        return [_blocks(coords[TIME], int(rule["block_days"]))]
    kinds = [rule] if isinstance(rule, str) else rule
    return [
        _units(kind, kind, [np.unique(coords[kind], return_inverse=True)[1]])
        if kind in coords
        else _of_samples(kind, keys, coords)
        for kind in kinds
    ]


def _default(split: Split, division: Division, keys: pd.DataFrame) -> Any:
    """Return what the split divides by: kinds of ids, blocks of time, or a listed column."""
    members = [member for member in split.members.values() if isinstance(member, Mapping)]
    periods = {tuple(member["period"]) if "period" in member else () for member in members}
    if len(periods) > 1:  # parts of the same period are not divided by time
        return {"block_days": BLOCK_DAYS}
    if by := division.notes.get("by"):
        return list(by)
    listed = (name.removesuffix("s") for member in members for name in member)
    columns = [name for name in dict.fromkeys(listed) if name in keys and name not in ORIGINS]
    return columns or "sample" if keys.index.name is None else str(keys.index.name)


def _of_samples(kind: str, keys: pd.DataFrame, coords: Mapping[str, npt.NDArray[Any]]) -> Units:
    """Return units by a kind of ids; the samples themselves if one of them has no such id."""
    import pandas as pd

    axis, names = next(iter(coords.items()))
    slots = codes_of(keys, kind)
    rows = np.full(len(names), -1)
    if keys.index.is_unique:
        rows = keys.index.get_indexer(pd.Index(names))
    if (rows < 0).any() or (slots[0][rows] < 0).any():
        return _units(axis, axis, [np.arange(len(names))])
    return _units(kind, axis, [codes[rows] for codes in slots])


def _blocks(times: npt.NDArray[Any], days: int) -> Units:
    """Return blocks of equal length, counted from the first time."""
    since = (times - times.min()) / np.timedelta64(1, "D") if len(times) else np.zeros(0)
    units = _units(f"block of {days} days", TIME, [(since // days).astype(np.intp)])
    return Units(units.kind, TIME, units.slots, units.count, is_serial=True)


def _units(kind: str, axis: str, slots: Sequence[Codes]) -> Units:
    """Return units with numbers from 0 on, in the order of the given codes."""
    present = np.unique(np.concatenate(slots))
    present = present[present >= 0]
    numbered = tuple(
        np.where(codes < 0, -1, np.searchsorted(present, codes)).astype(np.intp) for codes in slots
    )
    return Units(kind, axis, numbered, len(present))
