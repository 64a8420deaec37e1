"""Boards and summaries as text: Markdown, CSV, JSON and HTML.

Every function depends on its arguments alone: the same rows give the same bytes. Some texts were
sent in by other people, so each form escapes what it would otherwise take for markup.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sciml_data.bench.record.record import SHORT_ID, SUCCESS, schema_problems
from sciml_data.bench.record.report import SYNTHETIC
from sciml_data.errors import JsonError, RecordError
from sciml_data.home import parse_json
from sciml_data.progress import counted
from sciml_data.results.board.row import (
    Provenance,
    Publication,
    Row,
    RowBaseline,
    RowCosts,
    RowMetric,
    RowScore,
    RowTarget,
    ScoredData,
)
from sciml_data.results.board.summary import Energy, MetricSummary, Summary, TargetSummary
from sciml_data.results.board.table import (
    EMPTY,
    deviation,
    energy_text,
    number,
    samples_per_s,
    seconds,
    tables,
)

BOARD_SCHEMA = Path(__file__).with_name("board.schema.json")
SUMMARY_SCHEMA = Path(__file__).with_name("summary.schema.json")
SCHEMA_VERSION = "1.0"  # of both
# A spreadsheet takes a text that begins so as a formula, and would run it.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
# Markup of Markdown and of the HTML inside it.
ESCAPES = (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("`", "\\`"), ("[", "\\["))
BLOCKS: Mapping[str, Callable[..., object]] = {
    "data": ScoredData,
    "metric": RowMetric,
    "score": RowScore,
    "baseline": RowBaseline,
    "published": Publication,
}
Address = Callable[[str], str | None]  # id of a run -> address of its page; None if it has none


def to_markdown(rows: Iterable[Row]) -> str:
    """Return a board as Markdown, with up to three tables for each benchmark."""
    blocks = ["# Board"]
    for name, benchmark_tables in tables(rows):
        blocks.append(f"## {name}")
        for table in benchmark_tables:
            blocks.append(f"### {table.heading}")
            blocks += [f"**{table.note}**"] if table.note else []
            cells = [[column.text(row) for column in table.columns] for row in table.rows]
            blocks.append(markdown_table([column.title for column in table.columns], cells))
            blocks += table.footnotes
    if len(blocks) == 1:
        blocks.append(EMPTY)
    return "\n\n".join(blocks) + "\n"


def to_html(
    rows: Iterable[Row],
    *,
    is_page: bool = False,
    run_address: Address | None = None,
    heading: str = "",
) -> str:
    """Return a board as HTML that loads nothing from elsewhere.

    Args:
        rows: in order (`board_rows`).
        is_page: return a whole page instead of sections to be included in one; sections have
            headings of levels 2 and 3.
        run_address: makes the ids of runs links.
        heading: of each section; "" takes the name of the benchmark.
    """
    from sciml_data.metadata.html import template_environment
    from sciml_data.results.board.html_tables import html_tables

    environment = template_environment("sciml_data.results.board")
    template = environment.get_template("page.html" if is_page else "board.html")
    return template.render(
        benchmarks=list(tables(rows)),
        html_tables=html_tables,
        heading=heading,
        run_address=run_address or (lambda _run_id: None),
        shown_digits=SHORT_ID,
        empty=EMPTY,
    )


def to_csv(rows: Iterable[Row]) -> str:
    """Return a board as CSV: a column for each field of the JSON, by its dotted name.

    None is an empty cell, booleans are true and false, lists are JSON. A text that a spreadsheet
    would take for a formula begins with an apostrophe.
    """
    lines = [dict(_flatten(asdict(row))) for row in rows]
    titles = list(dict.fromkeys(title for line in lines for title in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, titles, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def to_json(rows: Iterable[Row]) -> str:
    """Return a board as JSON that follows `board.schema.json`.

    Raises:
        RecordError: it does not follow the schema, which is a bug.
    """
    document = {"schema_version": SCHEMA_VERSION, "rows": [asdict(row) for row in rows]}
    return _dump(document, BOARD_SCHEMA)


def from_json(text: str) -> list[Row]:
    """Return the rows of a board that `to_json` wrote.

    Raises:
        RecordError: the text is not such a board; `.problems` has every place.
    """
    return [_row(block) for block in _load(text, BOARD_SCHEMA)["rows"]]


def summary_json(summary: Summary) -> str:
    """Return a summary as JSON that follows `summary.schema.json`.

    Raises:
        RecordError: it does not follow the schema, which is a bug.
    """
    return _dump(summary_document(summary), SUMMARY_SCHEMA)


def summary_document(summary: Summary) -> dict[str, Any]:
    """Return the content of `summary.json`."""
    first = summary.first
    key, part = summary.headline
    return {
        "schema_version": SCHEMA_VERSION,
        "synthetic": first["synthetic"],
        "benchmark": {
            "name": first["benchmark"]["name"],
            "variant": first["benchmark"].get("variant"),
            "title": first["benchmark"]["title"],
            "headline_metric": key,
            "headline_part": part,
        },
        "dataset": {
            name: first["dataset"][name] for name in ("id", "version", "manifest_digest", "scale")
        },
        "split": {name: first["split"][name] for name in ("name", "members_digest", "is_headline")},
        "model": {name: first["model"][name] for name in ("name", "parameters", "framework")},
        "settings": first["settings"],
        "code": {name: first["code"][name] for name in ("version", "runner_digest")},
        "runs": [asdict(run) for run in summary.runs],
        "advised_runs": summary.advised_runs,
        "best": asdict(summary.best) if summary.best else None,
        "metrics": [_metric_document(metric) for metric in summary.metrics],
        "targets": [asdict(target) for target in summary.targets],
        "time_to_train_s": asdict(summary.time_to_train),
        "train_samples_per_s": asdict(summary.throughput),
        "energy": asdict(summary.energy),
        "state": summary.state,
    }


def summary_from_json(text: str) -> dict[str, Any]:
    """Return the document in a `summary.json`.

    Raises:
        RecordError: the text is not such a document; `.problems` has every place.
    """
    return _load(text, SUMMARY_SCHEMA)


def summary_text(summary: Summary) -> str:
    """Return a summary as text: head, scores, targets, time, speed and energy."""
    is_synthetic = summary.first["synthetic"]
    marks = [SYNTHETIC] if is_synthetic else []
    blocks = [_head(summary), _scores(summary)]
    if summary.targets:
        lines = (_target(target, is_synthetic=is_synthetic) for target in summary.targets)
        blocks.append("\n".join(["targets", *lines]))
    blocks.append(_costs(summary))
    return "\n\n".join([*marks, *blocks, *marks])


def _dump(document: Mapping[str, Any], schema: Path) -> str:
    """Return a document as JSON, checked against its schema.

    Raises:
        RecordError: it breaks the schema, or a number in it is not finite.
    """
    try:
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except ValueError as error:
        raise RecordError(f"only finite numbers can be written: {error}") from error
    _load(text, schema)  # checks the text, in which tuples have become arrays
    return text


def _load(text: str, schema: Path) -> dict[str, Any]:
    try:
        document = parse_json(text, name="the document")
    except JsonError as error:
        raise RecordError(error.message) from error
    if problems := schema_problems(document, schema, whole="document"):
        raise RecordError(f"the document breaks {schema.name}", problems=problems)
    return dict(document)


def _row(block: Mapping[str, Any]) -> Row:
    """Return a row from its JSON."""
    costs = block["costs"]
    parts: dict[str, Any] = {name: _block(kind, block[name]) for name, kind in BLOCKS.items()}
    parts |= {
        "targets": tuple(_block(RowTarget, target) for target in block["targets"]),
        "costs": RowCosts(**{**costs, "energy": Energy(**costs["energy"])}),
        "made_by": _block(Provenance, block["made_by"]),
        "remarks": tuple(block["remarks"]),
    }
    return Row(**{**block, **parts})


def _block(kind: Callable[..., Any], block: Mapping[str, Any] | None) -> Any:
    """Return a part of a row from its JSON; arrays become tuples."""
    if block is None:
        return None
    return kind(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in block.items()
        }
    )


def _flatten(block: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in block.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _csv_cell(value)


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table whose columns are not aligned: a program lays it out."""
    lines = [[_escape(cell) for cell in row] for row in [columns, *rows]]
    lines.insert(1, ["---"] * len(columns))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _aligned_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: int
) -> str:
    """Return a Markdown table for a terminal: the first columns to the left, numbers right."""
    head = [_escape(name) for name in columns]
    lines = [[_escape(cell) for cell in row] for row in rows]
    widths = [max(3, *(len(line[at]) for line in [head, *lines])) for at in range(len(head))]
    rule = [
        "-" * width if at < text_columns else f"{'-' * (width - 1)}:"
        for at, width in enumerate(widths)
    ]
    return "\n".join(
        "| "
        + " | ".join(
            cell.ljust(width) if at < text_columns else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in [head, rule, *lines]
    )


def _escape(text: str) -> str:
    """Return text on one line that stays in its cell and is not markup."""
    for mark, replacement in ESCAPES:
        text = text.replace(mark, replacement)
    return " ".join(text.split())


def _metric_document(metric: MetricSummary) -> dict[str, Any]:
    """Return a metric as JSON values; the fields of its spread are beside its own."""
    document = asdict(metric)
    spread = document.pop("spread")
    return {**document, **spread}


def _head(summary: Summary) -> str:
    first, runs = summary.first, summary.runs
    variant = f" {first['benchmark']['variant']}" if first["benchmark"].get("variant") else ""
    data = first["dataset"]
    lines = [
        f"{first['benchmark']['name']}{variant}: {first['model']['name']} on {data['id']} "
        f"{data['version']} ({data['scale']}), split {first['split']['name']}",
        f"{counted(len(runs), 'run')}, seeds "
        f"{', '.join(str(run.seed) for run in runs)}; state: {summary.state}",
    ]
    missed = [f"{run.run_id[:SHORT_ID]} ({run.status})" for run in runs if run.status != SUCCESS]
    if missed:
        lines.append(f"counted as misses: {', '.join(missed)}")
    if (best := summary.best) and best.of == 1:
        lines.append("best of 1: one run says nothing about the spread")
    elif best:
        lines.append(
            f"best of {best.of}: run {best.run_id[:SHORT_ID]}, seed {best.seed}, by {best.metric} "
            f"of {best.part}; {best.remark}"
        )
    if summary.advised_runs and len(runs) < summary.advised_runs:
        lines.append(f"{summary.advised_runs} runs are advised for this benchmark")
    return "\n".join(lines)


def _scores(summary: Summary) -> str:
    """Return the table of scores: a row for each metric of each part, baselines beside them."""
    baselines = list(dict.fromkeys(name for row in summary.metrics for name in row.baselines))
    is_picked = summary.best is not None and summary.best.of > 1
    columns = ["part", "metric", "N", "missed", "median", "std", "min", "max", "olympic mean"]
    columns += [f"best of {len(summary.runs)}"] if is_picked else []
    lines = []
    for metric in summary.metrics:
        spread = metric.spread
        line = [metric.part, metric.metric, str(spread.runs), str(spread.misses)]
        line += [number(spread.median), deviation(spread.std)]
        line += map(number, (spread.minimum, spread.maximum, spread.olympic_mean))
        line += [number(metric.best)] if is_picked else []
        lines.append([*line, *(number(metric.baselines.get(name)) for name in baselines)])
    methods = sorted({metric.spread.olympic_method for metric in summary.metrics})
    table = _aligned_table([*columns, *baselines], lines, text_columns=2)
    return f"{table}\n\nolympic mean: {'; '.join(methods)}"


def _target(target: TargetSummary, *, is_synthetic: bool) -> str:
    runs = target.reached + target.missed
    text = f"reached by {target.reached} of {runs}"
    if is_synthetic:
        text = "not comparable: synthetic data"
    elif target.reached:
        text += f", median time {seconds(target.median_s)}{_because(target.reason)}"
    if target.reached_by_baselines and not is_synthetic:
        text += f"; a baseline reaches it too: {', '.join(target.reached_by_baselines)}"
    return (
        f"  {target.part} {target.metric} {target.comparison} {target.value:g} "
        f"({target.source}): {text}"
    )


def _costs(summary: Summary) -> str:
    time, speed = summary.time_to_train, summary.throughput
    return "\n".join(
        [
            f"time to train: {seconds(time.median)}{_because(time.reason)}",
            f"training: {samples_per_s(speed.median)}{_because(speed.reason)}",
            f"energy: {energy_text(summary.energy)}",
        ]
    )


def _because(reason: str | None) -> str:
    return f" ({reason})" if reason else ""
