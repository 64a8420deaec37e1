"""Paths of a manifest that other systems refuse or confuse: warnings, since Linux takes them.

Windows refuses some characters and names, and removes points and spaces at the end of a name.
Windows and macOS take names that differ only in upper and lower case for one file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sciml_data.errors import Problem

REFUSED = re.compile(
    r"""(?P<character>[:*?<>|"])"""
    r"|(?P<end>[. ](?=/|\Z))"
    r"|(?:\A|(?<=/))(?P<device>con|prn|aux|nul|com[0-9]|lpt[0-9])(?=[./]|\Z)",
    re.IGNORECASE,
)
REASONS = {
    "character": "has a character that Windows refuses",
    "end": "has a name with a point or a space at its end, which Windows removes",
    "device": "has a name that is a device on Windows",
}


def portability_warnings(paths: Iterable[str], place: str) -> list[Problem]:
    """Return a warning for each path that Windows or macOS cannot store as it is.

    Args:
        paths: of a manifest.
        place: of the warnings, such as the manifest's path.
    """
    listed = list(paths)
    warnings = [
        Problem("portable", place, f"{path!r} {REASONS[match.lastgroup or '']}")
        for path in listed
        if (match := REFUSED.search(path))
    ]
    # Numbers instead of texts: a million folded paths would need 100 MB more.
    if len({hash(path.casefold()) for path in listed}) == len(listed):
        return warnings
    first: dict[str, str] = {}
    for path in listed:
        other = first.setdefault(path.casefold(), path)
        if other != path:
            message = f"{path!r} and {other!r} differ only in upper and lower case"
            warnings.append(Problem("portable", place, message))
    return warnings
