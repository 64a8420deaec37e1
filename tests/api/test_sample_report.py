"""Percentiles of a sample beside those of real data: declared in the descriptor, by group."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from sciml_data import compare_sample, describe
from sciml_data.api.sample_report import _summaries
from sciml_data.cli import group
from sciml_data.cli.sample_report import _percent
from sciml_data.errors import CallError, DescriptorError
from sciml_data.testing.datasets import change_descriptor, write_dataset

HEIGHTS = "height,deep\n1,0\n2,0\n3,0\n,0\n10,1\n"
PLAN = {"dataset": "tides", "variables": ["height"], "by": ["deep"]}
COLUMNS = {"height": "float32", "deep": "int16"}
FIELDS = [
    {"name": "height", "type": "number"},
    {"name": "deep", "type": "integer", "constraints": {"minimum": 0, "maximum": 1}},
]


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """Return a registry with a table of five real rows and its sample."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.csv").write_text(HEIGHTS)
    mirrors = [{"": "https://example.invalid/"}]  # never asked: --mirror comes first
    root = tmp_path / "registry"
    files = {"a.csv": HEIGHTS.encode()}
    folder = write_dataset(root, files, mirrors=mirrors, dataset="tides").folder
    columns = {name: name for name in COLUMNS}
    native = {"reader": "csv_table", "columns": columns, "schema": {"fields": FIELDS}}
    variables = {
        name: {"dims": ["row"], "dtype": dtype, "long_name": name}
        for name, dtype in COLUMNS.items()
    }
    variables["height"]["units"] = "m"
    block = {"native": native, "variables": variables}
    change_descriptor(folder, lambda document: document["sciml"].update(block))
    declare(root, PLAN)
    return root


def declare(registry: Path, plan: dict[str, Any]) -> None:
    change_descriptor(
        registry / "datapackages" / "tides" / "1.0",
        lambda document: document["sciml"]["sample"].update(compare_with=plan),
    )


def test_a_report_has_percentiles_and_missing_values_by_group(
    registry: Path, tmp_path: Path
) -> None:
    report = compare_sample(
        "tides", mirrors=[f"file:{tmp_path}/files"], registry=registry, home=tmp_path / "home"
    )
    shallow, deep = report["rows"]

    assert (report["sample"], report["real"]) == ("tides 1.0, seed 0", "tides")
    assert (shallow["group"], shallow["variable"], shallow["band"]) == (["0"], "height", None)
    assert shallow["unit"] == "m"
    assert shallow["real"]["values"] == 4
    assert shallow["real"]["missing"] == 0.25
    assert shallow["real"]["percentiles"] == pytest.approx((1.1, 2, 2.9))
    assert deep["real"] == {"values": 1, "missing": 0.0, "percentiles": (10, 10, 10)}
    assert shallow["sample"]["values"] + deep["sample"]["values"] > 100


def test_the_verb_prints_the_same_as_text_and_as_json(registry: Path, tmp_path: Path) -> None:
    words = ["sample-report", "tides", "--registry", str(registry), "--home", str(tmp_path / "h")]
    words += ["--mirror", f"file:{tmp_path}/files"]
    text = CliRunner().invoke(group, words)
    document = CliRunner().invoke(group, [*words, "--format", "json"])

    assert text.exit_code == document.exit_code == 0
    assert "deep 0 (" in text.stdout
    assert "real 4 values)" in text.stdout
    assert "  height [m] " in text.stdout
    assert json.loads(document.stdout)["rows"][1]["real"]["percentiles"] == [10, 10, 10]


def test_data_without_a_real_counterpart_name_those_that_have_one(registry: Path) -> None:
    with pytest.raises(CallError, match="real data") as caught:
        compare_sample("hydronet_ds1", registry=registry)

    assert "tides" in str(caught.value.hint)
    assert "cloud_slstr_ds1" in str(caught.value.hint)


def test_a_variable_that_neither_has_is_named(registry: Path, tmp_path: Path) -> None:
    declare(registry, PLAN | {"variables": ["weight"]})

    with pytest.raises(CallError, match="weight"):
        compare_sample(
            "tides", mirrors=[f"file:{tmp_path}/files"], registry=registry, home=tmp_path / "home"
        )


def test_a_declaration_with_an_unknown_key_is_refused(registry: Path) -> None:
    declare(registry, PLAN | {"percentiles": [50]})

    with pytest.raises(DescriptorError, match="compare_with"):
        describe("tides", registry=registry)


def test_bands_have_rows_flags_have_words_and_invalid_pixels_do_not_count() -> None:
    pixels = np.arange(8, dtype=np.float32).reshape(1, 4, 2)
    scene = xr.Dataset(
        {
            "kelvin": (("scene", "pixel", "band"), pixels),
            "light": (
                "scene",
                [1],
                {"flag_values": np.array([0, 1]), "flag_meanings": "night day"},
            ),
            "valid": (("scene", "pixel"), [[1, 1, 1, 0]]),
        },
        {"band": np.array([b"S8", b"S9"])},
    )
    plan = {"dataset": "", "variables": ["kelvin"], "by": ["light"], "where": ["valid"]}
    found = _summaries([scene, scene.drop_vars("kelvin")], plan, "scenes")

    assert set(found) == {(("day",), "kelvin", "S8"), (("day",), "kelvin", "S9")}
    summary = found[("day",), "kelvin", "S9"]
    assert summary.values == 3
    assert summary.percentiles == pytest.approx((1.2, 3, 4.8))


@pytest.mark.parametrize(
    ("share", "printed"),
    [(0.0, "0%"), (0.003, "<1%"), (0.25, "25%"), (0.997, ">99%"), (1.0, "100%")],
)
def test_a_share_is_none_or_all_only_where_it_is(share: float, printed: str) -> None:
    assert _percent(share) == printed
