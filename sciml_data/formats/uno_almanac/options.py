"""What may be chosen when the ALMANAC files are converted.

genes   uno | all      the genes of Uno's list that were measured, or all that were
strict  true | false   what is malformed, missing or unknown stops the conversion; else it is told
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from sciml_data.errors import CallError, Problem, nearest

GENES = ("uno", "all")


@dataclass(frozen=True)
class Options:
    """The choices, checked."""

    genes: str = "uno"
    strict: bool = False


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
    if options.get("genes", "uno") not in GENES:
        message = f"{options['genes']!r} is none of {', '.join(GENES)}"
        problems.append(Problem("value", "genes", message))
    if not isinstance(options.get("strict", False), bool):
        message = f"true or false expected, {options['strict']!r} found"
        problems.append(Problem("value", "strict", message))
    if problems:
        raise CallError(
            f"{len(problems)} of {len(options)} conversion options cannot be used",
            problems=problems,
            untouched="nothing was read",
            hint=f"options: {', '.join(known)}",
        )
    return Options(**options)
