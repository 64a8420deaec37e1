"""Choose a variant of a benchmark and one of its datasets.

The result is an ordinary task, in which the variant's dataset, headline and settings replace those
of the benchmark. So the rest of the engine needs nothing of a variant but its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sciml_data.bench.task.task import Task, datasets_of, load_task
from sciml_data.errors import CallError, nearest

UNTOUCHED = "nothing was fetched or run"


def task_of(record: Mapping[str, Any], runner: Path) -> Task:
    """Return the task of a record, with the record's variant and dataset.

    Args:
        record: of a run.
        runner: folder `runners/<benchmark>` of a registry.

    Raises:
        SciMLDataError: the task is not valid, or has no such variant or dataset.
    """
    task = load_task(runner)
    variant = record["benchmark"].get("variant")
    has_choice = variant or task.datasets
    return choose_variant(task, variant, record["dataset"]["id"]) if has_choice else task


def choose_variant(task: Task, variant: str | None = None, dataset: str | None = None) -> Task:
    """Return the task of a variant on a dataset.

    Args:
        task: as it was loaded.
        variant: name. None chooses the default variant, or the first variant that runs on the
            dataset if the default does not.
        dataset: id. None chooses the variant's first dataset.

    Raises:
        CallError: no such variant or dataset, or the variant does not run on the dataset.
    """
    if not task.variants:
        return _without_variants(task, variant, dataset)
    known = sorted({name for variant in task.variants.values() for name in variant.datasets})
    if dataset is not None and dataset not in known:
        raise CallError(
            f"benchmark {task.name!r} does not run on dataset {dataset!r}"
            f"{nearest(dataset, known)}; it runs on {', '.join(known)}",
            untouched=UNTOUCHED,
        )
    name = _default_variant(task, dataset) if variant is None else variant
    if name not in task.variants:
        raise CallError(
            f"benchmark {task.name!r} has no variant {name!r}{nearest(name, task.variants)}; "
            f"it has {', '.join(task.variants)}",
            untouched=UNTOUCHED,
        )
    chosen = task.variants[name]
    if dataset is not None and dataset not in chosen.datasets:
        raise CallError(
            f"variant {name!r} of benchmark {task.name!r} does not run on dataset {dataset!r}; "
            f"variants that do: {', '.join(_variants_with(task, dataset))}",
            untouched=UNTOUCHED,
            hint=f"--variant {name} runs on {', '.join(chosen.datasets)}",
        )
    return _with_variant(task, name, dataset or chosen.datasets[0])


def _without_variants(task: Task, variant: str | None, dataset: str | None) -> Task:
    if variant is not None:
        raise CallError(
            f"benchmark {task.name!r} has no variants, so no variant {variant!r}",
            untouched=UNTOUCHED,
        )
    known = datasets_of(task)
    if dataset not in {None, *known}:
        names = " and ".join(map(repr, known))
        raise CallError(
            f"benchmark {task.name!r} runs on dataset {names} only, not on {dataset!r}",
            untouched=UNTOUCHED,
        )
    return task if dataset in {None, task.dataset} else replace(task, dataset=dataset)


def _default_variant(task: Task, dataset: str | None) -> str:
    """Return the default variant, or the first on the dataset if the default is not on it."""
    default = str(task.default_variant)
    names = _variants_with(task, dataset)
    return default if dataset is None or default in names else names[0]


def _variants_with(task: Task, dataset: str | None) -> list[str]:
    return [name for name, variant in task.variants.items() if dataset in variant.datasets]


def _with_variant(task: Task, name: str, dataset: str) -> Task:
    variant = task.variants[name]
    targets = tuple(
        target
        for target in task.targets
        if target.variant in {None, name} and target.dataset in {None, dataset}
    )
    return replace(
        task,
        variant=name,
        dataset=dataset,
        title=variant.title or task.title,
        headline_split=variant.headline_split or task.headline_split,
        headline_metric=variant.headline_metric or task.headline_metric,
        default_model=variant.default_model or task.default_model,
        splits=variant.splits,
        settings=_merged(task.settings, variant.settings),
        targets=targets,
    )


def _merged(settings: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with overrides; groups (nested tables) are overridden key by key."""
    merged = dict(settings)
    for key, value in overrides.items():
        old = merged.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            merged[key] = _merged(old, value)
        else:
            merged[key] = value
    return merged
