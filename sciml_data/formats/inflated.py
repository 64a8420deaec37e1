"""Text of files that may be compressed: inflated as it is read, and never without a limit."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sciml_data.formats.interface import max_content_bytes

# What gzip, zip and a decoder raise of damage; LookupError of an encoding that does not exist.
DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    RuntimeError,
    NotImplementedError,
    zlib.error,
    zipfile.BadZipFile,
)


class _Limited(io.RawIOBase):
    """A stream that ends with an error where more is inflated than a file of its size may hold."""

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream, self._limit, self._left = stream, limit, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._stream.read(len(buffer))
        self._left -= len(content)
        if self._left < 0:
            raise ValueError(f"it inflates to more than {self._limit:,} bytes")
        buffer[: len(content)] = content
        return len(content)


@contextmanager
def open_text(path: Path, encoding: str, compression: str | None) -> Iterator[io.TextIOWrapper]:
    """Open a text file with its line ends as they are.

    Args:
        path: of the file.
        encoding: of the text.
        compression: "gz"; "zip", with a single file in the archive; None for plain text.

    Raises:
        ValueError: the archive has another number of files, or, while the text is read, it inflates
            to far more than the file's size. Damage raises one of `DAMAGED`.
    """
    with ExitStack() as files:
        raw: Any = files.enter_context(path.open("rb"))
        if compression == "gz":
            raw = files.enter_context(gzip.GzipFile(fileobj=raw))
        elif compression == "zip":
            archive = files.enter_context(zipfile.ZipFile(raw))
            members = [name for name in archive.namelist() if not name.endswith("/")]
            if len(members) != 1:
                raise ValueError(f"the archive has {len(members)} files, and one is expected")
            raw = files.enter_context(archive.open(members[0]))
        stream = io.BufferedReader(_Limited(raw, max_content_bytes(path.stat().st_size)))
        yield files.enter_context(io.TextIOWrapper(stream, encoding, newline=""))
