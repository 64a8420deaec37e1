"""docs/how-to/add-a-dataset.md, typed: its marked blocks are run in a fresh folder, in their order.

A block is marked by the words after its language:

    file=NAME     is written to that file
    run           is run; `exit=N` is how it ends
    run slow      only by the slow test
    run background   goes on until the test is over

A block of `text` is the output of the block before it, or some of its lines; `…` shortens a line.
The quick test runs `sciml-data …` and Python in this process, for speed; the slow one types all
into a shell, as a reader would.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import runpy
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from sciml_data.cli import group
from sciml_data.testing.server import FileServer
from tests.support.clones import fresh_user
from tests.support.paths import ROOT
from tests.support.ports import unused_ports

PAGE = ROOT / "docs" / "how-to" / "add-a-dataset.md"
FENCE = re.compile(r"^```(\w+)((?: [\w=./-]+)*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORT = "8000"  # as the page has it
pytestmark = pytest.mark.filterwarnings("ignore:Shell command not executed:UserWarning")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, marks and text."""

    language: str
    marks: tuple[str, ...]
    text: str

    @property
    def exit_code(self) -> int:
        return int(next((m.removeprefix("exit=") for m in self.marks if m[:5] == "exit="), "0"))

    @property
    def file(self) -> str:
        return next((m.removeprefix("file=") for m in self.marks if m[:5] == "file="), "")


def blocks(port: int) -> list[Block]:
    """Return the page's blocks, with a port that is free in place of its own."""
    text = PAGE.read_text(encoding="utf-8").replace(f":{PORT}", f":{port}")
    text = text.replace(f"http.server {PORT}", f"http.server {port}")
    return [
        Block(language, tuple(marks.split()), body) for language, marks, body in FENCE.findall(text)
    ]


def test_the_page_has_blocks_to_run() -> None:
    quick = blocks(1)

    assert sum("run" in block.marks for block in quick) >= 12
    assert sum(bool(block.file) for block in quick) == 5
    assert [block.language for block in quick if "slow" in block.marks] == ["bash", "bash"]
    assert all(block.language in {"bash", "python"} for block in quick if "run" in block.marks)


def test_the_quick_part_works_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in fresh_user(tmp_path / "user").items():
        monkeypatch.setenv(name, value)
    (tmp_path / "public").mkdir()
    printed = ""
    with FileServer(tmp_path / "public") as server:
        for block in blocks(int(server.url.rpartition(":")[2])):
            if block.file:
                write(tmp_path / block.file, block.text)
            elif "run" in block.marks and not {"slow", "background"} & {*block.marks}:
                printed = run_here(block, monkeypatch)
            elif block.language == "text":
                lacking = [text for text in block.text.splitlines() if not is_in(text, printed)]
                assert lacking == [], printed

    assert (tmp_path / "croissant.json").stat().st_size > 1000
    assert "tides-1.0-train" in (tmp_path / "home" / "catalog.yaml").read_text()


def is_in(line: str, printed: str) -> bool:
    """Return whether a line was printed; a line that ends in `…` may continue."""
    if line.endswith("…"):
        return any(text.startswith(line[:-1]) for text in printed.splitlines())
    return line in printed.splitlines()


def run_here(block: Block, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a block in this process; return what its commands of ours printed."""
    printed = ""
    if block.language == "python":
        exec(compile(block.text, str(PAGE), "exec"), {})  # noqa: S102 (the page's own words)
        return printed
    for line in block.text.splitlines():
        verb, *arguments = shlex.split(line)
        if verb == "export":
            for argument in arguments:
                name, _, value = argument.partition("=")
                monkeypatch.setenv(name, value.replace("$PWD", str(Path.cwd())))
        elif verb == "sciml-data":
            result = CliRunner().invoke(group, arguments)
            code = getattr(result.exception, "exit_code", result.exit_code)
            assert code == block.exit_code, f"{line}\n{result.output}\n{result.exception}"
            printed += result.output
        elif verb == "python":
            monkeypatch.setattr(sys, "argv", arguments)
            runpy.run_path(arguments[0])
        else:
            done = subprocess.run([verb, *arguments], check=False)
            assert done.returncode == block.exit_code, line
    return printed


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.mark.slow
def test_all_of_it_works_in_a_shell(tmp_path: Path) -> None:
    if missing := [
        name for name in ("git-annex", "datalad") if not shutil.which(name, path=search())
    ]:
        pytest.skip(f"{' and '.join(missing)} not installed")
    (port,) = unused_ports(1)
    user = {
        key: value for key, value in fresh_user(tmp_path / "user").items() if "SCIML" not in key
    }
    work = tmp_path / "work"
    work.mkdir()
    exports = ""
    with contextlib.ExitStack() as going:
        for block in blocks(port):
            if block.file:
                write(work / block.file, block.text)
            elif "background" in block.marks:
                going.enter_context(background(block.text, work, user))
            elif "run" in block.marks:
                exports += "".join(
                    f"{line}\n" for line in block.text.splitlines() if line.startswith("export ")
                )
                shell = ["bash", "-euo", "pipefail", "-c", exports + block.text]
                if block.language == "python":
                    shell = ["bash", "-c", f"{exports} python -c {shlex.quote(block.text)}"]
                done = subprocess.run(
                    shell, cwd=work, env=user, capture_output=True, text=True, check=False
                )
                assert done.returncode == block.exit_code, block.text + done.stdout + done.stderr

    assert (work / "clone" / "train.h5").stat().st_size > 5000
    (record,) = (json.loads(path.read_text()) for path in work.glob("home/**/record.json"))
    assert record["status"] == "success"
    assert record["dataset"]["n_samples"] == {"train": 60, "test": 20}


def search() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


@contextlib.contextmanager
def background(command: str, folder: Path, user: dict[str, str]) -> Iterator[None]:
    """Let a server run; it is there once its socket listens, which is asked for."""
    port = int(next(word for word in shlex.split(command) if word.isdigit()))
    process = subprocess.Popen(
        shlex.split(command), cwd=folder, env=user,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
        yield
    finally:
        process.terminate()
        process.wait()
