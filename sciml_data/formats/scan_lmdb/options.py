"""What may be chosen when databases of scans are converted.

strict             true | false     a sample that is refused stops its ready file; else it is left
                                    out, named and counted
samples_per_shard  a whole number   samples in a ready file; 0 is as many as make up 256 MiB
databases          a glob           native paths that fit; others are left out
compression        none | gzip      gzip: zeros and the 13 bits that float16 has not cost nothing
noise              refuse | keep    samples that look like what a repair of upstream's put there
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from sciml_data.errors import CallError, Problem, nearest

CHOICES = {"compression": ("none", "gzip"), "noise": ("refuse", "keep"), "strict": (True, False)}


@dataclass(frozen=True)
class Options:
    """The choices, checked."""

    strict: bool = False
    samples_per_shard: int = 0
    databases: str = "**"
    compression: str = "gzip"
    noise: str = "refuse"


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
    if not isinstance(options.get("databases", ""), str):
        message = f"a glob expected, {options['databases']!r} found"
        problems.append(Problem("value", "databases", message))
    for name, words in CHOICES.items():
        value = options.get(name, words[0])
        if not isinstance(value, type(words[0])) or value not in words:
            expected = " or ".join(str(word).lower() for word in words)
            problems.append(Problem("value", name, f"{expected} expected, {value!r} found"))
    if problems:
        raise CallError(
            f"{len(problems)} of {len(options)} conversion options cannot be used",
            problems=problems,
            untouched="nothing was read",
            hint=f"options: {', '.join(known)}",
        )
    return Options(**options)
