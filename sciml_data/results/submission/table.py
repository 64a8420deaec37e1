"""The policy's table: what was measured, of the reference model, of the submission, beside others.

Values of several runs are medians: choosing the best of several is not done, nor offered.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sciml_data.bench.scoring.scores import row_key

Record = Mapping[str, Any]
HEAD = (
    "Measurement name",
    "Reference model value",
    "Submitted model value",
    "Best baseline",
    "Target",
)
NOTHING = "not stated"


@dataclass(frozen=True)
class Measurement:
    """One row: a metric of a part; None where there is no value."""

    name: str
    unit: str
    reference: float | None
    submitted: float | None
    spread: float | None
    baseline: tuple[str, float] | None
    target: str


def measurements(records: Sequence[Record], reference: Record | None) -> list[Measurement]:
    """Return the metric that ranks runs, of every part, and every metric that has a target."""
    first = records[0]
    definitions = {block["metric_id"]: block for block in first["metric_definitions"]}
    targets = {(one["part"], one["metric"]): one for one in first["targets"]}
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
    """Return the table as Markdown, with what its words mean below it."""
    rows = measurements(records, reference)
    lines = [HEAD, ("---",) * len(HEAD), *map(_cells, rows)]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    count = len(records)
    told = (
        f"Median ± standard deviation of {count} runs, none left out."
        if count > 1
        else "One run, so no spread is known."
    )
    if reference is None:
        told += " No run of the reference model was given with this submission."
    elif differences := [
        row.submitted - row.reference
        for row in rows
        if row.submitted is not None and row.reference is not None
    ]:
        mean = statistics.mean(differences)
        told += f" Average difference of submitted and reference model: {mean:+.4g}."
    return f"{text}\n\n{told}"


def _cells(row: Measurement) -> tuple[str, ...]:
    spread = "" if row.spread is None else f" ± {row.spread:.2g}"
    baseline = f"{row.baseline[0]} {_number(row.baseline[1])}" if row.baseline else NOTHING
    unit = "" if row.unit in {"1", ""} else f" [{row.unit}]"
    return (
        f"{row.name}{unit}",
        _number(row.reference),
        f"{_number(row.submitted)}{spread}",
        baseline,
        row.target or NOTHING,
    )


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.6g}"


def _scores(records: Sequence[Record], place: tuple[str, str]) -> Iterator[float]:
    for record in records:
        for row in record["metrics"]:
            if (row["part"], row_key(row)) == place and row["score"] is not None:
                yield float(row["score"])


def _best_baseline(row: Mapping[str, Any], *, lower: bool) -> tuple[str, float] | None:
    known = {name: score for name, score in row["baselines"].items() if score is not None}
    if not known:
        return None
    name = (min if lower else max)(known, key=lambda one: (known[one], one))
    return name, known[name]
