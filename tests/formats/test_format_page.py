"""docs/how-to/extend/format.md: its blocks run in an empty folder and show a shipped format."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clones import fresh_user
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "how-to" / "extend" / "format.md"
FENCE = re.compile(r"^```(\w+) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = ("sciml_data/formats/csv_table.py", "sciml_data/formats/image_folder.py")


def blocks() -> list[tuple[str, str, str]]:
    return FENCE.findall(PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("shown", SHOWN)
def test_a_format_is_shown_as_it_is_shipped(shown: str) -> None:
    """When it differs, copy the module into the page."""
    (text,) = (text for _, mark, text in blocks() if mark == f"source={shown}")

    assert text == (ROOT / shown).read_text(encoding="utf-8")


def test_the_page_leads_to_an_opened_dataset(tmp_path: Path) -> None:
    environment = {**fresh_user(tmp_path / "user"), "PYTHONPATH": str(ROOT)}
    for language, mark, text in blocks():
        if mark.startswith("file="):
            path = tmp_path / mark.removeprefix("file=")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif mark == "run":
            for words in [["-c", text]] if language == "python" else commands(text):
                done = subprocess.run(
                    [sys.executable, *words], cwd=tmp_path, env=environment,
                    capture_output=True, text=True, check=False,
                )  # fmt: skip
                assert done.returncode == 0, text + done.stdout + done.stderr

    assert [path.name for path in sorted(tmp_path.glob("home/**/*.nc"))] == [
        "all-a.nc",
        "all-b.nc",
    ]


def commands(text: str) -> list[list[str]]:
    return [["-m", "sciml_data", *shlex.split(line)[1:]] for line in text.splitlines()]
