"""Resolve the settings of a run from five layers, each of which overrides the layers before it.

The layers are: the defaults of the training loop; the task; its groups for the dataset, the model,
the split and the sample; and the caller's overrides (`--set KEY=VALUE`). The result is a flat
mapping. The record has all of it, so that every result can be traced to its settings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sciml_data.bench.task.task import SETTING_GROUPS, Task
from sciml_data.errors import CallError, DescriptorError, Problem, nearest
from sciml_data.registry.options import value_like

LOSS = "loss"
# The training loop's own settings. A task overrides some and adds those of its models and data.
LOOP_DEFAULTS: Mapping[str, Any] = {
    "epochs": 10,
    "batch_size": 64,  # global: of all replicas together
    "learning_rate": 1e-3,  # Adam's default (Kingma and Ba 2015, algorithm 1)
    "optimizer": "adam",  # AdamW if weight_decay is above 0
    "weight_decay": 0.0,
    "clip_norm": 1.0,  # maximum global norm of the mean gradient; 0 does not clip
    "schedule": "constant",
    "warmup_epochs": 0,
    "plateau_patience": 3,
    "plateau_factor": 0.5,
    "patience": 0,  # epochs without improvement before early stopping; 0 never stops early
    "monitor": LOSS,  # the validation value that chooses weights: the loss, or a metric key
    "precision": "float32",
    "xla": False,
    "deterministic": False,
}
OPTIMIZERS = ("adam", "adamax", "sgd")
SCHEDULES = ("constant", "cosine", "plateau")
PRECISIONS = ("float32", "mixed_bfloat16")  # float16 would need loss scaling
# These are set by command-line options of their own, not with --set.
RESERVED = ("model", "variant", "dataset", "split", "seed", "sample")


def resolve_settings(
    task: Task,
    overrides: Iterable[str] = (),
    *,
    model: str,
    split: str,
    is_sample: bool = False,
) -> dict[str, Any]:
    """Return the settings of a run, sorted by name, then `model` and, if there is one, `variant`.

    Args:
        task: the task; if it has variants, as `choose_variant` returns it.
        overrides: `key=value` texts; a value gets the type of the default it overrides.
        model: name of the model.
        split: name of the split.
        is_sample: whether the run is on a synthetic sample (`[settings.sample]` of the task).

    Raises:
        CallError: an override names no setting, or its value has another type or is out of range.
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
        raise DescriptorError(f"settings of {task.name!r} are not valid", problems=problems)
    merged |= _typed(overrides, merged)
    if problems := _range_problems(merged):
        raise CallError(
            "these settings are out of range", problems=problems, untouched="nothing was run"
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
            problems.append(Problem("option", key, f"is not a setting; use --{key}"))
        elif key not in defaults:
            problems.append(Problem("unknown", key, f"no such setting{nearest(key, defaults)}"))
        else:
            try:
                typed[key] = value_like(value.strip(), defaults[key])
            except ValueError as error:
                problems.append(Problem("type", key, str(error)))
    if problems:
        raise CallError(
            "--set is not valid",
            problems=problems,
            untouched="nothing was run",
            hint=f"settings are {', '.join(sorted(defaults))}",
        )
    return typed


def _range_problems(settings: Mapping[str, Any]) -> list[Problem]:
    # Comparisons with infinity also refuse NaN, for which every comparison is false.
    def at_least(low: float) -> Callable[[Any], str]:
        return lambda value: "" if low <= value < math.inf else f"{low} or more is expected"

    def one_of(choices: tuple[str, ...]) -> Callable[[Any], str]:
        return lambda value: "" if value in choices else f"{' or '.join(choices)} is expected"

    def between_0_and_1(value: Any) -> str:
        return "" if 0 < value < 1 else "a number between 0 and 1 is expected"

    def above_0(value: Any) -> str:
        return "" if 0 < value < math.inf else "a number above 0 is expected"

    checks = {
        "epochs": at_least(1),
        "batch_size": at_least(1),
        "learning_rate": above_0,
        "optimizer": one_of(OPTIMIZERS),
        "weight_decay": at_least(0),
        "clip_norm": at_least(0),
        "schedule": one_of(SCHEDULES),
        "warmup_epochs": at_least(0),
        "plateau_patience": at_least(1),
        "plateau_factor": between_0_and_1,
        "patience": at_least(0),
        "precision": one_of(PRECISIONS),
    }
    messages = {key: check(settings[key]) for key, check in checks.items()}
    return [
        Problem("value", key, f"{message}, not {settings[key]!r}")
        for key, message in messages.items()
        if message
    ]
