"""Splits that are stored in files: the members of each part, with a digest.

A split is part of a benchmark's definition. It is a list in a file and not a seed in a program, so
that two runs with the same digest are known to have used the same members.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml_data.errors import CallError, DescriptorError, JsonError, Problem, nearest
from sciml_data.home import read_json

KEYS = ("name", "strategy", "seed", "members", "digest")
SCHEMA = {
    "type": "object",
    "required": KEYS,
    "properties": {
        "name": {"type": "string"},
        "strategy": {"type": "string"},
        "seed": {"type": ["integer", "null"]},
        "members": {
            "type": "object",
            # Each part has members, in the form that its strategy asks for.
            "additionalProperties": {
                "type": ["array", "object", "string"],
                "minItems": 1,
                "minProperties": 1,
                "minLength": 1,
            },
        },
        "digest": {"type": "string"},
    },
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Split:
    """A stored split.

    Attributes:
        name: of the file, without its suffix.
        strategy: a sentence on how members were assigned to parts.
        seed: of the random assignment; None if nothing was random.
        members: part -> JSON value that names its members (ids, the ends of a period, a share).
        digest: `members_digest(members)`.
    """

    name: str
    strategy: str
    seed: int | None
    members: Mapping[str, Any]
    digest: str


def members_digest(members: Mapping[str, Any]) -> str:
    """Return `sha256:` and the hash of the members as JSON, keys sorted, without spaces."""
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"sha256:{hashlib.sha256(canonical.encode('ascii')).hexdigest()}"


def split_names(runner: Path) -> list[str]:
    """Return the sorted names of all splits in a runner's folder `runners/<benchmark>`."""
    return sorted(path.stem for path in (runner / "splits").glob("*.json"))


def load_split(runner: Path, name: str) -> Split:
    """Return a stored split, after checking its digest.

    Args:
        runner: folder `runners/<benchmark>`.
        name: of the split.

    Raises:
        CallError: no such split; the message suggests the nearest.
        DescriptorError: the file is not valid, or its members do not match the digest.
    """
    known = split_names(runner)
    if name not in known:
        raise CallError(
            f"benchmark {runner.name!r} has no split {name!r}{nearest(name, known)}; "
            f"it has {', '.join(known) or 'no splits'}",
            untouched="nothing was run",
        )
    path = runner / "splits" / f"{name}.json"
    try:
        document = read_json(path)
    except JsonError as error:
        raise DescriptorError(
            f"a split of {runner.name!r} cannot be read: {error.message}"
        ) from error
    if problems := _problems(document, name, path.name):
        raise DescriptorError(f"split {name!r} of {runner.name!r} is not valid", problems=problems)
    return Split(**{key: document[key] for key in KEYS})


def write_split(
    runner: Path, name: str, *, strategy: str, seed: int | None, members: Mapping[str, Any]
) -> Path:
    """Write a split and its digest to `<runner>/splits/<name>.json`, and return the path.

    Args:
        runner: folder `runners/<benchmark>`.
        name: of the split.
        strategy: a sentence on how members were assigned to parts.
        seed: of the random assignment; None if nothing was random.
        members: part -> JSON value that names its members.
    """
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
    import jsonschema

    if errors := list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(document)):
        # Imported here, because a split without problems needs no sentences about them.
        from sciml_data.registry.schema import schema_problems

        return [
            Problem(problem.kind, f"{place}: {problem.place}".removesuffix(": "), problem.message)
            for problem in schema_problems(errors)
        ]
    problems = []
    if document["name"] != name:
        problems.append(Problem("name", place, f"has the name {document['name']!r}"))
    if (digest := members_digest(document["members"])) != document["digest"]:
        problems.append(Problem("digest", place, f"{document['digest']} expected, {digest} found"))
    return problems
