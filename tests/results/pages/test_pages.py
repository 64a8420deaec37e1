"""Pages of results are what the stored records say, and nothing else has a score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sciml_data.bench.record import record_digest
from sciml_data.cli import group
from sciml_data.errors import CallError
from sciml_data.results.pages import add_runs, build_pages, page_problems
from tests.results.pages.test_stored import run
from tests.support.paths import ROOT
from tests.support.published_numbers import Reader
from tests.support.run_samples import write_as_run

PAGE = """# Toy

<!-- labels
a = "first output"
mean = "constant"
-->
In 2019 the error is <!-- value toy/small test rmse.a --><!-- end -->, of the constant
<!-- value toy/small test rmse.a mean digits=2 --><!-- end -->, and at best
<!-- value toy/small test rmse.a least --><!-- end -->: <!-- value toy/small test rmse.a outcome -->
<!-- end -->. It has <!-- fact toy/small model/parameters --><!-- end --> parameters.
Published: <!-- quote Ada 1843 -->0.125<!-- end -->, see [this](x.md#0.5), `rate=0.5` and

    run --set rate=0.5

Of the rows below: <!-- tally --><!-- end -->.

<!-- table
sets = ["toy/small"]
metrics = ["rmse.*"]
-->
<!-- end -->
<!-- table
kind = "comparison"
rows = [{what = "a", set = "toy/small", part = "test", metric = "rmse.a"}, {what = "b"}]
-->
<!-- end -->
"""


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    add_runs([run(0, 0.5), run(1, 0.1), run(2, 0.2)], name="small", results=folder)
    return folder


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "toy.md"
    path.write_text(PAGE)
    return path


def test_tables_and_numbers_are_those_of_the_records(results: Path, page: Path) -> None:
    assert build_pages([page], results) == [page]

    text = page.read_text()
    for line in (
        "|  | small | seeds, least to most | constant | than the best baseline |",
        "| first output | **0.200** | 0.100 to 0.500 | 0.250 | ahead with 2 of 3 seeds",
        "| a | 0.200 | 0.100 to 0.500 | constant 0.250 | ahead with 2 of 3 seeds, no interval |",
        "| b | not measured |  |  |  |",
        "-->0.200<!-- end -->, of the constant",
        "-->0.25<!-- end -->, and at best",
        "-->66<!-- end --> parameters.",
        "-->1 without an interval, 1 not measured<!-- end -->.",
        "commit cccccccc; 10 s to train on 1 core; 2026-08-07;",
        "data toy_points 1.0 sha256:aaaaaaaaaaaa;",
        "`sciml-data run toy --model small --split thirds --dataset toy_points --seeds 0,1,2",
        "-->0.125<!-- end -->",
    ):
        assert line in text
    assert list(page_problems([page], results)) == []
    assert build_pages([page], results) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("**0.200**", "**0.201**"),
        ("-->0.200<", "-->0.199<"),
        ("-->66<", "-->67<"),
        ("commit cccccccc", "commit dddddddd"),
        ("| b | not measured |", "| b | 0.100 |"),
    ],
)
def test_a_changed_number_of_a_page_is_a_problem(
    results: Path, page: Path, old: str, new: str
) -> None:
    build_pages([page], results)
    page.write_text(page.read_text().replace(old, new, 1))
    line = page.read_text().partition(new)[0].count("\n") + 1

    (problem,) = page_problems([page], results)

    assert (problem.kind, problem.place) == ("page", f"toy.md:{line}")


def test_a_changed_record_is_a_problem(results: Path, page: Path) -> None:
    build_pages([page], results)
    add_runs([run(0, 0.5), run(1, 0.1), run(2, 0.21)], name="small", results=results)

    assert {problem.kind for problem in page_problems([page], results)} == {"page"}
    assert len(list(page_problems([page], results))) == 3


@pytest.mark.parametrize(
    "text", ["it has 0.5", "by 3 %", "12%", "3.25.", "(.41)", "-0.1", "| 0.5 |", "`0.5`", "`5 %`"]
)
def test_a_score_by_hand_is_a_problem(results: Path, page: Path, text: str) -> None:
    page.write_text(f"# Toy\n\n{text}\n")

    (problem,) = page_problems([page], results)

    assert (problem.kind, problem.place) == ("number", "toy.md:3")


@pytest.mark.parametrize(
    "text", ["in 2019", "1,092 rows", "5 seeds", "`uno_ccle` 1", "13 to 26 weeks"]
)
def test_a_count_by_hand_is_no_problem(results: Path, page: Path, text: str) -> None:
    page.write_text(text)

    assert list(page_problems([page], results)) == []


@pytest.mark.parametrize(
    ("mark", "kind"),
    [
        ("<!-- value toy/small test mse.a --><!-- end -->", "value"),
        ("<!-- value toy/small test rmse.a ridge --><!-- end -->", "value"),
        ("<!-- value toy/small --><!-- end -->", "value"),
        ("<!-- fact toy/small model/size --><!-- end -->", "fact"),
        ("<!-- quote -->0.5<!-- end -->", "quote"),
        ("<!-- table\nsets = [\n--><!-- end -->", "table"),
        ("<!-- table\nset = ['toy/small']\n--><!-- end -->", "table"),
        ("<!-- table\nkind = 'ranks'\n--><!-- end -->", "table"),
        ("<!-- table\nsets = ['toy/small']\nmetrics = ['mse']\n--><!-- end -->", "table"),
        ("<!-- table\nsets = ['toy/small']\nbaselines = ['ridge']\n--><!-- end -->", "table"),
        ("<!-- table\nsets = ['toy/small']\n-->", "mark"),
        ("<!-- table\nsets = ['toy/small']\n--> <!-- table\n--><!-- end -->", "table"),
        ("<!-- table\nsets = ['toy/small']\n-->\n=======\n<!-- end -->", "table"),
        ("0.5<!-- end -->", "mark"),
    ],
)
def test_a_wrong_comment_is_named_with_its_line_and_nothing_is_written(
    results: Path, page: Path, mark: str, kind: str
) -> None:
    page.write_text(f"{PAGE}\n\n{mark}\n")
    line = PAGE.count("\n") + 3

    with pytest.raises(CallError) as caught:
        build_pages([page], results)

    (problem,) = caught.value.problems
    assert problem.kind == kind
    assert problem.place.startswith("toy.md:")
    assert line <= int(problem.place.rpartition(":")[2]) <= line + 3
    assert page.read_text() == f"{PAGE}\n\n{mark}\n"
    assert kind in {problem.kind for problem in page_problems([page], results)}


def test_what_is_not_stored_is_said_to_be_not_measured(results: Path, page: Path) -> None:
    page.write_text(
        "<!-- value toy/later test rmse.a --><!-- end -->"
        '<!-- table\nsets = ["toy/small", "toy/later"]\n--><!-- end -->'
        '<!-- table\nsets = ["toy/later"]\n--><!-- end -->'
        '<!-- table\nscript = "toy/draws"\n--><!-- end -->'
        "<!-- value toy/small validation rmse.a --><!-- end -->"
        "<!-- value toy/small test rmse.twilight --><!-- end -->"
        '<!-- table\nsets = ["toy/small"]\nparts = ["test", "fresh"]\n--><!-- end -->'
        '<!-- table\nsets = ["toy/small"]\nparts = ["later"]\n--><!-- end -->'
    )

    build_pages([page], results)

    text = page.read_text()
    assert text.count("-->not measured<!-- end -->") == 3
    assert text.count("Not measured: part fresh of `toy/small`.") == 1
    assert text.count("Not measured: part later of `toy/small`.") == 1
    assert text.count("Not measured: `toy/later`.") == 2
    assert "Not measured: `toy/draws`." in text
    assert "| rmse.a | **0.200** | 0.100 to 0.500 | 0.250 |" in text


def with_interval(record: Any, lower: float, upper: float, verdict: str) -> Any:
    """Return a record whose score has an interval and a paired comparison with the baseline."""
    (row,) = record["metrics"]
    row["interval"] = {"lower": row["score"] - 0.05, "upper": row["score"] + 0.05}
    ends = {"difference": row["score"] - 0.25, "lower": lower, "upper": upper, "verdict": verdict}
    row["comparisons"] = {"mean": ends}
    record["record_digest"] = record_digest(record)
    return record


@pytest.mark.parametrize(
    ("other", "said"), [("better", "better"), ("no difference shown", "no difference shown")]
)
def test_intervals_and_verdicts_are_those_of_the_records(
    results: Path, page: Path, other: str, said: str
) -> None:
    records = [
        with_interval(run(0, 0.1), -0.2, -0.1, "better"),
        with_interval(run(1, 0.12), -0.2, -0.06, "better"),
        with_interval(run(2, 0.2), -0.1, -0.01, other),
    ]
    add_runs(records, name="small", results=results)
    page.write_text(PAGE)

    build_pages([page], results)

    text = page.read_text()
    assert f"| **0.120** | 0.0700 to 0.170 | 0.100 to 0.200 | 0.250 | {said} |" in text
    assert f"| constant 0.250 | -0.130 (-0.200 to -0.0600) | {said} |" in text
    assert Reader(page, results, ROOT).check() == 4 + 6 + 9


def with_replicates(record: Any, errors: list[float]) -> Any:
    """Return a record whose rmse is resampled by six cells; `errors` are its scores without each.

    The constant's scores without each cell are 0.25 and a little more or less.
    """
    (row,) = record["metrics"]
    constant = [0.25, 0.26, 0.24, 0.25, 0.27, 0.23]
    row["interval"], row["comparisons"] = {"lower": 0.0, "upper": 9.0}, {}
    row["replicates"] = {
        "groups": [6], "t": 2.5706, "scores": {"model": errors, "mean": constant}
    }  # fmt: skip
    sampling = {
        "units": {"cell": 6}, "groups": {"cell": 6}, "digest": f"sha256:{'1' * 64}",
        "seed": None, "is_serial": False, "reason": None,
    }  # fmt: skip
    record["resampling"] = {
        "confidence_level": 0.95, "method": "jackknife", "parts": {"test": sampling}
    }  # fmt: skip
    record["record_digest"] = record_digest(record)
    return record


def test_the_headline_metric_has_interval_and_verdict_of_the_mean_over_seeds(
    results: Path, page: Path
) -> None:
    errors = [0.10, 0.11, 0.09, 0.10, 0.12, 0.08]
    ours = [with_replicates(run(seed, 0.1 + seed / 100), errors) for seed in range(3)]
    close = [error + 0.01 * (-1) ** number for number, error in enumerate(errors)]
    other = [with_replicates(run(seed, 0.12, **{"model/name": "deep"}), close) for seed in range(3)]
    add_runs(ours, name="small", results=results)
    add_runs(other, name="deep", results=results)
    against = '{what = "deep", set = "toy/small", against = "toy/deep", part = "test", '
    page.write_text(PAGE.replace("rows = [", f'rows = [{against}metric = "rmse.a"}}, '))

    build_pages([page], results)

    text = page.read_text()
    assert "95 % intervals of test by 6 x cell" in text
    assert "| constant 0.250 | -0.140 (-0.140 to -0.140) | better |" in text
    assert "| deep | 0.110 | 0." in text
    assert "| deep 0.120 | -0.01000 (" in text
    assert text.count(" | no difference shown |") == 1
    assert Reader(page, results, ROOT).check() == 4 + 6 + 9 + 9
    assert list(page_problems([page], results)) == []


def test_a_submission_is_a_result_set(results: Path, page: Path) -> None:
    packed = results / "submissions" / "lab" / "toy" / "node" / "first"
    packed.mkdir(parents=True)
    (results / "toy" / "small" / "record-1.json").rename(packed / "record-1.json")
    (packed / "submission.json").write_text("{}")
    page.write_text("<!-- value submissions/lab/toy/node/first test rmse.a --><!-- end -->")

    build_pages([page], results)

    assert "-->0.500<!--" in page.read_text()


def test_the_verb_builds_and_checks_the_pages_of_a_checkout(
    results: Path, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(results.parent)
    folder = results.parent / "docs" / "results"
    folder.mkdir(parents=True)
    page = page.rename(folder / "toy.md")
    type_in = CliRunner().invoke

    before = type_in(group, ["results", "check"])
    built = type_in(group, ["results", "build"])
    after = type_in(group, ["results", "check"])

    assert (before.exit_code, built.exit_code, after.exit_code) == (1, 0, 0)
    assert "toy.md:7" in before.output
    assert built.output == f"{Path('docs/results/toy.md')}\n"


def test_the_verb_adds_finished_runs_of_a_home(tmp_path: Path) -> None:
    records = [run(seed, 0.5) for seed in range(2)]
    for record in records:
        write_as_run(tmp_path / "home" / "runs" / "toy" / record["run_id"], record)
    (tmp_path / "results").mkdir()
    ids = [record["run_id"] for record in records]
    words = ["results", "add", *ids, "--name", "small", "--home", str(tmp_path / "home")]

    added = CliRunner().invoke(group, [*words, "--results", str(tmp_path / "results")])
    nowhere = CliRunner().invoke(group, [*words, "--results", str(tmp_path / "none")])

    assert added.output == f"{tmp_path / 'results' / 'toy' / 'small'}\n"
    assert isinstance(nowhere.exception, CallError)
    files = sorted(path.name for path in (tmp_path / "results" / "toy" / "small").iterdir())
    assert files == ["record-1.json", "record-2.json", "summary.json"]


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([0.25], "equal with 1 seed, no interval"),
        ([0.25, 0.25], "equal with all 2 seeds, no interval"),
        ([0.25, 0.3], "ahead with 0 of 2 seeds, no interval"),
        ([0.3, 0.3], "behind with all 2 seeds, no interval"),
    ],
)
def test_a_model_with_the_score_of_a_baseline_is_neither_ahead_nor_behind(
    scores: list[float], said: str, page: Path, tmp_path: Path
) -> None:
    records = [run(seed, score) for seed, score in enumerate(scores)]
    folder = tmp_path / "results"
    folder.mkdir()
    add_runs(records, name="small", results=folder)

    build_pages([page], folder)

    assert f"| constant 0.250 | {said} |" in page.read_text()
    Reader(page, folder, ROOT).check()


NAMES = """<!-- labels
rmse = "error"
a = "first output"
mean = "constant"
-->
"""
TABLE = '<!-- table\nsets = ["toy/small"]\n-->\n<!-- end -->\n'
COMPARED = """<!-- table
kind = "comparison"
rows = [{what = "a", set = "toy/small", part = "test", metric = "rmse.a"}]
-->
<!-- end -->
"""


def built_with(results: Path, page: Path, baselines: dict[str, float], text: str) -> str:
    """Return a page of two runs with score 0.3 beside baselines, as `build` writes it."""
    places: dict[str, Any] = {"metrics/0/baselines": baselines}
    add_runs([run(seed, 0.3, **places) for seed in range(2)], name="small", results=results)
    page.write_text(text)
    build_pages([page], results)
    assert Reader(page, results, ROOT).check() > 0
    return page.read_text()


def test_a_trivial_baseline_is_printed_and_neither_best_nor_compared_with(
    results: Path, page: Path
) -> None:
    trivial = '<!-- trivial\nrmse = ["mean"]\n-->\n'
    outcome = "<!-- value toy/small test rmse.a outcome --><!-- end -->\n"
    text = trivial + TABLE + COMPARED + outcome

    made = built_with(results, page, {"mean": 0.0, "ridge": 0.4}, text)

    assert "| rmse.a | **0.300** | 0.300 to 0.300 | 0.000 | 0.400 | ahead with all 2 seeds" in made
    assert "| a | 0.300 | 0.300 to 0.300 | ridge 0.400 | ahead with all 2 seeds" in made
    assert "-->ahead with all 2 seeds, no interval<!--" in made


def test_nothing_is_best_in_a_metric_with_equal_scores_throughout(
    results: Path, page: Path
) -> None:
    made = built_with(results, page, {"mean": 0.3, "ridge": 0.3}, TABLE)

    assert "| rmse.a | 0.300 | 0.300 to 0.300 | 0.300 | 0.300 | - |" in made


def test_a_variant_has_the_names_of_its_metric_and_of_itself(results: Path, page: Path) -> None:
    made = built_with(results, page, {"mean": 0.4, "ridge": 0.5}, NAMES + TABLE)

    assert "| error, first output | **0.300** |" in made
    assert "| constant | ridge |" in made
