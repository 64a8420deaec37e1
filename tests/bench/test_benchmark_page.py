"""docs/how-to/extend/benchmark.md, typed: its marked blocks run in order in an empty folder."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clones import fresh_user
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "how-to" / "extend" / "benchmark.md"
FENCE = re.compile(r"^```(\w+) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MOST_LINES = 99

pytest.importorskip("tensorflow")


def test_the_page_has_less_than_a_hundred_lines() -> None:
    assert len(PAGE.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_the_page_leads_to_a_scored_run(tmp_path: Path) -> None:
    printed = ""
    environment = {**fresh_user(tmp_path / "user"), "PYTHONPATH": str(ROOT)}
    for language, mark, text in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if mark.startswith("file="):
            path = tmp_path / mark.removeprefix("file=")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            continue
        assert mark == "run"
        lines = [["-c", text]] if language == "python" else commands(text)
        for words in lines:
            done = subprocess.run(
                [sys.executable, *words], cwd=tmp_path, env=environment,
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
            printed += done.stdout + done.stderr

    record = json.loads(
        (tmp_path / "home" / "runs" / "water" / "first" / "record.json").read_text()
    )
    (scores,) = [row for row in record["metrics"] if row["part"] == "test"]
    assert record["status"] == "success"
    assert scores["score"] < scores["baselines"]["mean"]
    assert "test shares with train: size" in printed
    drawn = {path.stem.rpartition("-")[2] for path in (tmp_path / "figures").rglob("*.png")}
    assert {"energy", "curve"} <= drawn


def commands(text: str) -> list[list[str]]:
    return [["-m", "sciml_data", *line.split()[1:]] for line in text.splitlines()]
