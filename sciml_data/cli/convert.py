"""`sciml-data convert`: convert native files to analysis-ready NetCDF."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli.options import (
    dataset_argument,
    home_option,
    registry_option,
    sample_option,
    seed_option,
    trust_option,
    version_option,
    wait_option,
)
from sciml_data.cli.output import byte_bar, file_rows
from sciml_data.cli.program import Verb
from sciml_data.errors import CallError

if TYPE_CHECKING:
    from sciml_data.registry import RegistryPath


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data convert tevolop_socal --version 1.0
  sciml-data convert tevolop_socal --sample
  sciml-data convert tevolop_socal --version 1.0 --again
  sciml-data convert uno_dose --strict
  sciml-data convert cloud_slstr_ds1 --jobs 8 --set compression=gzip
  sciml-data convert cloud_slstr_ds2 --cluster tcp://scheduler:8786
  sciml-data convert cloud_slstr_ds2 --cluster scheduler.json
""",
)
@dataset_argument
@version_option
@sample_option
@seed_option
@registry_option
@trust_option
@home_option
@wait_option
@click.option(
    "--set",
    "given",
    multiple=True,
    metavar="KEY=VALUE",
    help="Option of the native format. Can be repeated.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Stop at the first malformed value; the same as --set strict=true.",
)
@click.option(
    "--jobs",
    metavar="N",
    type=click.IntRange(1),
    help="Number of processes on this computer. Default: 1.",
)
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Dask cluster that converts: tcp://HOST:PORT, or the scheduler file. Every worker must "
    "see the home and the registry under the same paths as this computer.",
)
@click.option("--again", is_flag=True, help="Convert again, even if the ready files exist.")
@click.option("--json", "as_json", is_flag=True, help="Print the folder, files and sizes as JSON.")
def command(  # noqa: PLR0913 - one parameter for each option
    dataset: str,
    version: str | None,
    registry: RegistryPath,
    home: tuple[Path, ...],
    sample_seed: int,
    given: Sequence[str],
    *,
    sample: bool,
    strict: bool,
    wait: bool,
    jobs: int | None,
    cluster: str | None,
    again: bool,
    as_json: bool,
) -> None:
    """Convert verified native files to NetCDF-4 and print the folder of the ready files.

    Native files are verified first; files that did not change since the last check are not read
    again. Converting twice gives the same bytes, on this computer or on a cluster. Existing ready
    files are reused, also after more of the dataset was fetched.
    """
    from sciml_data import convert_dataset

    if cluster is not None and jobs is not None:
        raise CallError(
            "--jobs and --cluster cannot be used together: --jobs sets processes on this computer",
            untouched="nothing was converted",
        )
    with byte_bar(f"convert {dataset}") as progress:
        converted = convert_dataset(
            dataset,
            version=version,
            sample=sample,
            sample_seed=sample_seed,
            options=read_options((*given, "strict=true") if strict else given),
            registry=registry,
            home=home,
            wait=wait,
            workers=cluster or jobs or 1,
            again=again,
            progress=progress,
        )
    if as_json:
        facts = {"root": str(converted.root), "files": file_rows(converted.manifest)}
        click.echo(json.dumps(facts, indent=2))
    else:
        click.echo(converted.root)


def read_options(given: Sequence[str]) -> dict[str, Any]:
    """Return options of KEY=VALUE; a value that is not JSON is text.

    Raises:
        CallError: an item has no `=`, or a key is repeated.
    """
    options: dict[str, Any] = {}
    for item in given:
        key, equals, value = item.partition("=")
        if not equals or not key or key in options:
            raise CallError(
                f"--set {item!r} is not KEY=VALUE, or repeats {key!r}",
                untouched="nothing was converted",
                hint="--set compression=gzip",
            )
        try:
            options[key] = json.loads(value)
        except (ValueError, RecursionError):  # a text; or a number of 5,000 digits
            options[key] = value
    return options
