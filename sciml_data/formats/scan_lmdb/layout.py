"""What the keys of a database say: which samples there are, of which shapes and types.

Keys are ASCII: `cbed_<i>` (input) and `2d_potential_<i>` (target), raw bytes each; six header keys
say shapes (three int64), types and the two names, and `header_entries` is six zero bytes, for
`bytes(6)` was meant to be the number 6: samples are counted by their keys. The numbers need not be
without gaps. Databases of one generation have no names in their head, others may lack it.

Sources: namsa, scripts/summit_scripts: sim_prod.py, sim_batch.py, utils.py (write_lmdb),
scan_lmdb.py; sciml-bench at 79a5650: stemdl_reconstruction/stemdl/inputs.py (research: stemdl,
section 1.7).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]

INPUT, TARGET = "cbed_", "2d_potential_"
# Input and target of the three generations of the simulation: scans of 32 x 32, 16 x 16, 8 x 8.
GENERATIONS: tuple[tuple[Shape, Shape], ...] = (
    ((1024, 512, 512), (1, 512, 512)),
    ((256, 256, 256), (1, 256, 256)),
    ((64, 256, 256), (1, 128, 128)),
)
HEADERS = (
    "input_dtype",
    "input_shape",
    "input_name",
    "output_dtype",
    "output_shape",
    "output_name",
)
COUNT = "header_entries"
# Keys that published databases have not: our samples', in float32 and JSON.
EXTRAS = ("potential_", "electron_density_", "meta_")
DTYPES = ("float16", "float32")
MOST_FOREIGN = 5  # keys that are named
MOST_ASKED = 5  # values of each kind whose lengths are looked at

# What scan_lmdb.py puts where a sample could not be read: uniform random numbers in these ranges.
NOISE = {"input": (-1.0, 1.0), "target": (0.0, 1.0)}
LEAST_NOISE = 1024  # numbers: of fewer nothing is said
MOST_PATTERNS = 16  # are looked at closely: a scan has up to 1,024
SURENESS = 6.0  # standard errors that spread and likeness of neighbours may be off


@dataclass(frozen=True)
class Part:
    """Input or target: the start of its keys, the shape and type of a value."""

    name: str
    shape: Shape
    dtype: str

    @property
    def size_bytes(self) -> int:
        """Return the bytes of a value."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Layout:
    """What a database holds.

    Attributes:
        input: (probe, y, x).
        target: (1, v, u).
        keys: all that there are.
        numbers: of samples that have input or target, in their order.
        foreign: keys that are none of these.
        told: what is said of the head.
    """

    input: Part
    target: Part
    keys: frozenset[str]
    numbers: tuple[int, ...]
    foreign: tuple[str, ...]
    told: tuple[str, ...]

    @property
    def sample_bytes(self) -> int:
        """Return the native bytes of a sample."""
        return self.input.size_bytes + self.target.size_bytes

    @property
    def remarks(self) -> list[str]:
        """Return what is to be told of the database as a whole."""
        lines = list(self.told)
        gaps = self.numbers[-1] + 1 - len(self.numbers) if self.numbers else 0
        if gaps:
            lines.append(f"{gaps} of the numbers 0 to {self.numbers[-1]} are not there")
        if self.foreign:
            named = ", ".join(repr(key) for key in self.foreign[:MOST_FOREIGN])
            lines.append(f"{len(self.foreign)} keys are not known and left: {named}")
        return lines


def read_layout(
    keys: Iterable[bytes], headers: Mapping[str, bytes], length_of: Callable[[str], int | None]
) -> Layout | list[str]:
    """Return what a database holds, or why that cannot be told.

    Args:
        keys: all keys.
        headers: values of those header keys that there are.
        length_of: gives the bytes of a value, None where it cannot be read; asked of a few keys.
    """
    wrong: list[str] = []
    names = {key: _text(headers, f"{key}_name", wrong) for key in ("input", "output")}
    dtypes = {key: _text(headers, f"{key}_dtype", wrong) or "float16" for key in names}
    wrong += [
        f"{key}_dtype is {dtype!r}, {' or '.join(DTYPES)} expected"
        for key, dtype in dtypes.items()
        if dtype not in DTYPES
    ]
    shapes = {key: _shape(headers, f"{key}_shape", wrong) for key in names}
    if wrong:
        return wrong
    texts = frozenset(key.decode("latin-1") for key in keys)
    starts = names["input"] or INPUT, names["output"] or TARGET
    inputs, targets = (_numbers(texts, start) for start in starts)
    lengths = _common_length(inputs, length_of), _common_length(targets, length_of)
    given = shapes["input"], shapes["output"]
    found, told = _shapes_for(given, lengths, (dtypes["input"], dtypes["output"]))
    if found is None:
        return [told]
    known = {*inputs.values(), *targets.values(), *HEADERS, COUNT}
    for start in EXTRAS:
        known |= set(_numbers(texts, start).values())
    return Layout(
        Part(starts[0], found[0], dtypes["input"]),
        Part(starts[1], found[1], dtypes["output"]),
        texts,
        tuple(sorted({*inputs, *targets})),
        tuple(sorted(texts - known)),
        (told,) if told else (),
    )


def is_noise(values: NDArray[np.floating[Any]], part: str) -> bool:
    """Return whether values are what a repair put in place of a sample that could not be read.

    Both quantities are z-scored: a standard deviation of 1 about a mean of 0, so something lies
    outside of -1..1 in every input, and below 0 in every target. The repair's numbers are uniform
    in -1..1 and 0..1, and neighbours have nothing to do with one another.

    Args:
        values: (n, y, x), finite.
        part: "input" or "target".
    """
    low, high = NOISE[part]
    if values.size < LEAST_NOISE or values.min() < low or values.max() > high:
        return False
    wide = values[:MOST_PATTERNS].astype(np.float64)
    spread = wide.std() * math.sqrt(12) / (high - low)
    # Of n uniform numbers the standard deviation has the relative standard error (0.2 / n)^0.5.
    if abs(spread - 1) > SURENESS * math.sqrt(0.2 / wide.size):
        return False
    centred = wide - wide.mean()
    likeness = (centred[..., 1:] * centred[..., :-1]).mean() / wide.var()
    return bool(abs(likeness) < SURENESS / math.sqrt(wide.size))


def _text(headers: Mapping[str, bytes], key: str, wrong: list[str]) -> str | None:
    value = headers.get(key)
    if value is None:
        return None
    text = value.decode("ascii", errors="replace")
    if not re.fullmatch(r"[\w.-]{1,64}", text, re.ASCII):
        wrong.append(f"{key} is {value[:64]!r}, a word expected")
    return text


def _shape(headers: Mapping[str, bytes], key: str, wrong: list[str]) -> Shape | None:
    value = headers.get(key)
    if value is None:
        return None
    numbers = tuple(int(one) for one in np.frombuffer(value[: len(value) // 8 * 8], "<i8"))
    if len(value) != 24 or min(numbers) < 1 or math.prod(numbers) > 2**31:
        wrong.append(f"{key} is {list(numbers)} ({len(value)} bytes), three lengths expected")
        return None
    return numbers


def _numbers(keys: Iterable[str], start: str) -> dict[int, str]:
    """Return the keys of a kind by the number of their sample; `cbed_007` is none."""
    pattern = re.compile(re.escape(start) + r"(0|[1-9][0-9]{0,17})", re.ASCII)
    matches = (pattern.fullmatch(key) for key in keys)
    return {int(match[1]): match[0] for match in matches if match}


def _common_length(keys: Mapping[int, str], length_of: Callable[[str], int | None]) -> int | None:
    """Return the length that most of a few values have, None where none can be read."""
    numbers = sorted(keys)
    asked = numbers[:: max(1, -(-len(numbers) // MOST_ASKED))]
    found = [length for one in asked if (length := length_of(keys[one])) is not None]
    return max(set(found), key=lambda length: (found.count(length), length), default=None)


def _shapes_for(
    given: tuple[Shape | None, Shape | None],
    lengths: tuple[int | None, int | None],
    dtypes: tuple[str, str],
) -> tuple[tuple[Shape, Shape] | None, str]:
    """Return the shapes of input and target and what is to be told, or None and why there are none.

    The head is believed where the lengths agree; else a generation, where both lengths are its own.
    """
    bytes_each = [np.dtype(dtype).itemsize for dtype in dtypes]

    def fits(shapes: tuple[Shape, Shape]) -> bool:
        return all(
            length in {None, math.prod(shape) * each}
            for shape, length, each in zip(shapes, lengths, bytes_each, strict=True)
        )

    head = (given[0], given[1]) if given[0] and given[1] else None
    if head is not None and fits(head):
        return head, ""
    if lengths == (None, None):
        return None, "it has no samples that can be read"
    for generation in GENERATIONS:
        if None not in lengths and fits(generation):
            said = f"its head says {head}" if head else "its head has no shapes"
            return generation, f"{said}; by the lengths of its values it has {generation}"
    said = f"shapes {head}" if head else "no shapes"
    return None, f"its head has {said}, and its values {lengths[0]} and {lengths[1]} bytes"
