"""Hold a listing against what the descriptor expects of it: numbers and sizes of files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sciml_data.registry.descriptor import match_paths

GLOB_LETTERS = "*?["
MOST_NAMED = 10  # files named in one sentence; the rest is counted


def deviations(
    expected: Mapping[str, Any], sizes: Mapping[str, int], known: Collection[str] = ()
) -> list[str]:
    """Return a sentence for each expectation that a listing does not meet.

    Args:
        expected: `Descriptor.expected`.
        sizes: bytes of each listed path.
        known: paths that are listed elsewhere, or were before: of what is missing, these are named.
    """
    found = []
    for glob, wanted in expected.get("files", {}).items():
        paths = match_paths([glob], sizes)
        if (count := wanted.get("count", len(paths))) != len(paths):
            missing = sorted(set(match_paths([glob], known)) - set(paths))
            found.append(
                f"{glob}: {count} files expected, {len(paths)} listed"
                + (f"; missing: {named(missing)}" if missing and len(paths) < count else "")
            )
        each = wanted.get("bytes_each")
        wrong = [f"{path} ({sizes[path]})" for path in paths if each not in {None, sizes[path]}]
        if wrong:
            found.append(f"{glob}: {each} bytes each expected; not so: {named(wrong)}")
    if total := expected.get("total_bytes"):
        found_bytes = sum(sizes.values())
        if not total["least"] <= found_bytes <= total["most"]:
            found.append(
                f"between {total['least']} and {total['most']} bytes in all expected, "
                f"{found_bytes} listed"
            )
    return found


def file_names(expected: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the files where each is expected by its name, none where a glob stands for some."""
    names = tuple(expected.get("files", ()))
    return () if any(letter in name for name in names for letter in GLOB_LETTERS) else names


def named(names: Sequence[str]) -> str:
    """Return some names in a row, and how many more there are."""
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
