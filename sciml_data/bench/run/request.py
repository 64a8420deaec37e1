"""A caller's request for a run, and the checks that are made before anything is fetched or run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sciml_data.bench.interface import RunnerModule
from sciml_data.bench.scoring.metrics import require_functions
from sciml_data.bench.task.settings import LOSS, check_settings, resolve_settings
from sciml_data.bench.task.split import load_split
from sciml_data.bench.task.task import Task, load_task
from sciml_data.bench.task.variants import choose_variant
from sciml_data.bench.training import backend
from sciml_data.bench.training.backend import check_strategy
from sciml_data.bench.training.outline import outline_of
from sciml_data.bench.training.own_model import OwnModel, with_own_model
from sciml_data.errors import CallError
from sciml_data.registry.layout import Registry


@dataclass(frozen=True)
class Request:
    """What to run, and on what.

    Attributes:
        benchmark: name of the benchmark.
        registry: that describes it.
        model: name; None means the task's default, or the user's own model.
        split: name; None means the task's headline split.
        variant: name; None means the default, or no variant.
        dataset: id; None means the task's or the variant's first dataset.
        overrides: `key=value` texts for the settings.
        strategy: name of a distribution strategy, see `make_strategy`.
        threads: of the backend; None leaves the backend's choice.
        backend: name; see `backend.choose`.
        is_sample: whether to run on a synthetic sample.
        settings: of the run to resume, as its record has them; None resolves new ones.
        overridden: names of the settings that the caller of the resumed run had overridden.
        own: the user's own model; None trains a model of the registry.
        budget_s: limit on the seconds of training; None sets no limit.
    """

    benchmark: str
    registry: Registry
    model: str | None = None
    split: str | None = None
    variant: str | None = None
    dataset: str | None = None
    overrides: tuple[str, ...] = ()
    strategy: str = "auto"
    threads: int | None = None
    backend: str | None = None
    is_sample: bool = False
    settings: Mapping[str, Any] | None = None
    overridden: tuple[str, ...] = ()
    own: OwnModel | None = None
    budget_s: float | None = None


def check_request(request: Request) -> Task:
    """Return the chosen task, after checking the whole request and choosing the backend.

    Raises:
        CallError: unknown benchmark, variant, dataset, model, split, setting or strategy, or a
            backend that is not installed or not in use.
        DescriptorError: the task is not valid.
    """
    task = check_names(request)
    backend.choose(request.backend)
    return task


def check_names(request: Request) -> Task:
    """Return the chosen task, after checking every name in the request; imports no backend.

    Raises:
        CallError: unknown benchmark, variant, dataset, model, split, setting or strategy.
        DescriptorError: the task is not valid.
    """
    check_strategy(request.strategy)
    task = load_task(request.registry.runner(request.benchmark))
    check_settings(task)
    task = choose_variant(task, request.variant, request.dataset)
    if request.own is not None:
        task = with_own_model(task, request.own)
    settings_of(request, task)
    require_functions(task.metrics)  # at first use, after training, a fault would come too late
    load_split(task.folder, task.check_split(request.split or task.headline_split))
    return task


def check_outline(request: Request, model: str) -> None:
    """Check a request for a model of the user's file before the file is executed.

    Args:
        request: without the model.
        model: as of `read_own_model`.

    Raises:
        CallError: as `check_names`, or there is no such file or function.
        DescriptorError: the task is not valid.
    """
    outline = outline_of(model)
    # The arguments of a function that nobody can know yet may be settings.
    overrides = request.overrides if outline else ()
    check_names(replace(request, own=outline, overrides=overrides))


def settings_of(request: Request, task: Task) -> Mapping[str, Any]:
    """Return the settings of a request; see `resolve_settings` for what it raises."""
    model = task.check_model(request.model or task.default_model)
    if request.settings is not None:
        return request.settings
    settings = resolve_settings(
        task,
        request.overrides,
        model=model,
        split=request.split or task.headline_split,
        is_sample=request.is_sample,
    )
    if settings["monitor"] != LOSS:
        task.metric(settings["monitor"])
    return settings


def overridden_names(request: Request) -> tuple[str, ...]:
    """Return the names of the settings that the caller has overridden."""
    names = (text.partition("=")[0].strip() for text in request.overrides)
    return request.overridden or tuple(dict.fromkeys(names))


def check_backend(runner: RunnerModule, benchmark: str) -> None:
    """Check that a runner supports the backend in use.

    Raises:
        CallError: its `BACKENDS` does not name the backend.
    """
    supported = tuple(getattr(runner, "BACKENDS", backend.MODULES))
    if backend.name() not in supported:
        raise CallError(
            f"benchmark {benchmark!r} runs on {' or '.join(supported)}, not on {backend.name()}",
            untouched="nothing was fetched or run",
            hint=f"--backend {supported[0]}",
        )
