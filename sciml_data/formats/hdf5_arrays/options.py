"""What may be chosen when arrays are converted.

samples_per_shard  a whole number   samples in a ready file; 0 is as many as make up 128 MiB
compression        none | gzip      gzip reads slower, and images with counting noise hardly shrink
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from sciml_data.errors import CallError, Problem, nearest

COMPRESSIONS = ("none", "gzip")


@dataclass(frozen=True)
class Options:
    """The choices, checked."""

    samples_per_shard: int = 0
    compression: str = "none"


def parse_options(options: Mapping[str, Any]) -> Options:
    """Return the options.

    Raises:
        CallError: unknown names or values; `.problems` has each, with the nearest known.
    """
    known = [field.name for field in fields(Options)]
    problems = [
        Problem("unknown", name, f"no such option{nearest(name, known)}")
        for name in options
        if name not in known
    ]
    count = options.get("samples_per_shard", 0)
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        message = f"a whole number, 0 or more, expected, {count!r} found"
        problems.append(Problem("value", "samples_per_shard", message))
    compression = options.get("compression", "none")
    if compression not in COMPRESSIONS:
        message = f"{compression!r} is none of {', '.join(COMPRESSIONS)}"
        problems.append(Problem("value", "compression", message))
    if problems:
        raise CallError(
            f"{len(problems)} of {len(options)} conversion options cannot be used",
            problems=problems,
            untouched="nothing was read",
            hint=f"options: {', '.join(known)}",
        )
    return Options(**options)
