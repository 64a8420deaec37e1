"""`sciml-data split`: the samples in each part of a benchmark's split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sciml_data.cli import completion
from sciml_data.cli.options import (
    benchmark_options,
    home_option,
    load_named_benchmark,
    mirror_option,
    registry_option,
    sample_option,
    sample_set_option,
    seed_option,
    trust_option,
    wait_option,
)
from sciml_data.cli.output import check_output
from sciml_data.cli.program import UserPath, VerbGroup


@click.group(
    cls=VerbGroup,
    epilog="""\b
Example:
  sciml-data split export uno --dataset uno_ccle --split cell --to ids.csv
""",
)
def command() -> None:
    """Write the ids of the samples in each part of a split."""


@command.command(
    short_help="Write part, id and keys of every predicted value.",
    epilog="""\b
Examples:
  sciml-data split export uno --dataset uno_ccle --split cell --to ids.csv
  sciml-data split export em_denoise --sample --to ids.nc
""",
)
@click.argument("benchmark", shell_complete=completion.benchmarks)
@benchmark_options
@click.option(
    "--to",
    metavar="FILE",
    type=UserPath(dir_okay=False),
    required=True,
    help="File for the ids: .csv, or .nc with a group for each part.",
)
@sample_option
@seed_option
@sample_set_option
@mirror_option
@registry_option
@trust_option
@home_option
@wait_option
def export(benchmark: str, *, to: Path, **options: Any) -> None:
    """Write the part, the ids and the keys of every value that BENCHMARK predicts.

    The file is in the form that `sciml-data score` reads: CSV has a row for each value, to which a
    column `predicted` is added. NetCDF has a group for each part with the coordinates of all axes.
    Prints the path of the file.
    """
    from sciml_data.bench import write_ids

    check_output(to)
    write_ids(load_named_benchmark(benchmark, options).parts, to)
    click.echo(to)
