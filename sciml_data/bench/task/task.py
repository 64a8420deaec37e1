"""task.toml -> Task: what a benchmark is, with every problem of the file said at once."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciml_data.errors import CallError, DescriptorError, Problem, nearest


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

    `variant` is the name that `choose_variant` picked from `variants`. It is None in a task that
    has no variants, and in a task as it was loaded.
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


TOP = {
    "task": dict,
    "model": dict,
    "settings": dict,
    "metric": list,
    "target": list,
    "variant": dict,
}
TASK_KEYS = {"name": str, "title": str, "dataset": str, "version": str, "headline_split": str}
TASK_OPTIONAL = {"description": str, "headline_metric": str, "variant": str}
VARIANT_KEYS = {"datasets": list}
VARIANT_OPTIONAL = {
    "title": str,
    "headline_split": str,
    "headline_metric": str,
    "default_model": str,
    "splits": list,
    "settings": dict,
}
MODEL_KEYS = {"default": str}
MODEL_OPTIONAL = {"names": list}
METRIC_KEYS = {
    "id": str,
    "name": str,
    "version": str,
    "unit": str,
    "lower_is_better": bool,
    "formula": str,
}
METRIC_OPTIONAL = {"min": (int, float), "max": (int, float)}
TARGET_KEYS = {"metric": str, "part": str, "value": (int, float), "source": str}
TARGET_OPTIONAL = {"split": str, "comparison": str, "variant": str, "dataset": str}
COMPARISONS = (">=", "<=")
SETTING_GROUPS = ("model", "split", "sample", "dataset")


def task_problems(document: Mapping[str, Any], folder: str) -> list[Problem]:
    """Return every problem of a task's document; `folder` is the name it has to have."""
    problems = _table_problems(
        "", document, {key: TOP[key] for key in ("task", "model", "metric")}, TOP
    )
    if problems:
        return problems
    problems += _table_problems("task", document["task"], TASK_KEYS, TASK_OPTIONAL)
    problems += _table_problems("model", document["model"], MODEL_KEYS, MODEL_OPTIONAL)
    for number, block in enumerate(document["metric"]):
        problems += _table_problems(f"metric[{number}]", block, METRIC_KEYS, METRIC_OPTIONAL)
    for number, block in enumerate(document.get("target", [])):
        problems += _table_problems(f"target[{number}]", block, TARGET_KEYS, TARGET_OPTIONAL)
    for name, block in document.get("variant", {}).items():
        problems += _table_problems(f"variant.{name}", block, VARIANT_KEYS, VARIANT_OPTIONAL)
    if not problems:
        problems += _meaning_problems(document, folder)
    return problems


def model_names(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the models named, or else the default and those that have settings of their own."""
    named = document["model"].get("names")
    if named is None:
        own = document.get("settings", {}).get("model", {})
        named = dict.fromkeys([document["model"]["default"], *own])
    return tuple(named)


def _table_problems(
    place: str, table: Any, required: Mapping[str, Any], optional: Mapping[str, Any]
) -> list[Problem]:
    if not isinstance(table, dict):
        return [Problem("form", place, "a table is expected")]
    prefix = f"{place}." if place else ""
    known = {**optional, **required}
    problems = [
        Problem("missing", f"{prefix}{key}", "is required") for key in required if key not in table
    ]
    for key, value in table.items():
        if key not in known:
            problems.append(
                Problem("unknown", f"{prefix}{key}", f"no such key{nearest(key, known)}")
            )
        elif not _is_a(value, known[key]):
            problems.append(Problem("type", f"{prefix}{key}", f"not {value!r}"))
    return problems


def _is_a(value: Any, kind: Any) -> bool:
    wants_bool = kind is bool
    return isinstance(value, kind) and isinstance(value, bool) == wants_bool


def _meaning_problems(document: Mapping[str, Any], folder: str) -> list[Problem]:
    head, settings = document["task"], document.get("settings", {})
    problems = []
    if head["name"] != folder:
        problems.append(Problem("name", "task.name", f"{head['name']!r} lies in folder {folder!r}"))
    models = model_names(document)
    if document["model"]["default"] not in models:
        problems.append(Problem("model", "model.default", "is not among model.names"))
    metrics = [block["id"] for block in document["metric"]]
    problems += [
        Problem("metric", metric, "is defined twice")
        for metric in dict.fromkeys(metrics)
        if metrics.count(metric) > 1
    ]
    headline = head.get("headline_metric")
    if headline is not None and headline.partition(".")[0] not in metrics:
        problems.append(Problem("metric", "task.headline_metric", f"no metric {headline!r}"))
    problems += _target_problems(document.get("target", []), metrics)
    problems += _setting_problems("settings", settings, models)
    problems += _variant_problems(document, models, metrics)
    return problems


def _variant_problems(
    document: Mapping[str, Any], models: tuple[str, ...], metrics: list[str]
) -> list[Problem]:
    variants, default = document.get("variant", {}), document["task"].get("variant")
    problems = []
    if (default is None) == bool(variants) or (variants and default not in variants):
        message = f"{default!r} is none of the variants: {', '.join(variants) or 'there are none'}"
        problems.append(Problem("variant", "task.variant", message))
    for name, block in variants.items():
        problems += _one_variant_problems(f"variant.{name}", block, models, metrics)
        headline = block.get("headline_split", document["task"]["headline_split"])
        if headline not in block.get("splits", [headline]):
            message = f"the headline split {headline!r} is not among them"
            problems.append(Problem("split", f"variant.{name}.splits", message))
    for number, target in enumerate(document.get("target", [])):
        if target.get("variant") not in {None, *variants}:
            problems.append(Problem("variant", f"target[{number}].variant", "no such variant"))
    return problems


def _one_variant_problems(
    place: str, block: Mapping[str, Any], models: tuple[str, ...], metrics: list[str]
) -> list[Problem]:
    problems = []
    if not block["datasets"] or not all(isinstance(one, str) for one in block["datasets"]):
        problems.append(Problem("dataset", f"{place}.datasets", "ids are expected"))
    if block.get("headline_metric", metrics[0]).partition(".")[0] not in metrics:
        problems.append(Problem("metric", f"{place}.headline_metric", "no such metric"))
    if block.get("default_model", models[0]) not in models:
        problems.append(Problem("model", f"{place}.default_model", "no such model"))
    return problems + _setting_problems(f"{place}.settings", block.get("settings", {}), models)


def _target_problems(targets: Iterable[Mapping[str, Any]], metrics: list[str]) -> list[Problem]:
    problems = []
    for number, target in enumerate(targets):
        metric = target["metric"].partition(".")[0]
        if metric not in metrics:
            message = f"no metric {metric!r}{nearest(metric, metrics)}"
            problems.append(Problem("metric", f"target[{number}].metric", message))
        if target.get("comparison", ">=") not in COMPARISONS:
            message = f"one of {', '.join(COMPARISONS)} is expected"
            problems.append(Problem("value", f"target[{number}].comparison", message))
    return problems


def _setting_problems(
    place: str, settings: Mapping[str, Any], models: tuple[str, ...]
) -> list[Problem]:
    problems = [
        Problem("unknown", f"{place}.{key}", f"no such group; {', '.join(SETTING_GROUPS)} are")
        for key, value in settings.items()
        if isinstance(value, dict) and key not in SETTING_GROUPS
    ]
    problems += [
        Problem("unknown", f"{place}.model.{name}", f"no such model{nearest(name, models)}")
        for name in settings.get("model", {})
        if name not in models
    ]
    return problems
