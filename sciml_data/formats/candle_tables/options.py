"""What may be chosen when tables are converted.

strict       true | false     a malformed row stops the conversion; else it is left out and named
shard_bytes  a whole number   native bytes of a file of responses; 0 is 64 MiB
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from sciml_data.errors import CallError, Problem, nearest

SHARD_BYTES = 64 * 2**20  # about 1.2 million rows of the single-drug table: seconds to make again


@dataclass(frozen=True)
class Options:
    """The choices, checked."""

    strict: bool = False
    shard_bytes: int = 0

    @property
    def bytes_each(self) -> int:
        """Return the native bytes of a file of responses."""
        return self.shard_bytes or SHARD_BYTES


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
    if not isinstance(options.get("strict", False), bool):
        message = f"true or false expected, {options['strict']!r} found"
        problems.append(Problem("value", "strict", message))
    size = options.get("shard_bytes", 0)
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        message = f"a whole number, 0 or more, expected, {size!r} found"
        problems.append(Problem("value", "shard_bytes", message))
    if problems:
        raise CallError(
            f"{len(problems)} of {len(options)} conversion options cannot be used",
            problems=problems,
            untouched="nothing was read",
            hint=f"options: {', '.join(known)}",
        )
    return Options(**options)
