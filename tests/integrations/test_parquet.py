"""A dataset as Parquet has equal values in Hugging Face datasets, polars and DuckDB."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

import sciml_data
from sciml_data.cli import group
from sciml_data.errors import CallError, VerificationError
from tests.support.paths import ROOT
from tests.support.versions import rdflib_warns

pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with three samples: images, events, and tables with two splits."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("em_graphene_sim", "tevolop_socal"):
        sciml_data.get_dataset(name, sample=True, home=folder, **VERSIONS.get(name, {}))
        sciml_data.convert_dataset(name, sample=True, home=folder, **VERSIONS.get(name, {}))
    return folder


VERSIONS: dict[str, Any] = {"tevolop_socal": {"version": "1.0"}}


def export(name: str, folder: Path, home: Path, **options: Any) -> Any:
    given = {"sample": True, "home": home, **VERSIONS.get(name, {}), **options}
    return sciml_data.export_parquet(name, folder, **given)


@pytest.fixture(scope="module")
def graphene(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "graphene"
    export("em_graphene_sim", folder, home, shard_bytes=10 * 2 * 256 * 256 * 4 + 100)
    return folder


@pytest.fixture(scope="module")
def events(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "events"
    export("tevolop_socal", folder, home, shard_bytes=2_000_000)
    return folder


def test_files_have_bounded_sizes_and_the_names_that_hugging_face_expects(graphene: Path) -> None:
    assert sorted(path.name for path in (graphene / "sample").iterdir()) == [
        f"train-0000{n}-of-00003.parquet" for n in range(3)
    ]
    rows = [pq.read_metadata(path).num_rows for path in sorted(graphene.rglob("*.parquet"))]
    assert rows == [10, 10, 4]


def test_columns_have_units_and_descriptions(events: Path) -> None:
    schema = pq.read_schema(events / "event" / "full-00000-of-00003.parquet")
    depth = {key.decode(): value.decode() for key, value in schema.field("depth").metadata.items()}
    about = json.loads(schema.metadata[b"sciml_data"])

    assert depth["units"] == "km"
    assert depth["description"].startswith("hypocentre depth")
    assert (about["dataset"], about["version"], about["synthetic"]) == (
        "tevolop_socal",
        "1.0",
        True,
    )


def test_polars_reads_arrays_and_times(graphene: Path, events: Path, home: Path) -> None:
    polars = pytest.importorskip("polars")
    images = sciml_data.open_dataset("em_graphene_sim", sample=True, home=home, split="train")
    frame = polars.read_parquet(graphene / "sample" / "train-*.parquet")
    np.testing.assert_array_equal(frame["noisy"].to_numpy(), images.noisy.values)

    ready = sciml_data.open_dataset("tevolop_socal", version="1.0", sample=True, home=home)
    frame = polars.read_parquet(events / "event" / "full-*.parquet")
    np.testing.assert_array_equal(frame["time"].to_numpy(), ready.time.values)
    np.testing.assert_array_equal(frame["magnitude"].to_numpy(), ready.magnitude.values)
    assert frame["event_id"].to_list() == [name.decode() for name in ready.event_id.values]


def test_duckdb_reads_and_counts(graphene: Path, events: Path, home: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    ready = sciml_data.open_dataset("tevolop_socal", version="1.0", sample=True, home=home)
    shards = duckdb.read_parquet(f"{events}/event/full-*.parquet")
    ((count, depth),) = shards.aggregate("count(*), sum(isnan(depth)::int)").fetchall()
    pairs = duckdb.read_parquet(f"{graphene}/sample/train-*.parquet")
    ((image,),) = pairs.filter("sample = 3").project("noisy").fetchall()
    images = sciml_data.open_dataset("em_graphene_sim", sample=True, home=home, split="train")

    assert (count, depth) == (ready.sizes["event"], int(np.isnan(ready.depth.values).sum()))
    np.testing.assert_array_equal(np.array(image, np.float32), images.noisy.values[3])


def test_hugging_face_reads_folder_and_files(
    graphene: Path, events: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    cache = {"cache_dir": str(tmp_path / "cache")}
    images = sciml_data.open_dataset("em_graphene_sim", sample=True, home=home, split="train")
    loaded = datasets.load_dataset(str(graphene), split="train", **cache)
    np.testing.assert_array_equal(loaded.with_format("numpy")[5]["clean"], images.clean.values[5])

    files = {"train": str(graphene / "sample" / "train-*.parquet")}
    by_files = datasets.load_dataset("parquet", data_files=files, split="train", **cache)
    header = yaml.safe_load((graphene / "README.md").read_text().split("---\n")[1])
    assert by_files.features == loaded.features
    assert header["dataset_info"][0]["features"] == by_files.features._to_yaml_list()

    pixels = datasets.load_dataset(str(events), "pixel", split="full", **cache)
    ready = sciml_data.open_dataset("tevolop_socal", version="1.0", sample=True, home=home)
    assert pixels["fault_group"][:9] == ready.fault_group.values[:9].tolist()


def test_the_card_states_licence_and_units(events: Path) -> None:
    text = (events / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(text.split("---\n")[1])

    assert header["license"] == "other"
    assert header["license_name"] == "LicenseRef-not-stated, LicenseRef-US-public-domain"
    assert header["configs"][0]["config_name"] == "event"
    assert header["configs"][0]["default"] is True
    assert "A synthetic sample" in text
    assert "| `depth` | float32 | km | hypocentre depth" in text


def test_an_export_is_resumed_and_its_bytes_do_not_change(graphene: Path, home: Path) -> None:
    before = {path: path.read_bytes() for path in graphene.rglob("*") if path.is_file()}
    second = graphene / "sample" / "train-00001-of-00003.parquet"
    second.unlink()
    again = export("em_graphene_sim", graphene, home, shard_bytes=10 * 2 * 256 * 256 * 4 + 100)

    assert again.reused == 2
    assert {path: path.read_bytes() for path in graphene.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_a_killed_export_leaves_whole_files_and_is_finished(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    code = (
        f"import sciml_data; sciml_data.export_parquet('tevolop_socal', {str(folder)!r}, "
        f"version='1.0', sample=True, home={str(home)!r}, shard_bytes=50_000)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    while not list(folder.glob("event/*-00020-*")):
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    complete = list(folder.rglob("[!.]*.parquet"))
    rows = sum(pq.read_metadata(path).num_rows for path in complete)
    done = export("tevolop_socal", folder, home, shard_bytes=50_000)

    assert 0 < rows < sum(done.rows["event"].values())
    assert done.reused >= len(complete) - 1
    assert not list(folder.rglob(".*"))
    assert sum(pq.read_metadata(path).num_rows for path in folder.glob("event/*.parquet")) == sum(
        done.rows["event"].values()
    )


def test_what_others_wrote_is_never_touched(graphene: Path, home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    with pytest.raises(CallError, match="not empty"):
        export("em_graphene_sim", mine, home)
    with pytest.raises(CallError, match="shard_bytes differs"):
        export("em_graphene_sim", graphene, home)
    with pytest.raises(CallError, match="dataset"):
        export("tevolop_socal", graphene, home)
    copy = tmp_path / "copy"
    shutil.copytree(graphene, copy)
    (copy / "sample" / "train-00001-of-00003.parquet").write_bytes(b"other")
    with pytest.raises(VerificationError) as error:
        export("em_graphene_sim", copy, home, shard_bytes=10 * 2 * 256 * 256 * 4 + 100)

    assert [problem.place for problem in error.value.problems] == [
        "sample/train-00001-of-00003.parquet"
    ]
    assert [path.name for path in mine.iterdir()] == ["notes.txt"]


def test_an_edited_card_stays(graphene: Path, home: Path, tmp_path: Path) -> None:
    copy, lines = tmp_path / "copy", list[str]()
    shutil.copytree(graphene, copy)
    (copy / "README.md").write_text("edited")
    size = 10 * 2 * 256 * 256 * 4 + 100
    for _ in range(2):
        export("em_graphene_sim", copy, home, shard_bytes=size, log=lines.append)

    assert (copy / "README.md").read_text() == "edited"
    assert [line.endswith("was edited and stays as it is") for line in lines] == [True, True]


def test_a_large_file_is_written_in_groups_of_rows(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sciml_data.integrations.parquet.tables.GROUP_BYTES", 1_200_000)
    export("em_graphene_sim", tmp_path / "out", home)
    (file,) = (tmp_path / "out").rglob("*.parquet")

    assert pq.read_metadata(file).num_row_groups == 12


def test_the_command_writes_a_folder(home: Path, tmp_path: Path) -> None:
    arguments = ["export", "parquet", "em_graphene_sim", "--sample", "--home", str(home)]
    place = str(tmp_path / "out")
    runner = CliRunner()
    done = runner.invoke(group, [*arguments, "--to", place, "--shard-mb", "5"])

    assert (done.exit_code, done.stdout) == (0, f"{place}\n")
    assert len(list(Path(place).rglob("*.parquet"))) == 3
    for wrong, reason in (
        ([], "needs a folder"),
        (["--to", place, "--format", "json"], "does not accept --format"),
    ):
        failed = runner.invoke(group, [*arguments, *wrong])
        assert isinstance(failed.exception, CallError)
        assert reason in str(failed.exception)


@rdflib_warns
@pytest.mark.filterwarnings("ignore:The inplace keyword")  # in mlcroissant, with a new pandas
def test_mlcroissant_iterates_the_rows_of_every_file(graphene: Path, events: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")

    for folder in (graphene, events):
        dataset = mlcroissant.Dataset(jsonld=folder / "croissant.json")
        rows = {
            item.uuid: pq.read_metadata(folder / item.fields[0].source.file_object).num_rows
            for item in dataset.metadata.record_sets
        }
        assert len(rows) == len(list(folder.rglob("*.parquet")))
        first = next(iter(rows))
        read = list(dataset.records(first))
        assert len(read) == rows[first]
        columns = pq.read_schema(
            folder / dataset.metadata.record_sets[0].fields[0].source.file_object
        )
        assert {key.rpartition("/")[2] for key in read[0]} == set(columns.names)


@rdflib_warns
@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_mlcroissant_gives_the_values_and_refuses_another_format(
    events: Path, tmp_path: Path
) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    folder = tmp_path / "copy"
    shutil.copytree(events, folder)
    record = "event/full/0"
    stored = pq.read_table(folder / "event" / "full-00000-of-00003.parquet")

    rows = mlcroissant.Dataset(jsonld=folder / "croissant.json").records(record)
    magnitudes = [row[f"{record}/magnitude"] for row in rows]

    np.testing.assert_array_equal(magnitudes, stored["magnitude"].to_numpy())
    document = json.loads((folder / "croissant.json").read_text())
    document["distribution"][0]["encodingFormat"] = "application/x-hdf5"
    (folder / "croissant.json").write_text(json.dumps(document))
    with pytest.raises(Exception, match="during the operation Read"):
        list(mlcroissant.Dataset(jsonld=folder / "croissant.json").records(record))


def test_a_synthetic_export_has_no_place_time_or_statement_of_the_real_data(events: Path) -> None:
    document = json.loads((events / "croissant.json").read_text())

    claims = ("rai:", "geocr:", "spatialCoverage", "temporalCoverage", "measurementTechnique")
    assert [key for key in document if key.startswith(claims)] == []
    assert document["alternateName"].startswith("SYNTHETIC sample of: ")


def test_an_edited_croissant_file_stays(home: Path, tmp_path: Path) -> None:
    folder, lines = tmp_path / "export", list[str]()
    export("tevolop_socal", folder, home)
    (folder / "croissant.json").write_text("{}")

    export("tevolop_socal", folder, home, log=lines.append)

    assert (folder / "croissant.json").read_text() == "{}"
    assert "croissant.json was edited" in " ".join(lines)
