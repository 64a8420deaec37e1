"""Records and tables of a commit that a full clone does not have are problems."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sciml_data.results.pages import add_runs, history_problems
from tests.results.pages.test_stored import run

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, message: str) -> str:
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout of two commits that looks like this software, with an empty results/."""
    root = tmp_path / "checkout"
    (root / "sciml_data").mkdir(parents=True)
    (root / "sciml_data" / "__init__.py").touch()
    (root / "results").mkdir()
    git(root, "init", "--quiet")
    commit(root, "first")
    commit(root, "second")
    return root


def store(results: Path, commit: str) -> None:
    places: dict[str, Any] = {"code/commit": commit}
    add_runs([run(0, **places)], name="small", results=results)
    table = results / "toy" / "draws" / "table.json"
    table.parent.mkdir()
    table.write_text(json.dumps({"code": {"commit": commit}}))


def test_a_commit_before_head_is_no_problem(checkout: Path) -> None:
    store(checkout / "results", git(checkout, "rev-parse", "HEAD~1"))

    assert list(history_problems(checkout / "results")) == []


def test_a_commit_of_a_branch_that_was_not_merged_is_a_problem(checkout: Path) -> None:
    git(checkout, "checkout", "--quiet", "--detach")
    abandoned = commit(checkout, "rewritten later")
    git(checkout, "checkout", "--quiet", "-")
    store(checkout / "results", abandoned)

    problems = list(history_problems(checkout / "results"))

    places = [problem.place for problem in problems]
    assert places == ["toy/small/record-1.json", "toy/draws/table.json"]
    assert {problem.kind for problem in problems} == {"history"}
    assert all(abandoned[:8] in problem.message for problem in problems)


def test_a_shallow_clone_and_another_repository_cannot_tell(checkout: Path, tmp_path: Path) -> None:
    clone = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", checkout.as_uri(), str(clone))
    (clone / "results").mkdir(exist_ok=True)
    store(clone / "results", "c" * 40)
    assert list(history_problems(clone / "results")) == []

    store(checkout / "results", "c" * 40)
    (checkout / "sciml_data" / "__init__.py").unlink()
    assert list(history_problems(checkout / "results")) == []
