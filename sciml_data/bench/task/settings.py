"""Resolve the settings of a run from five layers, each of which overrides the layers before it.

The layers are: the defaults of the training loop; the task; its groups for the dataset, the model,
the split and the sample; and the caller's overrides (`--set KEY=VALUE`). The result is a flat
mapping. The record has all of it, so that every result can be traced to its settings.

A setting is declared once, by the training loop or in `[settings]` of task.toml, either by its
default alone or by a table:

    patch = {default = 256, min = 16, unit = "px", help = "pixels along a side of a patch"}

Every other layer gives values only, and each value is checked against the declaration. A
declaration without a default is for settings that only some models, splits or datasets have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sciml_data.bench.task.task import SETTING_GROUPS, Task
from sciml_data.errors import CallError, DescriptorError, Problem, nearest
from sciml_data.registry.options import Declaration, value_like, value_schema

LOSS = "loss"
# The training loop's own settings. A task overrides some and adds those of its models and data.
LOOP_SETTINGS: Mapping[str, Declaration] = {
    "epochs": Declaration(10, "passes over the training part", minimum=1),
    "batch_size": Declaration(
        64, "samples in a training step, of all devices together", minimum=1, unit="samples"
    ),
    # Adam's default (Kingma and Ba 2015, algorithm 1).
    "learning_rate": Declaration(1e-3, "base learning rate of the schedule", above=0),
    "optimizer": Declaration(
        "adam",
        "optimiser; adam is AdamW if weight_decay is above 0",
        choices=("adam", "adamax", "sgd"),
    ),
    "weight_decay": Declaration(0.0, "decoupled weight decay", minimum=0),
    "clip_norm": Declaration(
        1.0, "maximum global norm of the mean gradient; 0 does not clip", minimum=0
    ),
    "schedule": Declaration(
        "constant",
        "learning rate after the warm-up: constant, falling to 0 as a cosine, or reduced where "
        "the validation score no longer improves",
        choices=("constant", "cosine", "plateau"),
    ),
    "warmup_epochs": Declaration(
        0, "epochs in which the learning rate goes linearly to the base", minimum=0, unit="epochs"
    ),
    "warmup_rate": Declaration(
        0.0,
        "learning rate of the first epoch of the warm-up, which may be above the base rate; 0 "
        "rises in equal steps",
        minimum=0,
    ),
    "plateau_patience": Declaration(
        3,
        "epochs without improvement before schedule plateau reduces the rate",
        minimum=1,
        unit="epochs",
    ),
    "plateau_factor": Declaration(
        0.5, "factor of the learning rate at each reduction of schedule plateau", above=0, below=1
    ),
    "min_learning_rate": Declaration(
        0.0, "lower limit of the learning rate of schedule plateau", minimum=0
    ),
    "patience": Declaration(
        0,
        "epochs without improvement before early stopping; 0 never stops early",
        minimum=0,
        unit="epochs",
    ),
    "monitor": Declaration(
        LOSS, "validation value that chooses the weights: loss, or a metric of the benchmark"
    ),
    # float16 would need loss scaling.
    "precision": Declaration(
        "float32", "type of numbers in layers", choices=("float32", "mixed_bfloat16")
    ),
    "xla": Declaration(default=False, help="compile the training step with XLA"),
    "deterministic": Declaration(default=False, help="use deterministic operations only"),
}
LOOP_DEFAULTS: Mapping[str, Any] = {name: each.default for name, each in LOOP_SETTINGS.items()}
# Keys of a declaration in task.toml that `Declaration` names in another way.
NAMES = {"min": "minimum", "max": "maximum"}
# These are set by command-line options of their own, not with --set.
RESERVED = ("model", "variant", "dataset", "split", "seed", "sample")


def declarations(task: Task) -> dict[str, Declaration]:
    """Return what is declared about every setting of a task, those of the training loop first.

    Args:
        task: the task; if it has a chosen variant, its values are the defaults.
    """
    declared = dict(LOOP_SETTINGS)
    for name, block in task.declared.items():
        given = {NAMES.get(key, key): value for key, value in block.items()}
        if "choices" in given:
            given["choices"] = tuple(given["choices"])
        declared[name] = replace(declared.get(name, Declaration()), **given)
    for name, declaration in declared.items():
        if (example := declaration.default) is None:
            example = _example(declaration, overrides_of(task, name).values())
        default = task.settings.get(name, declaration.default)
        declared[name] = replace(declaration, default=default, example=example)
    return declared


def overrides_of(task: Task, name: str) -> dict[str, Any]:
    """Return the values of a setting in groups, such as `model reference` or `sample`."""
    values = {
        f"{group} {key}": block[name]
        for group in ("dataset", "model", "split")
        for key, block in task.settings.get(group, {}).items()
        if name in block
    }
    sample = task.settings.get("sample", {})
    return values | ({"sample": sample[name]} if name in sample else {})


def _example(declaration: Declaration, values: Iterable[Any]) -> Any:
    """Return a value with the type of a setting without default: its first, or that of a limit."""
    limits = (declaration.minimum, declaration.maximum, declaration.above, declaration.below)
    first = next(iter(values), None)
    if isinstance(first, int) and any(isinstance(limit, float) for limit in limits):
        return float(first)
    return first


def setting_problems(task: Task) -> list[Problem]:
    """Return every value in a task.toml that is not as declared, and every missing setting.

    Args:
        task: as it was loaded, with all variants.
    """
    variants = {name: {"settings": each.settings} for name, each in task.variants.items()}
    document = {"settings": task.settings, "variant": variants}
    values = _values_schema(declarations(task))
    groups = {"additionalProperties": values}
    block = {
        **values,
        "properties": {
            **values["properties"],
            **dict.fromkeys(SETTING_GROUPS, groups),
            "sample": values,
        },
    }
    of_variant = {"properties": {"settings": block}}
    schema = {"properties": {"settings": block, "variant": {"additionalProperties": of_variant}}}
    return _schema_problems(schema, document) + _models_without_settings(task)


def _models_without_settings(task: Task) -> list[Problem]:
    """Return the models without a table of settings, if other models have settings of their own.

    Such a model would fail after the data are prepared, when it is built. An empty table says that
    a model has no settings of its own.
    """
    blocks = [task.settings, *(variant.settings for variant in task.variants.values())]
    tables = [block.get("model", {}) for block in blocks]
    given = {name for block in blocks for name in block}
    of_models = {name for table in tables for values in table.values() for name in values}
    missing = sorted(of_models & set(task.declared) - given)
    return [
        Problem(
            "setting",
            f"settings.model.{model}",
            f"is missing: {', '.join(missing)} have no default and are set for other models only; "
            "an empty table says that the model needs none of them",
        )
        for model in task.models
        if missing and not any(model in table for table in tables)
    ]


def check_settings(task: Task) -> None:
    """Check every value of a task's settings against its declaration.

    Args:
        task: as it was loaded, with all variants.

    Raises:
        DescriptorError: a value is not as declared, a setting is not declared, or a model has no
            settings; `.problems` has the place of each.
    """
    if problems := setting_problems(task):
        raise DescriptorError(
            f"settings in task.toml of {task.name!r} are not valid",
            problems=problems,
            untouched="nothing was run",
        )


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
        overrides: `key=value` texts; a value gets the type of the setting.
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
    declared = declarations(task)
    if problems := _schema_problems(_values_schema(declared), merged):
        raise DescriptorError(f"settings of {task.name!r} are not valid", problems=problems)
    merged |= _typed(overrides, task, {name: declared[name] for name in merged})
    chosen = {"model": model} | ({"variant": task.variant} if task.variant else {})
    return {key: merged[key] for key in sorted(merged)} | chosen


def _typed(
    overrides: Iterable[str], task: Task, known: Mapping[str, Declaration]
) -> dict[str, Any]:
    """Return the values of overrides, each in the type of its setting and as it is declared."""
    typed, problems = {}, []
    for text in overrides:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals:
            problems.append(Problem("form", text, "key=value is expected"))
        elif key in RESERVED:
            problems.append(Problem("option", key, f"is not a setting; use --{key}"))
        elif key not in known:
            problems.append(Problem("unknown", key, _no_setting(key, task, known)))
        else:
            try:
                typed[key] = value_like(value.strip(), known[key].example)
            except ValueError as error:
                problems.append(Problem("type", key, str(error)))
    problems += _schema_problems(_values_schema(known), typed) if typed else []
    if problems:
        raise CallError(
            "--set is not valid",
            problems=problems,
            untouched="nothing was run",
            hint=f"`sciml-data run {task.name} --help-settings` explains every setting",
        )
    return typed


def _no_setting(name: str, task: Task, known: Mapping[str, Declaration]) -> str:
    if elsewhere := overrides_of(task, name):
        return f"is not a setting of this run; it belongs to {', '.join(elsewhere)}"
    return f"no such setting{nearest(name, known)}"


def _values_schema(declared: Mapping[str, Declaration]) -> dict[str, Any]:
    properties = {
        name: {} if each.example is None else value_schema(each) for name, each in declared.items()
    }
    return {"properties": properties, "additionalProperties": False}


def _schema_problems(schema: Mapping[str, Any], document: Mapping[str, Any]) -> list[Problem]:
    # Imported here, because boards and lists read tasks and need no setting.
    from sciml_data.registry.schema import schema_problems, strict_validator

    problems = schema_problems(strict_validator(schema).iter_errors(document))
    return [
        replace(each, message=each.message.replace("no such key", "no such setting"))
        for each in problems
    ]
