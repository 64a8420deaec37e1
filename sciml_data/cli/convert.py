"""`sciml-data convert`: native files to analysis-ready NetCDF."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from sciml_data.cli.options import dataset_options
from sciml_data.errors import CallError


@click.command(
    epilog="""\b
Examples:
  sciml-data convert tevolop_socal --version 1.0
  sciml-data convert tevolop_socal --sample
  sciml-data convert tevolop_socal --version 1.0 --again
"""
)
@dataset_options
@click.option("--set", "given", multiple=True, metavar="KEY=VALUE", help="Option of the reader.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option("--again", is_flag=True, help="Convert anew even where ready files are there.")
@click.option("--json", "as_json", is_flag=True, help="Print folder, files and sizes as JSON.")
def command(  # noqa: PLR0913 - one parameter for each option
    dataset: str,
    version: str | None,
    registry: Path | None,
    home: Path | None,
    sample_seed: int,
    given: Sequence[str],
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

    converted = api.convert_dataset(
        dataset,
        version=version,
        sample=sample,
        sample_seed=sample_seed,
        options=read_options(given),
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


def read_options(given: Sequence[str]) -> dict[str, Any]:
    """Return options of KEY=VALUE; a value that is JSON is read as such, any other is text.

    Raises:
        CallError: there is no `=`, or a key is given twice.
    """
    options: dict[str, Any] = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not equals or not key or key in options:
            raise CallError(
                f"--set {one!r} is no KEY=VALUE, or names {key!r} again",
                untouched="nothing was converted",
            )
        try:
            options[key] = json.loads(value)
        except json.JSONDecodeError:
            options[key] = value
    return options
