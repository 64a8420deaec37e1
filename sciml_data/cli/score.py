"""`sciml-data score`: score predictions that another program made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from sciml_data.cli import completion
from sciml_data.cli.options import (
    benchmark_options,
    home_of,
    home_option,
    load_named_benchmark,
    mirror_option,
    registry_option,
    runs_option,
    sample_option,
    sample_set_option,
    seed_option,
    trust_option,
    wait_option,
)
from sciml_data.cli.output import log
from sciml_data.cli.program import UserPath, Verb


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data score uno predicted.csv --dataset uno_ccle --split cell --model forest
  sciml-data score uno predicted.parquet --dataset uno_ccle --split cell --model forest --seed 1
  sciml-data score em_denoise images.nc --sample --model bm3d --json
""",
)
@click.argument("benchmark", shell_complete=completion.benchmarks)
@click.argument("predictions", type=UserPath())
@benchmark_options
@click.option(
    "--model",
    metavar="NAME",
    default="external",
    show_default=True,
    help="Name of the model, as boards show it.",
)
@click.option(
    "--seed",
    metavar="N",
    type=int,
    default=0,
    show_default=True,
    help="Seed of the model's training. Repeats of a model differ in their seeds.",
)
@click.option(
    "--units", metavar="UNIT", help="Unit of the predictions, if the file does not state it."
)
@sample_option
@seed_option
@sample_set_option
@mirror_option
@registry_option
@trust_option
@home_option
@runs_option
@wait_option
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
def command(benchmark: str, predictions: Path, *, as_json: bool, **options: Any) -> None:
    """Score PREDICTIONS of BENCHMARK beside its baselines, and store them with a record.

    PREDICTIONS is a CSV, Parquet or NetCDF file with the ids of the samples, as `sciml-data split
    export` writes them, and the values `predicted`. The test part is required, other parts are
    optional. Every id has to be there exactly once. The record has no durations and says
    `training: external`; boards, submissions and `rescore` accept it.
    """
    from sciml_data import score
    from sciml_data.bench import run_headline
    from sciml_data.bench.scoring import require_predictions_file

    require_predictions_file(predictions)
    loaded = load_named_benchmark(benchmark, options)
    run = score(
        loaded,
        predictions,
        home=home_of(options),
        log=log,
        **{name: options[name] for name in ("model", "seed", "units")},
    )
    click.echo(json.dumps(run.record, indent=2) if as_json else run_headline(run.record))
    if not as_json:
        click.echo(run.folder)
