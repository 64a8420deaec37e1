"""Which stacks are in which part of a split, and what the parts share.

`by` of a split says what is kept whole: a `material` (ten stacks, one for each energy of the beam)
or a `stack`. In each space group units are put in the order of a hash and the parts take their
shares of that order, so each group with three units or more is in every part; the units of a group
with fewer stay in the training part. `published` takes the dataset's own folders.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciml_data.bench.task.shares import Shares, hash_ids, read_shares
from sciml_data.errors import CallError, DescriptorError, SciMLDataError, nearest

from .stacks import Numbers, Stacks, Texts

if TYPE_CHECKING:
    from sciml_data.bench.task.split import Split

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PARTS = (TRAIN, VALIDATION, TEST)
MATERIAL, STACK = "material", "stack"
LEAST_UNITS = 3  # of a space group, for one in each part
CANNOT = (
    "leakage cannot be checked: {dataset} names no materials, so stacks of one crystal may be on "
    "both sides"
)


@dataclass(frozen=True)
class Layout:
    """The stacks of each part, ascending.

    `by` is what was kept whole; `in_train_alone` lists groups with too few units to divide, and
    `left_out` counts stacks of no part.
    """

    parts: Mapping[str, Numbers]
    by: str
    in_train_alone: tuple[int, ...]
    left_out: int


def lay_out(split: Split, stacks: Stacks) -> Layout:
    """Return the parts of a split.

    Raises:
        CallError: it is by material, and nobody knows the materials.
        DescriptorError: the rule is not known.
        SciMLDataError: a part is left without a stack, or a material is in several parts of a
            split that keeps materials apart.
    """
    if "folders" in split.members[TRAIN]:
        numbers, by, alone = _published(split, stacks)
    else:
        shares = read_shares(split.name, split.members)
        by = shares.by[0]
        chosen = np.arange(len(stacks))
        numbers, alone = _by_shares(shares, chosen, units_of(by, stacks), stacks.group)
    parts = {part: np.flatnonzero(numbers == place) for place, part in enumerate(PARTS)}
    if empty := [part for part, found in parts.items() if not len(found)]:
        raise SciMLDataError(
            f"split {split.name!r} leaves {' and '.join(empty)} without a stack: there are "
            f"{len(stacks)} stacks of {len(np.unique(stacks.group))} space groups, and it takes "
            f"{LEAST_UNITS} units ({by}) of a group to divide it",
            untouched="nothing was trained",
            hint="a larger sample or more files; --split random divides stacks",
        )
    layout = Layout(parts, by, alone, int((numbers < 0).sum()))
    if by == MATERIAL:
        _require_apart(layout, stacks, split.name)
    return layout


def units_of(by: str, stacks: Stacks) -> Texts:
    """Return what is kept whole for each stack.

    Raises:
        CallError: materials are asked for, and nobody knows them.
        DescriptorError: there is no such unit.
    """
    if by == STACK:
        return stacks.names
    if by != MATERIAL:
        raise DescriptorError(
            f"a split cannot be by {by!r}{nearest(by, (MATERIAL, STACK))}; "
            f"it can be by {MATERIAL} or {STACK}"
        )
    if stacks.material is None:
        raise CallError(
            f"{stacks.dataset} names no materials: stacks cannot be split by them",
            untouched="nothing was trained",
            hint="--split published, or --split random; what they leak cannot be checked",
        )
    return stacks.material


def leakage(layout: Layout, stacks: Stacks) -> dict[str, Any]:
    """Return what each pair of parts shares, and sentences that say it (`told`)."""
    report: dict[str, Any] = {"is_checked": stacks.material is not None}
    for one, other in combinations(PARTS, 2):
        pair: dict[str, Any] = {}
        for name in ("material", "formula"):
            if name in stacks.texts:
                values = stacks.texts[name]
                pair |= _shared(name, values[layout.parts[one]], values[layout.parts[other]])
        report[f"{one}+{other}"] = pair
    report["told"] = list(_told(report, stacks))
    report["meaning"] = (
        "materials and formulas that both parts have; `percent` is of the second part's stacks. "
        "Stacks of one material differ in the energy of the beam alone: scores on materials that "
        "were trained on say what was remembered. A formula on both sides may be another crystal"
    )
    return report


def describe(layout: Layout, stacks: Stacks) -> dict[str, Any]:
    """Return what each part holds, and the digest of its stacks' names, for the record."""
    names = stacks.names
    lines = [
        f"{part},{name}"
        for part, numbers in layout.parts.items()
        for name in sorted(names[numbers].tolist())
    ]
    material = stacks.material
    return {
        "by": layout.by,
        "groups_in_train_alone": list(layout.in_train_alone),
        "left_out": layout.left_out,
        "digest": "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        **{
            part: {
                "stacks": len(numbers),
                "materials": None if material is None else len(np.unique(material[numbers])),
                "groups": len(np.unique(stacks.group[numbers])),
                "folders": _counts(stacks.folder[numbers]),
            }
            for part, numbers in layout.parts.items()
        },
    }


def _counts(values: Texts) -> dict[str, int]:
    return {str(name): int(count) for name, count in zip(*np.unique_counts(values), strict=True)}


def _published(split: Split, stacks: Stacks) -> tuple[npt.NDArray[np.int8], str, tuple[int, ...]]:
    """Return parts from folders; without a folder for validation, a share of the training one."""
    numbers = np.full(len(stacks), -1, np.int8)
    for place, part in enumerate(PARTS):
        numbers[np.isin(stacks.folder, split.members[part]["folders"])] = place
    otherwise = split.members[VALIDATION].get("otherwise")
    if (numbers == 1).any() or not (numbers == 0).any() or otherwise is None:
        return numbers, "folder", ()
    by = STACK if stacks.material is None else MATERIAL
    shares = read_shares(split.name, {part: {**otherwise[part], "by": [by]} for part in otherwise})
    chosen = np.flatnonzero(numbers == 0)
    numbers[chosen], alone = _by_shares(shares, chosen, units_of(by, stacks), stacks.group)
    return numbers, f"folder, validation by {by}", alone


def _by_shares(
    shares: Shares, chosen: Numbers, units: Texts, groups: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int8], tuple[int, ...]]:
    """Return the part of each chosen stack, and the groups that are too small to divide.

    A unit that has stacks of several groups counts in the first of them, and stays whole.
    """
    names, first, unit = np.unique(units[chosen], return_index=True, return_inverse=True)
    group = groups[chosen][first]
    words = hash_ids(names, shares.salt)
    part = np.zeros(len(names), np.int8)
    alone = []
    for number in np.unique(group):
        members = np.flatnonzero(group == number)
        if len(members) < LEAST_UNITS:
            alone.append(int(number))
            continue
        order = members[np.argsort(words[members], kind="stable")]
        part[order] = _portions(shares, len(order))
    return part[unit], tuple(alone)


def _portions(shares: Shares, count: int) -> npt.NDArray[np.int8]:
    """Return the part of each of so many units in order: shares rounded, at least one in each."""
    rest = [high - low for part, (low, high) in shares.ends.items() if part != TRAIN]
    taken = [max(1, int(np.floor(share * count + 0.5))) for share in rest]
    return np.repeat(np.arange(len(taken) + 1), [count - sum(taken), *taken]).astype(np.int8)


def _require_apart(layout: Layout, stacks: Stacks, name: str) -> None:
    for pair, found in leakage(layout, stacks).items():
        if isinstance(found, dict) and found["materials_shared"]:
            raise SciMLDataError(
                f"split {name!r} keeps materials apart, and {pair} share "
                f"{found['materials_shared']} of them",
                untouched="nothing was trained",
            )


def _shared(name: str, one: Texts, other: Texts) -> dict[str, Any]:
    both = np.intersect1d(one, other)
    return {
        f"{name}s_shared": len(both),
        f"{name}s_of_second": len(np.unique(other)),
        f"{name}s_percent": round(100 * float(np.isin(other, both).mean()), 1),
    }


def _told(report: Mapping[str, Any], stacks: Stacks) -> Iterator[str]:
    if not report["is_checked"]:
        yield CANNOT.format(dataset=stacks.dataset)
        return
    for one, other in combinations(PARTS, 2):
        pair = report[f"{one}+{other}"]
        words = [
            f"{pair[f'{name}s_shared']} of {pair[f'{name}s_of_second']} {name}s of {other} "
            f"({pair[f'{name}s_percent']:g} % of its stacks)"
            for name in ("material", "formula")
            if f"{name}s_shared" in pair
        ]
        yield f"leakage: {one} has {' and '.join(words)}"
    if any(report[f"{TRAIN}+{part}"]["materials_shared"] for part in (VALIDATION, TEST)):
        yield "leakage: materials are on both sides; these scores say what was remembered"
