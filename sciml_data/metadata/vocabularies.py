"""Registered vocabularies that words are looked up in, without network access.

CF standard names   all 5,023 of version 93 of the CF standard name table (17 March 2026), with
                    their canonical units: cf_standard_names.csv. Its aliases, which are deprecated,
                    are not in it.
units               UDUNITS-2, the library itself, through cf-units
licences            SPDX's list, which `packaging` carries
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sciml_data.errors import CallError

CF_TABLE = Path(__file__).with_name("cf_standard_names.csv")
CF_VERSION = 93


@functools.cache
def cf_standard_names() -> Mapping[str, str]:
    """Return the canonical units of each standard name; "" for a name without units."""
    with CF_TABLE.open(encoding="utf-8", newline="") as stream:
        return {row["standard_name"]: row["canonical_units"] for row in csv.DictReader(stream)}


def is_unit(text: str) -> bool:
    """Return whether UDUNITS-2 understands a unit.

    Raises:
        CallError: cf-units is not installed.
    """
    try:
        _cf_units().Unit(text)
    except ValueError:
        return False
    return True


def units_agree(text: str, other: str) -> bool:
    """Return whether a unit can be converted to another; False if UDUNITS-2 does not know both."""
    if not (is_unit(text) and is_unit(other)):
        return False
    unit = _cf_units().Unit
    return bool(unit(text).is_convertible(unit(other)))


def is_spdx(name: str) -> bool:
    """Return whether a name is exactly the identifier of a single licence in SPDX's list.

    Raises:
        CallError: packaging is not installed, or is too old to have the list.
    """
    try:
        from packaging.licenses import (
            InvalidLicenseExpression,
            canonicalize_license_expression,
        )
    except ImportError as error:
        raise _missing("packaging", "licences of SPDX's list") from error
    if name.startswith("LicenseRef-") or " " in name:
        return False
    try:
        return str(canonicalize_license_expression(name)) == name
    except InvalidLicenseExpression:
        return False


def _cf_units() -> Any:
    try:
        import cf_units
    except ImportError as error:
        raise _missing("cf-units", "units") from error
    return cf_units


def _missing(package: str, words: str) -> CallError:
    return CallError(
        f"{words} cannot be looked up: {package} is not installed",
        untouched="nothing was written",
        hint="pip install 'sciml-data[fair]'",
    )
