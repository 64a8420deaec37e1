"""Cache facts about files beside them, keyed by name, size and modification time.

Everything in a cache can be computed again from the files, so a cache may be deleted at any time. A
damaged cache is replaced. If the folder is not writable, nothing is cached, without an error.
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
from sciml_data.progress import counted

Columns = dict[str, NDArray[np.generic]]  # each has a row for each file
STAT_THREADS = 16  # a network file system answers many requests at once
COMMENT = "note"  # key in a cache file: a text about all rows


@dataclass(frozen=True)
class FileStats:
    """State of files on disk.

    Attributes:
        names: file names.
        sizes: (file,) int64, bytes.
        mtimes: (file,) int64, modification times in ns.
    """

    names: tuple[str, ...]
    sizes: NDArray[np.int64]
    mtimes: NDArray[np.int64]


def stat_files(paths: Sequence[Path]) -> FileStats:
    """Return the state of files.

    Raises:
        ConversionError: files do not exist or permission is denied; `.problems` names them.
    """

    def stat(path: Path) -> tuple[int, int] | Problem:
        try:
            state = path.stat()
        except OSError as error:
            return Problem("missing", path.name, error.strerror or str(error))
        return state.st_size, state.st_mtime_ns

    with ThreadPoolExecutor(STAT_THREADS) as pool:
        results = list(pool.map(stat, paths, chunksize=64))
    problems = [result for result in results if isinstance(result, Problem)]
    if problems:
        raise ConversionError(
            f"cannot read {counted(len(problems), 'ready file')}",
            problems=problems,
            untouched="nothing was changed",
            hint="convert the dataset again: sciml-data convert ID",
        )
    pairs = np.array(results, np.int64).reshape(-1, 2)
    return FileStats(tuple(path.name for path in paths), pairs[:, 0], pairs[:, 1])


def load_rows(cache: Path, files: FileStats) -> tuple[NDArray[np.intp], Columns, str]:
    """Return the valid rows of a cache for some files.

    Args:
        cache: path of the cache, which need not exist.
        files: the files.

    Returns:
        Indices of the files that the cache has, their rows, and the comment of the cache.
    """
    columns, comment = _load_all(cache)
    if not {"names", "sizes", "changed"} <= columns.keys():
        return np.zeros(0, np.intp), {}, ""
    names, sizes, mtimes = (columns.pop(key) for key in ("names", "sizes", "changed"))
    rows = {str(name): row for row, name in enumerate(names)}
    pairs = [(number, rows[name]) for number, name in enumerate(files.names) if name in rows]
    numbers, at = np.array(pairs, np.intp).reshape(-1, 2).T
    is_same = (sizes[at] == files.sizes[numbers]) & (mtimes[at] == files.mtimes[numbers])
    numbers, at = numbers[is_same], at[is_same]
    return numbers, {name: column[at] for name, column in columns.items()}, comment


def save_rows(cache: Path, files: FileStats, columns: Columns, comment: str = "") -> None:
    """Write rows to a cache; rows of other files stay if columns and comment are the same.

    The file is written under a unique name and renamed, so that processes that write at the same
    time do not damage it. The last one wins; the rows of the others are computed again.

    Args:
        cache: path of the cache.
        files: files of the rows.
        columns: values, each with a row for each file.
        comment: text about all rows.
    """
    rows: Columns = {
        "names": np.array(files.names, np.str_),
        "sizes": files.sizes,
        "changed": files.mtimes,
        **columns,
    }
    existing, existing_comment = _load_all(cache)
    if existing.keys() == rows.keys() and existing_comment == comment:
        others = ~np.isin(existing["names"], rows["names"])
        rows = {name: np.concatenate([existing[name][others], rows[name]]) for name in rows}
    temporary = cache.with_name(f"{cache.stem}.{uuid.uuid4().hex}.unfinished")
    with contextlib.suppress(OSError):
        try:
            with temporary.open("wb") as file:
                np.savez(file, **{COMMENT: np.array(comment)}, **rows)  # type: ignore[arg-type]
            temporary.replace(cache)
        finally:
            temporary.unlink(missing_ok=True)


def _load_all(cache: Path) -> tuple[Columns, str]:
    """Return all columns and the comment of a cache; both empty if it cannot be read."""
    try:
        with cache.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            columns: Columns = {name: arrays[name] for name in arrays.files}
        return columns, str(columns.pop(COMMENT))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}, ""
