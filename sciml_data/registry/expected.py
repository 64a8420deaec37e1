"""What is expected of the files of a version that nobody has pinned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def expected_bytes(expected: Mapping[str, Any]) -> int | None:
    """Return the size that an unpinned version should have; None where it is not known."""
    groups = expected.get("files", {}).values()
    if groups and all({"count", "bytes_each"} <= group.keys() for group in groups):
        return sum(int(group["count"]) * int(group["bytes_each"]) for group in groups)
    total = expected.get("total_bytes")
    return (int(total["least"]) + int(total["most"])) // 2 if total else None
