"""task.toml is read whole, or every problem of it is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.task import load_task
from sciml_data.errors import CallError, DescriptorError
from tests.support.paths import ROOT, TOY_REGISTRY

TOY = TOY_REGISTRY / "runners" / "toy"


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TOY, tmp_path / "toy"))


def edit(runner: Path, before: str, after: str) -> None:
    path = runner / "task.toml"
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")


def test_a_sound_task_is_read() -> None:
    task = load_task(TOY)

    assert (task.name, task.dataset, task.headline_split) == ("toy", "toy_points", "thirds")
    assert task.models == ("small", "noisy")
    assert [metric.id for metric in task.metrics] == ["rmse", "explained"]
    assert task.metric("rmse.a").lower_is_better
    assert task.metric("rmse").minimum == 0.0
    assert task.metric("rmse").maximum is None


def test_every_problem_of_a_task_is_said_at_once(runner: Path) -> None:
    edit(runner, 'title = "Two', 'tilte = "Two')
    edit(runner, "lower_is_better = true", 'lower_is_better = "yes"')
    edit(runner, "value = -1.0", "value = true")

    with pytest.raises(DescriptorError) as error:
        load_task(runner)

    assert {
        ("missing", "task.title"),
        ("unknown", "task.tilte"),
        ("type", "metric[0].lower_is_better"),
        ("type", "target[0].value"),
    } == {(problem.kind, problem.place) for problem in error.value.problems}
    assert "did you mean 'title'" in str(error.value)


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        ('name = "toy"', 'name = "other"', "task.name"),
        ('default = "small"', 'default = "big"', "model.default"),
        ('\nmetric = "explained"', '\nmetric = "explaned"', "target[0].metric"),
        ('headline_metric = "explained"', 'headline_metric = "x"', "task.headline_metric"),
        ('id = "rmse"', 'id = "explained"', "explained"),
        ("[settings.model.noisy]", "[settings.model.nosy]", "settings.model.nosy"),
        ("[settings.sample]", "[settings.smaple]", "settings.smaple"),
    ],
)
def test_a_task_that_contradicts_itself_is_refused(
    runner: Path, before: str, after: str, place: str
) -> None:
    edit(runner, before, after)

    with pytest.raises(DescriptorError) as error:
        load_task(runner)

    assert [place] == [problem.place for problem in error.value.problems]


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "runners").iterdir()))
def test_a_built_in_task_says_what_it_is_about(name: str) -> None:
    about = load_task(ROOT / "runners" / name).about

    assert sorted(about) == ["catalogue", "input", "output", "system"]
    assert {block["tier"] for block in about["system"]} >= {"sample", "full"}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[output]\nmeaning = "x"\nunit = "1"', "output.axes"),
        ('[[input]]\nname = "two words"\nmeaning = "x"', "input[0].name"),
        ('[[system]]\ntier = "huge"\ndata = "x"\nbasis = "x"', "system[0].tier"),
        ('[[system]]\ntier = "full"\ndata = "x"\nbasis = "x"\nhours = 0', "system[0].hours"),
        ('[output]\nmeaning = "x"\nunit = "1"\naxes = {}', "output.axes"),
    ],
)
def test_a_wrong_description_of_a_task_is_named(runner: Path, text: str, place: str) -> None:
    path = runner / "task.toml"
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{text}\n", encoding="utf-8")

    with pytest.raises(DescriptorError) as error:
        load_task(runner)

    assert place in [problem.place for problem in error.value.problems]


def test_a_file_that_is_no_toml_is_refused(runner: Path) -> None:
    (runner / "task.toml").write_text("[task\n", encoding="utf-8")

    with pytest.raises(DescriptorError, match="not TOML"):
        load_task(runner)


def test_an_unknown_model_suggests_the_nearest() -> None:
    with pytest.raises(CallError, match="did you mean 'small'"):
        load_task(TOY).check_model("smal")


@pytest.mark.parametrize("name", ["model.csv", "models/mine", "mine:build"])
def test_a_file_that_is_no_python_is_told_how_a_model_is_named(name: str) -> None:
    with pytest.raises(CallError) as caught:
        load_task(TOY).check_model(name)

    assert ".py" in caught.value.hint


def test_settings_are_layered_from_loop_to_caller() -> None:
    task = load_task(TOY)

    plain = resolve_settings(task, model="small", split="thirds")
    noisy = resolve_settings(task, ["epochs=7"], model="noisy", split="thirds", is_sample=True)

    assert tuple(plain[key] for key in ("epochs", "units", "clip_norm", "model")) == (
        4,
        8,
        1.0,
        "small",
    )
    assert tuple(noisy[key] for key in ("epochs", "dropout", "model")) == (7, 0.2, "noisy")
    assert "dropout" not in plain
    assert resolve_settings(task, model="small", split="x", is_sample=True)["epochs"] == 2


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("learning_rate=1", "learning_rate", 1.0),
        ("batch_size=16", "batch_size", 16),
        ("xla=yes", "xla", True),
        ("xla=False", "xla", False),
        ("schedule = cosine", "schedule", "cosine"),
    ],
)
def test_an_override_has_the_type_of_its_default(text: str, key: str, value: object) -> None:
    found = resolve_settings(load_task(TOY), [text], model="small", split="thirds")[key]

    assert (value, type(value)) == (found, type(found))


def test_every_wrong_override_is_said_at_once() -> None:
    overrides = ["epohcs=3", "batch_size=1.5", "xla=maybe", "model=noisy", "epochs"]

    with pytest.raises(CallError) as error:
        resolve_settings(load_task(TOY), overrides, model="small", split="thirds")

    assert [(problem.kind, problem.place) for problem in error.value.problems] == [
        ("unknown", "epohcs"),
        ("type", "batch_size"),
        ("type", "xla"),
        ("option", "model"),
        ("form", "epochs"),
    ]
    assert "did you mean 'epochs'" in str(error.value)


@pytest.mark.parametrize(
    "text", ["epochs=0", "learning_rate=nan", "learning_rate=-1", "schedule=steps", "clip_norm=-1"]
)
def test_an_override_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(CallError, match=text.partition("=")[0]):
        resolve_settings(load_task(TOY), [text], model="small", split="thirds")
