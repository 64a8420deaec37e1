"""`sciml-data convert`: native files to analysis-ready NetCDF."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from sciml_data.cli.options import dataset_options
from sciml_data.cli.progress import byte_bar
from sciml_data.errors import CallError


@click.command(
    epilog="""\b
Examples:
  sciml-data convert tevolop_socal --version 1.0
  sciml-data convert tevolop_socal --sample
  sciml-data convert tevolop_socal --version 1.0 --again
  sciml-data convert uno_dose --strict
  sciml-data convert cloud_slstr_ds1 --jobs 8 --set compression=gzip
  sciml-data convert cloud_slstr_ds2 --cluster tcp://scheduler:8786
  sciml-data convert cloud_slstr_ds2 --cluster scheduler.json
"""
)
@dataset_options
@click.option("--set", "given", multiple=True, metavar="KEY=VALUE", help="Option of the reader.")
@click.option("--strict", is_flag=True, help="Stop at what is malformed: --set strict=true.")
@click.option("--jobs", type=click.IntRange(1), help="Processes on this computer; else 1.")
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Convert on a Dask cluster: tcp://HOST:PORT, or the file its scheduler wrote. Every "
    "worker must see home and registry under the same paths as this computer.",
)
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
    strict: bool,
    jobs: int | None,
    cluster: str | None,
    again: bool,
    as_json: bool,
) -> None:
    """Convert verified native files to NetCDF-4 and print the folder they lie in.

    The files are verified first (what is unchanged since is not read again). Converting twice
    gives the same bytes, here or on a cluster; what is there already is kept, also when the rest of
    the dataset has been fetched since.
    """
    from sciml_data import api

    if cluster is not None and jobs is not None:
        raise CallError(
            "--jobs counts processes on this computer and has no meaning with --cluster",
            untouched="nothing was converted",
        )
    with byte_bar(f"convert {dataset}") as progress:
        converted = api.convert_dataset(
            dataset,
            version=version,
            sample=sample,
            sample_seed=sample_seed,
            options=read_options((*given, "strict=true") if strict else given),
            registry=registry,
            home=home,
            workers=cluster or jobs or 1,
            again=again,
            log=_say,
            progress=progress,
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


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)
