"""What is known of a ready file without reading a pixel: its scene, and where its chunks lie.

A head costs 5 ms of CPU time, most of it HDF5's (measured once with 29,300 files: 142 s). It holds
the byte offset of every chunk, so that pixels are read afterwards without HDF5, whose library does
one thing at a time in a process, whatever the number of threads.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import Problem
from sciml_data.formats.slstr_hdf5 import EPOCH

# Along `scene`, to choose scenes by; `scene_variables.py` says what they mean.
SCENE_VALUES = (
    "time",
    "platform",
    "cycle",
    "relative_orbit",
    "orbit",
    "frame",
    "native_rows",
    "illumination",
    "lit_fraction",
    "valid_fraction",
)
PIXEL_RANK = 3  # scene, row, column; channels have a band besides
FILTERS = {h5py.h5z.FILTER_SHUFFLE: "shuffle", h5py.h5z.FILTER_DEFLATE: "gzip"}
READABLE = ((), ("gzip",), ("shuffle", "gzip"))


@dataclass(frozen=True)
class Layout:
    """How a variable lies in a file.

    Attributes:
        dtype: as stored.
        shape: rows, columns, and bands where there are any.
        chunk: rows and columns of a chunk; it has all bands.
        filters: what a chunk went through, in that order.
        scale, offset: stored value times scale plus offset is the value; 1 and 0 if not packed.
        fill: stored value that stands for missing; None where none does.
    """

    dtype: str
    shape: tuple[int, ...]
    chunk: tuple[int, int]
    filters: tuple[str, ...]
    scale: float
    offset: float
    fill: int | None

    @property
    def bands(self) -> int:
        """Return the number of bands, 1 for a variable without."""
        return self.shape[2] if len(self.shape) > 2 else 1

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """Return rows, columns and bands of a chunk."""
        return (*self.chunk, *self.shape[2:])

    @property
    def chunks(self) -> tuple[int, int]:
        """Return how many chunks there are along rows and columns."""
        rows, columns = (math.ceil(self.shape[axis] / self.chunk[axis]) for axis in (0, 1))
        return rows, columns


@dataclass(frozen=True)
class Head:
    """One file.

    Attributes:
        granule: name of the level-1 granule.
        values: of `SCENE_VALUES`; time is datetime64[s].
        layouts: by variable.
        places: by variable, (chunk, 3) int64: byte offset, bytes, mask of filters left out; chunks
            row by row.
    """

    granule: str
    values: dict[str, Any]
    layouts: dict[str, Layout]
    places: dict[str, NDArray[np.int64]]


def read_head(path: Path) -> tuple[Head | None, list[Problem]]:
    """Return the head of a ready file, None and why where it has none that can be used."""
    try:
        with h5py.File(path, "r") as file:
            return _head(file, path.name)
    except (OSError, KeyError, RuntimeError) as error:
        return None, [Problem("unreadable", path.name, f"is no ready scene: {error}")]


def dump_layouts(layouts: dict[str, Layout]) -> str:
    """Return layouts as one line of JSON, the same for the same layouts."""
    return json.dumps({name: asdict(layout) for name, layout in layouts.items()}, sort_keys=True)


def load_layouts(text: str) -> dict[str, Layout]:
    """Return what `dump_layouts` wrote."""
    found = {}
    for name, fields in json.loads(text).items():
        for key in ("shape", "chunk", "filters"):
            fields[key] = tuple(fields[key])
        found[name] = Layout(**fields)
    return found


def _head(file: Any, name: str) -> tuple[Head | None, list[Problem]]:
    layouts, places, problems = {}, {}, []
    for variable, dataset in _pixel_variables(file):
        layout = _layout(dataset)
        if layout is None:
            problems.append(Problem("layout", f"{name}:{variable}", "is not chunked, or encoded"))
            continue
        found = _places(dataset, layout)
        if (found[:, 1] == 0).any():
            problems.append(Problem("layout", f"{name}:{variable}", "chunks were never written"))
        layouts[variable], places[variable] = layout, found
    if not layouts and not problems:
        problems.append(Problem("layout", name, "has no variable of pixels"))
    if problems:
        return None, problems
    values = {key: _scalar(file.id, key) for key in SCENE_VALUES}
    values["time"] = np.datetime64(EPOCH.replace(" ", "T"), "s") + np.timedelta64(
        int(values["time"]), "s"
    )
    granule = _array(h5py.h5d.open(file.id, b"granule")).tobytes().decode()
    return Head(granule.rstrip("\0"), values, layouts, places), []


def _pixel_variables(file: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and low-level dataset of what has pixels; ten times as quick as `file[name]`."""
    for name in file:
        dataset = h5py.h5d.open(file.id, name.encode())
        if dataset.rank >= PIXEL_RANK and dataset.shape[0] == 1:
            yield name, dataset


def _layout(dataset: Any) -> Layout | None:
    """Return how a dataset lies in its file, None where it is in no form that we read."""
    plist = dataset.get_create_plist()
    if plist.get_layout() != h5py.h5d.CHUNKED:
        return None
    codes = [plist.get_filter(number)[0] for number in range(plist.get_nfilters())]
    filters = tuple(FILTERS.get(code, str(code)) for code in codes)
    chunk = plist.get_chunk()
    if filters not in READABLE or chunk[0] != 1 or chunk[3:] != dataset.shape[3:]:
        return None
    scale, offset, fill = (
        _attribute(dataset, name) for name in (b"scale_factor", b"add_offset", b"_FillValue")
    )
    is_packed = dataset.dtype.kind in "iu" and fill is not None
    return Layout(
        dtype=dataset.dtype.str,
        shape=tuple(dataset.shape[1:]),
        chunk=tuple(chunk[1:3]),
        filters=filters,
        scale=1.0 if scale is None else float(scale),
        offset=0.0 if offset is None else float(offset),
        fill=int(fill) if is_packed else None,
    )


def _places(dataset: Any, layout: Layout) -> NDArray[np.int64]:
    rows, columns = layout.chunks
    found = np.zeros((rows * columns, 3), np.int64)

    def note(info: Any) -> None:
        row, column = (info.chunk_offset[axis + 1] // layout.chunk[axis] for axis in (0, 1))
        found[row * columns + column] = (info.byte_offset, info.size, info.filter_mask)

    dataset.chunk_iter(note)
    return found


def _scalar(file: Any, name: str) -> Any:
    return _array(h5py.h5d.open(file, name.encode())).reshape(-1)[0]


def _array(dataset: Any) -> NDArray[Any]:
    values = np.empty(dataset.shape, dataset.dtype)
    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
    return values


def _attribute(dataset: Any, name: bytes) -> Any:
    if not h5py.h5a.exists(dataset, name):
        return None
    attribute = h5py.h5a.open(dataset, name)
    value = np.empty(attribute.shape, attribute.dtype)
    attribute.read(value)
    return value.reshape(-1)[0]
