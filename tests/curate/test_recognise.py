"""Files as curators have them: `new` recognises them, and the whole path works from there."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import frictionless
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner
from PIL import Image

import sciml_data
from sciml_data.cli import group
from sciml_data.curate.inventory import Proposal
from sciml_data.curate.new import HEADINGS
from sciml_data.curate.recognise import recognise
from sciml_data.curate.table_proposals import HEAD_ROWS
from sciml_data.errors import SciMLDataError
from sciml_data.registry import TO_FILL
from sciml_data.registry.manifest import manifest_of, match_paths
from sciml_data.testing.server import FileServer
from tests.support.raw_files import RAW, write
from tests.support.versions import rdflib_warns

STATED = (
    "--title", "Made up for tests", "--license", "CC0-1.0", "--creator", "A user",
    "--source", "https://example.org/raw", "--citation", "A user (2026): Made up for tests.",
    "--keyword", "roof", "--keyword", "wind", "--keyword", "synthetic", "--no-ask",
)  # fmt: skip
FILLED: Mapping[str, Any] = {
    "unit (UDUNITS), or null if there is none": None,
    "what the pixels are": "light",
    "what it is": "a note of the observers",
    "what the values are": "values",
    "zone of times without one, as UTC or Europe/Berlin": "Europe/Berlin",
}


def run(*arguments: str) -> str:
    result = CliRunner().invoke(group, arguments)
    if isinstance(result.exception, SciMLDataError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def new(tmp_path: Path, kind: str, mirror: str = "https://example.org/raw/") -> dict[str, Any]:
    """Write files of a kind, start a dataset of them, and return its descriptor."""
    RAW[kind](tmp_path / "raw")
    root = tmp_path / "registry"
    run("new", "roof", "1.0", "--files", str(tmp_path / "raw"), "--registry", str(root),
        "--mirror", mirror, *STATED)  # fmt: skip
    return read(root)


def read(root: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(descriptor_path(root).read_text())
    return document


def descriptor_path(root: Path) -> Path:
    return root / "datapackages/roof/1.0/datapackage.json"


def fill(root: Path) -> None:
    """Write what a curator has to write, in each place that is marked."""
    text = descriptor_path(root).read_text()
    for hint, value in FILLED.items():
        text = text.replace(json.dumps(f"{TO_FILL}: {hint}"), json.dumps(value))
    document = json.loads(text) | {"description": "Made up for tests, and only for them. " * 4}
    descriptor_path(root).write_text(json.dumps(document))
    parts = [f"## {heading}\n\nMade up for tests.\n" for heading in HEADINGS]
    card = root / "datapackages/roof/README.md"
    card.write_text("\n".join(["# roof\n", *parts]))


def proposed(folder: Path, files: Mapping[str, str | bytes]) -> Proposal:
    """Return what is proposed for files of some content."""
    for path, content in files.items():
        write(folder / path, content.encode() if isinstance(content, str) else content)
    proposal = recognise(folder, manifest_of(folder))
    assert proposal is not None
    return proposal


@pytest.mark.parametrize("kind", RAW)
def test_the_whole_path_works(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIML_DATA_HOME", str(tmp_path / "home"))
    document = new(tmp_path, kind)
    root = tmp_path / "registry"
    with pytest.raises(SciMLDataError) as error:
        run("check", "--registry", str(root))
    assert {problem.kind for problem in error.value.problems} <= {"to fill", "missing", "stale"}
    fill(root)
    run("check", "--registry", str(root))
    run("derive", "--registry", str(root))

    run("get", "roof", "--registry", str(root), "--mirror", f"file:{tmp_path / 'raw'}")
    run("verify", "roof", "--registry", str(root))
    run("convert", "roof", "--registry", str(root))
    split = next(iter(document["sciml"]["splits"]))
    with sciml_data.open_dataset("roof", split=split, registry=root) as dataset:
        assert set(map(str, dataset.variables)) == set(document["sciml"]["variables"])
        assert dataset.attrs["synthetic"] == "false"
    run("get", "roof", "--sample", "--registry", str(root))
    run("convert", "roof", "--sample", "--registry", str(root))
    with sciml_data.open_dataset("roof", split=split, sample=True, registry=root) as dataset:
        assert dataset.attrs["synthetic"] == "true"
    run("export", "croissant", "roof", "--registry", str(root), "--to", str(tmp_path / "c.json"))
    assert json.loads((tmp_path / "c.json").read_text())["conformsTo"][0].endswith("/1.1")


def test_a_table_keeps_its_names_units_types_and_missing_values(tmp_path: Path) -> None:
    block = new(tmp_path, "csv_table")["sciml"]

    variables = block["variables"]
    assert {name: variable["dtype"] for name, variable in variables.items()} == {
        "row": "int64", "file": "S", "station": "S", "time": "datetime64[ns]", "speed": "float64",
        "gusts": "float64", "calm": "bool", "note": "S",
    }  # fmt: skip
    assert (variables["speed"]["units"], variables["speed"]["long_name"]) == ("m/s", "speed")
    assert TO_FILL in variables["gusts"]["units"]
    native = block["native"]
    assert native["columns"]["speed"] == "speed (m/s)"
    assert native["dialect"] == {"delimiter": ";"}
    fields = {field["name"]: field for field in native["schema"]["fields"]}
    assert fields["speed (m/s)"] == {"name": "speed (m/s)", "type": "number", "decimalChar": ","}
    assert fields["station"]["type"] == "string"  # its zeros would be lost
    assert native["schema"]["missingValues"] == ["", "NA"]
    assert list(native["left_native"]) == ["README.txt"]
    assert block["splits"] == {"test": ["test/**"], "train": ["train/**"]}


def test_files_with_the_same_variables_are_shards_of_one_split(tmp_path: Path) -> None:
    block = new(tmp_path, "netcdf")["sciml"]

    assert block["splits"] == {"all": ["**"]}
    assert block["native"] == {"reader": "netcdf", "along": "time"}
    assert block["variables"]["t2m"] == {
        "dims": ["time", "lat"], "dtype": "float64", "units": "K", "long_name": "temperature",
        "standard_name": "air_temperature",
    }  # fmt: skip


def test_names_of_folders_are_classes_and_splits(tmp_path: Path) -> None:
    block = new(tmp_path, "image_folder")["sciml"]

    assert block["native"] == {"reader": "image_folder", "classes": ["clean", "dusty"]}
    assert block["splits"] == {"test": ["test/**"], "train": ["train/**"]}
    assert block["variables"]["image"]["dtype"] == "uint16"


def test_a_unit_of_a_parquet_column_is_taken_over_and_a_list_is_left_out(tmp_path: Path) -> None:
    block = new(tmp_path, "parquet_table")["sciml"]

    assert block["variables"]["energy"]["units"] == "eV"
    assert block["variables"]["charge"]["dtype"] == "float64"  # a value is missing
    assert "path" not in block["variables"]


def test_stock_frictionless_checks_the_data_through_the_descriptor(tmp_path: Path) -> None:
    with FileServer(tmp_path / "raw") as server:
        document = new(tmp_path, "csv_table", server.url)
        names = [each["name"] for each in document["resources"]]
        assert names == ["manifest", "native-test-wind.csv", "native-train-wind.csv"]
        fill(tmp_path / "registry")
        path = descriptor_path(tmp_path / "registry")
        assert frictionless.validate(str(path)).valid

        document = read(tmp_path / "registry")
        resource = document["resources"][-1]
        number = next(f for f in resource["schema"]["fields"] if f["type"] == "number")
        number["constraints"] = {"maximum": 3}
        path.write_text(json.dumps(document))
        report = frictionless.validate(str(path))
        assert {error.type for task in report.tasks for error in task.errors} == {
            "constraint-error"
        }


def test_values_are_those_of_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIML_DATA_HOME", str(tmp_path / "home"))
    new(tmp_path, "csv_table")
    root = tmp_path / "registry"
    fill(root)
    run("get", "roof", "--registry", str(root), "--mirror", f"file:{tmp_path / 'raw'}")
    run("convert", "roof", "--registry", str(root))

    with sciml_data.open_dataset("roof", split="test", registry=root) as dataset:
        loaded: xr.Dataset = dataset.load()
    np.testing.assert_array_equal(loaded["speed"], np.arange(12) + 0.5)
    assert np.isnan(loaded["gusts"].to_numpy()).tolist() == [row % 7 == 3 for row in range(12)]
    assert loaded["time"].to_numpy()[0] == np.datetime64("2020-01-01T04:00:00")  # UTC
    assert loaded["station"].to_numpy()[1] == b"01"
    assert re.fullmatch(r"roof", loaded.attrs["dataset"])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(("column", "variable"), [("level", "file"), ("file", "native_file")])
def test_each_row_has_the_name_of_its_file(
    kind: str, column: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCIML_DATA_HOME", str(tmp_path / "home"))
    tables = {"harbour": [1.5, 2.5, 3.5], "the river, öst": [4.5, 5.5]}
    (tmp_path / "raw").mkdir()
    for name, values in tables.items():
        table = pd.DataFrame({column: values, "other": values})
        getattr(table, f"to_{kind}")(tmp_path / "raw" / f"{name}.{kind}", index=False)
    root = tmp_path / "registry"
    raw = str(tmp_path / "raw")
    run("new", "roof", "1.0", "--files", raw, "--registry", str(root), *STATED)
    fill(root)
    run("get", "roof", "--registry", str(root), "--mirror", f"file:{raw}")
    run("convert", "roof", "--registry", str(root), "--set", "rows_per_shard=2")

    options = {"rows_per_shard": 2}
    with sciml_data.open_dataset("roof", registry=root, options=options) as dataset:
        rows = zip(dataset[column].values, dataset[variable].values, strict=True)

        assert [(value, name.decode()) for value, name in rows] == [
            (value, f"{name}.{kind}") for name, values in tables.items() for value in values
        ]


def test_a_single_table_has_no_name_of_its_file(tmp_path: Path) -> None:
    proposal = proposed(tmp_path, {"only.csv": "level,other\n1,2\n"})

    assert set(proposal.variables) == {"row", "level", "other"}


def test_a_damaged_file_and_one_with_other_columns_stay_native(tmp_path: Path) -> None:
    proposal = proposed(
        tmp_path,
        {
            "a.csv": "x,y\n1,2\n" * 9,
            "b.csv": "x,y\n3,4\n",
            "c.csv": "u,v\n1,2\n",
            "d.csv.gz": b"\x1f\x8b damaged",
        },
    )

    assert sorted(proposal.block["left_native"]) == ["c.csv", "d.csv.gz"]
    assert proposal.splits == {"all": ["a.csv", "b.csv"]}
    assert [text.partition(":")[0] for text in proposal.left_out] == ["d.csv.gz"]


@pytest.mark.parametrize(
    ("cells", "dtype", "kind"),
    [
        (("1", "2"), "int64", "integer"),
        (("1", ""), "float64", "integer"),
        (("1", "2.5"), "float64", "number"),
        (("1", "x"), "S", "string"),
        (("01", "12"), "S", "string"),
        (("1", "9" * 30), "S", "string"),
        ((str(2**60), "NA"), "S", "string"),
        (("true", "false"), "bool", "boolean"),
        (("true", "NA"), "float32", "boolean"),
        (("2020-01-01", "2020-02-01"), "datetime64[ns]", "date"),
        (("2020-01-01T10:00:00Z", "NA"), "datetime64[ns]", "datetime"),
        (("01.02.2020", "31.12.2020"), "datetime64[ns]", "date"),
        (("01/02/2020", "03/04/2020"), "S", "string"),  # day or month first?
    ],
)
def test_the_type_is_that_of_all_rows(
    tmp_path: Path, cells: tuple[str, str], dtype: str, kind: str
) -> None:
    """The second cell comes after the rows that are looked at first."""
    rows = [cells[0]] * (HEAD_ROWS + 1) + [cells[1]]
    # A word for a missing value counts only if it is in the first rows.
    rows[1] = "NA" if "NA" in cells else rows[1]
    text = "a,b\n" + "".join(f"{cell},1\n" for cell in rows)

    proposal = proposed(tmp_path, {"a.csv": text})

    assert proposal.variables["a"]["dtype"] == dtype
    assert proposal.block["schema"]["fields"][0]["type"] == kind


def test_the_zone_of_times_without_one_is_to_be_written(tmp_path: Path) -> None:
    local = proposed(tmp_path / "a", {"a.csv": "t,x\n2020-01-01T10:00:00,1\n"})
    zoned = proposed(tmp_path / "b", {"a.csv": "t,x\n2020-01-01T10:00:00Z,1\n"})

    assert TO_FILL in local.block["timezone"]
    assert "timezone" not in zoned.block


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_encoding_is_that_of_the_whole_file(tmp_path: Path, encoding: str) -> None:
    text = "a,b\n" + "1,x\n" * 270_000 + "2,ä\n"

    proposal = proposed(tmp_path, {"a.csv": text.encode(encoding)})

    assert proposal.block["encoding"] == encoding


def test_a_name_of_a_glob_is_taken_as_it_is(tmp_path: Path) -> None:
    proposal = proposed(tmp_path, {"a[1].csv": "x,y\n1,2\n", "b*.txt": "note"})

    assert match_paths(proposal.splits["all"], ["a[1].csv", "a1.csv"]) == ["a[1].csv"]
    assert match_paths(proposal.block["left_native"], ["b*.txt", "bc.txt"]) == ["b*.txt"]


def test_images_of_unlike_sizes_are_padded(tmp_path: Path) -> None:
    for number, shape in enumerate([(4, 6), (5, 3)]):
        Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / f"{number}.png")

    proposal = recognise(tmp_path, manifest_of(tmp_path))

    assert proposal is not None
    assert proposal.block["size"] == [5, 6]
    assert {"height", "width"} <= set(proposal.variables)
    assert "classes" not in proposal.block


def test_without_the_extra_the_files_are_not_recognised_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.csv", b"x,y\n1,2\n")
    monkeypatch.setitem(sys.modules, "frictionless", None)
    lines: list[str] = []

    assert recognise(tmp_path, manifest_of(tmp_path), lines.append) is None
    assert "sciml-data[formats]" in lines[0]


@rdflib_warns
def test_croissant_reads_the_records_of_a_published_table(tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    write(tmp_path / "raw" / "a b.csv", b"day,speed (m/s)\n2001-02-03,1.5\n2001-02-04,2.5\n")
    root = tmp_path / "registry"
    with FileServer(tmp_path / "raw") as server:
        run("new", "roof", "1.0", "--files", str(tmp_path / "raw"), "--registry", str(root),
            "--mirror", server.url, *STATED)  # fmt: skip
        fill(root)
        target = tmp_path / "croissant.json"
        run("export", "croissant", "roof", "--registry", str(root), "--to", str(target))
        dataset = mlcroissant.Dataset(jsonld=str(target))
        (name,) = [
            each.uuid
            for each in dataset.metadata.record_sets
            if each.uuid.startswith("records/native/")
        ]
        rows = list(dataset.records(name))

    assert [row[f"{name}/speed__m_s_"] for row in rows] == [1.5, 2.5]
