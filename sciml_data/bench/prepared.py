"""What runs with different seeds share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sciml_data.bench.record import digest
from sciml_data.bench.runner import Problem
from sciml_data.bench.scores import PartScores
from sciml_data.bench.split import Split
from sciml_data.bench.staging import Source
from sciml_data.bench.task import Task


@dataclass(frozen=True)
class Prepared:
    """Task, split, settings, data, problem and scored baselines; durations in seconds."""

    task: Task
    split: Split
    settings: Mapping[str, Any]
    overridden: tuple[str, ...]
    source: Source
    problem: Problem
    baselines: Mapping[str, PartScores]
    strategy: Any
    durations: Mapping[str, float]


def settings_digest(prepared: Prepared, seed: int) -> str:
    """Return the digest of all that decides a run's outcome, code and devices aside."""
    variant = {"variant": prepared.task.variant} if prepared.task.variant else {}
    return digest(
        {
            **variant,
            "benchmark": prepared.task.name,
            "dataset": prepared.source.manifest_digest,
            "split": prepared.split.digest,
            "seed": seed,
            "settings": dict(prepared.settings),
        }
    )
