"""Cells, drugs and responses as variables of a NetCDF file: units, attributes, encoding."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.drug_response.responses import NO_DRUG, Counts, Entities, Joined

CONVENTIONS = "CF-1.11"
CHUNK_BYTES = 2**20
COMPRESSION_LEVEL = 4
# UDUNITS-2 for -log10 of a concentration in mol/L: 6 is 1 micromol/L, a larger number is weaker.
DOSE_UNITS = "-1 lg(re 1 mol L-1)"

# Type and attributes of what a row has beside its indices.
VALUES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "auc": (
        "f4",
        {
            "long_name": "area under the dose response curve over a fixed range of doses",
            "units": "1",
            "comment": "1: no effect, 0: all cells killed",
        },
    ),
    "dose1": ("f4", {"long_name": "dose of the first drug", "units": DOSE_UNITS}),
    "dose2": (
        "f4",
        {
            "long_name": "dose of the second drug",
            "units": DOSE_UNITS,
            "comment": "NaN: there is no second drug",
        },
    ),
    "growth": (
        "f4",
        {
            "long_name": "growth of the cells under treatment",
            "units": "1",
            "comment": "1: as untreated, 0: stasis, -1: all cells killed",
        },
    ),
    "published_part": (
        "u1",
        {
            "long_name": "part of the data that the row was published in",
            "flag_values": np.arange(3, dtype=np.uint8),
            "flag_meanings": "train validation test",
        },
    ),
}


def responses_dataset(joined: Joined, counts: Counts) -> xr.Dataset:
    """Return the rows as variables along `response`, and the lists that indices point into.

    `cell_index`, `drug1_index`, `drug2_index`, `study_index`: uint16; `source_index`: uint8. An
    index has no fill value, so that it stays an integer when the file is opened.
    """
    made: dict[str, xr.Variable] = {}
    for name, values in joined.columns.items():
        dtype, attributes = VALUES[name] if name in VALUES else _index(name, joined.sources)
        made[name] = xr.Variable(("response",), values.astype(dtype), dict(attributes))
    made["source_id"] = text("source", joined.sources, "source of the response")
    made["study_id"] = text("study", joined.studies, "study within the source")
    attributes = {"Conventions": CONVENTIONS, "shard_dimension": "response"}
    return _encoded(xr.Dataset(made, attrs=attributes | counts.attributes()))


def cells_dataset(cells: Entities) -> xr.Dataset:
    """Return the table of cell lines: `cell_id`, `cell_canonical`, texts, and `expression`."""
    made = _named(cells, "cell") | _matrix(cells, ("cell", "gene"), "expression")
    return _encoded(xr.Dataset(made, attrs={"Conventions": CONVENTIONS}))


def drugs_dataset(drugs: Entities) -> xr.Dataset:
    """Return the table of drugs: `drug_id`, `drug_canonical`, texts, descriptors, fingerprints."""
    made = _named(drugs, "drug") | _matrix(drugs, ("drug", "descriptor"), "descriptors")
    if drugs.bits is not None:
        attributes = {
            "long_name": "molecular fingerprint, eight bits a byte",
            "bits": drugs.bits.shape[1],
            "bit_order": "big",
            "comment": "numpy.unpackbits(values, axis=1, count=bits) gives the bits",
        }
        packed = np.packbits(drugs.bits, axis=1)
        made["fingerprints"] = xr.Variable(("drug", "byte"), packed, attributes)
    return _encoded(xr.Dataset(made, attrs={"Conventions": CONVENTIONS}))


def merged(*datasets: xr.Dataset) -> xr.Dataset:
    """Return datasets that share no variable as one; the first value of an attribute counts."""
    variables = {name: variable for part in datasets for name, variable in part.variables.items()}
    attributes = {key: value for part in reversed(datasets) for key, value in part.attrs.items()}
    attributes.pop("shard_dimension", None)  # a file with its tables is not one of several parts
    return _encoded(xr.Dataset(variables, attrs=attributes))


def text(dimension: str, values: Sequence[str], long_name: str) -> xr.Variable:
    """Return strings as bytes of one length."""
    encoded = np.array([value.encode() for value in values], "S")
    width = max(1, encoded.dtype.itemsize)
    return xr.Variable((dimension,), encoded.astype(f"S{width}"), {"long_name": long_name})


def text_of(array: xr.DataArray | xr.Variable) -> list[str]:
    """Return the strings of a variable of text, for example `text_of(dataset["cell_id"])`."""
    return [bytes(value).decode() for value in array.values]


def _index(name: str, sources: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return the type and attributes of an index."""
    kind = name.removesuffix("_index")
    attributes: dict[str, Any] = {"long_name": f"index of {kind} along {kind.rstrip('12')}"}
    if name == "drug2_index":
        attributes["no_drug"] = np.uint16(NO_DRUG)
    if name != "source_index":
        return "u2", attributes
    words = " ".join(re.sub(r"[^\w.+@-]", "_", source) for source in sources)
    values = np.arange(len(sources), dtype=np.uint8)
    return "u1", attributes | {"flag_values": values, "flag_meanings": words}


def _named(entities: Entities, kind: str) -> dict[str, xr.Variable]:
    meaning = f"one name of the {kind} under all its ids"
    columns = {
        f"{kind}_id": text(kind, entities.ids, f"{kind}, qualified by its source"),
        f"{kind}_canonical": text(kind, entities.canonical, meaning),
    }
    for name, values in entities.texts.items():
        columns[name] = text(kind, values, name.replace("_", " "))
    return columns


def _matrix(entities: Entities, dims: tuple[str, str], name: str) -> dict[str, xr.Variable]:
    """Return the features and their names; nothing without features."""
    if entities.features is None:
        return {}
    values: NDArray[np.float32] = np.asarray(entities.features.values, np.float32)
    _require_not_infinite(entities, values, dims[0])
    is_missing = np.isnan(values)
    attributes = {
        "long_name": f"{name} of the {dims[0]}, as measured: neither filled nor scaled",
        "units": "1",
        "values_missing": int(is_missing.sum()),
        "missing_in": f"{is_missing.any(1).sum()} of {values.shape[0]} {dims[0]}s, "
        f"{is_missing.any(0).sum()} of {values.shape[1]} {dims[1]}s",
    }
    meaning = f"name of the {dims[1]}"
    return {
        name: xr.Variable(dims, values, attributes),
        dims[1]: text(dims[1], entities.features.names, meaning),
    }


def _require_not_infinite(entities: Entities, values: NDArray[np.float32], kind: str) -> None:
    names = entities.features.names if entities.features else ()
    problems = [
        Problem("infinite", entities.ids[row], f"{names[column]} is {values[row, column]}")
        for row, column in np.argwhere(np.isinf(values))
    ]
    if problems:
        raise NativeFormatError(
            f"{len(problems)} features of each {kind} are infinite in 32 bits",
            problems=problems,
            untouched="nothing was converted",
        )


def _encoded(dataset: xr.Dataset) -> xr.Dataset:
    """Set the encoding of each variable: compressed, in chunks of whole rows of about 1 MiB."""
    for variable in dataset.variables.values():
        encoding: dict[str, Any] = {"_FillValue": None}
        if variable.dtype.kind == "f":
            encoding["_FillValue"] = variable.dtype.type(np.nan)
        if variable.size:
            row_bytes = max(1, variable.nbytes // len(variable))
            together = min(len(variable), max(1, CHUNK_BYTES // row_bytes))
            letters = (variable.dtype.itemsize,) if variable.dtype.kind == "S" else ()
            encoding |= {"zlib": True, "complevel": COMPRESSION_LEVEL, "shuffle": True}
            encoding["chunksizes"] = (together, *variable.shape[1:], *letters)
        variable.encoding = encoding
    return dataset
