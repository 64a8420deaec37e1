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
    from sciml_data.registry import Registry

COLUMNS = ("kind", "name", "version", "files", "bytes", "title")


@click.command(
    epilog="""\b
Examples:
  sciml-data list
  sciml-data list --json
"""
)
@registry_option
@click.option("--json", "as_json", is_flag=True, help="Print the entries as a JSON list.")
def command(registry: Path | None, *, as_json: bool) -> None:
    """Print a line for each dataset version and each benchmark.

    Entries that cannot be read are left out and named on stderr.
    """
    from sciml_data.registry import find_registry

    left_out: list[Problem] = []
    rows = list_registry(find_registry(registry), left_out)
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        click.echo(_table(rows), nl=False)
    log_left_out(left_out)
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
            rows.append(_row("dataset", name, version, files, size, descriptor.title))
    for name in registry.benchmarks():
        try:
            task = load_task(registry.runner(name))
        except DescriptorError as error:
            left_out.append(Problem("benchmark", name, error.first_line))
            continue
        data = f"{', '.join(datasets_of(task))} {task.version}"
        rows.append(_row("benchmark", name, data, None, None, task.title))
    return rows


def _row(*values: object) -> dict[str, Any]:
    return dict(zip(COLUMNS, values, strict=True))


def _table(rows: list[dict[str, Any]]) -> str:
    cells = [[_cell(row[column]) for column in COLUMNS] for row in rows]
    widths = [max(len(row[place]) for row in [list(COLUMNS), *cells]) for place in range(5)]
    return "".join(
        "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[-1]])
        + "\n"
        for row in [list(COLUMNS), *cells]
    )


def _cell(value: object) -> str:
    return "-" if value is None else str(value)
