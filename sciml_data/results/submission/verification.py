"""`verification.json`: the results of checks of a submission, and its records with their states.

The states are beside the records, not in them: the log and the manifest contain the digest of each
record, so a state written into it would break both. And a verdict is not the submitter's to give.
The file names the digest of the manifest it belongs to: if the folder has changed since, no state
counts. The file is not a proof, as anybody can write it. It says what the commands found where
they were run, and they can be run again.

States, each of which requires the one before it:

* `unchecked`: nothing is known;
* `self_checked`: `submit check` found nothing wrong;
* `rescored`: `rescore` computed every score again from the stored predictions;
* `reproduced`: `submit compare` found another run of the same settings within tolerance.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml_data import __version__
from sciml_data.errors import JsonError, RecordError
from sciml_data.home import read_json, write_atomically
from sciml_data.registry.manifest import hash_file
from sciml_data.results.board.summary import STATES
from sciml_data.results.submission.layout import MANIFEST, VERIFICATION, read_tree

CHECKS = {"submit check": "self_checked", "rescore": "rescored", "submit compare": "reproduced"}
SCHEMA_VERSION = "1.0"


@dataclass(frozen=True)
class StoredRun:
    """A run of a home or of a submission.

    Attributes:
        path: file of the record.
        record: in a submission, its state is the one that checks found here, not the one it claims.
        organisation: of the submitter; None for a run of a home.
    """

    path: Path
    record: dict[str, Any]
    organisation: str | None = None


def states(root: Path) -> dict[str, str]:
    """Return name of each record's file -> its state; empty if the folder has changed since."""
    return {name: str(block["state"]) for name, block in _load(root).items()}


def state_of(root: Path) -> str:
    """Return the lowest state of a submission's records."""
    return min(states(root).values(), key=STATES.index, default=STATES[0])


def mark(root: Path, check: str, outcomes: Mapping[str, tuple[bool, str]]) -> dict[str, str]:
    """Write the results of a check, and return the states of the records.

    Args:
        root: the submission's folder.
        check: one of `CHECKS`; its earlier results are replaced.
        outcomes: name of the record's file -> (whether it passed, message).
    """
    before = _load(root)
    records = {}
    for name, (ok, message) in sorted(outcomes.items()):
        earlier = before.get(name, {}).get("checks", [])
        checks = [result for result in earlier if result["name"] != check]
        checks.append({"name": check, "ok": ok, "message": message})
        records[name] = {"state": _state(checks), "checks": sorted(checks, key=_order)}
    document = {
        "schema_version": SCHEMA_VERSION,
        "checked_with": f"sciml-data {__version__}",
        "manifest_digest": hash_file(root / MANIFEST),
        "records": {**before, **records},
    }
    write_atomically(root / VERIFICATION, json.dumps(document, indent=2, allow_nan=False) + "\n")
    return states(root)


def _state(checks: list[dict[str, Any]]) -> str:
    """Return the highest state whose check passed, as did every check before it."""
    passed = {result["name"] for result in checks if result["ok"]}
    failed = {result["name"] for result in checks if not result["ok"]}
    state = STATES[0]
    for name, reached in CHECKS.items():
        if name in failed:
            break
        if name in passed:
            state = reached
    return state if "submit check" in passed else STATES[0]


def _order(check: Mapping[str, Any]) -> int:
    return list(CHECKS).index(check["name"])


def _load(root: Path) -> dict[str, dict[str, Any]]:
    """Return the checks of each record; empty if the file is invalid or the folder has changed."""
    try:
        document = read_json(root / VERIFICATION)
        is_current = document["manifest_digest"] == hash_file(root / MANIFEST)
        records = dict(document["records"]) if is_current else {}
        return {
            name: {"state": _state(block["checks"]), "checks": block["checks"]}
            for name, block in records.items()
            if {result["name"] for result in block["checks"]} <= {*CHECKS}
        }
    except (OSError, JsonError, ValueError, TypeError, LookupError, AttributeError):
        return {}


def packed_runs(root: Path) -> Iterator[StoredRun]:
    """Yield the runs of a submission.

    Raises:
        RecordError: the folder is invalid; `.problems` has every place.
    """
    tree = read_tree(root)
    if tree.problems or tree.terms is None:
        raise RecordError(f"{root.name} is invalid", problems=tree.problems)
    checked = states(root)
    for name, record in tree.named_records.items():
        verification = {**record["verification"], "state": checked.get(name, STATES[0])}
        with_state = {**record, "verification": verification}
        yield StoredRun(tree.root / name, with_state, str(tree.terms["org"]))
