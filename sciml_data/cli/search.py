"""`sciml-data search`: find datasets and benchmarks by words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sciml_data.cli.list_ import print_entries
from sciml_data.cli.options import registry_option
from sciml_data.cli.program import Verb

if TYPE_CHECKING:
    from sciml_data.registry import RegistryPath


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data search cloud
  sciml-data search electron diffraction
""",
)
@click.argument("words", nargs=-1, required=True, metavar="WORD...")
@registry_option
@click.option("--json", "as_json", is_flag=True, help="Print the entries as a JSON list.")
def command(words: tuple[str, ...], registry: RegistryPath, *, as_json: bool) -> None:
    """Print the datasets and benchmarks that have every WORD.

    Words are searched in names, titles, descriptions and keywords, in upper and lower case, also
    within longer words.
    """
    print_entries(registry, words, as_json=as_json)
