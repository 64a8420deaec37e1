"""`sciml-data list`: list the datasets, versions and benchmarks of the registry."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli.options import registry_option
from sciml_data.cli.output import log, log_left_out, table
from sciml_data.cli.program import Verb
from sciml_data.errors import DescriptorError, Problem
from sciml_data.progress import format_bytes

if TYPE_CHECKING:
    from sciml_data.registry import Registry, RegistryPath


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data list
  sciml-data list --json
""",
)
@registry_option
@click.option("--json", "as_json", is_flag=True, help="Print the entries as a JSON list.")
def command(registry: RegistryPath, *, as_json: bool) -> None:
    """Print a line for each dataset version and each benchmark.

    Titles are cut to fit a terminal, and whole in a pipe. `~` marks the expected size of a dataset
    that nobody has pinned. With several registries, the column `registry` names the folder that has
    the entry. Entries that cannot be read are left out and named on stderr.
    """
    print_entries(registry, (), as_json=as_json)


def print_entries(registry: RegistryPath, words: Sequence[str], *, as_json: bool) -> None:
    """Print the entries that have all words in their name, title, description or keywords."""
    from sciml_data.registry import find_registry

    left_out: list[Problem] = []
    searched = find_registry(registry)
    rows = list_registry(searched, left_out, words)
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        click.echo(_text(rows), nl=False)
        if words and not rows:
            log(
                f"nothing has {' and '.join(map(repr, words))}; `sciml-data list` prints everything"
            )
    log_left_out(left_out)
    for hidden in searched.hidden():
        log(f"{hidden.place} {hidden.message}")
    if left_out:
        log("`sciml-data check` lists every problem with its place")


def list_registry(
    registry: Registry, left_out: list[Problem], words: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return a row for each version and benchmark.

    Args:
        registry: to list.
        left_out: gets entries that cannot be read.
        words: an entry must have all of them in its name, title, description or keywords.
    """
    rows: list[dict[str, Any]] = []
    for name in registry.datasets():
        for version in registry.versions(name):
            try:
                rows += _dataset_rows(registry, name, version, words)
            except DescriptorError as error:
                left_out.append(Problem("dataset", f"{name} {version}", error.first_line))
    for name in registry.benchmarks():
        try:
            rows += _benchmark_rows(registry, name, words)
        except DescriptorError as error:
            left_out.append(Problem("benchmark", name, error.first_line))
    return rows


def _dataset_rows(
    registry: Registry, name: str, version: str, words: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield the row of a version, if it has all words."""
    from sciml_data.registry import expected_bytes, has_words, load_descriptor, searched_texts

    descriptor = load_descriptor(registry, name, version)
    document, manifest = descriptor.document, descriptor.manifest
    if has_words(searched_texts(name, document), words):
        yield {
            "kind": "dataset",
            "name": name,
            "version": version,
            "files": None if manifest is None else len(manifest),
            "bytes": None if manifest is None else manifest.total_bytes,
            "expected_bytes": expected_bytes(descriptor.expected),
            "title": descriptor.title,
            "registry": _other(registry.folder_of(name)),
        }


def _benchmark_rows(
    registry: Registry, name: str, words: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield the row of a benchmark, if it has all words."""
    from sciml_data.bench import datasets_of, load_task
    from sciml_data.registry import has_words

    task = load_task(registry.runner(name))
    if has_words((name, task.title, task.description, *datasets_of(task)), words):
        yield {
            "kind": "benchmark",
            "name": name,
            "version": task.version,
            "datasets": list(datasets_of(task)),
            "title": task.title,
            "registry": _other(task.folder.parents[1]),
        }


def size_text(row: Mapping[str, Any]) -> str:
    """Return the size of a version for people, with `~` where it is only expected."""
    if row["bytes"] is not None:
        return format_bytes(row["bytes"])
    return "-" if row["expected_bytes"] is None else f"~{format_bytes(row['expected_bytes'])}"


def _other(folder: Path) -> str | None:
    """Return the path of a registry, None for the built-in one."""
    from sciml_data.registry import is_built_in

    return None if is_built_in(folder) else str(folder)


def _text(rows: Sequence[Mapping[str, Any]]) -> str:
    are_others = any(row["registry"] for row in rows)
    datasets = [["dataset", "version", "size", *(["registry"] * are_others), "title"]]
    benchmarks = [["benchmark", *(["registry"] * are_others), "title"]]
    for row in rows:
        registry = [row["registry"] or "built-in"] * are_others
        if row["kind"] == "dataset":
            cells = [row["name"], row["version"], size_text(row), *registry, row["title"]]
            datasets.append(cells)
        else:
            benchmarks.append([row["name"], *registry, row["title"]])
    return "\n".join(table(cells) for cells in (datasets, benchmarks) if len(cells) > 1)
