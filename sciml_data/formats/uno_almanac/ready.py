"""The one form: `dose`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.drug_response import (
    cells_dataset,
    drugs_dataset,
    join,
    merged,
    responses_dataset,
)
from sciml_data.formats.drug_response.delimited import malformed_attributes, stop_if_strict, told
from sciml_data.formats.interface import Native
from sciml_data.formats.reporting import NOTICES
from sciml_data.formats.uno_almanac.drugs import read_drugs
from sciml_data.formats.uno_almanac.expression import read_cells
from sciml_data.formats.uno_almanac.long_table import read_rows
from sciml_data.formats.uno_almanac.options import Options

if TYPE_CHECKING:
    import xarray as xr


def dose(native: Native, options: Options) -> xr.Dataset:
    """Return every measurement whose cell and drugs have features.

    Raises:
        CallError: rdata or RDKit is not installed.
        NativeFormatError: a file is damaged; with strict, a row is malformed or lacks features.
    """
    malformed: list[Problem] = []
    lacking: list[Problem] = []
    names = {name: one["nsc"] for name, one in native.block["drugs"].items()}
    rows = read_rows(native.root / native.block["responses"], names, malformed)
    genes = _genes(native) if options.genes == "uno" else None
    used = sorted({str(cell) for cell in rows.cell})
    cells = read_cells(native.root / native.block["expression"], genes, used)
    taken = {*rows.drug1, *(rows.drug2 if rows.drug2 is not None else ())}
    drugs, software = read_drugs(native, taken, lacking)
    joined, counts = join(rows, cells, drugs)
    lacking += [
        Problem("unknown", name, f"{kind} without features: its rows are left out")
        for kind, ids in counts.unknown.items()
        for name in ids
    ]
    stop_if_strict([*malformed, *lacking], strict=options.strict)
    whole = merged(responses_dataset(joined, counts), cells_dataset(cells), drugs_dataset(drugs))
    pairs = 0 if rows.drug2 is None else sum(bool(name) for name in rows.drug2)
    whole.attrs |= {"rows_of_pairs_read": pairs, "drug_features": software}
    whole.attrs |= malformed_attributes(malformed)
    notices = [
        *told(malformed, "rows are malformed and left out"),
        *told(lacking, "lack features"),
        *counts.empty_sources(),
    ]
    if notices:
        whole.attrs[NOTICES] = "\n".join(notices)
    return whole


def _genes(native: Native) -> list[str]:
    """Return the symbols of the registry's list."""
    path: Path = native.folder / native.block["genes"]
    header, *symbols = path.read_text(encoding="utf-8").split() or [""]
    if header != "symbol" or not symbols:
        raise NativeFormatError(
            f"{path.name} is no list of genes",
            problems=[Problem("malformed", path.name, "a first line `symbol` and a gene a line")],
            untouched="nothing was converted",
        )
    return symbols
