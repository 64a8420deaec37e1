"""Logs of real runs: a single run, several seeds, and a resumed run."""

from __future__ import annotations

from pathlib import Path

import pytest

from sciml_data.bench.record.record import load_record
from sciml_data.bench.record.runs import all_runs
from sciml_data.home import Home
from sciml_data.registry.layout import find_registry
from sciml_data.results.mlperf_log import check_lines, check_official, events_of, log_text
from tests.support.mllog_records import COMMIT, SUBMITTER, signed
from tests.support.paths import TOY_REGISTRY
from tests.support.toy import run_cli, toy_source

# Keras 3.15 converts its own variables in a way NumPy 2.4 warns of, when it saves weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def runs_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home with runs of two seeds that share their data, and a run that was resumed."""
    root = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sciml_data.bench.stage", toy_source)
        seeds = run_cli("run", "toy", "--seeds", "0-1", "--set", "epochs=1", home=root)
        one = run_cli("run", "toy", "--sample", "--name", "once", "--set", "epochs=1", home=root)
        again = run_cli("run", "toy", "--resume", "once", home=root)
    assert [seeds.exception, one.exception, again.exception] == [None, None, None]
    return Home(root)


def test_the_log_of_each_run_passes_both_checks(runs_home: Home, tmp_path: Path) -> None:
    registry = find_registry(TOY_REGISTRY)
    for folder in all_runs(runs_home):
        record = load_record(folder)
        record["code"]["commit"] = COMMIT  # where the tests run there may be no git checkout
        path = tmp_path / f"{folder.name}.txt"
        path.write_text(log_text(signed(record), SUBMITTER), encoding="utf-8")

        assert check_lines(path.read_text(encoding="utf-8"), record) == []
        assert check_official(path, "toy", registry=registry) == []
    assert len(all_runs(runs_home)) == 3


def test_data_that_seeds_share_are_staged_before_their_runs(runs_home: Home) -> None:
    records = [load_record(folder) for folder in all_runs(runs_home)]
    shared = [one for one in records if one["timing"]["is_staging_shared"]]

    orders = [[event.key for event in events_of(one, SUBMITTER)] for one in shared]

    assert len(shared) == 2
    assert all(keys.index("staging_stop") < keys.index("run_start") for keys in orders)


def test_a_run_that_was_gone_on_with_says_so(runs_home: Home) -> None:
    (record,) = [
        one for one in map(load_record, all_runs(runs_home)) if one["timing"]["resumed_epochs"]
    ]

    (start,) = [one for one in events_of(record, SUBMITTER) if one.key == "run_start"]

    assert start.metadata == {"resumed_epochs": 1}
