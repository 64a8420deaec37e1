"""git and git-annex as programs: found beside this Python, asked in batch, errors as sentences.

Both commit under the name of the user; where none is set, or for what is ours, the name comes from
the environment of the single call. Nobody's configuration is written.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from sciml_data.errors import CallError, SciMLDataError

NAME, EMAIL = "sciml-data", "sciml-data@localhost"
# Of another repository, where we are called from a hook of it (`git rev-parse --local-env-vars`).
FOREIGN = {
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_PREFIX", "GIT_NAMESPACE",
}  # fmt: skip
# What the user may have set otherwise: for each call, in no file.
SETTINGS = ("core.autocrlf=false", "commit.gpgsign=false", "tag.gpgsign=false", "gc.auto=0")
LAST_WORDS_S = 20.0  # git-annex commits what it knows to its branch before it ends
MOST_SAID = 6  # lines of a program's complaint that are passed on


class ProgramError(SciMLDataError):
    """git, git-annex or datalad did not do what was asked; says what they said."""


def need(*programs: str) -> None:
    """Raise CallError, with what to install, unless these programs can be started.

    Args:
        programs: of `git`, `git-annex`, `datalad`.
    """
    missing = [name for name in programs if shutil.which(name, path=_path()) is None]
    if missing:
        extra = "pip install 'sciml-data[datalad]'"
        raise CallError(
            f"{' and '.join(missing)} cannot be started: not found on the path",
            untouched="nothing was read or changed",
            hint=f"{extra} brings git-annex and datalad"
            + ("; git is the system's (apt-get install git)" if "git" in missing else ""),
        )


def git(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    """Run git in a folder and return what it prints.

    Raises:
        ProgramError: it failed.
    """
    return run([*_git(), *arguments], folder, stdin=stdin)


def is_true(folder: Path, *arguments: str) -> bool:
    """Return whether git ends well: for questions that it answers by its exit code."""
    done = subprocess.run(  # noqa: S603 (arguments are ours, no shell)
        [*_git(), *arguments], cwd=folder, env=environment(), capture_output=True, check=False
    )
    return done.returncode == 0


def run(command: Sequence[str], folder: Path, *, stdin: bytes = b"") -> bytes:
    """Run a program in a folder and return what it prints.

    Raises:
        ProgramError: it failed.
    """
    done = subprocess.run(  # noqa: S603 (arguments are ours, no shell)
        command, cwd=folder, env=environment(), input=stdin, capture_output=True, check=False
    )
    if done.returncode != 0:
        raise ProgramError(said(command, folder, done.returncode, done.stderr or done.stdout))
    return done.stdout


def feed(
    folder: Path,
    arguments: Sequence[str],
    lines: Iterable[str],
    tell: Callable[[int], object] = lambda _: None,
) -> None:
    """Give a batch command of git-annex its lines; it answers each.

    Args:
        folder: of the repository.
        arguments: of git, e.g. `annex registerurl --batch -z`.
        lines: without their ends.
        tell: is told how many were answered so far.

    Raises:
        ProgramError: one of them failed.
    """
    command = [*_git(), *arguments]
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as complaints:
        given.writelines(f"{line}\0".encode() for line in lines)
        given.seek(0)
        with subprocess.Popen(  # noqa: S603 (arguments are ours, no shell)
            command,
            cwd=folder,
            env=environment(),
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=complaints,
        ) as process:
            for count, _ in enumerate(process.stdout or (), start=1):
                tell(count)
        if process.returncode != 0:
            complaints.seek(0)
            raise ProgramError(said(command, folder, process.returncode, complaints.read()))


class Batch:
    """A command of git-annex that answers line by line, for one thread at a time."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        """Start it."""
        self._folder = folder
        self._command = [*_git(), *arguments]
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        self._process = subprocess.Popen(  # noqa: S603 (arguments are ours, no shell)
            self._command,
            cwd=folder,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
        )

    def ask(self, line: str) -> str:
        """Return the answer to a line.

        Raises:
            ProgramError: it ended.
        """
        given, answers = self._process.stdin, self._process.stdout
        answer = b""
        if given is not None and answers is not None:
            with contextlib.suppress(BrokenPipeError):
                given.write(f"{line}\n".encode())
                given.flush()
            answer = answers.readline()
        if not answer:
            code = self._process.wait()
            self._complaints.seek(0)
            raise ProgramError(said(self._command, self._folder, code, self._complaints.read()))
        return answer.decode().rstrip("\n")

    def close(self) -> None:
        """Let it end as it wants to, and end it where that takes too long."""
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(LAST_WORDS_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._complaints.close()


def environment() -> dict[str, str]:
    """Return the environment for git: this Python's programs first, an identity, no questions."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    kept |= {"PATH": _path(), "GIT_TERMINAL_PROMPT": "0"}
    for who in ("AUTHOR", "COMMITTER"):
        kept.setdefault(f"GIT_{who}_NAME", NAME)
        kept.setdefault(f"GIT_{who}_EMAIL", EMAIL)
    return kept


def said(command: Sequence[str], folder: Path, code: int, complaint: bytes) -> str:
    """Return a sentence on a program that failed, and the end of its complaint."""
    name = " ".join([Path(command[0]).name, *_words(command)])
    lines = [line for line in complaint.decode(errors="replace").splitlines() if line.strip()]
    return "\n  ".join([f"`{name}` ended with {code} in {folder}", *lines[-MOST_SAID:]])


def _words(command: Sequence[str]) -> list[str]:
    """Return the verb of a command line: what stands behind our settings, two words of it."""
    rest = list(command[1:])
    while rest[:1] == ["-c"]:
        rest = rest[2:]
    return rest[:2]


def _git() -> list[str]:
    return ["git", *(word for setting in SETTINGS for word in ("-c", setting))]


@functools.cache
def _beside() -> str:
    """Return the folder of this Python: programs of its environment need not be on the path."""
    return str(Path(sys.executable).parent)


def _path() -> str:
    return os.pathsep.join([_beside(), os.environ.get("PATH", os.defpath)])
