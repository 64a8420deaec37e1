"""`sciml-data pin`: record checksums of fetched files in the registry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from sciml_data.cli import completion
from sciml_data.cli.options import home_option, mirror_option, registry_option, version_option
from sciml_data.cli.output import byte_bar, log
from sciml_data.cli.program import Verb
from sciml_data.errors import CallError

if TYPE_CHECKING:
    from sciml_data.curate import Pin, ReadyPin
    from sciml_data.home import Home
    from sciml_data.registry import Descriptor, RegistryPath


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data pin cloud_slstr_ds1 --registry CHECKOUT --dry-run
  sciml-data pin cloud_slstr_ds1 --registry CHECKOUT
  sciml-data pin cloud_slstr_ds2 --registry CHECKOUT --listing
  sciml-data pin cloud_slstr_ds1 --registry CHECKOUT --ready --url https://HOST/BUCKET/ds1-ready/
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
    "--ready",
    is_flag=True,
    help="Pin the converted files, which are published as a ready form (with --url).",
)
@click.option(
    "--url",
    "urls",
    multiple=True,
    metavar="URL",
    help="Address of the folder with the published ready files. Can be repeated.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Option of the conversion of --ready files. Can be repeated.",
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
    urls: Sequence[str],
    overrides: Sequence[str],
    *,
    listing: bool,
    ready: bool,
    dry_run: bool,
) -> None:
    """Pin an unpinned version, and print the text of a pull request for it.

    Every file of the listing must be fetched and verified. The manifest is written into the
    registry and derived files are updated. From then on, other bytes are an error for every user.
    --listing pins the ETags of a mirror instead: a weaker check that needs no fetch.

    --ready pins converted files and the hashes of their chunks. Then `get --ready` fetches them,
    and `run --stream` reads them from a mirror; docs explain how to publish the folder.
    """
    from sciml_data.curate import pull_request, ready_pull_request, write_pin
    from sciml_data.home import find_home
    from sciml_data.registry import find_registry, load_descriptor

    _check_options(listing=listing, ready=ready, urls=urls, overrides=overrides)
    target = find_registry(registry).first
    descriptor = load_descriptor(target, dataset, version)
    if ready:
        # The index of chunks is completed beside the files, also by a dry run.
        ready_pin = _ready_pin(descriptor, find_home(home), urls, overrides)
        if not dry_run:
            for path in write_pin(ready_pin, target):
                log(f"written: {path}")
        click.echo(ready_pull_request(ready_pin))
        return
    pin = _pin(descriptor, find_home(home), mirrors, listing=listing)
    if not dry_run:
        for path in write_pin(pin, target):
            log(f"written: {path}")
    click.echo(pull_request(pin))
    if dry_run:
        log("nothing was written")


def _check_options(
    *, listing: bool, ready: bool, urls: Sequence[str], overrides: Sequence[str]
) -> None:
    """Refuse options that have no effect together."""
    wrong = ""
    if listing and ready:
        wrong = "--listing and --ready cannot be used together"
    elif not ready and (urls or overrides):
        wrong = f"{'--url' if urls else '--set'} needs --ready"
    elif ready and not urls:
        wrong = "--ready needs --url, the address of the folder with the published files"
    if wrong:
        raise CallError(
            wrong,
            untouched="nothing was pinned",
            hint="sciml-data pin ID --ready --url https://HOST/FOLDER/",
        )
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CallError(
                f"--url {url!r} is not an address that begins with https://HOST/",
                untouched="nothing was pinned",
                hint="--url https://HOST/FOLDER/",
            )


def _ready_pin(
    descriptor: Descriptor, home: Home, urls: Sequence[str], overrides: Sequence[str]
) -> ReadyPin:
    from sciml_data.cli.convert import read_options
    from sciml_data.curate import pin_ready

    folder = home.dataset(descriptor.dataset, descriptor.version)
    with byte_bar(f"verify ready files of {descriptor.dataset}") as progress:
        return pin_ready(
            descriptor, folder, urls, options=read_options(overrides), progress=progress
        )


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
