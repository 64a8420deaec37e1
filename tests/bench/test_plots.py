"""Figures of each kind of prediction are drawn from a run's folder and record alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciml_data.bench import plots
from sciml_data.bench.drawing import mark_synthetic, save_figure
from sciml_data.bench.previews import PREVIEWS_NAME, save_previews
from sciml_data.bench.scoring.predictions import Predictions, save_predictions

RANDOM = np.random.default_rng(0)
BASELINES = {"mean": 0.5, "ridge": None}


def row(part: str, variant: str | None, score: float | None) -> dict[str, Any]:
    return {
        "metric_id": "mse", "variant": variant, "part": part, "score": score,
        "baselines": BASELINES,
    }  # fmt: skip


def epoch(number: int, loss: float | None) -> dict[str, Any]:
    return {"epoch": number, "train_loss": loss, "validation_loss": loss, "monitored": loss}


@pytest.fixture
def results(tmp_path: Path) -> plots.Results:
    """Return a synthetic run with images of two parts, one of them constant."""
    axes = {"sample": np.arange(4), "channel": np.array(["v"], object)}
    coords = {**axes, "row": np.arange(5), "column": np.arange(6)}
    true = RANDOM.random((4, 1, 5, 6))
    image = true + RANDOM.normal(0, 0.1, true.shape)
    image[2] = 0.5
    parts = {part: Predictions(true, image, coords) for part in ("train", "test")}
    save_predictions(tmp_path / "predictions.nc", parts, synthetic=True)
    (tmp_path / "outputs").mkdir()
    record = {
        "synthetic": True,
        "benchmark": {"name": "toy", "variant": "small", "headline_metric": "mse"},
        "dataset": {"id": "toy_points"},
        "model": {"name": "linear", "best_epoch": 2},
        "split": {"name": "rows"},
        "seeds": {"seed": 3},
        "settings": {"monitor": "mse"},
        "curve": [epoch(1, 0.9), epoch(2, None), epoch(3, 0.4)],
        "metrics": [row(part, v, s) for part in parts for v, s in ((None, 0.3), ("w1", None))],
        "targets": [{"metric": "mse", "value": 0.1}],
    }
    return plots.Results(tmp_path, record)


def drawn(figure: Any, results: plots.Results, **changes: Any) -> Any:
    """Return the pixels of a saved figure."""
    from matplotlib.image import imread

    record = {**results.record, **changes}
    return imread(save_figure(figure, results.folder / "figure.png", record))


def texts(figure: Any) -> list[str]:
    import matplotlib.text

    return [item.get_text() for item in figure.findobj(matplotlib.text.Text)]


def test_every_figure_is_titled_and_synthetic_data_are_marked(results: plots.Results) -> None:
    figure = plots.learning_curve(results)
    plain = drawn(figure, results, synthetic=False)
    marked = drawn(figure, results)

    assert plots.title(results.record) in texts(figure)
    assert plots.title(results.record).startswith("SYNTHETIC DATA  toy small, toy_points, linear")
    assert (plain != marked).mean() > 0.005


@pytest.mark.parametrize("size", [(3.0, 3.0), (18.0, 3.0), (4.0, 14.0)])
def test_the_mark_of_synthetic_data_is_large_and_inside_the_figure(
    size: tuple[float, float],
) -> None:
    from matplotlib.figure import Figure
    from matplotlib.patches import PathPatch

    figure = Figure(figsize=size)
    mark_synthetic(figure)
    (mark,) = (patch for patch in figure.findobj(PathPatch))
    box = mark.get_window_extent()

    assert figure.bbox.x0 < box.x0
    assert box.x1 < figure.bbox.x1
    assert figure.bbox.y0 < box.y0
    assert box.y1 < figure.bbox.y1
    assert max(box.width / figure.bbox.width, box.height / figure.bbox.height) > 0.7


def test_the_mark_of_synthetic_data_is_seen_on_black_and_on_white(tmp_path: Path) -> None:
    from matplotlib.figure import Figure
    from matplotlib.image import imread

    for ground in ("black", "white"):
        figure = Figure(figsize=(4, 3), facecolor=ground)
        mark_synthetic(figure)
        figure.savefig(tmp_path / "marked.png")
        pixels = imread(tmp_path / "marked.png")[..., :3]
        contrast = np.abs(pixels - pixels[0, 0]).max(axis=-1)
        assert (contrast > 0.12).mean() > 0.03, ground


def test_the_learning_curve_has_loss_monitor_and_final_scores(results: plots.Results) -> None:
    loss, monitored, scores = plots.learning_curve(results).axes

    assert [chart.get_ylabel() for chart in (loss, monitored)] == ["loss", "mse"]
    assert [label.get_text() for label in scores.get_yticklabels()] == ["mean", "ridge", "linear"]
    assert [line.get_xdata().tolist() for line in scores.lines[:1]] == [[0.5, 0.3]]


def test_a_benchmark_without_a_headline_shows_its_first_metric(results: plots.Results) -> None:
    results.record["benchmark"]["headline_metric"] = None

    assert plots.learning_curve(results).axes[2].get_xlabel() == "mse, final scores"


def test_a_confusion_matrix_counts_every_sample(results: plots.Results) -> None:
    figure = plots.confusion(results, np.array([0, 0, 2]), np.array([0, 1, 2]), ["a", "b", "c"])

    assert {"a (2)", "b (0)", "c (1)"} <= set(texts(figure))
    assert drawn(figure, results).shape[0] > 600


def test_class_scores_are_those_of_scikit_learn(results: plots.Results) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    y_true, y_pred = RANDOM.integers(2, 6, 50), RANDOM.integers(0, 6, 50)
    figure = plots.class_scores(results, y_true, y_pred, groups=lambda classes: classes % 2)
    heights = [bar.get_height() for bar in figure.axes[0].patches]

    expected = metrics.f1_score(y_true, y_pred, labels=np.unique(y_true), average=None)
    assert heights == pytest.approx(expected)


def test_previews_come_back_as_they_were_stored(results: plots.Results) -> None:
    assert results.previews() == {}
    images = {
        "input": RANDOM.integers(0, 255, (4, 5, 3)).astype(np.uint8),
        "label": np.eye(4, 5, dtype=np.uint8),
        "valid": np.ones((4, 5), np.uint8),
        "probability": RANDOM.integers(0, 250, (4, 5)).astype(np.uint8),
    }
    stored = {"day\n1": images, "night\n2": images}
    save_previews(results.folder / "outputs" / PREVIEWS_NAME, stored)
    loaded = results.previews()
    figure = plots.masks(results, positive="cloud", negative="clear")

    assert list(loaded) == list(stored)
    assert all(np.array_equal(loaded["day\n1"][name], images[name]) for name in images)
    words = {"label: clear or cloud", "cloud missed", "not valid", "night\n2"}
    assert words <= set(texts(figure))
    assert drawn(figure, results).size


def test_images_are_ranked_and_a_constant_image_is_the_worst(results: plots.Results) -> None:
    figure = plots.best_and_worst(results, "test", {"v": "potential, V"})
    labels = [text for text in texts(figure) if ", r " in text]

    assert [label.split(",")[0] for label in labels] == ["best", "median", "worst"]
    assert labels[2].endswith("r nan\n2")
    assert drawn(figure, results).size


def test_values_that_are_all_equal_can_be_drawn(results: plots.Results) -> None:
    ones = np.ones(7)
    figure = plots.observed_and_predicted(results, [("test", ones, ones, "AUC")])

    assert {"observed AUC", "predicted AUC"} <= set(texts(figure))
    assert drawn(figure, results).size


def test_panels_of_one_quantity_have_equal_axes_and_colour_bars(results: plots.Results) -> None:
    wide, narrow = RANDOM.random(500), 0.4 + RANDOM.random(500) / 10
    panels = [("train", wide, wide, "AUC"), ("test", narrow, narrow, "AUC"), ("b", wide, wide, "V")]
    figure = plots.observed_and_predicted(results, panels)
    train, test, other = figure.axes[:3]

    assert train.get_xlim() == train.get_ylim() == test.get_xlim()
    assert other.get_aspect() == 1.0
    assert sum("values in a bin" in text for text in texts(figure)) == 3


def test_of_many_groups_the_best_and_the_worst_are_drawn(results: plots.Results) -> None:
    scores = {f"g{number}": number / 100 for number in range(100)}
    figure = plots.group_scores(results, {"test": scores}, label="R2")
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]

    assert len(names) == plots.MAX_GROUPS
    assert (names[0], names[-1]) == ("g0", "g99")


def test_groups_are_in_one_order_in_all_parts(results: plots.Results) -> None:
    scores = {"validation": {"a": 0.9, "b": 0.1, "c": 0.2}, "test": {"a": 0.3, "b": 0.6}}
    figure = plots.group_scores(results, scores, label="R2")
    charts = [[bar.get_width() for bar in chart.patches] for chart in figure.axes]

    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["c", "a", "b"]
    assert charts == [[0.2, 0.9, 0.1], [0.0, 0.3, 0.6]]
    assert figure.axes[0].get_xlim()[1] < 1.0  # no room for scores that nobody has


def test_series_have_a_column_for_each_part(results: plots.Results) -> None:
    times = np.arange("2000-01", "2002-01", dtype="datetime64[M]").astype("datetime64[ns]")
    values, nothing = RANDOM.random(24), np.full(24, np.nan)
    lines = {"observed": values, "predicted": values, "same_week": values}
    parts = {"train": (times, lines), "test": (times, {"observed": nothing, "predicted": values})}
    figure = plots.series(results, {"a year": parts})

    words = {"train", "test", "a year", "nothing observed", "observed", "same week"}
    assert words <= set(texts(figure))
    assert drawn(figure, results).size


def test_scores_by_variant_leave_gaps_where_there_is_no_score(results: plots.Results) -> None:
    figure = plots.scores_by_variant(results, {"mse": "error"}, {"w1": "a week"})

    assert {"train", "test", "error", "a week", "mean", "linear"} <= set(texts(figure))
    assert drawn(figure, results).size


def test_reliability_is_drawn_of_counts(results: plots.Results) -> None:
    from sciml_data.bench.scoring.segmentation import LEVELS

    total = np.full(LEVELS, 10)
    counts = {"test": (np.arange(LEVELS) // 50, total), "train": (total * 0, total * 0)}
    figure = plots.reliability(results, counts, label="cloud")

    assert {"probability of cloud", "perfect", "test"} <= set(texts(figure))
    assert "train" not in texts(figure)
