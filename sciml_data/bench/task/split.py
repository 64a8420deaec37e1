"""A split: which members belong to which part, stored with a digest.

A split is part of a benchmark's definition. It is a list in a file, not a seed in a program, so
that two runs which name the same split can be shown to have used the same members.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml_data.errors import CallError, DescriptorError, Problem, nearest

KEYS = ("name", "strategy", "seed", "members", "digest")


@dataclass(frozen=True)
class Split:
    """A stored split.

    Attributes:
        name: the file's name without its suffix.
        strategy: a sentence that says how members were assigned.
        seed: what the assignment was drawn with; None where nothing was drawn.
        members: part -> whatever names its members (ids, or the ends of a period).
        digest: `members_digest(members)`.
    """

    name: str
    strategy: str
    seed: int | None
    members: Mapping[str, Any]
    digest: str


def members_digest(members: Mapping[str, Any]) -> str:
    """Return `sha256:` and the hash of the members as JSON, keys sorted, without blanks."""
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"sha256:{hashlib.sha256(canonical.encode('ascii')).hexdigest()}"


def split_names(runner: Path) -> list[str]:
    """Return the names of all splits stored in a runner's folder, sorted."""
    return sorted(path.stem for path in (runner / "splits").glob("*.json"))


def load_split(runner: Path, name: str) -> Split:
    """Return a stored split whose members are those its digest was made of.

    Args:
        runner: folder `runners/<benchmark>`.
        name: the split's name.

    Raises:
        CallError: there is no split of this name; the nearest is suggested.
        DescriptorError: the file breaks the form, or its members are not those of the digest.
    """
    known = split_names(runner)
    if name not in known:
        raise CallError(
            f"benchmark {runner.name!r} has no split {name!r}{nearest(name, known)}; "
            f"it has {', '.join(known) or 'none'}",
            untouched="nothing was run",
        )
    path = runner / "splits" / f"{name}.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DescriptorError(f"split {path.name} is not JSON: {error}") from error
    if problems := _problems(document, name, path.name):
        raise DescriptorError(f"split {name!r} of {runner.name!r} is not sound", problems=problems)
    return Split(**{key: document[key] for key in KEYS})


def write_split(
    runner: Path, name: str, *, strategy: str, seed: int | None, members: Mapping[str, Any]
) -> Path:
    """Store a split with its digest; members are one to a line where they are a list."""
    document = {
        "name": name,
        "strategy": strategy,
        "seed": seed,
        "members": members,
        "digest": members_digest(members),
    }
    path = runner / "splits" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return path


def _problems(document: Any, name: str, place: str) -> list[Problem]:
    if not isinstance(document, dict):
        return [Problem("form", place, "an object is expected")]
    problems = [
        Problem("unknown", f"{place}: {key}", f"no such key{nearest(key, KEYS)}")
        for key in document
        if key not in KEYS
    ]
    missing = [key for key in KEYS if key not in document]
    problems += [Problem("missing", f"{place}: {key}", "is required") for key in missing]
    if missing:
        return problems
    if document["name"] != name:
        problems.append(Problem("name", place, f"calls itself {document['name']!r}"))
    members = document["members"]
    if not isinstance(members, dict) or not all(members.values()):
        return [*problems, Problem("members", place, "every part needs members")]
    if (found := members_digest(members)) != document["digest"]:
        problems.append(Problem("digest", place, f"{document['digest']} expected, {found} found"))
    return problems
