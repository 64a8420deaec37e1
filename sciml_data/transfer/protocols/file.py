"""Files in a folder on this computer, `file:DIR`, as a mirror like any other."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sciml_data.registry.manifest import NOT_A_FILE, list_files
from sciml_data.transfer.protocols.source import (
    Body,
    Listed,
    RangeRefusedError,
    Source,
    SourceError,
    Timeouts,
)


def make_source(connections: int, timeouts: Timeouts) -> Source:  # noqa: ARG001 (protocol)
    """Return the source of `file:` URLs."""
    return FileSource()


def file_url(text: str) -> str:
    """Return the `file:///…` URL of `file:DIR`, relative or not, or of `file:///DIR`.

    Only the form with slashes is percent-decoded: `file:my%20data` is a folder of that name.
    """
    rest = text.partition(":")[2]
    path = Path(unquote(urlsplit(text).path) if rest.startswith("//") else rest)
    return path.expanduser().resolve().as_uri()


def path_of(url: str) -> Path:
    """Return the path of a `file:///…` URL."""
    return Path(unquote(urlsplit(url).path))


def list_folder(url: str) -> Iterator[Listed]:
    """Yield every regular file below a ``file:///DIR/`` URL; nothing if there is no such folder.

    Links to files are followed, links to folders are not. Hidden folders and files of the
    operating system are left out.

    Raises:
        SourceError: the folder cannot be read, or has broken links or names that are not UTF-8.
    """
    root = path_of(url)
    if not root.is_dir():
        return
    content = list_files(root, is_own=True)
    # A pipe or a link to a folder is left out; a file that is missing would look removed upstream.
    wrong = [problem for problem in content.problems if problem.kind != NOT_A_FILE]
    if wrong:
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise SourceError(f"{wrong[0].place}: {wrong[0].message}{more}")
    for path, state in content.files.items():
        yield Listed(path, state.st_size)


class FileSource:
    """Opens local files with the same contract as over a network: an offset, a size, a tag."""

    def open(
        self, url: str, *, start: int = 0, end: int | None = None, tag: str | None = None
    ) -> Body:
        """Open a file at an offset; see `Source.open`."""
        try:
            stream = io.FileIO(path_of(url), opener=_open_at_once)
        except OSError as error:
            raise SourceError(_reason(error)) from error
        state = os.fstat(stream.fileno())
        current_tag = f"{state.st_size}-{state.st_mtime_ns}-{state.st_ino}"
        if not stat.S_ISREG(state.st_mode) or start > state.st_size:
            stream.close()
            if start:
                raise RangeRefusedError(f"it has {state.st_size} bytes")
            raise SourceError("not a regular file")
        if tag not in {None, current_tag}:
            start, end = 0, None
        stream.seek(start)
        stop = state.st_size if end is None else min(end, state.st_size)

        def read(max_bytes: int) -> bytes:
            try:
                return stream.read(max(min(max_bytes, stop - stream.tell()), 0))
            except OSError as error:
                raise SourceError(_reason(error)) from error

        return Body(start, state.st_size, current_tag, read, stream.close, stop)

    def close(self) -> None:
        """Do nothing: each body closes its own file."""


def _open_at_once(path: str, flags: int) -> int:
    """Open a file; opening a pipe does not wait for its writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _reason(error: OSError) -> str:
    """Return the system's own words, the same for every missing file."""
    return "no such file" if isinstance(error, FileNotFoundError) else str(error.strerror).lower()
