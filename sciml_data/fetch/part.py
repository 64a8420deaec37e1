"""One file on its way: the bytes that arrived so far, and their hash."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Self

from sciml_data.errors import FetchError
from sciml_data.fetch.checksum import new_hash
from sciml_data.fetch.place import make_place, quarantine
from sciml_data.home import DatasetFolder
from sciml_data.manifest import READ_BLOCK_BYTES
from sciml_data.stages import PlannedFile


def part_name(path: str) -> str:
    """Return the name below `partial/` of a file on its way."""
    return f"{path}.part"


class Part:
    """A `.part` file, opened for appending; a context manager.

    What lies there from an earlier run is hashed before it is trusted.

    Attributes:
        path: where it lies.
        received_bytes: how much of it is there.
    """

    def __init__(self, folder: DatasetFolder, file: PlannedFile) -> None:
        """Open or make the part of a file.

        Raises:
            FetchError: a link lies where it has to be, or nobody has pinned the file's hash.
            OSError: the disk refuses.
        """
        if file.hash is None:
            raise FetchError("its hash is not pinned")
        self._folder = folder
        self._file = file
        self._kind = file.hash.partition(":")[0]
        self.path: Path = make_place(folder.partial, part_name(file.path))
        self._descriptor = _open(self.path)
        self.received_bytes = 0
        self._hash = new_hash(self._kind, file.size_bytes)
        try:
            self._take_over()
        except BaseException:
            os.close(self._descriptor)
            raise

    @property
    def found_hash(self) -> str:
        """Return `kind:hex` of the bytes received, in the kind that the manifest has."""
        return f"{self._kind}:{self._hash.hexdigest()}"

    def write(self, block: bytes) -> None:
        """Append bytes.

        Raises:
            OSError: the disk refuses; what was written before stays, and is not counted.
        """
        self._hash.update(block)
        view = memoryview(block)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self.received_bytes += len(block)

    def restart(self) -> None:
        """Forget all bytes."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.received_bytes = 0
        self._hash = new_hash(self._kind, self._file.size_bytes)

    def set_aside(self) -> None:
        """Move the bytes to quarantine under a name that has their hash, and start again."""
        quarantine(self._folder, self.path, self._file.path, what=self.found_hash[:19])
        os.close(self._descriptor)
        self._descriptor = _open(self.path)
        self.restart()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def _take_over(self) -> None:
        while block := os.read(self._descriptor, READ_BLOCK_BYTES):
            self._hash.update(block)
            self.received_bytes += len(block)


def _open(path: Path) -> int:
    state = path.lstat() if path.is_symlink() or path.exists() else None
    if state is not None and not stat.S_ISREG(state.st_mode):
        raise FetchError(f"{path} is no regular file; it is not followed")
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
