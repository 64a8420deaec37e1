"""Print records as text tables: the model beside every baseline, or a summary of several runs.

A report on a synthetic sample is marked in its first and its last line.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sciml_data.bench.record.record import (
    SHORT_ID,
    budget_remark,
    check_repeats,
    different_data,
    is_external,
    own_model_remark,
)
from sciml_data.bench.record.uncertainty import compare_pooled, find_row, pool
from sciml_data.bench.scoring.metrics import LARGE, MISSING, SMALL, distinct_numbers, row_key
from sciml_data.bench.scoring.predictions import MODEL
from sciml_data.errors import CallError, Problem
from sciml_data.progress import counted

SYNTHETIC = "SYNTHETIC DATA: generated from a seed; these scores say nothing about nature"
EXTERNAL_MARK = (
    "EXTERNAL PREDICTIONS: another program trained and predicted; no duration or device is known"
)
SCALES = {"full": "real data", "synthetic": "synthetic sample"}
BEST = "*"  # marks the best score of a row
MAX_WIDTH = 130  # characters of a line up to which tables are placed side by side
Record = Mapping[str, Any]
Row = Mapping[str, Any]


def run_table(record: Record) -> str:
    """Return the report of a run: heading, scores by part, targets, timing."""
    marks = [SYNTHETIC] if record["synthetic"] else []
    parts = dict.fromkeys(row["part"] for row in record["metrics"])
    blocks = ["\n".join([*head_lines(record), *_headline(record)])]
    if messages := leakage_lines(record):
        blocks.append("\n".join(messages))
    blocks += [_part_block(record, part) for part in parts]
    if record["targets"]:
        lines = target_lines(record["targets"], is_synthetic=record["synthetic"])
        blocks.append("\n".join(["published targets", *lines]))
    blocks.append(EXTERNAL_MARK if is_external(record) else _timing(record))
    return "\n\n".join([*marks, *blocks, *marks])


def spread_table(records: Sequence[Record]) -> str:
    """Return the summary of repeats: median, standard deviation and range of each score.

    Raises:
        CallError: the runs differ in more than their seed, or a run is not a success.
    """
    check_repeats(records)
    first = records[0]
    marks = [SYNTHETIC] if first["synthetic"] else []
    seeds = sorted(record["seeds"]["seed"] for record in records)
    head = f"{_name(first)}, {counted(len(records), 'run')}, seeds {', '.join(map(str, seeds))}"
    baselines = _baselines(first["metrics"])
    lines = [["part", "metric", "median", "std", "min", "max", *baselines]]
    for row in first["metrics"]:
        repeats = [find_row(record, row["part"], row_key(row)) for record in records]
        scores = [other["score"] for other in repeats if other["score"] is not None]
        medians = [
            _median([other["baselines"].get(name) for other in repeats]) for name in baselines
        ]
        lines.append([row["part"], row_key(row), *_spread(scores), *map(_number, medians)])
    stopped = [
        f"seed {record['seeds']['seed']}: {remark}"
        for record in records
        if (remark := budget_remark(record))
    ]
    head = "\n".join([head, *stopped])
    blocks = [head, _grid(lines, text_columns=2), *_pooled_block(records, baselines)]
    return "\n\n".join([*marks, *blocks, *marks])


def compare_table(ours: Sequence[Record], theirs: Sequence[Record]) -> str:
    """Return how the mean of some runs compares with the mean of others, on the headline metric.

    Args:
        ours: one run or several repeats.
        theirs: of another model, or with other settings.

    Raises:
        CallError: the runs of a side are not repeats, or the sides have no scores of the same
            samples with replicates.
    """
    for records in (ours, theirs):
        check_repeats(records)
    names = [f"{_name(records[0])}, {counted(len(records), 'run')}" for records in (ours, theirs)]
    lines = [
        ["part", "metric", "first", "second", "first - second", "95 % interval", "the first is"]
    ]
    for part, key in _resampled(ours[0]):
        first, second = (pool(records, part, key) for records in (ours, theirs))
        comparison = compare_pooled(first, second)
        if first and second and comparison:
            means = [_number(first.mean), _number(second.mean)]
            difference = f"{comparison.difference:+.3g}"
            ends = interval_ends(comparison.lower, comparison.upper)
            lines.append([part, key, *means, difference, ends, comparison.verdict])
    if len(lines) == 1:
        raise CallError(
            "the runs cannot be compared: they have no intervals for the same samples",
            problems=[
                *different_data(ours[0], theirs[0]),
                *_sampling_problems(ours[0]),
                *_sampling_problems(theirs[0]),
            ],
            untouched="nothing was compared",
            hint="runs on the same data, split and targets can be compared; `sciml-data rescore` "
            "adds intervals to older records",
        )
    marks = [SYNTHETIC] if ours[0]["synthetic"] or theirs[0]["synthetic"] else []
    head = f"first:  {names[0]}\nsecond: {names[1]}"
    return "\n\n".join([*marks, head, _grid(lines, text_columns=2), *marks])


def _resampled(record: Record) -> list[tuple[str, str]]:
    """Return part and metric key of the rows that have replicates."""
    return [(row["part"], row_key(row)) for row in record["metrics"] if "replicates" in row]


def _sampling_problems(record: Record) -> list[Problem]:
    run = str(record["run_id"])[:SHORT_ID]
    if "resampling" not in record:
        return [Problem("intervals", run, "the record has no intervals")]
    parts = record["resampling"]["parts"].items()
    return [
        Problem("intervals", run, f"{part}: {each['reason']}")
        for part, each in parts
        if each["reason"]
    ]


def _pooled_block(records: Sequence[Record], baselines: Sequence[str]) -> list[str]:
    """Return a block with the mean of repeats, its interval, and how it compares with baselines."""
    lines = [
        ["part", "metric", "mean", "95 % interval", *(f"against {name}" for name in baselines)]
    ]
    for part, key in _resampled(records[0]):
        own = pool(records, part, key)
        if own is None or own.interval is None:
            continue
        verdicts = []
        for name in baselines:
            comparison = compare_pooled(own, pool(records, part, key, name))
            verdicts.append(
                f"{comparison.verdict} ({interval_ends(comparison.lower, comparison.upper)})"
                if comparison
                else MISSING
            )
        lines.append([part, key, _number(own.mean), interval_ends(*own.interval), *verdicts])
    if len(lines) == 1:
        return []
    head = "mean over the runs, and the difference from each baseline"
    return [f"{head}: {_units_of(records[0])}\n{_grid(lines, text_columns=2)}"]


def _units_of(record: Record) -> str:
    """Return what the intervals of a record resample, such as `39 units of the kind cell`."""
    parts = record["resampling"]["parts"].items()
    texts = [f"{part} by {kinds_of_units(each)}" for part, each in parts if not each["reason"]]
    return f"95 % intervals, {'; '.join(texts)}"


def kinds_of_units(sampling: Mapping[str, Any]) -> str:
    """Return the resampled units, such as `39 units (cell)`."""
    return " and ".join(
        f"{counted(count, 'unit')} ({kind})" for kind, count in sampling["units"].items()
    )


def interval_ends(lower: float, upper: float) -> str:
    """Return the ends of an interval with three digits."""
    return f"{lower:.3g} to {upper:.3g}"


def _name(record: Record) -> str:
    data, benchmark = record["dataset"], record["benchmark"]
    variant = f" {benchmark['variant']}" if benchmark.get("variant") else ""
    scale = SCALES.get(data["scale"], data["scale"])
    return (
        f"{benchmark['name']}{variant}: {record['model']['name']} on {data['id']} "
        f"{data['version']} ({scale}), split {record['split']['name']}"
    )


def head_lines(record: Record) -> list[str]:
    """Return name, id, status and sizes of a run, and what a reader must know of it."""
    sizes = ", ".join(f"{part} {size:,}" for part, size in record["dataset"]["n_samples"].items())
    lines = [
        f"{_name(record)}, seed {record['seeds']['seed']}",
        f"run {record['run_id'][:SHORT_ID]}  {record['status']}  samples: {sizes}",
    ]
    if remark := own_model_remark(record):
        lines.append(f"model: {remark}")
    if remark := budget_remark(record):
        lines.append(remark)
    if record["reason"]:
        lines.append(f"reason: {record['reason']}")
    return lines


def leakage_lines(record: Record) -> list[str]:
    """Return what the parts share with the training part, in sentences."""
    return list(record["facts"].get("leakage", {}).get("told", ()))


def _headline(record: Record) -> list[str]:
    """Return a line for each part with the headline metric of the model and the baselines."""
    key = record["benchmark"]["headline_metric"]
    lines = []
    for row in record["metrics"]:
        if row_key(row) == key:
            baselines = "  ".join(
                f"{name} {_number(score)}" for name, score in row["baselines"].items()
            )
            model = f"{record['model']['name']} {_number(row['score'])}"
            lines.append(f"{key}, {row['part']}: {model}  baselines: {baselines}")
            lines += _uncertainty(record, row)
    return lines


def _uncertainty(record: Record, row: Row) -> Iterator[str]:
    """Yield a line with the interval of a score, and one for each comparison with a baseline."""
    sampling = record.get("resampling", {}).get("parts", {}).get(row["part"])
    if sampling is None:
        return
    if sampling["reason"]:
        yield f"  no interval: {sampling['reason']}"
    elif row.get("interval"):
        ends = interval_ends(row["interval"]["lower"], row["interval"]["upper"])
        yield f"  95 % interval {ends}, by {kinds_of_units(sampling)}"
    elif row.get("comparisons"):
        yield f"  no interval: its ends are not finite with {kinds_of_units(sampling)}"
    for name, paired in row.get("comparisons", {}).items():
        ends = interval_ends(paired["lower"], paired["upper"])
        difference = f"{paired['difference']:+.3g} (95 % interval {ends})"
        yield f"  difference from {name}: {difference}, {paired['verdict']}"


def _part_block(record: Record, part: str) -> str:
    """Return the scores of a part as tables: metrics and their variants by model and baselines."""
    rows = [row for row in record["metrics"] if row["part"] == part]
    definitions = {block["metric_id"]: block for block in record["metric_definitions"]}
    predictors = [MODEL, *_baselines(rows)]
    names = [f"{name} " for name in (record["model"]["name"], *predictors[1:])]
    plain = [row for row in rows if row["variant"] is None]
    blocks = []
    if plain:
        lines = [["metric", *names]]
        lines += [[row["metric_id"], *_cells(row, predictors, definitions)] for row in plain]
        blocks.append(_grid(lines))
    varied = [row for row in rows if row["variant"] is not None]
    row_of = {(row["metric_id"], row["variant"]): row for row in varied}
    for metric in dict.fromkeys(row["metric_id"] for row in varied):
        lines = [[metric, *names]]
        for variant in _variants_beside(metric, list(row_of)):
            row = row_of.get((metric, variant))
            cells = _cells(row, predictors, definitions) if row else [f"{MISSING} "] * len(names)
            lines.append([variant, *cells])
        blocks.append(_grid(lines))
    size = record["dataset"]["n_samples"].get(part)
    head = f"part {part}" + (f" ({counted(size, 'sample')})" if size is not None else "")
    reasons = dict.fromkeys(
        f"{row['metric_id']} of the model has no value: {row['reason']}"
        for row in rows
        if row["score"] is None and row["reason"]
    )
    return "\n".join([head, *_side_by_side(blocks), *reasons])


def _variants_beside(metric: str, keys: Sequence[tuple[str, str]]) -> list[str]:
    """Return a metric's variants, and the variants of all metrics that share a variant with it.

    So the tables of related metrics have the same height, and can be placed side by side.
    """
    own = {variant for name, variant in keys if name == metric}
    related = {name for name, variant in keys if variant in own}
    return list(dict.fromkeys(variant for name, variant in keys if name in related))


def _cells(
    row: Row, predictors: Sequence[str], definitions: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    scores = [row["score"] if name == MODEL else row["baselines"].get(name) for name in predictors]
    known = [score for score in scores if score is not None]
    texts = distinct_numbers(scores)
    if known and max(known) > 1 and all(score == int(score) for score in known):
        texts = [MISSING if score is None else f"{score:,.0f}" for score in scores]  # counts
    lower = definitions[row["metric_id"]]["lower_is_better"]
    best = (min(known) if lower else max(known)) if known else None
    if len(known) > 1 and min(known) == max(known):
        best = None  # such as a number of drugs, which all predictors share
    marks = [BEST if score == best is not None else " " for score in scores]
    return [f"{text}{mark}" for text, mark in zip(texts, marks, strict=True)]


def target_lines(targets: Iterable[Mapping[str, Any]], *, is_synthetic: bool) -> Iterator[str]:
    """Yield a line for each published target: its value, the score, and whether it is reached."""
    for target in targets:
        outcome = {True: "reached", False: "not reached", None: "not known"}[target["is_reached"]]
        if is_synthetic:
            missed = "not reached; " if target["is_reached"] is False else ""
            outcome = f"{missed}not comparable: synthetic data"
        line = (
            f"  {target['part']} {target['metric']} {target['comparison']} {target['value']:g} "
            f"({target['source']}): {_number(target['score'])}, {outcome}"
        )
        if target["reached_by_baselines"] and not is_synthetic:
            line += f"; baselines that reach it: {', '.join(target['reached_by_baselines'])}"
        yield line


def _timing(record: Record) -> str:
    timing, throughput = record["timing"], record["throughput"]
    rate = throughput["train_samples_per_s"]
    devices = record["distribution"]
    lines = [
        f"staging {_seconds(timing['staging_s'])}  preparation {_seconds(timing['prepare_s'])}  "
        f"baselines {_seconds(timing['baselines_s'])}  first epoch "
        f"{_seconds(timing['first_epoch_s'])}  {counted(timing['steady_epochs'], 'steady epoch')} "
        f"{_seconds(timing['steady_epochs_s'])}  validation {_seconds(timing['validation_s'])}  "
        f"prediction {_seconds(timing['predict_s'])}",
        (
            f"best epoch {record['model']['best_epoch']} of {len(record['curve'])}"
            if record["curve"]
            else "no epochs"
        )
        + "  training "
        + (f"{rate:,.0f} samples/s" if rate else f"throughput not known: {throughput['reason']}")
        + f"  strategy {devices['strategy']}, replicas {devices['replicas']}",
    ]
    return "\n".join(lines)


def _baselines(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row["baselines"]))


def _spread(scores: Sequence[float]) -> list[str]:
    if not scores:
        return [MISSING] * 4
    deviation = statistics.stdev(scores) if len(scores) > 1 else None
    return [
        _number(value) for value in (statistics.median(scores), deviation, min(scores), max(scores))
    ]


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _number(value: float | None) -> str:
    """Return a score with four decimals, or six if it is small: such errors differ late."""
    if value is None:
        return MISSING
    if abs(value) >= LARGE:
        return f"{value:.4g}"
    return f"{value:.6f}" if 0 < abs(value) < SMALL else f"{value:.4f}"


def _seconds(value: float | None) -> str:
    return MISSING if value is None else f"{value:.1f} s"


def _grid(lines: Sequence[Sequence[str]], *, text_columns: int = 1) -> str:
    """Return rows as aligned columns: text to the left, numbers to the right."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < text_columns else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _side_by_side(blocks: Sequence[str]) -> list[str]:
    """Return blocks of equal height side by side up to `MAX_WIDTH`, and others below each other."""
    rows: list[list[str]] = []
    for block in blocks:
        lines = block.splitlines()
        if rows and len(rows[-1]) == len(lines):
            width = max(map(len, rows[-1]))
            joined = [
                f"{left.ljust(width)}  | {right}"
                for left, right in zip(rows[-1], lines, strict=True)
            ]
            if max(map(len, joined)) <= MAX_WIDTH:
                rows[-1] = joined
                continue
        rows.append(lines)
    return ["\n".join(lines) for lines in rows]
