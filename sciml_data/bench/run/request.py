"""What a caller asks for, looked at whole before anything is fetched or run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sciml_data.bench.interface import RunnerModule
from sciml_data.bench.task.settings import LOSS, resolve_settings
from sciml_data.bench.task.split import load_split
from sciml_data.bench.task.task import Task, load_task
from sciml_data.bench.task.variants import choose_variant
from sciml_data.bench.training import backend
from sciml_data.bench.training.backend import check_strategy
from sciml_data.errors import CallError
from sciml_data.registry.layout import Registry


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        benchmark: name of the benchmark.
        registry: where it is described.
        model, split: names; None takes the task's default and its headline split.
        variant, dataset: of a benchmark that has variants; None takes the default.
        overrides: `key=value` texts for the settings.
        strategy: see `make_strategy`.
        threads: of the backend; None leaves its choice.
        backend: see `backend.choose`.
        is_sample: whether it runs on a synthetic sample.
        settings: those of a run that is gone on with; None resolves them.
        overridden: the names among them that its caller had changed.
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


def check_request(request: Request) -> Task:
    """Return the task chosen, once everything that can be wrong with the call has been looked at.

    Raises:
        CallError: unknown benchmark, variant, dataset, model, split, setting or strategy, or a
            backend that is not installed or not in use.
        DescriptorError: the task is not sound.
    """
    task = check_names(request)
    backend.choose(request.backend)
    return task


def check_names(request: Request) -> Task:
    """Return the task chosen, once every name of the request has been looked at; loads no backend.

    Raises:
        CallError: unknown benchmark, variant, dataset, model, split, setting or strategy.
        DescriptorError: the task is not sound.
    """
    check_strategy(request.strategy)
    task = load_task(request.registry.runner(request.benchmark))
    task = choose_variant(task, request.variant, request.dataset)
    resolve(task, request)
    load_split(task.folder, task.check_split(request.split or task.headline_split))
    return task


def resolve(task: Task, request: Request) -> Mapping[str, Any]:
    """Return the settings asked for; see `resolve_settings`."""
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


def changed_names(request: Request) -> tuple[str, ...]:
    """Return the names of the settings that the caller changed."""
    names = (text.partition("=")[0].strip() for text in request.overrides)
    return request.overridden or tuple(dict.fromkeys(names))


def check_backend(runner: RunnerModule, benchmark: str) -> None:
    """Refuse a runner that does not run on the backend in use.

    Raises:
        CallError: its `BACKENDS` does not name it.
    """
    known = tuple(getattr(runner, "BACKENDS", backend.MODULES))
    if backend.name() not in known:
        raise CallError(
            f"benchmark {benchmark!r} runs on {', '.join(known)}, not on {backend.name()}",
            untouched="nothing was fetched or run",
        )
