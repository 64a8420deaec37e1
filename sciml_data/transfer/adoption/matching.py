"""Which files of a folder are a dataset's, where each lies, and what is wrong at a glance."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sciml_data.errors import Problem
from sciml_data.home import DatasetFolder
from sciml_data.registry.descriptor import Descriptor, Mirror, match_paths
from sciml_data.registry.manifest import Manifest, clashes, read_manifest, unsafe_because
from sciml_data.transfer.listing.expected import deviations
from sciml_data.transfer.listing.listing import ListedFile, Listing, changes, read_listing
from sciml_data.transfer.protocols.file import path_of
from sciml_data.transfer.protocols.mirrors import places
from sciml_data.transfer.verification import CHANGED, MISSING, UNEXPECTED

MOST_LOOKED_FOR = 4  # paths or globs that are named where nothing is found


@dataclass(frozen=True)
class Candidate:
    """A file that may be one of the dataset's: where its bytes lie, and how many there are."""

    place: Path
    size_bytes: int


@dataclass(frozen=True)
class Found:
    """What a folder holds of a dataset.

    Attributes:
        files: by their path in the dataset.
        wanted: hash that each must have, by path; a path without one takes the hash that is found.
        problems: files that are missing, of another size, or not the dataset's.
        left: number of files that are left without a word: hidden ones, and ignored ones.
        looked_for: some of the paths or globs of the dataset.
        listing: of an unpinned version: the files as a listing of this folder.
    """

    files: Mapping[str, Candidate]
    wanted: Mapping[str, str]
    problems: tuple[Problem, ...]
    left: int
    looked_for: tuple[str, ...]
    listing: Listing | None = None


@dataclass
class _Seen:
    """One way to see a folder: the files under the dataset's paths."""

    layout: Mirror
    files: dict[str, Candidate]
    problems: list[Problem]
    left: int = 0


def find_files(
    descriptor: Descriptor,
    root: Path,
    folder: DatasetFolder,
    *,
    ignore: Sequence[str],
    skip: Path,
) -> Found:
    """Return what of a dataset lies in a folder.

    The folder is seen as the dataset itself, or as any of the layouts that a mirror may have
    (`get --mirror file:DIR`); the one under which most files are the dataset's counts. Links to
    files are followed, as those of git-annex; links to folders are not.

    Args:
        descriptor: of the version.
        root: the folder.
        folder: of the dataset, with what was kept of it.
        ignore: globs of paths that are left.
        skip: a folder that is not looked into.
    """
    pinned = descriptor.manifest
    globs = _globs(descriptor) if pinned is None else tuple(pinned.by_path)

    def files_of(seen: _Seen) -> int:
        return len(match_paths(globs, seen.files) if pinned is None else {*globs} & {*seen.files})

    layouts = [one for one in places(descriptor, [root.as_uri()]) if one.name == root.as_uri()]
    best = max((_see(layout, ignore, skip) for layout in layouts), key=files_of)
    if pinned is not None:
        return _pinned(best, pinned)
    return _unpinned(descriptor, best, globs, folder)


def _globs(descriptor: Descriptor) -> tuple[str, ...]:
    """Return what the files of an unpinned version are called, as far as that is known."""
    splits = [glob for globs in descriptor.splits.values() for glob in globs]
    expected = [glob for glob in descriptor.expected.get("files", {}) if set(glob) != {"*"}]
    return tuple(dict.fromkeys([*expected, *splits]))


def _see(layout: Mirror, ignore: Sequence[str], skip: Path) -> _Seen:
    """Return the files of a folder under the paths that a layout gives them."""
    seen = _Seen(layout, {}, [])
    for prefix, url in layout.prefixes.items():
        for name, place in _walk(path_of(url), skip):
            path = prefix + name
            if layout.prefix_of(path) != prefix:
                continue  # a longer prefix says where it lies
            is_hidden = any(part.startswith(".") for part in name.split("/"))
            if is_hidden or match_paths(ignore, [path]):
                seen.left += 1
                continue
            _add(seen, path, place)
    return seen


def _add(seen: _Seen, path: str, place: Path) -> None:
    try:
        state = place.stat()
    except OSError:
        message = "a link to something that is not there (of git-annex: `datalad get` it)"
        seen.problems.append(Problem(MISSING, path, message))
        return
    if not place.is_file():
        message = "a link to a folder, which is not followed" if place.is_dir() else "no file"
        seen.problems.append(Problem(UNEXPECTED, path, message))
        return
    seen.files[path] = Candidate(place, state.st_size)


def _walk(root: Path, skip: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name and place of everything below a folder but folders, in order.

    A hidden folder (`.git`, `.datalad`) counts as one file, and is not looked into.
    """
    for top, folders, names in os.walk(root):
        here = Path(top)
        links = [name for name in folders if (here / name).is_symlink()]
        hidden = [name for name in folders if name.startswith(".")]
        folders[:] = sorted(
            name for name in set(folders) - {*links, *hidden} if here / name != skip
        )
        for name in sorted([*names, *{*links, *hidden}]):
            yield (here / name).relative_to(root).as_posix(), here / name


def _pinned(seen: _Seen, known: Manifest) -> Found:
    files = {path: one for path, one in seen.files.items() if path in known.by_path}
    problems = [
        one if one.place in known.by_path else Problem(UNEXPECTED, one.place, one.message)
        for one in seen.problems
    ]
    dangling = {problem.place for problem in problems}
    problems += [
        Problem(MISSING, entry.path, f"{entry.size_bytes} bytes expected")
        for entry in known
        if entry.path not in files and entry.path not in dangling
    ]
    for path, one in files.items():
        expected = known.by_path[path].size_bytes
        if one.size_bytes != expected:
            message = f"{expected} bytes expected, {one.size_bytes} found"
            problems.append(Problem(CHANGED, path, message))
    problems += _foreign(seen, files)
    wrong = {problem.place for problem in problems}
    return Found(
        files={path: one for path, one in files.items() if path not in wrong},
        wanted={path: known.by_path[path].hash for path in files},
        problems=tuple(problems),
        left=seen.left,
        looked_for=tuple(entry.path for entry in known)[:MOST_LOOKED_FOR],
    )


def _unpinned(
    descriptor: Descriptor, seen: _Seen, globs: Sequence[str], folder: DatasetFolder
) -> Found:
    """Return what fits the globs, held against what is expected and what was listed before."""
    files = {path: seen.files[path] for path in match_paths(globs, seen.files)}
    problems = [*seen.problems, *_foreign(seen, files)]
    sizes = {path: one.size_bytes for path, one in files.items()}
    problems += [
        Problem("expected", descriptor.dataset, sentence)
        for sentence in deviations(descriptor.expected, sizes)
    ]
    problems += [
        Problem("path", path, reason) for path in files if (reason := unsafe_because(path))
    ]
    problems += clashes(files, "path")
    listed = {
        path: ListedFile(path, one.size_bytes, "", "", one.place.as_uri())
        for path, one in files.items()
    }
    fetched = read_manifest(folder.manifest) if folder.manifest.is_file() else ()
    kept = read_listing(folder.listing)
    if kept is not None:
        problems += changes(kept, listed)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    listing = kept or Listing(tuple(sorted(listed.values())), now.replace("+00:00", "Z"))
    return Found(
        files=files,
        wanted={entry.path: entry.hash for entry in fetched},
        problems=tuple(problems),
        left=seen.left,
        looked_for=tuple(globs)[:MOST_LOOKED_FOR],
        listing=listing,
    )


def _foreign(seen: _Seen, files: Mapping[str, Candidate]) -> list[Problem]:
    return [
        Problem(UNEXPECTED, path, f"{one.size_bytes} bytes, not the dataset's")
        for path, one in seen.files.items()
        if path not in files
    ]
