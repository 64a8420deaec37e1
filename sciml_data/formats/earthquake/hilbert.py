"""A space-filling curve over a rectangle, and the fault features numbered along it.

The reference gives each pixel four static features: its fault group, renumbered in the order in
which a generalised Hilbert curve first meets the groups, for the grid as it is and mirrored
(reference notebook, cells 30 and 32). The curve: a rectangle that is long is cut in two along its
length; otherwise the walk goes up one half of the near side, along the far half, and down again;
halves are kept even where they can be, so that neighbours on the curve are neighbours in the grid.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Step = tuple[int, int]


def curve(width: int, height: int) -> NDArray[np.int64]:
    """Return the walk over a grid: (width * height, 2) int64, x and y of each pixel in turn."""
    along, across = ((width, 0), (0, height)) if width >= height else ((0, height), (width, 0))
    return np.array(list(_walk((0, 0), along, across)), np.int64)


def fault_features(groups: NDArray[np.integer]) -> NDArray[np.int32]:
    """Return the four static fault features of each pixel.

    Args:
        groups: (row=40, column=60) integers, fault group, row 0 in the north.

    Returns:
        (feature=4, pixel=2400) int32, groups renumbered from 0 in the order in which the curve
        meets them: grid as it is, mirrored in y, in x, in both.
    """
    walk = curve(groups.shape[1], groups.shape[0])
    mirrored = (groups, groups[::-1], groups[:, ::-1], groups[::-1, ::-1])
    return np.stack([_renumbered(groups, seen[walk[:, 1], walk[:, 0]]) for seen in mirrored])


def _renumbered(groups: NDArray[np.integer], met: NDArray[np.integer]) -> NDArray[np.int32]:
    known, first = np.unique(met, return_index=True)
    rank = np.argsort(np.argsort(first)).astype(np.int32)
    return rank[np.searchsorted(known, groups.ravel())]


def _walk(start: Step, along: Step, across: Step) -> Iterator[Step]:
    """Walk over the rectangle that two axis-parallel vectors span, the first leading."""
    length, breadth = abs(sum(along)), abs(sum(across))
    if breadth == 1 or length == 1:
        unit, steps = (_unit(along), length) if breadth == 1 else (_unit(across), breadth)
        for step in range(steps):
            yield _plus(start, _times(unit, step))
        return
    half_along = _half(along, length)
    if 2 * length > 3 * breadth:
        yield from _walk(start, half_along, across)
        yield from _walk(_plus(start, half_along), _minus(along, half_along), across)
        return
    half_along, half_across = _times(_unit(along), length // 2), _half(across, breadth)
    yield from _walk(start, half_across, half_along)
    yield from _walk(_plus(start, half_across), along, _minus(across, half_across))
    corner = _plus(_plus(start, _minus(along, _unit(along))), _minus(half_across, _unit(across)))
    yield from _walk(corner, _times(half_across, -1), _times(_minus(along, half_along), -1))


def _half(vector: Step, length: int) -> Step:
    """Return half of the vector, made even by one more step where that leaves something."""
    half = length // 2
    return _times(_unit(vector), half + 1 if half % 2 and length > 2 else half)


def _unit(vector: Step) -> Step:
    return (vector[0] > 0) - (vector[0] < 0), (vector[1] > 0) - (vector[1] < 0)


def _times(vector: Step, factor: int) -> Step:
    return vector[0] * factor, vector[1] * factor


def _plus(one: Step, other: Step) -> Step:
    return one[0] + other[0], one[1] + other[1]


def _minus(one: Step, other: Step) -> Step:
    return one[0] - other[0], one[1] - other[1]
