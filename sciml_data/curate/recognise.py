"""Recognise the kind of native files, by content and ending, and propose how they are read.

A proposal is the native block of a descriptor, its splits and its variables. Names, units and
descriptions are taken over from the files. What only a person can say is marked with `TO_FILL`.
Files of the kind with the most bytes are read; all others stay native, and are named in
`left_native`. Files with the same columns or variables are shards of one split, or of one split for
each folder, where the folders are named like splits.
"""

from __future__ import annotations

import csv
import glob
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from sciml_data.curate.inventory import SPLIT, Proposal, propose_arrays
from sciml_data.errors import CallError, SciMLDataError
from sciml_data.formats.image_folder import MODES, SUFFIXES, require_pillow
from sciml_data.formats.netcdf import open_native, opened_dtype
from sciml_data.progress import Log, counted
from sciml_data.registry import TO_FILL
from sciml_data.registry.manifest import Manifest

if TYPE_CHECKING:
    from sciml_data.curate.table_proposals import Table

TABLE_ENDINGS = re.compile(r"\.(csv|tsv)(\.gz|\.zip)?\Z", re.IGNORECASE)
NETCDF_ENDINGS = (".nc", ".nc4", ".cdf", ".netcdf")
HDF5, PARQUET, CLASSIC = b"\x89HDF\r\n\x1a\n", b"PAR1", (b"CDF\x01", b"CDF\x02")
# Folders and files that are splits by their name.
SPLIT_NAMES = ("train", "training", "test", "testing", "valid", "validation", "val", "dev",
               "inference", "eval", "evaluation")  # fmt: skip
# What readers raise of a file that is not what its ending says.
NOT_READABLE = (OSError, EOFError, ValueError, LookupError, csv.Error, zlib.error,
               zipfile.BadZipFile, SciMLDataError)  # fmt: skip
UNIT_HINT = f"{TO_FILL}: unit (UDUNITS), or null if there is none"
SAMPLE = "Random values of the declared types and sizes, made from a seed; they mean nothing."
KINDS = "iufOSTU"  # of the types of NetCDF's variables: numbers and text
MAX_COMPARED = 100  # NetCDF files whose axes are compared


def recognise(folder: Path, manifest: Manifest, log: Log | None = None) -> Proposal | None:
    """Return how a format reads a folder of native files, None if none does.

    Args:
        folder: of the native files.
        manifest: of the files.
        log: gets a line if a package is missing that would read the files.
    """
    kinds = {entry.path: kind_of(folder / entry.path) for entry in manifest}
    size_of = Counter[str]()
    for entry in manifest:
        size_of[kinds[entry.path]] += entry.size_bytes
    propose = {"csv": _csv, "parquet": _parquet, "netcdf": _netcdf, "image": _images}
    for kind, _ in size_of.most_common():
        paths = [path for path, its_kind in kinds.items() if its_kind == kind]
        try:
            if kind == "hdf5":
                proposal = propose_arrays(folder, manifest)
            elif kind in propose:
                proposal = propose[kind](folder, paths)
            else:
                continue
        except CallError as error:  # a package is missing
            if log:
                log(
                    f"not recognised: {counted(len(paths), 'file')}: {error.message} ({error.hint})"
                )
            continue
        if proposal is not None:
            return proposal if kind == "hdf5" else _with_rest(proposal, kinds)
    return None


def kind_of(path: Path) -> str:
    """Return csv, parquet, netcdf, hdf5 or image; "other" for everything else."""
    with path.open("rb") as stream:
        start = stream.read(4096)
    ending = path.suffix.lower()
    if start.startswith(PARQUET):
        return "parquet"
    if start.startswith(CLASSIC):
        return "netcdf"
    if start.startswith(HDF5):
        return "netcdf" if ending in NETCDF_ENDINGS else "hdf5"
    if ending in SUFFIXES:
        return "image"
    is_packed = start.startswith((b"\x1f\x8b", b"PK\3\4"))
    if TABLE_ENDINGS.search(path.name) and (is_packed or b"\0" not in start or start[:2] in BOMS):
        return "csv"
    return "other"


BOMS = (b"\xff\xfe", b"\xfe\xff")  # of UTF-16, in which every second byte may be zero


def _with_rest(proposal: Proposal, kinds: Mapping[str, str]) -> Proposal:
    """Return a proposal that names the files which are not read in `left_native`."""
    read = {path for paths in proposal.splits.values() for path in paths}
    rest = [path for path in kinds if path not in read]
    block = dict(proposal.block)
    if rest:
        block["left_native"] = {glob.escape(path): f"{TO_FILL}: what it is" for path in rest}
    splits = {name: _globs(paths, read, rest) for name, paths in proposal.splits.items()}
    return Proposal(block, splits, proposal.variables, proposal.left_out, proposal.sample)


def _globs(paths: Sequence[str], read: set[str], rest: Sequence[str]) -> list[str]:
    """Return globs of the files of a split: of a folder, of all, or else each path."""
    folders = {path.split("/")[0] if "/" in path else "" for path in paths}
    if set(paths) == read and not rest:
        return ["**"]
    if len(folders) == 1 and (folder := folders.pop()):
        inside = [path for path in (*read, *rest) if path.startswith(f"{folder}/")]
        if set(inside) == set(paths):
            return [f"{glob.escape(folder)}/**"]
    return [glob.escape(path) for path in sorted(paths)]


def splits_of(paths: Sequence[str]) -> dict[str, list[str]]:
    """Return files by split: by folder or by name where all of these are names of splits."""
    for name_of in (_folder, _stem):
        groups: dict[str, list[str]] = {}
        for path in paths:
            groups.setdefault(name_of(path), []).append(path)
        if all(name in SPLIT_NAMES for name in groups):
            return groups
    return {"all": list(paths)}


def _folder(path: str) -> str:
    return path.split("/", maxsplit=1)[0] if "/" in path else ""


def _stem(path: str) -> str:
    return PurePosixPath(path).name.split(".")[0]


@dataclass(frozen=True)
class _Alike:
    """Files with the same columns, variables or pixels.

    Attributes:
        paths: of the files; empty if none can be read.
        signature: what they have in common.
        left_out: a line for each file that cannot be read.
    """

    paths: list[str]
    signature: Any
    left_out: tuple[str, ...]


def _alike(folder: Path, paths: Sequence[str], signature: Callable[[Path], Any]) -> _Alike:
    """Return the files with the commonest signature, by bytes; damaged files have none."""
    groups: dict[Any, list[str]] = {}
    left_out = []
    for path in paths:
        try:
            groups.setdefault(signature(folder / path), []).append(path)
        except NOT_READABLE as error:
            why = error.first_line if isinstance(error, SciMLDataError) else str(error)
            left_out.append(f"{path}: {why}")
    if not groups:
        return _Alike([], None, tuple(left_out))
    sizes = {key: sum((folder / p).stat().st_size for p in own) for key, own in groups.items()}
    best = max(groups, key=lambda key: sizes[key])
    return _Alike(groups[best], best, tuple(left_out))


# --- tables --------------------------------------------------------------------------------------


def _csv(folder: Path, paths: Sequence[str]) -> Proposal | None:
    from sciml_data.curate.table_proposals import csv_table, header, written_form

    def signature(path: Path) -> tuple[Any, ...]:
        form = written_form(path)
        return (*header(path, form), str(sorted(form.items(), key=str)))

    alike = _alike(folder, paths, signature)
    return _table("csv_table", csv_table(folder, alike.paths), alike) if alike.paths else None


def _parquet(folder: Path, paths: Sequence[str]) -> Proposal | None:
    from sciml_data.curate.table_proposals import parquet_signature, parquet_table
    from sciml_data.formats.parquet_table import require_pyarrow

    require_pyarrow()
    alike = _alike(folder, paths, parquet_signature)
    table = parquet_table(folder, alike.paths) if alike.paths else None
    return _table("parquet_table", table, alike) if table and table.labels else None


def _table(reader: str, table: Table, alike: _Alike) -> Proposal:
    from sciml_data.curate.table_proposals import column_block

    block, variables = column_block(table, len(alike.paths))
    left_out = (*alike.left_out, *table.left_out)
    splits = splits_of(alike.paths)
    return Proposal({"reader": reader, **block}, splits, variables, left_out, SAMPLE)


# --- NetCDF --------------------------------------------------------------------------------------


def _netcdf(folder: Path, paths: Sequence[str]) -> Proposal | None:
    import xarray as xr

    def signature(path: Path) -> tuple[Any, ...]:
        with open_native(path, path.name) as stored:
            decoded = xr.decode_cf(stored.copy(), concat_characters=False)
            return tuple(
                (str(name), decoded[name].dims, opened_dtype(stored.variables[name], variable))
                for name, variable in decoded.variables.items()
                if stored.variables[name].dtype.kind in KINDS
            )

    alike = _alike(folder, paths, signature)
    if not alike.signature:
        return None
    with ExitStack() as files:
        opened = [
            files.enter_context(open_native(folder / path, path))
            for path in alike.paths[:MAX_COMPARED]
        ]
        along = _along(opened)
        decoded = xr.decode_cf(opened[0].copy(), concat_characters=False)
        declared = {
            name: _declared(decoded.variables[name], dims, dtype)
            for name, dims, dtype in alike.signature
        }
    block = {"reader": "netcdf"} | ({"along": along} if along else {})
    return Proposal(block, splits_of(alike.paths), declared, alike.left_out, SAMPLE)


def _declared(variable: Any, dims: Sequence[Any], dtype: str) -> dict[str, Any]:
    attributes = variable.attrs
    is_number = dtype not in ("S", "bool", "object") and not dtype.startswith(("datetime", "time"))
    units = attributes.get("units", UNIT_HINT if is_number else None)
    declared = {
        "dims": [str(dim) for dim in dims],
        "dtype": dtype,
        "units": str(units) if units is not None else None,
        "long_name": str(
            attributes.get("long_name")
            or attributes.get("standard_name", "").replace("_", " ")
            or f"{TO_FILL}: what the values are"
        ),
    }
    if "standard_name" in attributes:
        declared["standard_name"] = str(attributes["standard_name"])
    return declared


def _along(opened: Sequence[Any]) -> str | None:
    """Return the dimension along which files follow one another.

    It is the unlimited one, else the one in whose length or axis files differ, else the time.
    """
    first = opened[0]
    unlimited = [dim for dim in first.encoding.get("unlimited_dims", ()) if dim in first.dims]
    if unlimited:
        return str(sorted(unlimited)[0])
    for dim in first.dims:
        if len({each.sizes.get(dim) for each in opened}) > 1:
            return str(dim)
    for dim in first.dims:
        if dim in first.variables and len({each[dim].values.tobytes() for each in opened}) > 1:
            return str(dim)
    if "time" in first.dims:
        return "time"
    return str(next(iter(first.dims))) if len(opened) > 1 and first.dims else None


# --- images --------------------------------------------------------------------------------------


def _images(folder: Path, paths: Sequence[str]) -> Proposal | None:
    from PIL import Image

    require_pillow()

    def signature(path: Path) -> str:
        with Image.open(path) as image:
            if image.mode not in MODES or getattr(image, "n_frames", 1) > 1:
                raise ValueError(image.mode)
            return str(image.mode)

    alike = _alike(folder, paths, signature)
    if not alike.paths:
        return None
    sizes = set()
    for path in alike.paths:
        with Image.open(folder / path) as image:
            sizes.add((image.height, image.width))
    dtype, channels = MODES[alike.signature]
    dims = ["sample", "row", "column", *(["channel"] if channels > 1 else [])]
    splits, classes = _folders(alike.paths)
    block: dict[str, Any] = {"reader": "image_folder"}
    variables = {
        "image": _described(dims, dtype, UNIT_HINT, f"{TO_FILL}: what the pixels are"),
        "file": _described(["sample"], "S", None, "path of the native file"),
    }
    if classes:
        block["classes"] = classes
        variables["label"] = _described(["sample"], "int64", None, "number of the class, from 0")
        variables["class_name"] = _described(["class"], "S", None, "name of the class")
    if len(sizes) > 1:
        block["size"] = [max(rows for rows, _ in sizes), max(columns for _, columns in sizes)]
        of_use = "of the image that are used; the others are padding"
        variables["height"] = _described(["sample"], "int64", None, f"rows {of_use}")
        variables["width"] = _described(["sample"], "int64", None, f"columns {of_use}")
    return Proposal(block, splits, variables, alike.left_out, SAMPLE)


def _described(dims: list[str], dtype: str, units: str | None, meaning: str) -> dict[str, Any]:
    return {"dims": dims, "dtype": dtype, "units": units, "long_name": meaning}


def _folders(paths: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Return the files of each split, and the classes: folders of images, the inner ones."""
    parents = {PurePosixPath(path).parent.parts for path in paths}
    top = {parts[0] if parts else "" for parts in parents}
    is_deep = all(len(parts) > 1 for parts in parents) and all(map(SPLIT.fullmatch, top))
    splits = splits_of(paths)
    if is_deep and "all" in splits:
        splits = {name: [p for p in paths if p.startswith(f"{name}/")] for name in sorted(top)}
    inner = {parts[-1] for parts in parents if len(parts) > ("all" not in splits)}
    is_labelled = len(inner) > 1 and all(len(p) > ("all" not in splits) for p in parents)
    return splits, sorted(inner) if is_labelled else []
