"""The content of a site: descriptors and tasks of a registry, and valid records of runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml_data.bench.record.record import RECORD_NAME, load_record
from sciml_data.bench.record.runs import all_runs, find_run
from sciml_data.bench.task.task import Task, datasets_of, load_task
from sciml_data.errors import Problem, RecordError
from sciml_data.home import Home
from sciml_data.registry.descriptor import Descriptor, load_descriptor
from sciml_data.registry.layout import Registry
from sciml_data.results.submission import find_submissions, is_submission, packed_runs


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
    """Everything that gets a page; runs are sorted by time, the newest first."""

    registry: Registry
    datasets: tuple[Descriptor, ...]
    tasks: tuple[Task, ...]
    runs: tuple[Run, ...]

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
        registry: its datasets and benchmarks get pages.
        home: where runs are looked up, and all of its runs get pages if `wanted` is empty.
        wanted: runs (folder, name, id, `latest`), or folders that hold runs or submissions at any
            depth.
        benchmarks: only these benchmarks, their datasets and their runs; () takes all.

    Raises:
        CallError: there is no such benchmark or run.
        DescriptorError: a descriptor or a task is not valid.
        RecordError: records are not valid, or two records have one run id; `.problems` has each.
    """
    names = list(dict.fromkeys(benchmarks)) or registry.benchmarks()
    tasks = tuple(load_task(registry.runner(name)) for name in names)
    used = {dataset for task in tasks for dataset in datasets_of(task)}
    folders = [folder for name in wanted for folder in _run_folders(home, name)]
    runs = _load_runs(folders if wanted else all_runs(home))
    return Content(
        registry=registry,
        datasets=tuple(_descriptors(registry, used if benchmarks else registry.datasets())),
        tasks=tasks,
        runs=tuple(run for run in runs if not benchmarks or run.benchmark in names),
    )


def _descriptors(registry: Registry, datasets: Iterable[str]) -> Iterator[Descriptor]:
    for dataset in sorted(set(datasets) & set(registry.datasets())):
        for version in registry.versions(dataset):
            yield load_descriptor(registry, dataset, version)


def _run_folders(home: Home, name: str) -> list[Path]:
    """Return the folders of runs and submissions that a name or a path stands for."""
    path = Path(name).expanduser()
    if path.is_dir() and not (path / RECORD_NAME).is_file():
        folders = sorted(record.parent for record in path.rglob(RECORD_NAME))
        folders += find_submissions(path)
        if folders:
            return folders
    return [find_run(home, name)]


def _runs_in(folder: Path) -> Iterator[Run]:
    """Yield the run of a folder, or the runs of a submission."""
    if not is_submission(folder):
        yield Run(folder / RECORD_NAME, load_record(folder))
        return
    for packed in packed_runs(folder):
        yield Run(packed.path, packed.record, packed.organisation)


def _load_runs(folders: Iterable[Path]) -> list[Run]:
    """Return the runs, the newest first; the same record in two folders is one run."""
    runs: dict[str, Run] = {}
    problems = []
    for folder in dict.fromkeys(folder.resolve() for folder in folders):
        try:
            loaded = list(_runs_in(folder))
        except RecordError as error:
            first = f": {error.problems[0]}" if error.problems else ""
            problems.append(Problem("record", folder.name, f"{error.message}{first}"))
            continue
        for run in loaded:
            known = runs.setdefault(run.id, run)
            if known.record["record_digest"] != run.record["record_digest"]:
                message = f"the record in {known.folder.name} differs, but has the same run id"
                problems.append(Problem("duplicate", folder.name, message))
    if problems:
        raise RecordError(
            f"{len(problems)} records cannot be shown",
            problems=problems,
            untouched="no page was written",
            hint="name the runs to show, or move these runs out of the home",
        )
    return sorted(
        runs.values(), key=lambda run: (run.record["timing"]["start_time"], run.id), reverse=True
    )
