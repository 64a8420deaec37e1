"""The script that chooses settings reads the validation part and nothing else."""

from __future__ import annotations

from choose import validation_score

from tests.results.pages.test_stored import run


def test_only_the_validation_row_of_the_metric_is_read() -> None:
    record = run(0, 0.5)
    (row,) = record["metrics"]
    record["metrics"] = [row, {**row, "part": "validation", "score": 0.3}]

    assert validation_score(record, "rmse.a") == 0.3
