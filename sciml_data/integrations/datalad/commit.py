"""A commit of a whole folder, written without the folder: one stream to `git fast-import`.

Symbolic links to content that is not there need no file system: 20,000 of them, with keys and work
tree, take 11 s of the processor, where `git annex fromkey` and `git commit` take 100
(docs/performance.md). The same version makes the same commit wherever it is made: author, date and
tree are those of the version.
"""

from __future__ import annotations

import calendar
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sciml_data.transfer.protocols.annex import EMAIL, NAME, git, git_succeeds

MAIN = "refs/heads/main"
BUILD = "refs/sciml-data/build"  # of a commit that is being made; no clone sees it
FILE, LINK, REPOSITORY = "100644", "120000", "160000"


@dataclass(frozen=True)
class Tree:
    """All that a commit holds, by path.

    Attributes:
        files: contents.
        links: what symbolic links say.
        repositories: commits of other repositories.
    """

    files: Mapping[str, bytes]
    links: Mapping[str, str] = field(default_factory=dict)
    repositories: Mapping[str, str] = field(default_factory=dict)


def write_commit(
    repository: Path, tree: Tree, message: str, *, seconds: int, tag: str = ""
) -> tuple[str, bool]:
    """Write a commit on top of `main`, if it holds anything else than `main` does.

    `main` itself is not moved.

    Args:
        repository: of the commit.
        tree: what it holds; nothing of its parent stays.
        message: of the commit and the tag.
        seconds: since 1970, UTC: date of commit and tag.
        tag: name of a tag to set on it; then the commit is written even if it holds the same.

    Returns:
        The commit, and whether it is new.
    """
    parent = commit_of(repository, MAIN)
    git(
        repository, "fast-import", "--quiet", "--force", "--done",
        stdin=b"".join(_stream(tree, message, seconds, parent, tag)),
    )  # fmt: skip
    made = commit_of(repository, BUILD) or ""
    git(repository, "update-ref", "-d", BUILD)
    is_same = parent is not None and git_succeeds(repository, "diff", "--quiet", parent, made)
    return (parent, False) if parent is not None and is_same and not tag else (made, True)


def check_out(repository: Path) -> None:
    """Let the work tree be what `main` is; files that git does not know stay."""
    git(repository, "symbolic-ref", "HEAD", MAIN)
    git(repository, "reset", "--quiet", "--hard", MAIN)


def commit_of(repository: Path, reference: str) -> str | None:
    """Return the commit that a reference names, or None."""
    if not git_succeeds(repository, "rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}"):
        return None
    return git(repository, "rev-parse", f"{reference}^{{commit}}").decode().strip()


def _stream(
    tree: Tree, message: str, seconds: int, parent: str | None, tag: str
) -> Iterator[bytes]:
    who = f"{NAME} <{EMAIL}> {seconds} +0000"
    yield f"reset {BUILD}\n".encode()  # a run that was killed may have left one
    yield f"commit {BUILD}\ncommitter {who}\n".encode() + _data(message.encode())
    if parent is not None:
        yield f"from {parent}\n".encode()
    yield b"deleteall\n"
    for path, content in sorted(tree.files.items()):
        yield f"M {FILE} inline {_quoted(path)}\n".encode() + _data(content)
    for path, link in sorted(tree.links.items()):
        yield f"M {LINK} inline {_quoted(path)}\n".encode() + _data(link.encode())
    for path, commit in sorted(tree.repositories.items()):
        yield f"M {REPOSITORY} {commit} {_quoted(path)}\n".encode()
    if tag:
        yield f"tag {tag}\nfrom {BUILD}\ntagger {who}\n".encode() + _data(message.encode())
    yield b"done\n"


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _quoted(path: str) -> str:
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def seconds_of(created: str) -> int:
    """Return seconds since 1970 of a moment as a descriptor writes it."""
    return calendar.timegm(time.strptime(created, "%Y-%m-%dT%H:%M:%SZ"))
