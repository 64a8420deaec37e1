"""Where a file may lie: below its folder, and reached through no link.

The paths of a manifest cannot leave their folder, but a link that somebody planted there could
lead out of it. It is refused, not followed.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sciml_data.errors import FetchError
from sciml_data.home import DatasetFolder


def find_file(root: Path, path: str) -> os.stat_result | None:
    """Return the state of what lies at a path below a folder, or None; no link is followed.

    Raises:
        FetchError: a folder on the way is a link or a file.
    """
    place = root
    *folders, name = path.split("/")
    for folder in folders:
        place /= folder
        if (state := _state(place)) is None:
            return None
        _refuse_unless_folder(place, state)
    return _state(place / name)


def make_place(root: Path, path: str) -> Path:
    """Make the folders on the way to a path below a folder, and return where the file goes.

    Raises:
        FetchError: one of them is a link or a file.
    """
    if _state(root) is None:  # looking is cheaper than making what is there
        root.mkdir(parents=True, exist_ok=True)
    place = root
    *folders, name = path.split("/")
    for folder in folders:
        place /= folder
        place.mkdir(exist_ok=True) if _state(place) is None else None
        _refuse_unless_folder(place, place.lstat())
    return place / name


def quarantine(folder: DatasetFolder, wrong: Path, path: str, *, what: str) -> Path:
    """Move a wrong file away and return where to; nothing is deleted.

    Args:
        folder: of the dataset.
        wrong: where the file lies, on the same file system.
        path: its path in the manifest.
        what: it was, e.g. its hash; becomes the end of its name.
    """
    suffix = "".join(c if c.isalnum() else "-" for c in what)
    target = make_place(folder.quarantine, f"{path}.{suffix}")
    wrong.replace(target)
    return target


def _state(place: Path) -> os.stat_result | None:
    try:
        return place.lstat()
    except FileNotFoundError:
        return None


def _refuse_unless_folder(place: Path, state: os.stat_result) -> None:
    if not stat.S_ISDIR(state.st_mode):
        what = "a link" if stat.S_ISLNK(state.st_mode) else "a file"
        raise FetchError(f"{place} is {what} where a folder has to be; it is not followed")
