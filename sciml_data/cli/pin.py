"""`sciml-data pin`: write the hashes of what was fetched into the registry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sciml_data.cli.options import home_option, mirror_option, registry_option, version_option
from sciml_data.cli.progress import byte_bar

if TYPE_CHECKING:
    from sciml_data.curate.pin import Pin
    from sciml_data.home import Home
    from sciml_data.registry.descriptor import Descriptor


@click.command(
    epilog="""\b
Examples:
  sciml-data pin cloud_slstr_ds1 --registry CHECKOUT --dry-run
  sciml-data pin cloud_slstr_ds1 --registry CHECKOUT
  sciml-data pin cloud_slstr_ds2 --registry CHECKOUT --listing
"""
)
@click.argument("dataset")
@version_option
@registry_option
@home_option
@mirror_option
@click.option(
    "--listing",
    is_flag=True,
    help="Pin the ETags that a mirror lists, without having fetched the files.",
)
@click.option("--dry-run", is_flag=True, help="Check everything and print the text; write nothing.")
def command(  # noqa: PLR0913 - one parameter for each option
    dataset: str,
    version: str | None,
    registry: Path | None,
    home: Path | None,
    mirrors: Sequence[str],
    *,
    listing: bool,
    dry_run: bool,
) -> None:
    """Pin an unpinned version, and print the text of a pull request for it.

    Every file of the listing has to be here and verified. The manifest goes into the registry,
    and what follows from it is derived; from then on any other bytes are an error for everybody.
    With --listing the mirrors are asked, and their ETags are pinned: weaker, and without a fetch.
    """
    from sciml_data.curate.pin import pull_request, write_pin
    from sciml_data.home import find_home
    from sciml_data.registry.descriptor import load_descriptor
    from sciml_data.registry.layout import find_registry

    found = find_registry(registry)
    descriptor = load_descriptor(found, dataset, version)
    pin = _pin(descriptor, find_home(home), mirrors, listing=listing)
    if not dry_run:
        for path in write_pin(pin, found):
            _say(f"written: {path}")
    click.echo(pull_request(pin))
    if dry_run:
        _say("nothing was written")


def _pin(descriptor: Descriptor, home: Home, mirrors: Sequence[str], *, listing: bool) -> Pin:
    from sciml_data.curate.pin import pin_fetched, pin_listing, refuse_to_pin
    from sciml_data.transfer.listing import list_files
    from sciml_data.transfer.protocols.mirrors import user_mirrors

    refuse_to_pin(descriptor)
    folder = home.dataset(descriptor.dataset, descriptor.version)
    if not listing:
        with byte_bar(f"verify {descriptor.dataset}") as progress:
            return pin_fetched(descriptor, folder, progress=progress)
    bases = user_mirrors(mirrors)
    found = list_files(descriptor, folder, bases=bases, log=_say, keep=False)
    return pin_listing(descriptor, found.listing)


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)
