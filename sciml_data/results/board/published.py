"""Published figures: scores and costs that others reported, from `published.toml` of a runner.

A board shows them beside measured rows, because readers look for them. Each figure states what was
reported, on which data, and why it is not comparable. Nothing is scored again, and published
figures never have a rank.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from sciml_data.bench.record.record import schema_problems
from sciml_data.bench.task.split import load_split
from sciml_data.bench.task.task import Task, datasets_of, load_task
from sciml_data.errors import DescriptorError, JsonError, Problem, SciMLDataError
from sciml_data.home import read_toml
from sciml_data.registry.layout import Registry
from sciml_data.results.board.row import (
    NOT_RESCORED,
    PUBLISHED,
    Provenance,
    Publication,
    Row,
    RowCosts,
    RowMetric,
    RowScore,
    ScoredData,
)
from sciml_data.results.board.summary import Energy

PUBLISHED_NAME = "published.toml"
PUBLISHED_SCHEMA = Path(__file__).with_name("published.schema.json")
JOULES_PER_KWH = 3.6e6


def published_rows(
    registry: Registry,
    benchmarks: Iterable[str] | None = None,
    *,
    left_out: list[Problem] | None = None,
) -> list[Row]:
    """Return the published figures of benchmarks, in the order of their files.

    Args:
        registry: describes the benchmarks.
        benchmarks: names; None for all benchmarks of the registry.
        left_out: gets a problem for each benchmark whose files are invalid; None raises instead.

    Raises:
        CallError: the registry has no such benchmark.
        DescriptorError: a published.toml is invalid; `.problems` has every place.
    """
    rows: list[Row] = []
    for name in registry.benchmarks() if benchmarks is None else benchmarks:
        folder = registry.runner(name)
        try:
            task = load_task(folder)
            rows += [_row(figure, task) for figure in load_published(task).get("figure", [])]
        except DescriptorError as error:
            if left_out is None:
                raise
            left_out.append(Problem("benchmark", name, error.first_line))
    return rows


def advised_runs(registry: Registry, benchmark: str) -> int | None:
    """Return the recommended number of runs for a result of a benchmark; None if there is none.

    Raises:
        CallError: the registry has no such benchmark.
        DescriptorError: its published.toml is invalid.
    """
    advice = load_published(load_task(registry.runner(benchmark))).get("advice", {})
    runs: int | None = advice.get("runs")
    return runs


def load_published(task: Task) -> Mapping[str, Any]:
    """Return the content of a benchmark's published.toml; an empty mapping if there is no file.

    Raises:
        DescriptorError: the file is invalid; `.problems` has every place.
    """
    path = task.folder / PUBLISHED_NAME
    if not path.exists():
        return {}
    try:
        document = read_toml(path)
    except JsonError as error:
        raise DescriptorError(f"benchmark {task.name!r}: {error.message}") from error
    problems = schema_problems(document, PUBLISHED_SCHEMA, whole="document")
    if not problems:
        for number, figure in enumerate(document["figure"]):
            problems += _figure_problems(figure, task, f"figure[{number}]")
    if problems:
        raise DescriptorError(f"{PUBLISHED_NAME} of {task.name!r} is invalid", problems=problems)
    return document


def _figure_problems(figure: Mapping[str, Any], task: Task, place: str) -> list[Problem]:
    """Return names in a figure that the benchmark does not define, and facts that are missing."""
    problems = []
    if "metric" in figure:
        problems += _lookup_problems(lambda: task.metric(figure["metric"]), f"{place}.metric")
    elif "value" in figure and not {"unit", "lower_is_better"} <= set(figure):
        message = "unit and lower_is_better are needed if the figure names no metric"
        problems.append(Problem("missing", place, message))
    if "split" in figure:
        problems += _lookup_problems(
            lambda: load_split(task.folder, figure["split"]), f"{place}.split"
        )
    if figure.get("variant") not in {None, *task.variants}:
        problems.append(Problem("variant", f"{place}.variant", "no such variant"))
    if figure.get("dataset") not in {None, *datasets_of(task)}:
        problems.append(Problem("dataset", f"{place}.dataset", "the benchmark does not run on it"))
    return problems


def _lookup_problems(look_up: Callable[[], object], place: str) -> list[Problem]:
    """Return the problem that looking a name up raises; an empty list if the name exists."""
    try:
        look_up()
    except SciMLDataError as error:
        return [Problem(place.rpartition(".")[2], place, error.message)]
    return []


def _row(figure: Mapping[str, Any], task: Task) -> Row:
    split = figure.get("split")
    return Row(
        kind=PUBLISHED,
        benchmark=task.name,
        variant=figure.get("variant", task.default_variant),
        data=ScoredData(
            dataset=figure.get("dataset"),
            version=None,
            manifest_digest=None,
            is_synthetic=False,
            split=split,
            members_digest=None,
            is_headline=split == task.headline_split,
            part=figure.get("part"),
            words=figure["data"],
        ),
        metric=_metric(figure, task),
        score=_score(figure),
        targets=(),
        baseline=None,
        costs=_costs(figure),
        made_by=Provenance(
            model=figure["model"],
            parameters=figure.get("parameters"),
            system=figure.get("system"),
            commit=None,
            is_dirty=None,
            submitter=None,
        ),
        state=NOT_RESCORED,
        published=Publication(
            source=figure["source"],
            url=figure.get("url"),
            reported=figure["reported"],
            not_comparable=figure["not_comparable"],
        ),
    )


def _metric(figure: Mapping[str, Any], task: Task) -> RowMetric:
    key = figure.get("metric")
    defined = task.metric(key) if key else None
    return RowMetric(
        key=key,
        name=figure["measure"],
        version=None,
        unit=defined.unit if defined else figure.get("unit"),
        lower_is_better=defined.lower_is_better if defined else figure.get("lower_is_better"),
        is_headline=key is not None and key == task.headline_metric,
    )


def _score(figure: Mapping[str, Any]) -> RowScore | None:
    if "value" not in figure:
        return None
    return RowScore(
        runs=figure.get("runs"),
        misses=None,
        best_of=figure.get("best_of"),
        median=figure["value"],
        std=figure.get("std"),
    )


def _costs(figure: Mapping[str, Any]) -> RowCosts:
    kwh = figure.get("energy_kwh")
    joules = None if kwh is None else kwh * JOULES_PER_KWH
    return RowCosts(
        time_to_train_s=figure.get("seconds"),
        time_remark=None,
        train_samples_per_s=figure.get("train_samples_per_s"),
        speed_remark=None,
        energy=Energy(
            is_measured=joules is not None,
            method=figure.get("energy_method"),
            cpu_j=None,
            gpu_j=joules,
            reason=None if joules is not None else "not reported",
        ),
    )
