"""Take a folder that a user already has as the native files of a dataset.

Some datasets come by a way of their own (Globus, a disk in the post, a DataLad clone), and nobody
copies 500 GB without need. So the files get a second name in the home, a hard link: no byte is
copied, and a file in the home is a regular file like any other, for nothing in the home follows
symbolic links (one that somebody planted could lead anywhere). Where a hard link cannot be, a copy
can be asked for.

find    which files of a folder are the dataset's, and which are not
bring   a second name or a copy of each, hashed; what was hashed stands after a kill

Nothing lies in `native/` before every file is found right: until then all is in `partial/adopt/`.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from sciml_data.errors import CallError, Problem, VerificationError
from sciml_data.home import DatasetFolder, Home, publish, write_atomically
from sciml_data.progress import Log, Progress, format_bytes
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.manifest import Entry, Manifest
from sciml_data.registry.stages import Fetched
from sciml_data.transfer.adoption.bring import Bringing, bring
from sciml_data.transfer.adoption.matching import Found, find_files
from sciml_data.transfer.download.asked import ASKED_NAME
from sciml_data.transfer.listing.listing import keep_listing
from sciml_data.transfer.verification import CHANGED, UNEXPECTED, load_fetched

STAGING = "adopt"  # below `partial/`
MOST_TOLD = 5  # problems, before hours of reading; all of them after it


def adopt(  # noqa: PLR0913 - what, from where, how, and two ways to talk
    descriptor: Descriptor,
    home: Home,
    source: Path,
    *,
    copy: bool = False,
    ignore: Sequence[str] = (),
    jobs: int = 2,
    log: Log | None = None,
    progress: Progress | None = None,
) -> Fetched:
    """Return the files of a folder as those of a version, once every byte was read and is right.

    A pinned version is held against its manifest. Of an unpinned one the files are held against
    what is expected, and their hashes and listing are kept in the home: from then on any other is
    an error, as after `get`.

    Args:
        descriptor: of a version with files.
        home: where the dataset will lie.
        source: folder with the files, laid out as the dataset or as one of its mirrors.
        copy: copy the files; else they get a second name (a hard link).
        ignore: globs of files in the folder that are not the dataset's, and are left.
        jobs: files to read at once.
        log: is told what is found before it is read.
        progress: is told of (bytes read, bytes to read).

    Raises:
        CallError: the folder cannot be adopted, or the version is here already.
        VerificationError: files are missing, changed, or not the dataset's; `.problems` has each,
            and nothing was adopted.
        NoSpaceError: the disk does not hold a copy.
        LockedError: another process works in the dataset's folder.
    """
    tell = log or (lambda _: None)
    root = _folder_to_adopt(descriptor, home, source)
    folder = home.dataset(descriptor.dataset, descriptor.version)
    with folder.lock(f"adopt {root}"):
        _refuse_what_is_here(descriptor, folder)
        found = find_files(descriptor, root, folder, ignore=ignore, skip=home.root)
        _tell_found(found, tell, root)
        bringing = Bringing(DatasetFolder(folder.partial / STAGING), found.wanted, copy, jobs)
        hashes, wrong = bring(found.files, bringing, progress)
        problems = sorted([*found.problems, *wrong], key=lambda one: (one.place, one.kind))
        if problems:
            raise _failure(descriptor, root, problems)
        _publish(folder, found, hashes)
    return load_fetched(descriptor, folder)


def _folder_to_adopt(descriptor: Descriptor, home: Home, source: Path) -> Path:
    """Return the folder, without links in its path.

    Raises:
        CallError: there is none, or it is not one to adopt.
    """
    name = f"{descriptor.dataset} {descriptor.version}"
    wrong = ""
    root = source.expanduser().resolve()
    if descriptor.live is not None:
        wrong = f"{name} has no files to adopt: a service is asked for a period"
    elif not root.exists():
        wrong = f"there is no folder {source}"
    elif not root.is_dir():
        wrong = f"{source} is a file; the folder with the files of {name} is expected"
    elif root.is_relative_to(home.root):
        wrong = f"{source} lies in the home {home.root}: what is there is no folder of a user's"
    elif not any(root.iterdir()):
        wrong = f"{source} is empty"
    if wrong:
        raise CallError(wrong, untouched="nothing was adopted")
    return root


def _refuse_what_is_here(descriptor: Descriptor, folder: DatasetFolder) -> None:
    if not folder.native.exists():
        return
    count = sum(path.is_file() for path in folder.native.rglob("*"))
    if count == 0:
        shutil.rmtree(folder.native)
        return
    name = f"{descriptor.dataset} --version {descriptor.version}"
    raise CallError(
        f"{descriptor.dataset} {descriptor.version} is here already: {count} files in "
        f"{folder.native}",
        untouched="nothing was adopted",
        hint=f"sciml-data verify {name} says whether it is whole; sciml-data get {name} "
        f"--mirror file:DIR adds what lacks, as a copy. To start over, move {folder.root} away",
    )


def _tell_found(found: Found, tell: Log, root: Path) -> None:
    """Say what is there before hours of reading, and what is wrong already.

    Raises:
        CallError: no file is the dataset's.
    """
    if not found.files and CHANGED not in {problem.kind for problem in found.problems}:
        expected = ", ".join(found.looked_for)
        raise CallError(
            f"no file in {root} is one of the dataset's; {expected} are looked for",
            problems=found.problems,
            untouched="nothing was adopted",
            hint="name the folder that holds these",
        )
    total = format_bytes(sum(one.size_bytes for one in found.files.values()))
    tell(f"{len(found.files)} files of the dataset are in {root}, {total}")
    if found.problems:
        tell(f"{len(found.problems)} things are wrong already, and what can be read is read:")
        for problem in found.problems[:MOST_TOLD]:
            tell(f"  {problem}")
    if found.left:
        tell(f"{found.left} files that are hidden or ignored are left where they are")


def _publish(folder: DatasetFolder, found: Found, hashes: dict[str, str]) -> None:
    """Put all files in their place in one step; notes come first, for they say what belongs there.

    After a kill in between nothing is in `native/`, and the same call goes on.
    """
    staging = DatasetFolder(folder.partial / STAGING)
    if found.listing is not None:
        keep_listing(found.listing, folder.listing)
        entries = (Entry(path, one.size_bytes, hashes[path]) for path, one in found.files.items())
        write_atomically(folder.manifest, Manifest(tuple(sorted(entries))).dump())
    (folder.root / ASKED_NAME).unlink(missing_ok=True)  # all of it is here
    if staging.stat_cache.is_file():
        publish(staging.stat_cache, folder.stat_cache)
    publish(staging.native, folder.native)
    shutil.rmtree(staging.root)
    if not any(folder.partial.iterdir()):
        folder.partial.rmdir()


def _failure(descriptor: Descriptor, root: Path, problems: Sequence[Problem]) -> VerificationError:
    strange = any(problem.kind == UNEXPECTED for problem in problems)
    leave = "; --ignore GLOB leaves files that are not the dataset's where they are"
    return VerificationError(
        f"{root} is not {descriptor.dataset} {descriptor.version}: {len(problems)} things differ",
        problems=problems,
        done="what was read is remembered, and not read again while it is unchanged",
        untouched="nothing was adopted",
        hint="mend the folder, and adopt it again" + (leave if strange else ""),
    )
