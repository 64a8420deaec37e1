"""`sciml-data convert`: native files to analysis-ready NetCDF."""

from __future__ import annotations

import json
from pathlib import Path

import click

from sciml_data.cli.options import dataset_options


@click.command(
    epilog="""\b
Examples:
  sciml-data convert tevolop_socal --version 1.0
  sciml-data convert tevolop_socal --sample
"""
)
@dataset_options
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option("--again", is_flag=True, help="Convert anew even where ready files are there.")
@click.option("--json", "as_json", is_flag=True, help="Print folder, files and sizes as JSON.")
def command(  # noqa: PLR0913 - one parameter for each option
    dataset: str,
    version: str | None,
    registry: Path | None,
    home: Path | None,
    sample_seed: int,
    *,
    sample: bool,
    jobs: int,
    again: bool,
    as_json: bool,
) -> None:
    """Convert verified native files to NetCDF-4 and print the folder they lie in.

    The files are verified first (what is unchanged since is not read again). Converting twice
    gives the same bytes; what is there already is kept.
    """
    from sciml_data import api

    converted = api.convert(
        dataset,
        version=version,
        sample=sample,
        sample_seed=sample_seed,
        registry=registry,
        home=home,
        workers=jobs,
        again=again,
        notice=lambda text: click.echo(text, err=True),
    )
    if as_json:
        files = [
            {"path": e.path, "bytes": e.size_bytes, "hash": e.hash} for e in converted.manifest
        ]
        click.echo(json.dumps({"root": str(converted.root), "files": files}, indent=2))
    else:
        click.echo(converted.root)
