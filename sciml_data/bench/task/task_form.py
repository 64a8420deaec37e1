"""What a task.toml may hold: every place where one breaks the form, at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sciml_data.errors import Problem, nearest

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
