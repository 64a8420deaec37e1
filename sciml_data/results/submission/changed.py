"""Which submissions a pull request touches: what a checkout's git says, never its files' words."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sciml_data.errors import CallError, Problem
from sciml_data.results.submission.names import TERMS, VERIFICATION

GIT_TIMEOUT_S = 60


@dataclass(frozen=True)
class Changed:
    """What lies between a commit and the checkout.

    Attributes:
        folders: submissions with a file that was added, changed or removed.
        problems: what no pull request may do: change or remove what was merged before.
        verdicts: folders whose `verification.json` came with the change.
    """

    folders: tuple[Path, ...]
    problems: tuple[Problem, ...]
    verdicts: tuple[Path, ...]


def changed_since(folder: Path, base: str) -> Changed:
    """Return the submissions below a folder that differ from a commit.

    Args:
        folder: in a git checkout.
        base: a commit, branch or tag; what is compared is where the two parted.

    Raises:
        CallError: it is no checkout, or there is no such commit.
    """
    if base.startswith("-"):
        raise CallError(f"{base!r} is no name of a commit", untouched="nothing was checked")
    root = Path(_git(folder, "rev-parse", "--show-toplevel").strip())
    start = _git(root, "merge-base", base, "HEAD").strip()
    listed = _git(
        root, "diff", "--name-only", "--no-renames", "-z", start, "--", str(folder.resolve())
    )
    paths = [PurePosixPath(name) for name in listed.split("\0") if name]
    before = _submissions_at(root, start)
    folders: dict[PurePosixPath, bool] = {}
    problems: list[Problem] = []
    verdicts: list[Path] = []
    for path in paths:
        home = _home_of(path, root, before)
        if home is None:
            continue
        folders.setdefault(home, (root / home / TERMS).is_file())
        if path == home / VERIFICATION:
            verdicts.append(root / home)
        elif home in before:
            message = "was merged before: a new result is a new descriptor"
            problems.append(Problem("published", str(path), message))
    there = tuple(root / home for home, is_there in sorted(folders.items()) if is_there)
    return Changed(there, tuple(problems), tuple(verdicts))


def _home_of(path: PurePosixPath, root: Path, before: set[PurePosixPath]) -> PurePosixPath | None:
    """Return the submission's folder that a file belongs to, now or before."""
    for parent in path.parents:
        if parent in before or (root / parent / TERMS).is_file():
            return parent
    return None


def _submissions_at(root: Path, commit: str) -> set[PurePosixPath]:
    listed = _git(root, "ls-tree", "-r", "--name-only", "-z", commit)
    paths = (PurePosixPath(name) for name in listed.split("\0") if name)
    return {path.parent for path in paths if path.name == TERMS}


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - no shell; names after `--` or of a commit
            ["git", "-C", str(folder), *words],  # noqa: S607 - whichever git the user has
            check=True,
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except subprocess.CalledProcessError as error:
        raise CallError(f"git {words[0]}: {error.stderr.strip()}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CallError(f"git could not be asked: {error}") from error
    return done.stdout
