"""A summary as `summary.json` and as a text table."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sciml_data.bench.record.record import SHORT, SUCCESS
from sciml_data.bench.record.report import SYNTHETIC
from sciml_data.results.board.cells import (
    deviation,
    energy_words,
    number,
    pipe_table,
    samples_per_s,
    seconds,
)
from sciml_data.results.board.schemas import SUMMARY_SCHEMA, to_text
from sciml_data.results.board.summary import MetricSummary, Summary
from sciml_data.results.board.targets import TargetSummary

SCHEMA_VERSION = "1.0"


def summary_document(summary: Summary) -> dict[str, Any]:
    """Return a summary as `summary.schema.json` has it."""
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
        "metrics": [_metric_document(one) for one in summary.metrics],
        "targets": [asdict(one) for one in summary.targets],
        "time_to_train_s": asdict(summary.time_to_train),
        "train_samples_per_s": asdict(summary.throughput),
        "energy": asdict(summary.energy),
        "state": summary.state,
    }


def summary_json(summary: Summary) -> str:
    """Return `summary.json`.

    Raises:
        RecordError: it would break its schema; nobody should ever see that.
    """
    return to_text(summary_document(summary), SUMMARY_SCHEMA)


def summary_text(summary: Summary) -> str:
    """Return a summary as text: head, scores, targets, time, speed and energy."""
    marks = [SYNTHETIC] if summary.first["synthetic"] else []
    blocks = [_head(summary), _scores(summary)]
    if summary.targets:
        is_synthetic = summary.first["synthetic"]
        blocks.append(
            "\n".join(
                ["targets", *(_target(one, is_synthetic=is_synthetic) for one in summary.targets)]
            )
        )
    blocks.append(_costs(summary))
    return "\n\n".join([*marks, *blocks, *marks])


def _metric_document(one: MetricSummary) -> dict[str, Any]:
    document = asdict(one)
    spread = document.pop("spread")
    return {**document, **spread}


def _head(summary: Summary) -> str:
    first, runs = summary.first, summary.runs
    variant = f" {first['benchmark']['variant']}" if first["benchmark"].get("variant") else ""
    data = first["dataset"]
    lines = [
        f"{first['benchmark']['name']}{variant}: {first['model']['name']} on {data['id']} "
        f"{data['version']} ({data['scale']}), split {first['split']['name']}",
        f"{len(runs)} run{'s' if len(runs) > 1 else ''}, seeds "
        f"{', '.join(str(run.seed) for run in runs)}; state: {summary.state}",
    ]
    missed = [f"{run.run_id[:SHORT]} ({run.status})" for run in runs if run.status != SUCCESS]
    if missed:
        lines.append(f"counted as misses: {', '.join(missed)}")
    if summary.best:
        lines.append(_best_words(summary))
    if summary.advised_runs and len(runs) < summary.advised_runs:
        lines.append(f"{summary.advised_runs} runs are advised for this benchmark")
    return "\n".join(lines)


def _best_words(summary: Summary) -> str:
    best = summary.best
    if best is None:
        return ""
    if best.of == 1:
        return "best of 1: one run says nothing of the spread"
    return (
        f"best of {best.of}: run {best.run_id[:SHORT]}, seed {best.seed}, by {best.metric} of "
        f"{best.part}; {best.remark}"
    )


def _scores(summary: Summary) -> str:
    baselines = list(dict.fromkeys(name for one in summary.metrics for name in one.baselines))
    is_picked = summary.best is not None and summary.best.of > 1
    best = [f"best of {len(summary.runs)}"] if is_picked else []
    head = ["part", "metric", "N", "missed", "median", "std", "min", "max", "olympic mean"]
    rows = []
    for one in summary.metrics:
        found = one.spread
        numbers = [number(one) for one in (found.minimum, found.maximum, found.olympic_mean)]
        middle = [number(found.median), deviation(found.std)]
        picked = [number(one.best)] if is_picked else []
        others = [number(one.baselines.get(name)) for name in baselines]
        counts = [str(found.runs), str(found.misses)]
        rows.append([one.part, one.metric, *counts, *middle, *numbers, *picked, *others])
    ways = sorted({one.spread.olympic_method for one in summary.metrics})
    table = pipe_table([*head, *best, *baselines], rows, text_columns=2)
    return f"{table}\n\nolympic mean: {'; '.join(ways)}"


def _target(target: TargetSummary, *, is_synthetic: bool) -> str:
    runs = target.reached + target.missed
    words = f"reached by {target.reached} of {runs}"
    if is_synthetic:
        words = "not comparable: synthetic data"
    elif target.reached:
        words += f", median time {seconds(target.median_s)}"
        words += f" ({target.reason})" if target.reason else ""
    if target.reached_by_baselines and not is_synthetic:
        words += f"; a baseline reaches it too: {', '.join(target.reached_by_baselines)}"
    return (
        f"  {target.part} {target.metric} {target.comparison} {target.value:g} "
        f"({target.source}): {words}"
    )


def _costs(summary: Summary) -> str:
    time, speed, energy = summary.time_to_train, summary.throughput, summary.energy
    parts = {
        "time to train": seconds(time.median) + _because(time.reason),
        "training": samples_per_s(speed.median) + _because(speed.reason),
        "energy": energy_words(energy),
    }
    return "\n".join(f"{name}: {words}" for name, words in parts.items())


def _because(reason: str | None) -> str:
    return f" ({reason})" if reason else ""
