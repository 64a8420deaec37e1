"""`sciml-data show`: print a run's scores beside the baselines, and draw its figures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli import completion
from sciml_data.cli.options import home_of, home_option, registry_option, runs_option, trust_option
from sciml_data.cli.output import log_left_out
from sciml_data.cli.program import UserPath, Verb

if TYPE_CHECKING:
    from sciml_data.registry import RegistryPath


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data show latest
  sciml-data show latest --all
  sciml-data show latest --figures figures/
  sciml-data show 3f2a91c0 --json
  sciml-data show results/tevolop/spatial/record-1.json
  sciml-data show 20260807T120000Z-lstm-temporal-s0 20260807T121500Z-lstm-temporal-s1
  sciml-data show 3f2a91c0 --compare 77d0c4e1
""",
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=completion.runs)
@click.option("--json", "as_json", is_flag=True, help="Print the record (or records) as JSON.")
@click.option(
    "--figures",
    metavar="DIR",
    type=UserPath(file_okay=False),
    help="Folder for copies of the figures, which are stored in the run's folder.",
)
@click.option(
    "--compare",
    "others",
    multiple=True,
    metavar="RUN",
    help="Run of another model to compare with; give it several times for repeats of it.",
)
@click.option(
    "--all",
    "shows_all",
    is_flag=True,
    help="Print every metric of every part, the intervals of all differences, and durations.",
)
@click.option("--no-figures", is_flag=True, help="Print the scores only.")
@registry_option
@trust_option
@home_option
@runs_option
def command(  # noqa: PLR0913 - options of the command line
    runs: tuple[str, ...],
    figures: Path | None,
    registry: RegistryPath,
    *,
    others: tuple[str, ...],
    as_json: bool,
    shows_all: bool,
    no_figures: bool,
    **places: Any,
) -> None:
    """Print the scores of RUN (a path, an id or `latest`) and draw its figures.

    The path is that of the run's folder or of a record file. Published record files come without
    predictions, so no figures are drawn of them.

    Several runs that differ only in their seed are printed as median and spread. Runs with
    different data, or synthetic and real runs together, are an error.

    The headline metric is printed for every part, with the 95 % intervals of the model's scores,
    and whether the model is better or worse than each baseline; --all prints every metric. With
    --compare, the headline scores of two models are compared in the same way.
    """
    from sciml_data.bench import (
        as_ended,
        check_repeats,
        compare_table,
        find_runs,
        run_headline,
        run_table,
        spread_table,
    )

    place = home_of(places)
    found, left_out = find_runs(place, runs)
    log_left_out(left_out)
    records = [record if as_json else as_ended(folder, record) for folder, record in found]
    if others:
        compared, left_out = find_runs(place, others)
        log_left_out(left_out)
        click.echo(compare_table(records, [record for _, record in compared]))
        return
    several = len(records) > 1
    if several:
        check_repeats(records)
    if as_json:
        click.echo(json.dumps(records if several else records[0], indent=2))
    else:
        name = runs[0] if Path(runs[0]).expanduser().exists() else ""
        click.echo(
            spread_table(records)
            if several
            else run_table(records[0])
            if shows_all
            else run_headline(records[0], name=name)
        )
    folder = found[0][0]  # or the file of a record, without the predictions that figures show
    if not no_figures and not as_json and not several and folder.is_dir():
        for path in _draw(folder, records[0], registry, figures):
            click.echo(path)


def _draw(
    folder: Path, record: Mapping[str, Any], registry: RegistryPath, target: Path | None
) -> list[Path]:
    """Draw the figures of a run, and return their paths."""
    from sciml_data.bench import draw_figures, draw_monitor
    from sciml_data.registry import find_registry

    paths = [*draw_figures(find_registry(registry), folder, record), *draw_monitor(folder, record)]
    if target is None:
        return paths
    target.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copy2(path, target / path.name)) for path in paths]
