"""Read rows of a small text table with their line numbers; a malformed row is not fatal."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from sciml_data.errors import NativeFormatError, Problem


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
        header: the expected names, all of them and in this order.
        delimiter: between the fields; a field may be in quotation marks.
        problems: a row with more or fewer fields is added here and skipped.
        encoding: of the text.

    Raises:
        NativeFormatError: the file is empty, is not text, or has another header.
    """
    try:
        lines = path.read_text(encoding=encoding).splitlines(keepends=True)
    except UnicodeDecodeError as error:
        raise _refused(
            path, f"not {encoding} text: {error.reason} at byte {error.start}"
        ) from error
    rows = csv.reader(lines, delimiter=delimiter)
    actual = next(rows, None)
    if actual is None:
        raise _refused(path, "is empty")
    if actual != list(header):
        raise _refused(path, f"the header {list(header)} is expected, {actual[:20]} found")
    for row in rows:
        place = f"{path.name}:{rows.line_num}"
        if len(row) == len(header):
            yield place, dict(zip(header, row, strict=True))
        elif row:
            message = f"{len(header)} fields expected, {len(row)} found"
            problems.append(Problem("malformed", place, message))


def _refused(path: Path, wrong: str) -> NativeFormatError:
    return NativeFormatError(
        f"{path.name} cannot be read",
        problems=[Problem("malformed", path.name, wrong)],
        untouched="nothing was converted",
    )
