"""Run git and git-annex: found beside this Python, in batch mode, with errors as sentences.

Commits have the user's name. If the user has set none, the name is set in the environment of the
single call. No configuration file is written.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from sciml_data.errors import CallError, NoSpaceError, SciMLDataError, redacted

NAME, EMAIL = "sciml-data", "sciml-data@localhost"
# Variables that point to another repository, when we run in one of its hooks
# (`git rev-parse --local-env-vars`).
FOREIGN_VARIABLES = {
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_PREFIX", "GIT_NAMESPACE",
}  # fmt: skip
# Settings of each call, because the user's configuration may differ.
SETTINGS = ("core.autocrlf=false", "commit.gpgsign=false", "tag.gpgsign=false", "gc.auto=0")
SHUTDOWN_S = 20.0  # git-annex commits to its own branch before it ends
FULL_DISK_TEXT = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
MIN_FREE_BYTES = 64 * 2**10  # a commit of git needs more
MAX_ERROR_LINES = 6  # last lines of a program's output in an error message


class ProgramError(SciMLDataError):
    """git, git-annex or datalad failed; the message has the last lines of its output."""


def require_programs(*programs: str) -> None:
    """Raise CallError, with what to install, if one of these programs is missing.

    Args:
        programs: of `git`, `git-annex`, `datalad`.
    """
    missing = [name for name in programs if shutil.which(name, path=_path()) is None]
    if missing:
        extra = "pip install 'sciml-data[datalad]'"
        raise CallError(
            f"{' and '.join(missing)} cannot be started: no such program on the path",
            untouched="nothing was read or changed",
            hint=f"{extra} installs git-annex and datalad"
            + ("; git comes with the system (apt-get install git)" if "git" in missing else ""),
        )


def git(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    """Run git in a folder and return its output.

    Raises:
        ProgramError: the program failed.
    """
    return run([*_git(), *arguments], folder, stdin=stdin)


def git_succeeds(folder: Path, *arguments: str) -> bool:
    """Return whether git exits with 0: for questions that it answers by its exit code."""
    done = subprocess.run(  # noqa: S603 (arguments are ours, no shell)
        [*_git(), *arguments], cwd=folder, env=environment(), capture_output=True, check=False
    )
    return done.returncode == 0


def run(command: Sequence[str], folder: Path, *, stdin: bytes = b"") -> bytes:
    """Run a program in a folder and return its output.

    Args:
        command: program and arguments.
        folder: in which it runs.
        stdin: its input.

    Raises:
        ProgramError: the program failed.
        NoSpaceError: it failed because the disk is full.
    """
    done = subprocess.run(  # noqa: S603 (arguments are ours, no shell)
        command, cwd=folder, env=environment(), input=stdin, capture_output=True, check=False
    )
    if done.returncode != 0:
        raise _failure(command, folder, done.returncode, done.stderr or done.stdout)
    return done.stdout


def run_batch(
    folder: Path,
    arguments: Sequence[str],
    lines: Iterable[str],
    progress: Callable[[int], object] = lambda _: None,
) -> None:
    """Run a batch command of git-annex with its input lines.

    Args:
        folder: of the repository.
        arguments: of git, e.g. `annex registerurl --batch -z`.
        lines: without line breaks.
        progress: gets the number of lines that are answered so far.

    Raises:
        ProgramError: the command failed.
    """
    command = [*_git(), *arguments]
    # Files instead of pipes: a full pipe, in either direction, would block both programs.
    with tempfile.TemporaryFile() as inputs, tempfile.TemporaryFile() as errors:
        inputs.writelines(f"{line}\0".encode() for line in lines)
        inputs.seek(0)
        with subprocess.Popen(  # noqa: S603 (arguments are ours, no shell)
            command,
            cwd=folder,
            env=environment(),
            stdin=inputs,
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as process:
            for count, _ in enumerate(process.stdout or (), start=1):
                progress(count)
        if process.returncode != 0:
            errors.seek(0)
            raise _failure(command, folder, process.returncode, errors.read())


class Batch:
    """A command of git-annex that answers line by line, for one thread at a time."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        """Start the command; `close` ends it."""
        self._folder = folder
        self._command = [*_git(), *arguments]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        self._process = subprocess.Popen(  # noqa: S603 (arguments are ours, no shell)
            self._command,
            cwd=folder,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )

    def ask(self, line: str) -> str:
        """Return the answer to a line.

        Raises:
            ProgramError: the command has ended.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        answer = b""
        if stdin is not None and stdout is not None:
            with contextlib.suppress(BrokenPipeError):
                stdin.write(f"{line}\n".encode())
                stdin.flush()
            answer = stdout.readline()
        if not answer:
            code = self._process.wait()
            self._errors.seek(0)
            raise _failure(self._command, self._folder, code, self._errors.read())
        return answer.decode().rstrip("\n")

    def close(self) -> None:
        """Let the command end by itself, and kill it if that takes too long."""
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(SHUTDOWN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()


def environment() -> dict[str, str]:
    """Return the environment for git: this Python's programs first, an identity, no prompts."""
    variables = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
    variables |= {"PATH": _path(), "GIT_TERMINAL_PROMPT": "0"}
    for role in ("AUTHOR", "COMMITTER"):
        variables.setdefault(f"GIT_{role}_NAME", NAME)
        variables.setdefault(f"GIT_{role}_EMAIL", EMAIL)
    return variables


def _failure(command: Sequence[str], folder: Path, code: int, output: bytes) -> SciMLDataError:
    """Return the error for a program that failed, with the last lines of its output."""
    name = " ".join([Path(command[0]).name, *_verb(command)])
    text = redacted(output.decode(errors="replace"))
    if FULL_DISK_TEXT.search(text) or _free_bytes(folder) < MIN_FREE_BYTES:
        return NoSpaceError(
            f"no space left on the disk of {folder}: `{name}` failed",
            untouched="repositories that were already complete are kept",
            hint="free some space, then repeat the same command",
        )
    lines = [line for line in text.splitlines() if line.strip()]
    return ProgramError(
        "\n  ".join([f"`{name}` ended with {code} in {folder}", *lines[-MAX_ERROR_LINES:]])
    )


def _free_bytes(folder: Path) -> int:
    """Return the free bytes of the folder's disk: git-annex does not always say that it is full."""
    state = os.statvfs(next(place for place in (folder, *folder.parents) if place.exists()))
    return state.f_bavail * state.f_frsize


def _verb(command: Sequence[str]) -> list[str]:
    """Return the verb of a command line: the two words after our settings."""
    rest = list(command[1:])
    while rest[:1] == ["-c"]:
        rest = rest[2:]
    return rest[:2]


def _git() -> list[str]:
    return ["git", *(word for setting in SETTINGS for word in ("-c", setting))]


@functools.cache
def _beside() -> str:
    """Return the folder of this Python: its programs are found without being on the path."""
    return str(Path(sys.executable).parent)


def _path() -> str:
    return os.pathsep.join([_beside(), os.environ.get("PATH", os.defpath)])
