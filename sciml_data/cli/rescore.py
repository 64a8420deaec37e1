"""`sciml-data rescore`: a run's scores again, from its stored predictions."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from sciml_data.cli.options import home_option, mirror_option, registry_option


@click.command(
    epilog="""\b
Examples:
  sciml-data rescore latest
  sciml-data rescore runs/20260807T120000Z-lstm-temporal-s0 --json
"""
)
@click.argument("run")
@mirror_option
@registry_option
@home_option
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
def command(
    run: str, mirrors: tuple[str, ...], registry: Path | None, home: Path | None, *, as_json: bool
) -> None:
    """Score RUN (a path, an id or `latest`) again and compare with its record.

    The model's scores come from the stored predictions, the baselines' from the dataset. The
    record's `verification` is brought up to date. Exit 1 if any score differs.
    """
    from sciml_data.bench.machine import import_tensorflow_quietly
    from sciml_data.bench.record import load_record
    from sciml_data.bench.rescore import rescore
    from sciml_data.bench.runs import find_run
    from sciml_data.bench.staging import Sample, stage
    from sciml_data.home import find_home
    from sciml_data.registry import find_registry

    place, kept = find_home(home), find_registry(registry)
    folder = find_run(place, run)
    seed = load_record(folder)["dataset"]["sample_seed"]
    import_tensorflow_quietly()
    checked, differences = rescore(
        folder,
        kept,
        stage=lambda task: stage(
            task,
            kept,
            home=place,
            mirrors=mirrors,
            sample=None if seed is None else Sample(seed),
            notice=lambda text: click.echo(text, err=True),
        ),
    )
    if as_json:
        found = [asdict(difference) for difference in differences]
        click.echo(json.dumps({"scores": checked, "differences": found}, indent=2))
    else:
        for one in differences:
            words = f"record {one.recorded}, computed {one.computed}"
            click.echo(f"{one.part}  {one.metric}  {one.predictor}  {words}")
        click.echo(f"{checked} scores computed again, {len(differences)} differ from the record")
    if differences:
        sys.exit(1)
