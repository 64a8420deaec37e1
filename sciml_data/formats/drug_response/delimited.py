"""Rows of a small text table with their line numbers; what is malformed is named, not fatal."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from sciml_data.errors import NativeFormatError, Problem

MOST_TOLD = 5  # malformed rows in one notice
MOST_NAMED = 1000  # in the attributes of a ready file


def read_rows(
    path: Path,
    header: Sequence[str],
    delimiter: str,
    problems: list[Problem],
    *,
    encoding: str = "utf-8",
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each row below the header, as its place ("file:line") and its fields by name.

    Args:
        path: table of text with a first line of names.
        header: the names that are expected, all and in this order.
        delimiter: between the fields; a field may be in quotation marks.
        problems: a row with more or fewer fields is added here and passed over.
        encoding: of the text.

    Raises:
        NativeFormatError: the file is empty, is not text, or has another header.
    """
    try:
        lines = path.read_text(encoding=encoding).splitlines(keepends=True)
    except UnicodeDecodeError as error:
        raise _refused(path, f"no {encoding} text: {error.reason} at byte {error.start}") from error
    rows = csv.reader(lines, delimiter=delimiter)
    found = next(rows, None)
    if found is None:
        raise _refused(path, "is empty")
    if found != list(header):
        raise _refused(path, f"the header {list(header)} is expected, {found[:20]} found")
    for row in rows:
        place = f"{path.name}:{rows.line_num}"
        if len(row) == len(header):
            yield place, dict(zip(header, row, strict=True))
        elif row:
            message = f"{len(header)} fields expected, {len(row)} found"
            problems.append(Problem("malformed", place, message))


def stop_if_strict(problems: Sequence[Problem], *, strict: bool) -> None:
    """Stop at malformed rows, where that was asked for.

    Raises:
        NativeFormatError: `.problems` has every one of them.
    """
    if problems and strict:
        raise NativeFormatError(
            f"{len(problems)} rows or features are malformed, missing or unknown",
            problems=problems,
            untouched="nothing was converted",
            hint="without strict they are left out, counted and named",
        )


def malformed_attributes(problems: Sequence[Problem]) -> dict[str, int | str]:
    """Return how many rows were malformed, and the first 1,000 of them by file and line."""
    named = "\n".join(f"{one.place}: {one.message}" for one in problems[:MOST_NAMED])
    count: dict[str, int | str] = {"rows_malformed": len(problems)}
    return count | ({"malformed_rows": named} if problems else {})


def told(problems: Sequence[Problem], what: str) -> list[str]:
    """Return a line that counts problems and names the first of them; none where there are none."""
    if not problems:
        return []
    first = "; ".join(f"{one.place}: {one.message}" for one in problems[:MOST_TOLD])
    more = len(problems) - MOST_TOLD
    return [f"{len(problems)} {what}: {first}" + (f"; and {more} more" if more > 0 else "")]


def _refused(path: Path, wrong: str) -> NativeFormatError:
    return NativeFormatError(
        f"{path.name} cannot be read",
        problems=[Problem("malformed", path.name, wrong)],
        untouched="nothing was converted",
    )
