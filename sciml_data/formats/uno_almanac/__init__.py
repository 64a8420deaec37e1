"""A subset of NCI-ALMANAC, one drug or two at a dose, with expression of the NCI-60 lines.

Native files, each named by the block `native` of the descriptor:

    responses    an R file with a LongTable, the S4 class of CoreGx: treatments, samples, assays
    expression   an R file with a matrix of probes, their genes, and the cell lines
    smiles       NSC number and SMILES
    drug_list    names, PubChem CIDs and SMILES of many drugs
    genes        in the registry: the gene symbols that are kept

Ready file: `dose.nc`. R files are read by the package rdata, molecules by RDKit; both come with
the extra `uno`. Options: see `options.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.interface import Native, Shard
from sciml_data.formats.uno_almanac.options import Options
from sciml_data.registry.options import parse_options

if TYPE_CHECKING:
    import xarray as xr

PARTS = ("responses", "expression", "smiles", "drug_list")


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return the one ready file.

    Raises:
        CallError: an option that there is not, or rdata or RDKit lacks.
        NativeFormatError: a native file lacks.
    """
    from sciml_data.formats.drug_response.molecules import require_rdkit
    from sciml_data.formats.uno_almanac.r_objects import require_rdata

    parse_options(Options, options)
    paths = tuple(sorted(native.block[part] for part in PARTS))
    lacking = [path for path in paths if path not in native.paths]
    if lacking:
        raise NativeFormatError(
            "responses are converted with the tables of cells and drugs that they point into",
            problems=[
                Problem("missing", path, "is not among the native files") for path in lacking
            ],
            untouched="nothing was converted",
        )
    require_rdata()
    require_rdkit()
    return (Shard("dose.nc", "dose", paths),)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:  # noqa: ARG001
    """Return the measurements with both tables.

    Raises:
        NativeFormatError: a file is damaged, or, with `strict`, rows are.
    """
    from sciml_data.formats.uno_almanac.ready import dose

    return dose(native, parse_options(Options, options))
