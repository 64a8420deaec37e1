"""Boards have intervals, verdicts and ties, from the replicates in records."""

from __future__ import annotations

from typing import Any

import numpy as np

from sciml_data.results.board.render import to_csv, to_json, to_markdown
from sciml_data.results.board.rows import board_rows
from tests.support.records import resampled, seeded

CELLS = np.linspace(0.4, 0.6, 12)
NOISE = np.tile([0.03, -0.03], 6)


def a_model(name: str, shift: float, seed: int = 0, **changed: Any) -> dict[str, Any]:
    """Return a record of a model that is worse by `shift`, by more or less in other cells."""
    noise = NOISE if shift else 0.0
    record = resampled(seed, (CELLS + shift + noise).tolist(), **changed)
    number = f"{abs(hash((name, seed))) % 16**12:012x}"
    return {
        **record,
        "run_id": f"12345678-1234-4234-8234-{number}",
        "model": {**record["model"], "name": name},
        "curve": [],
    }


def test_a_row_has_the_interval_of_the_mean_and_the_verdict() -> None:
    (row,) = board_rows([a_model("ours", 0.0), a_model("ours", 0.0, seed=1)])

    assert row.score is not None
    assert row.baseline is not None
    assert row.score.lower is not None
    assert row.score.upper is not None
    assert row.score.lower < 0.5 < row.score.upper
    assert row.baseline.verdict == "better"
    assert "better" in to_markdown([row])


def test_models_that_do_not_differ_from_the_best_are_a_tie() -> None:
    models = {"best": 0.0, "close": 0.01, "closer": 0.005, "far": 0.1}

    rows = {
        row.made_by.model: row
        for row in board_rows([a_model(name, shift) for name, shift in models.items()])
    }

    assert [rows[name].rank for name in ("best", "closer", "close", "far")] == [1, 2, 3, 4]
    assert {name: row.tied for name, row in rows.items()} == {
        "best": (1, 3), "closer": (1, 3), "close": (1, 3), "far": None,
    }  # fmt: skip
    assert "1 of 4, 1 to 3 are a tie" in to_markdown(rows.values())


def test_rows_without_intervals_or_on_other_units_have_no_ties() -> None:
    others = [a_model("other units", 0.001, digest="1"), seeded(0, 0.4)]

    rows = board_rows([a_model("ours", 0.0), *others])

    assert [row.tied for row in rows] == [None] * len(rows)


def test_every_form_of_a_board_has_intervals() -> None:
    rows = board_rows([a_model("ours", 0.0), a_model("near", 0.001)])

    assert '"tied"' in to_json(rows)
    assert "score.lower" in to_csv(rows).splitlines()[0]
