"""The short report fits a terminal, puts the best first, and says who wins by how much."""

from __future__ import annotations

from sciml_data.bench.record.headline import run_headline
from sciml_data.bench.record.report import SYNTHETIC, run_table
from tests.support.records import resampled, sample_record, stopped_at

TOLD = "leakage: test shares with train: cell 5 of 5 (100 % of samples)"


def test_lines_fit_80_columns() -> None:
    text = run_headline(sample_record(budget=stopped_at(600.0), synthetic=True))

    assert [line for line in text.splitlines() if len(line) > 80] == []
    assert text.splitlines()[0] == text.splitlines()[-1] == SYNTHETIC


def test_baselines_are_sorted_and_scores_that_differ_look_different() -> None:
    record = sample_record()
    row = record["metrics"][0]
    row["score"], row["baselines"] = 0.123412, {"worse": 0.2, "close": 0.123414}

    lines = [line.split() for line in run_headline(record).splitlines()]

    assert ["small", "0.123412*"] in lines
    assert lines.index(["close", "0.123414"]) < lines.index(["worse", "0.200000"])


def test_the_verdict_is_beside_each_baseline_and_the_interval_below() -> None:
    text = run_headline(resampled())

    assert any(line.startswith("mean ") and line.endswith(" better") for line in text.splitlines())
    assert "95 % intervals of" in text
    assert "less mean" not in text + run_table(resampled())


def test_other_metrics_are_left_to_all() -> None:
    text = run_headline(sample_record())

    assert "part test" not in text
    assert "--all" in text


def test_leakage_is_printed_unless_it_was_printed_before() -> None:
    record = sample_record(facts={"leakage": {"told": [TOLD]}})

    assert TOLD in run_headline(record)
    assert TOLD not in run_headline(record, leakage=False)


def test_a_score_without_a_value_has_its_reason() -> None:
    record = sample_record()
    row = record["metrics"][0]
    row.update(score=None, status="failed", reason="fewer than 10 samples of each drug")

    assert "no value: fewer than 10 samples of each drug" in run_table(record)
