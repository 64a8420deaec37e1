"""`sciml-data split export` and `score`: exit codes, and nothing half-written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner, Result

from sciml_data.cli import group
from sciml_data.errors import SciMLDataError

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def ids(place: Path) -> pd.DataFrame:
    result = call(place, "split", "export", "hydronet", "--to", str(place / "ids.csv"))
    assert result.exit_code == 0, result.output
    return pd.read_csv(place / "ids.csv")


def call(place: Path, *words: str, sample: bool = True) -> Result:
    options = ["--sample"] if sample else []
    return CliRunner().invoke(group, [*words, *options, "--home", str(place)])


def exit_code(place: Path, *words: str) -> tuple[int, str]:
    """Return exit code and stderr of the program in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "sciml_data", *words, "--sample", "--home", str(place)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_ids_of_every_part_are_a_table(ids: pd.DataFrame) -> None:
    assert list(ids.columns) == ["part", "cluster", "source", "geometry", "molecules"]
    assert set(ids["part"]) == {"train", "validation", "test"}
    assert not ids["cluster"].duplicated().any()


def test_ids_of_every_part_are_groups_of_netcdf(ids: pd.DataFrame, place: Path) -> None:
    result = call(place, "split", "export", "hydronet", "--to", str(place / "ids.nc"))

    assert result.exit_code == 0, result.output
    with xr.open_dataset(place / "ids.nc", group="test") as test:
        assert sorted(test["cluster"].to_numpy()) == sorted(ids["cluster"][ids["part"] == "test"])


@pytest.mark.parametrize("name", ["ids.txt", "no-folder/ids.csv"])
def test_ids_cannot_be_written_to_another_place(place: Path, name: str) -> None:
    result = call(place, "split", "export", "hydronet", "--to", str(place / name))

    assert result.exit_code != 0
    assert not (place / name).exists()


def test_a_filled_table_is_scored(ids: pd.DataFrame, place: Path) -> None:
    ids.assign(predicted=-10.0).to_csv(place / "filled.csv", index=False)

    words = ("score", "hydronet", str(place / "filled.csv"), "--model", "constant", "--json")
    result = call(place, *words)

    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert (record["training"], record["model"]["name"]) == ("external", "constant")
    assert {row["part"] for row in record["metrics"]} == {"train", "validation", "test"}


def test_wrong_predictions_exit_with_1_and_a_wrong_call_with_2(
    ids: pd.DataFrame, place: Path, tmp_path: Path
) -> None:
    path = tmp_path / "predicted.csv"
    ids.assign(predicted=-10.0).iloc[:-1].to_csv(path, index=False)
    missing = ids["cluster"].iloc[-1]
    runs = ("--runs", str(tmp_path / "runs"))

    code, error = exit_code(place, "score", "hydronet", str(path), *runs)
    assert code == 1
    assert missing in error
    assert "nothing was scored or written" in error
    assert exit_code(place, "score", "hydronet", str(tmp_path / "none.csv"), *runs)[0] == 2
    assert exit_code(place, "score", "hydronett", str(path), *runs)[0] == 2
    assert not (tmp_path / "runs").exists()


def test_a_home_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    predicted = tmp_path / "predicted.csv"
    predicted.touch()

    code, error = exit_code(tmp_path / "file" / "x", "score", "hydronet", str(predicted))

    assert code == 1
    assert "is not writable" in error
    assert "Traceback" not in error


def test_without_data_the_synthetic_sample_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCIML_DATA_MIRRORS", f"file:{tmp_path}")
    (tmp_path / "p.csv").write_text("cluster,predicted\n", encoding="utf-8")

    result = call(tmp_path / "home", "score", "hydronet", str(tmp_path / "p.csv"), sample=False)

    assert isinstance(result.exception, SciMLDataError)
    assert "--sample" in result.exception.hint
