"""The texts of a submission that people read, made from its records: README and contribution.

Both are the same for the same records. They contain the policy's table: measured scores beside the
reference model's and the best baseline's. Values of several runs are medians; the best of several
runs is never selected.
"""

from __future__ import annotations

import datetime
import hashlib
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sciml_data.bench.record.record import has_epochs
from sciml_data.bench.record.report import SYNTHETIC
from sciml_data.bench.scoring.metrics import row_key
from sciml_data.results.submission.files import data_commands, run_command
from sciml_data.results.submission.layout import (
    Terms,
    has_small_model,
    predictions_name,
    record_name,
    result_name,
)
from sciml_data.results.submission.pdf import to_pdf

Record = Mapping[str, Any]
MetricPlace = tuple[str, str]  # part, metric key
RESULTS_HEADING = "## What the results are"
NO_TEXT = "The submitter gave no text of their own. What follows is made from the records alone."
UNOFFICIAL = (
    "This is no official MLPerf or MLCommons result, and nobody of MLCommons has verified it."
)
TABLE_HEAD = (
    "Measurement name",
    "Reference model value",
    "Submitted model value",
    "Best baseline",
    "Target",
)
NOT_STATED = "not stated"


def readme_text(
    records: Sequence[Record],
    terms: Terms,
    *,
    warnings: Sequence[str],
    reference: Record | None = None,
) -> str:
    """Return README.md: title, the policy's table, facts, how to repeat it, a list of the files."""
    record = records[0]
    marks = [f"**{SYNTHETIC}**"] if record["synthetic"] else []
    blocks = [
        f"# {record['benchmark']['title']}: {terms.org}, {terms.system}, {terms.descriptor}",
        *marks,
        *(f"**Warning:** {warning}." for warning in warnings),
        policy_table(records, reference),
        _facts(records),
        _how_to_repeat(records),
        _files(records),
        UNOFFICIAL,
        *marks,
    ]
    return "\n\n".join(blocks) + "\n"


def contribution_text(records: Sequence[Record], own: str | None) -> str:
    """Return the contribution: the submitter's text, then the format and meaning of the results."""
    record = records[0]
    marks = [f"**{SYNTHETIC}**"] if record["synthetic"] else []
    title = f"# {record['benchmark']['title']}: {record['model']['name']}"
    text = own.strip() if own else f"{title}\n\n{NO_TEXT}"
    return "\n\n".join([*marks, text, *_result_format(record)]) + "\n"


def contribution_pdf(text: str, records: Sequence[Record]) -> bytes:
    """Return the contribution as PDF, dated by the end of the last run; see `pdf.to_pdf`."""
    last = max(record["timing"]["end_time"] for record in records)
    return to_pdf(
        text,
        title=f"{records[0]['benchmark']['title']}: scientific contribution",
        subject=contribution_mark(text),
        date=datetime.datetime.fromisoformat(last).replace(microsecond=0),
    )


def contribution_mark(text: str) -> str:
    """Return the mark in the PDF of a contribution that identifies the text it was made from."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _facts(records: Sequence[Record]) -> str:
    record = records[0]
    data, split, code = record["dataset"], record["split"], record["code"]
    seeds = ", ".join(str(other["seeds"]["seed"]) for other in records)
    return "\n".join(
        [
            f"- data: {data['id']} {data['version']}, {data['scale']}, manifest "
            f"`{data['manifest_digest']}`",
            f"- split: {split['name']}, members `{split['members_digest']}`",
            f"- model: {record['model']['name']}, {record['model']['parameters']} parameters, "
            f"{record['model']['framework']}",
            f"- seeds: {seeds}",
            f"- code: sciml-data {code['version']}, commit `{code['commit'] or 'not known'}`, "
            f"benchmark `{code['runner_digest']}`",
        ]
    )


def _how_to_repeat(records: Sequence[Record]) -> str:
    commands = [*data_commands(records[0]), run_command(records)]
    lines = "\n".join(f"    {command}" for command in commands)
    return f"## How to repeat it\n\n{lines}"


def _files(records: Sequence[Record]) -> str:
    stated = records[0]["outputs"].get("predictions")
    lines = [
        *([f"- `{result_name(1)}` ...: MLPerf log of each run"] if has_epochs(records[0]) else []),
        *(["- `model.py`: the model"] if has_small_model(records[0]) else []),
        f"- `{record_name(1)}` ...: the record of each run, from which all else here is made",
        f"- `{predictions_name(1)}` ...: what was predicted, from which the scores can be computed"
        " again; where they are too large to be here, the records hold their digests",
        "- `config.yaml`: settings, code and data; `system.json`: the computer",
        "- `scientific_contribution.md` and `.pdf`: what was done, and what the results mean "
        "(`sientific_contribution.pdf` is the same file under the name in the policy)",
        "- `manifest.csv`: size and hash of every file",
    ]
    check = "    sciml-data submit check .\n    sciml-data rescore ." if stated else ""
    return "\n".join(["## Files", "", *lines, "", check])


def _result_format(record: Record) -> list[str]:
    """Return the section that explains each metric: name, unit, direction and formula."""
    lines = ["| metric | unit | better | formula |", "| --- | --- | --- | --- |"]
    for block in record["metric_definitions"]:
        direction = "lower" if block["lower_is_better"] else "higher"
        formula = block["formula"].replace("|", "\\|")
        lines.append(
            f"| {block['metric_name']} (`{block['metric_id']}`, version {block['metric_version']})"
            f" | {block['metric_unit']} | {direction} | {formula} |"
        )
    files = "one log (`result-n.txt`) and its predictions. The log's `result` is taken from the "
    files += "record, the record's scores from the predictions; "
    if not has_epochs(record):
        files = "and its predictions, from which the record's scores are taken; "
    format_text = (
        f"Each run is one record (`record-n.json`), {files}"
        "a metric that has variants (windows, classes, outputs) has one score for each. Scores are "
        "of the whole part of the split, never averages over batches."
    )
    return [RESULTS_HEADING, format_text, "\n".join(lines)]


# The policy's table


@dataclass(frozen=True)
class Measurement:
    """A row of the table: a metric of one part; None for a missing value."""

    name: str
    unit: str
    reference: float | None
    submitted: float | None
    spread: float | None
    baseline: tuple[str, float] | None
    target: str


def measurements(records: Sequence[Record], reference: Record | None) -> list[Measurement]:
    """Return the rows of the table: the headline metric of each part, and metrics with a target."""
    first = records[0]
    definitions = {block["metric_id"]: block for block in first["metric_definitions"]}
    targets = {(target["part"], target["metric"]): target for target in first["targets"]}
    headline = first["benchmark"]["headline_metric"]
    rows = []
    for row in first["metrics"]:
        place = (row["part"], row_key(row))
        if place[1] != headline and place not in targets:
            continue
        scores = list(_scores(records, place))
        target = targets.get(place)
        rows.append(
            Measurement(
                name=f"{place[1]}, {place[0]}",
                unit=definitions[row["metric_id"]]["metric_unit"],
                reference=None if reference is None else next(_scores([reference], place), None),
                submitted=statistics.median(scores) if scores else None,
                spread=statistics.stdev(scores) if len(scores) > 1 else None,
                baseline=_best_baseline(
                    row, lower=definitions[row["metric_id"]]["lower_is_better"]
                ),
                target=f"{target['comparison']} {target['value']:g}" if target else "",
            )
        )
    return rows


def policy_table(records: Sequence[Record], reference: Record | None = None) -> str:
    """Return the table as Markdown, followed by sentences that explain it."""
    rows = measurements(records, reference)
    lines = [TABLE_HEAD, ("---",) * len(TABLE_HEAD), *map(_cells, rows)]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    count = len(records)
    note = (
        f"Median ± standard deviation of {count} runs, none left out."
        if count > 1
        else "One run, so no spread is known."
    )
    if reference is None:
        note += " No run of the reference model was given with this submission."
    elif differences := [
        row.submitted - row.reference
        for row in rows
        if row.submitted is not None and row.reference is not None
    ]:
        mean = statistics.mean(differences)
        note += f" Average difference of submitted and reference model: {mean:+.4g}."
    return f"{text}\n\n{note}"


def _cells(row: Measurement) -> tuple[str, ...]:
    spread = "" if row.spread is None else f" ± {row.spread:.2g}"
    baseline = f"{row.baseline[0]} {_number(row.baseline[1])}" if row.baseline else NOT_STATED
    unit = "" if row.unit in {"1", ""} else f" [{row.unit}]"
    return (
        f"{row.name}{unit}",
        _number(row.reference),
        f"{_number(row.submitted)}{spread}",
        baseline,
        row.target or NOT_STATED,
    )


def _number(value: float | None) -> str:
    return NOT_STATED if value is None else f"{value:.6g}"


def _scores(records: Sequence[Record], place: MetricPlace) -> Iterator[float]:
    for record in records:
        for row in record["metrics"]:
            if (row["part"], row_key(row)) == place and row["score"] is not None:
                yield float(row["score"])


def _best_baseline(row: Mapping[str, Any], *, lower: bool) -> tuple[str, float] | None:
    known = {name: score for name, score in row["baselines"].items() if score is not None}
    if not known:
        return None
    name = (min if lower else max)(known, key=lambda name: (known[name], name))
    return name, known[name]
