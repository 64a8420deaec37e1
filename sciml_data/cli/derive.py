"""`sciml-data derive`: update the files that are derived from the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sciml_data.cli.options import registry_option
from sciml_data.cli.output import log_left_out
from sciml_data.cli.program import Verb
from sciml_data.errors import DescriptorError, Problem, SciMLDataError
from sciml_data.progress import counted

if TYPE_CHECKING:
    from sciml_data.registry import RegistryPath


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data derive
  sciml-data derive --check
""",
)
@registry_option
@click.option(
    "--check", is_flag=True, help="Write nothing. Print files that are out of date and exit with 1."
)
def command(registry: RegistryPath, *, check: bool) -> None:
    """Update catalogue, checksums, tables of pages, and the sizes and hashes in descriptors.

    Of several registries, the files of the first registry are updated.


    Prints the path of each file that changed.
    """
    from sciml_data.curate import drift, write_derived
    from sciml_data.registry import find_registry

    target = find_registry(registry).first
    if not check:
        target.require_writable("nothing was written")
    left_out: list[Problem] = []
    problems = drift(target, left_out) if check else []
    for line in problems if check else write_derived(target, left_out):
        click.echo(line)
    log_left_out(left_out)
    if left_out:
        raise DescriptorError(
            f"left out of derived files: {counted(len(left_out), 'version')}, not valid",
            untouched="their checksums were not touched",
            hint="sciml-data check",
        )
    if problems:
        raise SciMLDataError(
            f"out of date: {counted(len(problems), 'derived file')}",
            untouched="nothing was written",
            hint="sciml-data derive",
        )
