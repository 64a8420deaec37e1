"""A submission as a pull request: branch, commit message and body; a local branch, never a push.

Nothing here speaks to a network: the branch is made in a checkout that the submitter has, and what
to type next is said.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml_data.errors import CallError, RecordError
from sciml_data.results.submission import names
from sciml_data.results.submission.check import Verdict
from sciml_data.results.submission.config import to_yaml
from sciml_data.results.submission.table import policy_table
from sciml_data.results.submission.texts import UNOFFICIAL
from sciml_data.results.submission.tree import Tree, read_tree
from sciml_data.results.submission.workflow import WORKFLOW_PATH, workflow_text

GIT_TIMEOUT_S = 120
PLAIN_FILE = "100644"


@dataclass(frozen=True)
class PullRequest:
    """What a pull request of a submission consists of, besides its files."""

    branch: str
    message: str
    body: str


def pull_request(root: Path, verdict: Verdict) -> PullRequest:
    """Return branch, commit message and body of a submission.

    Raises:
        RecordError: the verdict is that something is wrong.
    """
    if not verdict.is_accepted:
        raise RecordError(
            f"{verdict.folder} would be refused",
            problems=verdict.problems,
            untouched="no branch was made",
        )
    tree = read_tree(root)
    terms = tree.terms or {}
    folder = "/".join(terms[key] for key in ("org", "application", "system", "descriptor"))
    mark = " (SYNTHETIC)" if verdict.is_synthetic else ""
    runs = f"{verdict.runs} run{'s' if verdict.runs > 1 else ''}"
    title = f"submission: {folder}{mark}"
    return PullRequest(
        branch=f"submission/{folder}",
        message=f"{title}\n\n{runs}; `sciml-data submit check {folder}` accepts them.\n",
        body=_body(tree, verdict, title),
    )


def commit_locally(root: Path, request: PullRequest, checkout: Path, *, under: str = "") -> str:
    """Add a submission to a git checkout as a new branch, and return the commit.

    The checkout's files, index and current branch stay as they are: the commit is made of its HEAD
    by git's plumbing, with an index of its own.

    Args:
        root: the submission's folder.
        request: names branch and message.
        checkout: a git repository.
        under: folder of the repository below which the tree stands.

    Raises:
        CallError: it is no repository, the branch exists, or git refuses.
    """
    if _git(checkout, {}, "branch", "--list", request.branch).strip():
        raise CallError(
            f"branch {request.branch} exists",
            untouched="it was left as it is",
            hint=f"git branch -D {request.branch}, or another --descriptor",
        )
    files = {
        "/".join(filter(None, (under.strip("/"), *root.parts[-4:], path.name))): path
        for path in sorted(root.iterdir())
        if path.is_file() and path.name != names.VERIFICATION
    }
    with tempfile.TemporaryDirectory(prefix="submit-") as scratch:
        own = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        _git(checkout, own, "read-tree", "HEAD")
        for name, path in files.items():
            blob = _git(checkout, own, "hash-object", "-w", "--no-filters", str(path)).strip()
            _add(checkout, own, name, blob)
        if not _git(checkout, own, "ls-files", "--", WORKFLOW_PATH).strip():
            workflow = Path(scratch) / "workflow.yml"
            workflow.write_text(workflow_text(), encoding="utf-8")
            blob = _git(checkout, own, "hash-object", "-w", "--no-filters", str(workflow)).strip()
            _add(checkout, own, WORKFLOW_PATH, blob)
        tree = _git(checkout, own, "write-tree").strip()
        commit = _git(
            checkout, own, "commit-tree", tree, "-p", "HEAD", "-m", request.message
        ).strip()
    _git(checkout, {}, "branch", request.branch, commit)
    return commit


def _body(tree: Tree, verdict: Verdict, title: str) -> str:
    """Return the pull request's body: title, block for machines, table, verdict."""
    records = [tree.records[number] for number in sorted(tree.records)]
    marks = [f"**{warning}**" for warning in verdict.warnings]
    checked = (
        f"`sciml-data submit check` accepts {verdict.runs} run"
        f"{'s' if verdict.runs > 1 else ''}: state `{verdict.state}`. The path from this folder to "
        "a verdict of your own stands in its README."
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
    """Return the policy's identifying block, and what the results rest on."""
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
        "records": [one["record_digest"] for one in tree.named_records.values()],
    }


def _add(checkout: Path, environment: Mapping[str, str], name: str, blob: str) -> None:
    _git(checkout, environment, "update-index", "--add", "--cacheinfo", PLAIN_FILE, blob, name)


def _git(checkout: Path, environment: Mapping[str, str], *words: str) -> str:
    """Run git in a checkout and return what it says.

    Raises:
        CallError: it cannot be run, or refuses.
    """
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            ["git", "-C", str(checkout), *words],  # noqa: S607 - whichever git the user has
            check=True,
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            env={**os.environ, **environment},
        )
    except subprocess.CalledProcessError as error:
        raise CallError(
            f"git {words[0]}: {error.stderr.strip()}", untouched="no branch was made"
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CallError(f"git could not be run: {error}", untouched="no branch was made") from error
    return done.stdout
