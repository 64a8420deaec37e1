"""What runs with different seeds share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sciml_data.bench.interface import Problem
from sciml_data.bench.record.record import digest
from sciml_data.bench.run.staging import Source
from sciml_data.bench.scoring.scores import PartScores
from sciml_data.bench.task.split import Split
from sciml_data.bench.task.task import Task
from sciml_data.bench.training.timeline import Mark

BaselineScores = Mapping[str, PartScores]


class Baselines:
    """Scores of the baselines, computed when they are first asked for.

    That is after the first run has ended, so they take nothing of its time.
    """

    def __init__(self, compute: Callable[[], BaselineScores]) -> None:
        self._compute = compute
        self._scores: BaselineScores | None = None
        self.seconds: float | None = None

    def scores(self) -> BaselineScores:
        """Return the scores of each baseline."""
        if self._scores is None:
            began = time.perf_counter()
            self._scores = self._compute()
            self.seconds = time.perf_counter() - began
        return self._scores


@dataclass(frozen=True)
class Prepared:
    """Task, split, settings, data, problem and baselines; durations in seconds.

    `marks` is the timeline up to here.
    """

    task: Task
    split: Split
    settings: Mapping[str, Any]
    overridden: tuple[str, ...]
    source: Source
    problem: Problem
    baselines: Baselines
    strategy: Any
    durations: Mapping[str, float]
    marks: tuple[Mark, ...] = ()


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
