"""Settings are declared once; each value of each layer is checked against its declaration."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from sciml_data.bench.task.settings import (
    check_settings,
    declarations,
    resolve_settings,
    setting_problems,
)
from sciml_data.bench.task.settings_help import setting_rows, settings_help
from sciml_data.bench.task.task import Task, load_task
from sciml_data.bench.task.variants import choose_variant
from sciml_data.errors import CallError, DescriptorError
from sciml_data.registry import find_registry
from tests.support.paths import TOY_REGISTRY
from tests.support.problems import kinds_and_places

TOY = TOY_REGISTRY / "runners" / "toy"
UNITS = 'units = {default = 8, min = 1, unit = "neurons", help = "width of the hidden layer"}'


def task_with(tmp_path: Path, *edits: tuple[str, str]) -> Task:
    """Return the toy task after replacing texts in its task.toml."""
    runner = Path(shutil.copytree(TOY, tmp_path / "toy"))
    path = runner / "task.toml"
    text = path.read_text(encoding="utf-8")
    for before, after in edits:
        assert before in text
        text = text.replace(before, after)
    path.write_text(text, encoding="utf-8")
    return load_task(runner)


def resolved(task: Task, *overrides: str, model: str = "small") -> dict[str, Any]:
    return resolve_settings(task, overrides, model=model, split="thirds")


def test_a_default_alone_declares_a_setting_of_its_type(tmp_path: Path) -> None:
    task = task_with(tmp_path, (UNITS, "units = 8"))

    assert resolved(task) == resolved(load_task(TOY))
    assert resolved(task, "units=-3")["units"] == -3
    with pytest.raises(CallError, match="a whole number is expected"):
        resolved(task, "units=1.5")


@pytest.mark.parametrize(
    ("declaration", "text", "message"),
    [
        ("{default = 8, min = 1}", "0", "a whole number, 1 or more, is expected, not 0"),
        ("{default = 8, min = 1, max = 9}", "10", "a whole number, from 1 to 9, is expected"),
        ("{default = 0.5, above = 0, below = 1}", "1", "more than 0 and less than 1"),
        ("{default = 0.5}", "nan", "a number is expected, not nan"),
        ('{default = "fast", choices = ["fast", "slow"]}', "fsat", "did you mean 'fast'"),
        ("{default = 3, choices = [1, 3]}", "2", "1 or 3 is expected, not 2"),
        ("{default = [8, 8], min = 1}", "8,0", "1 or more, is expected, not 0"),
        ("{default = [8, 8], min_entries = 1}", "", "1 or more entries are expected, not 0"),
        ('{default = ["a"], choices = ["a", "b"]}', "a,c", "a or b is expected, not 'c'"),
    ],
)
def test_a_value_of_the_caller_is_held_to_the_declaration(
    tmp_path: Path, declaration: str, text: str, message: str
) -> None:
    task = task_with(tmp_path, (UNITS, f"units = {declaration}"))

    with pytest.raises(CallError) as error:
        resolved(task, f"units={text}")

    assert [problem.place.partition("[")[0] for problem in error.value.problems] == ["units"]
    assert message in str(error.value)


def test_every_wrong_value_of_task_toml_has_its_place(tmp_path: Path) -> None:
    task = task_with(
        tmp_path,
        ("default = 8, min", "default = 0, min"),
        ("batch_size = 32", "batch_size = 0"),
        ("dropout = 0.2", 'dropout = 1.0\nunits = "many"'),
        ("epochs = 2", "epcohs = 2"),
    )

    with pytest.raises(DescriptorError) as error:
        check_settings(task)

    assert sorted(kinds_and_places(error)) == [
        ("type", "settings.model.noisy.units"),
        ("unknown", "settings.sample.epcohs"),
        ("value", "settings.batch_size"),
        ("value", "settings.model.noisy.dropout"),
        ("value", "settings.units"),
    ]
    assert "did you mean 'epochs'" in str(error.value)


def test_the_values_of_a_variant_are_checked_too(tmp_path: Path) -> None:
    variants = """\

[variant.other]
datasets = ["toy_points"]

[variant.other.settings]
units = 0

[variant.other.settings.model.noisy]
dropuot = 0.1
"""
    task = task_with(
        tmp_path,
        ('version = "1.0"\nheadline_split', 'version = "1.0"\nvariant = "other"\nheadline_split'),
        ("[model]\n", variants.lstrip() + "\n[model]\n"),
    )

    assert sorted((each.kind, each.place) for each in setting_problems(task)) == [
        ("unknown", "variant.other.settings.model.noisy.dropuot"),
        ("value", "variant.other.settings.units"),
    ]


@pytest.mark.parametrize(
    ("declaration", "place"),
    [
        ('{default = 8, mni = 1, help = "width"}', "settings.units.mni"),
        ("{default = 8, min = true}", "settings.units.min"),
        ("{default = 8, choices = []}", "settings.units.choices"),
        ('{help = ""}', "settings.units.help"),
        ("{default = {a = 1}}", "settings.units.default"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(
    tmp_path: Path, declaration: str, place: str
) -> None:
    with pytest.raises(DescriptorError) as error:
        task_with(tmp_path, (UNITS, f"units = {declaration}"))

    assert [problem.place for problem in error.value.problems] == [place]


def test_a_group_declares_no_setting(tmp_path: Path) -> None:
    with pytest.raises(DescriptorError) as error:
        task_with(tmp_path, ("dropout = 0.2", "dropout = {default = 0.2}"))

    assert kinds_and_places(error) == [("type", "settings.model.noisy.dropout")]


def test_a_setting_without_default_belongs_to_some_models_only() -> None:
    task = load_task(TOY)

    assert "dropout" not in resolved(task)
    assert resolved(task, "dropout=0.5", model="noisy")["dropout"] == 0.5
    with pytest.raises(CallError, match="belongs to model noisy"):
        resolved(task, "dropout=0.5")
    with pytest.raises(CallError, match="less than 1"):
        resolved(task, "dropout=1.0", model="noisy")


def test_a_whole_number_in_a_group_does_not_change_the_type(tmp_path: Path) -> None:
    task = task_with(tmp_path, ("dropout = 0.2", "dropout = 0\nlearning_rate = 1"))
    settings = resolved(task, "dropout=0.5", "learning_rate=0.5", model="noisy")

    assert (settings["dropout"], settings["learning_rate"]) == (0.5, 0.5)


def test_a_task_may_give_a_setting_of_the_loop_its_own_help(tmp_path: Path) -> None:
    task = task_with(tmp_path, ("batch_size = 32", 'batch_size = {default = 32, unit = "points"}'))
    declared = declarations(task)["batch_size"]

    assert (declared.default, declared.unit, declared.minimum) == (32, "points", 1)
    assert declared.help == declarations(load_task(TOY))["batch_size"].help


def test_the_table_has_default_range_unit_help_and_overrides() -> None:
    rows = {row["setting"]: row for row in setting_rows(load_task(TOY))}

    assert rows["units"] == {
        "setting": "units",
        "default": 8,
        "allowed": "a whole number, 1 or more",
        "unit": "neurons",
        "help": "width of the hidden layer",
        "overrides": {},
    }
    assert rows["dropout"]["default"] is None
    assert rows["dropout"]["overrides"] == {"model noisy": 0.2}
    assert rows["epochs"]["overrides"] == {"sample": 2}


def test_the_text_of_the_table_has_every_setting_and_override() -> None:
    text = settings_help(load_task(TOY))

    assert "sciml-data run toy --set SETTING=VALUE" in text
    assert "width of the hidden layer" in text
    assert "model noisy: 0.2" in text
    assert [name for name in declarations(load_task(TOY)) if f"\n{name} " not in text] == []


@pytest.mark.parametrize("benchmark", find_registry().benchmarks())
def test_settings_of_built_in_benchmarks_are_valid_and_explained(benchmark: str) -> None:
    task = load_task(find_registry().runner(benchmark))

    assert setting_problems(task) == []
    for variant in task.variants or [None]:
        declared = declarations(choose_variant(task, variant))
        assert [name for name, each in declared.items() if not each.help] == []
        assert [name for name, each in declared.items() if each.example is None] == []


@pytest.mark.parametrize(
    ("benchmark", "override"),
    [
        ("cloudmask", "border=-1"),
        ("cloudmask", "grid=center"),
        ("cloudmask", "masks=tset"),
        ("cloudmask", "window_step=0"),
        ("stemdl_classification", "dropout=1.0"),
        ("stemdl_classification", "effective_beta=1.0"),
        ("stemdl_classification", "size=-1"),
        ("stemdl_classification", "views=2"),
        ("stemdl_reconstruction", "thinning=0"),
        ("tevolop", "base=rigde"),
        ("tevolop", "features=own2"),
        ("tevolop", "floor=celan"),
        ("uno", "base=mean"),
        ("uno", "evaluation=noisy"),
    ],
)
def test_a_wrong_value_is_refused_before_anything_is_read(benchmark: str, override: str) -> None:
    task = choose_variant(load_task(find_registry().runner(benchmark)))

    with pytest.raises(CallError) as error:
        resolve_settings(task, [override], model=task.default_model, split=task.headline_split)

    place = override.partition("=")[0]
    assert [problem.place.partition("[")[0] for problem in error.value.problems] == [place]


def test_a_model_in_names_without_settings_is_found_before_it_is_built(tmp_path: Path) -> None:
    third = ('names = ["small", "noisy"]', 'names = ["small", "noisy", "tall"]')
    task = task_with(tmp_path, third)

    (problem,) = setting_problems(task)

    assert (problem.kind, problem.place) == ("setting", "settings.model.tall")
    assert "dropout" in problem.message
    with pytest.raises(DescriptorError):
        check_settings(task)


def test_an_empty_table_says_that_a_model_needs_no_settings(tmp_path: Path) -> None:
    third = ('names = ["small", "noisy"]', 'names = ["small", "noisy", "tall"]')
    table = ("[settings.model.small]", "[settings.model.tall]\n[settings.model.small]")

    assert setting_problems(task_with(tmp_path, third, table)) == []
