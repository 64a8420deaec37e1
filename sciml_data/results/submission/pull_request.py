"""A submission as a pull request: the branch, the checks it runs, and what a pull request changed.

Nothing here uses a network. `commit_locally` makes a branch in a checkout of the submitter, and the
command line says what to type next. `changed_since` finds the submissions that a pull request
touches, from git's history and not from what its files claim.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from sciml_data import __version__
from sciml_data.errors import CallError, Problem, RecordError
from sciml_data.home import write_atomically
from sciml_data.progress import counted
from sciml_data.results.submission.check import Verdict
from sciml_data.results.submission.files import to_yaml
from sciml_data.results.submission.layout import TERMS, VERIFICATION, Tree, read_tree
from sciml_data.results.submission.record_checks import run_git
from sciml_data.results.submission.texts import UNOFFICIAL, policy_table

PLAIN_FILE = "100644"  # git's mode of a file that is not executable
NO_BRANCH = "no branch was made"
WORKFLOW_PATH = ".github/workflows/sciml-data-submissions.yml"


@dataclass(frozen=True)
class PullRequest:
    """Branch, commit message and body of a submission's pull request."""

    branch: str
    message: str
    body: str


@dataclass(frozen=True)
class Changes:
    """The changes of submissions between a commit and the checkout.

    Attributes:
        folders: submissions with a file that was added, changed or removed.
        problems: changes that no pull request may make: to submissions that were merged before.
        verdicts: folders whose `verification.json` is part of the change.
    """

    folders: tuple[Path, ...]
    problems: tuple[Problem, ...]
    verdicts: tuple[Path, ...]


def make_pull_request(root: Path, verdict: Verdict) -> PullRequest:
    """Return branch, commit message and body of a submission.

    Raises:
        RecordError: the verdict is not accepted.
    """
    if not verdict.is_accepted:
        raise RecordError(
            f"{verdict.folder} would be refused",
            problems=verdict.problems,
            untouched=NO_BRANCH,
        )
    tree = read_tree(root)
    terms = tree.terms or {}
    folder = "/".join(terms[key] for key in ("org", "application", "system", "descriptor"))
    mark = " (SYNTHETIC)" if verdict.is_synthetic else ""
    runs = counted(verdict.runs, "run")
    title = f"submission: {folder}{mark}"
    return PullRequest(
        branch=f"submission/{folder}",
        message=f"{title}\n\n{runs}; `sciml-data submit check {folder}` accepts them.\n",
        body=_body(tree, verdict, title),
    )


def commit_locally(root: Path, request: PullRequest, checkout: Path, *, under: str = "") -> str:
    """Add a submission to a git checkout as a new branch, and return the commit.

    The checkout's files, index and current branch stay unchanged: the commit is made from HEAD with
    an index of its own.

    Args:
        root: the submission's folder.
        request: branch and message.
        checkout: a git repository.
        under: folder of the repository that has the tree.

    Raises:
        CallError: the checkout is not a repository, the branch exists, or git fails.
    """
    if run_git(checkout, "branch", "--list", request.branch, untouched=NO_BRANCH).strip():
        raise CallError(
            f"branch {request.branch} exists",
            untouched="it was left as it is",
            hint=f"git branch -D {request.branch}, or another --descriptor",
        )
    files = {
        "/".join(filter(None, (under.strip("/"), *root.parts[-4:], path.name))): path
        for path in sorted(root.iterdir())
        if path.is_file() and path.name != VERIFICATION
    }
    with tempfile.TemporaryDirectory(prefix="submit-") as scratch:
        own_index = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        git = partial(run_git, checkout, environment=own_index, untouched=NO_BRANCH)
        git("read-tree", "HEAD")
        if not git("ls-files", "--", WORKFLOW_PATH).strip():
            files[WORKFLOW_PATH] = Path(scratch) / "workflow.yml"
            files[WORKFLOW_PATH].write_text(workflow_text(), encoding="utf-8")
        for name, path in files.items():  # byte for byte: no filters change line ends
            blob = git("hash-object", "-w", "--no-filters", str(path)).strip()
            git("update-index", "--add", "--cacheinfo", PLAIN_FILE, blob, name)
        tree = git("write-tree").strip()
        commit = git("commit-tree", tree, "-p", "HEAD", "-m", request.message).strip()
    run_git(checkout, "branch", request.branch, commit, untouched=NO_BRANCH)
    return commit


def _body(tree: Tree, verdict: Verdict, title: str) -> str:
    """Return the body: title, a block that programs read, the policy's table, the verdict."""
    records = [tree.records[number] for number in sorted(tree.records)]
    marks = [f"**{warning}**" for warning in verdict.warnings]
    checked = (
        f"`sciml-data submit check` accepts {counted(verdict.runs, 'run')}: state "
        f"`{verdict.state}`. The README of this folder "
        "explains how to check it yourself."
    )
    return (
        "\n\n".join(
            [
                f"# {title}",
                *marks,
                f"```yaml\n{to_yaml(_block(tree, records[0])).rstrip()}\n```",
                policy_table(records, tree.reference),
                checked,
                UNOFFICIAL,
            ]
        )
        + "\n"
    )


def _block(tree: Tree, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the policy's identifying fields, and the digests that the results depend on."""
    terms = tree.terms or {}
    return {
        "name": terms["poc_name"],
        "e-mail": terms["poc_email"],
        "organisation": terms["org"],
        "division": terms["division"],
        "status": terms["status"],
        "platform": terms["platform"] or terms["system"],
        "application": terms["application"],
        "descriptor": terms["descriptor"],
        "synthetic": terms["synthetic"],
        "runs": terms["runs"],
        "dataset": f"{record['dataset']['id']} {record['dataset']['version']}",
        "manifest_digest": record["dataset"]["manifest_digest"],
        "split": record["split"]["name"],
        "members_digest": record["split"]["members_digest"],
        "commit": record["code"]["commit"],
        "records": [record["record_digest"] for record in tree.named_records.values()],
    }


def changed_since(folder: Path, base: str) -> Changes:
    """Return the submissions below a folder that differ from a commit.

    Args:
        folder: folder in a git checkout.
        base: a commit, branch or tag. The checkout is compared with its merge base with HEAD, so
            that later commits of the base do not count.

    Raises:
        CallError: the folder is not in a checkout, or there is no such commit.
    """
    if base.startswith("-"):
        raise CallError(f"{base!r} is not a commit", untouched="nothing was checked")
    root = Path(run_git(folder, "rev-parse", "--show-toplevel").strip())
    start = run_git(root, "merge-base", base, "HEAD").strip()
    listed = run_git(
        root, "diff", "--name-only", "--no-renames", "-z", start, "--", str(folder.resolve())
    )
    paths = [PurePosixPath(name) for name in listed.split("\0") if name]
    before = _submissions_at(root, start)
    folders: dict[PurePosixPath, bool] = {}  # submission -> whether it still exists
    problems: list[Problem] = []
    verdicts: list[Path] = []
    for path in paths:
        submission = _submission_of(path, root, before)
        if submission is None:
            continue
        folders.setdefault(submission, (root / submission / TERMS).is_file())
        if path == submission / VERIFICATION:
            verdicts.append(root / submission)
        elif submission in before:
            message = "was merged before: a new result is a new descriptor"
            problems.append(Problem("published", str(path), message))
    existing = tuple(root / folder for folder, exists in sorted(folders.items()) if exists)
    return Changes(existing, tuple(problems), tuple(verdicts))


def _submission_of(
    path: PurePosixPath, root: Path, before: set[PurePosixPath]
) -> PurePosixPath | None:
    """Return the folder of the submission that a file belongs or belonged to."""
    for parent in path.parents:
        if parent in before or (root / parent / TERMS).is_file():
            return parent
    return None


def _submissions_at(root: Path, commit: str) -> set[PurePosixPath]:
    listed = run_git(root, "ls-tree", "-r", "--name-only", "-z", commit)
    paths = (PurePosixPath(name) for name in listed.split("\0") if name)
    return {path.parent for path in paths if path.name == TERMS}


def workflow_text() -> str:
    """Return the GitHub workflow that checks pull requests, pinned to this version."""
    text = Path(__file__).with_name("workflow.yml").read_text(encoding="utf-8")
    return text.replace("{version}", __version__, 1)


def write_workflow(root: Path) -> Path:
    """Write the workflow below a repository's root unless it exists, and return its path."""
    path = root / WORKFLOW_PATH
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, workflow_text())
    return path
