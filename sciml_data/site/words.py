"""Values as words: scores, sizes, durations, times and what is not known."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

NOT_KNOWN = "not known"
NONE = "-"
SIZES = ("bytes", "kB", "MB", "GB", "TB")


def score(value: float | None) -> str:
    """Return a score as `sciml-data show` prints it, and a dash for none."""
    if value is None:
        return NONE
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.4g}"


def size(value: float) -> str:
    """Return bytes in the unit that leaves one to three digits before the point."""
    unit = 0
    while value >= 1000 and unit < len(SIZES) - 1:
        value /= 1000
        unit += 1
    return f"{value:.3g} {SIZES[unit]}" if value < 1000 else f"{value:,.0f} {SIZES[unit]}"


def seconds(value: float | None) -> str:
    """Return a duration."""
    if value is None:
        return NOT_KNOWN
    if value < 120:
        return f"{value:.2g} s" if value < 1 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def day(text: str) -> str:
    """Return the date of an ISO time."""
    return text[:10]


def moment(epoch_ms: int) -> str:
    """Return milliseconds since 1970 as a time in UTC."""
    time = datetime.datetime.fromtimestamp(epoch_ms / 1000, datetime.UTC)
    return f"{time:%Y-%m-%d %H:%M:%S}.{time.microsecond // 1000:03} UTC"


def value(name: str, found: Any) -> str:
    """Return a field of a record, by what its name says of its unit; null stays null."""
    if found is None:
        return "null"
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, int | float):
        return _number(name, found)
    if isinstance(found, Mapping):
        return ", ".join(f"{key} {value(key, one)}" for key, one in found.items()) or "none"
    if isinstance(found, list):
        return ", ".join(value(name, one) for one in found) or "none"
    return str(found)


def _number(name: str, found: float) -> str:
    if name.endswith("_bytes"):
        return f"{size(found)} ({found:,})" if found >= 1000 else f"{found:,} bytes"
    if name.endswith("_ms"):
        return moment(int(found))
    if name.endswith("_s") and not name.endswith("_per_s"):
        return seconds(found)
    if isinstance(found, int):
        return f"{found:,}"
    return f"{found:,.6g}"
