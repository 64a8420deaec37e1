"""The pages on registries, protocols and exports lead to what they promise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.pages import run_page
from tests.support.paths import ROOT

DOCS = ROOT / "docs" / "how-to"


def test_the_page_on_protocols_leads_to_fetched_files(tmp_path: Path) -> None:
    run_page(DOCS / "extend" / "protocol.md", tmp_path)

    native = tmp_path / "home" / "data" / "tiny" / "1.0" / "native"
    assert (native / "b" / "c.csv").read_bytes() == b"3,4\n"


def test_the_page_on_exports_leads_to_a_document(tmp_path: Path) -> None:
    run_page(DOCS / "extend" / "export.md", tmp_path)

    metadata = json.loads((tmp_path / "zenodo.json").read_text(encoding="utf-8"))["metadata"]
    assert metadata["upload_type"] == "dataset"
    assert "uno_ccle" in metadata["notes"]


@pytest.mark.slow
def test_the_page_on_registries_leads_to_a_run_on_a_board(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")

    printed = run_page(DOCS / "registries.md", tmp_path)

    record = json.loads((tmp_path / "home/runs/response/first/record.json").read_text())
    scores = {row["metric_id"]: row["score"] for row in record["metrics"] if row["part"] == "test"}
    assert record["status"] == "success"
    assert scores["worst"] >= scores["mae"] > 0
    assert record["code"]["registry"] == "Harbour laboratory"
    assert "runner of Harbour laboratory" in printed
    assert "https://data.example.org/harbour/datasets/harbour_waves/1.0/" in printed
    assert str(tmp_path / "lab") in printed  # the column `registry` of list
    # Nothing of the built-in registry was copied.
    assert sorted(path.name for path in (tmp_path / "lab" / "datapackages").iterdir()) == [
        "harbour_levels",
        "harbour_waves",
    ]
