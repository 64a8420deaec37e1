"""`sciml-data cite`: print how to cite a dataset and this software."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sciml_data.cli import completion
from sciml_data.cli.options import registry_option, version_option
from sciml_data.cli.program import Verb

if TYPE_CHECKING:
    from sciml_data.registry import RegistryPath


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data cite tevolop_socal
  sciml-data cite uno_ccle --version 1.0 --format bibtex
  sciml-data cite uno_almanac --format cff
""",
)
@click.argument("dataset", shell_complete=completion.datasets)
@version_option
@registry_option
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "bibtex", "cff"]),
    default="text",
    show_default=True,
    help="Format of the citation.",
)
def command(dataset: str, version: str | None, registry: RegistryPath, format_: str) -> None:
    """Print how to cite a version of a dataset, the citation upstream asks for, and the software.

    No dataset has a registered DOI; the citation has the address of its page instead.
    """
    from sciml_data import cite

    click.echo(cite(dataset, format_, version=version, registry=registry), nl=False)
