"""Rows about files, kept beside them: looked up by name, size and time of change.

What is kept can be made anew from the files, so it may be removed at any time, a store that cannot
be read is made again, and a folder that cannot be written to is no error: then nothing is kept.
"""

from __future__ import annotations

import contextlib
import uuid
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import ConversionError, Problem

Columns = dict[str, NDArray[np.generic]]  # each with one row for each file
STAT_THREADS = 16  # a network's file system answers many at once
NOTE = "note"  # the one column that is said once for all rows


@dataclass(frozen=True)
class Identities:
    """Files as they are now: (file,) arrays of name, bytes, and nanoseconds of the last change."""

    names: tuple[str, ...]
    sizes: NDArray[np.int64]
    changed: NDArray[np.int64]


def identify(paths: Sequence[Path]) -> Identities:
    """Return what tells files from others of the same name.

    Raises:
        ConversionError: `.problems` names those that are not there.
    """

    def look(path: Path) -> tuple[int, int] | Problem:
        try:
            found = path.stat()
        except OSError as error:
            return Problem("missing", path.name, error.strerror or str(error))
        return found.st_size, found.st_mtime_ns

    with ThreadPoolExecutor(STAT_THREADS) as pool:
        looked = list(pool.map(look, paths, chunksize=64))
    problems = [found for found in looked if isinstance(found, Problem)]
    if problems:
        raise ConversionError(f"{len(problems)} ready files cannot be read", problems=problems)
    pairs = np.array(looked, np.int64).reshape(-1, 2)
    return Identities(tuple(path.name for path in paths), pairs[:, 0], pairs[:, 1])


def load(store: Path, files: Identities) -> tuple[NDArray[np.intp], Columns, str]:
    """Return what a store knows: numbers of the files it has, their rows, and its note."""
    columns, note = _load_all(store)
    if not {"names", "sizes", "changed"} <= columns.keys():
        return np.zeros(0, np.intp), {}, ""
    names, sizes, changed = (columns.pop(key) for key in ("names", "sizes", "changed"))
    rows = {str(name): row for row, name in enumerate(names)}
    pairs = [(number, rows[name]) for number, name in enumerate(files.names) if name in rows]
    found = np.array(pairs, np.intp).reshape(-1, 2)
    numbers, at = found[:, 0], found[:, 1]
    is_same = (sizes[at] == files.sizes[numbers]) & (changed[at] == files.changed[numbers])
    numbers, at = numbers[is_same], at[is_same]
    return numbers, {name: column[at] for name, column in columns.items()}, note


def keep(store: Path, files: Identities, columns: Columns, note: str = "") -> None:
    """Write rows into a store, beside those of other files that it has; if that is allowed."""
    mine: Columns = {
        "names": np.array(files.names, np.str_),
        "sizes": files.sizes,
        "changed": files.changed,
        **columns,
    }
    others, kept_note = _load_all(store)
    if others.keys() == mine.keys() and kept_note == note:
        left = ~np.isin(others["names"], mine["names"])
        mine = {name: np.concatenate([others[name][left], mine[name]]) for name in mine}
    temporary = store.with_name(f"{store.stem}.{uuid.uuid4().hex}.unfinished")
    with contextlib.suppress(OSError):
        try:
            with temporary.open("wb") as file:
                np.savez(file, **{NOTE: np.array(note)}, **mine)  # type: ignore[arg-type]
            temporary.replace(store)
        finally:
            temporary.unlink(missing_ok=True)


def _load_all(store: Path) -> tuple[Columns, str]:
    """Return all columns of a store and its note; none where it cannot be read."""
    try:
        with store.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            columns: Columns = {name: kept[name] for name in kept.files}
        return columns, str(columns.pop(NOTE))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}, ""
