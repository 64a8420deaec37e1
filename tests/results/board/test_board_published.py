"""Figures of others are cited whole, marked, and sound by the task they stand beside."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sciml_data.bench.task.task import load_task
from sciml_data.errors import CallError, DescriptorError
from sciml_data.registry.layout import Registry, find_registry
from sciml_data.results.board.published import (
    PUBLISHED_NAME,
    advised_runs,
    load_published,
    published_rows,
)
from sciml_data.results.board.row import NOT_RESCORED, PUBLISHED
from tests.support.paths import TOY_REGISTRY

REGISTRY = find_registry()
TOY = TOY_REGISTRY
SOUND = """
[advice]
runs = 4
source = "made up for a test"

[[figure]]
metric = "explained"
part = "test"
split = "thirds"
measure = "explained variance"
value = 0.75
std = 0.5
runs = 3
model = "theirs"
data = "theirs too"
reported = "0.75 in a table"
source = "somebody, somewhere 2020"
not_comparable = "other data than these"
"""


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Return a registry of our own with the toy benchmark."""
    shutil.copytree(TOY, tmp_path / "registry")
    return Registry(tmp_path / "registry")


def write(registry: Registry, text: str) -> None:
    (registry.runner("toy") / PUBLISHED_NAME).write_text(text, encoding="utf-8")


WITH_FIGURES = [
    name for name in REGISTRY.benchmarks() if (REGISTRY.runner(name) / PUBLISHED_NAME).is_file()
]


@pytest.mark.parametrize("benchmark", WITH_FIGURES)
def test_the_published_figures_of_every_benchmark_are_sound(benchmark: str) -> None:
    rows = published_rows(REGISTRY, [benchmark])

    assert load_published(load_task(REGISTRY.runner(benchmark))) != {}
    assert advised_runs(REGISTRY, benchmark) is not None
    for row in rows:
        assert (row.kind, row.state, row.rank, row.ranked) == (PUBLISHED, NOT_RESCORED, None, None)
        assert row.published is not None
        assert row.published.source
        assert row.published.not_comparable
        assert row.data.words


def test_a_figure_becomes_a_row(registry: Registry) -> None:
    write(registry, SOUND)

    (row,) = published_rows(registry)

    assert row.score is not None
    assert (
        row.metric.key,
        row.data.part,
        row.score.median,
        row.score.std,
        row.score.runs,
        row.metric.lower_is_better,
    ) == ("explained", "test", 0.75, 0.5, 3, False)
    assert advised_runs(registry, "toy") == 4


def test_a_benchmark_without_figures_has_no_rows(registry: Registry) -> None:
    assert published_rows(registry) == []
    assert advised_runs(registry, "toy") is None


def test_a_cost_alone_is_a_row_without_a_score(registry: Registry) -> None:
    text = SOUND.replace('metric = "explained"\npart = "test"\nsplit = "thirds"\n', "")
    write(registry, text.replace("value = 0.75", "energy_kwh = 2.0\nseconds = 60"))

    (row,) = published_rows(registry)

    assert row.score is None
    assert (row.costs.energy.gpu_j, row.costs.time_to_train_s) == (7.2e6, 60)


def test_everything_wrong_is_said_at_once(registry: Registry) -> None:
    text = SOUND.replace('"explained"', '"explainde"')
    text = text.replace('"thirds"', '"quarters"')
    write(registry, text + 'variant = "none"\ndataset = "other"\n')

    with pytest.raises(DescriptorError) as error:
        published_rows(registry)

    assert {"figure[0].metric", "figure[0].split", "figure[0].variant", "figure[0].dataset"} == {
        problem.place for problem in error.value.problems
    }
    assert "did you mean 'explained'?" in str(error.value)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('source = "somebody, somewhere 2020"', "", "figure/0/source  is required"),
        ('not_comparable = "other data than these"', "", "figure/0/not_comparable  is required"),
        ('reported = "0.75 in a table"', "rank = 1", "figure/0/rank  no such key"),
        ('split = "thirds"', "", "figure/0/split  is required beside metric"),
        ("value = 0.75", "", "seconds or energy_kwh is required"),
        ("value = 0.75", 'value = "high"', "a number is expected, not 'high'"),
        ('metric = "explained"\npart = "test"\n', "", "unit and lower_is_better are needed"),
        ("[advice]", "[advice", "is not TOML"),
    ],
)
def test_a_figure_that_leaves_something_unsaid_is_refused(
    registry: Registry, before: str, after: str, said: str
) -> None:
    assert before in SOUND
    write(registry, SOUND.replace(before, after))

    with pytest.raises(DescriptorError) as error:
        published_rows(registry)

    assert said in str(error.value)


def test_a_benchmark_that_there_is_not_is_refused() -> None:
    with pytest.raises(CallError, match="did you mean 'tevolop'"):
        published_rows(REGISTRY, ["tevolp"])
