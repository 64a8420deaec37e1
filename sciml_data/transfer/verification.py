"""Hold a fetched folder against its manifest, and name everything that differs.

Fetching checks each file as it arrives; this stage is for folders that came another way, for disks
that forget, and for people who edit. A file that was found right is not read again while its size,
mtime and inode stand, unless everything is to be read (`full`).

A file that the manifest does not know is a difference too: a reader must never take it for data.
It is left where it is; the one who put it there decides.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from sciml_data.errors import CallError, FetchError, Problem, VerificationError
from sciml_data.home import DatasetFolder, lstat_inside, move_to_quarantine
from sciml_data.progress import Log, Meter, Progress
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.manifest import Entry, read_manifest
from sciml_data.registry.stages import Fetched, Plan, Verified
from sciml_data.transfer.download.asked import requested_paths
from sciml_data.transfer.download.checksum import hash_like, hash_mismatch
from sciml_data.transfer.download.pool import fetch
from sciml_data.transfer.download.receipt import StatCache
from sciml_data.transfer.protocols.retry import RetryPolicy

MARKER_NAME = "SYNTHETIC.json"  # lies in the folder of a sample, and of nothing else
MISSING, CHANGED, UNEXPECTED = "missing", "changed", "unexpected"


def load_fetched(descriptor: Descriptor, folder: DatasetFolder) -> Fetched:
    """Return what a folder is said to hold; nothing is read but notes.

    The manifest is that of the registry, where a part was fetched the part that was asked for, and
    whatever else of it lies there; for samples and live versions it is the folder's own.

    Raises:
        CallError: nothing was ever fetched into the folder.
    """
    is_synthetic = (folder.root / MARKER_NAME).is_file()
    has_own = is_synthetic or descriptor.manifest is None
    if has_own and folder.manifest.is_file():
        return Fetched(descriptor, folder, read_manifest(folder.manifest), is_synthetic)
    asked = requested_paths(folder)
    if has_own or descriptor.manifest is None or not (folder.native.is_dir() or asked):
        flag = "" if folder.root.name == descriptor.version else " --sample"
        raise CallError(
            f"{descriptor.dataset} {descriptor.version} is not in {folder.root}",
            untouched="nothing was read or changed",
            hint=f"sciml-data get {descriptor.dataset} --version {descriptor.version}{flag}",
        )
    manifest = descriptor.manifest
    if asked is not None:
        present = {path for path, _ in _walk(folder.native)}
        manifest = manifest.select(set(manifest.by_path) & (asked | present))
    return Fetched(descriptor, folder, manifest)


def verify(
    fetched: Fetched, *, full: bool = False, jobs: int = 2, progress: Progress | None = None
) -> Verified:
    """Return the folder as verified, or say everything that differs.

    Every file is looked at, also after the first difference: what is wrong with a disk or a mirror
    is told by the pattern.

    Args:
        fetched: what `fetch`, `load_fetched` or the making of a sample returned.
        full: read every byte, also of files that were found right before.
        jobs: files to read at once.
        progress: is told of (bytes done, bytes to read).

    Raises:
        VerificationError: files are missing, changed or unexpected; `.problems` has one for each.
    """
    problems = differences(fetched, full=full, jobs=jobs, progress=progress)
    if problems:
        raise _failure(fetched, problems)
    return Verified(fetched.descriptor, fetched.folder, fetched.manifest, fetched.is_synthetic)


def repair(  # noqa: PLR0913 - what is to be repaired, how, and two ways to talk
    fetched: Fetched,
    plan: Plan,
    *,
    full: bool = False,
    jobs: int = 2,
    progress: Progress | None = None,
    log: Log | None = None,
    retry: RetryPolicy | None = None,
) -> Verified:
    """Move changed files to quarantine, fetch what is missing then, and verify.

    Args:
        fetched: what may differ.
        plan: where its files can be had; others of the plan are not fetched.
        full: read every byte first.
        jobs: files at once.
        progress: is told of bytes read, then of bytes fetched.
        log: is told what was moved, and of mirrors that lie or fail.
        retry: timeouts and retries of the fetch.

    Raises:
        FetchError: a file could not be had.
        VerificationError: files are unexpected: these are left alone.
    """
    problems = differences(fetched, full=full, jobs=jobs, progress=progress)
    changed = [problem.place for problem in problems if problem.kind == CHANGED]
    wanted = {problem.place for problem in problems if problem.kind in {MISSING, CHANGED}}
    with fetched.folder.lock("repair the files"):
        for path in changed:
            if lstat_inside(fetched.root, path) is not None:
                kept = move_to_quarantine(fetched.folder, fetched.root / path, path, label=CHANGED)
                (log or (lambda _: None))(f"{path} is moved to {kept}")
    if wanted:
        part = replace(
            plan,
            files=tuple(file for file in plan.files if file.path in wanted),
            is_whole=requested_paths(fetched.folder) is None,
        )
        fetch(part, jobs=jobs, progress=progress, log=log, retry=retry)
    return verify(fetched, jobs=jobs, progress=progress)


def differences(
    fetched: Fetched, *, full: bool = False, jobs: int = 2, progress: Progress | None = None
) -> list[Problem]:
    """Return one problem for each file that is missing, changed or unexpected, by path."""
    receipt = StatCache(fetched.folder)
    problems: list[Problem] = []
    to_read: list[Entry] = []
    for entry in fetched.manifest:
        problem = _at_a_glance(fetched.root, entry)
        if problem is not None:
            problems.append(problem)
        elif full or not receipt.stands(
            entry.path, entry.hash, (fetched.root / entry.path).lstat()
        ):
            to_read.append(entry)
    meter = Meter(sum(entry.size_bytes for entry in to_read), progress)
    with ThreadPoolExecutor(jobs) as pool:
        found = pool.map(partial(_read, fetched.root, receipt, meter), to_read)
        problems += [problem for problem in found if problem is not None]
    receipt.save()
    known = fetched.manifest.by_path
    problems += [
        Problem(UNEXPECTED, path, what) for path, what in _walk(fetched.root) if path not in known
    ]
    return sorted(problems, key=lambda problem: (problem.place, problem.kind))


def _at_a_glance(root: Path, entry: Entry) -> Problem | None:
    """Return what is wrong with a file that need not be read to see it."""
    try:
        state = lstat_inside(root, entry.path)
    except FetchError as error:
        return Problem(CHANGED, entry.path, error.message)
    if state is None:
        return Problem(MISSING, entry.path, f"{entry.size_bytes} bytes expected")
    if not stat.S_ISREG(state.st_mode):
        return Problem(CHANGED, entry.path, "a regular file expected, something else found")
    if state.st_size != entry.size_bytes:
        return Problem(
            CHANGED, entry.path, f"{entry.size_bytes} bytes expected, {state.st_size} found"
        )
    return None


def _read(root: Path, receipt: StatCache, meter: Meter, entry: Entry) -> Problem | None:
    """Hash one file; what is right goes into the receipt."""
    try:
        found = hash_like(root / entry.path, entry.hash)
    except OSError as error:
        return Problem(CHANGED, entry.path, f"cannot be read: {error.strerror}")
    meter.advance(entry.size_bytes)
    if found != entry.hash:
        return Problem(CHANGED, entry.path, hash_mismatch(entry.hash, found))
    receipt.add(entry.path, found)
    return None


def _walk(root: Path) -> Iterator[tuple[str, str]]:
    """Yield (path, what it is) of everything below a folder but folders; no link is followed."""
    for place, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(place, name)
            mode = path.lstat().st_mode
            if not stat.S_ISDIR(mode):
                what = "a link" if stat.S_ISLNK(mode) else f"{path.lstat().st_size} bytes"
                yield path.relative_to(root).as_posix(), f"{what}, not in the manifest"


def _failure(fetched: Fetched, problems: list[Problem]) -> VerificationError:
    descriptor = fetched.descriptor
    name = f"{descriptor.dataset} --version {descriptor.version}"
    hint = f"sciml-data verify {name} --repair"
    if all(problem.kind == UNEXPECTED for problem in problems):
        hint = f"move them out of {fetched.root}: nobody knows what they are"
    elif fetched.is_synthetic:
        hint = f"sciml-data get {name} --sample makes the sample again"
    elif descriptor.live is not None:
        hint = f"sciml-data get {name} --start … --end … asks the service again"
    return VerificationError(
        f"{descriptor.dataset} {descriptor.version}: {len(problems)} files differ from the "
        f"manifest of {len(fetched.manifest)}",
        problems=problems,
        untouched="nothing was changed",
        hint=hint,
    )
