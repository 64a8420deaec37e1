"""Choose one variant of a benchmark and one of its datasets.

What is chosen is a task like any other, with the variant's dataset, headline and settings in their
places, so the rest of the engine knows nothing of variants but their name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sciml_data.bench.task.task import Task, load_task
from sciml_data.errors import CallError, nearest

UNTOUCHED = "nothing was fetched or run"


def task_of(record: Mapping[str, Any], runner: Path) -> Task:
    """Return the task of a record, of its variant and dataset where there are several.

    Args:
        record: of a run.
        runner: folder `runners/<benchmark>` of a registry.

    Raises:
        SciMLDataError: the task is not sound, or has no such variant or dataset.
    """
    task = load_task(runner)
    variant = record["benchmark"].get("variant")
    return choose_variant(task, variant, record["dataset"]["id"]) if variant else task


def choose_variant(task: Task, variant: str | None = None, dataset: str | None = None) -> Task:
    """Return the task of one variant on one dataset.

    Args:
        task: as it was loaded.
        variant: None takes the one that has the dataset, the default first.
        dataset: id; None takes the variant's first.

    Raises:
        CallError: no such variant or dataset, with the nearest; or the dataset has not the variant.
    """
    if not task.variants:
        return _without_variants(task, variant, dataset)
    known = sorted({one for found in task.variants.values() for one in found.datasets})
    if dataset is not None and dataset not in known:
        raise CallError(
            f"benchmark {task.name!r} does not run on dataset {dataset!r}"
            f"{nearest(dataset, known)}; it runs on {', '.join(known)}",
            untouched=UNTOUCHED,
        )
    name = _variant_of(task, dataset) if variant is None else variant
    if name not in task.variants:
        raise CallError(
            f"benchmark {task.name!r} has no variant {name!r}{nearest(name, task.variants)}; "
            f"it has {', '.join(task.variants)}",
            untouched=UNTOUCHED,
        )
    chosen = task.variants[name]
    if dataset is not None and dataset not in chosen.datasets:
        raise CallError(
            f"dataset {dataset!r} has not variant {name!r} of benchmark {task.name!r}; "
            f"it has {', '.join(_variants_with(task, dataset))}",
            untouched=UNTOUCHED,
            hint=f"--variant {name} runs on {', '.join(chosen.datasets)}",
        )
    return _chosen(task, name, dataset or chosen.datasets[0])


def datasets_of(task: Task) -> tuple[str, ...]:
    """Return every dataset a task can be run on, its own first."""
    others = (one for variant in task.variants.values() for one in variant.datasets)
    return tuple(dict.fromkeys([task.dataset, *others]))


def _without_variants(task: Task, variant: str | None, dataset: str | None) -> Task:
    if variant is not None:
        raise CallError(
            f"benchmark {task.name!r} has no variants; {variant!r} was asked for",
            untouched=UNTOUCHED,
        )
    if dataset not in {None, task.dataset}:
        raise CallError(
            f"benchmark {task.name!r} runs on {task.dataset!r} alone, not on {dataset!r}",
            untouched=UNTOUCHED,
        )
    return task


def _variant_of(task: Task, dataset: str | None) -> str:
    """Return the default variant, or the first that has the dataset where the default has not."""
    default = str(task.default_variant)
    having = _variants_with(task, dataset)
    return default if dataset is None or default in having else having[0]


def _variants_with(task: Task, dataset: str | None) -> list[str]:
    return [name for name, variant in task.variants.items() if dataset in variant.datasets]


def _chosen(task: Task, name: str, dataset: str) -> Task:
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
        settings=_over(task.settings, variant.settings),
        targets=targets,
    )


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings overridden by others; groups (tables) are overridden key by key."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both = isinstance(value, Mapping) and isinstance(under, Mapping)
        merged[key] = _over(under, value) if both else value  # type: ignore[arg-type] # just asked
    return merged
