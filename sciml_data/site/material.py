"""What a site is made of: descriptors and tasks of a registry, and sound records of runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml_data.bench.record.record import RECORD_NAME, load_record
from sciml_data.bench.record.runs import all_runs, find_run
from sciml_data.bench.task.task import Task, load_task
from sciml_data.bench.task.variants import datasets_of
from sciml_data.errors import Problem, RecordError
from sciml_data.home import Home
from sciml_data.registry.descriptor import Descriptor, load_descriptor
from sciml_data.registry.layout import Registry
from sciml_data.results.submission.names import TERMS
from sciml_data.results.submission.reading import packed_runs
from sciml_data.results.submission.tree import find_submissions


@dataclass(frozen=True)
class Run:
    """A run and its record, which was sound when it was read.

    Attributes:
        path: file of the record; what else is shown of the run lies beside it.
        record: of the run.
        organisation: who submitted it; None for a run that was not packed.
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
        """Return what was run, in words that tell runs of one benchmark apart."""
        record = self.record
        variant = record["benchmark"].get("variant")
        words = [record["model"]["name"], f"split {record['split']['name']}"]
        words += [f"variant {variant}"] if variant else []
        words += [f"seed {record['seeds']['seed']}"]
        return f"{self.benchmark}: {', '.join(words)}"


@dataclass(frozen=True)
class Material:
    """Everything that gets a page; runs are in order of time, the newest first."""

    registry: Registry
    datasets: tuple[Descriptor, ...]
    tasks: tuple[Task, ...]
    runs: tuple[Run, ...]

    def runs_of(self, benchmark: str) -> tuple[Run, ...]:
        """Return the runs of one benchmark."""
        return tuple(run for run in self.runs if run.benchmark == benchmark)

    def runs_on(self, dataset: str, version: str) -> tuple[Run, ...]:
        """Return the runs on one version of a dataset."""
        wanted = {"id": dataset, "version": version}
        return tuple(
            run for run in self.runs if wanted.items() <= dict(run.record["dataset"]).items()
        )


def gather(
    registry: Registry, home: Home, *, wanted: Sequence[str] = (), benchmarks: Sequence[str] = ()
) -> Material:
    """Return what a site is made of.

    Args:
        registry: whose datasets and benchmarks get pages.
        home: whose runs are meant where none are named.
        wanted: runs (folder, name, id, `latest`), or folders with runs or submissions anywhere
            below.
        benchmarks: only these, the datasets they run on, and runs of them; () takes all.

    Raises:
        CallError: there is no such benchmark or run.
        DescriptorError: a descriptor or a task is not sound.
        RecordError: records are not sound, or a run comes twice; `.problems` has each.
    """
    names = list(dict.fromkeys(benchmarks)) or registry.benchmarks()
    tasks = tuple(load_task(registry.runner(name)) for name in names)
    used = {one for task in tasks for one in datasets_of(task)}
    folders = [folder for name in wanted for folder in _folders(home, name)]
    runs = _loaded(folders if wanted else all_runs(home))
    return Material(
        registry=registry,
        datasets=tuple(_descriptors(registry, used if benchmarks else registry.datasets())),
        tasks=tasks,
        runs=tuple(run for run in runs if not benchmarks or run.benchmark in names),
    )


def _descriptors(registry: Registry, datasets: Iterable[str]) -> Iterator[Descriptor]:
    for dataset in sorted(set(datasets) & set(registry.datasets())):
        for version in registry.versions(dataset):
            yield load_descriptor(registry, dataset, version)


def _folders(home: Home, name: str) -> list[Path]:
    """Return the folders of runs and submissions that a word of the call means."""
    path = Path(name).expanduser()
    if path.is_dir() and not (path / RECORD_NAME).is_file():
        found = sorted(record.parent for record in path.rglob(RECORD_NAME))
        found += find_submissions(path)
        if found:
            return found
    return [find_run(home, name)]


def _runs_in(folder: Path) -> Iterator[Run]:
    """Yield the run of a folder, or those of a submission."""
    if not (folder / TERMS).is_file():
        yield Run(folder / RECORD_NAME, load_record(folder))
        return
    for one in packed_runs(folder):
        yield Run(one.path, one.record, one.organisation)


def _loaded(folders: Iterable[Path]) -> list[Run]:
    """Return the runs, the newest first; the same record in two folders is one run."""
    runs: dict[str, Run] = {}
    problems = []
    for folder in dict.fromkeys(folder.resolve() for folder in folders):
        try:
            read = list(_runs_in(folder))
        except RecordError as error:
            first = f": {error.problems[0]}" if error.problems else ""
            problems.append(Problem("record", folder.name, f"{error.message}{first}"))
            continue
        for run in read:
            known = runs.setdefault(run.id, run)
            if known.record["record_digest"] != run.record["record_digest"]:
                message = f"another record than {known.folder.name}'s has the same run id"
                problems.append(Problem("duplicate", folder.name, message))
    if problems:
        raise RecordError(
            f"{len(problems)} of the records cannot be shown",
            problems=problems,
            untouched="no page was written",
            hint="name the runs that are to be shown, or move these out of the home",
        )
    return sorted(
        runs.values(), key=lambda run: (run.record["timing"]["start_time"], run.id), reverse=True
    )
