"""Options of the conversion of the CCLE files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sciml_data.registry.options import option


@dataclass(frozen=True)
class Options:
    """Options of the conversion of the CCLE files."""

    forms: str = option(
        "all", "ready files to make; auc alone needs no RDKit", choices=("all", "auc", "dose")
    )
    growth: str = option(
        "rescaled",
        "meaning of growth 0: no growth, as in Uno's table (rescaled), or no cell alive",
        choices=("rescaled", "viability"),
    )
    strict: bool = option(False, "malformed rows stop the conversion; else they are left out")

    def form_names(self, known: Iterable[str]) -> list[str]:
        """Return the known forms that these options ask for."""
        return [form for form in known if self.forms in ("all", form)]
