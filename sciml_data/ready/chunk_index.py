"""The chunk index of ready files: where each chunk is, and the hash of every byte.

With it a program reads chunks of a file that is elsewhere, and checks each one. `convert` makes the
index of a file beside it (`chunks.jsonl`); it is a pure function of the file.

An index is a line of JSON, and at the same time a set of references for kerchunk (version 1), so
that fsspec and zarr understand it:

    path, bytes, hash   of the file
    largest             bytes of the largest block
    version, templates  of kerchunk; `u` is the address of the file
    refs                zarr's metadata, and [address, offset, bytes] of each chunk
    blocks              [offset, bytes, sha256] of consecutive parts of the file, from its first to
                        its last byte. A chunk of 512 bytes or more is a block. What is between two
                        of them, such as HDF5's own metadata, is a block with a fourth field: its
                        bytes, compressed by zlib, in base64. So is a chunk of at most 64 KiB that
                        zlib shrinks to 512 bytes, such as a mask in which all pixels are valid.
    skipped             by key of `refs`, the mask of filters that HDF5 did not apply to a chunk
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from sciml_data.errors import ConversionError
from sciml_data.registry.manifest import Entry

Reference: TypeAlias = str | list[Any]  # of kerchunk: content, or [address, offset, bytes]

MIN_CHUNK_BYTES = 512  # of a block of its own: its hash and place take a hundred bytes
MAX_INLINE_BYTES = 256  # of a value in the references: a scene's time or orbit needs no request
# Metadata of a file that is put into the index. Files of scenes have 60 kB, 13 kB compressed.
MAX_HEAD_BYTES = 1 << 20
# Of a chunk that is put into the index as well, and of it when compressed. Before its first batch
# a run reads the mask of every scene, and a chunk of a mask has 64 KiB, or 85 to 400 compressed.
MAX_PLAIN_BYTES, MAX_SMALL_BYTES = 1 << 16, 512
ADDRESS = "{{u}}"
BASE64 = "base64:"  # before content, in references of kerchunk
WITHOUT_VALUES = "This is a netCDF dimension but not a netCDF variable"
# Attributes with which HDF5 and netCDF-4 store dimensions; zarr has `_ARRAY_DIMENSIONS`.
NUMBER, NUMBERS = "_Netcdf4Dimid", "_Netcdf4Coordinates"  # of a dimension; of those of an array
FILL = "_FillValue"  # zarr has it in `.zarray`
HIDDEN = {
    "DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME", "_NCProperties", FILL, NUMBER, NUMBERS,
}  # fmt: skip
SHUFFLE, DEFLATE, FLETCHER = 2, 1, 3  # codes of HDF5's filters


@dataclass(frozen=True)
class _Chunk:
    key: str
    offset: int
    size: int
    skipped: int = 0
    is_array: bool = False  # the only chunk of an array without chunks


def index_line(path: Path, entry: Entry) -> str:
    """Return the chunk index of a ready file as a line of JSON.

    Args:
        path: of the file, which was written by this program or verified.
        entry: of the file in its manifest.

    Raises:
        ConversionError: the file cannot be read.
    """
    from sciml_data.formats.hdf5_files import open_hdf5

    refs: dict[str, Reference] = {".zgroup": '{"zarr_format":2}'}
    chunks: list[_Chunk] = []
    with open_hdf5(path, error=ConversionError, is_verified=True) as file:
        refs[".zattrs"] = _dump(_attributes(file))
        dimensions = {int(item.attrs[NUMBER]): name for name, item in file.items() if item.is_scale}
        for variable, dataset in file.items():
            if not _is_without_values(dataset):
                refs |= _metadata(variable, dataset, dimensions)
                chunks += _chunks(variable, dataset)
    chunks.sort(key=lambda chunk: chunk.offset)
    with path.open("rb") as stream:
        blocks = list(_blocks(stream, chunks, entry.size_bytes))
        for chunk in chunks:
            refs[chunk.key] = [ADDRESS, chunk.offset, chunk.size]
            if chunk.is_array and chunk.size <= MAX_INLINE_BYTES:
                stream.seek(chunk.offset)
                refs[chunk.key] = BASE64 + base64.b64encode(stream.read(chunk.size)).decode()
    index = {
        "path": entry.path,
        "bytes": entry.size_bytes,
        "hash": entry.hash,
        "largest": max(block[1] for block in blocks),
        "version": 1,
        "templates": {"u": entry.path},
        "refs": refs,
        "blocks": blocks,
        "skipped": {chunk.key: chunk.skipped for chunk in chunks if chunk.skipped},
    }
    return json.dumps(index, separators=(",", ":"))


# --- blocks --------------------------------------------------------------------------------------


def _blocks(stream: Any, chunks: list[_Chunk], size: int) -> Iterator[list[Any]]:
    """Yield [offset, bytes, sha256] of consecutive blocks; those of metadata with their bytes."""
    large = [chunk for chunk in chunks if chunk.size >= MIN_CHUNK_BYTES]
    ranges: list[tuple[int, int, bool]] = []
    at = 0
    for chunk in large:
        if chunk.offset > at:
            ranges.append((at, chunk.offset - at, True))
        ranges.append((chunk.offset, chunk.size, False))
        at = chunk.offset + chunk.size
    if at < size:
        ranges.append((at, size - at, True))
    has_head = sum(length for _, length, is_head in ranges if is_head) <= MAX_HEAD_BYTES
    for offset, length, is_head in ranges:
        stream.seek(offset)
        content = stream.read(length)
        block = [offset, length, hashlib.sha256(content).hexdigest()]
        small = zlib.compress(content) if is_head and has_head else _small(content)
        if small:
            block.append(base64.b64encode(small).decode())
        yield block


def _small(content: bytes) -> bytes:
    """Return a chunk compressed by zlib; empty if that would not be small.

    Bytes that often differ from the byte before do not shrink that much. Counting these is far
    cheaper than compression, so it comes first.
    """
    if len(content) > MAX_PLAIN_BYTES:
        return b""
    values = np.frombuffer(content, np.uint8)
    if np.count_nonzero(values[1:] != values[:-1]) > 2 * MAX_SMALL_BYTES:
        return b""
    small = zlib.compress(content)
    return small if len(small) <= MAX_SMALL_BYTES else b""


# --- references ----------------------------------------------------------------------------------


def _is_without_values(dataset: Any) -> bool:
    """Return whether an array only stands for a dimension, as netCDF-4 stores it."""
    name = dataset.attrs.get("NAME", b"")
    return bytes(name).startswith(WITHOUT_VALUES.encode())


def _metadata(variable: str, dataset: Any, dimensions: Mapping[int, str]) -> dict[str, Reference]:
    """Return `.zarray` and `.zattrs` of an array; `dimensions` has names by netCDF-4's numbers."""
    array = {
        "zarr_format": 2,
        "shape": list(dataset.shape),
        "chunks": list(dataset.chunks or [max(length, 1) for length in dataset.shape]),
        "dtype": dataset.dtype.str,
        "fill_value": _fill_value(dataset),
        "order": "C",
        "filters": _codecs(dataset) or None,
        "compressor": None,
    }
    # A coordinate of text has two dimensions, and names them by number only.
    numbers = dataset.attrs.get(NUMBERS, [dataset.attrs.get(NUMBER, -1)] * dataset.ndim)
    names = [
        str(dataset.dims[axis][0].name).rpartition("/")[2]
        if len(dataset.dims[axis])
        else dimensions[int(numbers[axis])]
        for axis in range(dataset.ndim)
    ]
    return {
        f"{variable}/.zarray": _dump(array),
        f"{variable}/.zattrs": _dump(_attributes(dataset) | {"_ARRAY_DIMENSIONS": names}),
    }


def _fill_value(dataset: Any) -> Any:
    """Return the value of missing values as JSON has it, None if no value is missing.

    xarray masks zarr's `fill_value`, so the 0 that HDF5 has by default must not be there.
    """
    if FILL not in dataset.attrs:
        return None
    value = dataset.fillvalue
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    number = value.item()
    return number if number == number else "NaN"  # noqa: PLR0124 (NaN differs from itself)


def _codecs(dataset: Any) -> list[dict[str, Any]]:
    """Return the filters of an array as zarr names them, in the order of their application.

    A filter without a name there is `{"id": "hdf5-CODE"}`, which no program can undo.
    """
    properties = dataset.id.get_create_plist()
    codecs: list[dict[str, Any]] = []
    for number in range(properties.get_nfilters()):
        code, _, values, _ = properties.get_filter(number)
        known = {
            SHUFFLE: {"id": "shuffle", "elementsize": dataset.dtype.itemsize},
            DEFLATE: {"id": "zlib", "level": values[0] if values else 1},
            FLETCHER: {"id": "fletcher32"},
        }
        codecs.append(known.get(code, {"id": f"hdf5-{code}"}))
    return codecs


def _chunks(variable: str, dataset: Any) -> list[_Chunk]:
    """Return the stored chunks of an array; a contiguous array is one chunk."""
    if dataset.chunks is None:
        offset = dataset.id.get_offset()  # None if nothing was written
        key = ".".join("0" * dataset.ndim) or "0"
        size = dataset.id.get_storage_size()
        return (
            [_Chunk(f"{variable}/{key}", offset, size, is_array=True)]
            if offset is not None and size
            else []
        )
    chunks: list[_Chunk] = []

    def add(info: Any) -> None:
        pairs = zip(info.chunk_offset, dataset.chunks, strict=True)
        key = ".".join(str(start // length) for start, length in pairs)
        chunks.append(_Chunk(f"{variable}/{key}", info.byte_offset, info.size, info.filter_mask))

    dataset.id.chunk_iter(add)
    return chunks


def _attributes(item: Any) -> dict[str, Any]:
    """Return the attributes of a file or array as JSON has them."""
    return {name: _plain(item.attrs[name]) for name in item.attrs if name not in HIDDEN}


def _plain(value: Any) -> Any:
    """Return the value of an attribute as JSON: arrays of one value become that value."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if not hasattr(value, "tolist"):
        return str(value)
    plain = value.tolist()
    items = plain if isinstance(plain, list) else [plain]
    items = [item.decode(errors="replace") if isinstance(item, bytes) else item for item in items]
    return items[0] if len(items) == 1 else items


def _dump(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"))
