"""Where and when the data of a descriptor are from: what a JSON Schema cannot check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sciml_data.errors import Problem


def order_problems(coverage: Mapping[str, Any]) -> list[Problem]:
    """Return where a coverage ends before it begins; a box may cross the date line.

    Args:
        coverage: `sciml.coverage` of a descriptor.
    """
    problems = []
    for part, first, last in (("spatial", "south", "north"), ("temporal", "start", "end")):
        ends = coverage.get(part, {})
        if {first, last} <= set(ends) and ends[first] > ends[last]:
            message = f"{ends[last]} is before {first}, {ends[first]}"
            problems.append(Problem("coverage", f"$.sciml.coverage.{part}.{last}", message))
    return problems
