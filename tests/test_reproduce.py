"""The script of docs/how-to/reproduce gets the score that sciml-data gets, without sciml-data."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import sciml_data

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "docs" / "how-to" / "reproduce" / "uno_ridge.py"
SPLIT = ROOT / "runners" / "uno" / "splits" / "cell.json"
MAX_LINES = 150


def reproduce(ready: Path, folder: Path, split: Path = SPLIT) -> subprocess.CompletedProcess[str]:
    """Run the script in an empty folder, where it finds no package of ours."""
    task = folder / "croissant-task.json"
    task.write_text(sciml_data.export("uno", "croissant-task"), encoding="utf-8")
    command = [sys.executable, "-I", SCRIPT, task, split, ready, folder / "predicted.csv"]
    words = list(map(str, command))
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


def mse_of(run: sciml_data.Run) -> float:
    """Return the score of the test part in a record."""
    found = {(m["metric_id"], m["part"]): m["score"] for m in run.record["metrics"]}
    return float(found["mse", "test"])


def test_the_script_is_short_and_does_not_import_us() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    imported = {
        alias.name.partition(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {
        (node.module or "").partition(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom)
    }
    assert imported == {"hashlib", "json", "sys", "pathlib", "numpy", "pandas", "sklearn", "xarray"}


@pytest.mark.slow
def test_its_score_on_the_sample_is_ours(tmp_path: Path) -> None:
    sciml_data.get_dataset("uno_ccle", sample=True)
    converted = sciml_data.convert_dataset("uno_ccle", sample=True)
    done = reproduce(converted.root / "auc.nc", tmp_path)
    assert done.returncode == 0, done.stderr
    own = json.loads(done.stdout)["mse"]
    loaded = sciml_data.load_benchmark("uno", dataset="uno_ccle", split="cell", sample=True)
    scored = sciml_data.score(loaded, tmp_path / "predicted.csv")
    (ours,) = [
        m["score"]
        for m in scored.record["metrics"]
        if (m["metric_id"], m["part"]) == ("mse", "test")
    ]
    assert own == pytest.approx(ours, rel=1e-6)


@pytest.mark.slow
@pytest.mark.reference
def test_its_score_on_the_real_data_is_ours(tmp_path: Path, shared: Path) -> None:
    sciml_data.get_dataset("uno_ccle", mirrors=[f"file:{shared / 'mirror'}"])
    converted = sciml_data.convert_dataset("uno_ccle")
    done = reproduce(converted.root / "auc.nc", tmp_path)
    assert done.returncode == 0, done.stderr
    loaded = sciml_data.load_benchmark("uno", dataset="uno_ccle", split="cell")
    scored = sciml_data.score(loaded, tmp_path / "predicted.csv")
    (ours,) = [
        m["score"]
        for m in scored.record["metrics"]
        if (m["metric_id"], m["part"]) == ("mse", "test")
    ]
    assert json.loads(done.stdout)["mse"] == pytest.approx(ours, rel=1e-6)


def test_another_file_than_the_split_of_the_task_is_refused(tmp_path: Path) -> None:
    split = json.loads(SPLIT.read_text(encoding="utf-8"))
    split["members"]["test"]["salt"] = "another"
    (tmp_path / "cell.json").write_text(json.dumps(split), encoding="utf-8")
    done = reproduce(tmp_path / "no.nc", tmp_path, tmp_path / "cell.json")
    assert done.returncode != 0
    assert "not the split of the Task" in done.stderr
