"""`check` names everything that is wrong in a registry, each with its place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from sciml_data.cli import group
from sciml_data.cli.check import check_registry
from sciml_data.errors import DescriptorError
from sciml_data.registry.layout import Registry, find_registry
from sciml_data.testing.datasets import change_descriptor
from tests.support.small_registry import small_registry

TASK = """
[task]
name = "surf"
title = "Forecast of the surf"
dataset = "waves"
version = "1.0"
headline_split = "years"

[model]
default = "persistence"

[[metric]]
id = "rmse"
name = "root mean square error"
version = "1"
unit = "m"
lower_is_better = true
formula = "sqrt(mean((o - p)^2))"
"""


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = small_registry(tmp_path)
    splits = tmp_path / "runners" / "surf" / "splits"
    splits.mkdir(parents=True)
    (splits / "years.json").write_text("{}")
    (splits.parent / "task.toml").write_text(TASK)
    return registry


def problems_of(registry: Registry) -> list[tuple[str, str]]:
    return [(problem.kind, problem.place) for problem in check_registry(registry)]


def test_a_sound_registry_has_no_problem(registry: Registry) -> None:
    assert problems_of(registry) == []


def test_the_built_in_registry_has_no_problem() -> None:
    assert [str(problem) for problem in check_registry(find_registry())] == []


def test_all_problems_of_all_parts_are_named_at_once(registry: Registry) -> None:
    root = registry.root
    (root / "datapackages" / "waves" / "README.md").unlink()
    (root / "datapackages" / "tides").mkdir()
    change_descriptor(
        registry.package("waves", "1.0"),
        lambda document: (
            document.update(title=""),
            document["sciml"]["native"].update(reader="earthquakes"),
        ),
    )
    task = root / "runners" / "surf" / "task.toml"
    task.write_text(TASK.replace('"1.0"', '"9"').replace("years", "months"))
    (task.parent / "splits" / "years.json").write_text("{")

    assert problems_of(registry) == [
        ("missing", "datapackages/tides/README.md"),
        ("missing", "datapackages/tides"),
        ("missing", "datapackages/waves/README.md"),
        ("to fill", "datapackages/waves/1.0: $.title"),
        ("reader", "datapackages/waves/1.0: $.sciml.native.reader"),
        ("dataset", "runners/surf/task.toml: task.dataset"),
        ("syntax", "runners/surf/splits/years.json"),
        ("split", "runners/surf/task.toml: task.headline_split"),
    ]


def test_a_manifest_is_held_against_what_was_expected(registry: Registry) -> None:
    """What fell short when it was pinned stays a problem for all to see."""
    expected = {"files": {"deep/*": {"count": 1}, "shore/*": {"count": 2, "bytes_each": 3400}}}
    change_descriptor(
        registry.package("waves", "1.0"),
        lambda document: document["sciml"].update(expected=expected),
    )

    assert [str(problem) for problem in check_registry(registry)] == [
        "expected   datapackages/waves/1.0/manifest.csv  shore/*: 2 files expected, 1 listed"
    ]


def test_derive_is_the_hint_only_where_sizes_or_hashes_differ(registry: Registry) -> None:
    card = registry.root / "datapackages" / "waves" / "README.md"
    card.write_text(f"{card.read_text(encoding='utf-8')}\n(to be written)\n", encoding="utf-8")
    words = ["check", "--registry", str(registry.root)]
    unfilled = CliRunner().invoke(group, words).exception
    change_descriptor(
        registry.package("waves", "1.0"),
        lambda document: document["resources"][0].update(bytes=1),
    )
    differing = CliRunner().invoke(group, words).exception

    assert isinstance(unfilled, DescriptorError)
    assert "derive" not in unfilled.hint
    assert isinstance(differing, DescriptorError)
    assert "derive" in differing.hint


def test_two_mirrors_of_one_name_are_a_problem(registry: Registry) -> None:
    mirrors = [
        {"name": "lab", "prefixes": {"": f"https://example.org/{folder}/"}} for folder in "ab"
    ]
    change_descriptor(
        registry.package("waves", "1.0"),
        lambda document: document["sciml"].update(mirrors=mirrors),
    )

    assert problems_of(registry) == [("mirror", "datapackages/waves/1.0: $.sciml.mirrors[1].name")]


def test_an_unknown_reader_suggests_the_nearest(registry: Registry) -> None:
    change_descriptor(
        registry.package("waves", "1.0"),
        lambda document: document["sciml"]["native"].update(reader="earthquakes"),
    )

    assert "did you mean 'earthquake'" in check_registry(registry)[0].message


def test_a_setting_that_is_not_as_declared_is_a_problem(registry: Registry) -> None:
    task = registry.root / "runners" / "surf" / "task.toml"
    settings = """
[settings]
lag = {default = 0, min = 1, unit = "h", help = "age of the forecast"}
[settings.sample]
epohcs = 1
"""
    task.write_text(TASK + settings, encoding="utf-8")

    assert problems_of(registry) == [
        ("value", "runners/surf/task.toml: settings.lag"),
        ("unknown", "runners/surf/task.toml: settings.sample.epohcs"),
    ]


@pytest.mark.parametrize(
    ("text", "word"), [("[task", "not TOML"), ("[task]\nname = 'surf'\n", "is required")]
)
def test_a_task_that_cannot_be_read_is_a_problem(registry: Registry, text: str, word: str) -> None:
    (registry.root / "runners" / "surf" / "task.toml").write_text(text)

    problems = check_registry(registry)

    assert all(problem.place.startswith("runners/surf/task.toml") for problem in problems)
    assert any(word in problem.message for problem in problems)


def test_every_metric_that_is_not_registered_is_a_problem(registry: Registry) -> None:
    task = registry.root / "runners" / "surf" / "task.toml"
    tables = '[[metric]]\nid = "error"\nmetric = "rsme"\n\n[[metric]]\nid = "r2"\nreduce = "mean"\n'
    task.write_text(f"{TASK}\n{tables}".replace('version = "1.0"', 'version = "9"'))

    problems = check_registry(registry)

    assert [(problem.kind, problem.place.split(": ")[1]) for problem in problems] == [
        ("metric", "metric[1].metric"),
        ("missing", "metric[2].by"),
        ("dataset", "task.dataset"),
    ]
    assert "did you mean 'rmse'" in problems[0].message


def test_a_dataset_without_descriptor_is_a_problem_of_its_folder(registry: Registry) -> None:
    shutil.rmtree(registry.package("waves", "1.0"))
    (registry.root / "runners" / "surf" / "task.toml").unlink()

    assert problems_of(registry) == [("missing", "datapackages/waves")]


def test_the_command_prints_problems_and_exits_with_one(registry: Registry) -> None:
    arguments = ["check", "--registry", str(registry.root)]
    clean = CliRunner().invoke(group, arguments)
    (registry.root / "datapackages" / "waves" / "README.md").unlink()

    broken = CliRunner().invoke(group, arguments)

    assert (clean.exit_code, clean.stdout) == (0, "")
    assert clean.stderr == "1 version of 1 dataset, 1 benchmark: no problem\n"
    assert broken.stdout == ("missing    datapackages/waves/README.md  the dataset has no card\n")
    assert getattr(broken.exception, "exit_code", None) == 1


def test_a_published_figure_of_a_metric_that_is_none_is_named(registry: Registry) -> None:
    file = registry.root / "runners" / "surf" / "published.toml"
    file.write_text('[[figure]]\nmetric = "bias"\n')

    places = [place for _, place in problems_of(registry)]

    assert places
    assert all(place.startswith("runners/surf/published.toml: ") for place in places)
