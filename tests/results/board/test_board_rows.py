"""The rows of a board: made from records alone, and ranked only if they are comparable."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciml_data.bench.record.report import SYNTHETIC
from sciml_data.errors import CallError
from sciml_data.results.board import Row, board_rows, render
from sciml_data.results.board.row import NOT_RESCORED, PUBLISHED
from sciml_data.results.board.table import MEASURED_COLUMNS, tables
from tests.support.board_samples import (
    a_published_row,
    a_run,
    a_run_of_two_metrics,
    of_model,
    repeats,
)

OTHER = "sha256:" + "c" * 64


def ranks(rows: list[Row]) -> dict[str, int | None]:
    return {row.made_by.model: row.rank for row in rows}


def test_repeats_are_one_row_with_all_it_rests_on() -> None:
    records = repeats([0.1, 0.2, 0.6], **{"code.commit": "a" * 40, "code.is_dirty": True})

    (row,) = board_rows(records, submitters={one["run_id"]: "a lab" for one in records})

    assert row.score is not None
    assert row.baseline is not None
    assert (
        row.score.runs,
        row.score.misses,
        row.score.median,
        row.score.best_of,
    ) == (3, 0, 0.2, None)
    assert (row.baseline.name, row.baseline.score, row.baseline.is_beaten) == ("mean", 0.25, True)
    assert (
        row.data.dataset,
        row.data.version,
        row.data.split,
        row.data.part,
    ) == ("toy_points", "1.0", "thirds", "test")
    assert (
        row.metric.key,
        row.metric.lower_is_better,
        row.metric.is_headline,
    ) == ("rmse.a", True, True)
    assert (
        row.made_by.commit,
        row.made_by.is_dirty,
        row.made_by.submitter,
    ) == ("a" * 40, True, "a lab")
    assert (row.rank, row.ranked, row.state) == (1, 1, "unchecked")
    assert (row.targets[0].reached, row.targets[0].missed) == (2, 1)


def test_one_run_is_shown_as_the_best_of_one() -> None:
    (row,) = board_rows([a_run(0, 0.1)])

    assert "1, best of 1" in [column.text(row) for column in MEASURED_COLUMNS]


def test_the_best_median_ranks_first_by_the_direction_of_the_metric() -> None:
    better, worse = of_model("better", [0.1, 0.2]), of_model("worse", [0.05, 0.9])
    higher = {"metric_definitions.0.lower_is_better": False}

    assert ranks(board_rows([*worse, *better])) == {"better": 1, "worse": 2}
    assert ranks(
        board_rows(
            [*of_model("better", [0.1, 0.2], **higher), *of_model("worse", [0.05, 0.9], **higher)]
        )
    ) == {"better": 2, "worse": 1}


@given(st.lists(st.integers(-1000, 1000).map(lambda n: n / 8), min_size=2, max_size=5, unique=True))
def test_reversing_the_direction_reverses_the_rank(scores: list[float]) -> None:
    def ranks_if(*, lower: bool) -> list[int | None]:
        direction = {"metric_definitions.0.lower_is_better": lower}
        names = [f"model {chr(65 + at)}" for at in range(len(scores))]
        records = [
            record
            for name, score in zip(names, scores, strict=True)
            for record in of_model(name, [score], **direction)
        ]
        found = ranks(board_rows(records))
        return [found[name] for name in names]

    low, high = ranks_if(lower=True), ranks_if(lower=False)

    assert low == [1 + sorted(scores).index(score) for score in scores]
    assert [len(scores) + 1 - rank for rank in low if rank] == high


@pytest.mark.parametrize(
    ("score", "is_beaten"), [(0.7, True), (0.6, False), (0.5, False)], ids=["above", "at", "below"]
)
def test_the_best_baseline_is_the_highest_if_higher_is_better(
    score: float, *, is_beaten: bool
) -> None:
    baselines = {"mean": 0.1, "persistence": 0.6, "linear": None}
    (row,) = board_rows([a_run_of_two_metrics(0, rmse=0.1, explained=score, baselines=baselines)])

    assert row.baseline is not None
    assert (row.baseline.name, row.baseline.score) == ("persistence", 0.6)
    assert row.baseline.is_beaten is is_beaten
    assert (row.metric.key, row.data.part) == ("explained", "validation")


def test_equal_medians_share_a_rank() -> None:
    rows = board_rows(
        [*of_model("a", [0.2]), *of_model("b", [0.2]), *of_model("c", [0.3]), *of_model("d", [0.1])]
    )

    assert ranks(rows) == {"d": 1, "a": 2, "b": 2, "c": 4}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("benchmark.name", "other"),
        ("benchmark.variant", "dose"),
        ("dataset.id", "other_points"),
        ("dataset.version", "2.0"),
        ("dataset.manifest_digest", OTHER),
        ("split.name", "halves"),
        ("split.members_digest", OTHER),
        ("metric_definitions.0.metric_version", "2"),
        ("metrics.0.part", "validation"),
    ],
)
def test_what_is_not_comparable_is_not_ranked_together(place: str, value: str) -> None:
    rows = board_rows([*of_model("here", [0.1]), *of_model("there", [0.2], **{place: value})])

    assert ranks(rows) == {"here": 1, "there": 1}
    assert {1} == {row.ranked for row in rows}


def test_a_synthetic_row_has_no_rank_and_takes_none() -> None:
    rows = board_rows(
        [
            *of_model("real", [0.5]),
            *of_model("sample", [0.0], synthetic=True),
            *of_model("also", [0.6]),
        ]
    )

    assert ranks(rows) == {"real": 1, "also": 2, "sample": None}
    assert {2, None} == {row.ranked for row in rows}


def test_a_synthetic_row_never_stands_beside_a_real_one() -> None:
    rows = board_rows([*of_model("real", [0.5]), *of_model("sample", [0.0], synthetic=True)])

    for _, found in tables(rows):
        for table in found:
            assert len({row.data.is_synthetic for row in table.rows}) == 1
            assert (table.note == SYNTHETIC) == table.rows[0].data.is_synthetic
    assert SYNTHETIC in render.to_markdown(rows)


def test_a_synthetic_row_reaches_no_target_in_words() -> None:
    text = render.to_markdown(board_rows(repeats([0.1], synthetic=True)))

    assert "<= 0.3: not comparable" in text.replace("&lt;", "<")
    assert "reached" not in text


def test_a_published_figure_is_marked_and_never_ranked() -> None:
    (row,) = board_rows([a_run(0, 0.1)])
    other = a_published_row(row, rank=None, ranked=None)

    rows = board_rows([a_run(0, 0.1)], [other])

    assert [(one.rank, one.ranked) for one in rows] == [(1, 1), (None, None)]
    assert NOT_RESCORED in render.to_markdown(rows)
    assert [table.title.partition(": ")[2] for _, found in tables(rows) for table in found] == [
        "measured on real data",
        "published by others",
    ]


def test_a_metric_that_others_published_has_a_row_too() -> None:
    records = [a_run(0, 0.1)]
    second = {**records[0]["metrics"][0], "variant": "b", "score": 0.7}
    records[0]["metrics"].append(second)
    (row, *none) = board_rows(records)
    of_second = a_published_row(row, metric=replace(row.metric, key="rmse.b"))

    rows = board_rows(records, [of_second])

    assert none == []
    assert [one.metric.key for one in rows] == ["rmse.a", "rmse.b", "rmse.b"]
    assert [one.metric.is_headline for one in rows if one.kind != PUBLISHED] == [True, False]


@pytest.mark.parametrize("changes", [{"split.name": "halves"}, {"synthetic": True}])
def test_a_figure_asks_for_no_row_on_another_split_or_a_sample(changes: dict[str, Any]) -> None:
    (row,) = board_rows([a_run(0, 0.1)])
    of_second = a_published_row(row, metric=replace(row.metric, key="rmse.b"))
    record = a_run(0, 0.1, **changes)
    record["metrics"].append({**record["metrics"][0], "variant": "b"})

    rows = board_rows([record], [of_second])

    assert [one.metric.key for one in rows if one.kind != PUBLISHED] == ["rmse.a"]


def test_metrics_are_in_the_order_of_their_numbers() -> None:
    record = a_run(0, 0.1)
    row, target = record["metrics"][0], record["targets"][0]
    for variant in ("w13", "w2"):
        record["metrics"].append({**row, "variant": variant})
        record["targets"].append({**target, "metric": f"rmse.{variant}"})

    assert [one.metric.key for one in board_rows([record])] == ["rmse.a", "rmse.w2", "rmse.w13"]


def test_a_run_that_comes_twice_is_refused() -> None:
    with pytest.raises(CallError) as error:
        board_rows([a_run(0, 0.1), a_run(0, 0.1)])

    assert [problem.kind for problem in error.value.problems] == ["run"]


def test_running_a_seed_again_changes_nothing_whatever_came_out() -> None:
    again = {**a_run(0, 0.0), "run_id": "0" * 8 + "-0000-0000-0000-" + "f" * 12}
    again["timing"] = {**again["timing"], "start_time": "2026-08-08T00:00:00.000Z"}

    (row,) = board_rows([again, a_run(0, 0.4)])

    assert row.score is not None
    assert (row.score.median, row.score.runs) == (0.4, 1)
    assert row.remarks == ("later runs of a seed that ran before, left out: 1",)


def test_failures_are_told_beside_the_runs_that_did_not_fail() -> None:
    (row,) = board_rows([a_run(0, 0.4), a_run(1, None, status="failed", reason="x")])

    assert row.remarks == ("runs that failed or were aborted, not counted: 1",)


def test_several_machines_and_commits_are_told_and_none_is_named() -> None:
    changed = {"hardware.host_processor_model_name": "another", "code.commit": "b" * 40}

    (row,) = board_rows([a_run(0, 0.1, **{"code.commit": "a" * 40}), a_run(1, 0.2, **changed)])

    assert (row.made_by.commit, row.made_by.system) == (None, None)
    assert row.remarks == (
        "the runs are of several commits",
        "the runs were on machines of several kinds",
    )


def test_failures_alone_and_running_ones_have_no_row() -> None:
    assert board_rows([a_run(0, None, status="failed", reason="x")]) == []
    assert board_rows([a_run(0, 0.1, status="running")]) == []


def test_runs_of_two_organisations_are_two_rows() -> None:
    records = repeats([0.1, 0.2])

    rows = board_rows(records, submitters={records[0]["run_id"]: "a lab"})

    assert {"a lab", None} == {row.made_by.submitter for row in rows}


def test_a_metric_with_a_miss_in_the_middle_has_no_rank() -> None:
    (row,) = board_rows(repeats([0.1, None, None]))

    assert row.score is not None
    assert (row.rank, row.score.median, row.score.misses) == (None, None, 2)


def test_rows_do_not_hang_on_the_order_of_records() -> None:
    records = [
        *of_model("a", [0.2, 0.3]),
        *of_model("b", [0.1]),
        *of_model("c", [0.1], synthetic=True),
        *of_model("d", [0.1], **{"dataset.version": "10.0"}),
    ]

    assert board_rows(records) == board_rows(records[::-1])


def test_a_runner_of_another_registry_is_marked_in_every_form() -> None:
    records = repeats([0.1, 0.2], **{"code.registry": "Harbour laboratory", "code.is_dirty": True})

    rows = board_rows(records)

    assert [row.made_by.registry for row in rows] == ["Harbour laboratory"]
    for write in (render.to_markdown, render.to_html, render.to_csv, render.to_json):
        assert "Harbour laboratory" in write(rows)
    assert render.from_json(render.to_json(rows)) == rows
