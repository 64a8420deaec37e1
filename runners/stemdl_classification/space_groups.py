"""What is known of space groups without any data: crystal systems, and what mirrors do to them."""

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
# Mirroring a crystal gives a crystal of the same group, chiral crystals included, but for these
# 11 pairs of groups with screw axes of one hand (International Tables A, 3.2): they swap.
HANDED_PAIRS = (
    (76, 78), (91, 95), (92, 96), (144, 145), (151, 153), (152, 154),
    (169, 170), (171, 172), (178, 179), (180, 181), (212, 213),
)  # fmt: skip


def systems_of(groups: Groups) -> npt.NDArray[np.int64]:
    """Return the number of each group's crystal system among SYSTEMS."""
    return np.searchsorted(LAST_OF_SYSTEMS, groups, side="left")


def mirrored() -> npt.NDArray[np.int64]:
    """Return the group of a mirrored crystal of each group: (231,), the same but for 22 groups."""
    partner = np.arange(LAST + 1)
    for one, other in HANDED_PAIRS:
        partner[one], partner[other] = other, one
    return partner
