"""`sciml-data publish`: send a dataset to Zenodo, or to another InvenioRDM repository."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli.options import (
    dataset_argument,
    home_option,
    registry_option,
    version_option,
    wait_option,
)
from sciml_data.cli.output import byte_bar, log
from sciml_data.cli.program import UserPath, VerbGroup
from sciml_data.errors import CallError
from sciml_data.progress import counted

if TYPE_CHECKING:
    from sciml_data.integrations.invenio import Deposit, PublishingPlan, Repository


def _shared_options(command: Callable[..., Any]) -> Callable[..., Any]:
    options = [
        dataset_argument,
        version_option,
        click.option(
            "--dry-run",
            is_flag=True,
            help="Print the files and the metadata that would be sent; no request is made.",
        ),
        click.option(
            "--new-version-of",
            metavar="RECORD",
            help="Id of the published record of an earlier version of the dataset.",
        ),
        click.option(
            "--zip",
            "archive",
            type=UserPath(),
            metavar="FILE",
            help="Send the native files in a zip file, which is written here without compression.",
        ),
        click.option(
            "--i-have-the-rights",
            "has_rights",
            is_flag=True,
            help="Publish data without a stated licence: you say that you may.",
        ),
        click.option(
            "--final",
            is_flag=True,
            help="Publish the draft at once, which cannot be undone. Default: leave a draft, which "
            "you check and publish in the browser.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        registry_option,
        home_option,
        wait_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.group(
    cls=VerbGroup,
    epilog="""\b
Examples:
  sciml-data publish zenodo my_waves --sandbox --dry-run
  sciml-data publish zenodo my_waves --sandbox
  sciml-data publish invenio my_waves --url https://data.example.org --publisher "Example Lab"

A token is needed, except for --dry-run: SCIML_DATA_TOKENS=HOST=TOKEN, `tokens` of the
configuration, or the keyring of the operating system (docs/how-to/publish.md).
""",
)
def command() -> None:
    """Send a dataset to a repository, which gives it a DOI.

    The files must be in the home, and are verified first. A draft is made, a DOI is reserved, and
    each file's md5 is compared with that of the repository. Repeat the command to resume.
    """


@command.command(
    epilog="""\b
Examples:
  sciml-data publish zenodo my_waves --version 1.0 --sandbox --dry-run
  sciml-data publish zenodo my_waves --version 1.0 --sandbox
  sciml-data publish zenodo my_waves --version 1.1 --new-version-of 1234567
"""
)
@click.option(
    "--sandbox",
    is_flag=True,
    help="Use sandbox.zenodo.org, which is for tests: its records are deleted.",
)
@_shared_options
def zenodo(*, sandbox: bool, **options: Any) -> None:
    """Send a dataset to Zenodo, which takes 100 files and 50 GB."""
    from sciml_data.integrations.invenio import ZENODO, ZENODO_SANDBOX

    _publish(ZENODO_SANDBOX if sandbox else ZENODO, options)


@command.command(
    epilog="""\b
Examples:
  sciml-data publish invenio my_waves --url https://data.example.org --publisher "Example Lab"
"""
)
@click.option("--url", required=True, metavar="URL", help="Address of the repository.")
@click.option("--publisher", required=True, metavar="NAME", help="Name of the repository.")
@_shared_options
def invenio(*, url: str, publisher: str, **options: Any) -> None:
    """Send a dataset to a repository that runs InvenioRDM."""
    from sciml_data.integrations.invenio import Repository

    _publish(Repository(url, publisher), options)


def _publish(repository: Repository, options: dict[str, Any]) -> None:
    from sciml_data import verify_dataset
    from sciml_data.integrations.invenio import plan_publishing, publish_files

    if options["dry_run"] and options["final"]:
        raise CallError("--dry-run and --final exclude each other", untouched="nothing was sent")
    with byte_bar("verify") as progress:
        verified = verify_dataset(
            options["dataset"],
            version=options["version"],
            registry=options["registry"],
            home=options["home"],
            wait=options["wait"],
            log=log,
            progress=progress,
        )
    archive: Path | None = options["archive"]
    plan = plan_publishing(verified, repository, archive=archive, has_rights=options["has_rights"])
    if options["dry_run"]:
        _print_plan(plan, as_json=options["as_json"])
        return
    with byte_bar("publish") as progress:
        deposit = publish_files(
            plan,
            new_version_of=options["new_version_of"],
            publish=options["final"],
            log=log,
            progress=progress,
        )
    _print_deposit(deposit, as_json=options["as_json"])


def _print_plan(plan: PublishingPlan, *, as_json: bool) -> None:
    from sciml_data.progress import format_bytes

    sizes = plan.sizes
    if as_json:
        document = {"url": plan.repository.url, "files": sizes, "draft": plan.body}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    for name, size_bytes in sizes.items():
        click.echo(f"{size_bytes:>15,}  {name}")
    click.echo(json.dumps(plan.body, indent=2, ensure_ascii=False))
    total = format_bytes(sum(sizes.values()))
    log(f"{counted(len(sizes), 'file')}, {total}, for {plan.repository.url}; nothing was sent")


def _print_deposit(deposit: Deposit, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(deposit), indent=2))
        return
    click.echo(deposit.page)
    doi = deposit.doi or "none"
    if deposit.is_published:
        log(f"published; DOI {doi}. Add https://doi.org/{doi} to `citation` of datapackage.json")
    else:
        log(f"draft, not published; reserved DOI {doi}. Look at it in the browser and publish it")
