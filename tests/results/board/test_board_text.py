"""A board on a terminal fits its width, has own runs first, and explains its marks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sciml_data.bench.record.report import SYNTHETIC
from sciml_data.bench.scoring.metrics import distinct_numbers
from sciml_data.results.board import Row, arrange, board_rows, to_html, to_markdown, to_text
from sciml_data.results.board.table import ONLY_SYNTHETIC
from tests.results.board.test_board_intervals import a_model
from tests.support.board_samples import a_published_row, a_run, of_model, repeats

OTHER = "sha256:" + "c" * 64


def cells(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def models(rows: list[Row]) -> list[str]:
    return [row.made_by.model for row in rows]


def loaded(share: float) -> dict[str, Any]:
    """Return the group `monitor` of a run on a computer that others use, too."""
    return {"interval_s": 1.0, "samples": 9, "cost_fraction": 0.01, "other_cpu_fraction": share}


def a_slow_and_a_fast_run() -> list[Row]:
    """Return rows of which the better one is slower and took less energy."""
    slow = of_model("slow", [0.1], seconds=100.0)
    fast = of_model("fast", [0.2], seconds=10.0)
    for (record,), joules in ((slow, 5.0), (fast, 50.0)):
        record["energy"] = {
            "measured": True, "method": "RAPL", "cpu_energy_j": joules, "gpu_energy_j": None,
            "reason": None,
        }  # fmt: skip
    return board_rows([*slow, *fast, *of_model("unknown", [0.3], seconds=None)])


@pytest.mark.parametrize(
    ("by", "order"),
    [
        ("rank", ["slow", "fast", "unknown"]),
        ("time", ["fast", "slow", "unknown"]),
        ("energy", ["slow", "fast", "unknown"]),
    ],
)
def test_rows_are_sorted_within_their_metric_and_ranks_stay(by: str, order: list[str]) -> None:
    rows = a_slow_and_a_fast_run()

    sorted_rows = arrange(rows, by)

    assert models(sorted_rows) == order
    assert {row.made_by.model: row.rank for row in sorted_rows} == {
        "slow": 1, "fast": 2, "unknown": 3
    }  # fmt: skip


def test_published_figures_follow_the_runs_in_every_order() -> None:
    rows = a_slow_and_a_fast_run()
    published = a_published_row(rows[0], rank=None, ranked=None)

    kinds = [row.kind for row in arrange([published, *rows], "time")]

    assert kinds == ["measured"] * 3 + ["published"]


def test_the_best_baseline_is_a_row_and_the_scores_show_who_wins() -> None:
    runs = repeats([0.12341])
    runs[0]["metrics"][0]["baselines"] = {"mean": 0.12344}

    lines = cells(to_text(board_rows(runs)))

    assert ["1", "small", "1", "0.12341", "better", "10.0", "s"] in lines
    assert ["base", "mean", "0.12344"] in lines


def test_runs_of_ours_come_before_figures_of_others() -> None:
    (own,) = board_rows([a_run(0, 0.1, **{"benchmark.name": "zebra"})])
    other = replace(own, benchmark="aardvark")
    published = [a_published_row(row, rank=None, ranked=None) for row in (own, other)]

    text = to_text([published[1], own, published[0]])
    markdown = to_markdown([published[1], own, published[0]])

    assert text.index("zebra: toy_points") < text.index("zebra: published by others")
    assert "aardvark (1)" in text
    assert "aardvark: published" not in text
    assert markdown.index("## zebra") < markdown.index("## aardvark")


@pytest.mark.parametrize("is_real_too", [True, False])
@pytest.mark.parametrize("to", [to_text, to_markdown, to_html])
def test_published_figures_beside_synthetic_runs_only_say_so(
    to: Callable[[list[Row]], str], *, is_real_too: bool
) -> None:
    runs = [a_run(1, 0.2, synthetic=True), *([a_run(2, 0.3)] * is_real_too)]
    rows = board_rows(runs)
    real = replace(rows[0].data, is_synthetic=False)

    shown = to([*rows, a_published_row(rows[0], rank=None, ranked=None, data=real)])

    assert (" ".join(ONLY_SYNTHETIC.split()) in " ".join(shown.split())) != is_real_too


def test_a_benchmark_alone_shows_its_published_figures() -> None:
    (own,) = board_rows([a_run(0, 0.1)])

    text = to_text([a_published_row(own, rank=None, ranked=None)])

    assert "toy: published by others" in text


def test_lines_fit_the_width() -> None:
    records = [
        a_run(0, 0.1, **{"model.name": "a" * 60}),
        a_run(1, 0.2, synthetic=True),
        a_run(2, 0.3, monitor=loaded(0.5), settings_overridden=["epochs"]),
    ]
    rows = board_rows(records)
    text = to_text([*rows, a_published_row(rows[0], rank=None, ranked=None)], width=80)

    assert [line for line in text.splitlines() if len(line) > 80] == []
    assert SYNTHETIC in text
    assert "epochs=" in text


def test_the_load_of_other_programs_is_beside_the_time() -> None:
    shared = a_run(0, 0.1, monitor=loaded(0.45))
    alone = a_run(1, 0.1, monitor=loaded(0.01))

    (row,) = board_rows([shared])
    (quiet,) = board_rows([alone])

    assert "10.0 s (45 % shared)" in to_text([row])
    assert "other programs used 45 % of the computer" in to_markdown([row])
    assert "shared" not in to_text([quiet])


def test_other_files_of_the_benchmark_are_marked_and_explained() -> None:
    records: list[Any] = [
        *of_model("first", [0.1]),
        *of_model("second", [0.2], **{"code.runner_digest": OTHER}),
    ]

    rows = board_rows(records)

    assert [row.made_by.mark for row in rows] == ["a", "b"]
    for text in (to_text(rows), to_markdown(rows), to_html(rows)):
        words = " ".join(text.replace("\\[", "[").split())
        assert "second [b]" in words
        assert "files of the benchmark differ" in words
    same = board_rows([*of_model("first", [0.1]), *of_model("second", [0.2])])
    assert [row.made_by.mark for row in same] == [None, None]
    assert "differ" not in to_text(same)


def test_ties_are_named() -> None:
    rows = board_rows([a_model("one", 0.0), a_model("two", 1e-9)])

    assert "ranks 1 to 2 are a tie" in to_text(rows)


def test_a_name_with_a_line_break_stays_on_its_line() -> None:
    (row,) = board_rows([a_run(0, 0.1, **{"model.name": "x\n1 forged"})])

    assert not any(line.startswith("1 forged") for line in to_text([row]).splitlines())


def test_numbers_have_the_decimals_that_tell_them_apart() -> None:
    assert distinct_numbers([0.59301, 0.59302, None]) == ["0.59301", "0.59302", "-"]
    assert distinct_numbers([0.5, 0.25]) == ["0.5000", "0.2500"]
    assert distinct_numbers([0.5, 0.5 + 1e-12]) == ["0.5000000", "0.5000000"]
    assert distinct_numbers([-0.00001, 0.5]) == ["0.0000", "0.5000"]
