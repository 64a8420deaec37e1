"""`sciml-data aggregate`: repeats of one run as median, olympic mean and spread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sciml_data.cli.options import home_option, registry_option


@click.command(
    epilog="""\b
Examples:
  sciml-data aggregate 3f2a91c0 77b0c1aa 9d00e1f2
  sciml-data aggregate RUN RUN RUN --output summary.json
  sciml-data aggregate RUN RUN RUN --count-failed
  sciml-data aggregate RUN RUN RUN --best-of --json
"""
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--count-failed", is_flag=True, help="Take failed and aborted runs, as misses.")
@click.option("--best-of", is_flag=True, help="Name the best run too, as the best of N.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the summary here too, as JSON.",
)
@registry_option
@home_option
def command(
    runs: tuple[str, ...],
    output: Path | None,
    registry: Path | None,
    home: Path | None,
    *,
    as_json: bool,
    **how: Any,
) -> None:
    """Put RUNs (paths, ids or `latest`) together that differ only in their seed.

    Prints for each metric and part median, spread and olympic mean (without the best and the
    worst), how many runs reached each target and in what time, speed and energy. A run that gave
    no score is a miss and counts as the worst. Runs on other data, splits or settings, synthetic
    beside real ones and a run that comes twice are refused.
    """
    from sciml_data.bench.record.record import load_record
    from sciml_data.bench.record.runs import find_run
    from sciml_data.home import find_home, write_output
    from sciml_data.registry.layout import find_registry
    from sciml_data.results.board import advised_runs, aggregate, summary_json, summary_text

    place, known = find_home(home), find_registry(registry)
    records = [load_record(find_run(place, run)) for run in runs]
    benchmark = records[0]["benchmark"]["name"]
    summary = aggregate(
        records,
        **how,
        advised_runs=advised_runs(known, benchmark) if benchmark in known.benchmarks() else None,
    )
    if output is not None:
        write_output(output, summary_json(summary))
    click.echo(summary_json(summary) if as_json else summary_text(summary), nl=not as_json)
