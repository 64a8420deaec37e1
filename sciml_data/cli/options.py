"""Options that several verbs share: spelled, explained and parsed once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

registry_option = click.option(
    "--registry",
    type=click.Path(path_type=Path),
    help="Registry folder; else SCIML_DATA_REGISTRY, else the built-in one.",
)
home_option = click.option(
    "--home",
    type=click.Path(path_type=Path),
    help="Where data are kept; else SCIML_DATA_HOME, else the user's data folder.",
)
version_option = click.option("--version", help="Version of the dataset; else the newest.")
mirror_option = click.option(
    "--mirror",
    "mirrors",
    multiple=True,
    metavar="URL",
    help="Ask here first: file:DIR, http(s)://HOST/… or s3://BUCKET/…, laid out as HOST/PATH of "
    "the public URLs, as the same bucket, or as the dataset itself. May be given several times; "
    "also SCIML_DATA_MIRRORS.",
)
sample_option = click.option(
    "--sample", is_flag=True, help="Use the synthetic sample, made offline from a seed."
)
seed_option = click.option(
    "--sample-seed", type=int, default=0, show_default=True, help="Seed of the synthetic sample."
)
sample_set_option = click.option(
    "--sample-set",
    "sample_set",
    multiple=True,
    metavar="KEY=VALUE",
    help="Size of the synthetic sample; a wrong KEY lists those that there are.",
)


def dataset_options(command: Command) -> Command:
    """Add DATASET, --version, --sample, --sample-seed, --registry and --home to a verb."""
    for option in (
        home_option,
        registry_option,
        seed_option,
        sample_option,
        version_option,
        click.argument("dataset"),
    ):
        command = option(command)
    return command
