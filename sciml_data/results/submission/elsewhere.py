"""Runs that another submission has already: one run counts once, whoever sends it again."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sciml_data.errors import Problem
from sciml_data.results.submission.tree import find_submissions

Known = Mapping[str, list[Path]]


def runs_below(folder: Path) -> Known:
    """Return where each run below a folder lies: run id, and digest of predictions -> folders."""
    known = defaultdict(list)
    for root in find_submissions(folder):
        for path in sorted(root.glob("record-*.json")):
            for mark in _marks_of_file(path):
                known[mark].append(root.resolve())
    return known


def elsewhere_problems(
    records: Mapping[str, Mapping[str, Any]], root: Path, known: Known
) -> Iterator[Problem]:
    """Yield each record whose run another submission has.

    Args:
        records: name of the file -> record.
        root: folder of this submission, resolved.
        known: what `runs_below` found.
    """
    for name, record in records.items():
        others = {path for mark in _marks(record) for path in known.get(mark, []) if path != root}
        for other in sorted(others):
            place = "/".join(other.parts[-4:])
            yield Problem("duplicate", name, f"{place} has this run, or its predictions")


def _marks_of_file(path: Path) -> list[str]:
    """Return the marks of a record that nobody has checked; none where it is not sound."""
    if path.is_symlink():
        return []
    try:
        return _marks(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return []


def _marks(record: Mapping[str, Any]) -> list[str]:
    predictions = record["outputs"].get("predictions", {}).get("sha256")
    return [str(mark) for mark in (record["run_id"], predictions) if mark]
