"""What the keys of a database say: which samples it has, of which shapes and types.

Keys are ASCII: `cbed_<i>` (input) and `2d_potential_<i>` (target), with raw bytes as values. Six
header keys hold shapes (three int64), types and the two names. `header_entries` is six zero bytes,
since upstream wrote `bytes(6)` for the number 6; so samples are counted by their keys. Sample
numbers may have gaps. Databases of one generation have no names in their header, and some databases
have no header.

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
HEADER_KEYS = (
    "input_dtype",
    "input_shape",
    "input_name",
    "output_dtype",
    "output_shape",
    "output_name",
)
COUNT_KEY = "header_entries"
# Keys that only our synthetic databases have, in float32 and JSON.
EXTRA_PREFIXES = ("potential_", "electron_density_", "meta_")
DTYPES = ("float16", "float32")
MAX_UNKNOWN_NAMED = 5  # keys
MAX_LENGTHS_READ = 5  # values of each kind; each is read whole, from disk if need be

# scan_lmdb.py replaces a sample that it cannot read by uniform random numbers in these ranges.
NOISE_RANGES = {"input": (-1.0, 1.0), "target": (0.0, 1.0)}
MIN_NOISE_NUMBERS = 1024  # fewer numbers prove nothing
MAX_PATTERNS = 16  # that statistics are made of, for speed: a scan has up to 1,024
TOLERANCE_SIGMA = 6.0  # standard errors by which spread and correlation may differ


@dataclass(frozen=True)
class Quantity:
    """Input or target: the prefix of its keys, and the shape and type of a value."""

    prefix: str
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
        input: shape (probe, y, x).
        target: shape (1, v, u).
        keys: all keys.
        numbers: of samples that have an input or a target, sorted.
        unknown: keys of neither samples nor header.
        notes: remarks on the header.
    """

    input: Quantity
    target: Quantity
    keys: frozenset[str]
    numbers: tuple[int, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def sample_bytes(self) -> int:
        """Return the native bytes of a sample."""
        return self.input.size_bytes + self.target.size_bytes

    @property
    def remarks(self) -> list[str]:
        """Return lines to log about the database as a whole."""
        lines = list(self.notes)
        gaps = self.numbers[-1] + 1 - len(self.numbers) if self.numbers else 0
        if gaps:
            lines.append(f"{gaps} of the numbers 0 to {self.numbers[-1]} are not there")
        if self.unknown:
            named = ", ".join(repr(key) for key in self.unknown[:MAX_UNKNOWN_NAMED])
            lines.append(f"{len(self.unknown)} keys are not known and left: {named}")
        return lines


def read_layout(
    keys: Iterable[bytes], headers: Mapping[str, bytes], length_of: Callable[[str], int | None]
) -> Layout | list[str]:
    """Return what a database holds, or why that cannot be determined.

    Args:
        keys: all keys.
        headers: values of the header keys that the database has.
        length_of: returns the size of a value in bytes, None if it cannot be read; it is called
            for a few keys only.
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
    prefixes = names["input"] or INPUT, names["output"] or TARGET
    inputs, targets = (_numbers(texts, prefix) for prefix in prefixes)
    lengths = _common_length(inputs, length_of), _common_length(targets, length_of)
    in_header = shapes["input"], shapes["output"]
    chosen, note = _shapes_for(in_header, lengths, (dtypes["input"], dtypes["output"]))
    if chosen is None:
        return [note]
    known = {*inputs.values(), *targets.values(), *HEADER_KEYS, COUNT_KEY}
    for prefix in EXTRA_PREFIXES:
        known |= set(_numbers(texts, prefix).values())
    return Layout(
        Quantity(prefixes[0], chosen[0], dtypes["input"]),
        Quantity(prefixes[1], chosen[1], dtypes["output"]),
        texts,
        tuple(sorted({*inputs, *targets})),
        tuple(sorted(texts - known)),
        (note,) if note else (),
    )


def is_noise(values: NDArray[np.floating[Any]], quantity: str) -> bool:
    """Return whether values are the noise that a repair wrote in place of an unreadable sample.

    Both quantities are z-scores: their standard deviation is 1 about a mean of 0, so every real
    input has a value outside of -1..1, and every real target one below 0. The noise is uniform in
    -1..1 or 0..1, and neighbours are not correlated.

    Args:
        values: (n, y, x), finite.
        quantity: "input" or "target".
    """
    low, high = NOISE_RANGES[quantity]
    if values.size < MIN_NOISE_NUMBERS or values.min() < low or values.max() > high:
        return False
    wide = values[:MAX_PATTERNS].astype(np.float64)
    spread = wide.std() * math.sqrt(12) / (high - low)
    # The standard deviation of n uniform numbers has a relative standard error of (0.2 / n)^0.5.
    if abs(spread - 1) > TOLERANCE_SIGMA * math.sqrt(0.2 / wide.size):
        return False
    centred = wide - wide.mean()
    correlation = (centred[..., 1:] * centred[..., :-1]).mean() / wide.var()
    return bool(abs(correlation) < TOLERANCE_SIGMA / math.sqrt(wide.size))


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
    numbers = tuple(int(number) for number in np.frombuffer(value[: len(value) // 8 * 8], "<i8"))
    if len(value) != 24 or min(numbers) < 1 or math.prod(numbers) > 2**31:
        wrong.append(f"{key} is {list(numbers)} ({len(value)} bytes), three lengths expected")
        return None
    return numbers


def _numbers(keys: Iterable[str], prefix: str) -> dict[int, str]:
    """Return the keys with a prefix by the number of their sample; `cbed_007` is not a key."""
    pattern = re.compile(re.escape(prefix) + r"(0|[1-9][0-9]{0,17})", re.ASCII)
    matches = (pattern.fullmatch(key) for key in keys)
    return {int(match[1]): match[0] for match in matches if match}


def _common_length(keys: Mapping[int, str], length_of: Callable[[str], int | None]) -> int | None:
    """Return the most frequent length of a few values, None if none can be read."""
    numbers = sorted(keys)
    sampled = numbers[:: max(1, -(-len(numbers) // MAX_LENGTHS_READ))]
    lengths = [length for number in sampled if (length := length_of(keys[number])) is not None]
    return max(set(lengths), key=lambda length: (lengths.count(length), length), default=None)


def _shapes_for(
    in_header: tuple[Shape | None, Shape | None],
    lengths: tuple[int | None, int | None],
    dtypes: tuple[str, str],
) -> tuple[tuple[Shape, Shape] | None, str]:
    """Return the shapes of input and target and a note, or None and why there are none.

    The header counts if the lengths of values agree with it; otherwise the generation of the
    simulation that both lengths agree with.
    """
    bytes_each = [np.dtype(dtype).itemsize for dtype in dtypes]

    def fits(shapes: tuple[Shape, Shape]) -> bool:
        return all(
            length in {None, math.prod(shape) * each}
            for shape, length, each in zip(shapes, lengths, bytes_each, strict=True)
        )

    head = (in_header[0], in_header[1]) if in_header[0] and in_header[1] else None
    if head is not None and fits(head):
        return head, ""
    if lengths == (None, None):
        return None, "it has no samples that can be read"
    for generation in GENERATIONS:
        if None not in lengths and fits(generation):
            in_words = f"its head says {head}" if head else "its head has no shapes"
            return generation, f"{in_words}; by the lengths of its values it has {generation}"
    in_words = f"shapes {head}" if head else "no shapes"
    return None, f"its head has {in_words}, and its values {lengths[0]} and {lengths[1]} bytes"
