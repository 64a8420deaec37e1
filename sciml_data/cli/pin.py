"""`sciml-data pin`: record checksums of fetched files in the registry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sciml_data.cli import completion
from sciml_data.cli.options import home_option, mirror_option, registry_option, version_option
from sciml_data.cli.output import byte_bar, log
from sciml_data.cli.program import Verb

if TYPE_CHECKING:
    from sciml_data.curate import Pin
    from sciml_data.home import Home
    from sciml_data.registry import Descriptor, RegistryPath


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data pin cloud_slstr_ds1 --registry CHECKOUT --dry-run
  sciml-data pin cloud_slstr_ds1 --registry CHECKOUT
  sciml-data pin cloud_slstr_ds2 --registry CHECKOUT --listing
""",
)
@click.argument("dataset", shell_complete=completion.datasets)
@version_option
@registry_option
@home_option
@mirror_option
@click.option(
    "--listing",
    is_flag=True,
    help="Pin the ETags in a mirror's listing, without fetching the files.",
)
@click.option(
    "--dry-run", is_flag=True, help="Check everything and print the text, but write nothing."
)
def command(  # noqa: PLR0913 - one parameter for each option
    dataset: str,
    version: str | None,
    registry: RegistryPath,
    home: tuple[Path, ...],
    mirrors: Sequence[str],
    *,
    listing: bool,
    dry_run: bool,
) -> None:
    """Pin an unpinned version, and print the text of a pull request for it.

    Every file of the listing must be fetched and verified. The manifest is written into the
    registry and derived files are updated. From then on, other bytes are an error for every user.
    --listing pins the ETags of a mirror instead: a weaker check that needs no fetch.
    """
    from sciml_data.curate import pull_request, write_pin
    from sciml_data.home import find_home
    from sciml_data.registry import find_registry, load_descriptor

    target = find_registry(registry).first
    descriptor = load_descriptor(target, dataset, version)
    pin = _pin(descriptor, find_home(home), mirrors, listing=listing)
    if not dry_run:
        for path in write_pin(pin, target):
            log(f"written: {path}")
    click.echo(pull_request(pin))
    if dry_run:
        log("nothing was written")


def _pin(descriptor: Descriptor, home: Home, mirrors: Sequence[str], *, listing: bool) -> Pin:
    from sciml_data.curate import check_pinnable, pin_fetched, pin_listing
    from sciml_data.transfer import list_files, user_mirrors

    check_pinnable(descriptor)
    folder = home.dataset(descriptor.dataset, descriptor.version)
    if not listing:
        with byte_bar(f"verify {descriptor.dataset}") as progress:
            return pin_fetched(descriptor, folder, progress=progress)
    bases = user_mirrors(mirrors)
    listed = list_files(descriptor, folder, bases=bases, log=log, keep=False)
    return pin_listing(descriptor, listed.listing)
