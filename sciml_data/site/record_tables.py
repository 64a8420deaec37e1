"""Records as tables: runs in a list, scores beside baselines, and every other field of a record."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from sciml_data.bench.record.record import SCHEMA_PATH
from sciml_data.bench.scoring.metrics import row_key
from sciml_data.progress import counted
from sciml_data.site.content import Run
from sciml_data.site.frame import relative_link, run_path
from sciml_data.site.tables import (
    NONE,
    NOT_KNOWN,
    Cell,
    Column,
    Columns,
    Rows,
    Table,
    format_day,
    format_field,
    format_score,
    format_seconds,
    format_size,
    format_time,
    make_table,
)

Record = Mapping[str, Any]
RUN_COLUMNS = (
    Column("run"), Column("date"), Column("data"), Column("origin"),
    Column("headline metric, part"), Column("score", is_number=True),
    Column("best baseline", is_number=True), Column("status"), Column("state"),
)  # fmt: skip
RUN_LINK = Markup('<a href="{}">{}</a> <code class="about">{}</code>')
BEST = "*"  # beside the best score of a row, which must not be marked by weight or colour alone
STARRED = Markup('{}<span class="star">{}</span>')  # the empty mark keeps numbers in line
# Last words of metric keys that are the same in all benchmarks; the others are names of groups.
VARIANTS = {
    "mean": "mean of the scores of each {}",
    "median": "median of the scores of each {}",
    "worst": "worst score of a {}",
    "best": "best score of a {}",
    "count": "number of {}s that were scored",
    "all": "score of all samples together",
}
# Groups of the record that become one table each; groups with tables of their own are not listed.
GROUPS = (
    "benchmark", "dataset", "split", "model", "code", "seeds", "software", "hardware",
    "distribution", "timing", "throughput", "resources", "monitor", "energy",
)  # fmt: skip


@dataclass(frozen=True)
class Group:
    """A group of fields under its own heading."""

    name: str
    description: str
    table: Table | None


# Lists of runs


def run_table(caption: str, runs: Sequence[Run], page: str) -> Table:
    """Return a table of runs with links to their pages.

    Args:
        caption: caption of the table.
        runs: the runs, a row for each.
        page: path of the page that shows the table; links are relative to it.
    """
    return make_table(caption, RUN_COLUMNS, [_run_row(run, page) for run in runs], is_sortable=True)


def headline_row(record: Record) -> Record | None:
    """Return the row of the headline metric in the part "test", else in the last part."""
    key = record["benchmark"]["headline_metric"]
    rows = [row for row in record["metrics"] if row_key(row) == key]
    test_rows = [row for row in rows if row["part"] == "test"]
    return next(iter(test_rows or rows[-1:]), None)


def _run_row(run: Run, page: str) -> list[Cell | str | Markup]:
    record, data = run.record, run.record["dataset"]
    start, synthetic = record["timing"]["start_time"], record["synthetic"]
    row = headline_row(record)
    baseline = None if row is None else _best_baseline(record, row)
    headline = record["benchmark"]["headline_metric"] or "none named"
    link = RUN_LINK.format(relative_link(page, run_path(run.id)), run.name, run.id[:8])
    return [
        Cell(link, run.name),
        Cell(format_day(start), start, "whole"),
        f"{data['id']} {data['version']}",
        Cell("synthetic", mark="synthetic") if synthetic else Cell("real"),
        headline if row is None else f"{headline}, {row['part']}",
        Cell(NONE) if row is None else Cell(format_score(row["score"]), row["score"]),
        Cell(NONE)
        if baseline is None
        else Cell(f"{format_score(baseline[1])} {baseline[0]}", baseline[1]),
        record["status"],
        record["verification"]["state"],
    ]


def _best_baseline(record: Record, row: Record) -> tuple[str, float] | None:
    """Return name and score of the best baseline of a row."""
    scores = {name: score for name, score in row["baselines"].items() if score is not None}
    best = min if _lower_is_better(record)[row["metric_id"]] else max
    return best(scores.items(), key=lambda item: item[1]) if scores else None


def _lower_is_better(record: Record) -> dict[str, bool]:
    return {
        metric["metric_id"]: metric["lower_is_better"] for metric in record["metric_definitions"]
    }


# Scores of a run


def headline_table(record: Record) -> Table | None:
    """Return the headline metric, a row for each part; None if the benchmark names none.

    Baselines are in the order of their last scores, so that the best is beside the model.
    """
    key = record["benchmark"]["headline_metric"]
    rows = [row for row in record["metrics"] if row_key(row) == key]
    if not rows:
        return None
    names = [row["part"] for row in rows]
    sign = 1 if _lower_is_better(record)[rows[-1]["metric_id"]] else -1
    last = {name: score for name, score in rows[-1]["baselines"].items() if score is not None}
    ordered = sorted(last, key=lambda name: sign * last[name])
    caption = f"Headline metric {key}"
    return _score_table(record, rows, caption, "part", names, first_baselines=ordered)


def headline_legend(record: Record) -> str:
    """Return what the headline metric is, and which scores are better; "" without one."""
    key = record["benchmark"]["headline_metric"] or ""
    metric = _definitions(record).get(key.partition(".")[0])
    if metric is None:
        return ""
    unit = "" if metric["metric_unit"] in (None, "", "1") else f", in {metric['metric_unit']}"
    return f"{key}: {metric['metric_name']}{unit}; {_direction(metric)}."


def metric_table(record: Record) -> Table:
    """Return what each metric is, its unit, its bounds and which scores are better."""
    rows: Rows = [
        [name, metric["metric_name"], metric["metric_unit"], _direction(metric), _bounds(metric)]
        for name, metric in _definitions(record).items()
    ]
    return make_table("Metrics", ["metric", "what it is", "unit", "better", "bounds"], rows)


def variant_table(record: Record, groupings: Mapping[str, str]) -> Table | None:
    """Return what the last words of metric keys mean, such as `mean`; None without such words.

    Args:
        record: of the run.
        groupings: metric -> the coordinate by which its samples are grouped, where that is known.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for row in record["metrics"]:
        if variant := row["variant"]:
            by = groupings.get(row["metric_id"], "group").removesuffix("_label").replace("_", " ")
            meaning = VARIANTS.get(variant, "score of the samples of one {}").format(by)
            names = found.setdefault((meaning, by), [])
            names += [variant] if variant not in names else []
    rows: Rows = [[", ".join(names), meaning] for (meaning, _), names in found.items()]
    return make_table("Last word of a metric", ["word", "score"], rows) if rows else None


def _definitions(record: Record) -> dict[str, Record]:
    return {metric["metric_id"]: metric for metric in record["metric_definitions"]}


def _direction(metric: Record) -> str:
    return "lower is better" if metric["lower_is_better"] else "higher is better"


def _bounds(metric: Record) -> str:
    low, high = (
        "none" if metric[end] is None else f"{metric[end]:g}" for end in ("min_score", "max_score")
    )
    return f"{low} to {high}"


def interval_table(record: Record) -> Table | None:
    """Return the intervals of the headline metric, and how the model compares with each baseline.

    None if the record has none.
    """
    key = record["benchmark"]["headline_metric"]
    rows = [row for row in record["metrics"] if row_key(row) == key and "interval" in row]
    if not rows:
        return None
    cells: Rows = []
    for row in rows:
        sampling, part = record["resampling"]["parts"][row["part"]], row["part"]
        units = ", ".join(f"{count:,} ({kind})" for kind, count in sampling["units"].items())
        ends = row["interval"]
        text = f"{format_score(ends['lower'])} to {format_score(ends['upper'])}" if ends else ""
        score = Cell(format_score(row["score"]), row["score"])
        cells.append([part, "score", score, text or sampling["reason"] or NONE, units])
        cells += [
            [part, f"difference from {name}", *_comparison(paired)]
            for name, paired in row["comparisons"].items()
        ]
    columns: Columns = [
        "part", "of", Column("value", is_number=True), "95 % interval", "verdict or units",
    ]  # fmt: skip
    return make_table(f"Intervals of {key}, by the units that the split holds out", columns, cells)


def _comparison(paired: Record | None) -> list[Cell | Markup | str]:
    """Return a difference, the ends of its interval, and the verdict on the model."""
    if paired is None:
        return [NONE, NONE, NONE]
    difference = Cell(f"{paired['difference']:+.3g}", paired["difference"])
    ends = f"{paired['lower']:+.3g} to {paired['upper']:+.3g}"
    return [difference, ends, paired["verdict"]]


def part_tables(record: Record) -> list[Table]:
    """Return a table for each part, with all metrics."""
    tables = []
    for part in dict.fromkeys(row["part"] for row in record["metrics"]):
        rows = [row for row in record["metrics"] if row["part"] == part]
        metrics = list(dict.fromkeys(row["metric_id"] for row in rows))
        rows.sort(key=lambda row: metrics.index(row["metric_id"]))  # variants of a metric together
        names = [row_key(row) for row in rows]
        tables.append(_score_table(record, rows, _part_caption(record, part), "metric", names))
    return tables


def earlier_parts(record: Record) -> list[str]:
    """Return the captions of the tables of the parts before that of the headline score."""
    headline = headline_row(record)
    parts = list(dict.fromkeys(row["part"] for row in record["metrics"]))
    count = parts.index(headline["part"]) if headline else 0
    return [_part_caption(record, part) for part in parts[:count]]


def _part_caption(record: Record, part: str) -> str:
    count = record["dataset"]["n_samples"].get(part)
    return f"Part {part}" + (f", {counted(count, 'sample')}" if count is not None else "")


def failures(record: Record) -> list[str]:
    """Return a sentence for each score that could not be computed."""
    return [
        f"{row['part']} {row_key(row)}: {row['reason']}"
        for row in record["metrics"]
        if row["score"] is None and row["reason"]
    ]


def target_table(record: Record) -> Table | None:
    """Return published values and what was reached; None if the split has no targets."""
    if not record["targets"]:
        return None
    rows: Rows = [
        [
            f"{target['part']} {target['metric']}",
            f"{target['comparison']} {target['value']:g}",
            Cell(format_score(target["score"]), target["score"]),
            _reached(target, is_synthetic=record["synthetic"]),
            target["source"],
        ]
        for target in record["targets"]
    ]
    score = Column("score", is_number=True)
    columns: Columns = ["part, metric", "target", score, "reached", "source"]
    return make_table("Published targets", columns, rows)


def epoch_table(record: Record) -> Table:
    """Return a row for each epoch."""
    names = (
        "epoch", "training loss", "validation loss", "monitored", "learning rate",
        "training", "validation",
    )  # fmt: skip
    rows = [
        [
            str(row["epoch"]),
            format_score(row["train_loss"]),
            format_score(row["validation_loss"]),
            format_score(row["monitored"]),
            f"{row['learning_rate']:.3g}",
            format_seconds(row["train_s"]),
            format_seconds(row["evaluation_s"]),
        ]
        for row in record["curve"]
    ]
    return make_table("Epochs", [Column(name, is_number=True) for name in names], rows)


def _score_table(
    record: Record,
    rows: Sequence[Record],
    caption: str,
    first_column: str,
    names: Sequence[str],
    *,
    first_baselines: Sequence[str] = (),
) -> Table:
    """Return a table of the model's scores and those of each baseline; `names` are the rows'."""
    found = (name for row in rows for name in row["baselines"])
    baselines = list(dict.fromkeys([*first_baselines, *found]))
    methods = (record["model"]["name"], *baselines)
    lower = _lower_is_better(record)
    cells: Rows = []
    for name, row in zip(names, rows, strict=True):
        scores = [row["score"], *map(row["baselines"].get, baselines)]
        cells.append([name, *_score_cells(scores, lower_is_better=lower[row["metric_id"]])])
    columns = [Column(method, is_number=True) for method in methods]
    return make_table(caption, [first_column, *columns], cells)


def _score_cells(scores: Sequence[float | None], *, lower_is_better: bool) -> list[Cell]:
    known = [score for score in scores if score is not None]
    best = (min if lower_is_better else max)(known) if known else None
    return [
        Cell(STARRED.format(format_score(score), BEST), score, "best")
        if score is not None and score == best
        else Cell(STARRED.format(format_score(score), ""), score)
        for score in scores
    ]


def _reached(target: Record, *, is_synthetic: bool) -> str:
    if is_synthetic:
        return "not comparable: synthetic data"
    word = {True: "yes", False: "no", None: NOT_KNOWN}[target["is_reached"]]
    if not target["reached_by_baselines"]:
        return word
    names = ", ".join(f"baseline {name}" for name in target["reached_by_baselines"])
    return f"{word}; by {names} too"


# Other fields of a record


def group_tables(record: Record) -> Iterator[Group]:
    """Yield the groups of a record, described by its schema; a group that is null has no table."""
    schema = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))["properties"]
    for name in GROUPS:
        if name not in record:
            continue
        group_schema, block = schema.get(name, {}), record[name]
        rows = [] if block is None else list(_fields(block, group_schema.get("properties", {})))
        columns = ("field", "value", "what it is")
        table = make_table(f"Record: {name}", columns, rows) if rows else None
        yield Group(name, group_schema.get("description", ""), table)


def settings_table(record: Record) -> Table:
    """Return every setting, and whether the caller changed it."""
    changed = record["settings_overridden"]
    rows = [
        [name, format_field(name, value), "changed by the caller" if name in changed else ""]
        for name, value in record["settings"].items()
    ]
    return make_table("Settings", ["setting", "value", "remark"], rows)


def timeline_table(record: Record) -> Table | None:
    """Return the events of the run; None for a record without a timeline."""
    rows = [
        [event["key"], format_time(event["time_ms"]), format_field("", event["metadata"])]
        for event in record.get("timeline", ())
    ]
    return make_table("Timeline", ["moment", "time", "with"], rows) if rows else None


def output_table(record: Record) -> Table:
    """Return the files beside the record, with their digests."""
    rows = [
        [
            output["path"],
            format_size(output["size_bytes"]),
            output["format"],
            Cell(output["sha256"], mark="hash"),
        ]
        for output in record["outputs"].values()
    ]
    return make_table("Files beside the record", ["file", "size", "format", "sha256"], rows)


def check_table(record: Record) -> Table | None:
    """Return the checks of the scores; None if nobody has checked them."""
    rows = [
        [check["name"], "passed" if check["ok"] else "failed", check["message"]]
        for check in record["verification"]["checks"]
    ]
    return make_table("Checks", ["check", "outcome", "message"], rows) if rows else None


def _fields(block: Record, schema: Record) -> Iterator[Sequence[Cell | str]]:
    for name, value in block.items():
        is_hash = name.endswith(("digest", "commit")) and value is not None
        cell = Cell(format_field(name, value), mark="hash" if is_hash else "")
        yield [name, cell, schema.get(name, {}).get("description", "")]
