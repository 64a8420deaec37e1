"""The short report of a run, for a terminal of 80 columns: who wins, and by how much.

It has the headline metric of every part, for the model and the baselines, best first. The full
report (`report.run_table`) has all metrics, and the intervals of all differences.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sciml_data.bench.record.record import SHORT_ID, is_external
from sciml_data.bench.record.report import (
    BEST,
    EXTERNAL_MARK,
    SYNTHETIC,
    head_lines,
    interval_ends,
    kinds_of_units,
    leakage_lines,
    target_lines,
)
from sciml_data.bench.scoring.metrics import distinct_numbers, row_key
from sciml_data.bench.scoring.predictions import MODEL
from sciml_data.progress import format_duration

WIDTH = 80
RANKING_PART = "test"
Record = Mapping[str, Any]
Row = Mapping[str, Any]


def run_headline(
    record: Record, *, leakage: bool = True, width: int = WIDTH, name: str = ""
) -> str:
    """Return the short report of a run.

    Args:
        record: of the run.
        leakage: print what the parts share; False if this was printed before.
        width: of a line, in characters.
        name: of the run in the command for more; default: the first characters of its id.
    """
    marks = [SYNTHETIC] if record["synthetic"] else []
    blocks = ["\n".join(_wrapped(head_lines(record), width))]
    if rows := _headline_rows(record):
        blocks.append("\n".join(_scores(record, rows, width)))
    lines = [*(leakage_lines(record) if leakage else []), *_targets(record), *_costs(record)]
    blocks += ["\n".join(_wrapped(lines, width))] if lines else []
    if record["metrics"]:
        run = name or str(record["run_id"])[:SHORT_ID]
        command = f"sciml-data show {shlex.quote(run)} --all"
        more = f"`{command}` prints every metric and difference."
        blocks.append(more if len(more) <= width else f"every metric and difference:\n  {command}")
    return "\n\n".join([*marks, *blocks, *marks])


def _wrapped(lines: Sequence[str], width: int) -> list[str]:
    return [
        textwrap.fill(
            line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
        for line in lines
    ]


def _headline_rows(record: Record) -> list[Row]:
    """Return the row of each part of the headline metric, or of the first metric if none is named.

    A headline metric of a single variant, such as the mean, is named with it.
    """
    rows = record["metrics"]
    keys = [row_key(row) for row in rows]
    named = record["benchmark"]["headline_metric"]
    key = named if named in keys else next(iter(keys), None)
    return [row for row in rows if row_key(row) == key]


def _scores(record: Record, rows: Sequence[Row], width: int) -> Iterator[str]:
    """Yield the table of the headline metric: a line for each predictor, a column for each part."""
    definitions = {block["metric_id"]: block for block in record["metric_definitions"]}
    metric = definitions[rows[0]["metric_id"]]
    lower = metric["lower_is_better"]
    unit = f" [{metric['metric_unit']}]" if metric["metric_unit"] not in {None, "1"} else ""
    yield (
        f"{row_key(rows[0])}{unit}, {'lower' if lower else 'higher'} is better "
        f"({BEST} best of a part)"
    )
    ranking = next((row for row in rows if row["part"] == RANKING_PART), rows[-1])
    names = [MODEL, *sorted(ranking["baselines"], key=_order(ranking, lower=lower))]
    model = str(record["model"]["name"])
    labels = [model if name == MODEL else name for name in names]
    columns = [["", *labels], *(_part_column(row, names, lower=lower) for row in rows)]
    verdicts = [_verdict(ranking, name) for name in names]
    if any(verdicts):
        columns.append([f"{ranking['part']}: {model} is", *verdicts])
    yield from _grid(columns, text=(0, len(rows) + 1))
    yield from _wrapped([text for text in [_intervals(record, rows)] if text], width)


def _order(row: Row, *, lower: bool) -> Any:
    """Return the sort key of baselines: the best first, those without a score last."""

    def key(name: str) -> tuple[bool, float]:
        score = row["baselines"][name]
        return (score is None, 0.0 if score is None else score if lower else -score)

    return key


def _part_column(row: Row, names: Sequence[str], *, lower: bool) -> list[str]:
    values = [row["score"] if name == MODEL else row["baselines"].get(name) for name in names]
    known = [value for value in values if value is not None]
    best = (min if lower else max)(known, default=None)
    texts = distinct_numbers(values)
    marks = [BEST if value is not None and value == best else " " for value in values]
    return [f"{row['part']} ", *(f"{text}{mark}" for text, mark in zip(texts, marks, strict=True))]


def _verdict(row: Row, name: str) -> str:
    """Return whether the model is shown to be better or worse than a baseline."""
    paired = row.get("comparisons", {}).get(name)
    return str(paired["verdict"]) if paired else ""


def _grid(columns: Sequence[Sequence[str]], *, text: Sequence[int]) -> Iterator[str]:
    padded = []
    for number, cells in enumerate(columns):
        width = max(map(len, cells))
        pad = str.ljust if number in text else str.rjust
        padded.append([pad(cell, width) for cell in cells])
    yield from ("  ".join(line).rstrip() for line in zip(*padded, strict=True))


def _intervals(record: Record, rows: Sequence[Row]) -> str:
    """Return the 95 % intervals of the model's scores, or why there are none."""
    parts = record.get("resampling", {}).get("parts", {})
    texts, reasons = [], []
    for row in rows:
        sampling = parts.get(row["part"])
        if sampling is None:
            continue
        if sampling["reason"]:
            reasons.append(f"{row['part']}: no interval, {sampling['reason']}")
        elif row.get("interval"):
            ends = interval_ends(row["interval"]["lower"], row["interval"]["upper"])
            texts.append(f"{row['part']} {ends} by {kinds_of_units(sampling)}")
        elif row.get("comparisons"):
            kinds = kinds_of_units(sampling)
            reasons.append(f"{row['part']}: no interval, its ends are not finite with {kinds}")
    shown = [f"95 % intervals of {record['model']['name']}: {'; '.join(texts)}"] if texts else []
    return ". ".join([*shown, *reasons])


def _targets(record: Record) -> list[str]:
    is_synthetic = record["synthetic"]
    lines = target_lines(record["targets"], is_synthetic=is_synthetic)
    return [f"published target: {line.strip()}" for line in lines]


def _costs(record: Record) -> list[str]:
    """Return a line about time, speed and the best epoch."""
    if is_external(record):
        return [EXTERNAL_MARK]
    timing, rate = record["timing"], record["throughput"]["train_samples_per_s"]
    total, load = timing["time_to_train_s"], (record["monitor"] or {}).get("other_cpu_fraction")
    facts = []
    if total is not None:
        facts.append(f"{format_duration(total)} from data to scores")
    if record["curve"]:
        facts.append(f"best epoch {record['model']['best_epoch']} of {len(record['curve'])}")
    if rate:
        facts.append(f"{rate:,.0f} samples/s in training")
    if load is not None and load >= 0.05:
        facts.append(f"other programs used {100 * load:.0f} % of the computer")
    return [", ".join(facts)] if facts else []
