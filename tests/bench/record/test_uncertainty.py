"""Repeats have an interval of their mean, and runs of two models are compared, from records."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sciml_data.bench.record.record import schema_problems
from sciml_data.bench.record.report import compare_table, run_table, spread_table
from sciml_data.bench.record.uncertainty import compare_pooled, pool
from sciml_data.errors import CallError
from tests.support.problems import kinds_and_places
from tests.support.records import resampled, seeded

CELLS = np.linspace(0.4, 0.6, 12)


def test_a_record_with_intervals_follows_its_schema() -> None:
    problems = {problem.place for problem in schema_problems(resampled())}

    assert problems <= {"record_digest"}  # which a record gets when it is written


def test_the_report_has_the_interval_and_the_verdict_beside_each_baseline() -> None:
    table = run_table(resampled()).splitlines()

    assert "  95 % interval 0.461 to 0.544, by 12 units (cell)" in table
    assert any("difference from mean: -0.2" in line and line.endswith("better") for line in table)


def test_the_report_says_why_there_is_no_interval() -> None:
    table = run_table(resampled(units=4))

    assert "no interval: too few units" in table
    assert "cell: 4" in table


def test_the_mean_of_seeds_has_the_interval_of_the_mean_of_each_cell() -> None:
    random = np.random.default_rng(0)
    seeds = [CELLS + random.normal(0.0, 0.02, 12) for _ in range(3)]
    records = [resampled(seed, values.tolist()) for seed, values in enumerate(seeds)]

    pooled, baseline = pool(records, "test", "rmse.a"), pool(records, "test", "rmse.a", "mean")
    outcome = compare_pooled(pooled, baseline)

    of_cells = np.mean(seeds, axis=0)
    assert pooled is not None
    assert pooled.interval is not None
    assert pooled.mean == pytest.approx(of_cells.mean())
    assert np.mean(pooled.interval) == pytest.approx(of_cells.mean(), rel=0.01)
    expected = stats.ttest_rel(of_cells, np.linspace(0.72, 0.68, 12)).confidence_interval(0.95)
    assert outcome is not None
    assert (outcome.lower, outcome.upper) == pytest.approx((expected.low, expected.high))
    assert "better" in spread_table(records)


def test_runs_of_two_models_are_compared_on_the_same_units() -> None:
    ours = [resampled(seed, (CELLS + seed * 0.001).tolist()) for seed in range(2)]
    theirs = [resampled(0, (CELLS + 0.01 + np.tile([0.001, -0.001], 6)).tolist())]

    table = compare_table(ours, theirs).splitlines()

    assert table[-1].split()[:2] == ["test", "rmse.a"]
    assert table[-1].endswith("better")
    assert compare_table(theirs, ours).endswith("worse")


def test_runs_on_other_units_or_without_intervals_cannot_be_compared() -> None:
    for other in (resampled(digest="1"), seeded(0, 0.4), resampled(units=4)):
        with pytest.raises(CallError) as error:
            compare_table([resampled()], [other])
        assert {kind for kind, _ in kinds_and_places(error)} <= {"intervals"}


def test_runs_on_other_data_are_refused_by_the_name_of_what_differs() -> None:
    other = resampled(units=4)
    other["synthetic"] = not other["synthetic"]

    with pytest.raises(CallError) as error:
        compare_table([resampled()], [other])

    assert [kind for kind, _ in kinds_and_places(error)] == ["synthetic", "intervals"]


def test_an_interval_without_finite_ends_is_named() -> None:
    record = resampled()
    for row in record["metrics"]:
        if row.get("interval"):
            row["interval"] = None

    assert "no interval: its ends are not finite with 12 units (cell)" in run_table(record)


def test_runs_of_two_models_shown_together_point_to_their_comparison() -> None:
    other = resampled(1)
    other["model"] = {**other["model"], "name": "another"}

    with pytest.raises(CallError) as error:
        spread_table([resampled(0), other])

    assert "--compare" in str(error.value.hint)


def test_records_without_replicates_have_no_pooled_mean() -> None:
    assert pool([resampled(), seeded(1, 0.4)], "test", "rmse.a") is None
    assert pool([resampled()], "test", "rmse.b") is None
    assert pool([resampled(), resampled(1, digest="1")], "test", "rmse.a") is None
    assert compare_pooled(None, pool([resampled()], "test", "rmse.a")) is None
