"""Random CSV files with the declared columns, written as the descriptor says.

Settings in `block["sample"]`: rows, in each file. Types, limits, decimal commas, formats of times,
delimiter, encoding and compression are those of the native block.
"""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sciml_data.formats.cells import FALSE, TRUE
from sciml_data.formats.csv_table import DIALECT
from sciml_data.synthetic.declared import missing_places, random_values, sample_paths

DEFAULTS: Mapping[str, Any] = {"rows": 200}
SUFFIXES = {None: ".csv", "gz": ".csv.gz", "zip": ".csv.zip"}
ISO = {"date": "%Y-%m-%d", "datetime": "%Y-%m-%dT%H:%M:%S"}


def write_sample(
    root: Path, block: Mapping[str, Any], seed: int, *, described: Mapping[str, Any]
) -> None:
    """Write a file or two for each split.

    Args:
        root: folder of the native files.
        block: `sciml.native`; its `sample` is described in the module's docstring.
        seed: the same seed, the same bytes.
        described: `sciml` of the descriptor, with splits and variables.
    """
    count = {**DEFAULTS, **block.get("sample", {})}["rows"]
    compression = block.get("compression")
    for number, path in enumerate(sample_paths(described["splits"], SUFFIXES[compression])):
        rng = np.random.default_rng([seed, number])
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        content = _text(rng, block, described["variables"], count)
        target.write_bytes(_packed(content.encode(block.get("encoding", "utf-8")), compression))


def _text(
    rng: np.random.Generator, block: Mapping[str, Any], variables: Mapping[str, Any], count: int
) -> str:
    dialect = block.get("dialect", {})
    given = {ours: dialect[theirs] for ours, theirs in DIALECT.items() if theirs in dialect}
    names = {label: name for name, label in block["columns"].items()}
    fields = block["schema"]["fields"]
    columns = []
    for place, about in enumerate(fields):
        name = names.get(about["name"])
        dtype = variables[name]["dtype"] if name else "S"
        never = {"constraints": {**about.get("constraints", {}), "required": True}}
        # A row of missing values only would be blank.
        columns.append(_cells(rng, dtype, about if place else {**about, **never}, block, count))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", **given)
    if dialect.get("header", True):
        writer.writerow([about["name"] for about in fields])
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()


def _cells(
    rng: np.random.Generator,
    dtype: str,
    about: Mapping[str, Any],
    block: Mapping[str, Any],
    count: int,
) -> list[str]:
    """Return the cells of a column."""
    limits = about.get("constraints", {})
    whole = dtype.startswith("float") and about["type"] in ("integer", "year")
    values = random_values(rng, "int64" if whole else dtype, (count,), limits)
    missing = missing_places(rng, dtype, count, limits)
    word = block["schema"].get("missingValues", [""])[:1]
    return [
        word[0] if gone and word else _cell(value, dtype, about, block)
        for value, gone in zip(values, missing, strict=True)
    ]


def _cell(value: Any, dtype: str, about: Mapping[str, Any], block: Mapping[str, Any]) -> str:
    if dtype.startswith("datetime64"):
        form = about.get("format", "default")
        usual = ISO["date" if about["type"] == "date" else "datetime"]
        zone = "Z" if about["type"] == "datetime" and "timezone" not in block else ""
        pattern = usual + zone if form in ("default", "any") else form.replace("%z", "+0000")
        return str(value.item().strftime(pattern))
    if dtype == "bool":
        words = about.get("trueValues", TRUE) if value else about.get("falseValues", FALSE)
        return str(words[0])
    if dtype.startswith("float") and about["type"] == "number":
        return f"{float(value):.6g}".replace(".", about.get("decimalChar", "."))
    return str(value)


def _packed(content: bytes, compression: str | None) -> bytes:
    """Return compressed content without the time, so that the same seed gives the same bytes."""
    if compression == "gz":
        return gzip.compress(content, mtime=0)
    if compression is None:
        return content
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("sample.csv"), content, zipfile.ZIP_DEFLATED)
    return target.getvalue()
