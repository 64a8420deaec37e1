"""`sciml-data derive`: update the files that are derived from the registry."""

from __future__ import annotations

from pathlib import Path

import click

from sciml_data.cli.options import registry_option


@click.command(
    epilog="""\b
Examples:
  sciml-data derive
  sciml-data derive --check
"""
)
@registry_option
@click.option(
    "--check", is_flag=True, help="Write nothing. Print files that are out of date and exit with 1."
)
def command(registry: Path | None, *, check: bool) -> None:
    """Update catalogue, checksums, README tables, and the sizes and hashes in descriptors.

    Prints the path of each file that changed.
    """
    from sciml_data.curate import drift, write_derived
    from sciml_data.errors import SciMLDataError
    from sciml_data.registry import find_registry

    target = find_registry(registry)
    if not check:
        for path in write_derived(target):
            click.echo(path)
        return
    problems = drift(target)
    for problem in problems:
        click.echo(problem)
    if problems:
        raise SciMLDataError(
            f"{len(problems)} derived files are out of date",
            untouched="nothing was written",
            hint="sciml-data derive",
        )
