"""`sciml-data mirror`: create, publish and update DataLad mirrors of a registry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sciml_data.cli import completion
from sciml_data.cli.options import home_option, registry_option
from sciml_data.cli.output import log
from sciml_data.cli.program import UserPath, VerbGroup
from sciml_data.errors import CallError
from sciml_data.progress import counted, minute_lines

if TYPE_CHECKING:
    from sciml_data.integrations.datalad import HashLookup
    from sciml_data.registry import RegistryPath

datasets_argument = click.argument(
    "datasets", nargs=-1, metavar="[ID]...", shell_complete=completion.datasets
)
folder_argument = click.argument("folder", metavar="DIR", type=UserPath())
from_home_option = click.option(
    "--from-home",
    is_flag=True,
    help="Use the sha256 of files in the home where git-annex does not support the hash of the "
    "manifest. The files must have the manifest's hash too.",
)


@click.group(
    cls=VerbGroup,
    epilog="""\b
Examples:
  sciml-data mirror create DIR tevolop_socal uno_ccle
  sciml-data mirror publish DIR --to /srv/www/data
  sciml-data mirror update DIR
""",
)
def command() -> None:
    """Make a DataLad dataset of each dataset, for a web server and `datalad clone`.

    The mirror has names, sizes, hashes and addresses of all files; no file is downloaded. It needs
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
@datasets_argument
@click.option(
    "--version", metavar="VERSION", help="Version of each dataset. Default: all pinned versions."
)
@from_home_option
@registry_option
@home_option
def create(
    folder: Path,
    datasets: Sequence[str],
    version: str | None,
    registry: RegistryPath,
    home: tuple[Path, ...],
    *,
    from_home: bool,
) -> None:
    """Make a superdataset in DIR with a subdataset for each dataset.

    Each version is a tag. The default is all datasets with a pinned version. Repeat the command
    to resume an interrupted run.
    """
    from sciml_data.integrations import datalad
    from sciml_data.registry import find_registry

    known = find_registry(registry)
    versions = datalad.select_versions(known if datasets else known.named, datasets, version, log)
    hashes = _hashes(home, from_home=from_home)
    with minute_lines(log, lambda: f"creating {folder}") as steps:
        changes = datalad.create_mirror(folder, versions, hashes=hashes, log=steps)
    _print(changes)


@command.command(
    short_help="Update a mirror to the state of the registry.",
    epilog="""\b
Examples:
  sciml-data mirror update DIR
  sciml-data mirror update DIR uno_almanac
""",
)
@folder_argument
@datasets_argument
@from_home_option
@registry_option
@home_option
def update(
    folder: Path,
    datasets: Sequence[str],
    registry: RegistryPath,
    home: tuple[Path, ...],
    *,
    from_home: bool,
) -> None:
    """Update a mirror to the state of the registry, and print the changes.

    New versions are committed and tagged. New addresses are added, and removed ones deleted. The
    default is all datasets in the mirror; an ID that is not in the mirror is added.
    """
    from sciml_data.integrations import datalad
    from sciml_data.registry import find_registry

    datalad.check_is_mirror(folder)
    versions = datalad.select_versions(
        find_registry(registry), datasets or datalad.mirror_datasets(folder), None, log
    )
    hashes = _hashes(home, from_home=from_home)
    with minute_lines(log, lambda: f"updating {folder}") as steps:
        changes = datalad.update_mirror(folder, versions, hashes=hashes, log=steps)
    _print(changes)


@command.command(
    short_help="Publish a mirror as static files.",
    epilog="""\b
Examples:
  sciml-data mirror publish DIR --to /srv/www/data
  sciml-data mirror publish DIR --to /srv/store --ria
""",
)
@folder_argument
@click.option(
    "--to",
    required=True,
    metavar="PATH",
    type=UserPath(),
    help="Folder that a web server serves.",
)
@click.option("--ria", is_flag=True, help="Publish as a RIA store, for ria+http://HOST/PATH#~ID.")
def publish(folder: Path, to: Path, *, ria: bool) -> None:
    """Publish a mirror as static files, and print the place of each repository.

    `datalad clone https://HOST/ID.git` clones a dataset, `…/datasets.git` the superdataset.
    """
    from sciml_data.integrations import datalad

    with minute_lines(log, lambda: f"publishing {folder}") as steps:
        published = datalad.publish_mirror(folder, to, ria=ria, log=steps)
    for repository in published:
        click.echo(repository.place)
    changed = sum(repository.is_new for repository in published)
    log(f"{changed} of {counted(len(published), 'repository', 'repositories')} changed")


def _hashes(home: tuple[Path, ...], *, from_home: bool) -> HashLookup:
    from sciml_data.home import find_home
    from sciml_data.integrations.datalad import no_hashes, sha256_from_home

    if home and not from_home:
        raise CallError("--home needs --from-home", untouched="no mirror was made")
    return sha256_from_home(find_home(home), log) if from_home else no_hashes


def _print(changes: Sequence[str]) -> None:
    for change in changes:
        click.echo(change)
    if not changes:
        log("the mirror is up to date with the registry: nothing changed")
