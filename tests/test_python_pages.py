"""The marked blocks of reference/python.md and how-to/external-predictions.md run in order."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clones import fresh_user
from tests.support.paths import ROOT

FENCE = re.compile(r"^```(\w+) run\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pytest.importorskip("sklearn")


def blocks(page: str) -> list[tuple[str, str]]:
    """Return language and text of each marked block of a page."""
    return FENCE.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))


def run(words: list[str], folder: Path) -> str:
    environment = {**fresh_user(folder / "user"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_blocks_of_the_python_page_run_as_one_notebook(tmp_path: Path) -> None:
    texts = [text for _, text in blocks("reference/python.md")]

    printed = run(["-c", "\n".join(texts)], tmp_path)

    assert len(texts) == 4
    assert "@misc" in printed
    assert (tmp_path / "forest.json").is_file()


def test_predictions_of_a_table_are_scored_as_the_page_says(tmp_path: Path) -> None:
    printed = ""
    for language, text in blocks("how-to/external-predictions.md"):
        lines = text.splitlines()
        commands = [["-m", "sciml_data", *line.split()[1:]] for line in lines]
        for words in [["-c", text]] if language == "python" else commands:
            printed += run(words, tmp_path)

    header = (tmp_path / "ids.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header.startswith("part,cluster,source,geometry,molecules")
    assert "EXTERNAL PREDICTIONS" in printed
    assert "size-mean: external predictions" in printed
    assert "0 differ from the record" in printed
