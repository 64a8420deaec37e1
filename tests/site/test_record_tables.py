"""Records as tables: fields in their units, the best score of a row, targets."""

from __future__ import annotations

from typing import Any

import pytest

from sciml_data.site.record_tables import (
    earlier_parts,
    interval_table,
    part_tables,
    target_table,
    variant_table,
)
from sciml_data.site.tables import format_field
from tests.support.records import resampled, sample_record


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("peak_bytes", 2_804_441_088, "2.8 GB (2,804,441,088)"),
        ("size_bytes", 12, "12 bytes"),
        ("staging_s", 0.034, "0.034 s"),
        ("staging_s", 92.76, "92.8 s"),
        ("staging_s", 7384, "2 h 03 min"),
        ("train_samples_per_s", 55516.85, "55,516.8"),
        ("done", False, "no"),
        ("reason", None, "null"),
        ("generators", ["python", "numpy"], "python, numpy"),
        ("n_samples", {"train": 203}, "train 203"),
        ("time_ms", 1_786_104_000_250, "2026-08-07 12:00:00.250 UTC"),
    ],
)
def test_a_field_is_written_in_its_unit(name: str, value: Any, expected: str) -> None:
    assert format_field(name, value) == expected


def test_the_best_of_a_row_is_marked_by_its_direction() -> None:
    (table,) = part_tables(sample_record())

    assert [cell.mark for cell in table.rows[0]] == ["", "", "best"]  # lower is better: the mean's
    assert [cell.mark for cell in table.rows[1]] == ["", "best", ""]


def test_a_target_on_synthetic_data_is_not_comparable() -> None:
    target = {
        "metric": "rmse.a",
        "part": "test",
        "value": 0.6,
        "comparison": "<=",
        "source": "somebody",
        "score": 0.5,
        "is_reached": True,
        "reached_by_baselines": ["mean"],
    }

    def reached(**changed: Any) -> str:
        table = target_table(sample_record(targets=[target], **changed))
        assert table is not None
        return str(table.rows[0][3].text)

    assert reached() == "yes; by baseline mean too"
    assert reached(synthetic=True) == "not comparable: synthetic data"


def test_the_intervals_of_the_headline_metric_have_units_and_verdicts() -> None:
    table = interval_table(resampled())
    few = interval_table(resampled(units=4))

    assert table is not None
    assert few is not None
    score, against = [[str(cell.text) for cell in row] for row in table.rows]
    assert score[:2] == ["test", "score"]
    assert score[3:] == ["0.4608 to 0.5444", "12 (cell)"]
    assert against[1].startswith("difference from ")
    assert against[4] == "better"
    assert "too few" in str(few.rows[0][3].text)
    assert interval_table(sample_record()) is None


def test_the_last_words_of_metrics_are_explained() -> None:
    rows = [
        sample_record()["metrics"][0] | {"metric_id": "nnse", "variant": variant}
        for variant in ("w1", "w13", "mean")
    ]
    table = variant_table(sample_record(metrics=rows), {"nnse": "window_label"})

    assert table is not None
    assert [[str(cell.text) for cell in row] for row in table.rows] == [
        ["w1, w13", "score of the samples of one window"],
        ["mean", "mean of the scores of each window"],
    ]
    assert variant_table(sample_record(metrics=[rows[0] | {"variant": None}]), {}) is None


def test_parts_before_that_of_the_headline_score_are_named() -> None:
    test = sample_record()["metrics"][0]
    rows = [test | {"part": part} for part in ("train", "test", "fresh")]

    assert earlier_parts(sample_record(metrics=rows)) == ["Part train, 203 samples"]
    assert earlier_parts(sample_record(metrics=[test])) == []
