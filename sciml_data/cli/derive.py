"""`sciml-data derive`: write what follows from the registry, or say what is stale."""

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
@click.option("--check", is_flag=True, help="Write nothing; print what is stale and exit with 1.")
def command(registry: Path | None, *, check: bool) -> None:
    """Write catalogue, checksums, README table, and the sizes and hashes in descriptors.

    The path of each file that changed is printed.
    """
    from sciml_data.curate.derive import drift, write_derived
    from sciml_data.errors import SciMLDataError
    from sciml_data.registry.layout import find_registry

    found = find_registry(registry)
    if not check:
        for path in write_derived(found):
            click.echo(path)
        return
    problems = drift(found)
    for problem in problems:
        click.echo(problem)
    if problems:
        raise SciMLDataError(
            f"{len(problems)} derived files do not follow from the registry",
            untouched="nothing was written",
            hint="sciml-data derive",
        )
