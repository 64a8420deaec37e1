"""`sciml-data new`: start the folder of a new dataset."""

from __future__ import annotations

from pathlib import Path

import click

from sciml_data.cli.options import registry_option


@click.command(
    epilog="""\b
Examples:
  sciml-data new my_dataset 1.0 --reader earthquake
  sciml-data new my_dataset 1.0 --reader earthquake --files RAW_DIR --registry DIR
"""
)
@click.argument("dataset")
@click.argument("version")
@click.option("--reader", required=True, help="Module of sciml_data/readers/ for its format.")
@click.option(
    "--files",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the native files, laid out as published: makes the manifest of them.",
)
@registry_option
def command(
    dataset: str, version: str, registry: Path | None, *, reader: str, files: Path | None
) -> None:
    """Write a descriptor, a manifest and a card to fill; print their paths.

    With --registry DIR a registry is started there if need be. Nothing is overwritten.
    """
    import datetime

    from sciml_data.registry import find_registry
    from sciml_data.scaffold import start_dataset

    root = registry if registry is not None else find_registry().root
    today = datetime.datetime.now(datetime.UTC).date()
    for path in start_dataset(root, dataset, version, reader=reader, today=today, files=files):
        click.echo(path)
    click.echo("fill them (docs/add-a-dataset.md), then: sciml-data check", err=True)
