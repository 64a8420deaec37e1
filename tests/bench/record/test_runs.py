"""A run is found by its path, name and id, and as the latest."""

from __future__ import annotations

from pathlib import Path

import pytest

from sciml_data.bench.record.record import load_record
from sciml_data.bench.record.runs import find_run
from sciml_data.errors import CallError
from sciml_data.home import Home

# Keras 3.15 converts its own variables in a way NumPy 2.4 warns of, when it saves weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_a_run_is_found_by_path_name_id_and_as_the_latest(done: Path) -> None:
    home = Home(done.parents[2])
    run_id = load_record(done)["run_id"]

    for name in (
        str(done),
        f"{done}/record.json",
        done.name,
        run_id,
        run_id[:8],
        "latest",
        "toy/latest",
    ):
        assert done == find_run(home, name)


@pytest.mark.parametrize("name", ["nothing", "other/latest", "ab"])
def test_an_unknown_run_is_refused(done: Path, name: str) -> None:
    with pytest.raises(CallError, match="no such run"):
        find_run(Home(done.parents[2]), name)


def test_a_home_without_runs_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="no such run") as error:
        find_run(Home(tmp_path), "latest")

    assert "sciml-data run BENCHMARK" in error.value.hint
