"""Propose how CSV and Parquet files are read: columns, types, units, and how cells are written.

Frictionless guesses the types of a CSV file from its first rows. Then every row of every file is
parsed as the format would do it, and a type that does not fit is widened: whole number, number,
text. So a proposal reads the files that it was made from.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from sciml_data.formats import Native
from sciml_data.formats.cells import LIMIT, NOT_A_NUMBER, parse_cells
from sciml_data.formats.columns import LARGEST_EXACT
from sciml_data.formats.csv_table import BATCH_ROWS, open_rows, require_frictionless
from sciml_data.formats.inflated import open_text
from sciml_data.formats.parquet_table import declared_types, require_pyarrow
from sciml_data.registry import TO_FILL
from sciml_data.registry.native_blocks import FILE_VARIABLES

HEAD_CHARACTERS = 2**20
HEAD_ROWS = 1000
DELIMITERS = ",;\t|"
# Words for a missing value; one counts if it is in a column of numbers or times.
MISSING_WORDS = ("NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "-", "?", "#N/A")
LEADING_ZERO = re.compile(r"[+-]?0\d")
DECIMAL_COMMA = re.compile(r"[+-]?\d+(?:,\d+)?(?:[eE][+-]?\d+)?\Z")
# Times that are not ISO 8601 and cannot be read in two ways.
TIME_FORMATS = ("%Y-%m-%d %H:%M", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%Y/%m/%d",
                "%Y%m%dT%H%M%SZ")  # fmt: skip
# A unit at the end of a label: `speed (m/s)`, `speed [m/s]`.
UNIT = re.compile(r"(?P<name>.*\S)\s*(?:\((?P<round>[^()]*)\)|\[(?P<square>[^][]*)\])\s*\Z")
TYPES = {"integer": "int64", "number": "float64", "boolean": "bool", "date": "datetime64[ns]",
         "datetime": "datetime64[ns]"}  # fmt: skip
WIDER = {"int64": "float64", "bool": "S", "float64": "S", "datetime64[ns]": "S"}
SCHEMA_TYPES = {"int64": "integer", "float64": "number", "bool": "boolean", "S": "string"}


@dataclass(frozen=True)
class Table:
    """A table as it would be read.

    Attributes:
        block: keys of the native block beside `reader` and `columns`.
        labels: of the columns that are read.
        dtypes: of their variables.
        units: by label, as the file states them; None where it states that there is none.
        titles: by label, as the file states them.
        left_out: columns that are not read, as text.
    """

    block: Mapping[str, Any]
    labels: tuple[str, ...]
    dtypes: Mapping[str, str]
    units: Mapping[str, str | None] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def column_block(table: Table, files: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the native block without its reader, and the declared variables.

    Rows of several files follow one another, so the file of each row is a variable, too.
    """
    columns: dict[str, str] = {}
    for label in table.labels:
        name = variable_name(split_unit(label)[0])
        while name in columns:
            name += "_again"
        columns[name] = label
    dim = "row" if "row" not in columns else "native_row"
    number = {"dims": [dim], "dtype": "int64", "units": None}
    variables: dict[str, Any] = {dim: {**number, "long_name": "number of the row in its file"}}
    if files > 1:
        file = next((name for name in FILE_VARIABLES if name not in columns), None)
        text = {"dims": [dim], "dtype": "S", "units": None, "long_name": "path of the native file"}
        variables |= {file: text} if file else {}
    for name, label in columns.items():
        words, unit = split_unit(label)
        is_number = table.dtypes[label][0] in "iuf"
        stated = table.units.get(label, unit or (f"{TO_FILL}: {UNIT_HINT}" if is_number else None))
        variables[name] = {
            "dims": [dim],
            "dtype": table.dtypes[label],
            "units": stated if is_number else None,
            "long_name": table.titles.get(label, words.replace("_", " ")),
        }
    return {"columns": columns, **table.block}, variables


UNIT_HINT = "unit (UDUNITS), or null if there is none"


def variable_name(label: str) -> str:
    """Return a label as the name of a variable."""
    name = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")
    return name if name[:1].isalpha() else f"column_{name}".rstrip("_")


def split_unit(label: str) -> tuple[str, str | None]:
    """Return the words and the unit of a label; None for no unit."""
    match = UNIT.match(label)
    unit = (match["round"] or match["square"]) if match else None
    if match is None or not unit or not _may_be_unit(unit):
        return label, None
    return match["name"], unit


def _may_be_unit(text: str) -> bool:
    """Return whether UDUNITS knows a unit; True if it is not installed."""
    try:
        import cf_units
    except ImportError:
        return True
    try:
        cf_units.Unit(text)
    except ValueError:
        return False
    return True


# --- CSV -----------------------------------------------------------------------------------------


def csv_table(folder: Path, paths: Sequence[str]) -> Table:
    """Return how CSV files with the same header are read.

    Args:
        folder: of the files.
        paths: of the files, relative to the folder; the first one tells how they are written.

    Raises:
        CallError: Frictionless is not installed.
        NativeFormatError: a file cannot be read.
    """
    require_frictionless()
    block = written_form(folder / paths[0])
    labels = header(folder / paths[0], block)
    fields: list[dict[str, Any]] = [{"name": label, "type": "string"} for label in labels]
    native = Native(folder, folder, {**block, "schema": {"fields": fields}}, tuple(paths))
    with open_rows(native, paths[0]) as rows:
        head = [row for _, row in islice(rows, HEAD_ROWS)]
    fields = _guessed(labels, head, is_comma=block.get("dialect", {}).get("delimiter") == ",")
    missing = ["", *(word for word in MISSING_WORDS if _is_missing(word, fields, head))]
    native.block["schema"].update({"fields": fields, "missingValues": missing})
    columns = [_Column(about, TYPES.get(about["type"], "S"), set(missing)) for about in fields]
    for path in paths:
        for batch in _batches(native, path):
            for number, column in enumerate(columns):
                column.see([row[number] if number < len(row) else "" for row in batch])
    block["schema"] = {"fields": [column.field() for column in columns], "missingValues": missing}
    if any(column.is_local for column in columns):
        block["timezone"] = f"{TO_FILL}: zone of times without one, as UTC or Europe/Berlin"
    dtypes = {column.about["name"]: column.declared() for column in columns}
    return Table(block, tuple(labels), dtypes)


def written_form(path: Path) -> dict[str, Any]:
    """Return compression, encoding and dialect of a CSV file, as in a native block."""
    block: dict[str, Any] = {}
    with path.open("rb") as stream:
        start = stream.read(4)
    if start.startswith(b"\x1f\x8b"):
        block["compression"] = "gz"
    elif start.startswith(b"PK\3\4"):
        block["compression"] = "zip"
    for encoding in ("utf-8-sig", "utf-16", "cp1252"):
        with suppress(UnicodeError), open_text(path, encoding, block.get("compression")) as text:
            head = text.read(HEAD_CHARACTERS)
            while text.read(
                HEAD_CHARACTERS
            ):  # the whole file, because one letter may be at its end
                pass
            is_marked = encoding == "utf-8-sig" and _starts_with_mark(path, block)
            block["encoding"] = "utf-8" if encoding == "utf-8-sig" and not is_marked else encoding
            return block | {"dialect": {"delimiter": _delimiter(head)}}
    raise ValueError("its text is neither UTF-8 nor UTF-16 nor Windows-1252")


def _starts_with_mark(path: Path, block: Mapping[str, Any]) -> bool:
    with open_text(path, "utf-8", block.get("compression")) as text:
        return text.read(1) == "\ufeff"


def _delimiter(head: str) -> str:
    """Return the delimiter by which the first lines have one number of cells, the largest."""
    best = (0, ",")
    for delimiter in DELIMITERS:
        rows = [
            row for row in islice(csv.reader(io.StringIO(head), delimiter=delimiter), 50) if row
        ]
        widths = {len(row) for row in rows[:-1] or rows}  # the last one may be cut
        if len(widths) == 1 and max(widths) > best[0]:
            best = (max(widths), delimiter)
    return best[1]


def header(path: Path, block: Mapping[str, Any]) -> list[str]:
    """Return the labels of a CSV file.

    Raises:
        ValueError: there is none, or two columns have the same.
    """
    with open_text(path, block["encoding"], block.get("compression")) as text:
        labels = next(csv.reader(text, delimiter=block["dialect"]["delimiter"]), [])
    if len(labels) < 2 or len({*labels, ""}) <= len(labels):
        raise ValueError("its first line is not a header of two columns or more")
    return labels


def _guessed(
    labels: Sequence[str], head: list[list[str]], *, is_comma: bool
) -> list[dict[str, Any]]:
    """Return the fields that Frictionless guesses, with decimal commas and times of its own."""
    from frictionless import Detector, Resource

    detector = Detector(field_confidence=1.0, field_missing_values=["", *MISSING_WORDS])
    resource = Resource(data=[list(labels), *head], detector=detector)
    resource.infer()
    known = {str(each["name"]): each for each in resource.to_descriptor()["schema"]["fields"]}
    fields = []
    for number, label in enumerate(labels):
        kind = known.get(label, {}).get("type", "string")
        about: dict[str, Any] = {"name": label, "type": kind if kind in TYPES else "string"}
        if about["type"] == "string":
            cells = [row[number] for row in head if number < len(row)]
            cells = [cell for cell in cells if cell not in ("", *MISSING_WORDS)]
            about |= _own_guess(cells, is_comma=is_comma)
        fields.append(about)
    return fields


def _own_guess(cells: list[str], *, is_comma: bool) -> dict[str, Any]:
    if cells and not is_comma and all(DECIMAL_COMMA.match(cell) for cell in cells):
        return {"type": "number", "decimalChar": ","}
    for form in TIME_FORMATS if cells else ():
        times = pd.to_datetime(pd.Series(cells), format=form, errors="coerce")
        if times.notna().all():
            return {"type": "datetime" if "%H" in form else "date", "format": form}
    return {}


def _is_missing(word: str, fields: Sequence[Mapping[str, Any]], head: list[list[str]]) -> bool:
    """Return whether a word stands for a missing number or time in the first rows."""
    columns = [number for number, about in enumerate(fields) if about["type"] != "string"]
    return any(row[number] == word for row in head for number in columns if number < len(row))


def _batches(native: Native, path: str) -> Iterator[list[list[str]]]:
    with open_rows(native, path) as rows:
        while batch := list(islice(rows, BATCH_ROWS)):
            yield [row for _, row in batch]


@dataclass
class _Column:
    """What the cells of a column are, as far as they were seen.

    Attributes:
        about: the field that is guessed.
        dtype: the narrowest type that holds all cells so far.
        missing: words for a missing value.
        has_missing: whether a cell is missing.
        is_local: whether there are times without a zone.
        largest: size of the largest whole number.
    """

    about: dict[str, Any]
    dtype: str
    missing: set[str]
    has_missing: bool = False
    is_local: bool = False
    largest: int = 0

    def see(self, texts: list[str]) -> None:
        """Widen the type until it holds some more cells."""
        cells = pd.Series([None if text in self.missing else text for text in texts], dtype=object)
        self.has_missing |= bool(cells.isna().any())
        if self.dtype == "int64" and cells.str.match(LEADING_ZERO, na=False).any():
            self.dtype = "S"  # a code, of which a number would lose the zeros
        while self.dtype != "S":
            values = parse_cells(cells, self.dtype, self.about, "UTC")
            if not (values.isna() & cells.notna() & ~cells.isin(NOT_A_NUMBER)).any():
                if self.dtype == "int64":
                    self.largest = max([self.largest, *values.dropna().abs()])
                    self.dtype = "S" if self.largest >= LIMIT else "int64"
                break
            self.dtype = WIDER[self.dtype]
        if self.dtype.startswith("datetime") and self.about["type"] == "datetime":
            zones = cells.dropna().str.contains(r"(?:Z|[+-]\d\d:?\d\d)\Z")
            self.is_local |= not zones.astype(bool).all()

    def declared(self) -> str:
        """Return the type of the variable: a missing value needs one that has NaN."""
        if self.dtype == "int64" and self.has_missing and self.largest >= LARGEST_EXACT:
            return "S"
        if self.dtype in ("int64", "bool") and self.has_missing:
            return "float64" if self.dtype == "int64" else "float32"
        return self.dtype

    def field(self) -> dict[str, Any]:
        """Return the field of the Table Schema."""
        kind = SCHEMA_TYPES.get(self.dtype, self.about["type"])
        kind = "string" if self.declared() == "S" else kind
        about = {"name": self.about["name"], "type": kind}
        if kind == self.about["type"]:
            about = dict(self.about)
        if self.declared() in ("int64", "bool"):
            about["constraints"] = {"required": True}
        return about


# --- Parquet -------------------------------------------------------------------------------------


def parquet_table(folder: Path, paths: Sequence[str]) -> Table:
    """Return how Parquet files with the same columns are read.

    Raises:
        CallError: pyarrow is not installed.
        NativeFormatError: a file cannot be read.
    """
    require_pyarrow()
    dtypes: dict[str, str] = {}
    units: dict[str, str | None] = {}
    titles: dict[str, str] = {}
    left_out: list[str] = []
    nullable: set[str] = set()
    for number, path in enumerate(paths):
        with _opened(folder / path) as file:
            for about in file.schema_arrow if number == 0 else ():
                types = declared_types(about.type)
                if not types or file.schema_arrow.names.count(about.name) > 1:
                    left_out.append(f"{path}: {about.name} ({about.type})")
                    continue
                dtypes[about.name] = types[0]
                stated = {k.decode(): v.decode() for k, v in (about.metadata or {}).items()}
                if unit := stated.get("units", stated.get("unit")):
                    units[about.name] = unit
                if title := stated.get("long_name", stated.get("description")):
                    titles[about.name] = title
            nullable |= {name for name in dtypes if _has_nulls(file, name)}
    for name in nullable:
        if dtypes[name][0] in "iu":
            dtypes[name] = "float64"
        dtypes[name] = "float32" if dtypes[name] == "bool" else dtypes[name]
    return Table({}, tuple(dtypes), dtypes, units, titles, tuple(left_out))


def parquet_signature(path: Path) -> tuple[str, ...]:
    """Return names and types of the columns of a file."""
    with _opened(path) as file:
        return tuple(f"{about.name}: {about.type}" for about in file.schema_arrow)


def _opened(path: Path) -> Any:
    from pyarrow import parquet

    return parquet.ParquetFile(path)


def _has_nulls(file: Any, name: str) -> bool:
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    place = file.schema_arrow.names.index(name)
    if len(file.schema_arrow.names) == file.metadata.num_columns:  # no nested column
        statistics = [group.column(place).statistics for group in groups]
        if all(each is not None and each.has_null_count for each in statistics):
            return any(each.null_count for each in statistics)
    return any(batch.column(0).null_count for batch in file.iter_batches(columns=[name]))
