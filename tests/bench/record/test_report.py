"""Reports show the model beside every baseline, and several runs by median and spread."""

from __future__ import annotations

from sciml_data.bench.record.report import SYNTHETIC, run_table, spread_table
from tests.support.records import sample_record, seeded, stopped_at


def test_the_table_has_the_model_beside_the_baseline_and_marks_the_better() -> None:
    table = run_table(sample_record()).splitlines()

    rows = [line.split() for line in table]
    assert ["a", "0.5000", "0.2500*"] in rows
    assert ["b", "0.1250*", "-"] in rows
    assert "rmse.a, test: small 0.5000  baselines: mean 0.2500" in table
    assert SYNTHETIC not in table


def test_a_synthetic_run_says_so_first_and_last() -> None:
    table = run_table(sample_record(synthetic=True)).splitlines()
    spread = spread_table([sample_record(synthetic=True)]).splitlines()

    assert (table[0], table[-1]) == (SYNTHETIC, SYNTHETIC)
    assert (spread[0], spread[-1]) == (SYNTHETIC, SYNTHETIC)


def test_several_runs_are_shown_as_median_and_spread() -> None:
    records = [seeded(seed, score) for seed, score in enumerate([0.1, 0.2, 0.6])]

    rows = [line.split() for line in spread_table(records).splitlines()]

    assert ["test", "rmse.a", "0.2000", "0.2646", "0.1000", "0.6000", "0.2500"] in rows


def test_small_errors_that_differ_are_printed_as_different_numbers() -> None:
    record = sample_record()
    row = record["metrics"][0]
    row["score"], row["baselines"] = 0.007242, {"mean": 0.007170}

    assert "small 0.007242  baselines: mean 0.007170" in run_table(record)


def test_scores_that_are_all_the_same_have_no_best() -> None:
    record = sample_record()
    row = record["metrics"][0]
    row["score"], row["baselines"] = 24.0, {"mean": 24.0}

    rows = [line.split() for line in run_table(record).splitlines()]

    assert ["a", "24", "24"] in rows


def test_a_run_that_stopped_at_its_budget_says_how_far_it_came() -> None:
    stopped = {"budget": stopped_at(600.0)}
    sentence = (
        "stopped at its budget of 10 min: 3 of 50 epochs (1,234 of 20,000 steps); the whole would "
        "take about 1 h 40 min"
    )

    assert sentence in run_table(sample_record(**stopped))
    spread = spread_table([seeded(0, 0.1, **stopped), seeded(1, 0.2, **stopped)])
    assert f"seed 1: {sentence}" in spread


def test_a_run_that_ended_within_its_budget_does_not_mention_it() -> None:
    within = stopped_at(600.0, is_reached=False)

    assert "budget" not in run_table(sample_record(budget=within))
