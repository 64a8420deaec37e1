"""Check a file of stored predictions before it is opened: whoever made it may be a stranger.

The file is NetCDF-4, that is HDF5, as `save_predictions` writes it: the attribute `parts` names one
group for each part of the split, and each group has `observed`, `predicted` and a coordinate for
each axis. `formats.open_hdf5` refuses what leads to other files of this computer. The rules here
are stricter: no links at all, no other arrays or groups, no types without numbers, and no array
that declares more values than its stored bytes can hold, which would fill the memory.

Nothing here reads an array. `predictions.load_predictions` does, after this check.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.errors import Problem, RecordError, SciMLDataError
from sciml_data.home import why_not_plain

if TYPE_CHECKING:
    from collections.abc import Sequence

VARIABLES = ("observed", "predicted")
SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_FILE_BYTES = 16 << 30
MAX_DECLARED_BYTES = 64 << 30  # of all arrays together, in memory
# Deflate stores at most 1,032 bytes in one (zlib's documentation). A chunk that was never written
# takes no byte at all, and this is how a file of 10 KB declares 8 TiB.
MAX_RATIO = 1100
SMALL_BYTES = 1 << 16  # below this, the ratio does not matter
MAX_AXES = 8  # ours have at most 4
MAX_PARTS = 64
MAX_MEMBERS = 1000  # of a group
MAX_ATTRIBUTE_BYTES = 1 << 16
PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
FILTERS = (1, 2, 3)  # HDF5's numbers of deflate, shuffle and fletcher32


def file_problems(path: Path) -> list[Problem]:
    """Return why a file cannot be stored predictions; each problem names file and variable.

    Args:
        path: of the file; nothing outside it is opened.
    """
    name = path.name
    if reason := why_not_plain(path):
        return [Problem("predictions", name, reason)]
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        return [Problem("predictions", name, f"has {size:,} bytes, more than {MAX_FILE_BYTES:,}")]
    with path.open("rb") as stream:
        if stream.read(len(SIGNATURE)) != SIGNATURE:
            return [Problem("predictions", name, "is not NetCDF-4 (HDF5)")]
    return _content_problems(path)


def _content_problems(path: Path) -> list[Problem]:
    from sciml_data.formats import open_hdf5

    try:
        with open_hdf5(path, error=RecordError) as file:
            return _file_problems(file, path.name)
    except SciMLDataError as error:
        return [
            Problem("predictions", problem.place.replace(":", "/", 1), problem.message)
            for problem in error.problems
        ] or [Problem("predictions", path.name, error.message)]


def _file_problems(file: Any, name: str) -> list[Problem]:
    parts, message = _parts(file)
    if message:
        return [Problem("predictions", name, message)]
    problems = list(_group_problems(file, set(parts), name))
    for part in parts if not problems else ():
        problems += _part_problems(file[part], f"{name}/{part}")
    return problems or list(_size_problems(file, parts, name))


def _parts(file: Any) -> tuple[list[str], str]:
    """Return the names in the attribute `parts`, and why they cannot be used."""
    if "parts" not in file.attrs:
        return [], "has no attribute 'parts'"
    stored = file.attrs.get_id("parts")
    if stored.shape not in {(), (1,)} or stored.get_storage_size() > MAX_ATTRIBUTE_BYTES:
        return [], "the attribute 'parts' is not a text"
    value = file.attrs["parts"]
    text = value.decode("utf-8") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        return [], "the attribute 'parts' is not a text"
    parts = text.split(",")
    if len(parts) > MAX_PARTS or len(set(parts)) < len(parts):
        return [], f"the attribute 'parts' names a part twice, or more than {MAX_PARTS}"
    bad = [part for part in parts if not PART.fullmatch(part)]
    return parts, f"{bad[0]!r:.80} cannot be the name of a part" if bad else ""


def _group_problems(group: Any, wanted: set[str], place: str) -> Iterator[Problem]:
    """Yield members that are missing, unknown, or links, which could lead to another file."""
    import h5py

    if len(group) > MAX_MEMBERS:
        yield Problem("predictions", place, f"has {len(group):,} members")
        return
    for name in group:
        where = f"{place}/{name:.80}"
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            yield Problem("predictions", where, "is a link, which is not followed")
        elif name not in wanted:
            yield Problem("predictions", where, "is not expected here")
    for name in sorted(wanted - set(group)):
        yield Problem("predictions", f"{place}/{name}", "is missing")


def _part_problems(group: Any, place: str) -> Iterator[Problem]:
    import h5py

    if not isinstance(group, h5py.Group):
        yield Problem("predictions", place, "is not a group")
        return
    if len(group) > MAX_MEMBERS:
        yield Problem("predictions", place, f"has {len(group):,} members")
        return
    links = [name for name in group if not isinstance(group.get(name, getlink=True), h5py.HardLink)]
    missing = [name for name in VARIABLES if name not in group]
    if links or missing:
        yield from _group_problems(group, {*VARIABLES}, place)
        return
    for name in group:
        variable, where = group[name], f"{place}/{name:.80}"
        if not isinstance(variable, h5py.Dataset):
            yield Problem("predictions", where, "is not an array")
        else:
            yield from _variable_problems(variable, name, where)
    yield from _shape_problems(group, place)


def _shape_problems(group: Any, place: str) -> Iterator[Problem]:
    """Yield axes that differ between the variables, and coordinates that fit no axis."""
    import h5py

    shapes = {name: item.shape for name, item in group.items() if isinstance(item, h5py.Dataset)}
    observed, predicted = (shapes.get(name) for name in VARIABLES)
    if observed is None or observed != predicted:
        message = f"has shape {predicted}, observed has {observed}"
        yield Problem("predictions", f"{place}/predicted", message)
        return
    axes = [name for name in shapes if name not in VARIABLES]
    for name in axes:
        if len(shapes[name] or ()) != 1 or shapes[name][0] not in observed:
            message = f"has shape {shapes[name]}, which is not an axis of {observed}"
            yield Problem("predictions", f"{place}/{name:.80}", message)
    if len(axes) != len(observed):
        message = f"{len(observed)} axes, {len(axes)} coordinates"
        yield Problem("predictions", place, message)


def _variable_problems(variable: Any, name: str, place: str) -> Iterator[Problem]:
    import h5py

    is_text = h5py.check_string_dtype(variable.dtype) is not None
    is_number = variable.dtype.kind in "biuf" and variable.dtype.itemsize <= 8
    if not is_number and not (is_text and name not in VARIABLES):
        yield Problem("predictions", place, f"has values of type {variable.dtype}, not numbers")
        return
    if variable.shape is None or len(variable.shape) > MAX_AXES:
        yield Problem("predictions", place, f"has more than {MAX_AXES} axes, or no value")
        return
    filters = _filters(variable)
    if set(filters) - set(FILTERS) or len(set(filters)) < len(filters):
        message = f"has the filters {filters}; deflate, shuffle and fletcher32 are allowed, once"
        yield Problem("predictions", place, message)
        return
    if variable.dtype.kind == "O":
        yield from _text_problems(variable, place)
        return
    declared, stored = _declared_bytes(variable), variable.id.get_storage_size()
    if declared > SMALL_BYTES and declared > stored * MAX_RATIO:
        message = f"declares {declared:,} bytes and stores {stored:,}"
        yield Problem("predictions", place, message)


def _filters(variable: Any) -> list[int]:
    """Return the numbers of the filters that were applied when an array was stored."""
    plist = variable.id.get_create_plist()
    return [int(plist.get_filter(number)[0]) for number in range(plist.get_nfilters())]


def _text_problems(variable: Any, place: str) -> Iterator[Problem]:
    """Yield that the texts of a coordinate are larger than the file.

    A text of any length is stored as its length and an address, and a million of them can have the
    same address. So the lengths are read and added up before any text is.
    """
    count, size = int(variable.size), Path(variable.file.filename).stat().st_size
    offset, stored = variable.id.get_offset(), variable.id.get_storage_size()
    if count and (offset is None or stored < count * 8):
        yield Problem("predictions", place, "has texts that are not stored one after another")
    elif count and (total := sum(_lengths(variable, count, stored // count))) > size:
        yield Problem("predictions", place, f"declares {total:,} bytes of text in {size:,}")


def _lengths(variable: Any, count: int, width: int) -> Iterator[int]:
    """Yield the length in bytes of each text: the first four bytes of an element on disk."""
    with Path(variable.file.filename).open("rb") as stream:
        stream.seek(variable.id.get_offset())
        for _ in range(count):
            yield int.from_bytes(stream.read(width)[:4], "little")


def _declared_bytes(variable: Any) -> int:
    """Return the size of an array in memory, in Python's whole numbers, which do not overflow."""
    total = int(variable.dtype.itemsize)
    for length in variable.shape:
        total *= int(length)
    return total


def _size_problems(file: Any, parts: Sequence[str], name: str) -> Iterator[Problem]:
    """Yield that all arrays together do not fit into the memory of this computer."""
    total = sum(_declared_bytes(variable) for part in parts for variable in file[part].values())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if total > min(MAX_DECLARED_BYTES, memory):
        message = f"declares {total:,} bytes; {min(MAX_DECLARED_BYTES, memory):,} are allowed"
        yield Problem("predictions", name, message)
