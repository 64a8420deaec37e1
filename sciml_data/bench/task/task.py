"""task.toml -> Task: what a benchmark is, with every problem of the file said at once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciml_data.bench.task.task_form import METRIC_KEYS, model_names, task_problems
from sciml_data.errors import CallError, DescriptorError, nearest


@dataclass(frozen=True)
class Metric:
    """One number that says how good predictions are, and how to read it.

    `minimum` and `maximum` bound the score; None where it has no bound.
    """

    id: str
    name: str
    version: str
    unit: str
    lower_is_better: bool
    formula: str
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class Target:
    """A published value to hold a score against, with where it was published.

    `metric` is a metric key (`metric` or `metric.variant`); `split`, `variant` and `dataset` None
    mean every one.
    """

    metric: str
    part: str
    value: float
    source: str
    split: str | None = None
    comparison: str = ">="
    variant: str | None = None
    dataset: str | None = None

    def is_met(self, score: float) -> bool:
        """Return whether a score reaches the target."""
        return score >= self.value if self.comparison == ">=" else score <= self.value


@dataclass(frozen=True)
class Variant:
    """One of several tasks under one benchmark; None takes what the benchmark says.

    `datasets` are those it can be run on, the default first; of each the ready files of the split
    that has the variant's name are opened. `splits` are those it can be run with, None all.
    `settings` override the benchmark's.
    """

    name: str
    datasets: tuple[str, ...]
    title: str | None = None
    headline_split: str | None = None
    headline_metric: str | None = None
    default_model: str | None = None
    splits: tuple[str, ...] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """A benchmark: dataset, headline split, models, settings, metrics and targets.

    `variant` is the one chosen of `variants` (`variants.choose`); None where there are none, and
    in a task as it was loaded.
    """

    name: str
    title: str
    dataset: str
    version: str
    headline_split: str
    default_model: str
    models: tuple[str, ...]
    settings: Mapping[str, Any]
    metrics: tuple[Metric, ...]
    targets: tuple[Target, ...]
    folder: Path
    headline_metric: str | None = None
    variants: Mapping[str, Variant] = field(default_factory=dict)
    default_variant: str | None = None
    variant: str | None = None
    description: str = ""
    splits: tuple[str, ...] | None = None

    def check_split(self, name: str) -> str:
        """Return the name of a split, if the chosen variant can be run with it.

        Raises:
            CallError: it cannot; those it can are named.
        """
        if self.splits is not None and name not in self.splits:
            raise CallError(
                f"variant {self.variant!r} of benchmark {self.name!r} has no split {name!r}"
                f"{nearest(name, self.splits)}; it has {', '.join(self.splits)}",
                untouched="nothing was fetched or run",
                hint=f"--split {self.headline_split}",
            )
        return name

    def metric(self, key: str) -> Metric:
        """Return the metric of a key such as `nnse_summed` or `nnse_summed.w1`.

        Raises:
            CallError: the task has no such metric; the nearest is suggested.
        """
        name = key.partition(".")[0]
        for metric in self.metrics:
            if metric.id == name:
                return metric
        known = [metric.id for metric in self.metrics]
        raise CallError(
            f"benchmark {self.name!r} has no metric {name!r}{nearest(name, known)}; "
            f"it has {', '.join(known)}"
        )

    def check_model(self, model: str) -> str:
        """Return a model's name if the task has it.

        Raises:
            CallError: it has not; the nearest is suggested.
        """
        if model not in self.models:
            raise CallError(
                f"benchmark {self.name!r} has no model {model!r}{nearest(model, self.models)}; "
                f"it has {', '.join(self.models)}",
                untouched="nothing was run",
            )
        return model


def load_task(runner: Path) -> Task:
    """Return the task of a runner's folder.

    Raises:
        DescriptorError: task.toml is missing, is no TOML or breaks the form; `.problems` lists
            everything.
    """
    path = runner / "task.toml"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DescriptorError(f"benchmark {runner.name!r} has no task.toml") from error
    except tomllib.TOMLDecodeError as error:
        raise DescriptorError(f"task.toml of {runner.name!r} is not TOML: {error}") from error
    if isinstance(document.get("target"), dict):
        document["target"] = [document["target"]]
    if problems := task_problems(document, runner.name):
        raise DescriptorError(f"task.toml of {runner.name!r} is not sound", problems=problems)
    return _task(document, runner)


def _task(document: Mapping[str, Any], runner: Path) -> Task:
    head, model = document["task"], document["model"]
    return Task(
        name=head["name"],
        title=head["title"],
        dataset=head["dataset"],
        version=head["version"],
        headline_split=head["headline_split"],
        headline_metric=head.get("headline_metric"),
        default_model=model["default"],
        models=model_names(document),
        settings=document.get("settings", {}),
        metrics=tuple(_metric(block) for block in document["metric"]),
        targets=tuple(Target(**block) for block in document.get("target", [])),
        folder=runner,
        variants={
            name: _variant(name, block) for name, block in document.get("variant", {}).items()
        },
        default_variant=head.get("variant"),
        description=head.get("description", ""),
    )


def _variant(name: str, block: Mapping[str, Any]) -> Variant:
    lists = {key: tuple(block[key]) for key in ("datasets", "splits") if key in block}
    return Variant(**{**block, **lists, "name": name})


def _metric(block: Mapping[str, Any]) -> Metric:
    named = {key: block[key] for key in METRIC_KEYS}
    return Metric(**named, minimum=block.get("min"), maximum=block.get("max"))
