"""`verification.json`: what checks found of a submission, beside the records and not in them.

A record's digest stands in its log and in the manifest, so a state written into the record would
break both; and a verdict is not the submitter's to give. The file is bound to the manifest's
digest: of a tree that has changed since, nothing is verified. It is no proof by itself, as anybody
can write it: it says what the commands found where they were run, and they can be run again.

States, each of which needs what the one before it needs:

* `unchecked`: nothing is known;
* `self_checked`: `submit check` found nothing wrong;
* `rescored`: `rescore` computed every score again from the stored predictions;
* `reproduced`: `submit compare` found another run of the same settings within tolerance.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sciml_data import __version__
from sciml_data.home import write_atomically
from sciml_data.registry.manifest import hash_file
from sciml_data.results.submission.names import MANIFEST, VERIFICATION

STATES = ("unchecked", "self_checked", "rescored", "reproduced")
CHECKS = {"submit check": "self_checked", "rescore": "rescored", "submit compare": "reproduced"}
SCHEMA_VERSION = "1.0"


def states(root: Path) -> dict[str, str]:
    """Return the state of each record's file, where the tree was checked as it is now."""
    return {name: str(block["state"]) for name, block in _load(root).items()}


def state_of(root: Path) -> str:
    """Return the lowest state of a submission's records."""
    found = [*states(root).values()]
    return min(found, key=STATES.index) if found else STATES[0]


def mark(root: Path, check: str, outcomes: Mapping[str, tuple[bool, str]]) -> dict[str, str]:
    """Write what a check found of each record, and return their states.

    Args:
        root: the submission's folder.
        check: one of `CHECKS`; what was found by it before is replaced.
        outcomes: name of the record's file -> (whether it is well, sentence).
    """
    kept = _load(root)
    records = {}
    for name, (ok, message) in sorted(outcomes.items()):
        others = [one for one in kept.get(name, {}).get("checks", []) if one["name"] != check]
        found = [*others, {"name": check, "ok": ok, "message": message}]
        records[name] = {"state": _state(found), "checks": sorted(found, key=_order)}
    document = {
        "schema_version": SCHEMA_VERSION,
        "checked_with": f"sciml-data {__version__}",
        "manifest_digest": hash_file(root / MANIFEST),
        "records": {**kept, **records},
    }
    write_atomically(root / VERIFICATION, json.dumps(document, indent=2, allow_nan=False) + "\n")
    return states(root)


def _state(checks: list[dict[str, Any]]) -> str:
    """Return the highest state whose check passed, and every one before it."""
    passed = {one["name"] for one in checks if one["ok"]}
    failed = {one["name"] for one in checks if not one["ok"]}
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
    """Return the checks of each record; none where the file is not ours or the tree has changed."""
    try:
        document = json.loads((root / VERIFICATION).read_text(encoding="utf-8"))
        is_of_this = document["manifest_digest"] == hash_file(root / MANIFEST)
        records = dict(document["records"]) if is_of_this else {}
        return {
            name: {"state": _state(block["checks"]), "checks": block["checks"]}
            for name, block in records.items()
            if {one["name"] for one in block["checks"]} <= {*CHECKS}
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
