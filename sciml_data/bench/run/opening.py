"""Open a benchmark without training it: its task, split, settings, data and problem.

This is what the Python API and the scoring of external predictions need of a run. No backend of
Keras is chosen or imported.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sciml_data.bench.interface import Benchmark, check_problem, load_runner
from sciml_data.bench.run.request import Request, check_names, settings_of
from sciml_data.bench.run.staging import Source, unchanged_data
from sciml_data.bench.scoring.scores import Score
from sciml_data.bench.task.split import Split, load_split
from sciml_data.bench.task.task import Task
from sciml_data.errors import DescriptorError

logger = logging.getLogger(__name__)

Log = Callable[[str], None]


@dataclass(frozen=True)
class Opened:
    """A benchmark on its data.

    Attributes:
        request: names the benchmark, its registry and the settings that were overridden.
        task: with the chosen variant.
        split: of the dataset.
        settings: resolved.
        source: the dataset.
        problem: made by the runner.
        baseline_scores: part -> baseline -> scores; a part is added when it is first scored.
    """

    request: Request
    task: Task
    split: Split
    settings: Mapping[str, Any]
    source: Source
    problem: Benchmark
    baseline_scores: dict[str, Mapping[str, Mapping[str, Score]]] = field(
        default_factory=dict, repr=False, compare=False
    )


def open_benchmark(
    request: Request, stage: Callable[[Task], Source], *, log: Log = logger.info
) -> Opened:
    """Check a request, bring its data here, and make its problem.

    Args:
        request: the benchmark, with split, variant, dataset and settings.
        stage: brings the task's dataset to this computer (see `staging.stage`).
        log: gets a line for each step.

    Raises:
        SciMLDataError: the request, the data or the runner is not valid.
    """
    task = check_names(request)
    runner = load_runner(request.registry, request.benchmark)
    split = load_split(task.folder, request.split or task.headline_split)
    settings = settings_of(request, task)
    source = stage(task)
    log(f"preparing {task.name}, split {split.name}")
    with unchanged_data(source):
        problem = check_problem(runner.prepare(source.dataset, split, settings), task.name)
    if not isinstance(problem, Benchmark):
        raise DescriptorError(
            f"the runner of {task.name!r} is not a subclass of sciml_data.bench.Benchmark, so its "
            "samples have no ids",
            hint="docs/how-to/extend/benchmark.md",
        )
    return Opened(request, task, split, settings, source, problem)
