"""Hold a DataLad clone against the registry's manifest, as it lies there: nothing is copied.

In a clone the content of a file lies in `.git/annex/objects`, and a link stands under its name;
elsewhere `verify` refuses links, for one could lead anywhere. Here a link counts that leads into
the clone's own annex. A file whose content was not brought yet is no difference: its key is held
against the manifest, and it is counted.
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
from sciml_data.home import lstat_inside
from sciml_data.integrations.datalad.content import FOLDER, ordinary_names
from sciml_data.integrations.datalad.keys import key_problem
from sciml_data.progress import Meter, Progress
from sciml_data.registry.descriptor import MANIFEST_NAME, Descriptor
from sciml_data.registry.manifest import Entry, Manifest
from sciml_data.transfer.download.partial_file import hash_like, hash_mismatch
from sciml_data.transfer.verification import CHANGED, MISSING, UNEXPECTED

POINTER = b"/annex/objects/"
OURS = {(".", ".git"), (".", ".datalad")}  # folders that are not walked
MOST_POINTER_BYTES = 32 << 10  # what git-annex takes for a pointer at most (its maxPointerSz)


@dataclass(frozen=True)
class Clone:
    """What a clone holds of a version: the files that are here, all of them right, and the rest."""

    descriptor: Descriptor
    root: Path
    here: Manifest
    absent: tuple[str, ...]


def verify_clone(
    descriptor: Descriptor, root: Path, *, jobs: int = 2, progress: Progress | None = None
) -> Clone:
    """Return what a clone holds, every byte of it read, or say everything that differs.

    Args:
        descriptor: of a pinned version, the one that is checked out.
        root: of the clone.
        jobs: files to read at once.
        progress: is told of (bytes done, bytes to read).

    Raises:
        CallError: the folder is no clone, or the version is not pinned.
        VerificationError: files are missing, changed or unexpected; `.problems` has one for each.
    """
    manifest = descriptor.manifest
    if manifest is None or not (root / ".git").exists():
        what = f"{root} is no clone" if manifest else f"{descriptor.dataset} is not pinned"
        raise CallError(
            f"{what}: there is nothing to hold",
            untouched="nothing was read",
            hint="--clone takes the folder that `datalad clone` made of a pinned dataset",
        )
    problems: list[Problem] = []
    contents: dict[Entry, Path] = {}
    absent: list[str] = []
    for entry in manifest:
        found = _at_a_glance(root, entry)
        if isinstance(found, Problem):
            problems.append(found)
        elif found is None:
            absent.append(entry.path)
        else:
            contents[entry] = found
    meter = Meter(sum(entry.size_bytes for entry in contents), progress)
    with ThreadPoolExecutor(jobs) as pool:
        read = pool.map(partial(_read, meter), contents, contents.values())
        problems += [problem for problem in read if problem is not None]
    problems += _others(root, descriptor, manifest)
    if problems:
        raise _failure(descriptor, root, problems)
    return Clone(descriptor, root, Manifest(tuple(sorted(contents))), tuple(absent))


def _at_a_glance(root: Path, entry: Entry) -> Problem | Path | None:
    """Return where a file's content lies, None where it is not here, or what is wrong."""
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
        return Problem(CHANGED, entry.path, "a file or a link into the annex expected")
    if state.st_size <= MOST_POINTER_BYTES and place.read_bytes().startswith(POINTER):
        text = place.read_text(encoding="utf-8", errors="replace").splitlines()[0]
        return key_problem(entry, text.rpartition("/")[2])
    return _of_size(entry, place, state.st_size)


def _linked(root: Path, entry: Entry, link: Path) -> Problem | Path | None:
    """Return where the content lies that a link of git-annex leads to, if it is one."""
    target = link.parent / link.readlink()
    annex = Path(os.path.realpath(root / ".git")) / "annex" / "objects"
    content = Path(os.path.realpath(target.parent)) / target.name
    if annex not in content.parents:
        return Problem(CHANGED, entry.path, "is a link that does not lead into the clone's annex")
    if wrong := key_problem(entry, content.name):
        return wrong
    try:
        state = content.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(state.st_mode):
        return Problem(CHANGED, entry.path, "its content is no regular file")
    return _of_size(entry, content, state.st_size)


def _of_size(entry: Entry, content: Path, size_bytes: int) -> Problem | Path:
    if size_bytes != entry.size_bytes:
        wrong = f"{entry.size_bytes} bytes expected, {size_bytes} found"
        return Problem(CHANGED, entry.path, wrong)
    return content


def _read(meter: Meter, entry: Entry, content: Path) -> Problem | None:
    try:
        found = hash_like(content, entry.hash)
    except OSError as error:
        return Problem(CHANGED, entry.path, f"cannot be read: {error.strerror}")
    meter.advance(entry.size_bytes)
    if found != entry.hash:
        return Problem(CHANGED, entry.path, hash_mismatch(entry.hash, found))
    return None


def _others(root: Path, descriptor: Descriptor, manifest: Manifest) -> Iterator[Problem]:
    """Yield what is there besides the manifest's files and what a mirror puts beside them."""
    names = ordinary_names(descriptor)
    known = {*manifest.by_path, *names, *(FOLDER + name for name in names)}
    for place, folders, files in os.walk(root):
        inside = Path(place).relative_to(root).as_posix()
        folders[:] = [name for name in folders if (inside, name) not in OURS]
        for name in files:
            path = name if inside == "." else f"{inside}/{name}"
            if path not in known and path not in {".git", ".gitattributes"}:
                yield Problem(UNEXPECTED, path, "is not in the manifest")
    for path in {MANIFEST_NAME, FOLDER + MANIFEST_NAME} - set(manifest.by_path):
        copy, ours = root / path, descriptor.folder / MANIFEST_NAME
        if copy.is_file() and copy.read_bytes() != ours.read_bytes():
            yield Problem(CHANGED, path, "is not that of the registry")


def _failure(descriptor: Descriptor, root: Path, problems: list[Problem]) -> SciMLDataError:
    name = f"{descriptor.dataset} {descriptor.version}"
    native = descriptor.manifest.by_path if descriptor.manifest else {}
    changed = [one.place for one in problems if one.kind == CHANGED and one.place in native]
    return VerificationError(
        f"{name}: {len(problems)} files of the clone {root} differ from the manifest",
        problems=sorted(problems, key=lambda problem: (problem.place, problem.kind)),
        untouched="nothing was changed",
        hint=f"git -C {root} annex fsck {changed[0]}, then datalad get, brings a file anew"
        if changed
        else f"is version {descriptor.version} checked out? git -C {root} checkout "
        f"{descriptor.version}",
    )
