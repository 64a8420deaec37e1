"""Find the runs and submissions that a board or a site shows; a broken one costs only itself.

Runs come from a home, from single folders, or from anywhere below a folder. Whoever sent a folder
may be a stranger, so a record that does not hold is left out, named and counted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sciml_data.bench.record.record import RECORD_NAME, load_record
from sciml_data.bench.record.runs import NO_RUN_LEFT, find_run, stored_runs
from sciml_data.errors import Problem, RecordError
from sciml_data.home import Home
from sciml_data.registry.layout import Registry
from sciml_data.results.board.published import published_rows
from sciml_data.results.board.row import Row
from sciml_data.results.board.rows import board_rows
from sciml_data.results.submission.layout import TERMS
from sciml_data.results.submission.verification import StoredRun, packed_runs


def is_submission(folder: Path) -> bool:
    """Return whether a folder is a packed submission, or claims to be one.

    Terms that are a link or a pipe count, so that the check of the folder names them.
    """
    return os.path.lexists(folder / TERMS) and not (folder / TERMS).is_dir()


def find_submissions(folder: Path) -> list[Path]:
    """Return the folders of all submissions in a folder (or the folder itself), sorted."""
    return sorted(path.parent for path in folder.rglob(TERMS) if is_submission(path.parent))


def collect(home: Home, names: Sequence[str] = ()) -> tuple[list[StoredRun], list[Problem]]:
    """Return runs, and why other runs and submissions are left out.

    Args:
        home: where runs are looked up, and all of its runs are returned if `names` is empty.
        names: runs (folder, name, id, `latest`), or folders that have runs or submissions at any
            depth.

    Returns:
        (runs, a problem for each folder that is left out).

    Raises:
        CallError: no such run.
        RecordError: all folders that `names` gives are left out; `.problems` has each.
    """
    if not names:
        runs, problems = stored_runs(home)
        stored = [StoredRun(folder / RECORD_NAME, record) for folder, record in runs]
        return _each_once(stored, problems), problems
    found: list[StoredRun] = []
    problems = []
    for folder in _folders(home, names, problems):
        try:
            found += packed_runs(folder) if is_submission(folder) else [_run(folder)]
        except RecordError as error:
            problems.append(Problem("record", folder.name, error.first_line))
    if problems and not found:
        raise RecordError(
            NO_RUN_LEFT,
            problems=problems,
            untouched="nothing was written",
            hint="`sciml-data submit check FOLDER` lists all problems of a submission",
        )
    return _each_once(found, problems), problems


@dataclass(frozen=True)
class Board:
    """What a board shows.

    Attributes:
        rows: in their order.
        runs: number of runs of the chosen benchmarks.
        omitted: number of runs that are not on the board: not successful, or a later run with a
            seed that ran before.
        left_out: runs and submissions that are not valid, with the reason.
    """

    rows: tuple[Row, ...]
    runs: int
    omitted: int
    left_out: tuple[Problem, ...]


def make_board(
    registry: Registry, home: Home, names: Sequence[str] = (), *, benchmark: str | None = None
) -> Board:
    """Return a board of all runs in a home, or of named runs, submissions and folders.

    Args:
        registry: has the published figures.
        home: of the runs.
        names: see `collect`.
        benchmark: name; None shows all benchmarks.

    Raises:
        CallError: no such run.
        RecordError: all named runs are left out.
    """
    invalid: list[Problem] = []
    runs, left_out = collect(home, names)
    used = registry.benchmarks_with(run.record["benchmark"]["name"] for run in runs)
    published = published_rows(registry, [benchmark] if benchmark else used, left_out=invalid)
    runs = [run for run in runs if benchmark in {None, run.record["benchmark"]["name"]}]
    rows = board_rows(
        [run.record for run in runs],
        published,
        submitters={run.record["run_id"]: run.organisation for run in runs if run.organisation},
    )
    on_board = {run_id for row in rows for run_id in row.made_by.run_ids}
    return Board(tuple(rows), len(runs), len(runs) - len(on_board), (*invalid, *left_out))


def _each_once(runs: Sequence[StoredRun], problems: list[Problem]) -> list[StoredRun]:
    """Return the first record of each run id; add others, so that a copy never counts twice."""
    first: dict[str, StoredRun] = {}
    for run in runs:
        known = first.setdefault(run.record["run_id"], run)
        if known is not run:
            place = known.path.parent.name
            is_equal = known.record["record_digest"] == run.record["record_digest"]
            message = f"a copy of {place}" if is_equal else f"another record of the run in {place}"
            problems.append(Problem("duplicate", run.path.parent.name, message))
    return list(first.values())


def _run(folder: Path) -> StoredRun:
    return StoredRun(folder / RECORD_NAME, load_record(folder))


def _folders(home: Home, names: Sequence[str], problems: list[Problem]) -> Iterator[Path]:
    """Yield the folders of runs and submissions, each once; add runs that are passed over."""
    known: set[Path] = set()
    for name in names:
        below = _below(Path(name).expanduser())
        for folder in below or [find_run(home, name, on_left_out=problems.append)]:
            place = folder.resolve()
            if place not in known:
                known.add(place)
                yield place


def _below(path: Path) -> list[Path]:
    """Return the folders of runs and submissions below a folder that is not a run itself."""
    if not path.is_dir() or os.path.lexists(path / RECORD_NAME):
        return []
    return [*sorted(record.parent for record in path.rglob(RECORD_NAME)), *find_submissions(path)]
