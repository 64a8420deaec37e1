"""Short sample runs of a built-in benchmark, for the tests of its runner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sciml_data.bench.drawing import draw_figures
from sciml_data.bench.interface import load_runner
from sciml_data.bench.record.record import load_record
from sciml_data.bench.run import execution, rescoring
from sciml_data.bench.run.request import Request
from sciml_data.bench.run.staging import Sample, stage
from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.split import load_split
from sciml_data.bench.task.task import load_task
from sciml_data.home import Home
from sciml_data.registry.layout import find_registry

REGISTRY = find_registry()


@dataclass(frozen=True)
class SampleRun:
    """A finished run on a synthetic sample.

    Attributes:
        benchmark: name.
        folder: of the run.
        home: with the sample.
    """

    benchmark: str
    folder: Path
    home: Home

    @property
    def record(self) -> Mapping[str, Any]:
        """Return the record of the run."""
        return load_record(self.folder)

    def scores(self, metric: str, part: str = "test") -> dict[str, float]:
        """Return the scores of a metric: each baseline's, and the model's as `model`."""
        key = (metric, part, None)
        (row,) = [
            row
            for row in self.record["metrics"]
            if (row["metric_id"], row["part"], row["variant"]) == key
        ]
        return {**row["baselines"], "model": row["score"]}

    def rescored(self) -> tuple[int, list[rescoring.Difference]]:
        """Return how many scores were computed again, and those that differ."""
        staged = partial(stage, registry=REGISTRY, home=self.home, sample=Sample(0))
        return rescoring.rescore(self.folder, REGISTRY, stage=staged)

    def figures(self) -> set[str]:
        """Draw the figures of the run and return their names."""
        return {path.stem for path in draw_figures(REGISTRY, self.folder, self.record)}


def run_sample(benchmark: str, folder: Path, *overrides: str) -> SampleRun:
    """Train and score a benchmark on its synthetic sample."""
    home = Home(folder)
    request = Request(benchmark, REGISTRY, overrides=overrides, strategy="default", is_sample=True)
    staged = partial(stage, registry=REGISTRY, home=home, sample=Sample(0))
    run = execution.run_once(execution.prepare(request, staged), 0, home=home)
    assert run is not None
    return SampleRun(benchmark, run, home)


def sample_problem(run: SampleRun, *overrides: str, split: str) -> Any:
    """Return the problem of a split on the sample of a run."""
    folder = REGISTRY.runner(run.benchmark)
    task = load_task(folder)
    settings = resolve_settings(
        task, overrides, model=task.default_model, split=split, is_sample=True
    )
    source = stage(task, REGISTRY, home=run.home, sample=Sample(0))
    runner = load_runner(REGISTRY, run.benchmark)
    return runner.prepare(source.dataset, load_split(folder, split), settings)
