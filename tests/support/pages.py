"""A page of the documentation, typed: its marked blocks are run in an empty folder, in order."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from sciml_data.registry.extensions import TRUST_VARIABLE
from tests.support.clones import fresh_user
from tests.support.paths import ROOT

FENCE = re.compile(r"^```(\w+) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTEST = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore"]


def run_page(page: Path, folder: Path) -> str:
    """Run the blocks of a page, and return what they printed.

    `file=PATH` writes a file, `run` types commands or runs Python. A folder `plugin` with a
    pyproject.toml is installed: it gets the metadata that pip would write.
    """
    environment = fresh_user(folder / "user")
    environment |= {"PYTHONPATH": f"{ROOT}:{folder / 'plugin'}"}
    environment.pop(TRUST_VARIABLE, None)
    printed = ""
    for language, mark, text in FENCE.findall(page.read_text(encoding="utf-8")):
        if mark.startswith("file="):
            path = folder / mark.removeprefix("file=")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            if path.name == "pyproject.toml":
                _install(path)
            continue
        assert mark == "run", mark
        for words in [["-c", text]] if language == "python" else _commands(text):
            done = subprocess.run(
                [sys.executable, *words], cwd=folder, env=environment,
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
            printed += done.stdout + done.stderr
    return printed


def _commands(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        program, *words = shlex.split(line)
        yield [*(PYTEST if program == "pytest" else ["-m", "sciml_data"]), *words]


def _install(path: Path) -> None:
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    name, version = project["name"], project["version"]
    info = path.parent / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    points = [
        "\n".join([f"[{group}]", *(f"{key} = {value}" for key, value in named.items())])
        for group, named in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(points) + "\n")
