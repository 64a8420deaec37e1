"""A look at TEvolOp's fresh part is logged, and needs a clean checkout."""

from __future__ import annotations

from pathlib import Path

import pytest
import tevolop_fresh


def test_each_look_is_a_line_below_one_heading(tmp_path: Path) -> None:
    path = tmp_path / "tevolop" / "fresh.csv"

    for model in ("residual-lstm", "reference-lstm"):
        values = dict.fromkeys(tevolop_fresh.COLUMNS, "x") | {"model": model}
        tevolop_fresh.add_line(path, **values)

    lines = path.read_text().splitlines()
    assert lines[0] == "date,commit,model,seeds,scored,exit_code"
    assert [line.split(",")[2] for line in lines[1:]] == ["residual-lstm", "reference-lstm"]


def test_a_checkout_with_changes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tevolop_fresh, "LOG", tmp_path / "fresh.csv")
    monkeypatch.setattr(tevolop_fresh, "code", lambda _runner: {"is_dirty": True, "commit": "x"})
    monkeypatch.setattr("sys.argv", ["tevolop_fresh.py"])

    assert tevolop_fresh.main() == 2
    assert "Commit first" in capsys.readouterr().out
    assert not (tmp_path / "fresh.csv").exists()
