"""The records of packed submissions, as boards and sites show them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml_data.errors import RecordError
from sciml_data.results.submission.tree import read_tree
from sciml_data.results.submission.verification import STATES, states


@dataclass(frozen=True)
class Packed:
    """One run of a submission.

    Attributes:
        path: file of the record.
        record: with the state that checks found of it here, whatever it says of itself.
        organisation: who submits.
    """

    path: Path
    record: dict[str, Any]
    organisation: str


def packed_runs(root: Path) -> Iterator[Packed]:
    """Yield the runs of a submission.

    Raises:
        RecordError: the folder is not sound; `.problems` has every place.
    """
    tree = read_tree(root)
    if tree.problems or tree.terms is None:
        raise RecordError(f"{root.name} is not sound", problems=tree.problems)
    checked = states(root)
    for name, record in tree.named_records.items():
        state = {**record["verification"], "state": checked.get(name, STATES[0])}
        shown = {**record, "verification": state}
        yield Packed(tree.root / name, shown, str(tree.terms["org"]))
