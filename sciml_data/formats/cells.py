"""Cells of a text table as values: numbers, whole numbers, truth values, times and text.

How a cell is written is said by its field in a Table Schema (https://datapackage.org/standard/table-schema/),
and what it becomes by the declared type of its variable. A cell that cannot be parsed becomes a
missing value; the caller names it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

ZONE = re.compile(r"(?:Z|[+-]\d\d:?\d\d)\Z")  # ISO 8601
AROUND_NUMBER = r"^[^-+\d]+|[^\d]+$"  # of a number with a unit or a currency (bareNumber: false)
TRUE, FALSE = ("true", "True", "TRUE", "1"), ("false", "False", "FALSE", "0")  # Table Schema
NOT_A_NUMBER = ("NaN", "nan", "NAN")  # floats that are missing, and no error
FORMS = {"default": "ISO8601", "any": "mixed"}  # of dates: Table Schema -> pandas
LIMIT = 2**63  # of 64 bits


def parse_cells(
    cells: pd.Series, declared: str, about: Mapping[str, Any], timezone: str
) -> pd.Series:
    """Return the values of cells; a cell that is missing, or cannot be parsed, is missing.

    Args:
        cells: texts, None where a value is missing.
        declared: type of the variable: "S" for text, "datetime64[ns]", or a type of NumPy.
        about: the field in the Table Schema.
        timezone: of times without a zone.
    """
    if declared == "S":
        return cells
    if declared.startswith("datetime64"):
        is_day = about.get("type") == "date"  # which is the same in each zone
        return _times(cells, about.get("format", "default"), "UTC" if is_day else timezone)
    if "bool" in (declared, about.get("type", "")[:4]):  # a float32 where some are missing
        true, false = about.get("trueValues", TRUE), about.get("falseValues", FALSE)
        meaning = dict.fromkeys(false, False) | dict.fromkeys(true, True)
        return cells.map(meaning).astype("boolean")
    if group := about.get("groupChar"):
        cells = cells.str.replace(group, "", regex=False)
    if not about.get("bareNumber", True):
        cells = cells.str.replace(AROUND_NUMBER, "", regex=True)
    if not declared.startswith("float"):
        whole = pd.Series([_whole(cell) for cell in cells], dtype=object)
        fits = all(number is None or -LIMIT <= number < LIMIT for number in whole)
        return whole.astype("Int64") if fits else whole
    cells = cells.str.replace(about.get("decimalChar", "."), ".", regex=False)
    return pd.to_numeric(cells, errors="coerce").astype("float64")


def _whole(cell: str | None) -> int | None:
    try:
        return None if cell is None else int(cell)
    except ValueError:  # no whole number, or one of more than 4,300 digits
        return None


def _times(cells: pd.Series, form: str, timezone: str) -> pd.Series:
    """Return dates and times in UTC; the hour that a clock skips or repeats cannot be known."""
    pattern = FORMS.get(form, form)
    has_zone = cells.str.contains(ZONE, na=True).astype(bool)
    zoned = pd.to_datetime(cells.where(has_zone), format=pattern, errors="coerce", utc=True)
    local = pd.to_datetime(cells.where(~has_zone), format=pattern, errors="coerce")
    local = local.dt.tz_localize(timezone, ambiguous="NaT", nonexistent="NaT").dt.tz_convert("UTC")
    return zoned.where(has_zone, local).dt.tz_localize(None)
