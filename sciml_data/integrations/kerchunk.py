"""References of kerchunk: a ready form on a mirror, or here, as one virtual zarr store.

xarray (2025.3 or later) opens such a file by fsspec and zarr, without this package:

    options = {
        "fo": "references.json", "remote_protocol": "https",
        "remote_options": {"asynchronous": True},                  # zarr 3 reads asynchronously
    }
    xr.open_dataset(
        "reference://", engine="zarr", group="training",
        backend_kwargs={"storage_options": options},
    )

Each split is a group. Its files are one array along their shard dimension where zarr can express
that: each file but the last must have whole chunks. Else each file is a group of its own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from sciml_data.errors import CallError, Problem
from sciml_data.ready.open import SHARD_DIMENSION

ARRAY, ATTRIBUTES, GROUP = "/.zarray", "/.zattrs", ".zgroup"
DIMENSIONS = "_ARRAY_DIMENSIONS"
Refs = dict[str, Any]


def to_kerchunk(
    lines: Iterable[str | bytes], splits: Mapping[str, Sequence[str]], address: Callable[[str], str]
) -> dict[str, Any]:
    """Return references of kerchunk, version 1, for the ready files of a dataset.

    Args:
        lines: of the chunk index, one for each file.
        splits: names of the files by split, in order.
        address: returns the address of a file by its name.

    Raises:
        CallError: a file has filters or chunks that zarr cannot express; `.problems` names them.
    """
    indexes = {index["path"]: index for index in map(json.loads, lines)}
    numbers = {name: number for number, name in enumerate(sorted(indexes))}
    _require_expressible(indexes)
    refs: Refs = {GROUP: '{"zarr_format":2}'}
    for split, names in splits.items():
        group = "" if len(splits) == 1 else f"{split}/"
        files = [_with_template(indexes[name]["refs"], numbers[name]) for name in names]
        for place, joined in _joined(files, names).items():
            refs |= {f"{group}{place}{key}": value for key, value in joined.items()}
        refs.setdefault(f"{group}{GROUP}", refs[GROUP])
    refs[".zmetadata"] = _consolidated(refs)
    templates = {f"f{number}": address(name) for name, number in numbers.items()}
    return {"version": 1, "templates": templates, "refs": refs}


def _require_expressible(indexes: Mapping[str, Mapping[str, Any]]) -> None:
    problems = []
    for name, index in indexes.items():
        if index["skipped"]:
            count = len(index["skipped"])
            message = f"{count} chunks are stored without the filters of their array"
            problems.append(Problem("filter", name, message))
        for key, text in index["refs"].items():
            codecs = json.loads(text)["filters"] or () if key.endswith(ARRAY) else ()
            problems += [
                Problem("filter", f"{name}:{key.removesuffix(ARRAY)}", f"zarr has no {codec['id']}")
                for codec in codecs
                if codec["id"].startswith("hdf5-")
            ]
    if problems:
        raise CallError(
            "references of kerchunk cannot express how these files are compressed",
            problems=problems,
            untouched="nothing was written",
            hint="convert without compression, or read the files with open_dataset",
        )


def _with_template(refs: Refs, number: int) -> Refs:
    """Return references in which the address of the file is a template of its own."""
    address = f"{{{{f{number}}}}}"
    return {
        key: [address, *value[1:]] if isinstance(value, list) else value
        for key, value in refs.items()
    }


def _joined(files: Sequence[Refs], names: Sequence[str]) -> dict[str, Refs]:
    """Return the references of the files of a split by their place in its group."""
    by_dimension: dict[str, list[Refs]] = {}
    for refs, name in zip(files, names, strict=True):
        dimension = json.loads(refs[ATTRIBUTES[1:]]).get(SHARD_DIMENSION, f"={name}")
        by_dimension.setdefault(dimension, []).append(refs)
    whole: Refs = {}
    for dimension, group in by_dimension.items():
        if not _is_regular(group, dimension):
            return {
                f"{PurePosixPath(name).stem}/": refs
                for refs, name in zip(files, names, strict=True)
            }
        whole = _concatenated(group, dimension) | whole
    return {"": whole}


def _consolidated(refs: Refs) -> str:
    """Return all metadata in one document, without which xarray finds no array of a group."""
    names = (GROUP, ARRAY, ATTRIBUTES, ATTRIBUTES[1:])
    metadata = {key: json.loads(value) for key, value in refs.items() if key.endswith(names)}
    return json.dumps({"zarr_consolidated_format": 1, "metadata": metadata})


def _arrays(refs: Refs) -> dict[str, tuple[dict[str, Any], list[str]]]:
    """Return metadata and names of the dimensions of each variable."""
    return {
        name: (json.loads(refs[name + ARRAY]), json.loads(refs[name + ATTRIBUTES])[DIMENSIONS])
        for name in (key.removesuffix(ARRAY) for key in refs if key.endswith(ARRAY))
    }


def _is_regular(group: Sequence[Refs], dimension: str) -> bool:
    """Return whether all chunks along a dimension follow one another without a gap."""
    first, *others = map(_arrays, group)
    for number, arrays in enumerate([first, *others]):
        if arrays.keys() != first.keys():
            return False
        for name, (array, dims) in arrays.items():
            same, _ = first[name]
            if [array[key] for key in ("dtype", "filters")] != [
                same[key] for key in ("dtype", "filters")
            ]:
                return False
            if dims[:1] != [dimension]:
                continue
            is_last = number == len(others)
            if array["chunks"] != same["chunks"] or array["shape"][1:] != same["shape"][1:]:
                return False
            if not is_last and array["shape"][0] % array["chunks"][0]:
                return False
    return True


def _concatenated(group: Sequence[Refs], dimension: str) -> Refs:
    """Return the references of files along a dimension; other variables are of the first file."""
    whole = dict(group[0])
    lengths = {
        name: array["shape"][0]
        for name, (array, dims) in _arrays(whole).items()
        if dims[:1] == [dimension]
    }
    for refs in group[1:]:
        for name, (array, _) in _arrays(refs).items():
            if name not in lengths:
                continue
            start = math.ceil(lengths[name] / array["chunks"][0])
            for key in (key for key in refs if key.startswith(f"{name}/") and "/.z" not in key):
                first, *rest = key.removeprefix(f"{name}/").split(".")
                whole[f"{name}/" + ".".join([str(int(first) + start), *rest])] = refs[key]
            lengths[name] += array["shape"][0]
    for name, length in lengths.items():
        array = json.loads(whole[name + ARRAY])
        array["shape"][0] = length
        whole[name + ARRAY] = json.dumps(array, separators=(",", ":"))
    return whole
