"""`sciml-data list`: list the datasets, versions and benchmarks of the registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli.options import registry_option
from sciml_data.cli.output import log, log_left_out
from sciml_data.errors import DescriptorError, Problem

if TYPE_CHECKING:
    from sciml_data.registry import Registry, RegistryPath

COLUMNS = ("kind", "name", "version", "files", "bytes", "title", "registry")


@click.command(
    epilog="""\b
Examples:
  sciml-data list
  sciml-data list --json
"""
)
@registry_option
@click.option("--json", "as_json", is_flag=True, help="Print the entries as a JSON list.")
def command(registry: RegistryPath, *, as_json: bool) -> None:
    """Print a line for each dataset version and each benchmark.

    With several registries, the column `registry` names the folder that has the
    entry. Entries that cannot be read are left out and named on stderr.
    """
    from sciml_data.registry import find_registry

    left_out: list[Problem] = []
    searched = find_registry(registry)
    rows = list_registry(searched, left_out)
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        click.echo(_table(rows), nl=False)
    log_left_out(left_out)
    for hidden in searched.hidden():
        log(f"{hidden.place} {hidden.message}")
    if left_out:
        log("`sciml-data check` lists every problem with its place")


def list_registry(registry: Registry, left_out: list[Problem]) -> list[dict[str, Any]]:
    """Return a row for each version and benchmark; other entries are added to `left_out`."""
    from sciml_data.bench import datasets_of, load_task
    from sciml_data.registry import load_descriptor

    rows = []
    for name in registry.datasets():
        for version in registry.versions(name):
            try:
                descriptor = load_descriptor(registry, name, version)
            except DescriptorError as error:
                left_out.append(Problem("dataset", f"{name} {version}", error.first_line))
                continue
            files = None if descriptor.manifest is None else len(descriptor.manifest)
            size = None if descriptor.manifest is None else descriptor.manifest.total_bytes
            folder = _other(registry.folder_of(name))
            rows.append(_row("dataset", name, version, files, size, descriptor.title, folder))
    for name in registry.benchmarks():
        try:
            task = load_task(registry.runner(name))
        except DescriptorError as error:
            left_out.append(Problem("benchmark", name, error.first_line))
            continue
        data = f"{', '.join(datasets_of(task))} {task.version}"
        rows.append(
            _row("benchmark", name, data, None, None, task.title, _other(task.folder.parents[1]))
        )
    return rows


def _other(folder: Path) -> str | None:
    """Return the path of a registry, None for the built-in one."""
    from sciml_data.registry import is_built_in

    return None if is_built_in(folder) else str(folder)


def _row(*values: object) -> dict[str, Any]:
    return dict(zip(COLUMNS, values, strict=True))


def _table(rows: list[dict[str, Any]]) -> str:
    are_others = any(row["registry"] for row in rows)
    columns = [*COLUMNS[:5], *(["registry"] if are_others else []), "title"]
    cells = [columns, *([_cell(row, column) for column in columns] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(columns) - 1)]
    return "".join(
        "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[-1]])
        + "\n"
        for row in cells
    )


def _cell(row: dict[str, Any], column: str) -> str:
    empty = "built-in" if column == "registry" else "-"
    return empty if row[column] is None else str(row[column])
