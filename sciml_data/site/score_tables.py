"""Scores, targets and epochs of a record as tables: the model beside every baseline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from sciml_data.bench.scoring.scores import row_key
from sciml_data.site import words
from sciml_data.site.tables import Cell, Column, Columns, Rows, Table, table

BEST = "*"  # beside the best score of a row: not by weight or colour alone
STARRED = Markup('{}<span class="star">{}</span>')  # room for the mark keeps numbers in line
Record = Mapping[str, Any]


def headline(record: Record) -> Table | None:
    """Return the metric that ranks runs, a row for each part; None where none was named."""
    key = record["benchmark"]["headline_metric"]
    rows = [row for row in record["metrics"] if row_key(row) == key]
    if not rows:
        return None
    return _beside(record, rows, f"Headline metric {key}", "part", [row["part"] for row in rows])


def parts(record: Record) -> list[Table]:
    """Return a table for each part, all metrics in it."""
    found = []
    for part in dict.fromkeys(row["part"] for row in record["metrics"]):
        rows = [row for row in record["metrics"] if row["part"] == part]
        metrics = list(dict.fromkeys(row["metric_id"] for row in rows))
        rows.sort(key=lambda row: metrics.index(row["metric_id"]))  # all variants of one together
        count = record["dataset"]["n_samples"].get(part)
        caption = f"Part {part}" + (f", {count:,} samples" if count is not None else "")
        found.append(_beside(record, rows, caption, "metric", [row_key(row) for row in rows]))
    return found


def failures(record: Record) -> list[str]:
    """Return a sentence for each score that could not be computed."""
    return [
        f"{row['part']} {row_key(row)}: {row['reason']}"
        for row in record["metrics"]
        if row["score"] is None and row["reason"]
    ]


def targets(record: Record) -> Table | None:
    """Return published values and what was reached; None where the split has none."""
    if not record["targets"]:
        return None
    rows: Rows = [
        [
            f"{one['part']} {one['metric']}",
            f"{one['comparison']} {one['value']:g}",
            Cell(words.score(one["score"]), one["score"]),
            _reached(one, is_synthetic=record["synthetic"]),
            one["source"],
        ]
        for one in record["targets"]
    ]
    columns: Columns = [
        "part, metric",
        "target",
        Column("score", is_number=True),
        "reached",
        "source",
    ]
    return table("Published targets", columns, rows)


def epochs(record: Record) -> Table:
    """Return a row for each epoch."""
    columns = [
        Column(name, is_number=True)
        for name in (
            "epoch", "training loss", "validation loss", "monitored", "learning rate",
            "training", "validation",
        )
    ]  # fmt: skip
    rows = [
        [
            str(one["epoch"]),
            words.score(one["train_loss"]),
            words.score(one["validation_loss"]),
            words.score(one["monitored"]),
            f"{one['learning_rate']:.3g}",
            words.seconds(one["train_s"]),
            words.seconds(one["evaluation_s"]),
        ]
        for one in record["curve"]
    ]
    return table("Epochs", columns, rows)


def _beside(
    record: Record, rows: Sequence[Record], caption: str, of: str, names: Sequence[str]
) -> Table:
    baselines = list(dict.fromkeys(name for row in rows for name in row["baselines"]))
    columns = [Column(one, is_number=True) for one in (record["model"]["name"], *baselines)]
    lower = {one["metric_id"]: one["lower_is_better"] for one in record["metric_definitions"]}
    cells: Rows = [
        [name, *_scores([row["score"], *map(row["baselines"].get, baselines)], lower, row)]
        for name, row in zip(names, rows, strict=True)
    ]
    return table(caption, [of, *columns], cells)


def _scores(scores: Sequence[float | None], lower: Mapping[str, bool], row: Record) -> list[Cell]:
    known = [one for one in scores if one is not None]
    best = (min if lower[row["metric_id"]] else max)(known) if known else None
    return [
        Cell(STARRED.format(words.score(one), BEST), one, "best")
        if one is not None and one == best
        else Cell(STARRED.format(words.score(one), ""), one)
        for one in scores
    ]


def _reached(target: Record, *, is_synthetic: bool) -> str:
    if is_synthetic:
        return "not comparable: synthetic data"
    word = {True: "yes", False: "no", None: words.NOT_KNOWN}[target["is_reached"]]
    return f"{word}; by {_named(met)} too" if (met := target["reached_by_baselines"]) else word


def _named(baselines: Iterable[str]) -> str:
    return ", ".join(f"baseline {name}" for name in baselines)
