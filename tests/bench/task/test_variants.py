"""One benchmark, several variants and datasets: chosen by name, named in the record."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sciml_data.bench.record.record import load_record
from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.task import Task, datasets_of, load_task
from sciml_data.bench.task.variants import choose_variant
from sciml_data.cli import group
from sciml_data.errors import CallError, DescriptorError
from tests.support.paths import TOY_REGISTRY
from tests.support.toy import toy_source

TOY = TOY_REGISTRY / "runners" / "toy"
VARIANTS = """
[variant.small]
datasets = ["toy_points", "toy_others"]

[variant.large]
splits = ["thirds"]
title = "a larger one"
datasets = ["toy_others", "toy_third"]
headline_metric = "rmse.a"
default_model = "noisy"

[variant.large.settings]
units = 16

[variant.large.settings.model.noisy]
batch_size = 8

[settings.dataset.toy_third]
epochs = 7

[[target]]
metric = "explained"
part = "test"
value = 0.5
source = "made up"
variant = "large"
dataset = "toy_third"
"""
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def write(folder: Path, more: str = VARIANTS) -> Path:
    runner = folder / "runners" / "toy"
    shutil.copytree(TOY, runner)
    (folder / "datapackages").mkdir()
    text = (TOY / "task.toml").read_text(encoding="utf-8")
    text = text.replace("[model]", 'variant = "small"\n\n[model]', 1)
    (runner / "task.toml").write_text(text + more, encoding="utf-8")
    return runner


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return load_task(write(tmp_path))


@pytest.mark.parametrize(
    ("variant", "dataset", "expected"),
    [
        (None, None, ("small", "toy_points")),
        ("large", None, ("large", "toy_others")),
        (None, "toy_others", ("small", "toy_others")),
        (None, "toy_third", ("large", "toy_third")),
        ("large", "toy_third", ("large", "toy_third")),
    ],
)
def test_variant_and_dataset_are_found_from_each_other(
    task: Task, variant: str | None, dataset: str | None, expected: tuple[str, str]
) -> None:
    chosen = choose_variant(task, variant, dataset)

    assert expected == (chosen.variant, chosen.dataset)


def test_a_variant_has_its_own_headline_model_settings_and_targets(task: Task) -> None:
    small, large = choose_variant(task, "small"), choose_variant(task, "large", "toy_third")
    settings = resolve_settings(large, model=large.default_model, split="thirds")

    assert (large.title, large.headline_metric) == ("a larger one", "rmse.a")
    assert tuple(settings[name] for name in ("batch_size", "units", "epochs", "dropout")) == (
        8,
        16,
        7,
        0.2,
    )
    assert settings["variant"] == "large"
    assert [target.value for target in large.targets] == [-1.0, 0.5]
    assert [target.value for target in small.targets] == [-1.0]
    assert resolve_settings(small, model="small", split="thirds")["units"] == 8


@pytest.mark.parametrize(
    ("variant", "dataset", "message"),
    [
        ("smal", None, "did you mean 'small'"),
        (None, "toy_thrid", "did you mean 'toy_third'"),
        ("small", "toy_third", "'small' .* does not run on dataset 'toy_third'; .* large"),
    ],
)
def test_what_there_is_not_is_refused_by_name(
    task: Task, variant: str | None, dataset: str | None, message: str
) -> None:
    with pytest.raises(CallError, match=message):
        choose_variant(task, variant, dataset)


def test_a_benchmark_without_variants_stays_as_it_is() -> None:
    task = load_task(TOY)

    assert choose_variant(task) is task
    assert choose_variant(task, None, "toy_points") is task
    with pytest.raises(CallError, match="has no variants"):
        choose_variant(task, "auc")
    with pytest.raises(CallError, match="runs on dataset 'toy_points' only"):
        choose_variant(task, None, "toy_others")


def test_a_benchmark_without_variants_runs_on_the_other_datasets_that_it_names() -> None:
    task = replace(load_task(TOY), datasets=("toy_others",))

    assert datasets_of(task) == ("toy_points", "toy_others")
    assert choose_variant(task).dataset == "toy_points"
    assert choose_variant(task, None, "toy_others") == replace(task, dataset="toy_others")
    with pytest.raises(CallError, match="'toy_points' and 'toy_others' only"):
        choose_variant(task, None, "toy_third")


def test_every_dataset_of_a_task_is_known(task: Task) -> None:
    assert datasets_of(task) == ("toy_points", "toy_others", "toy_third")


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ("[variant.small]\ndatasets = []", "variant.small.datasets"),
        ('[variant.other]\ndatasets = ["a"]', "task.variant"),
        ('[variant.small]\ndatasets = ["a"]\ndataset = "a"', "variant.small.dataset"),
        (
            '[variant.small]\ndatasets = ["a"]\nheadline_metric = "rmsee"',
            "variant.small.headline_metric",
        ),
        (
            '[variant.small]\ndatasets = ["a"]\n[variant.small.settings.model.smal]\nunits = 3',
            "variant.small.settings.model.smal",
        ),
    ],
)
def test_what_breaks_the_form_is_named(tmp_path: Path, more: str, place: str) -> None:
    with pytest.raises(DescriptorError) as error:
        load_task(write(tmp_path, more))

    assert [place] == [problem.place for problem in error.value.problems]


def call(*words: str, home: Path, registry: Path) -> Result:
    rest = ["--registry", str(registry), "--home", str(home)]
    return CliRunner().invoke(group, [*words, *rest])


def test_a_run_says_its_variant_and_is_shown_rescored_and_resumed_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorflow")
    monkeypatch.setattr("sciml_data.bench.stage", toy_source)
    registry = write(tmp_path / "registry").parents[1]
    where = {"home": tmp_path / "home", "registry": registry}

    run = call(
        "run", "toy", "--variant", "large", "--dataset", "toy_third", "--set", "epochs=1", **where
    )
    record = load_record(Path(run.stdout.splitlines()[-1]))
    shown = call("show", "latest", "--no-figures", **where)
    rescored = call("rescore", "latest", **where)
    again = call("run", "toy", "--resume", "latest", **where)
    refused = call("run", "toy", "--resume", "latest", "--variant", "small", **where)

    assert (record["benchmark"]["variant"], record["dataset"]["id"]) == ("large", "toy_third")
    assert record["settings"]["variant"] == "large"
    assert "large-toy_third-noisy-thirds-s0" in run.stdout
    assert "toy large: noisy on toy_third" in shown.stdout
    assert (rescored.exit_code, again.exit_code) == (0, 0)
    assert "--variant cannot be used with --resume" in str(refused.exception)


def test_a_job_script_hands_on_variant_and_dataset(tmp_path: Path) -> None:
    registry = write(tmp_path / "registry").parents[1]

    result = call(
        "sbatch", "toy", "--variant", "large", "--dataset", "toy_third",
        home=tmp_path, registry=registry,
    )  # fmt: skip
    wrong = call("sbatch", "toy", "--variant", "lrge", home=tmp_path, registry=registry)

    assert "--variant large --dataset toy_third" in result.stdout
    assert "did you mean 'large'" in str(wrong.exception)


def test_a_split_that_a_variant_cannot_have_is_refused_before_anything_is_fetched(
    tmp_path: Path,
) -> None:
    runner = write(tmp_path)
    large = choose_variant(load_task(runner), "large")

    assert large.check_split("thirds") == "thirds"
    with pytest.raises(CallError, match=r"has no split .thrids. .did you mean 'thirds'") as error:
        large.check_split("thrids")
    assert error.value.untouched == "nothing was fetched or run"
    assert choose_variant(load_task(runner), "small").splits is None


def test_a_variant_without_its_headline_split_is_no_sound_task(tmp_path: Path) -> None:
    runner = write(tmp_path, VARIANTS.replace('splits = ["thirds"]', 'splits = ["halves"]'))

    with pytest.raises(DescriptorError) as error:
        load_task(runner)

    assert [(problem.kind, problem.place) for problem in error.value.problems] == [
        ("split", "variant.large.splits")
    ]
