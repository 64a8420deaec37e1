"""`sciml-data aggregate`: summarise repeats of a run: median, olympic mean, spread."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli import completion
from sciml_data.cli.options import home_option, registry_option, runs_option
from sciml_data.cli.output import log_left_out, write_output
from sciml_data.cli.program import UserPath, Verb

if TYPE_CHECKING:
    from sciml_data.registry import RegistryPath


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data aggregate 3f2a91c0 77b0c1aa 9d00e1f2
  sciml-data aggregate RUN RUN RUN --output summary.json
  sciml-data aggregate RUN RUN RUN --count-failed
  sciml-data aggregate RUN RUN RUN --best-of --json
""",
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=completion.runs)
@click.option(
    "--count-failed", is_flag=True, help="Include failed and aborted runs; they count as misses."
)
@click.option("--best-of", is_flag=True, help="Print the best run too, as best of N.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option(
    "--output",
    metavar="FILE",
    type=UserPath(dir_okay=False),
    help="File for the summary as JSON, besides the printed summary.",
)
@registry_option
@home_option
@runs_option
def command(
    runs: tuple[str, ...],
    output: Path | None,
    registry: RegistryPath,
    home: tuple[Path, ...],
    runs_folder: Path | None,
    *,
    as_json: bool,
    **counting: Any,
) -> None:
    """Summarise RUNs (paths, ids or `latest`) that differ only in their seed.

    Prints the median, spread and olympic mean (without the best and the worst run) of each metric
    and part, the number of runs that reached each target, the time to target, speed and energy.
    A run without a score is a miss and counts as the worst. An error is raised for runs with
    different data, splits or settings, for synthetic and real runs together, and for repeated runs.
    """
    from sciml_data.bench import find_runs
    from sciml_data.home import find_home
    from sciml_data.registry import find_registry
    from sciml_data.results.board import advised_runs, aggregate, summary_json, summary_text

    place, known = find_home(home, runs=runs_folder), find_registry(registry)
    found, left_out = find_runs(place, runs)
    log_left_out(left_out)
    records = [record for _, record in found]
    benchmark = records[0]["benchmark"]["name"]
    summary = aggregate(
        records,
        **counting,
        advised_runs=advised_runs(known, benchmark) if benchmark in known.benchmarks() else None,
    )
    if output is not None:
        write_output(output, summary_json(summary))
    click.echo(summary_json(summary) if as_json else summary_text(summary), nl=not as_json)
