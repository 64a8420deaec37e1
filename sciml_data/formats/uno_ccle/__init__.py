"""Responses of the Cancer Cell Line Encyclopedia (CCLE): areas under curves, and curves.

Native files, each named by the block `native` of the descriptor:

    response            (cell, drug, AUC), tab-separated, ids of the IGTD examples
    expression_images   a text image of 50 x 50 for each cell: one minus its scaled expression
    expression_table    some of the genes with their names, for some of the cells
    descriptor_images   a text image of 50 x 50 for each drug
    curves              dose response curves of the CCLE, a row for each (cell, drug)
    smiles              the compounds of the curves

Ready files: `auc.nc` of the first four, `dose.nc` of the points of the curves, joined to the same
expression, with features of the drugs from their SMILES. Malformed rows are left out, counted and
named; with `strict` they stop the conversion. Options: see `options.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.interface import Native, Shard
from sciml_data.formats.uno_ccle.options import Options
from sciml_data.registry.options import parse_options

if TYPE_CHECKING:
    import xarray as xr

FORMS: Mapping[str, tuple[str, ...]] = {
    "auc": ("response", "expression_images", "expression_table", "descriptor_images", "curves"),
    "dose": ("curves", "expression_images", "expression_table", "smiles"),
}


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return the ready files of the forms whose native files are all here.

    Raises:
        CallError: an option that there is not, or RDKit lacks.
        NativeFormatError: files lack of every form.
    """
    from sciml_data.formats.drug_response.molecules import require_rdkit

    chosen = parse_options(Options, options)
    made, problems = [], []
    for form in chosen.form_names(FORMS):
        inputs = {part: _paths(native, part) for part in FORMS[form]}
        lacking = [part for part, paths in inputs.items() if not paths]
        problems += [
            Problem("missing", native.block[part], f"the form {form} needs it") for part in lacking
        ]
        if not lacking:
            every = sorted(path for paths in inputs.values() for path in paths)
            made.append(Shard(f"{form}.nc", form, tuple(every)))
    if not made:
        raise NativeFormatError(
            "no form can be made of the native files that are here",
            problems=problems,
            untouched="nothing was converted",
        )
    if any(shard.split == "dose" for shard in made):
        require_rdkit()
    return tuple(made)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return one form.

    Raises:
        NativeFormatError: a file is damaged, or, with `strict`, rows are.
    """
    from sciml_data.formats.uno_ccle import ready

    return {"auc": ready.auc, "dose": ready.dose}[shard.split](
        native, parse_options(Options, options)
    )


def _paths(native: Native, part: str) -> list[str]:
    """Return the native files of a part: one file, or all of a folder."""
    place = native.block[part]
    return [path for path in native.paths if path == place or path.startswith(f"{place}/")]
