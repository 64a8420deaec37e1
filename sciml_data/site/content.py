"""The content of a site: descriptors and tasks of a registry, and valid records of runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml_data.bench.task.task import Task, datasets_of, load_task
from sciml_data.errors import DescriptorError, Problem
from sciml_data.home import Home
from sciml_data.metadata.addresses import Identity, registry_identity
from sciml_data.registry.descriptor import Descriptor, load_descriptor
from sciml_data.registry.layout import Registry
from sciml_data.results.board import load_published
from sciml_data.results.submission import collect


@dataclass(frozen=True)
class Run:
    """A run and its record, which was valid when it was read.

    Attributes:
        path: file of the record; figures and logs of the run are beside it.
        record: content of that file.
        organisation: who submitted the run; None for a run that is not part of a submission.
    """

    path: Path
    record: Mapping[str, Any]
    organisation: str | None = None

    @property
    def folder(self) -> Path:
        """Return the folder of the run, or of the submission that holds it."""
        return self.path.parent

    @property
    def id(self) -> str:
        """Return the id, which is also the name of the run's page."""
        return str(self.record["run_id"])

    @property
    def benchmark(self) -> str:
        """Return the benchmark's name."""
        return str(self.record["benchmark"]["name"])

    @property
    def name(self) -> str:
        """Return a title that distinguishes the runs of one benchmark."""
        record = self.record
        variant = record["benchmark"].get("variant")
        words = [record["model"]["name"], f"split {record['split']['name']}"]
        words += [f"variant {variant}"] if variant else []
        words += [f"seed {record['seeds']['seed']}"]
        return f"{self.benchmark}: {', '.join(words)}"


@dataclass(frozen=True)
class Content:
    """Everything that gets a page, and the runs that were left out.

    Runs are sorted by time, the newest first.
    """

    registry: Registry
    datasets: tuple[Descriptor, ...]
    tasks: tuple[Task, ...]
    runs: tuple[Run, ...]
    left_out: tuple[Problem, ...] = ()

    @property
    def identity(self) -> Identity:
        """Return the identity of the first registry, which the site is about."""
        return registry_identity(self.registry.root)

    def runs_of(self, benchmark: str) -> tuple[Run, ...]:
        """Return the runs of a benchmark."""
        return tuple(run for run in self.runs if run.benchmark == benchmark)

    def runs_on(self, dataset: str, version: str) -> tuple[Run, ...]:
        """Return the runs on a version of a dataset."""
        wanted = {"id": dataset, "version": version}
        return tuple(
            run for run in self.runs if wanted.items() <= dict(run.record["dataset"]).items()
        )


def gather(
    registry: Registry, home: Home, *, wanted: Sequence[str] = (), benchmarks: Sequence[str] = ()
) -> Content:
    """Return the content of a site.

    Args:
        registry: its datasets and benchmarks get pages. Those of the built-in registry get pages
            only where a run or a benchmark uses them, unless no other registry is named.
        home: where runs are looked up, and all of its runs get pages if `wanted` is empty.
        wanted: runs (folder, name, id, `latest`), or folders that hold runs or submissions at any
            depth.
        benchmarks: only these benchmarks, their datasets and their runs; () takes all.

    Raises:
        CallError: there is no such benchmark or run.
        RecordError: none of the wanted runs is valid; `.problems` has each.
    """
    stored, broken = collect(home, wanted)
    runs = [Run(item.path, item.record, item.organisation) for item in stored]
    runs.sort(key=lambda run: (run.record["timing"]["start_time"], run.id), reverse=True)
    used_by_runs = (run.benchmark for run in runs)
    names = list(dict.fromkeys(benchmarks)) or registry.benchmarks_with(used_by_runs)
    left_out: list[Problem] = []
    tasks = tuple(_tasks(registry, names, left_out))
    used = {dataset for task in tasks for dataset in datasets_of(task)}
    own = [] if benchmarks else registry.named.datasets()
    datasets = tuple(_descriptors(registry, {*used, *own}, left_out))
    return Content(
        registry=registry,
        datasets=datasets,
        tasks=tasks,
        runs=tuple(run for run in runs if not benchmarks or run.benchmark in names),
        left_out=(*left_out, *broken),
    )


def _tasks(registry: Registry, names: Iterable[str], left_out: list[Problem]) -> Iterator[Task]:
    """Yield the benchmarks; one that is described invalidly is added to `left_out`."""
    for name in names:
        folder = registry.runner(name)
        try:
            task = load_task(folder)
            load_published(task)
            yield task
        except DescriptorError as error:
            left_out.append(Problem("benchmark", name, error.first_line))


def _descriptors(
    registry: Registry, datasets: Iterable[str], left_out: list[Problem]
) -> Iterator[Descriptor]:
    """Yield every version; one that is described invalidly is added to `left_out`."""
    for dataset in sorted(set(datasets) & set(registry.datasets())):
        for version in registry.versions(dataset):
            try:
                yield load_descriptor(registry, dataset, version)
            except DescriptorError as error:
                left_out.append(Problem("dataset", f"{dataset} {version}", error.first_line))
