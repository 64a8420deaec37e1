"""Which scenes are in which part of a split, and what the parts share.

A split here is a rule, for nobody has published the list of files: given the scenes, it gives the
parts, the same on every computer. The record has the digest of the lists it gave. Scenes are
ordered by the name of their granule, whatever order a file system lists them in.

`by` of the training part says how: `orbit` keeps whole days, or else whole orbits, on one side;
`file` shuffles files, as the reference does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.errors import DescriptorError, SciMLDataError

if TYPE_CHECKING:
    from sciml_data.bench.task.split import Split

TRAIN, VALIDATION, TEST = "train", "validation", "test"
LEAST_DAYS = 5  # with fewer, a fifth cannot be had in whole days, and whole orbits are taken
Indices: TypeAlias = npt.NDArray[np.intp]
Flags: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Passes:
    """When and on which orbit scenes were seen; one entry for each, in the order of the files.

    granule: names, text. time: datetime64. orbit: running number, per platform. platform: number.
    """

    granule: npt.NDArray[Any]
    time: npt.NDArray[np.datetime64]
    orbit: npt.NDArray[np.integer[Any]]
    platform: npt.NDArray[np.integer[Any]]

    def __len__(self) -> int:
        """Return the number of scenes."""
        return len(self.granule)

    @property
    def days(self) -> npt.NDArray[np.int64]:
        """Return the day (UTC) on which each scene begins."""
        return self.time.astype("M8[D]").astype(np.int64)

    @property
    def orbits(self) -> npt.NDArray[np.int64]:
        """Return a number for each scene that those of one orbit of one satellite share."""
        return self.orbit.astype(np.int64) * 16 + self.platform


@dataclass(frozen=True)
class Layout:
    """Which scenes make each part: numbers of scenes of both folders, training scenes first.

    `rule` is a sentence on how they were assigned, `left_out` counts scenes that are in no part.
    """

    parts: Mapping[str, Indices]
    rule: str
    left_out: int


def lay_out(split: Split, passes: Passes, is_inference: Flags) -> Layout:
    """Return the parts of a split.

    Args:
        split: its `train` says `by`, its `validation` the `share` of the training scenes.
        passes: of all scenes.
        is_inference: (scene) which come from the folder of the inference scenes: the test part.

    Raises:
        DescriptorError: the split's rule is not known.
        SciMLDataError: there are too few scenes to divide.
    """
    rules = {"orbit": _by_orbit, "file": _by_file}
    by, share = split.members[TRAIN].get("by"), split.members[VALIDATION].get("share")
    if by not in rules or not isinstance(share, float):
        raise DescriptorError(f"split {split.name!r} divides by {by!r}, share {share!r}")
    order = np.argsort(passes.granule, kind="stable")
    test = order[is_inference[order]]
    training = order[~is_inference[order]]
    is_validation, kept, rule = rules[by](passes, training, test, (share, split.seed or 0))
    parts = {TRAIN: training[kept & ~is_validation], VALIDATION: training[kept & is_validation]}
    if not all(len(scenes) for scenes in parts.values()):
        raise SciMLDataError(
            f"{len(training)} training scenes cannot be divided into train and validation {rule}",
            untouched="nothing was trained",
            hint="fetch more of the training scenes: sciml-data get cloud_slstr_ds1 --limit 40",
        )
    if len(test):
        parts[TEST] = test
    return Layout(parts, rule, int((~kept).sum()))


def leakage(layout: Layout, passes: Passes) -> dict[str, Any]:
    """Return what each part shares with the training part, in per cent of its scenes."""
    train = layout.parts[TRAIN]

    def shared(values: npt.NDArray[Any], scenes: Indices) -> float:
        return round(100 * float(np.isin(values[scenes], values[train]).mean()), 1)

    report: dict[str, Any] = {
        name: {
            "granules_shared_percent": shared(passes.granule, scenes),
            "orbits_shared_percent": shared(passes.orbits, scenes),
            "days_shared_percent": shared(passes.days, scenes),
        }
        for name, scenes in layout.parts.items()
        if name != TRAIN
    }
    report["meaning"] = (
        "granules of one orbit follow one another, and cloud goes on from one to the next: scores "
        "on scenes whose orbit was trained on are too good"
    )
    return report


def describe(layout: Layout, passes: Passes) -> dict[str, Any]:
    """Return counts, days, rule and digest of the parts, for the record."""
    return {
        "rule": layout.rule,
        "left_out": layout.left_out,
        "digest": f"sha256:{_digest(layout, passes)}",
        **{
            name: {
                "scenes": len(scenes),
                "orbits": len(np.unique(passes.orbits[scenes])),
                "days": len(np.unique(passes.days[scenes])),
                "period": [
                    str(passes.time[scenes].min())[:19],
                    str(passes.time[scenes].max())[:19],
                ],
            }
            for name, scenes in layout.parts.items()
        },
    }


def _digest(layout: Layout, passes: Passes) -> str:
    lines = [
        f"{name},{granule}"
        for name, scenes in layout.parts.items()
        for granule in sorted(map(str, passes.granule[scenes]))
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _by_orbit(
    passes: Passes, training: Indices, test: Indices, draw: tuple[float, int]
) -> tuple[Flags, Flags, str]:
    """Return (is validation, is kept) of each training scene, and the rule.

    A scene belongs to its day. Where an orbit runs over midnight into a day of the other side, its
    training scenes are left out, as are scenes of an orbit that the test scenes have too.
    """
    share, seed = draw
    days, orbits = passes.days[training], passes.orbits[training]
    has_days = len(np.unique(days)) >= LEAST_DAYS
    drawn = _draw(days if has_days else orbits, share, seed)
    is_validation = np.isin(days if has_days else orbits, drawn)
    kept = is_validation | ~np.isin(orbits, orbits[is_validation])
    kept &= ~np.isin(orbits, passes.orbits[test])
    unit = "whole days, no orbit on both sides" if has_days else "whole orbits (too few days)"
    return is_validation, kept, f"by {unit}; none of an orbit of the test scenes"


def _draw(units: npt.NDArray[np.int64], share: float, seed: int) -> npt.NDArray[np.int64]:
    """Return units, in an order drawn from the seed, until they hold that share of all scenes."""
    names, counts = np.unique(units, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    before = np.cumsum(counts[order]) - counts[order]
    wanted = share * len(units)
    taken = before + counts[order] / 2 <= wanted  # what passes the share by less than it misses it
    taken[0] = True
    taken[-1] &= len(names) == 1
    return np.asarray(names[order[taken]])


def _by_file(
    passes: Passes,  # noqa: ARG001 - a rule's arguments
    training: Indices,
    test: Indices,  # noqa: ARG001 - a rule's arguments
    draw: tuple[float, int],
) -> tuple[Flags, Flags, str]:
    """Return what scikit-learn's train_test_split draws from the sorted list of files.

    It permutes with the generator of old (MT19937 and the `permutation` of RandomState) and takes
    the first n - floor((1 - share) n) as the smaller side (`_validate_shuffle_split` and
    `ShuffleSplit`, scikit-learn 1.7).
    """
    share, seed = draw
    count = len(training)
    larger = int(np.floor(round((1 - share) * count, 9)))
    permutation = np.random.RandomState(seed).permutation(count)
    is_validation = np.zeros(count, bool)
    is_validation[permutation[: count - larger]] = True
    return is_validation, np.ones(count, bool), "by file, whatever their orbits"
