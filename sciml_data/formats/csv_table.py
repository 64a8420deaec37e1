"""Tables in CSV files: the descriptor has a Table Schema, and Frictionless checks each row.

The block `native` of the descriptor says how the files are read. All files have the same columns.

    columns       variable -> label of the column in the header
    schema        Table Schema: name, type, format, decimalChar, constraints ... of every column,
                  and missingValues
    dialect       delimiter, quoteChar, doubleQuote, escapeChar, skipInitialSpace, commentChar,
                  skipBlankRows, header (false where the files have none)
    encoding      of the text, utf-8 without it
    compression   gz or zip, with a single file in it
    timezone      of times without a zone, UTC without it; all times become UTC
    left_native   glob -> what these files are: they are not converted

A file is read once, row by row, in bounded memory. A file with more rows than `rows_per_shard`
makes several ready files. `sciml-data derive` declares each file as a resource of the Data Package
with the same schema, so that `frictionless validate` checks the published data, too.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import pandas as pd

from sciml_data.errors import CallError, Problem
from sciml_data.formats.cells import NOT_A_NUMBER, parse_cells
from sciml_data.formats.columns import (
    MAX_NAMED,
    Columns,
    RowOptions,
    data_files,
    label_problems,
    not_sound,
    part_of,
    row_shards,
)
from sciml_data.formats.inflated import DAMAGED, open_text
from sciml_data.formats.interface import Native, Shard
from sciml_data.registry.options import option, parse_options

if TYPE_CHECKING:
    import xarray as xr

BATCH_ROWS = 50_000  # rows that are text at the same time, about 50 MB
MAX_SHOWN = 60  # characters of a wrong cell in a message
RAGGED = "has more or fewer cells than the header"
KINDS = {"extra-cell": "ragged", "missing-cell": "ragged", "blank-row": "blank"}  # Frictionless
# Keywords of csv.reader, and their names in a dialect.
DIALECT = {
    "delimiter": "delimiter",
    "quotechar": "quoteChar",
    "doublequote": "doubleQuote",
    "escapechar": "escapeChar",
    "skipinitialspace": "skipInitialSpace",
}


@dataclass(frozen=True)
class Options(RowOptions):
    """Options of the conversion of CSV files."""

    check: bool = option(
        True, "Frictionless checks each row against the schema; without it, only types are checked"
    )


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return the ready files; the rows of large files are counted for that.

    Raises:
        CallError: an option is unknown or has a wrong value, or Frictionless is not installed.
        NativeFormatError: a file cannot be read, or is in no split.
    """
    chosen = parse_options(Options, options)
    if chosen.check:
        require_frictionless()
    counts = {path: _row_count(native, path, chosen) for path in data_files(native)}
    return row_shards(native, counts, chosen.rows)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return the rows of one ready file, with attributes and encoding.

    Raises:
        NativeFormatError: `.problems` has each wrong cell and each row with too many or few cells.
    """
    chosen = parse_options(Options, options)
    (path,) = shard.inputs
    start = part_of(shard) * chosen.rows
    columns = Columns(path, native.variables, native.block["columns"])
    with open_rows(native, path) as rows:
        part = _Part(native, columns, islice(rows, start, start + chosen.rows))
        problems = _checked(path, part) if chosen.check else _counted(path, part)
    if problems:
        raise not_sound(path, problems)
    return columns.dataset(chosen, start, (native.root / path).stat().st_size)


@contextmanager
def open_rows(native: Native, path: str) -> Iterator[Iterator[tuple[int, list[str]]]]:
    """Open a file, and give its rows below the header, each with its number in the file.

    The header is row 1. Rows of comments, and blank ones where the dialect says so, are left out.

    Raises:
        NativeFormatError: the file is damaged, inflates to far more than its size, or its header
            differs from the schema.
    """
    dialect = native.block.get("dialect", {})
    given = {ours: dialect[theirs] for ours, theirs in DIALECT.items() if theirs in dialect}
    comment = dialect.get("commentChar", "\n")  # no cell begins with a line end
    compression, encoding = (native.block.get(key) for key in ("compression", "encoding"))
    try:
        with open_text(native.root / path, encoding or "utf-8", compression) as text:
            rows = (
                (number, row)
                for number, row in enumerate(csv.reader(text, **given), start=1)
                if (any(row) or not dialect.get("skipBlankRows"))
                and not (row and row[0].startswith(comment))
            )
            if dialect.get("header", True):
                _require_header(path, next(rows, (1, []))[1], _names(native))
            yield rows
    except (*DAMAGED, csv.Error) as error:
        problem = Problem("unreadable", path, f"cannot be read as CSV: {_reason(error)}")
        raise not_sound(path, [problem]) from error


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):  # its text is about a codec
        return f"it is not text in the encoding {error.encoding}"
    return str(error)


def require_frictionless() -> None:
    """Raise an error if Frictionless is not installed.

    Raises:
        CallError: the hint names the extra to install.
    """
    try:
        import frictionless  # noqa: F401
    except ImportError as error:
        raise CallError(
            "the package frictionless, which checks tables, is not installed",
            untouched="nothing was converted",
            hint="pip install 'sciml-data[formats]'; or --set check=false, which checks types only",
        ) from error


def _names(native: Native) -> list[str]:
    return [field["name"] for field in native.block["schema"]["fields"]]


def _row_count(native: Native, path: str, options: Options) -> int:
    """Return the number of rows, or 1 for a file that is too small for a second ready file."""
    # A row has a character for each cell at least: its separator, or the end of the line.
    most = (native.root / path).stat().st_size // len(_names(native))
    if most <= options.rows and "compression" not in native.block:
        return 1
    with open_rows(native, path) as rows:
        return sum(1 for _ in rows)


def _require_header(path: str, found: Sequence[str], wanted: Sequence[str]) -> None:
    if list(found) != list(wanted):
        problems = label_problems(path, found, wanted)
        problems += [
            Problem("unexpected", path, f"the schema has no column {label[:MAX_SHOWN]!r}")
            for label in found
            if label not in wanted
        ]
        order = Problem("order", path, f"columns are in another order: {', '.join(found)}")
        raise not_sound(path, problems or [order])


@dataclass
class _Part:
    """Rows of one ready file on their way: they are converted while they are checked.

    Attributes:
        native: the files and what the descriptor says of them.
        columns: get the converted cells.
        rows: each with its number in the file.
        numbers: numbers of the rows so far.
        failure: why the file cannot be read to its end.
    """

    native: Native
    columns: Columns
    rows: Iterator[tuple[int, list[str]]]
    numbers: list[int] = field(default_factory=list)
    failure: Exception | None = None

    def __iter__(self) -> Iterator[list[str]]:
        """Yield the rows."""
        labels = self.native.block["columns"]
        known = {each["name"]: each for each in self.native.block["schema"]["fields"]}
        places = {name: list(known).index(label) for name, label in labels.items()}
        while batch := self._next_batch():
            numbers = [number for number, _ in batch]
            self.numbers += numbers
            for name, place in places.items():
                texts = [row[place] if place < len(row) else "" for _, row in batch]
                self._convert(name, texts, known[labels[name]], numbers)
            yield from (row for _, row in batch)

    def _next_batch(self) -> list[tuple[int, list[str]]]:
        try:
            return list(islice(self.rows, BATCH_ROWS))
        except (*DAMAGED, csv.Error) as error:  # Frictionless would take it for one of its own
            self.failure = error
            return []

    def _convert(
        self, name: str, texts: list[str], about: Mapping[str, Any], numbers: list[int]
    ) -> None:
        """Add cells to their column; those that are not of its type are problems."""
        missing = set(self.native.block["schema"].get("missingValues", [""]))
        cells = pd.Series([None if text in missing else text for text in texts], dtype=object)
        declared = self.columns.declared[name]["dtype"]
        values = parse_cells(cells, declared, about, self.native.block.get("timezone", "UTC"))
        wrong = (values.isna() & cells.notna() & ~cells.isin(NOT_A_NUMBER)).to_numpy()
        for place in wrong.nonzero()[0][:MAX_NAMED]:
            message = f"{declared} is declared, {texts[place][:MAX_SHOWN]!r} is in the file"
            self.columns.add_problem("type", numbers[place], name, message)
        self.columns.add(name, values, numbers, wrong)


def _checked(path: str, part: _Part) -> list[Problem]:
    """Return what Frictionless finds in the rows, with the number of each row in the file."""
    from frictionless import Resource, Schema

    def rows() -> Iterator[list[str]]:
        yield _names(part.native)
        yield from part

    schema = Schema.from_descriptor(dict(part.native.block["schema"]))
    report = Resource(data=rows, schema=schema).validate(limit_errors=MAX_NAMED)
    if part.failure is not None:
        raise part.failure
    problems: dict[tuple[str, str], Problem] = {}  # one for all cells that a row lacks
    for error in [*report.errors, *(error for task in report.tasks for error in task.errors)]:
        number = getattr(error, "row_number", None)
        kind = KINDS.get(error.type, error.type.partition("-")[0])
        place = path if number is None else f"{path}: row {part.numbers[number - 2]}"
        if kind != "ragged" and getattr(error, "field_name", ""):
            place += f", column {error.field_name}"
        cell = f"{str(error.cell)[:MAX_SHOWN]!r}: " if getattr(error, "cell", "") else ""
        message = RAGGED if kind == "ragged" else f"{cell}{error.note or error.message}"
        problems.setdefault((kind, place), Problem(kind, place, message))
    return list(problems.values())


def _counted(path: str, part: _Part) -> list[Problem]:
    """Return the wrong cells, and the rows with too many or too few, without Frictionless."""
    width = len(_names(part.native))
    lengths = [len(row) for row in part]
    if part.failure is not None:
        raise part.failure
    pairs = zip(part.numbers, lengths, strict=True)
    wrong = [number for number, length in pairs if length != width]
    ragged = [Problem("ragged", f"{path}: row {number}", RAGGED) for number in wrong[:MAX_NAMED]]
    return [*part.columns.problems, *ragged]
