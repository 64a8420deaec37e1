"""`run`, `show` and `rescore`: stdout is data, stderr is talk, an exit code says what is wrong."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import Result

from sciml_data.bench.interface import load_runner
from sciml_data.bench.record.record import load_record, write_record
from sciml_data.bench.run.request import check_backend
from sciml_data.bench.run.staging import Sample, Source
from sciml_data.bench.task.task import Task
from sciml_data.bench.training import backend
from sciml_data.cli import group
from sciml_data.cli.run import read_seeds
from sciml_data.errors import CallError, RecordError, SciMLDataError
from sciml_data.registry.layout import Registry
from tests.support.paths import TOY_REGISTRY
from tests.support.toy import run_cli, toy_source

# Keras 3.15 converts its own variables in a way NumPy 2.4 warns of, when it saves weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(autouse=True)
def _points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sciml_data.bench.stage", toy_source)


def talked(result: Result) -> str:
    """Return what the command said, whether click or we stopped it."""
    return result.stderr + str(result.exception or "")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with two real runs and one on a sample."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sciml_data.bench.stage", toy_source)
        sample = run_cli("run", "toy", "--sample", "--strategy", "default", home=home)
        seeds = run_cli("run", "toy", "--seeds", "0-1", "--set", "epochs=2", home=home)
    assert (sample.exception, seeds.exception) == (None, None)
    return home


def runs_of(home: Path) -> list[str]:
    return [path.parent.name for path in sorted((home / "runs").glob("*/*/record.json"))]


def test_a_run_prints_its_table_and_its_folder(tmp_path: Path) -> None:
    result = run_cli("run", "toy", "--set", "epochs=1", home=tmp_path)

    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert load_record(Path(lines[-1]))["settings"]["epochs"] == 1
    assert any(line.startswith("explained, higher is better") for line in lines)
    assert "epoch 1/1" in result.stderr
    assert "(lower is better)" in result.stderr
    assert "epoch 1/1" not in result.stdout


def test_json_is_the_record(kept: Path) -> None:
    result = run_cli("show", "latest", "--json", home=kept)

    assert json.loads(result.stdout)["benchmark"]["name"] == "toy"


def test_several_seeds_are_shown_as_median_and_spread(kept: Path) -> None:
    real = runs_of(kept)[1:]

    result = run_cli("show", *real, home=kept)

    assert result.exit_code == 0
    assert "2 runs, seeds 0, 1" in result.stdout
    assert "median" in result.stdout


def test_synthetic_and_real_runs_are_not_mixed(kept: Path) -> None:
    result = run_cli("show", *runs_of(kept), home=kept)

    assert isinstance(result.exception, CallError)
    assert {"synthetic", "data"} <= {problem.kind for problem in result.exception.problems}


def test_show_draws_the_figures_and_copies_them(kept: Path, tmp_path: Path) -> None:
    result = run_cli("show", "latest", "--figures", str(tmp_path / "drawn"), home=kept)
    without = run_cli("show", "latest", "--no-figures", home=kept)

    drawn = [
        str(tmp_path / "drawn" / name) for name in ("observed.png", "curve.png", "monitor.png")
    ]
    assert result.stdout.splitlines()[-3:] == drawn
    assert (tmp_path / "drawn" / "observed.png").read_bytes().startswith(b"\x89PNG")
    assert "observed.png" not in without.stdout


def test_rescore_finds_the_scores_again(kept: Path) -> None:
    result = run_cli("rescore", runs_of(kept)[0], home=kept)

    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "18 scores recomputed, 0 differ from the record"


def test_rescore_exits_1_where_a_score_differs(kept: Path) -> None:
    folder = kept / "runs" / "toy" / runs_of(kept)[2]
    record = load_record(folder)
    record["metrics"][0]["score"] += 1e-3
    write_record(folder, record)

    result = run_cli("rescore", str(folder), "--json", home=kept)

    assert result.exit_code == 1
    assert len(json.loads(result.stdout)["differences"]) == 1


def test_a_finished_run_can_be_gone_on_with(kept: Path) -> None:
    before = load_record(kept / "runs" / "toy" / runs_of(kept)[1])

    result = run_cli("run", "toy", "--resume", before["run_id"], "--json", home=kept)

    after = json.loads(result.stdout)
    assert after["run_id"] == before["run_id"]
    assert after["settings"] == before["settings"]
    assert after["settings_overridden"] == ["epochs"]
    assert after["metrics"] == before["metrics"]


def test_a_run_of_a_name_is_gone_on_with(tmp_path: Path) -> None:
    words = ("run", "toy", "--name", "mine", "--set", "epochs=1", "--json")

    first = json.loads(run_cli(*words, home=tmp_path).stdout)
    again = json.loads(run_cli(*words, home=tmp_path).stdout)
    other = run_cli(*words, "--seed", "1", home=tmp_path)

    assert runs_of(tmp_path) == ["mine"]
    assert first["run_id"] == again["run_id"]
    assert (first["timing"]["resumed_epochs"], again["timing"]["resumed_epochs"]) == (0, 1)
    assert isinstance(other.exception, RecordError)  # a name stands for one run, settings and all


def test_seeds_of_a_name_have_folders_of_their_own(tmp_path: Path) -> None:
    run_cli("run", "toy", "--name", "m", "--seeds", "3-4", "--set", "epochs=1", home=tmp_path)

    assert runs_of(tmp_path) == ["m-s3", "m-s4"]


def test_staging_alone_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    staged: list[Any] = []

    def stage(task: Task, *words: object, **options: Any) -> Source:
        staged.append(options["sample"])
        return toy_source(task, *words, **options)

    monkeypatch.setattr("sciml_data.bench.stage", stage)

    words = ("--sample-seed", "3", "--sample-set", "rows=9", "--stage-only")
    result = run_cli("run", "toy", "--sample", *words, home=tmp_path)

    assert (result.exit_code, result.stdout, staged) == (0, "", [Sample(3, ("rows=9",))])
    assert runs_of(tmp_path) == []


def test_a_worker_that_does_not_write_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sciml_data.bench.run_once", lambda *_, **__: None)
    cluster = {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}
    task = {"type": "worker", "index": 1}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))

    result = run_cli("run", "toy", "--strategy", "default", "--json", home=tmp_path)

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_a_backend_that_a_runner_does_not_run_on_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    toy = load_runner(Registry(TOY_REGISTRY), "toy")
    monkeypatch.setattr(backend, "name", lambda: "jax")
    check_backend(toy, "toy")

    monkeypatch.setattr(toy, "BACKENDS", ("tensorflow",), raising=False)
    with pytest.raises(CallError, match="'toy' runs on tensorflow, not on jax"):
        check_backend(toy, "toy")


def test_the_settings_are_printed_and_nothing_is_run(tmp_path: Path) -> None:
    text = run_cli("run", "toy", "--help-settings", home=tmp_path)
    rows = json.loads(run_cli("run", "toy", "--help-settings", "--json", home=tmp_path).stdout)

    assert "units  " in text.stdout
    assert "a whole number, 1 or more" in text.stdout
    assert {row["setting"]: row["default"] for row in rows}["units"] == 8
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "toy", "--set", "batch_size=0"], "batch_size  a whole number, 1 or more"),
        (["run", "toi"], "did you mean 'toy'"),
        (["run", "toy", "--model", "smal"], "did you mean 'small'"),
        (["run", "toy", "--split", "third"], "did you mean 'thirds'"),
        (["run", "toy", "--set", "epohcs=1"], "did you mean 'epochs'"),
        (["run", "toy", "--seed", "1", "--seeds", "0-4"], "cannot be used together"),
        (["run", "toy", "--seeds", "4-0"], "--seeds '4-0'"),
        (["run", "toy", "--strategy", "mirrord"], "did you mean 'mirrored'"),
        (["run", "toy", "--resume", "latest"], "no such run"),
        (
            ["run", "toy", "--resume", "latest", "--model", "small"],
            "--model cannot be used with --resume",
        ),
        (
            ["run", "toy", "--resume", "latest", "--name", "x"],
            "--name cannot be used with --resume",
        ),
        (
            ["run", "toy", "--resume", "latest", "--set", "epochs=3", "--sample", "--seed", "0"],
            "--seed, --set, --sample cannot be used with --resume",
        ),
        (
            ["run", "toy", "--resume", "latest", "--sample-set", "rows=3"],
            "--sample-set cannot be used with --resume",
        ),
        (["run", "toy", "--name", "a/b"], "cannot be named"),
        (["run", "toy", "--name", "latest"], "cannot be named"),
        (["run", "toy", "--nodes", "2"], "Slurm did not start"),
        (["run", "toy", "--backend", "jaxx"], "did you mean 'jax'"),
        (["run", "toy", "--backend", "torch"], "no such backend: 'torch'"),
        (["run", "toy", "--strategy", "data_parallel"], "keras.distribution is not supported"),
        (["show", "latest"], "no such run"),
        (["rescore", "latest"], "no such run"),
    ],
)
def test_a_wrong_call_exits_2_and_says_what_is_wrong(
    tmp_path: Path, words: list[str], said: str
) -> None:
    result = run_cli(*words, home=tmp_path)

    assert isinstance(result.exception, SciMLDataError)
    assert result.exception.exit_code == 2
    assert said in talked(result)
    assert not (tmp_path / "runs").exists()


def test_without_tensorflow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> Any:
        return None if name == "tensorflow" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)

    result = run_cli("run", "toy", home=tmp_path)

    assert isinstance(result.exception, CallError)
    assert result.exception.hint == "pip install 'sciml-data[train]'"


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("0-4", [0, 1, 2, 3, 4]), ("0,2, 5", [0, 2, 5]), ("7", [7]), ("0-1,4", [0, 1, 4])],
)
def test_seeds_are_read(text: str, seeds: list[int]) -> None:
    assert read_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "1,1", "3-1"])
def test_seeds_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(CallError):
        read_seeds(text)


@pytest.mark.parametrize("verb", ["run", "show", "rescore"])
def test_help_has_examples(verb: str) -> None:
    command = group.get_command(click.Context(group), verb)

    assert command is not None
    assert f"sciml-data {verb}" in (command.epilog or "")
