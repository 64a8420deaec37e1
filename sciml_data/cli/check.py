"""`sciml-data check`: everything that is wrong in a registry, each with its place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sciml_data.cli.options import registry_option
from sciml_data.errors import DescriptorError, Problem, SciMLDataError

if TYPE_CHECKING:
    from sciml_data.registry.layout import Registry


@click.command(
    epilog="""\b
Examples:
  sciml-data check
  sciml-data check --registry DIR
  sciml-data check --since origin/main
"""
)
@registry_option
@click.option(
    "--since",
    metavar="REF",
    help="Also refuse that a version, pinned in this commit, tag or branch of git, was changed or "
    "removed since.",
)
def command(registry: Path | None, since: str | None) -> None:
    """Check every descriptor, manifest, data card and task; print one line for each problem."""
    from sciml_data.curate.published import changed_since
    from sciml_data.registry.layout import find_registry

    found = find_registry(registry)
    problems = check_registry(found)
    if since is not None:
        problems += changed_since(found, since)
    for problem in problems:
        click.echo(problem)
    if problems:
        raise DescriptorError(
            f"{len(problems)} problems in the registry {found.root}",
            untouched="nothing was changed",
            hint="`sciml-data derive` mends sizes and hashes; docs/add-a-dataset.md says the rest",
        )
    versions = sum(len(found.versions(dataset)) for dataset in found.datasets())
    click.echo(
        f"{versions} versions of {len(found.datasets())} datasets, {len(found.benchmarks())} "
        "benchmarks: no problem",
        err=True,
    )


def check_registry(registry: Registry) -> list[Problem]:
    """Return every problem of every dataset and benchmark, with its place in the registry."""
    problems = []
    for dataset in registry.datasets():
        problems += _card_problems(registry, dataset)
        versions = registry.versions(dataset)
        if not versions:
            place = f"datapackages/{dataset}"
            problems.append(Problem("missing", place, "no version has a datapackage.json"))
        for version in versions:
            problems += _version_problems(registry, dataset, version)
    for benchmark in registry.benchmarks():
        problems += _task_problems(registry, benchmark)
    return problems


def _card_problems(registry: Registry, dataset: str) -> list[Problem]:
    from sciml_data.registry.profile import TO_FILL

    place = f"datapackages/{dataset}/README.md"
    card = registry.root / place
    if not card.is_file():
        return [Problem("missing", place, "the dataset has no card")]
    lines = card.read_text(encoding="utf-8").splitlines()
    return [
        Problem("to fill", f"{place}:{number}", line.replace(TO_FILL, "").strip() or "write it")
        for number, line in enumerate(lines, start=1)
        if TO_FILL in line
    ]


def _version_problems(registry: Registry, dataset: str, version: str) -> list[Problem]:
    import json

    from sciml_data.formats import load_format
    from sciml_data.registry.descriptor import DESCRIPTOR_NAME, check_descriptor

    folder = registry.package(dataset, version)
    place = f"datapackages/{dataset}/{version}"
    problems = [
        Problem(one.kind, f"{place}: {one.place}", one.message) for one in check_descriptor(folder)
    ]
    try:
        document = json.loads((folder / DESCRIPTOR_NAME).read_text(encoding="utf-8"))
        if "reader" in document["sciml"]["native"]:
            load_format(document["sciml"]["native"]["reader"])
    except SciMLDataError as error:
        problems.append(Problem("reader", f"{place}: $.sciml.native.reader", error.message))
    except (ValueError, KeyError, TypeError):
        pass  # no descriptor to speak of, which the list above says
    return problems or _expected_problems(registry, dataset, version)


def _expected_problems(registry: Registry, dataset: str, version: str) -> list[Problem]:
    """Return where a manifest is not what was known of the files before they were pinned."""
    from sciml_data.registry.descriptor import load_descriptor
    from sciml_data.transfer.listing import deviations

    descriptor = load_descriptor(registry, dataset, version)
    sizes = {entry.path: entry.size_bytes for entry in descriptor.manifest or ()}
    place = f"datapackages/{dataset}/{version}/manifest.csv"
    found = deviations(descriptor.expected, sizes) if sizes else []
    return [Problem("expected", place, sentence) for sentence in found]


def _task_problems(registry: Registry, benchmark: str) -> list[Problem]:
    import json

    from sciml_data.bench.task.task import load_task
    from sciml_data.bench.task.variants import datasets_of
    from sciml_data.results.board.published import FILE_NAME, load_published

    runner = registry.runner(benchmark)
    place = f"runners/{benchmark}"
    try:
        task = load_task(runner)
    except DescriptorError as error:
        found = error.problems or (Problem("task", "", error.message),)
        return [Problem(one.kind, f"{place}/task.toml: {one.place}", one.message) for one in found]
    problems = []
    try:
        load_published(task)
    except DescriptorError as error:
        told = error.problems or (Problem("published", "", error.message),)
        problems += [
            Problem(one.kind, f"{place}/{FILE_NAME}: {one.place}", one.message) for one in told
        ]
    for dataset in datasets_of(task):
        try:
            registry.package(dataset, task.version)
        except SciMLDataError as error:
            problems.append(Problem("dataset", f"{place}/task.toml: task.dataset", error.message))
    for path in sorted((runner / "splits").glob("*.json")):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            problems.append(Problem("syntax", f"{place}/splits/{path.name}", str(error)))
    if not (runner / "splits" / f"{task.headline_split}.json").is_file():
        message = f"splits/{task.headline_split}.json is not there"
        problems.append(Problem("split", f"{place}/task.toml: task.headline_split", message))
    return problems
