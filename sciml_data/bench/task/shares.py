"""Splits that hold for every dataset: a part takes a share of [0, 1) of a hash of each id.

No list of members is needed, an id keeps its part when others come or go, and one dataset's test
compounds are another's. Each part of such a split says

    {"by": ["cell"], "salt": "...", "from": 0.8, "to": 0.9}

`by` names what is hashed, of which the benchmark knows the ids; with several, a sample belongs to
a part in which all of them lie, and to none where they lie in different ones. The salt was drawn
or chosen once; it is part of the members, and so of the split's digest.
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
Words: TypeAlias = npt.NDArray[np.uint64]
Parts: TypeAlias = npt.NDArray[np.int8]
_SHIFT = np.uint64(11)  # 53 bits of a word are what a float64 holds


@dataclass(frozen=True)
class Shares:
    """What is hashed, and each part's share: `ends` has (from, to) in the order of the parts."""

    by: tuple[str, ...]
    salt: str
    ends: Mapping[str, tuple[float, float]]


def read_shares(name: str, members: Mapping[str, Any]) -> Shares:
    """Return the shares of a split's members.

    Raises:
        DescriptorError: a part says no share, parts differ in what is hashed, or shares overlap.
    """
    problems, ends = [], {}
    first = next(iter(members.values()))
    for part, member in members.items():
        low, high = member.get("from"), member.get("to")
        if not isinstance(low, float) or not isinstance(high, float) or not 0 <= low < high <= 1:
            problems.append(Problem("share", part, f"from {low} to {high} is no share of 0 to 1"))
            continue
        if (member.get("by"), member.get("salt")) != (first.get("by"), first.get("salt")):
            problems.append(Problem("rule", part, "is hashed in another way than the first part"))
        ends[part] = (low, high)
    spans = sorted(ends.values())
    if any(one[1] > other[0] for one, other in pairwise(spans)):
        problems.append(Problem("overlap", name, "parts have a share in common"))
    if problems or not first.get("by"):
        raise DescriptorError(f"split {name!r} is no split by shares", problems=problems)
    return Shares(tuple(first["by"]), str(first["salt"]), ends)


def words_of(ids: Iterable[str], salt: str = "") -> Words:
    """Return 64 bits of each id's hash: (n,) uint64, the first 8 bytes of SHA-256, big-endian."""
    hashes = (hashlib.sha256(f"{salt}\0{name}".encode()).digest()[:8] for name in ids)
    return np.frombuffer(b"".join(hashes), ">u8").astype(np.uint64)


def mixed(*words: Words) -> Words:
    """Return one word for each row of words; their order counts.

    Each step is a round of SplitMix64 (Steele, Lea and Flood 2014), so rows that are numbers and
    ids are hashed without making a text of each.
    """
    state = np.zeros(np.broadcast_shapes(*(word.shape for word in words)), np.uint64)
    for word in words:
        state = state + word + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return state


def units(words: Words) -> npt.NDArray[np.float64]:
    """Return words as numbers in [0, 1)."""
    return (words >> _SHIFT).astype(np.float64) / 2.0**53


def parts_of(values: npt.NDArray[np.float64], shares: Shares) -> Parts:
    """Return the number of the part whose share holds each value, `NO_PART` where none does."""
    found = np.full(values.shape, NO_PART, np.int8)
    for number, (low, high) in enumerate(shares.ends.values()):
        found[(values >= low) & (values < high)] = number
    return found


def agreed(*choices: Parts) -> Parts:
    """Return the part that all choices agree on, and `NO_PART` where they do not."""
    first = choices[0]
    same: Any = np.ones(first.shape, bool)
    for other in choices[1:]:
        same = same & (other == first)
    return np.where(same, first, NO_PART).astype(np.int8)
