"""`sciml-data mirror`: DataLad mirrors of a registry: create, publish, update."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sciml_data.cli.options import home_option, registry_option
from sciml_data.errors import CallError

if TYPE_CHECKING:
    from sciml_data.integrations.datalad.subdataset import Hashes

folder_argument = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
from_home_option = click.option(
    "--from-home",
    is_flag=True,
    help="Where the manifest has a hash that git-annex does not know, take the sha256 of the file "
    "in the home, if its bytes have the manifest's hash, too.",
)


@click.group(
    epilog="""\b
Examples:
  sciml-data mirror create DIR tevolop_socal uno_ccle
  sciml-data mirror publish DIR --to /srv/www/data
  sciml-data mirror update DIR
"""
)
def command() -> None:
    """Make DataLad datasets of a registry's datasets, for a web server and `datalad clone`.

    Names, sizes, hashes and addresses of all files are registered; no file is downloaded. Needs
    git and the extra `datalad`.
    """


@command.command(
    epilog="""\b
Examples:
  sciml-data mirror create DIR
  sciml-data mirror create DIR tevolop_socal uno_ccle
  sciml-data mirror create DIR tevolop_socal --version 1.0
"""
)
@folder_argument
@click.argument("datasets", nargs=-1, metavar="[ID]...")
@click.option("--version", help="Only this version of each; else all that are pinned.")
@from_home_option
@registry_option
@home_option
def create(
    folder: Path,
    datasets: Sequence[str],
    version: str | None,
    registry: Path | None,
    home: Path | None,
    *,
    from_home: bool,
) -> None:
    """Make a superdataset in DIR, with one subdataset for each dataset; versions are tags.

    Without an ID, all datasets that are pinned. A run that was killed goes on with the same
    command.
    """
    from sciml_data.integrations import datalad as mirror
    from sciml_data.registry.layout import find_registry

    versions = mirror.choose(find_registry(registry), datasets, version, _say)
    hashes = _hashes(home, from_home=from_home)
    _print(mirror.create(folder, versions, hashes=hashes, log=_say))


@command.command(
    epilog="""\b
Examples:
  sciml-data mirror update DIR
  sciml-data mirror update DIR uno_almanac
"""
)
@folder_argument
@click.argument("datasets", nargs=-1, metavar="[ID]...")
@from_home_option
@registry_option
@home_option
def update(
    folder: Path,
    datasets: Sequence[str],
    registry: Path | None,
    home: Path | None,
    *,
    from_home: bool,
) -> None:
    """Bring a mirror up to the registry, and print what changed.

    New versions are committed and tagged; addresses that are new are registered, those that are
    gone taken back. Without an ID, the datasets that the mirror has. An ID that it lacks is added.
    """
    from sciml_data.integrations import datalad as mirror
    from sciml_data.integrations.datalad.superdataset import refuse_foreign
    from sciml_data.registry.layout import find_registry

    refuse_foreign(folder)
    versions = mirror.choose(
        find_registry(registry), datasets or mirror.datasets_of(folder), None, _say
    )
    hashes = _hashes(home, from_home=from_home)
    _print(mirror.update(folder, versions, hashes=hashes, log=_say))


@command.command(
    epilog="""\b
Examples:
  sciml-data mirror publish DIR --to /srv/www/data
  sciml-data mirror publish DIR --to /srv/store --ria
"""
)
@folder_argument
@click.option(
    "--to",
    required=True,
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Folder that a web server serves.",
)
@click.option("--ria", is_flag=True, help="As a RIA store, for ria+http://HOST/PATH#~ID.")
def publish(folder: Path, to: Path, *, ria: bool) -> None:
    """Put a mirror into a folder of static files, and print each repository's place.

    `datalad clone https://HOST/ID.git` clones one dataset, `…/datasets.git` the superdataset.
    """
    from sciml_data.integrations import datalad as mirror

    published = mirror.publish(folder, to, ria=ria, log=_say)
    for one in published:
        click.echo(one.place)
    _say(f"{sum(one.is_new for one in published)} of {len(published)} repositories changed")


def _hashes(home: Path | None, *, from_home: bool) -> Hashes:
    from sciml_data.home import find_home
    from sciml_data.integrations.datalad import hashes_from
    from sciml_data.integrations.datalad.superdataset import no_hashes

    if home is not None and not from_home:
        raise CallError("--home goes with --from-home", untouched="nothing was made")
    return hashes_from(find_home(home), _say) if from_home else no_hashes


def _print(changes: Sequence[str]) -> None:
    for change in changes:
        click.echo(change)
    if not changes:
        _say("the mirror is as the registry says: nothing changed")


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)
