"""Options of the conversion of NCI-ALMANAC."""

from __future__ import annotations

from dataclasses import dataclass

from sciml_data.registry.options import option


@dataclass(frozen=True)
class Options:
    """Options of the conversion of NCI-ALMANAC."""

    genes: str = option(
        "uno", "genes of Uno's list that were measured, or all that were", choices=("uno", "all")
    )
    strict: bool = option(
        False, "malformed, missing or unknown entries stop the conversion; else they are named"
    )
