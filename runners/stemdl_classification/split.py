"""Divide the stacks into training, validation and test, and report what the parts share.

`by` of a split names the units that stay whole: a `material` (ten stacks, one for each energy of
the beam) or a `stack`. The units of each space group are sorted by a hash, and each part takes its
share of that order. So a group of three or more units is in every part. The units of smaller groups
stay in the training part. The split `published` uses the folders of the dataset.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.bench.task.shares import Shares, hash_ids, read_shares
from sciml_data.errors import CallError, DescriptorError, SciMLDataError, nearest
from sciml_data.ready import SampleIndex
from sciml_data.ready.samples import Numbers

from .patterns import FORMULA, GROUP, MATERIAL, material_of

if TYPE_CHECKING:
    from sciml_data.bench.task.split import Split

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PARTS = (TRAIN, VALIDATION, TEST)
STACK = "stack"
Texts: TypeAlias = npt.NDArray[Any]
MIN_UNITS = 3  # of a space group, so that each part has one
NOT_CHECKED = (
    "leakage cannot be checked: {dataset} names no materials, so stacks of one crystal may be on "
    "both sides"
)


@dataclass(frozen=True)
class SplitParts:
    """The stacks of each part of a split.

    Attributes:
        parts: stack numbers of each part, ascending.
        by: which units were kept whole.
        in_train_alone: space groups with too few units to divide.
        left_out: number of stacks that are in no part.
    """

    parts: Mapping[str, Numbers]
    by: str
    in_train_alone: tuple[int, ...]
    left_out: int


def make_split(split: Split, stacks: SampleIndex) -> SplitParts:
    """Return the stacks of each part.

    Raises:
        CallError: the split is by material, and the dataset does not name materials.
        DescriptorError: the split's rule is unknown.
        SciMLDataError: a part has no stack, or a material is in several parts of a split that
            keeps materials apart.
    """
    if "folders" in split.members[TRAIN]:
        numbers, by, alone = _published(split, stacks)
    else:
        shares = read_shares(split.name, split.members)
        by = shares.by[0]
        chosen = np.arange(len(stacks))
        numbers, alone = _by_shares(shares, chosen, units_of(by, stacks), stacks[GROUP])
    parts = {part: np.flatnonzero(numbers == place) for place, part in enumerate(PARTS)}
    if empty := [part for part, members in parts.items() if not len(members)]:
        raise SciMLDataError(
            f"split {split.name!r} leaves {' and '.join(empty)} without a stack: there are "
            f"{len(stacks)} stacks of {len(np.unique(stacks[GROUP]))} space groups, and only "
            f"groups with {MIN_UNITS} or more units ({by}) are divided",
            untouched="nothing was trained",
            hint="use a larger sample or more files, or --split random, which divides stacks",
        )
    divided = SplitParts(parts, by, alone, int((numbers < 0).sum()))
    if by == MATERIAL:
        _require_apart(divided, stacks, split.name)
    return divided


def units_of(by: str, stacks: SampleIndex) -> Texts:
    """Return for each stack (stack,) the name of the unit that stays whole.

    Raises:
        CallError: the unit is the material, and the dataset does not name materials.
        DescriptorError: the unit is unknown.
    """
    if by == STACK:
        return stacks["name"]
    if by != MATERIAL:
        raise DescriptorError(
            f"the stored split is by {by!r}{nearest(by, (MATERIAL, STACK))}; "
            f"{MATERIAL} or {STACK} is expected"
        )
    if (material := material_of(stacks)) is None:
        raise CallError(
            f"{stacks.dataset} names no materials, so stacks cannot be split by material",
            untouched="nothing was trained",
            hint="--split published or --split random; their leakage cannot be checked",
        )
    return material


def leakage(split: SplitParts, stacks: SampleIndex) -> dict[str, Any]:
    """Return what each pair of parts shares, for the record; `told` has it in sentences."""
    report: dict[str, Any] = {"is_checked": material_of(stacks) is not None}
    for first, second in combinations(PARTS, 2):
        pair: dict[str, Any] = {}
        for name in (MATERIAL, FORMULA):
            if stacks.is_known(name):
                values = stacks[name]
                pair |= _shared(name, values[split.parts[first]], values[split.parts[second]])
        report[f"{first}+{second}"] = pair
    report["told"] = list(_leakage_messages(report, stacks))
    report["meaning"] = (
        "materials and formulas that both parts have; `percent` is of the second part's stacks. "
        "Stacks of one material differ in the energy of the beam alone: scores on materials that "
        "were trained on say what was remembered. A formula on both sides may be another crystal"
    )
    return report


def describe_split(split: SplitParts, stacks: SampleIndex) -> dict[str, Any]:
    """Return what each part holds, and the digest of its stacks' names, for the record."""
    names = stacks["name"]
    lines = [
        f"{part},{name}"
        for part, numbers in split.parts.items()
        for name in sorted(names[numbers].tolist())
    ]
    material = material_of(stacks)
    return {
        "by": split.by,
        "groups_in_train_alone": list(split.in_train_alone),
        "left_out": split.left_out,
        "digest": "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        **{
            part: {
                "stacks": len(numbers),
                "materials": None if material is None else len(np.unique(material[numbers])),
                "groups": len(np.unique(stacks[GROUP][numbers])),
                "folders": _counts(stacks["folder"][numbers]),
            }
            for part, numbers in split.parts.items()
        },
    }


def _counts(values: Texts) -> dict[str, int]:
    return {str(name): int(count) for name, count in zip(*np.unique_counts(values), strict=True)}


def _published(
    split: Split, stacks: SampleIndex
) -> tuple[npt.NDArray[np.int8], str, tuple[int, ...]]:
    """Return parts from folders, and how they were made.

    Without a folder for validation, that part is a share of the training folder.
    """
    numbers = np.full(len(stacks), -1, np.int8)
    for place, part in enumerate(PARTS):
        numbers[np.isin(stacks["folder"], split.members[part]["folders"])] = place
    otherwise = split.members[VALIDATION].get("otherwise")
    if (numbers == 1).any() or not (numbers == 0).any() or otherwise is None:
        return numbers, "folder", ()
    by = STACK if material_of(stacks) is None else MATERIAL
    shares = read_shares(split.name, {part: {**otherwise[part], "by": [by]} for part in otherwise})
    chosen = np.flatnonzero(numbers == 0)
    numbers[chosen], alone = _by_shares(shares, chosen, units_of(by, stacks), stacks[GROUP])
    return numbers, f"folder, validation by {by}", alone


def _by_shares(
    shares: Shares, chosen: Numbers, units: Texts, groups: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int8], tuple[int, ...]]:
    """Return the part of each chosen stack, and the groups that are too small to divide.

    A unit with stacks of several groups counts in the first of these groups and stays whole.
    """
    names, first, unit = np.unique(units[chosen], return_index=True, return_inverse=True)
    group = groups[chosen][first]
    hashes = hash_ids(names, shares.salt)
    part = np.zeros(len(names), np.int8)
    alone = []
    for number in np.unique(group):
        members = np.flatnonzero(group == number)
        if len(members) < MIN_UNITS:
            alone.append(int(number))
            continue
        order = members[np.argsort(hashes[members], kind="stable")]
        part[order] = _portions(shares, len(order))
    return part[unit], tuple(alone)


def _portions(shares: Shares, count: int) -> npt.NDArray[np.int8]:
    """Return the part of each of `count` sorted units: shares rounded, at least one unit each."""
    shares_of_others = [high - low for part, (low, high) in shares.ends.items() if part != TRAIN]
    taken = [max(1, int(np.floor(share * count + 0.5))) for share in shares_of_others]
    return np.repeat(np.arange(len(taken) + 1), [count - sum(taken), *taken]).astype(np.int8)


def _require_apart(split: SplitParts, stacks: SampleIndex, name: str) -> None:
    for pair, shared in leakage(split, stacks).items():
        if isinstance(shared, dict) and shared["materials_shared"]:
            raise SciMLDataError(
                f"split {name!r} keeps materials apart, but {pair} share "
                f"{shared['materials_shared']} of them",
                untouched="nothing was trained",
            )


def _shared(name: str, first: Texts, second: Texts) -> dict[str, Any]:
    both = np.intersect1d(first, second)
    return {
        f"{name}s_shared": len(both),
        f"{name}s_of_second": len(np.unique(second)),
        f"{name}s_percent": round(100 * float(np.isin(second, both).mean()), 1),
    }


def _leakage_messages(report: Mapping[str, Any], stacks: SampleIndex) -> Iterator[str]:
    """Yield the leakage report in sentences, which a run prints before training."""
    if not report["is_checked"]:
        yield NOT_CHECKED.format(dataset=stacks.dataset)
        return
    for first, second in combinations(PARTS, 2):
        pair = report[f"{first}+{second}"]
        words = [
            f"{pair[f'{name}s_shared']} of {pair[f'{name}s_of_second']} {name}s of {second} "
            f"({pair[f'{name}s_percent']:g} % of its stacks)"
            for name in ("material", "formula")
            if f"{name}s_shared" in pair
        ]
        yield f"leakage: {first} has {' and '.join(words)}"
    if any(report[f"{TRAIN}+{part}"]["materials_shared"] for part in (VALIDATION, TEST)):
        yield "leakage: materials are on both sides; these scores say what was remembered"
