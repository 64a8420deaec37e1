"""What may be chosen when the CCLE files are converted.

forms   all | auc | dose       auc alone needs no RDKit
growth  rescaled | viability   what 0 is: stasis, as in Uno's table, or no cell alive
strict  true | false           malformed rows stop the conversion; else they are left out and named
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from sciml_data.errors import CallError, Problem, nearest

CHOICES: Mapping[str, tuple[Any, ...]] = {
    "forms": ("all", "auc", "dose"),
    "growth": ("rescaled", "viability"),
    "strict": (True, False),
}


@dataclass(frozen=True)
class Options:
    """The choices, checked."""

    forms: str = "all"
    growth: str = "rescaled"
    strict: bool = False

    def form_names(self, known: Iterable[str]) -> list[str]:
        """Return the forms that are asked for."""
        return [form for form in known if self.forms in ("all", form)]


def parse_options(options: Mapping[str, Any]) -> Options:
    """Return the options.

    Raises:
        CallError: unknown names or values; `.problems` has each, with the nearest known.
    """
    known = [field.name for field in fields(Options)]
    problems = []
    for name, value in options.items():
        if name not in known:
            problems.append(Problem("unknown", name, f"no such option{nearest(name, known)}"))
        elif not any(type(value) is type(one) and value == one for one in CHOICES[name]):
            words = ", ".join(str(choice).lower() for choice in CHOICES[name])
            problems.append(Problem("value", name, f"{value!r} is none of {words}"))
    if problems:
        raise CallError(
            f"{len(problems)} of {len(options)} conversion options cannot be used",
            problems=problems,
            untouched="nothing was read",
            hint=f"options: {', '.join(known)}",
        )
    return Options(**options)
