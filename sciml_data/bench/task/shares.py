"""Splits by shares: a part gets the ids whose hash is in a range of [0, 1).

Such a split needs no list of members, and it works for every dataset: an id keeps its part when
other ids are added or removed, and a compound that is in the test part of one dataset is in the
test part of the others too. Each part of the split is described by

    {"by": ["cell"], "salt": "...", "from": 0.8, "to": 0.9}

`by` names the kinds of ids that are hashed; the benchmark knows the ids. With several kinds, a
sample belongs to a part only if all its ids are in this part. A sample with ids in different parts
is in no part. The salt was chosen once. It is one of the members, so the split's digest covers it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.errors import DescriptorError, Problem

NO_PART = -1
Hashes: TypeAlias = npt.NDArray[np.uint64]
Parts: TypeAlias = npt.NDArray[np.int8]
_SHIFT = np.uint64(11)  # keeps the upper 53 of 64 bits, which is the precision of a float64


@dataclass(frozen=True)
class Shares:
    """The rule of a split by shares.

    Attributes:
        by: kinds of ids that are hashed.
        salt: text that is hashed with each id.
        ends: part -> (from, to), the range of its share, in the order of the parts.
    """

    by: tuple[str, ...]
    salt: str
    ends: Mapping[str, tuple[float, float]]


def read_shares(name: str, members: Mapping[str, Any]) -> Shares:
    """Return the rule that a split's members describe.

    Args:
        name: of the split, for error messages.
        members: part -> description, see the module's docstring.

    Raises:
        DescriptorError: a part has no valid range, parts have different rules, or ranges overlap.
    """
    problems, ends = [], {}
    first = next(iter(members.values()))
    for part, member in members.items():
        low, high = member.get("from"), member.get("to")
        if not isinstance(low, float) or not isinstance(high, float) or not 0 <= low < high <= 1:
            message = f"from {low} to {high} is not a range in 0.0 to 1.0"
            problems.append(Problem("share", part, message))
            continue
        if {**member, "from": 0, "to": 0} != {**first, "from": 0, "to": 0}:
            problems.append(Problem("rule", part, "`by`, `salt` or folder differ from the first's"))
        ends[part] = (low, high)
    if any(left[1] > right[0] for left, right in pairwise(sorted(ends.values()))):
        problems.append(Problem("overlap", name, "the ranges of two parts overlap"))
    if problems or not isinstance(first.get("by"), list) or not first["by"]:
        raise DescriptorError(f"split {name!r} is not a split by shares", problems=problems)
    return Shares(tuple(first["by"]), str(first["salt"]), ends)


def hash_ids(ids: Iterable[Any], salt: str = "") -> Hashes:
    """Return a 64-bit hash of each id: (id) uint64.

    It consists of the first 8 bytes, big-endian, of the SHA-256 of salt, NUL and id.
    """
    hashes = (hashlib.sha256(f"{salt}\0{name}".encode()).digest()[:8] for name in ids)
    return np.frombuffer(b"".join(hashes), ">u8").astype(np.uint64)


def combine_hashes(*hashes: Hashes) -> Hashes:
    """Return a hash for each row of hashes; their order matters.

    Each step is a round of SplitMix64 (Steele, Lea and Flood 2014), also the source of the
    constants. So millions of rows of numbers and ids are hashed without a text for each row.

    Args:
        *hashes: uint64, of shapes that broadcast.
    """
    state = np.zeros(np.broadcast_shapes(*(values.shape for values in hashes)), np.uint64)
    for values in hashes:
        state = state + values + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return state


def to_unit_interval(hashes: Hashes) -> npt.NDArray[np.float64]:
    """Return hashes as float64 numbers in [0, 1), in the same shape."""
    return (hashes >> _SHIFT).astype(np.float64) / 2.0**53


def assign_parts(values: npt.NDArray[np.float64], shares: Shares) -> Parts:
    """Return the number of the part whose range contains each value, else `NO_PART`.

    Args:
        values: any shape, in [0, 1).
        shares: have the ranges; parts are numbered in their order.
    """
    parts = np.full(values.shape, NO_PART, np.int8)
    for number, (low, high) in enumerate(shares.ends.values()):
        parts[(values >= low) & (values < high)] = number
    return parts


def common_parts(*assignments: Parts) -> Parts:
    """Return the part on which all assignments agree, `NO_PART` where they differ.

    Args:
        *assignments: numbers of parts, int8 of equal shapes, one array for each kind of id.
    """
    first = assignments[0]
    is_same: Any = np.ones(first.shape, bool)
    for other in assignments[1:]:
        is_same = is_same & (other == first)
    return np.where(is_same, first, NO_PART).astype(np.int8)
