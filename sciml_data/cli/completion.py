"""What the shell can complete: names of datasets, benchmarks and runs, and of what these have.

Each public function is a `shell_complete` of click. A registry or home that cannot be read
completes nothing: the command itself will say what is wrong.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from sciml_data.errors import SciMLDataError

if TYPE_CHECKING:
    import click

    from sciml_data.registry import Registry


def datasets(ctx: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Return the ids of the registry."""
    return _that_begin(typed, lambda: _registry(ctx).datasets())


def comparable_datasets(ctx: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Return the ids of datasets whose sample has a real counterpart to compare with."""

    def names() -> Iterable[str]:
        from sciml_data.registry import load_descriptor

        registry = _registry(ctx)
        for name in registry.datasets():
            if load_descriptor(registry, name).sample.get("compare_with"):
                yield name

    return _that_begin(typed, names)


def benchmarks(ctx: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Return the benchmarks of the registry."""
    return _that_begin(typed, lambda: _registry(ctx).benchmarks())


def versions(ctx: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Return the versions of the dataset that was typed."""
    return _that_begin(typed, lambda: _registry(ctx).versions(_argument(ctx, "dataset", "name")))


def splits(ctx: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Return the splits of the benchmark, or of the dataset, that was typed."""

    def names() -> Iterable[str]:
        registry = _registry(ctx)
        if "benchmark" in ctx.params:
            from sciml_data.bench import split_names

            return split_names(registry.runner(_argument(ctx, "benchmark")))
        from sciml_data.registry import load_descriptor

        return load_descriptor(registry, _argument(ctx, "dataset"), None).splits

    return _that_begin(typed, names)


def models(ctx: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Return the models of the benchmark that was typed."""

    def names() -> Iterable[str]:
        from sciml_data.bench import load_task

        return load_task(_registry(ctx).runner(_argument(ctx, "benchmark"))).models

    return _that_begin(typed, names)


def variants(ctx: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Return the variants of the benchmark that was typed."""

    def names() -> Iterable[str]:
        from sciml_data.bench import load_task

        return load_task(_registry(ctx).runner(_argument(ctx, "benchmark"))).variants

    return _that_begin(typed, names)


def task_datasets(ctx: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Return the datasets of the benchmark that was typed."""

    def names() -> Iterable[str]:
        from sciml_data.bench import datasets_of, load_task

        return datasets_of(load_task(_registry(ctx).runner(_argument(ctx, "benchmark"))))

    return _that_begin(typed, names)


def runs(ctx: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Return the names of the runs in the home, and `latest`."""

    def names() -> Iterable[str]:
        from sciml_data.home import find_home

        place = find_home(ctx.params.get("home") or None, runs=ctx.params.get("runs_folder"))
        # Names alone: reading each record takes too long for a key press.
        found = sorted(path.parent.name for path in place.runs_folder.glob("*/*/record.json"))
        return ["latest", *found]

    return _that_begin(typed, names)


def exported(ctx: click.Context, param: click.Parameter, typed: str) -> list[str]:
    """Return what the typed format of `export` describes: datasets, or benchmarks and runs."""
    from sciml_data.metadata import FORMS

    if _argument(ctx, "form") in {*FORMS, "pooch", "parquet"}:
        return datasets(ctx, param, typed)
    return [*benchmarks(ctx, param, typed), *runs(ctx, param, typed)]


def _that_begin(typed: str, names: Callable[[], Iterable[str]]) -> list[str]:
    with contextlib.suppress(SciMLDataError, OSError):
        return [name for name in names() if name.startswith(typed)]
    return []


def _registry(ctx: click.Context) -> Registry:
    from sciml_data.registry import find_registry

    return find_registry(ctx.params.get("registry") or None)


def _argument(ctx: click.Context, *names: str) -> str:
    """Return the argument of the command, under any of its names.

    While the value of an option is still missing, click has not assigned the arguments yet.
    """
    given = next((value for name in names if (value := ctx.params.get(name))), None)
    return str(given or next(iter(ctx.args), ""))
