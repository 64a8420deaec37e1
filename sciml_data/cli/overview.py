"""`sciml-data overview`: draw what a sample of a dataset looks like."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sciml_data.cli.options import (
    dataset_argument,
    home_option,
    registry_option,
    sample_option,
    version_option,
)
from sciml_data.cli.output import check_output, log
from sciml_data.cli.program import UserPath

if TYPE_CHECKING:
    from sciml_data.registry import RegistryPath


@click.command(
    epilog="""\b
Examples:
  sciml-data overview uno_ccle
  sciml-data overview cloud_slstr_ds1 --sample --to clouds.webp
  sciml-data overview my_dataset --registry . --card
"""
)
@dataset_argument
@version_option
@sample_option
@click.option(
    "--to",
    "target",
    type=UserPath(),
    metavar="FILE",
    help="File of the picture (WebP). Default: DATASET.webp in the current folder.",
)
@click.option(
    "--card",
    is_flag=True,
    help="Write the picture beside the dataset's card in the registry, where site and card show "
    "it.",
)
@registry_option
@home_option
def command(  # noqa: PLR0913 - one parameter an option
    dataset: str,
    version: str | None,
    target: Path | None,
    registry: RegistryPath,
    home: tuple[Path, ...],
    *,
    sample: bool,
    card: bool,
) -> None:
    """Draw an overview of DATASET in a wide figure, and print the path of the file.

    The figure is drawn from the ready files in the home. Without them, or with --sample, it is
    drawn from the synthetic sample, which is made if needed, and says SYNTHETIC.
    """
    from sciml_data import describe
    from sciml_data.errors import CallError
    from sciml_data.home import find_home
    from sciml_data.site.overview import OVERVIEW_NAME, draw_overview, find_ready_parts

    if card and target is not None:
        raise CallError(
            "--card and --to both name the file of the picture",
            untouched="nothing was written",
            hint="use one of them",
        )
    descriptor = describe(dataset, version=version, registry=registry)
    path = target or Path(f"{dataset}.webp")
    if card:
        path = descriptor.folder.parent / OVERVIEW_NAME
    check_output(path, file_name=f"{dataset}.webp")
    converted = find_ready_parts(descriptor, find_home(home), is_sample=sample, is_made=True)
    picture = draw_overview(converted)
    path.write_bytes(picture.content)
    log(f"{picture.caption} {len(picture.content) / 1000:.0f} kB")
    click.echo(path)
