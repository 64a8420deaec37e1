"""What pages are made of: charts, words, commands, pictures, tables of scores."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click
import pytest

from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.task import load_task
from sciml_data.cli.run import command as run_command
from sciml_data.home import Home
from sciml_data.registry.descriptor import read_descriptor
from sciml_data.site import words
from sciml_data.site.charts import MOST_POINTS, Line, chart, thinned, tick_text, ticks
from sciml_data.site.curves import machine_charts
from sciml_data.site.frame import Page
from sciml_data.site.pictures import read_picture, run_pictures
from sciml_data.site.repeat import install_lines, remarks, run_words
from sciml_data.site.sample_picture import sample_picture
from sciml_data.site.score_tables import parts, targets
from sciml_data.testing.small_registry import small_registry
from tests.bench.record.test_record import sample_record
from tests.support.paths import TOY_REGISTRY
from tests.support.run_samples import written_run
from tests.support.site_samples import png

TOY = TOY_REGISTRY / "runners" / "toy"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.371, 0.3769, [0.37, 0.372, 0.374, 0.376, 0.378]),
        (-3.0, 7.0, [-4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 8.0]),
        (5.0, 5.0, [4.4, 4.6, 4.8, 5.0, 5.2, 5.4, 5.6]),
    ],
)
def test_ticks_are_round_and_enclose_the_range(
    low: float, high: float, expected: list[float]
) -> None:
    found = ticks(low, high)

    assert found[0] <= low <= high <= found[-1]
    if low < high:
        assert expected == pytest.approx(found)


def test_epochs_have_no_half_ticks() -> None:
    assert ticks(1, 3, least=1.0) == [1, 2, 3]


def test_neighbouring_ticks_read_differently() -> None:
    for found in (ticks(0.5, 0.50002), ticks(0, 2_000_000), ticks(0.1, 0.4)):
        assert len({tick_text(one, found) for one in found}) == len(found)


def test_thinning_keeps_the_highest_and_the_lowest_point() -> None:
    points = [(float(x), math.sin(x / 50)) for x in range(5000)]
    points[1234] = (1234.0, 9.0)
    points[4321] = (4321.0, -9.0)

    found = thinned(points)

    assert len(found) <= MOST_POINTS + 2
    assert {(1234.0, 9.0), (4321.0, -9.0)} <= set(found)
    assert list(found) == sorted(found)


def test_a_chart_draws_finite_points_inside_its_box() -> None:
    lines = [Line("a", ((1.0, 0.5), (2.0, math.nan), (3.0, 0.25))), Line("empty", ())]
    found = chart("c", lines, title="t", x_label="x", y_label="y")

    assert found is not None
    assert [line.name for line in found.lines] == ["a"]
    left, top, right, bottom = found.box
    places = [tuple(map(float, one.split(","))) for one in found.lines[0].points.split()]
    assert len(places) == 2
    assert all(left <= x <= right and top <= y <= bottom for x, y in places)
    assert places[0][1] < places[1][1]  # what is greater stands higher
    assert chart("c", lines[1:], title="t", x_label="x", y_label="y") is None


def test_of_many_lines_the_others_are_counted() -> None:
    lines = [Line(str(number), ((0.0, number), (1.0, number))) for number in range(11)]
    found = chart("c", lines, title="t", x_label="x", y_label="y")

    assert found is not None
    assert (len(found.lines), found.left_out) == (8, 3)


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
def test_a_field_is_said_in_its_unit(name: str, value: Any, expected: str) -> None:
    assert words.value(name, value) == expected


def repeated(record: dict[str, Any]) -> dict[str, Any]:
    """Return the options that `run` reads from the command that repeats a record."""
    found = run_words(record)
    assert found[:2] == ["sciml-data", "run"]
    context = run_command.make_context("run", found[2:])
    return dict(context.params)


def test_the_command_that_repeats_a_run_is_understood_and_gives_its_settings() -> None:
    task = load_task(TOY)
    overrides = ["epochs=3", "xla=true", "learning_rate=0.005"]
    settings = resolve_settings(task, overrides, model="noisy", split="halves", is_sample=True)
    data = {**sample_record()["dataset"], "sample_seed": 4, "sample_set": ["rows=9"]}
    record = sample_record(
        synthetic=True,
        settings=settings,
        settings_overridden=["epochs", "learning_rate", "xla"],
        dataset=data,
        model={"name": "noisy", "parameters": 1, "framework": "x", "best_epoch": 1},
        split={**sample_record()["split"], "name": "halves"},
    )

    found = repeated(record)

    again = resolve_settings(
        task, found["overrides"], model=found["model"], split=found["split"], is_sample=True
    )
    assert again == settings
    assert (found["sample"], found["sample_seed"]) == (True, 4)
    assert found["sample_set"] == ("rows=9",)
    assert (found["strategy"], found["threads"], found["seed"]) == ("default", 1, 0)


def test_a_variant_and_devices_are_in_the_command() -> None:
    record = sample_record(
        benchmark={**sample_record()["benchmark"], "variant": "dose"},
        distribution={**sample_record()["distribution"], "strategy": "mirrored", "replicas": 2},
    )

    found = repeated(record)

    assert (found["variant"], found["dataset"]) == ("dose", "toy_points")
    assert found["strategy"] == "mirrored:2"


def test_what_the_commands_cannot_promise_is_said() -> None:
    code = {**sample_record()["code"], "commit": "a" * 40, "is_dirty": True, "reason": None}

    assert install_lines(sample_record(code=code))[1] == f"git checkout {'a' * 40}"
    assert any("no commit holds" in one for one in remarks(sample_record(code=code)))
    assert install_lines(sample_record()) == ["pip install 'sciml-data[train]==0.1.0'"]


def test_the_best_of_a_row_is_marked_by_its_direction() -> None:
    (found,) = parts(sample_record())

    assert [cell.mark for cell in found.rows[0]] == ["", "", "best"]  # lower is better: the mean's
    assert [cell.mark for cell in found.rows[1]] == ["", "best", ""]


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

    def said(**changed: Any) -> str:
        found = targets(sample_record(targets=[target], **changed))
        assert found is not None
        return str(found.rows[0][3].shown)

    assert said() == "yes; by baseline mean too"
    assert said(synthetic=True) == "not comparable: synthetic data"


def test_only_pictures_are_shown(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a_map.png").write_bytes(png(3, 2))
    (tmp_path / "figures" / "b.png").write_bytes(b"<svg onload=alert(1)>")
    (tmp_path / "figures" / "scores.txt").write_text("9 scores")

    found = run_pictures(tmp_path, "toy")

    assert [(one.name, one.width, one.height, one.caption) for one in found] == [
        ("a_map.png", 3, 2, "a map")
    ]
    assert read_picture(b"", name="", alt="", caption="") is None


def test_what_was_sampled_of_the_machine_is_charted(tmp_path: Path) -> None:
    record = written_run(tmp_path)

    found = list(machine_charts(tmp_path, record))

    assert [one.title for one in found] == ["Memory"]
    assert list(machine_charts(tmp_path / "elsewhere", record)) == []


def test_why_there_is_no_picture_of_a_sample_is_said(tmp_path: Path) -> None:
    registry = small_registry(tmp_path / "registry")
    descriptor = read_descriptor(registry.package("waves", "1.0"))

    picture, why = sample_picture(descriptor, Home(tmp_path / "home"))

    assert picture is None
    assert why == "the home that this site was made from holds no sample of it"


def test_links_lead_from_where_a_page_lies() -> None:
    page = Page("runs/a/index.html", "", "", "")

    assert page.to("index.html#runs") == "../../index.html#runs"
    assert page.to("runs/a/index.html") == "index.html"
    assert page.to("datasets/x y/1.0/index.html") == "../../datasets/x%20y/1.0/index.html"


def test_help_has_examples() -> None:
    from sciml_data.cli import group

    site = group.get_command(click.Context(group), "site")

    assert isinstance(site, click.Group)
    assert "sciml-data site build --to" in (site.commands["build"].epilog or "")
