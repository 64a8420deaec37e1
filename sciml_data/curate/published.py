"""What was published stays: a registry held against what git has of it at another commit.

The manifest of a version that was pinned then, and the files beside it that its descriptor lists,
must be the same now. Words may be mended: titles, licences, citations, addresses.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sciml_data.errors import CallError, DescriptorError, Problem
from sciml_data.registry.descriptor import DESCRIPTOR_NAME, MANIFEST_NAME
from sciml_data.registry.layout import Registry
from sciml_data.registry.manifest import parse_manifest
from sciml_data.transfer.protocols.annex import ProgramError, git, git_succeeds, require_programs

MOST_NAMED = 3  # files of a changed manifest


def changed_since(registry: Registry, reference: str) -> list[Problem]:
    """Return every change of a version that was pinned at a commit, its removal included.

    Args:
        registry: as it lies there now, committed or not.
        reference: a commit, tag or branch of the git repository that the registry is in.

    Raises:
        CallError: there is no git, no repository, or no such commit in it.
    """
    commit = _commit(registry.root, reference)
    tree = git(registry.root, "ls-tree", "-r", "-z", "--name-only", commit, "--", "datapackages/")
    then = tree.decode().split("\0")
    problems: list[Problem] = []
    for path in (path for path in then if path.endswith(f"/{DESCRIPTOR_NAME}")):
        document = _json(_content(registry.root, commit, path))
        if path.count("/") == 3 and document.get("sciml", {}).get("trust") == "pinned":
            problems += _version_problems(registry.root, commit, path, document)
    return [Problem(one.kind, one.place, f"{one.message} since {reference}") for one in problems]


def _commit(root: Path, reference: str) -> str:
    """Return the id of a commit, so that no reference is ever taken for an option."""
    require_programs("git")
    if not git_succeeds(root, "rev-parse", "--git-dir"):
        raise CallError(
            f"{root} is in no git repository: what was published before is not known",
            untouched="nothing was compared",
            hint="git clone the registry; --since compares with its history",
        )
    try:
        name = f"{reference}^{{commit}}"
        return git(root, "rev-parse", "--verify", "--end-of-options", name).decode().split()[-1]
    except ProgramError as error:
        raise CallError(
            f"git has no commit {reference!r} in {root}",
            untouched="nothing was compared",
            hint="a clone without history lacks it: git fetch --unshallow --tags",
        ) from error


def _version_problems(
    root: Path, commit: str, path: str, document: dict[str, Any]
) -> list[Problem]:
    """Return what differs of one version; `path` is that of its descriptor."""
    folder = path.removesuffix(f"/{DESCRIPTOR_NAME}")
    if not (root / path).is_file():
        return [Problem("published", folder, "a pinned version was removed")]
    now = _json((root / path).read_bytes())
    trust = now.get("sciml", {}).get("trust")
    problems = []
    if trust != "pinned":
        problems.append(Problem("published", path, f"trust was changed from pinned to {trust}"))
    for name in _files(document):
        place = f"{folder}/{name}"
        old = _content(root, commit, place)
        new = (root / place).read_bytes() if (root / place).is_file() else None
        if new is None:
            problems.append(Problem("published", place, "was removed"))
        elif new != old:
            said = _manifest_change(old, new) if name == MANIFEST_NAME else "was changed"
            problems.append(Problem("published", place, said))
    return problems


def _files(document: dict[str, Any]) -> Iterable[str]:
    paths = [str(one["path"]) for one in document.get("resources", ())]
    return [path for path in paths if "://" not in path]


def _manifest_change(old: bytes, new: bytes) -> str:
    """Return how many entries of a manifest differ, and some of them by name."""
    try:
        before, after = (parse_manifest(one.decode()).by_path for one in (old, new))
    except (DescriptorError, UnicodeDecodeError) as error:
        return f"was changed, and is no manifest ({error})"
    differing = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
    if not differing:
        return "was written otherwise, with the same entries"
    named = ", ".join(differing[:MOST_NAMED])
    more = f" and {len(differing) - MOST_NAMED} more" if len(differing) > MOST_NAMED else ""
    return f"{len(differing)} entries were changed ({named}{more}); a mend is a new version;"


def _content(root: Path, commit: str, path: str) -> bytes:
    return git(root, "show", f"{commit}:./{path}")


def _json(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
