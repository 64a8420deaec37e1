"""What a run is run with: the loop's defaults, the task's, the model's, the split's, the caller's.

Each layer overrides the one before it. The result is one flat mapping that is written whole into
the record, so a number can always be traced to what made it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sciml_data.bench.task.task import SETTING_GROUPS, Task
from sciml_data.errors import CallError, DescriptorError, Problem, nearest
from sciml_data.registry.options import value_like

LOSS = "loss"
# The engine's own knobs; a task overrides what it needs and adds those of its models and data.
LOOP_DEFAULTS: Mapping[str, Any] = {
    "epochs": 10,
    "batch_size": 64,  # global: shared by all replicas
    "learning_rate": 1e-3,  # Adam's usual one (Kingma and Ba 2015, algorithm 1)
    "optimizer": "adam",  # with weight_decay, AdamW
    "weight_decay": 0.0,
    "clip_norm": 1.0,  # global norm of the mean gradient; 0 does not clip
    "schedule": "constant",
    "warmup_epochs": 0,
    "plateau_patience": 3,
    "plateau_factor": 0.5,
    "patience": 0,  # epochs without a better validation value before stopping; 0 never stops
    "monitor": LOSS,  # of the validation part; or a metric key
    "precision": "float32",
    "xla": False,
    "deterministic": False,
}
OPTIMIZERS = ("adam", "adamax", "sgd")
SCHEDULES = ("constant", "cosine", "plateau")
PRECISIONS = ("float32", "mixed_bfloat16")  # float16 would need loss scaling
# Said by options of their own.
RESERVED = ("model", "variant", "dataset", "split", "seed", "sample")


def resolve_settings(
    task: Task,
    overrides: Iterable[str] = (),
    *,
    model: str,
    split: str,
    is_sample: bool = False,
) -> dict[str, Any]:
    """Return the settings of a run, sorted by name, with `model` (and `variant`) among them.

    Args:
        task: the benchmark's task; of one with variants the chosen one.
        overrides: `key=value` texts, typed after the defaults they override.
        model: name of the model.
        split: name of the split.
        is_sample: whether the run is on a synthetic sample (`[settings.sample]` of the task).

    Raises:
        CallError: an override names no setting, or its value is of another type or out of range.
        DescriptorError: the task's own settings are out of range.
    """
    general = {key: value for key, value in task.settings.items() if key not in SETTING_GROUPS}
    groups = [
        task.settings.get("dataset", {}).get(task.dataset, {}),
        task.settings.get("model", {}).get(model, {}),
        task.settings.get("split", {}).get(split, {}),
        task.settings.get("sample", {}) if is_sample else {},
    ]
    merged: dict[str, Any] = {**LOOP_DEFAULTS, **general}
    for group in groups:
        merged |= group
    if problems := _range_problems(merged):
        raise DescriptorError(f"settings of {task.name!r} are not sound", problems=problems)
    merged |= _typed(overrides, merged)
    if problems := _range_problems(merged):
        raise CallError(
            "these settings cannot be used", problems=problems, untouched="nothing was run"
        )
    chosen = {"model": model} | ({"variant": task.variant} if task.variant else {})
    return {key: merged[key] for key in sorted(merged)} | chosen


def _typed(overrides: Iterable[str], defaults: Mapping[str, Any]) -> dict[str, Any]:
    typed, problems = {}, []
    for text in overrides:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals:
            problems.append(Problem("form", text, "key=value is expected"))
        elif key in RESERVED:
            problems.append(Problem("option", key, f"is chosen with --{key}"))
        elif key not in defaults:
            problems.append(Problem("unknown", key, f"no such setting{nearest(key, defaults)}"))
        else:
            try:
                typed[key] = value_like(value.strip(), defaults[key])
            except ValueError as error:
                problems.append(Problem("type", key, str(error)))
    if problems:
        raise CallError(
            "--set was not understood",
            problems=problems,
            untouched="nothing was run",
            hint=f"settings are {', '.join(sorted(defaults))}",
        )
    return typed


def _range_problems(settings: Mapping[str, Any]) -> list[Problem]:
    def at_least(low: float) -> Callable[[Any], str]:
        return lambda value: "" if low <= value < math.inf else f"{low} or more is expected"

    def one_of(words: tuple[str, ...]) -> Callable[[Any], str]:
        return lambda value: "" if value in words else f"one of {', '.join(words)} is expected"

    def inside(value: Any) -> str:
        return "" if 0 < value < 1 else "a number between 0 and 1 is expected"

    def above_zero(value: Any) -> str:
        return "" if 0 < value < math.inf else "a number above 0 is expected"

    checks = {
        "epochs": at_least(1),
        "batch_size": at_least(1),
        "learning_rate": above_zero,
        "optimizer": one_of(OPTIMIZERS),
        "weight_decay": at_least(0),
        "clip_norm": at_least(0),
        "schedule": one_of(SCHEDULES),
        "warmup_epochs": at_least(0),
        "plateau_patience": at_least(1),
        "plateau_factor": inside,
        "patience": at_least(0),
        "precision": one_of(PRECISIONS),
    }
    found = {key: check(settings[key]) for key, check in checks.items()}
    return [
        Problem("value", key, f"{message}, not {settings[key]!r}")
        for key, message in found.items()
        if message
    ]
