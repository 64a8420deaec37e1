"""What may be chosen when stacks of diffraction patterns are converted.

strict             true | false     a sample that cannot be used stops its file; else it is left out
compression        none | gzip      gzip reads slower; docs/performance.md has both
samples_per_shard  a whole number   of npz files alone: running numbers in a ready file; 0 is 1,024
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sciml_data.errors import CallError, Problem, nearest

COMPRESSIONS = ("none", "gzip")
HDF5_OPTIONS = ("strict", "compression")
NPZ_OPTIONS = (*HDF5_OPTIONS, "samples_per_shard")
SAMPLES_PER_SHARD = 1024  # 201 MB of npz files: held in memory once, and made again in seconds


@dataclass(frozen=True)
class Options:
    """The choices, checked."""

    strict: bool = False
    compression: str = "none"
    samples_per_shard: int = 0

    @property
    def samples_each(self) -> int:
        """Return how many running numbers go into a ready file."""
        return self.samples_per_shard or SAMPLES_PER_SHARD


def parse_options(options: Mapping[str, Any], known: Sequence[str]) -> Options:
    """Return the options.

    Args:
        options: as the caller gave them.
        known: names of those that the reader has.

    Raises:
        CallError: unknown names or values; `.problems` has each, with the nearest known.
    """
    problems = [
        Problem("unknown", name, f"no such option{nearest(name, known)}")
        for name in options
        if name not in known
    ]
    strict = options.get("strict", False)
    if not isinstance(strict, bool):
        problems.append(Problem("value", "strict", f"true or false expected, {strict!r} found"))
    compression = options.get("compression", "none")
    if compression not in COMPRESSIONS:
        message = f"{compression!r} is none of {', '.join(COMPRESSIONS)}"
        problems.append(Problem("value", "compression", message))
    count = options.get("samples_per_shard", 0)
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        message = f"a whole number, 0 or more, expected, {count!r} found"
        problems.append(Problem("value", "samples_per_shard", message))
    if problems:
        raise CallError(
            f"{len(problems)} of {len(options)} conversion options cannot be used",
            problems=problems,
            untouched="nothing was read",
            hint=f"options: {', '.join(known)}",
        )
    return Options(**options)
