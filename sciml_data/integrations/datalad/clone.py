"""Check a DataLad clone against the manifest of the registry, without copying a file.

In a clone, the name of a file is a symbolic link and its content is in `.git/annex/objects`.
`verify` refuses links, because a link could lead anywhere. Here a link into the clone's own annex
is accepted. A file without content is not an error: its key is checked against the manifest, and
the file is counted as absent.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sciml_data.errors import CallError, FetchError, Problem, SciMLDataError, VerificationError
from sciml_data.integrations.datalad.annex import key_problem
from sciml_data.integrations.datalad.repository import FOLDER, ordinary_names
from sciml_data.progress import Meter, Progress, counted
from sciml_data.registry.descriptor import MANIFEST_NAME, Descriptor
from sciml_data.registry.manifest import Entry, Manifest, lstat_inside
from sciml_data.transfer.download.partial_file import hash_like, hash_mismatch
from sciml_data.transfer.verification import CHANGED, MISSING, UNEXPECTED

POINTER = b"/annex/objects/"  # start of a file that git-annex stores instead of a link
SKIPPED = {(".", ".git"), (".", ".datalad")}  # (folder, name) of folders that are not searched
MAX_POINTER_BYTES = 32 << 10  # git-annex reads no larger file as a pointer (its maxPointerSz)


@dataclass(frozen=True)
class Clone:
    """A checked clone of a version.

    Attributes:
        descriptor: of the version.
        root: folder of the clone.
        fetched: files with content, all of them equal to the manifest.
        absent: paths of files without content.
    """

    descriptor: Descriptor
    root: Path
    fetched: Manifest
    absent: tuple[str, ...]


def verify_clone(
    descriptor: Descriptor, root: Path, *, jobs: int = 2, progress: Progress | None = None
) -> Clone:
    """Check every byte of a clone against the manifest.

    Args:
        descriptor: of the pinned version that is checked out.
        root: folder of the clone.
        jobs: number of files to read in parallel.
        progress: gets bytes (read, to read).

    Raises:
        CallError: the folder is not a clone, or the version is not pinned.
        VerificationError: `.problems` has every file that is missing, changed or unknown.
    """
    manifest = descriptor.manifest
    if manifest is None or not (root / ".git").exists():
        name = f"{descriptor.dataset} {descriptor.version}"
        raise CallError(
            f"{root} is not a clone" if manifest else f"{name} is not pinned",
            untouched="nothing was read",
            hint="--clone needs the folder that `datalad clone` made of a pinned version",
        )
    problems: list[Problem] = []
    contents: dict[Entry, Path] = {}
    absent: list[str] = []
    for entry in manifest:
        content = _find_content(root, entry)
        if isinstance(content, Problem):
            problems.append(content)
        elif content is None:
            absent.append(entry.path)
        else:
            contents[entry] = content
    meter = Meter(sum(entry.size_bytes for entry in contents), progress)
    with ThreadPoolExecutor(jobs) as pool:
        results = pool.map(partial(_check_content, meter), contents, contents.values())
        problems += [problem for problem in results if problem is not None]
    problems += _unexpected(root, descriptor, manifest)
    if problems:
        raise _failure(descriptor, root, problems)
    return Clone(descriptor, root, Manifest(tuple(sorted(contents))), tuple(absent))


def _find_content(root: Path, entry: Entry) -> Problem | Path | None:
    """Return the path of a file's content, None if it is absent, or a problem; hash nothing."""
    try:
        state = lstat_inside(root, entry.path)
    except FetchError as error:
        return Problem(CHANGED, entry.path, error.message)
    if state is None:
        return Problem(MISSING, entry.path, f"{entry.size_bytes} bytes expected")
    place = root / entry.path
    if stat.S_ISLNK(state.st_mode):
        return _linked(root, entry, place)
    if not stat.S_ISREG(state.st_mode):
        return Problem(CHANGED, entry.path, "is neither a file nor a link into the annex")
    if state.st_size <= MAX_POINTER_BYTES and place.read_bytes().startswith(POINTER):
        text = place.read_text(encoding="utf-8", errors="replace").splitlines()[0]
        return key_problem(entry, text.rpartition("/")[2])
    return _of_size(entry, place, state.st_size)


def _linked(root: Path, entry: Entry, link: Path) -> Problem | Path | None:
    """Return the path of the content behind a link of git-annex, None if absent, or a problem."""
    target = link.parent / link.readlink()
    annex = Path(os.path.realpath(root / ".git")) / "annex" / "objects"
    content = Path(os.path.realpath(target.parent)) / target.name
    if annex not in content.parents:
        return Problem(CHANGED, entry.path, "is a link that does not lead into the clone's annex")
    if problem := key_problem(entry, content.name):
        return problem
    try:
        state = content.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(state.st_mode):
        return Problem(CHANGED, entry.path, "its content is not a regular file")
    return _of_size(entry, content, state.st_size)


def _of_size(entry: Entry, content: Path, size_bytes: int) -> Problem | Path:
    if size_bytes != entry.size_bytes:
        message = f"{entry.size_bytes} bytes expected, {size_bytes} found"
        return Problem(CHANGED, entry.path, message)
    return content


def _check_content(meter: Meter, entry: Entry, content: Path) -> Problem | None:
    try:
        actual = hash_like(content, entry.hash)
    except OSError as error:
        return Problem(CHANGED, entry.path, f"cannot be read: {error.strerror}")
    meter.advance(entry.size_bytes)
    if actual != entry.hash:
        return Problem(CHANGED, entry.path, hash_mismatch(entry.hash, actual))
    return None


def _unexpected(root: Path, descriptor: Descriptor, manifest: Manifest) -> Iterator[Problem]:
    """Yield problems of files that are neither in the manifest nor among a mirror's own files."""
    names = ordinary_names(descriptor)
    known = {*manifest.by_path, *names, *(FOLDER + name for name in names)}
    for place, folders, files in os.walk(root):
        inside = Path(place).relative_to(root).as_posix()
        folders[:] = [name for name in folders if (inside, name) not in SKIPPED]
        for name in files:
            path = name if inside == "." else f"{inside}/{name}"
            if path not in known and path not in {".git", ".gitattributes"}:
                yield Problem(UNEXPECTED, path, "is not in the manifest")
    for path in {MANIFEST_NAME, FOLDER + MANIFEST_NAME} - set(manifest.by_path):
        copy, ours = root / path, descriptor.folder / MANIFEST_NAME
        if copy.is_file() and copy.read_bytes() != ours.read_bytes():
            yield Problem(CHANGED, path, "differs from that of the registry")


def _failure(descriptor: Descriptor, root: Path, problems: list[Problem]) -> SciMLDataError:
    name = f"{descriptor.dataset} {descriptor.version}"
    native = descriptor.manifest.by_path if descriptor.manifest else {}
    changed = [p.place for p in problems if p.kind == CHANGED and p.place in native]
    return VerificationError(
        f"{name}: the clone {root} differs from the manifest in {counted(len(problems), 'file')}",
        problems=sorted(problems, key=lambda problem: (problem.place, problem.kind)),
        untouched="nothing was changed",
        hint=f"git -C {root} annex fsck {changed[0]}, then datalad get, fetches a file again"
        if changed
        else f"check out version {descriptor.version}: git -C {root} checkout {descriptor.version}",
    )
