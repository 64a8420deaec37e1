"""`sciml-data check`: list every problem of a registry with its place; `--live`: dead links."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli.options import registry_option, trust_option
from sciml_data.cli.output import log
from sciml_data.cli.program import UserPath, Verb
from sciml_data.errors import (
    MAX_PRINTED_PROBLEMS,
    CallError,
    DescriptorError,
    FetchError,
    JsonError,
    Problem,
    SciMLDataError,
)
from sciml_data.progress import counted

if TYPE_CHECKING:
    from sciml_data.registry import Descriptor, Registry, RegistryPath


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data check
  sciml-data check --registry DIR
  sciml-data check --since origin/main
  sciml-data check --live --to reports
  sciml-data check --live uno_ccle
""",
)
@click.argument("datasets", nargs=-1, metavar="[ID]...")
@registry_option
@trust_option
@click.option(
    "--since",
    metavar="REF",
    help="Also report versions that were pinned at this git commit, tag or branch and were changed "
    "or removed since.",
)
@click.option(
    "--live",
    is_flag=True,
    help="Ask the mirrors, sources and pages of all datasets, or of each ID, whether their "
    "addresses still answer as the registry says.",
)
@click.option(
    "--to",
    "folder",
    metavar="DIR",
    type=UserPath(),
    help="Folder of the reports of --live: links-DATE.json and links-DATE.md. Its newest report "
    "says since when a link is dead. Default: print the table.",
)
@click.option(
    "--per-mirror",
    metavar="N",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Most files that --live asks of a mirror of a version.",
)
@click.option(
    "--seed",
    metavar="N",
    type=int,
    default=0,
    show_default=True,
    help="Seed that chooses the files of a mirror that has more.",
)
@click.option(
    "--code",
    is_flag=True,
    help="Also import the formats, runners and metrics of the registry, and report what fails.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(registry: RegistryPath, **options: Any) -> None:
    """Check every descriptor, manifest, data card and task; print a line for each problem."""
    from sciml_data.registry import find_registry

    searched = find_registry(registry)
    if options["live"]:
        _check_live(searched, options)
        return
    if options["datasets"] or options["folder"] is not None:
        raise CallError(
            "an ID or --to is given without --live",
            untouched="nothing was checked",
            hint="sciml-data check --live [ID]... [--to FOLDER], or sciml-data check",
        )
    _check_files(searched, options)


def _check_files(searched: Registry, options: Mapping[str, Any]) -> None:
    from sciml_data.curate import changed_since
    from sciml_data.registry import Registry

    warnings: list[Problem] = searched.hidden()
    problems = check_registry(searched, warnings)
    if (since := options["since"]) is not None:
        problems += [
            problem
            for folder in searched.named.folders
            for problem in changed_since(Registry(folder), since)
        ]
    if options["code"]:
        problems += code_problems(searched)
    if options["as_json"]:
        found = {"problems": problems, "warnings": warnings}
        rows = {kind: [asdict(problem) for problem in found[kind]] for kind in found}
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        log_warnings(warnings)
        for problem in problems:
            click.echo(problem)
    if problems:
        raise DescriptorError(
            f"{counted(len(problems), 'problem')} in the registry "
            f"{', '.join(map(str, searched.named.folders))}",
            untouched="nothing was changed",
            hint=_hint(problems),
        )
    named = searched.named
    versions = sum(len(named.versions(dataset)) for dataset in named.datasets())
    log(
        f"{counted(versions, 'version')} of {counted(len(named.datasets()), 'dataset')}, "
        f"{counted(len(named.benchmarks()), 'benchmark')}: no problem"
    )


def _check_live(registry: Registry, options: Mapping[str, Any]) -> None:
    """Ask the links of datasets, and write or print a report.

    Raises:
        CallError: an unknown dataset, or an earlier report that cannot be read.
        DescriptorError: a descriptor is not valid.
        FetchError: a link is dead or changed.
    """
    from sciml_data.curate import ask_links, links_of, new_report, read_latest, write_report

    if options["since"] is not None:
        raise CallError("--since cannot be used with --live", untouched="nothing was asked")
    descriptors = _descriptors(registry, options["datasets"])
    folder: Path | None = options["folder"]
    if folder is not None and folder.exists() and not folder.is_dir():
        raise CallError(f"--to {folder}: not a directory", untouched="nothing was asked")
    earlier = None if folder is None else read_latest(folder)
    sample = {"seed": options["seed"], "per_mirror": options["per_mirror"]}
    links = links_of(descriptors, **sample)
    known = earlier.by_url if earlier else None
    report = new_report(ask_links(links, **sample, known=known, log=log), earlier, **sample)
    paths = [] if folder is None else write_report(report, folder)
    if options["as_json"]:
        click.echo(report.to_json(), nl=False)
    elif folder is None:
        click.echo(report.to_markdown(), nl=False)
    else:
        click.echo("\n".join(map(str, paths)))
    if problems := report.problems:
        raise FetchError(
            f"{len(problems)} of {len(report.states)} links are dead or changed",
            problems=problems,
            summary=report.summary,
            untouched="nothing was changed",
            hint="correct the address, or add a mirror that has the files; a changed file is a new "
            "version: docs/how-to/add-a-dataset.md",
        )


def _descriptors(registry: Registry, datasets: Sequence[str]) -> list[Descriptor]:
    from sciml_data.registry import load_descriptor

    return [
        load_descriptor(registry, dataset, version)
        for dataset in datasets or registry.named.datasets()
        for version in registry.versions(dataset) or [registry.latest(dataset)]
    ]


def _hint(problems: Sequence[Problem]) -> str:
    from sciml_data.registry import CRLF

    if any(problem.kind == CRLF for problem in problems):
        return (
            "commit your own changes, then undo the line ends of git: git config core.autocrlf "
            "false && git rm -rq --cached . && git reset -q --hard; a file .gitattributes with "
            "the line `* -text` keeps them"
        )
    # Kind "resource": a size or hash of a descriptor differs from the file.
    if any(problem.kind == "resource" for problem in problems):
        return "`sciml-data derive` corrects sizes and hashes; see docs/how-to/add-a-dataset.md"
    return "docs/how-to/add-a-dataset.md explains each part"


def log_warnings(warnings: Sequence[Problem]) -> None:
    """Print warnings to stderr, a screenful at most."""
    for warning in warnings[:MAX_PRINTED_PROBLEMS]:
        log(f"warning: {warning.place}: {warning.message}")
    if len(warnings) > MAX_PRINTED_PROBLEMS:
        log(f"and {counted(len(warnings) - MAX_PRINTED_PROBLEMS, 'more warning')}")


def check_registry(registry: Registry, warnings: list[Problem] | None = None) -> list[Problem]:
    """Return every problem of every dataset and benchmark, with its place in the registry.

    Args:
        registry: its named folders are checked. Their benchmarks may use datasets of all folders.
        warnings: gets what is valid, and still inconvenient on other systems.
    """
    from sciml_data.registry import Registry

    warnings = [] if warnings is None else warnings
    problems: list[Problem] = []
    folders = registry.named.folders
    for folder in folders:
        start = f"{folder}/" if len(folders) > 1 else ""
        problems += _at(start, _folder_problems(Registry(folder), registry, warnings))
    return problems


def _folder_problems(
    registry: Registry, searched: Registry, warnings: list[Problem]
) -> list[Problem]:
    """Return the problems of one registry folder; `searched` has the datasets of benchmarks."""
    from sciml_data.metadata import identity_problems

    problems = _at("registry.toml: ", identity_problems(registry.root))
    for dataset in registry.datasets():
        problems += _card_problems(registry, dataset)
        versions = registry.versions(dataset)
        if not versions:
            place = f"datapackages/{dataset}"
            problems.append(Problem("missing", place, "no version has a datapackage.json"))
        for version in versions:
            problems += _version_problems(registry, dataset, version, warnings)
    for benchmark in registry.benchmarks():
        problems += _task_problems(registry.runner(benchmark), searched)
    return problems


def code_problems(registry: Registry) -> list[Problem]:
    """Return what fails when the code of the named registries is imported.

    Raises:
        CallError: the code is not trusted.
    """
    from sciml_data.bench import load_runner
    from sciml_data.formats import load_format
    from sciml_data.registry import Registry, load_descriptor

    loads: list[tuple[str, Callable[[], object]]] = []
    for part in map(Registry, registry.named.folders):
        for name in part.benchmarks():
            place, runner = f"runners/{name}", part.runner(name)
            loads.append((place, partial(load_runner, part, name)))
            loads.append((place, partial(_load_functions, runner)))
        for name in part.datasets():
            descriptor = load_descriptor(part, name)
            if reader := descriptor.native.get("reader"):
                place = f"datapackages/{name}/{descriptor.version}: $.sciml.native.reader"
                loads.append((place, partial(load_format, reader, descriptor.folder)))
    return [problem for place, load in loads for problem in _import_problems(place, load)]


def _load_functions(runner: Path) -> None:
    """Load the functions of the metrics that the registry of a benchmark brings."""
    from sciml_data.bench import load_task, require_functions

    require_functions(load_task(runner).metrics)


def _import_problems(place: str, load: Callable[[], object]) -> list[Problem]:
    try:
        load()
    except CallError:  # the code is not trusted
        raise
    except SciMLDataError as error:
        return [Problem("code", place, error.message)]
    except Exception as error:  # noqa: BLE001 - the code of a registry may raise anything
        return [Problem("code", place, f"{type(error).__name__}: {error}")]
    return []


def _card_problems(registry: Registry, dataset: str) -> list[Problem]:
    from sciml_data.registry import TO_FILL

    place = f"datapackages/{dataset}/README.md"
    card = registry.root / place
    if not card.is_file():
        return [Problem("missing", place, "the dataset has no card")]
    try:
        lines = card.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        return [Problem("syntax", place, f"not UTF-8: {error.reason} at byte {error.start}")]
    return [
        Problem("to fill", f"{place}:{number}", line.replace(TO_FILL, "").strip() or "write it")
        for number, line in enumerate(lines, start=1)
        if TO_FILL in line
    ]


def _version_problems(
    registry: Registry, dataset: str, version: str, warnings: list[Problem]
) -> list[Problem]:
    from sciml_data.formats import find_format
    from sciml_data.registry import examine_descriptor, portability_warnings

    folder = registry.package(dataset, version)
    examined = examine_descriptor(folder)
    place = f"datapackages/{dataset}/{version}"
    problems = _at(f"{place}: ", examined.problems)
    try:
        find_format(str(examined.document["sciml"]["native"]["reader"]), folder)
    except SciMLDataError as error:
        problems.append(Problem("reader", f"{place}: $.sciml.native.reader", error.message))
    except (KeyError, TypeError):
        pass  # no reader is named, or the list above has the reason
    if examined.manifest is not None:
        paths = (entry.path for entry in examined.manifest)
        warnings += portability_warnings(paths, f"{place}/manifest.csv")
    if problems or examined.descriptor is None:
        return problems
    return [
        *_same_names(examined.descriptor, place),
        *_expected_problems(examined.descriptor, place),
    ]


def _same_names(descriptor: Descriptor, folder: str) -> list[Problem]:
    """Return the mirrors with the name of an earlier one: messages could not tell them apart."""
    names = [mirror.name for mirror in descriptor.mirrors]
    place = f"{folder}: $.sciml.mirrors"
    return [
        Problem("mirror", f"{place}[{number}].name", f"an earlier mirror has the name {name!r}")
        for number, name in enumerate(names)
        if name in names[:number]
    ]


def _expected_problems(descriptor: Descriptor, folder: str) -> list[Problem]:
    """Return where a manifest deviates from the sizes expected before it was pinned."""
    from sciml_data.transfer import deviations

    place = f"{folder}/manifest.csv"
    if not descriptor.expected or not descriptor.manifest:
        return []
    sizes = {entry.path: entry.size_bytes for entry in descriptor.manifest}
    messages = deviations(descriptor.expected, sizes)
    return [Problem("expected", place, message) for message in messages]


def _at(start: str, problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems with the start of a path before their places."""
    return [Problem(item.kind, f"{start}{item.place}", item.message) for item in problems]


def _raised(start: str, kind: str, load: Callable[[], object]) -> list[Problem]:
    """Return the problems that loading raises, with the start of a path before their places."""
    try:
        load()
    except DescriptorError as error:
        return _at(start, error.problems or (Problem(kind, "", error.message),))
    return []


def _task_problems(runner: Path, registry: Registry) -> list[Problem]:
    from sciml_data.bench import datasets_of, load_task, setting_problems
    from sciml_data.home import read_json
    from sciml_data.results.board import PUBLISHED_NAME, load_published

    place = f"runners/{runner.name}"
    try:
        task = load_task(runner)
    except DescriptorError as error:
        return _at(f"{place}/task.toml: ", error.problems or (Problem("task", "", error.message),))
    problems = _at(f"{place}/task.toml: ", setting_problems(task))
    # Metrics are looked up at first use.
    problems += _raised(f"{place}/task.toml: ", "task", lambda: task.metrics)
    problems += _raised(f"{place}/{PUBLISHED_NAME}: ", "published", lambda: load_published(task))
    for dataset in datasets_of(task):
        try:
            registry.package(dataset, task.version)
        except SciMLDataError as error:
            problems.append(Problem("dataset", f"{place}/task.toml: task.dataset", error.message))
    for path in sorted((runner / "splits").glob("*.json")):
        try:
            read_json(path)
        except JsonError as error:
            problems.append(Problem("syntax", f"{place}/splits/{path.name}", error.message))
    if not (runner / "splits" / f"{task.headline_split}.json").is_file():
        message = f"splits/{task.headline_split}.json: no such file"
        problems.append(Problem("split", f"{place}/task.toml: task.headline_split", message))
    return problems
