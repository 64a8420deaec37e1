"""Changes of pinned versions since a commit: what was published must not change.

The manifest of a version that was pinned at that commit, and the files beside it that its
descriptor lists, must be the same now. Words may be corrected: titles, licences, citations,
addresses.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sciml_data.errors import CallError, DescriptorError, JsonError, Problem
from sciml_data.home import parse_json
from sciml_data.progress import counted
from sciml_data.registry.descriptor import DESCRIPTOR_NAME, MANIFEST_NAME
from sciml_data.registry.layout import Registry
from sciml_data.registry.manifest import parse_manifest, unsafe_because
from sciml_data.transfer.protocols.annex import ProgramError, git, git_succeeds, require_programs

MAX_NAMED = 3  # files of a changed manifest


def changed_since(registry: Registry, reference: str) -> list[Problem]:
    """Return every change of a version that was pinned at a commit, its removal included.

    Args:
        registry: the registry as it is now, committed or not.
        reference: a commit, tag or branch of the git repository that the registry is in.

    Raises:
        CallError: git is not installed, or there is no repository or no such commit.
    """
    commit = _commit(registry.root, reference)
    tree = git(registry.root, "ls-tree", "-r", "-z", "--name-only", commit, "--", "datapackages/")
    problems: list[Problem] = []
    for path in os.fsdecode(tree).split("\0"):
        if not path.endswith(f"/{DESCRIPTOR_NAME}") or path.count("/") != 3:
            continue
        document = _parse_json(_content(registry.root, commit, path))
        if _trust(document) == "pinned":
            problems += _version_problems(registry.root, commit, path, document)
    return [
        Problem(problem.kind, problem.place, f"{problem.message} since {reference}")
        for problem in problems
    ]


def published_hashes(folder: Path) -> dict[str, str]:
    """Return the hash of each file that the newest commit has for a version, by path.

    Empty if the version was not pinned there, or is in no git repository.

    Args:
        folder: of the version.
    """
    if shutil.which("git") is None or not git_succeeds(folder, "rev-parse", "--git-dir"):
        return {}
    try:
        document = _parse_json(_content(folder, "HEAD", DESCRIPTOR_NAME))
    except ProgramError:
        return {}
    if _trust(document) != "pinned":
        return {}
    listed = {item["path"]: item.get("hash") for item in document.get("resources", ())}
    return {path: digest for path, digest in listed.items() if isinstance(digest, str)}


def _commit(root: Path, reference: str) -> str:
    """Return the id of a commit; git never takes the reference for an option."""
    require_programs("git")
    if not git_succeeds(root, "rev-parse", "--git-dir"):
        raise CallError(
            f"{root} is not in a git repository, so earlier versions are not known",
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
    root: Path, commit: str, path: str, document: Mapping[str, Any]
) -> list[Problem]:
    """Return the changes of a version; `path` is the path of its descriptor."""
    folder = path.removesuffix(f"/{DESCRIPTOR_NAME}")
    if not (root / path).is_file():
        return [Problem("published", folder, "a pinned version was removed")]
    trust = _trust(_parse_json((root / path).read_bytes()))
    problems = []
    if trust != "pinned":
        problems.append(Problem("published", path, f"trust was changed from pinned to {trust}"))
    for name in _resource_paths(document):
        place = f"{folder}/{name}"
        try:
            old = _content(root, commit, place)
        except ProgramError:
            continue  # the descriptor of that time named a file that its commit lacks
        new = (root / place).read_bytes() if (root / place).is_file() else None
        if new is None:
            problems.append(Problem("published", place, "was removed"))
        elif new != old:
            change = _manifest_change(old, new) if name == MANIFEST_NAME else "was changed"
            problems.append(Problem("published", place, change))
    return problems


def _resource_paths(document: Mapping[str, Any]) -> Iterable[str]:
    resources = document.get("resources")
    paths = [
        resource.get("path")
        for resource in (resources if isinstance(resources, list) else ())
        if isinstance(resource, dict)
    ]
    return [path for path in paths if isinstance(path, str) and not unsafe_because(path)]


def _trust(document: Mapping[str, Any]) -> object:
    block = document.get("sciml")
    return block.get("trust") if isinstance(block, dict) else None


def _manifest_change(old: bytes, new: bytes) -> str:
    """Return the number of entries of a manifest that differ, and some of their paths."""
    try:
        before, after = (parse_manifest(content.decode()).by_path for content in (old, new))
    except (DescriptorError, UnicodeDecodeError) as error:
        return f"was changed, and is not a valid manifest ({error})"
    differing = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
    if not differing:
        return "was formatted differently, with the same entries"
    names = ", ".join(differing[:MAX_NAMED])
    more = f" and {len(differing) - MAX_NAMED} more" if len(differing) > MAX_NAMED else ""
    number = counted(len(differing), "entry", "entries")
    return f"was changed in {number} ({names}{more}); a fix is a new version;"


def _content(root: Path, commit: str, path: str) -> bytes:
    return git(root, "show", f"{commit}:./{path}")


def _parse_json(content: bytes) -> dict[str, Any]:
    """Return a JSON object; {} if the content is anything else."""
    try:
        document = parse_json(content, name=DESCRIPTOR_NAME)
    except JsonError:
        return {}
    return document if isinstance(document, dict) else {}
