"""Read a benchmark's description, `task.toml`, into a `Task`; report all its problems at once.

The form of the file is described in `task.schema.json`. What a schema cannot express is checked in
Python: names that other parts of the file have to define.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.errors import CallError, DescriptorError, JsonError, Problem, nearest
from sciml_data.home import read_json, read_toml

if TYPE_CHECKING:
    from sciml_data.bench.scoring.metrics import Metric

SCHEMA_PATH = Path(__file__).with_name("task.schema.json")
SETTING_GROUPS = ("model", "split", "sample", "dataset")
ABOUT = ("input", "output", "system", "catalogue")  # tables for people and exports


@dataclass(frozen=True)
class Target:
    """A published value to compare a score with.

    Attributes:
        metric: metric key, `metric` or `metric.variant`.
        part: of the split.
        value: the published value.
        source: where it was published.
        split: name; None applies to all splits.
        comparison: `>=` or `<=`.
        variant: name; None applies to all variants.
        dataset: id; None applies to all datasets.
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
    """One of several tasks of a benchmark.

    An attribute that is None keeps the benchmark's value.

    Attributes:
        name: of the variant, and of the group of ready files that it opens.
        datasets: ids of the datasets it runs on, the default first.
        title: for people.
        headline_split: name of the default split.
        headline_metric: metric key that ranks runs.
        default_model: name of a model.
        splits: names of the splits it runs with; None allows all.
        settings: override the benchmark's settings.
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
    """What a benchmark is: dataset, headline split, models, settings, metrics and targets.

    Attributes:
        name: of the benchmark and of its folder.
        title: for people.
        dataset: id of the dataset.
        version: of the dataset.
        headline_split: name of the default split.
        default_model: name of a model.
        models: names of all models.
        settings: values; `[settings.model]` and other groups are nested.
        metric_tables: the `[[metric]]` tables.
        targets: published values.
        folder: `runners/<benchmark>`.
        headline_metric: metric key that ranks runs.
        variants: by name.
        default_variant: name of a variant.
        variant: name of the variant that `choose_variant` chose; None in a task without variants,
            and in a task as it was loaded.
        description: a paragraph for people.
        splits: names of the splits that the chosen variant runs with; None allows all.
        datasets: ids of other datasets that a task without variants runs on.
        declared: what `[settings]` says about each setting: default, choices, min, help ...
        about: the tables `input`, `output`, `system` and `catalogue`, which no run depends on; a
            table that task.toml lacks is absent.
        units: split, or split/part -> the units that intervals resample, where the split's rule
            does not say it.
    """

    name: str
    title: str
    dataset: str
    version: str
    headline_split: str
    default_model: str
    models: tuple[str, ...]
    settings: Mapping[str, Any]
    metric_tables: tuple[Mapping[str, Any], ...]
    targets: tuple[Target, ...]
    folder: Path
    headline_metric: str | None = None
    variants: Mapping[str, Variant] = field(default_factory=dict)
    default_variant: str | None = None
    variant: str | None = None
    description: str = ""
    splits: tuple[str, ...] | None = None
    datasets: tuple[str, ...] = ()
    declared: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    units: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """Return the definitions of all scores.

        They are looked up at first use, because the functions of the metrics import NumPy.

        Raises:
            DescriptorError: a metric is not registered, or its table does not fit it.
        """
        from sciml_data.bench.scoring.metrics import task_metrics

        return task_metrics(self.metric_tables, self.name, self.folder.parents[1])

    def check_split(self, name: str) -> str:
        """Return the name of a split, after checking that the chosen variant runs with it.

        Raises:
            CallError: it does not; the message names the splits that it runs with.
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
            CallError: the task has no such metric; the message suggests the nearest.
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
        """Return the name of a model, after checking that the task has it.

        Raises:
            CallError: it does not; the message suggests the nearest.
        """
        if model not in self.models:
            raise CallError(
                f"benchmark {self.name!r} has no model {model!r}{nearest(model, self.models)}; "
                f"it has {', '.join(self.models)}",
                untouched="nothing was run",
                hint="the file of a model ends in .py: --model my_model.py:build"
                if set(model) & set("./:\\")
                else "",
            )
        return model


def datasets_of(task: Task) -> tuple[str, ...]:
    """Return the id of every dataset that a task runs on, the default first."""
    others = (name for variant in task.variants.values() for name in variant.datasets)
    return tuple(dict.fromkeys([task.dataset, *task.datasets, *others]))


def load_task(runner: Path) -> Task:
    """Return the task that a runner's folder describes in task.toml.

    Args:
        runner: folder `runners/<benchmark>`.

    Raises:
        DescriptorError: task.toml is missing, is not TOML, or has problems; `.problems` lists all
            of them.
    """
    path = runner / "task.toml"
    try:
        document = read_toml(path)
    except JsonError as error:
        raise DescriptorError(f"benchmark {runner.name!r}: {error.message}") from error
    if isinstance(document.get("target"), dict):
        document["target"] = [document["target"]]
    if problems := task_problems(document, runner.name):
        raise DescriptorError(f"task.toml of {runner.name!r} is not valid", problems=problems)
    return _task(document, runner)


def _task(document: Mapping[str, Any], runner: Path) -> Task:
    head, model = document["task"], document["model"]
    settings = document.get("settings", {})
    groups = {name: settings[name] for name in SETTING_GROUPS if name in settings}
    declared = {
        name: value if isinstance(value, dict) else {"default": value}
        for name, value in settings.items()
        if name not in SETTING_GROUPS
    }
    defaults = {name: block["default"] for name, block in declared.items() if "default" in block}
    return Task(
        name=head["name"],
        title=head["title"],
        dataset=head["dataset"],
        version=head["version"],
        headline_split=head["headline_split"],
        headline_metric=head.get("headline_metric"),
        default_model=model["default"],
        models=model_names(document),
        settings=defaults | groups,
        declared=declared,
        metric_tables=tuple(document["metric"]),
        targets=tuple(Target(**block) for block in document.get("target", [])),
        folder=runner,
        variants={
            name: _variant(name, block) for name, block in document.get("variant", {}).items()
        },
        default_variant=head.get("variant"),
        description=head.get("description", ""),
        datasets=tuple(head.get("datasets", ())),
        about={name: document[name] for name in ABOUT if name in document},
        units=document.get("units", {}),
    )


def _variant(name: str, block: Mapping[str, Any]) -> Variant:
    lists = {key: tuple(block[key]) for key in ("datasets", "splits") if key in block}
    return Variant(**{**block, **lists, "name": name})


def task_problems(document: Mapping[str, Any], folder: str) -> list[Problem]:
    """Return every problem of the document in a task.toml.

    Args:
        document: parsed TOML.
        folder: name of the runner's folder, which has to be the name of the task.
    """
    errors = list(_validator().iter_errors(document))
    if errors:
        # Imported here, because a task without problems needs no sentences about them.
        from sciml_data.registry.schema import schema_problems

        return schema_problems(errors)
    return _meaning_problems(document, folder)


@cache
def _validator() -> Any:
    import jsonschema

    return jsonschema.Draft202012Validator(read_json(SCHEMA_PATH))


def model_names(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the models: the listed ones, or the default and those with settings."""
    names = document["model"].get("names")
    if names is None:
        with_settings = document.get("settings", {}).get("model", {})
        names = dict.fromkeys([document["model"]["default"], *with_settings])
    return tuple(names)


def _meaning_problems(document: Mapping[str, Any], folder: str) -> list[Problem]:
    head, settings = document["task"], document.get("settings", {})
    problems = []
    if head["name"] != folder:
        message = f"{head['name']!r} is not the name of its folder, {folder!r}"
        problems.append(Problem("name", "task.name", message))
    models = model_names(document)
    if document["model"]["default"] not in models:
        problems.append(Problem("model", "model.default", "is not in model.names"))
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
        names = ", ".join(variants) or "there are no variants"
        message = f"{default!r} is not a variant: {names}"
        problems.append(Problem("variant", "task.variant", message))
    for name, block in variants.items():
        problems += _variant_block_problems(f"variant.{name}", block, models, metrics)
        headline = block.get("headline_split", document["task"]["headline_split"])
        if headline not in block.get("splits", [headline]):
            message = f"the headline split {headline!r} is not in the list"
            problems.append(Problem("split", f"variant.{name}.splits", message))
    for number, target in enumerate(document.get("target", [])):
        if target.get("variant") not in {None, *variants}:
            problems.append(Problem("variant", f"target[{number}].variant", "no such variant"))
    return problems


def _variant_block_problems(
    place: str, block: Mapping[str, Any], models: tuple[str, ...], metrics: list[str]
) -> list[Problem]:
    problems = []
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
    return problems


def _setting_problems(
    place: str, settings: Mapping[str, Any], models: tuple[str, ...]
) -> list[Problem]:
    problems = [
        Problem("unknown", f"{place}.{key}", f"no such group{nearest(key, SETTING_GROUPS)}")
        for key, value in settings.items()
        if isinstance(value, dict)
        and key not in SETTING_GROUPS
        and not {"default", "help"} & set(value)
    ]
    problems += [
        Problem("unknown", f"{place}.model.{name}", f"no such model{nearest(name, models)}")
        for name in settings.get("model", {})
        if name not in models
    ]
    return problems
