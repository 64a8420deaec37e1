"""Figures of a run, by kind of prediction, drawn from the run's folder alone.

A benchmark's `figures(results)` returns figures by name. Most are calls of the functions here:

    classes          `confusion`, `class_scores`
    masks            `masks`, `reliability`
    numbers          `observed_and_predicted`, `group_scores`
    forecasts        `series`, `scores_by_variant`
    images           `best_and_worst`; `image_rows` draws any images

`drawing.py` adds `learning_curve`, and marks synthetic data, so that no benchmark can leave these
out.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sciml_data.bench.previews import PREVIEWS_NAME, load_previews
from sciml_data.bench.record import runs
from sciml_data.bench.scoring.predictions import Predictions, load_predictions
from sciml_data.bench.task.settings import LOSS
from sciml_data.progress import counted

GREY, MODEL_COLOUR = "#777777", "#cc3311"
# Paul Tol's bright scheme, which colour-blind readers can distinguish too.
PART_COLOURS = {"train": "#4477aa", "validation": "#ee6677", "test": "#228833", "fresh": "#aa3377"}
BASELINE_COLOURS = ("#0077bb", "#777777", "#009988", "#ee7733", "#aa4499")
MARKERS = "s^vD<"
SERIES_COLOURS = {"observed": "black", "predicted": MODEL_COLOUR}
GROUP_COLOURS = ("#332288", "#88ccee", "#44aa99", "#117733", "#ddcc77", "#cc6677", "#aa4499")
# Of masks: both negative, both positive, false alarm, missed, not valid. Labels have the first two.
OUTCOMES = ("#6699cc", "#ffffff", "#cc3311", "#222255", "#999999")
LEVELS = 250  # of a probability in one byte
BINS = 100  # along each side of a 2-D histogram
MAX_GROUPS = 40  # in one chart; of more groups, the best and the worst are drawn
TICK_MARGIN = 0.07  # share of an axis at its ends where no date is written
MIN_SERIES = 330  # steps; a shorter part is drawn as wide, so that its dates are readable


@dataclass(frozen=True)
class Results:
    """A run's folder and record.

    Attributes:
        folder: of the run.
        record: of the run.
    """

    folder: Path
    record: Mapping[str, Any]

    @cached_property
    def predictions(self) -> Mapping[str, Predictions]:
        """Return the model's predictions of each part."""
        return load_predictions(self.folder / runs.PREDICTIONS_NAME)

    def table(self, name: str) -> list[dict[str, str]]:
        """Return the rows of a CSV file among the run's outputs; none without the file."""
        path = self.folder / runs.OUTPUTS_FOLDER / name
        if not path.is_file():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def rows(self, key: str) -> dict[str, Mapping[str, Any]]:
        """Return the scores of a metric key by part, each with the baselines' scores."""
        metric, _, variant = key.partition(".")
        return {
            row["part"]: row
            for row in self.record["metrics"]
            if (row["metric_id"], row["variant"]) == (metric, variant or None)
        }

    def previews(self) -> dict[str, dict[str, Any]]:
        """Return the images that `save_previews` stored; none without the file."""
        path = self.folder / runs.OUTPUTS_FOLDER / PREVIEWS_NAME
        return load_previews(path) if path.is_file() else {}


def title(record: Mapping[str, Any]) -> str:
    """Return what a run is, in a line: benchmark, dataset, model, split and seed."""
    mark = "SYNTHETIC DATA  " if record["synthetic"] else ""
    benchmark = f"{record['benchmark']['name']} {record['benchmark']['variant'] or ''}".strip()
    return (
        f"{mark}{benchmark}, {record['dataset']['id']}, {record['model']['name']}, "
        f"split {record['split']['name']}, seed {record['seeds']['seed']}"
    )


def subplots(
    results: Results, rows: int, columns: int, *, size: tuple[float, float], heading: str = "",
    **options: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """Return a figure that is titled by the run, and its charts (row, column).

    Args:
        results: of the run.
        rows: of charts.
        columns: of charts.
        size: of the figure in inches.
        heading: second line of the title.
        **options: of `Figure.subplots`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(f"{title(results.record)}\n{heading}".strip(), fontsize=10)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


# --- every benchmark -----------------------------------------------------------------------------


def learning_curve(results: Results) -> Any:
    """Return loss by epoch, the monitored metric by epoch, and final scores beside baselines."""
    from matplotlib.ticker import MaxNLocator

    record = results.record
    monitor = record["settings"]["monitor"]
    # A benchmark need not name a headline metric; its first metric takes the place.
    first = next((row["metric_id"] for row in record["metrics"]), "")
    headline = record["benchmark"]["headline_metric"] or first
    curves = ["loss"] + [monitor] * (monitor != LOSS)
    figure, axes = subplots(results, 1, len(curves) + 1, size=(4.6 * len(curves) + 5.0, 4.4))
    epochs = [row["epoch"] for row in record["curve"]]
    lines = {"train": "train_loss", "validation": "validation_loss"}
    for chart, name in zip(axes[0], curves, strict=False):
        for part, key in (lines if name == "loss" else {"validation": "monitored"}).items():
            values = [float("nan") if row[key] is None else row[key] for row in record["curve"]]
            chart.plot(epochs, values, "o-", ms=3, color=PART_COLOURS[part], label=part)
        if best := record["model"]["best_epoch"]:  # 0: a model without epochs
            chart.axvline(best, color=GREY, lw=1, ls=":", label=f"best epoch, {best}")
        chart.set(xlabel="epoch", ylabel=name)
        chart.xaxis.set_major_locator(MaxNLocator(integer=True))
        chart.grid(alpha=0.3)
        chart.legend(fontsize=8)
    _final_scores(axes[0, -1], results, headline)
    return figure


def _final_scores(chart: Any, results: Results, key: str) -> None:
    """Draw a metric's scores of the model and each baseline, a marker for each part."""
    rows = results.rows(key)
    names = list(dict.fromkeys(name for row in rows.values() for name in row["baselines"]))
    for part, row in rows.items():
        scores = [row["baselines"].get(name) for name in names] + [row["score"]]
        places = [place for place, score in enumerate(scores) if score is not None]
        colour, values = PART_COLOURS.get(part, "black"), [scores[place] for place in places]
        chart.plot(values, places, "o", ms=6, color=colour, alpha=0.8, label=part)
    for target in results.record["targets"]:
        if target["metric"] == key:
            look = {"color": "black", "lw": 0.8, "ls": "--"}
            chart.axvline(target["value"], label=f"target {target['value']:g}", **look)
    model = results.record["model"]["name"]
    chart.set_yticks(range(len(names) + 1), [*(n.replace("_", " ") for n in names), model])
    metrics = {row["metric_id"]: row for row in results.record.get("metric_definitions", ())}
    metric = metrics.get(key.partition(".")[0])
    better = f" ({'lower' if metric['lower_is_better'] else 'higher'} is better)" if metric else ""
    chart.set(xlabel=f"{key}, final scores{better}", ylim=(-0.5, len(names) + 0.5))
    chart.locator_params(axis="x", nbins=5)
    chart.grid(alpha=0.3)
    chart.legend(fontsize=8)


# --- classes -------------------------------------------------------------------------------------


def confusion(
    results: Results, y_true: Any, y_pred: Any, names: Sequence[str], *, heading: str = ""
) -> Any:
    """Return the confusion matrix: colours are shares of a row, texts are counts.

    Args:
        results: of the run.
        y_true: (sample,) number of the true class, an index of `names`.
        y_pred: (sample,) number of the predicted class.
        names: of the classes.
        heading: second line of the title.
    """
    import numpy as np

    table = np.zeros((len(names), len(names)), int)
    np.add.at(table, (y_true, y_pred), 1)
    counts = table.sum(axis=1, keepdims=True)
    shares = table / np.maximum(counts, 1)
    side = float(np.clip(0.55 * len(names) + 3.5, 6, 20))
    figure, axes = subplots(results, 1, 1, size=(side + 1.2, side), heading=heading)
    chart = axes[0, 0]
    picture = chart.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in zip(*table.nonzero(), strict=True):
        colour = "white" if shares[row, column] > 0.55 else "black"
        chart.text(column, row, table[row, column], ha="center", va="center", color=colour)
    labels = [f"{name} ({count})" for name, count in zip(names, counts[:, 0], strict=True)]
    chart.set_xticks(range(len(names)), names, rotation=30, ha="right")
    chart.set_yticks(range(len(names)), labels)
    chart.set(xlabel="predicted", ylabel="true (samples)")
    figure.colorbar(picture, ax=chart, shrink=0.8, label="share of the true class")
    return figure


def class_scores(
    results: Results, y_true: Any, y_pred: Any, *, label: str = "class", groups: Any = None,
    heading: str = "",
) -> Any:  # fmt: skip
    """Return F1 of each class that has a sample; below, its true and predicted samples.

    Args:
        results: of the run.
        y_true: (sample,) true classes, in any type that has an order.
        y_pred: (sample,) predicted classes.
        label: what a class is.
        groups: function from classes (class,) to the names (class,) of groups, which have a colour.
        heading: second line of the title.
    """
    import numpy as np
    from matplotlib.patches import Patch

    classes, observed = np.unique(y_true, return_counts=True)
    predicted = np.array([(y_pred == name).sum() for name in classes])
    hits = np.array([((y_true == name) & (y_pred == name)).sum() for name in classes])
    f1 = 2 * hits / (observed + predicted)
    names = np.full(len(classes), "") if groups is None else np.asarray(groups(classes))
    palette = dict(zip(dict.fromkeys(names.tolist()), GROUP_COLOURS * 20, strict=False))
    size = (float(np.clip(0.34 * len(classes) + 3, 8, 30)), 6.2)
    figure, axes = subplots(
        results, 2, 1, size=size, heading=heading, height_ratios=(2, 1), sharex=True
    )
    (top,), (bottom,) = axes
    places = np.arange(len(classes))
    top.bar(places, f1, color=[palette[name] for name in names])
    top.axhline(f1.mean(), color=GREY, lw=1, ls="--", label=f"mean, {f1.mean():.3f}")
    keys = [Patch(color=colour, label=name) for name, colour in palette.items() if name]
    top.set(ylabel="F1", ylim=(0, 1))
    top.legend(handles=[*keys, *top.get_legend_handles_labels()[0]], fontsize=8, ncols=4)
    bottom.bar(places - 0.2, observed, 0.4, color=GREY, label="true")
    bottom.bar(places + 0.2, predicted, 0.4, color="#ddaa33", label="predicted")
    bottom.set(ylabel="samples", xlabel=label)
    bottom.set_xticks(places, classes, rotation=90, fontsize=8)
    bottom.legend(fontsize=8)
    return figure


# --- images and masks ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Picture:
    """An image of `image_rows`.

    Attributes:
        values: (row, column) numbers, or (row, column, 3) colours.
        label: at its left.
        cmap: colours of numbers.
        ends: lowest and highest number of the colours; None takes those of the image.
        bar: quantity and unit at the colour bar beside the image; without it there is no bar.
    """

    values: Any
    label: str = ""
    cmap: Any = "viridis"
    ends: tuple[float, float] | None = None
    bar: str = ""


def image_rows(
    results: Results, rows: Sequence[Sequence[Picture]], columns: Sequence[str] = (), *,
    heading: str = "",
) -> Any:  # fmt: skip
    """Return a figure with rows of images; `columns` are titles above the first row."""
    count = max(map(len, rows))
    size = (2.75 * count + 0.8, 2.5 * len(rows) + 1.1)
    figure, axes = subplots(results, len(rows), count, size=size, heading=heading)
    for charts, pictures in zip(axes, rows, strict=True):
        for chart in charts[len(pictures) :]:
            chart.set_visible(False)
        for chart, picture in zip(charts, pictures, strict=False):
            low, high = picture.ends or (None, None)
            drawn = chart.imshow(picture.values, cmap=picture.cmap, vmin=low, vmax=high)
            chart.set(xticks=[], yticks=[])
            chart.set_ylabel(picture.label, fontsize=9)
            if picture.bar:
                figure.colorbar(drawn, ax=chart, shrink=0.85, pad=0.02).set_label(picture.bar)
    for chart, text in zip(axes[0], columns, strict=False):
        chart.set_title(text, fontsize=9)
    return figure


def masks(results: Results, *, positive: str, negative: str, heading: str = "") -> Any:
    """Return a row for each preview: input, label, probability, and what is right and wrong.

    Args:
        results: previews have `input` (row, column, 3) uint8, `label` and `valid` (row, column) 0
            or 1, and `probability` in units of 1/250.
        positive: name of the pixels that the label marks.
        negative: name of the other pixels.
        heading: second line of the title.
    """
    import numpy as np
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    rows: list[list[Picture]] = []
    look: dict[str, Any] = {"cmap": ListedColormap(list(OUTCOMES)), "ends": (-0.5, 4.5)}
    for label, images in results.previews().items():
        valid, marked = images["valid"] > 0, images["label"] > 0
        probability = np.where(valid, images["probability"] / LEVELS, np.nan)
        is_predicted = probability >= 0.5
        outcome = np.where(marked, np.where(is_predicted, 1, 3), np.where(is_predicted, 2, 0))
        rows.append([
            Picture(images["input"], label),
            Picture(np.where(valid, marked, 4), **look),
            Picture(np.where(valid, outcome, 4), **look),
            Picture(probability, ends=(0, 1), bar=f"probability of {positive}"),
        ])  # fmt: skip
    columns = ("input", f"label: {negative} or {positive}", "right and wrong", "predicted")
    figure = image_rows(results, rows, columns, heading=heading)
    words = (
        f"{negative}", f"{positive}", f"{negative} called {positive}", f"{positive} missed",
        "not valid",
    )  # fmt: skip
    keys = [
        Patch(facecolor=colour, edgecolor="black", label=word)
        for colour, word in zip(OUTCOMES, words, strict=True)
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=5, fontsize=9)
    return figure


def reliability(results: Results, counts: Mapping[str, tuple[Any, Any]], *, label: str) -> Any:
    """Return a reliability diagram, with the frequency of each predicted probability below.

    Args:
        results: of the run.
        counts: part -> (positive, all) pixels (level,) of each level of probability; see
            `scoring/segmentation.py`.
        label: name of the positive pixels.
    """
    import numpy as np

    from sciml_data.bench.scoring import segmentation

    figure, axes = subplots(
        results, 2, 1, size=(6.4, 8.4), heading="reliability", height_ratios=(3, 1), sharex=True
    )
    (top,), (bottom,) = axes
    top.plot((0, 1), (0, 1), color=GREY, lw=1, ls="--", label="perfect")
    for part, pair in counts.items():
        predicted, lower, share, pixels = segmentation.reliability(*pair)
        if pixels.any():
            look = {"color": PART_COLOURS.get(part, "black"), "lw": 1}
            top.plot(predicted, share, "o-", ms=4, label=part, **look)
            middle = lower + 0.5 / segmentation.BINS
            found = np.where(pixels > 0, pixels / pixels.sum(), np.nan)
            bottom.plot(middle, found, "o-", ms=3, **look)
    top.set(ylabel=f"share that is {label} by the label", ylim=(-0.02, 1.02), box_aspect=1)
    top.legend(fontsize=9)
    bottom.set(xlabel=f"probability of {label}", ylabel="share of pixels", yscale="log")
    bottom.set(xlim=(-0.02, 1.02), ylim=(1e-3, 1.0), box_aspect=1 / 3)
    bottom.yaxis.set_minor_formatter("")  # only the powers of ten have room
    return figure


def best_and_worst(
    results: Results, part: str, channels: Mapping[str, str], names: Sequence[str] = ()
) -> Any:
    """Return the best, the median and the worst sample: true, predicted, difference.

    Samples are ranked by the correlation of their first channel, because errors of weak images are
    small anyway.

    Args:
        results: predictions have axes (sample, channel, row, column).
        part: of the split.
        channels: name -> label of the channels that are drawn.
        names: (sample,) names of the samples; the default are the coordinates.
    """
    import numpy as np

    values = results.predictions[part]
    known = [str(name) for name in values.coords["channel"]]
    numbers = [known.index(name) for name in channels]
    pairs = zip(values.observed[:, numbers[0]], values.predicted[:, numbers[0]], strict=True)
    with np.errstate(invalid="ignore", divide="ignore"):  # a constant image has no correlation
        r = np.array([np.corrcoef(true.ravel(), image.ravel())[0, 1] for true, image in pairs])
    order = np.argsort(-np.nan_to_num(r, nan=-2.0), kind="stable")
    labels: Sequence[Any] = names or values.coords["sample"].tolist()
    rows: list[list[Picture]] = []
    for rank, place in (("best", 0), ("median", len(order) // 2), ("worst", -1)):
        sample = order[place]
        label = f"{rank}, r {r[sample]:.2f}\n{labels[sample]}"
        rows.append([])
        for number, bar in zip(numbers, channels.values(), strict=True):
            true, image = (array[sample, number] for array in (values.observed, values.predicted))
            ends = float(true.min()), float(true.max())
            reach = max(float(np.abs(image - true).max()), 1e-9)
            rows[-1] += [
                Picture(true, label, "magma", ends),
                Picture(image, "", "magma", ends, bar),  # the bar is of both
                Picture(image - true, "", "RdBu_r", (-reach, reach), bar),
            ]
            label = ""
    columns = ["true", "predicted", "predicted less true"] * len(channels)
    return image_rows(results, rows, columns, heading=f"{part}, by correlation of the first image")


# --- numbers and forecasts -----------------------------------------------------------------------


def observed_and_predicted(
    results: Results, panels: Iterable[tuple[str, Any, Any, str]], *, heading: str = ""
) -> Any:
    """Return 2-D histograms of observed and predicted values, with equal axes.

    Panels of one quantity have the same range. Values outside of it are drawn at its ends.

    Args:
        results: of the run.
        panels: title, observed values, predicted values (any equal shape), and their label.
        heading: second line of the title.
    """
    import numpy as np
    from matplotlib.colors import LogNorm

    charts = list(panels)
    size = (max(3.9 * len(charts), 5.5), 5.0)
    figure, axes = subplots(results, 1, len(charts), size=size, heading=heading)
    ranges: dict[str, list[float]] = {}
    for _, observed, _, label in charts:
        low, high = (float(end) for end in np.nanquantile(observed, [0.001, 0.999]))
        known = ranges.get(label, [low, high])
        ends = [min(low, known[0]), max(high, known[1])]
        ranges[label] = [ends[0], max(ends[1], ends[0] + 1e-6)]  # not empty if all are equal
    for chart, (name, observed, predicted, label) in zip(axes[0], charts, strict=True):
        ends = ranges[label]
        pair = [np.clip(values.ravel(), ends[0], ends[1]) for values in (observed, predicted)]
        drawn = chart.hist2d(*pair, bins=BINS, range=[ends, ends], norm=LogNorm(), cmap="viridis")
        chart.plot(ends, ends, color="black", lw=0.7)
        chart.set_title(name, fontsize=9)
        chart.set(xlabel=f"observed {label}", ylabel=f"predicted {label}", aspect="equal")
        chart.locator_params(nbins=5)
        most = max(int(np.nanmax(drawn[0])), 1)
        ticks = sorted({1, round(most**0.5), most})
        bar = figure.colorbar(drawn[3], ax=chart, location="bottom", shrink=0.8, ticks=ticks)
        bar.ax.set_xticklabels(map(str, ticks))
        bar.ax.minorticks_off()
        bar.set_label(f"values in a bin; {BINS} bins a side", fontsize=8)
    return figure


def group_scores(
    results: Results, scores: Mapping[str, Mapping[str, float]], *, label: str,
    low: float = -1.0, high: float = 1.0,
) -> Any:  # fmt: skip
    """Return the score of each group: a row for each group, a chart for each part.

    Rows are in the order of the last part's scores, and are the same in all charts.

    Args:
        results: of the run.
        scores: part -> name of a group -> score.
        label: of the score.
        low: lowest score that is drawn; a bar of a lower score ends there.
        high: highest score that is drawn.
    """
    last = [*scores.values()][-1]
    names = sorted({name for of in scores.values() for name in of}, key=lambda n: last.get(n, low))
    if (left_out := len(names) - MAX_GROUPS) > 0:
        names = [*names[: MAX_GROUPS // 2], *names[-MAX_GROUPS // 2 :]]
    size = (4.2 * len(scores) + 2.5, 0.21 * len(names) + 1.9)
    heading = f"the best and the worst; {left_out} groups are left out" if left_out > 0 else ""
    figure, axes = subplots(
        results, 1, len(scores), size=size, heading=heading, sharey=True, sharex=True
    )
    for chart, (part, by_name) in zip(axes[0], scores.items(), strict=True):
        bars = [min(max(by_name.get(name, 0.0), low), high) for name in names]
        chart.barh(range(len(names)), bars, color=PART_COLOURS.get(part, GREY))
        chart.set_yticks(range(len(names)), [name[:32] for name in names], fontsize=8)
        chart.axvline(0.0, color="black", lw=0.6)
        chart.set(xlabel=label, ylim=(-0.6, len(names) - 0.4))
        chart.set_title(f"{part}, {counted(len(by_name), 'group')}", fontsize=9)
        chart.locator_params(axis="x", nbins=6)
        chart.grid(axis="x", alpha=0.3)
    return figure


def series(
    results: Results, rows: Mapping[str, Mapping[str, tuple[Any, Mapping[str, Any]]]], *,
    heading: str = "",
) -> Any:  # fmt: skip
    """Return series of observed and predicted values, a column for each part.

    Args:
        results: of the run.
        rows: label -> part -> times and lines; lines are name -> values, each (time,), NaN leaves a
            gap. The lines "observed" and "predicted" are thick, baselines thin.
        heading: second line of the title.
    """
    import numpy as np

    parts = list(next(iter(rows.values())))
    widths = [max(len(next(iter(rows.values()))[part][0]), MIN_SERIES) for part in parts]
    figure, axes = subplots(
        results, len(rows), len(parts), size=(13.0, 2.2 * len(rows) + 1.0), heading=heading,
        width_ratios=widths, sharey="row", sharex="col",
    )  # fmt: skip
    for charts, (label, by_part) in zip(axes, rows.items(), strict=True):
        charts[0].set_ylabel(label)
        for chart, (times, lines) in zip(charts, by_part.values(), strict=True):
            baselines = iter(BASELINE_COLOURS)
            for name, values in lines.items():
                look = {"color": SERIES_COLOURS.get(name) or next(baselines), "lw": 0.9}
                if name not in SERIES_COLOURS:
                    look |= {"lw": 0.8, "alpha": 0.7, "zorder": 1.5}
                chart.plot(times, values, label=name.replace("_", " "), **look)
            chart.grid(alpha=0.3)
            chart.margins(x=0.01)
            _date_ticks(chart)
            if not np.isfinite(lines["observed"]).any():
                place = {"transform": chart.transAxes, "ha": "center", "fontsize": 8}
                chart.text(0.5, 0.5, "nothing observed", **place)
    for chart, part in zip(axes[0], parts, strict=True):
        chart.set_title(part, fontsize=9)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure


def _date_ticks(chart: Any) -> None:
    """Label the dates that are not at the ends, where labels of neighbouring charts would meet."""
    from matplotlib import dates

    untyped: Any = dates
    low, high = chart.get_xlim()
    locator = untyped.AutoDateLocator(minticks=2, maxticks=5)
    ticks = locator.tick_values(*untyped.num2date([low, high]))
    room = (high - low) * TICK_MARGIN
    chart.set_xticks([tick for tick in ticks if low + room <= tick <= high - room])
    formatter = untyped.ConciseDateFormatter(locator, show_offset=False)
    chart.xaxis.set_major_formatter(formatter)


def scores_by_variant(
    results: Results, metrics: Mapping[str, str], variants: Mapping[str, str], *, heading: str = ""
) -> Any:
    """Return scores of model and baselines by variant of a metric, a column for each part.

    Args:
        results: of the run.
        metrics: id of a metric -> label, a row each.
        variants: variant -> label, along the axis.
        heading: second line of the title.
    """
    import numpy as np

    record, (first, *_) = results.record, variants
    parts = list(results.rows(f"{next(iter(metrics))}.{first}"))
    figure, axes = subplots(
        results, len(metrics), len(parts), size=(3.2 * len(parts) + 1.0, 3.2 * len(metrics) + 1.0),
        heading=heading, sharex=True, sharey="row",
    )  # fmt: skip
    for charts, (metric, label) in zip(axes, metrics.items(), strict=True):
        scores = [results.rows(f"{metric}.{variant}") for variant in variants]
        charts[0].set_ylabel(label)
        for chart, part in zip(charts, parts, strict=True):
            rows = [of_variant[part] for of_variant in scores]
            looks = zip(rows[0]["baselines"], BASELINE_COLOURS, MARKERS, strict=False)
            for name, colour, marker in looks:
                values = np.array([row["baselines"][name] for row in rows], float)
                look = {"marker": marker, "ms": 4, "color": colour, "lw": 1.1}
                chart.plot(values, label=name.replace("_", " "), **look)
            values = np.array([row["score"] for row in rows], float)  # None becomes NaN
            chart.plot(values, "-o", color=MODEL_COLOUR, lw=2, label=record["model"]["name"])
            chart.set_xticks(range(len(variants)), variants.values(), rotation=45, ha="right")
            chart.tick_params(labelsize=8)
            chart.grid(alpha=0.3)
    for chart, part in zip(axes[0], parts, strict=True):
        chart.set_title(part, fontsize=9)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure
