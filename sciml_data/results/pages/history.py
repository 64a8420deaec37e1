"""Whether published numbers were measured with code of this checkout's history.

A record names the commit of its code. If a branch was rebased after the run, that commit is in
nobody else's clone, so nobody can read or run the code behind the number.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sciml_data.bench.record.record import SHORT_ID
from sciml_data.errors import CallError, JsonError, Problem
from sciml_data.home import read_json
from sciml_data.results.pages.script_tables import TABLE_NAME
from sciml_data.results.pages.stored import result_set_names
from sciml_data.results.submission.collection import is_submission
from sciml_data.results.submission.record_checks import run_git


def history_problems(results: Path) -> Iterator[Problem]:
    """Yield stored records and tables of scripts with a commit that is not in the history of HEAD.

    Nothing is yielded if the folder is not in a full clone of this software. Submissions may be of
    other clones, and are not read. A file that cannot be read is left to the other checks.
    """
    if (known := _commits_of_history(results)) is None:
        return
    names = [name for name in result_set_names(results) if not is_submission(results / name)]
    files = [path for name in names for path in sorted((results / name).glob("record-*.json"))]
    for path in [*files, *sorted(results.rglob(TABLE_NAME))]:
        commit = _commit(path)
        if commit and commit not in known:
            place = path.relative_to(results).as_posix()
            message = (
                f"commit {commit[:SHORT_ID]} is not in the history of this checkout: measure again "
                "at a commit that is, and that stays"
            )
            yield Problem("history", place, message)


def _commits_of_history(results: Path) -> set[str] | None:
    """Return all commits up to HEAD; None if the folder is not in a full clone of this software."""
    try:
        root = Path(run_git(results, "rev-parse", "--show-toplevel").strip())
        is_shallow = run_git(root, "rev-parse", "--is-shallow-repository").strip() != "false"
        if is_shallow or not (root / "sciml_data" / "__init__.py").is_file():
            return None
        return set(run_git(root, "rev-list", "HEAD").split())
    except CallError:  # no git, no checkout, or one without a commit
        return None


def _commit(path: Path) -> str | None:
    try:
        document: Any = read_json(path)
        return str(document["code"]["commit"] or "") or None
    except (JsonError, LookupError, TypeError):
        return None
