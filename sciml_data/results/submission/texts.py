"""The texts of a submission, made from its records: README and contribution."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from sciml_data.bench.record.report import SYNTHETIC
from sciml_data.results.submission.document import to_pdf
from sciml_data.results.submission.names import Terms, predictions_name, record_name, result_name
from sciml_data.results.submission.repeat import data_commands, run_command
from sciml_data.results.submission.table import policy_table

Record = Mapping[str, Any]
RESULTS_HEADING = "## What the results are"
NO_TEXT = "The submitter gave no text of their own. What follows is made from the records alone."
UNOFFICIAL = (
    "This is no official MLPerf or MLCommons result, and nobody of MLCommons has verified it."
)


def readme_text(
    records: Sequence[Record],
    terms: Terms,
    *,
    warnings: Sequence[str],
    reference: Record | None = None,
) -> str:
    """Return README.md: what this is, the policy's table, how to repeat it, what each file is."""
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
    """Return the contribution: the submitter's text, then what the results are and mean."""
    record = records[0]
    marks = [f"**{SYNTHETIC}**"] if record["synthetic"] else []
    title = f"# {record['benchmark']['title']}: {record['model']['name']}"
    text = own.strip() if own else f"{title}\n\n{NO_TEXT}"
    return "\n\n".join([*marks, text, *_result_format(record)]) + "\n"


def contribution_pdf(text: str, records: Sequence[Record]) -> bytes:
    """Return the contribution as PDF, dated by the end of the last run; see `document.to_pdf`."""
    last = max(record["timing"]["end_time"] for record in records)
    return to_pdf(
        text,
        title=f"{records[0]['benchmark']['title']}: scientific contribution",
        subject=contribution_mark(text),
        date=datetime.datetime.fromisoformat(last).replace(microsecond=0),
    )


def contribution_mark(text: str) -> str:
    """Return what stands in the PDF of a contribution, to say which text it was made of."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _facts(records: Sequence[Record]) -> str:
    record = records[0]
    data, split, code = record["dataset"], record["split"], record["code"]
    seeds = ", ".join(str(one["seeds"]["seed"]) for one in records)
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
        f"- `{result_name(1)}` ...: MLPerf log of each run",
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
    """Return what each metric is: name, unit, direction, bounds, formula."""
    lines = ["| metric | unit | better | formula |", "| --- | --- | --- | --- |"]
    for block in record["metric_definitions"]:
        direction = "lower" if block["lower_is_better"] else "higher"
        formula = block["formula"].replace("|", "\\|")
        lines.append(
            f"| {block['metric_name']} (`{block['metric_id']}`, version {block['metric_version']})"
            f" | {block['metric_unit']} | {direction} | {formula} |"
        )
    told = (
        "Each run is one record (`record-n.json`), one log (`result-n.txt`) and its predictions. "
        "The log's `result` is taken from the record, the record's scores from the predictions; "
        "a metric that has variants (windows, classes, outputs) has one score for each. Scores are "
        "of the whole part of the split, never averages over batches."
    )
    return [RESULTS_HEADING, told, "\n".join(lines)]
