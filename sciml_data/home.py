"""Where things lie on this computer, and how they get there without anyone seeing half of them.

<home>/<dataset>/<version>/native/      files as published, each whole and right
<home>/<dataset>/<version>/partial/     files on their way; never read by another stage
<home>/<dataset>/<version>/quarantine/  files that were wrong, kept to be looked at
<home>/<dataset>/<version>/receipt.json what was verified, by size, mtime and inode
<home>/<dataset>/<version>/listing.csv  of an unpinned version: what a mirror listed at first
<home>/<dataset>/<version>/ready/       converted files, one folder for each set of options
<home>/<dataset>/sample-<seed>/         the same for a synthetic sample
<home>/runs/<benchmark>/                runs and their records
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sciml_data.errors import LockedError

HOME_VARIABLE = "SCIML_DATA_HOME"


@dataclass(frozen=True)
class DatasetFolder:
    """The folder of one version, or of one sample, of a dataset."""

    root: Path

    @property
    def native(self) -> Path:
        """Published files, each verified before it was moved here."""
        return self.root / "native"

    @property
    def partial(self) -> Path:
        """Files that are not whole yet."""
        return self.root / "partial"

    @property
    def quarantine(self) -> Path:
        """Files whose bytes were wrong."""
        return self.root / "quarantine"

    @property
    def ready(self) -> Path:
        """Converted files."""
        return self.root / "ready"

    @property
    def receipt(self) -> Path:
        """Record of what was verified, so that it is not hashed again while unchanged."""
        return self.root / "receipt.json"

    @property
    def manifest(self) -> Path:
        """Manifest of what was fetched, where the registry pins none.

        So it is with samples, live versions and unpinned ones.
        """
        return self.root / "manifest.csv"

    @property
    def listing(self) -> Path:
        """What a mirror listed when an unpinned version was first asked for."""
        return self.root / "listing.csv"

    @contextlib.contextmanager
    def lock(self, doing: str, *, timeout_s: float = 0.0) -> Iterator[None]:
        """Hold the folder against other processes on this computer.

        Args:
            doing: what for, said to the process that comes second.
            timeout_s: seconds to wait for another process; 0 does not wait.

        Raises:
            LockedError: another process holds it.
        """
        import filelock

        self.root.mkdir(parents=True, exist_ok=True)
        lock_path = self.root / ".lock"
        try:
            with filelock.FileLock(lock_path, timeout=timeout_s):
                yield
        except filelock.Timeout as error:
            raise LockedError(
                f"cannot {doing}: another process works in {self.root}",
                untouched="nothing was changed",
                hint="wait for it to end, or give each process a home of its own with --home",
            ) from error


@dataclass(frozen=True)
class Home:
    """The folder under which everything lies that sciml-data keeps."""

    root: Path

    def dataset(
        self, dataset: str, version: str, *, sample_seed: int | None = None
    ) -> DatasetFolder:
        """Return the folder of a version, or of the sample made with a seed."""
        name = version if sample_seed is None else f"{version}-sample-{sample_seed}"
        return DatasetFolder(self.root / dataset / name)

    def runs(self, benchmark: str) -> Path:
        """Return the folder of a benchmark's runs."""
        return self.root / "runs" / benchmark


def find_home(path: Path | None = None) -> Home:
    """Return the home asked for, else `SCIML_DATA_HOME`, else the user's data folder."""
    if path is None and HOME_VARIABLE in os.environ:
        path = Path(os.environ[HOME_VARIABLE])
    if path is None:
        import platformdirs

        path = platformdirs.user_data_path("sciml-data")
    return Home(path.expanduser().resolve())


def publish(partial: Path, final: Path) -> None:
    """Move a whole file to its place in one step, and make the step last a power cut.

    Both must lie on one file system. A file already there is replaced.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    _sync(partial)
    partial.replace(final)
    _sync(final.parent)


def write_atomically(path: Path, text: str) -> None:
    """Write a small text file so that a reader sees the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    publish(temporary, path)


def write_output(path: Path, text: str) -> None:
    """Write a text to the place that a user named, such as the file of `--to`.

    A pipe or a device (`/dev/stdout`) is written into: replacing it would leave its reader without
    the text. A symbolic link stays a link, and the file it leads to is written. Any other file is
    replaced in one step, as by `write_atomically`.

    Args:
        path: file, symbolic link, pipe or device; it need not exist.
        text: written as UTF-8.
    """
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8") as stream:
            stream.write(text)
    else:
        write_atomically(path.resolve(), text)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
