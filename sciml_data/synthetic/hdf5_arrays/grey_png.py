"""Write a grey 8-bit PNG: ISO/IEC 15948, without a library for it."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, NO_INTERLACE = 0, 0


def grey_png(image: NDArray[np.uint8]) -> bytes:
    """Return an image, (row, column) uint8, as the bytes of a PNG file."""
    rows, columns = image.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, GREY, 0, 0, NO_INTERLACE)
    unfiltered = np.pad(image, ((0, 0), (1, 0)))  # each row begins with its filter, 0 for none
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(unfiltered.tobytes())), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))
