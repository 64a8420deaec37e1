"""Facts about space groups: their crystal systems, and the group of a mirrored crystal."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Groups: TypeAlias = npt.NDArray[np.integer[Any]]

LAST = 230
SYSTEMS = (
    "triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic",
)  # fmt: skip
LAST_OF_SYSTEMS = (2, 15, 74, 142, 167, 194, 230)  # International Tables for Crystallography A
# A mirrored crystal has the same space group, chiral crystals included. These 11 pairs of groups
# have screw axes of one hand and swap instead (International Tables A, 3.2).
HANDED_PAIRS = (
    (76, 78), (91, 95), (92, 96), (144, 145), (151, 153), (152, 154),
    (169, 170), (171, 172), (178, 179), (180, 181), (212, 213),
)  # fmt: skip


def systems_of(groups: Groups) -> npt.NDArray[np.int64]:
    """Return the index of each group's crystal system in `SYSTEMS`."""
    return np.searchsorted(LAST_OF_SYSTEMS, groups, side="left")


def mirrored_groups() -> npt.NDArray[np.int64]:
    """Return for each space group (231,) the group of its mirrored crystal; 22 groups differ."""
    partner = np.arange(LAST + 1)
    for right, left in HANDED_PAIRS:
        partner[right], partner[left] = left, right
    return partner
