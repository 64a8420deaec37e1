"""Small real datasets go the whole way, as typed, from the mirror beside the checkout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import sciml_data
from sciml_data.cli import group
from sciml_data.registry.layout import find_registry

pytestmark = [
    pytest.mark.reference,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Shell command not executed:UserWarning"),
]

# By dataset: files and bytes, as the README of the mirror and MANIFEST.csv have them, and splits.
REAL = {
    "slstr_real_mini": (13, 16_884_530, ("slstr_subset", "slstr_granule", "aatsr")),
    "cloud_csmask": (3, 8_021_573, ("sentinel2", "landsat7", "landsat5")),
}


def run(*words: str) -> str:
    result = CliRunner().invoke(group, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("dataset", REAL)
def test_it_is_fetched_verified_converted_opened_cited_and_exported(
    shared: Path, dataset: str, tmp_path: Path
) -> None:
    files, size_bytes, splits = REAL[dataset]

    run("get", dataset, "--mirror", f"file:{shared}/mirror")
    verified = json.loads(run("verify", dataset, "--json"))
    run("convert", dataset)
    run("export", "croissant", dataset, "--to", str(tmp_path / "croissant.json"))

    assert verified["files"] == files
    pinned = find_registry().root / "datapackages" / dataset / "1.0" / "manifest.csv"
    rows = pinned.read_text().splitlines()[1:]
    assert sum(int(row.split(",")[1]) for row in rows) == size_bytes
    for split in splits:
        assert sciml_data.open_dataset(dataset, split=split).attrs["dataset"] == dataset
    assert dataset in run("cite", dataset)
    assert "FsF-" in run("fair", dataset)
    assert json.loads((tmp_path / "croissant.json").read_text())["name"] == dataset
    intake = pytest.importorskip("intake")
    catalog = intake.open_catalog(str(find_registry().root / "catalog" / "sciml.yaml"))
    read = catalog[dataset](version="1.0", split=splits[0]).read()
    assert "cloud" in read
