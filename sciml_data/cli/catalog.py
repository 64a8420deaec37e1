"""`sciml-data catalog`: write an Intake catalogue of the ready files in the home."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sciml_data.cli.options import home_option, registry_option
from sciml_data.cli.output import log, log_left_out
from sciml_data.cli.program import Verb

if TYPE_CHECKING:
    from sciml_data.registry import RegistryPath


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data catalog
  sciml-data catalog --home /srv/www/data
""",
)
@registry_option
@home_option
def command(registry: RegistryPath, home: tuple[Path, ...]) -> None:
    """Write catalog.yaml into the home, with an entry for every converted version and split.

    Intake with intake-xarray opens it, from the folder or from a web server that serves the folder.
    Its users do not need sciml-data. The catalogue of a whole registry is catalog/sciml.yaml.
    """
    from sciml_data.errors import CallError, Problem
    from sciml_data.home import find_home, write_atomically
    from sciml_data.integrations.intake import READY_CATALOG, ready_catalog, special_in
    from sciml_data.registry import find_registry

    place = find_home(home)
    left_out: list[Problem] = []
    text = ready_catalog(find_registry(registry), place, left_out)
    log_left_out(left_out)
    if text is None:
        raise CallError(
            f"{place.root} has no converted dataset of this registry",
            untouched="no catalogue was written",
            hint="sciml-data convert ID",
        )
    write_atomically(place.root / READY_CATALOG, text)
    if special := special_in(place.root):
        log(
            f"warning: Intake does not take {special} in a path as part of a name: open the "
            "catalogue through a link (ln -s) or a web server, or use sciml_data.open_dataset"
        )
    click.echo(place.root / READY_CATALOG)
