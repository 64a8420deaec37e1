"""What a home has stored, how large it is, when it was used, and its removal.

A part of a home is what can be removed by itself: the native files of a version or a sample, its
ready files of one set of options, what was not downloaded to the end, what was put in quarantine.
Runs are counted and never removed: they are the results of somebody's work.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciml_data.errors import SciMLDataError
from sciml_data.home import DatasetFolder, Home
from sciml_data.ready.folder import MANIFEST_NAME, read_record

NATIVE, READY, RUNS = "native", "ready", "runs"
REMOVED_PREFIX = ".removed-"  # a folder that is being removed; left by a kill, removed by the next


@dataclass(frozen=True)
class StoredPart:
    """A part of a home.

    Attributes:
        kind: `native`, `ready`, `partial`, `quarantine`, `windows` (answers of a service), `runs`.
        dataset: id of the dataset; for runs the name of the benchmark.
        version: of the dataset; empty for runs.
        sample_seed: of a synthetic sample; None for published data.
        options: of the conversion, for ready files; None if they are unknown.
        folder: with the files.
        files: number of files; of runs for runs.
        size_bytes: of all files.
        shared_bytes: of files that have another name, too (hard links): removing them frees nothing
            while the other name is there.
        last_used: latest time at which a file was read or written, in seconds since 1970. Most
            file systems update the time of reading once a day only.
        owner: folder of the version or sample, which is locked for a removal; None for runs.
    """

    kind: str
    dataset: str
    version: str
    folder: Path
    files: int
    size_bytes: int
    shared_bytes: int
    last_used: float
    sample_seed: int | None = None
    options: dict[str, Any] | None = None
    owner: DatasetFolder | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Return dataset and version, e.g. `uno_ccle 1.0, sample 0`."""
        sample = "" if self.sample_seed is None else f", sample {self.sample_seed}"
        return f"{self.dataset} {self.version}{sample}".strip()


def stored_version(home: Home, dataset: str, version: str) -> list[StoredPart]:
    """Return the native and ready files of a version, in the own home or the first that has any."""
    folder = home.dataset(dataset, version)
    for place in (folder.root, *folder.shared):
        parts = _parts(DatasetFolder(place), dataset, version)
        if wanted := [part for part in parts if part.kind in {NATIVE, READY}]:
            return wanted
    return []


def stored_parts(home: Home) -> list[StoredPart]:
    """Return the parts of the user's own home, sorted by dataset, version and kind.

    Shared homes are left out: they are only read. Leftovers of removals that were killed are
    removed.
    """
    parts: list[StoredPart] = []
    for owner, names in _owners(home):
        for leftover in owner.root.glob(f"{REMOVED_PREFIX}*"):
            _delete(leftover)
        parts += _parts(owner, *names)
    for folder in _folders(home.runs_folder):
        count = sum(1 for _ in _folders(folder))
        if count:
            parts.append(_measured(RUNS, folder.name, "", folder, files=count))
    return parts


def remove_parts(parts: Iterable[StoredPart]) -> Iterator[StoredPart]:
    """Remove parts, and yield each one when it is gone.

    A part disappears in one step: it gets another name first. So a kill in between leaves no half
    of it for another command to use.

    Args:
        parts: from `stored_parts`; runs are refused.

    Raises:
        LockedError: another process works on the dataset, and waiting is off.
        NotWritableError: the home is only read.
    """
    for part in parts:
        if part.owner is None:
            raise ValueError(f"{part.kind} of {part.name} are not removed")
        with part.owner.lock(f"remove {part.kind} files of {part.name}"):
            _remove(part, part.owner)
        _remove_empty(part.owner)
        yield part


def _remove(part: StoredPart, owner: DatasetFolder) -> None:
    if part.kind == NATIVE:
        owner.stat_cache.unlink(missing_ok=True)
    if part.kind == READY:  # without its manifest a folder counts as incomplete
        (part.folder / MANIFEST_NAME).unlink(missing_ok=True)
    if part.folder.exists():
        aside = owner.root / f"{REMOVED_PREFIX}{part.folder.name}"
        _delete(aside)
        part.folder.rename(aside)
        _delete(aside)


def _delete(folder: Path) -> None:
    """Delete a folder with all files, also those in folders without write permission."""

    def allow(function: Any, path: str, _error: Any) -> None:
        Path(path).parent.chmod(0o700)
        function(path)

    if folder.exists():
        shutil.rmtree(folder, onerror=allow)


def _remove_empty(owner: DatasetFolder) -> None:
    """Remove the folder of a version that has no data any more, and empty folders above it."""
    with contextlib.suppress(OSError):  # not empty, or not there
        owner.ready.rmdir()
    if any(path.is_dir() for path in owner.root.iterdir()):
        return
    # A first listing stays: later fetches of an unpinned version are compared with it.
    if not owner.listing.is_file():
        _delete(owner.root)
    for folder in owner.root.parents[: 2 if owner.sample_seed is None else 3]:
        with contextlib.suppress(OSError):  # not empty
            folder.rmdir()


def _owners(home: Home) -> Iterator[tuple[DatasetFolder, tuple[str, str]]]:
    """Yield the folder, dataset and version of each version and sample of the own home."""
    own = Home(home.root, waiting=home.waiting)
    for folder in _folders(own.root / "data"):
        for version in _folders(folder):
            yield own.dataset(folder.name, version.name), (folder.name, version.name)
    for folder in _folders(own.root / "samples"):
        for version in _folders(folder):
            for seed in own.sample_seeds(folder.name, version.name):
                owner = own.dataset(folder.name, version.name, sample_seed=seed)
                yield owner, (folder.name, version.name)


def _parts(owner: DatasetFolder, dataset: str, version: str) -> Iterator[StoredPart]:
    """Yield the parts of a version or sample that have files."""
    of_owner: dict[str, Any] = {"sample_seed": owner.sample_seed, "owner": owner}
    for folder in _folders(owner.root):
        part = _measured(folder.name, dataset, version, folder, **of_owner)
        if part.files and folder != owner.ready:
            yield part
    for folder in _folders(owner.ready):
        options = None
        with contextlib.suppress(SciMLDataError, KeyError, TypeError):
            options = dict((read_record(folder) or {})["options"])
        yield _measured(READY, dataset, version, folder, options=options, **of_owner)


def _measured(
    kind: str, dataset: str, version: str, folder: Path, *, files: int | None = None, **more: Any
) -> StoredPart:
    """Return a part with the sizes and times of its files; no link is followed."""
    count = size = shared = 0
    last = 0.0
    for state in _states(folder):
        count += 1
        size += state.st_size
        shared += state.st_size if state.st_nlink > 1 else 0
        last = max(last, state.st_atime, state.st_mtime)
    number = count if files is None else files
    return StoredPart(kind, dataset, version, folder, number, size, shared, last, **more)


def _states(folder: Path) -> Iterator[os.stat_result]:
    for top, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # another process has just removed it
                state = Path(top, name).lstat()
                if stat.S_ISREG(state.st_mode):
                    yield state


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted; none if it does not exist. Links are left out."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and not path.is_symlink() and path.name[0] != "."
    )
