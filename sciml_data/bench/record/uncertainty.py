"""Intervals of several runs together, and comparisons of runs, from the replicates in records.

Seeds share the test part, so their mean has an interval of its own: the replicates of the runs are
averaged group by group, and the interval is made of the averages. It says what other units of the
same kind would change. What other seeds would change is the spread of the runs, which is printed
beside it. Two models are compared in the same way, without predictions or data at hand.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sciml_data.bench.scoring.intervals import (
    Comparison,
    Replicates,
    Sampling,
    compare,
    interval,
    mean_replicates,
)
from sciml_data.bench.scoring.metrics import row_key
from sciml_data.bench.scoring.predictions import MODEL

Record = Mapping[str, Any]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Pooled:
    """The mean score of one or several runs on a part.

    Attributes:
        mean: of the scores.
        interval: ends of the 95 % interval of the mean; None if the units do not determine one.
        replicates: averaged over the runs.
        lower_is_better: direction of the metric.
    """

    mean: float
    interval: tuple[float, float] | None
    replicates: Replicates
    lower_is_better: bool


def pool(records: Sequence[Record], part: str, key: str, name: str = MODEL) -> Pooled | None:
    """Return the mean score of runs; None if a record has no replicates of it.

    Args:
        records: of repeats.
        part: of the split.
        key: of the metric.
        name: of the predictor: `model` or a baseline.
    """
    scores, replicates = [], []
    for record in records:
        row = find_row(record, part, key)
        score = row["score"] if name == MODEL else row["baselines"].get(name)
        found = _replicates(record, row, name)
        if score is None or found is None:
            return None
        scores.append(score)
        replicates.append(found)
    if len({(each.sampling.digest, each.groups) for each in replicates}) != 1:
        return None
    together, mean = mean_replicates(replicates), statistics.fmean(scores)
    definition = next(
        block
        for block in records[0]["metric_definitions"]
        if block["metric_id"] == key.partition(".")[0]
    )
    bounds = {"minimum": definition["min_score"], "maximum": definition["max_score"]}
    ends = interval(mean, together, **bounds)
    return Pooled(mean, ends, together, definition["lower_is_better"])


def compare_pooled(ours: Pooled | None, theirs: Pooled | None) -> Comparison | None:
    """Return how a model compares with another on the same units; None if unknown."""
    if ours is None or theirs is None:
        return None
    return compare(
        ours.mean,
        ours.replicates,
        theirs.mean,
        theirs.replicates,
        lower_is_better=ours.lower_is_better,
    )


def find_row(record: Record, part: str, key: str) -> Row:
    """Return the row of a metric on a part; a row without scores if the record has none."""
    for row in record["metrics"]:
        if row["part"] == part and row_key(row) == key:
            return dict(row)
    return {"part": part, "score": None, "baselines": {}}


def _replicates(record: Record, row: Row, name: str) -> Replicates | None:
    block = row.get("replicates")
    sampling = record.get("resampling", {}).get("parts", {}).get(row["part"])
    if block is None or sampling is None or name not in block["scores"]:
        return None
    values = np.asarray(block["scores"][name], np.float64)
    if len(values) != sum(block["groups"]):
        return None
    return Replicates(values, tuple(block["groups"]), block["t"], Sampling(**sampling))
