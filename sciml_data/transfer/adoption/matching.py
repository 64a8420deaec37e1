"""Find out which files of a folder belong to a dataset, and what is wrong without reading them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sciml_data.errors import Problem
from sciml_data.home import DatasetFolder
from sciml_data.registry.descriptor import Descriptor, Mirror
from sciml_data.registry.manifest import (
    BROKEN_LINK,
    Manifest,
    clashes,
    list_files,
    match_paths,
    read_manifest,
    unsafe_because,
)
from sciml_data.transfer.listing.listing import (
    ListedFile,
    Listing,
    changes,
    deviations,
    new_listing,
    read_listing,
)
from sciml_data.transfer.protocols.file import path_of
from sciml_data.transfer.protocols.mirrors import places
from sciml_data.transfer.verification import CHANGED, MISSING, UNEXPECTED

MAX_EXAMPLES = 4  # paths or globs that an error names if no file belongs to the dataset


@dataclass(frozen=True)
class LocalFile:
    """A file that may belong to the dataset: where it is, and its size."""

    place: Path
    size_bytes: int


@dataclass(frozen=True)
class FolderMatch:
    """The files of a folder that belong to a dataset.

    Attributes:
        files: by their path in the dataset.
        expected: hash that each file must have, by path; a file without one may have any hash.
        problems: files that are missing, of another size, or not of the dataset.
        skipped: number of files that are hidden or ignored.
        examples: some paths or globs of the dataset.
        listing: the files as a listing of this folder, for an unpinned version.
    """

    files: Mapping[str, LocalFile]
    expected: Mapping[str, str]
    problems: tuple[Problem, ...]
    skipped: int
    examples: tuple[str, ...]
    listing: Listing | None = None


@dataclass
class _FolderView:
    """The files of a folder under the paths of one layout."""

    layout: Mirror
    files: dict[str, LocalFile]
    problems: list[Problem]
    skipped: int = 0


def match_folder(
    descriptor: Descriptor,
    root: Path,
    folder: DatasetFolder,
    *,
    ignore: Sequence[str],
    skip: Path,
) -> FolderMatch:
    """Return the files of a folder that belong to a dataset.

    The folder may have the layout of the dataset, or any layout that a mirror may have (`get
    --mirror file:DIR`). The layout with the most files of the dataset is used. Links to files are
    followed, as git-annex has them; links to folders are not.

    Args:
        descriptor: of the version.
        root: the folder.
        folder: of the dataset, with what is stored about it.
        ignore: globs of paths to skip.
        skip: a folder that is not searched.
    """
    pinned = descriptor.manifest
    globs = _globs(descriptor) if pinned is None else tuple(pinned.by_path)

    def count(view: _FolderView) -> int:
        return len(match_paths(globs, view.files) if pinned is None else {*globs} & {*view.files})

    bases = [root.as_uri()]
    layouts = [place for place in places(descriptor, bases) if place.name == root.as_uri()]
    best = max((_view(layout, ignore, skip) for layout in layouts), key=count)
    if pinned is not None:
        return _match_pinned(best, pinned)
    return _match_unpinned(descriptor, best, globs, folder)


def _globs(descriptor: Descriptor) -> tuple[str, ...]:
    """Return the globs of an unpinned version's files, as far as the descriptor has any."""
    splits = [glob for globs in descriptor.splits.values() for glob in globs]
    expected = [glob for glob in descriptor.expected.get("files", {}) if set(glob) != {"*"}]
    return tuple(dict.fromkeys([*expected, *splits]))


def _view(layout: Mirror, ignore: Sequence[str], skip: Path) -> _FolderView:
    """Return the files of a folder under the paths that a layout gives them."""
    view = _FolderView(layout, {}, [])
    for prefix, url in layout.prefixes.items():
        root = path_of(url)
        content = list_files(root, is_own=True, skip=skip)
        problems = {problem.place: problem for problem in content.problems}
        view.skipped += sum(layout.prefix_of(prefix + name) == prefix for name in content.left_out)
        for name in [*content.files, *problems]:
            path = prefix + name
            if layout.prefix_of(path) != prefix:
                continue  # a longer prefix has the folder of this file
            if match_paths(ignore, [path]):
                view.skipped += 1
            elif name in problems:
                kind = MISSING if problems[name].kind == BROKEN_LINK else UNEXPECTED
                view.problems.append(Problem(kind, path, problems[name].message))
            else:
                view.files[path] = LocalFile(root / name, content.files[name].st_size)
    return view


def _match_pinned(view: _FolderView, manifest: Manifest) -> FolderMatch:
    """Return the files that the manifest lists."""
    known = manifest.by_path
    files = {path: file for path, file in view.files.items() if path in known}
    problems = [
        problem if problem.place in known else Problem(UNEXPECTED, problem.place, problem.message)
        for problem in view.problems
    ]
    dangling = {problem.place for problem in problems}
    problems += [
        Problem(MISSING, entry.path, f"{entry.size_bytes} bytes expected")
        for entry in manifest
        if entry.path not in files and entry.path not in dangling
    ]
    for path, file in files.items():
        expected = known[path].size_bytes
        if file.size_bytes != expected:
            message = f"{expected} bytes expected, {file.size_bytes} found"
            problems.append(Problem(CHANGED, path, message))
    problems += _foreign(view, files)
    wrong = {problem.place for problem in problems}
    return FolderMatch(
        files={path: file for path, file in files.items() if path not in wrong},
        expected={path: known[path].hash for path in files},
        problems=tuple(problems),
        skipped=view.skipped,
        examples=tuple(entry.path for entry in manifest)[:MAX_EXAMPLES],
    )


def _match_unpinned(
    descriptor: Descriptor, view: _FolderView, globs: Sequence[str], folder: DatasetFolder
) -> FolderMatch:
    """Return the files that match the globs, compared with expectations and the stored listing."""
    files = {path: view.files[path] for path in match_paths(globs, view.files)}
    problems = [*view.problems, *_foreign(view, files)]
    sizes = {path: file.size_bytes for path, file in files.items()}
    problems += [
        Problem("expected", descriptor.dataset, sentence)
        for sentence in deviations(descriptor.expected, sizes)
    ]
    problems += [
        Problem("path", path, reason) for path in files if (reason := unsafe_because(path))
    ]
    problems += clashes(files, "path")
    listed = {
        path: ListedFile(path, file.size_bytes, "", "", file.place.as_uri())
        for path, file in files.items()
    }
    fetched = read_manifest(folder.manifest) if folder.manifest.is_file() else ()
    stored = read_listing(folder.listing)
    if stored is not None:
        problems += changes(stored, listed)
    return FolderMatch(
        files=files,
        expected={entry.path: entry.hash for entry in fetched},
        problems=tuple(problems),
        skipped=view.skipped,
        examples=tuple(globs)[:MAX_EXAMPLES],
        listing=stored or new_listing(listed.values()),
    )


def _foreign(view: _FolderView, files: Mapping[str, LocalFile]) -> list[Problem]:
    """Return a problem for each file that is not of the dataset; hidden ones are only counted."""
    foreign = {path: file for path, file in view.files.items() if path not in files}
    hidden = {path for path in foreign if path.rpartition("/")[2].startswith(".")}
    view.skipped += len(hidden)
    return [
        Problem(UNEXPECTED, path, f"{file.size_bytes} bytes, not a file of the dataset")
        for path, file in foreign.items()
        if path not in hidden
    ]
