"""The table of goals and results at the end of `nox -s benchmarks`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import goals
import pytest
import run_all

REPORTS = """
import sys
from goals import report
report("reading", 2.46, "GB/s", at_least=2.0)
report("files opened while a dataset of many scenes is converted", 12_345, "files", at_most=10_000)
report("no goal", 0.5)
"""


def run(folder: Path, *scripts: str) -> subprocess.CompletedProcess[str]:
    """Run copies of both modules in a folder, so that its scripts are those that are found."""
    for module in (goals, run_all):
        source = Path(str(module.__file__))
        (folder / source.name).write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    command = [sys.executable, str(folder / "run_all.py"), *scripts]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_all_results_are_in_one_table_with_their_goals(tmp_path: Path) -> None:
    (tmp_path / "fast.py").write_text(REPORTS)
    done = run(tmp_path, "fast --rounds 2")
    assert done.returncode == 0, done.stderr
    columns, markdown = done.stdout.split("\npython benchmarks/fast.py --rounds 2\n")[1].split(
        "\n\n"
    )[0::2]
    assert [line.split()[-1] for line in columns.splitlines()] == ["met", "MISSED", "0.5"]
    assert max(map(len, columns.splitlines())) <= 100
    assert markdown.splitlines()[2:] == [
        "| reading | `python benchmarks/fast.py --rounds 2` | 2.46 GB/s | >= 2 |",
        "| files opened while a dataset of many scenes is converted "
        "| `python benchmarks/fast.py --rounds 2` | **12,345 files, missed** | <= 10,000 |",
        "| no goal | `python benchmarks/fast.py --rounds 2` | 0.5 |  |",
    ]


def test_a_failing_script_is_named_after_the_others_have_run(tmp_path: Path) -> None:
    (tmp_path / "fast.py").write_text(REPORTS)
    (tmp_path / "broken.py").write_text("raise SystemExit(3)")
    done = run(tmp_path, "broken", "absent --home here", "fast")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "failed: broken, absent --home here"
    assert "1 goals are met, 1 are missed" in done.stdout


def test_a_result_equal_to_its_goal_is_met(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(goals.VARIABLE, str(tmp_path / "results"))
    assert goals.report("growth", 1.1, at_most=1.1)
    assert not goals.report("growth", 1.2, at_most=1.1)
    assert goals.report("speed", 0.9, at_least=0.9)
    assert not goals.report("speed", 0.8, at_least=0.9)
    stored = (tmp_path / "results").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["outcome"] for line in stored] == ["met", "MISSED", "met", "MISSED"]
    assert goals.report("time", 7.0)


def test_every_script_that_is_run_by_default_exists() -> None:
    scripts = {
        script.split()[0] for script in (*run_all.SCRIPTS, run_all.WITH_DATA, run_all.WITH_NGINX)
    }
    assert not [name for name in scripts if not (run_all.FOLDER / f"{name}.py").is_file()]
