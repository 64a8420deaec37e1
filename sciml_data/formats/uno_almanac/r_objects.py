"""R data files as they are parsed by the package rdata, below its own conversion.

rdata turns data frames into pandas, but knows no S4 classes such as CoreGx's LongTable. Of an S4
object the parser keeps the slots as attributes; these functions walk them.
"""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError, NativeFormatError, Problem

STARTS = (b"BZh", b"\x1f\x8b", b"\xfd7zXZ", b"RDX", b"RDA", b"RDB")  # compressed, or as it is
DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
    KeyError,
    IndexError,
    AssertionError,
    struct.error,
    lzma.LZMAError,
    zlib.error,
)  # what the parser raises on bytes that are no R data


def require_rdata() -> None:
    """Say which extra is missing.

    Raises:
        CallError: rdata is not installed.
    """
    try:
        import rdata  # noqa: F401
    except ImportError as error:
        raise CallError(
            "R data files are read by the package rdata, which is not installed",
            untouched="nothing was converted",
            hint="pip install 'sciml-data[uno]'",
        ) from error


def read_objects(path: Path) -> dict[str, Any]:
    """Return the objects of an .rda or .RData file by name.

    Raises:
        CallError: rdata is not installed.
        NativeFormatError: the file is damaged, or no R data.
    """
    require_rdata()
    import rdata

    content = path.read_bytes()
    if not content.startswith(STARTS):
        raise refused(path, "damaged", path.name, "no R data that can be read: another first byte")
    try:
        parsed = rdata.parser.parse_data(content, extension=path.suffix)
    except DAMAGED as error:
        wrong = f"no R data that can be read: {type(error).__name__} {error}".strip()
        raise refused(path, "damaged", path.name, wrong) from error
    return pairs(parsed.object)


def pairs(node: Any) -> dict[str, Any]:
    """Return a linked list of R as a mapping."""
    found = {}
    while node is not None and node.info.type.name == "LIST":
        found[_target(node.tag).value.value.decode()] = node.value[0]
        node = node.value[1]
    return found


def attributes(of: Any) -> dict[str, Any]:
    """Return the attributes of an R object: names of a vector, slots of an S4 object."""
    return pairs(of.attributes)


def named(of: Any) -> dict[str, Any]:
    """Return the elements of a list of R by name."""
    names = attributes(of).get("names")
    return dict(zip(column(names), of.value, strict=True)) if names is not None else {}


def column(of: Any) -> NDArray[Any]:
    """Return a vector of R: float64, int64, or objects for text and factors, None for NA."""
    kind = of.info.type.name
    if kind == "STR":
        texts = [None if one.value is None else one.value.decode() for one in of.value]
        return np.array(texts, dtype=object)
    if kind not in ("INT", "REAL", "LGL"):
        raise ValueError(f"a vector of text or numbers expected, {kind} found")
    if "levels" in attributes(of):
        levels = column(attributes(of)["levels"])
        codes = np.ma.filled(np.ma.asarray(of.value), 0)
        return np.array([levels[code - 1] if code > 0 else None for code in codes], dtype=object)
    return np.asarray(of.value, dtype=np.float64 if kind == "REAL" else np.int64)


def frame(path: Path, of: Any, wanted: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """Return columns of a data frame.

    Args:
        path: file it comes from, for messages.
        of: the data frame, or None where there is none.
        wanted: names of the columns, and where they were looked for in words.

    Raises:
        NativeFormatError: a column lacks.
    """
    columns = named(of) if of is not None else {}
    lacking = [name for name in wanted if name not in columns]
    if lacking:
        where = f"{path.name}: {wanted[lacking[0]]}"
        raise refused(path, "missing", where, f"no {', '.join(lacking)}")
    return {name: column(columns[name]) for name in wanted}


def refused(path: Path, kind: str, place: str, wrong: str) -> NativeFormatError:
    """Return the error of a file that is not as expected."""
    return NativeFormatError(
        f"{path.name} cannot be read",
        problems=[Problem(kind, place, wrong)],
        untouched="nothing was converted",
        hint="`sciml-data verify` says whether the file is the one that was published",
    )


def _target(node: Any) -> Any:
    """Return what a reference stands for."""
    while node.info.type.name == "REF":
        node = node.referenced_object
    return node
