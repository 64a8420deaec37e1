"""Divide the scenes into training, validation and test, and report what the parts share.

The published list of files of each part does not exist, so a stored split is a rule: applied to
the same scenes it gives the same parts on every computer. The record has the digest of the
resulting lists. Scenes are sorted by the name of their granule first, because file systems list
files in different orders.

`by` of the training part names the rule: `orbit` keeps whole days, or else whole orbits, in one
part; `file` shuffles files, as the reference does.
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
MIN_DAYS = 5  # with fewer, no whole days make up a fifth, and whole orbits are taken instead
Indices: TypeAlias = npt.NDArray[np.intp]
Flags: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Passes:
    """Time and orbit of scenes, in the order of the files.

    Attributes:
        granule: (scene,) name, text.
        time: (scene,) datetime64, UTC, start of the granule.
        orbit: (scene,) running number, counted for each platform.
        platform: (scene,) number of the satellite.
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
        """Return the day (UTC) of each scene's start, in days since 1970: (scene,)."""
        return self.time.astype("M8[D]").astype(np.int64)

    @property
    def orbits(self) -> npt.NDArray[np.int64]:
        """Return a number for each orbit of each satellite: (scene,)."""
        return self.orbit.astype(np.int64) * 16 + self.platform


@dataclass(frozen=True)
class SplitParts:
    """The scenes of each part of a split.

    Attributes:
        parts: scene numbers of each part, training part first.
        rule: a sentence on how scenes were assigned, for the record.
        left_out: number of scenes that are in no part.
    """

    parts: Mapping[str, Indices]
    rule: str
    left_out: int


def make_split(split: Split, passes: Passes, is_inference: Flags) -> SplitParts:
    """Return the scenes of each part.

    Args:
        split: the stored rule; its `train` has `by`, its `validation` the `share` of the training
            scenes.
        passes: time and orbit of all scenes.
        is_inference: (scene,) bool, whether the scene comes from the folder of inference scenes,
            which are the test part.

    Raises:
        DescriptorError: the split's rule is unknown.
        SciMLDataError: there are too few scenes to divide.
    """
    rules = {"orbit": _by_orbit, "file": _by_file}
    by, share = split.members[TRAIN].get("by"), split.members[VALIDATION].get("share")
    if by not in rules or not isinstance(share, float):
        raise DescriptorError(
            f"split {split.name!r} has by={by!r} and share={share!r}; by is one of "
            f"{', '.join(rules)}, share a number below 1"
        )
    order = np.argsort(passes.granule, kind="stable")
    test = order[is_inference[order]]
    training = order[~is_inference[order]]
    is_validation, is_used, rule = rules[by](passes, training, test, (share, split.seed or 0))
    parts = {
        TRAIN: training[is_used & ~is_validation],
        VALIDATION: training[is_used & is_validation],
    }
    if not all(len(scenes) for scenes in parts.values()):
        raise SciMLDataError(
            f"{len(training)} training scenes are too few for train and validation {rule}",
            untouched="nothing was trained",
            hint="fetch more of the training scenes: sciml-data get cloud_slstr_ds1 --limit 40",
        )
    if len(test):
        parts[TEST] = test
    return SplitParts(parts, rule, int((~is_used).sum()))


def leakage(split: SplitParts, passes: Passes) -> dict[str, Any]:
    """Return what each part shares with the training part, in percent of its scenes."""
    train = split.parts[TRAIN]

    def shared(values: npt.NDArray[Any], scenes: Indices) -> float:
        return round(100 * float(np.isin(values[scenes], values[train]).mean()), 1)

    report: dict[str, Any] = {
        name: {
            "granules_shared_percent": shared(passes.granule, scenes),
            "orbits_shared_percent": shared(passes.orbits, scenes),
            "days_shared_percent": shared(passes.days, scenes),
        }
        for name, scenes in split.parts.items()
        if name != TRAIN
    }
    report["meaning"] = (
        "granules of one orbit follow one another, and cloud goes on from one to the next: scores "
        "on scenes whose orbit was trained on are too good"
    )
    return report


def describe_split(split: SplitParts, passes: Passes) -> dict[str, Any]:
    """Return counts, days, rule and digest of the parts, for the record."""
    return {
        "rule": split.rule,
        "left_out": split.left_out,
        "digest": f"sha256:{_digest(split, passes)}",
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
            for name, scenes in split.parts.items()
        },
    }


def _digest(split: SplitParts, passes: Passes) -> str:
    lines = [
        f"{name},{granule}"
        for name, scenes in split.parts.items()
        for granule in sorted(map(str, passes.granule[scenes]))
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _by_orbit(
    passes: Passes, training: Indices, test: Indices, draw: tuple[float, int]
) -> tuple[Flags, Flags, str]:
    """Return (is in validation, is in any part) of each training scene, and the rule in words.

    A scene belongs to its day. If an orbit passes midnight into a day of the other part, its
    training scenes are left out. Scenes whose orbit is also in the test part are left out too.
    """
    share, seed = draw
    days, orbits = passes.days[training], passes.orbits[training]
    has_days = len(np.unique(days)) >= MIN_DAYS
    drawn = _draw(days if has_days else orbits, share, seed)
    is_validation = np.isin(days if has_days else orbits, drawn)
    is_used = is_validation | ~np.isin(orbits, orbits[is_validation])
    is_used &= ~np.isin(orbits, passes.orbits[test])
    unit = "whole days, no orbit on both sides" if has_days else "whole orbits (too few days)"
    return is_validation, is_used, f"by {unit}; none of an orbit of the test scenes"


def _draw(units: npt.NDArray[np.int64], share: float, seed: int) -> npt.NDArray[np.int64]:
    """Return units drawn in random order until they hold the given share of all scenes.

    A unit (a day or an orbit) that passes the share is taken if that misses the share by less than
    leaving it out. At least one unit is drawn, and one is left.
    """
    names, counts = np.unique(units, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    before = np.cumsum(counts[order]) - counts[order]
    wanted = share * len(units)
    taken = before + counts[order] / 2 <= wanted
    taken[0] = True
    taken[-1] &= len(names) == 1
    return np.asarray(names[order[taken]])


def _by_file(
    passes: Passes,  # noqa: ARG001 - a rule's arguments
    training: Indices,
    test: Indices,  # noqa: ARG001 - a rule's arguments
    draw: tuple[float, int],
) -> tuple[Flags, Flags, str]:
    """Return the draw of scikit-learn's train_test_split from the sorted list of files.

    scikit-learn permutes with NumPy's legacy generator (`RandomState`, MT19937) and takes the first
    n - floor((1 - share) n) files as the smaller part (`_validate_shuffle_split` and
    `ShuffleSplit`, scikit-learn 1.7).
    """
    share, seed = draw
    count = len(training)
    larger = int(np.floor(round((1 - share) * count, 9)))
    permutation = np.random.RandomState(seed).permutation(count)
    is_validation = np.zeros(count, bool)
    is_validation[permutation[: count - larger]] = True
    return is_validation, np.ones(count, bool), "by file, whatever their orbits"
