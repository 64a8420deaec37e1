"""`sciml-data rescore`: recompute scores from stored predictions."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli import completion
from sciml_data.cli.options import (
    home_of,
    home_option,
    mirror_option,
    registry_option,
    runs_option,
    trust_option,
    wait_option,
)
from sciml_data.cli.output import log, log_one_left_out
from sciml_data.cli.program import Verb
from sciml_data.progress import counted

if TYPE_CHECKING:
    from sciml_data.bench import Difference, Source, Task


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data rescore latest
  sciml-data rescore runs/20260807T120000Z-residual-lstm-temporal-s0 --json
  sciml-data rescore results/lab/earthquake/node-a/first
""",
)
@click.argument("run", shell_complete=completion.runs)
@mirror_option
@registry_option
@trust_option
@home_option
@runs_option
@wait_option
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
def command(run: str, *, as_json: bool, **options: Any) -> None:
    """Recompute the scores of RUN (a path, an id or `latest`) and compare them with its record.

    The scores of the model are computed from the stored predictions, those of the baselines from
    the dataset. The `verification` of the record is updated. RUN can be the folder of a submission:
    all its runs are scored, and the result is stored in its `verification.json`. Exits with 1 if
    any score differs.
    """
    from sciml_data.results.submission import is_submission

    folder = Path(run).expanduser()
    if is_submission(folder):
        is_equal = _packed(folder, options, as_json=as_json)
    else:
        is_equal = _one(run, options, as_json=as_json)
    if not is_equal:
        sys.exit(1)


def _one(run: str, options: Mapping[str, Any], *, as_json: bool) -> bool:
    """Rescore a run of the home, print the differences, and return whether there are none."""
    from sciml_data import rescore
    from sciml_data.bench import find_run, import_tensorflow_quietly

    home = home_of(options)
    folder = find_run(home, run, on_left_out=log_one_left_out)
    import_tensorflow_quietly()
    checked, differences = rescore(
        folder, mirrors=options["mirrors"], registry=options["registry"], home=home, log=log
    )
    if as_json:
        rows = [asdict(difference) for difference in differences]
        click.echo(json.dumps({"scores": checked, "differences": rows}, indent=2))
    else:
        _print_differences(differences)
        click.echo(
            f"{counted(checked, 'score')} recomputed, {len(differences)} differ from the record"
        )
    return not differences


def _packed(folder: Path, options: Mapping[str, Any], *, as_json: bool) -> bool:
    """Rescore every run of a submission, print the differences, return whether there are none."""
    from sciml_data.registry import find_registry
    from sciml_data.results.submission import load_packed_record, record_name, rescore_packed

    data = load_packed_record(folder / record_name(1))["dataset"]
    outcome = rescore_packed(
        folder,
        find_registry(options["registry"]),
        stage=lambda task: _stage(task, data, options),
    )
    total = sum(map(len, outcome.differences.values()))
    if as_json:
        click.echo(json.dumps({**asdict(outcome), "equal": outcome.is_equal}, indent=2))
        return outcome.is_equal
    for name, differing in outcome.differences.items():
        _print_differences(differing, f"{name}  ")
    for problem in outcome.problems:
        click.echo(problem)
    for name, state in outcome.states.items():
        click.echo(f"{name}: {state}")
    click.echo(f"{counted(outcome.scores, 'score')} recomputed, {total} differ from the records")
    return outcome.is_equal


def _stage(task: Task, data: Mapping[str, Any], options: Mapping[str, Any]) -> Source:
    """Fetch and convert the dataset of a record."""
    from sciml_data.bench import Sample, import_tensorflow_quietly, stage
    from sciml_data.home import find_home
    from sciml_data.registry import find_registry

    import_tensorflow_quietly()
    return stage(
        task,
        find_registry(options["registry"]),
        home=find_home(options["home"], runs=options["runs_folder"], wait=options["wait"], log=log),
        mirrors=options["mirrors"],
        sample=Sample.of(data),
        log=log,
    )


def _print_differences(differences: Iterable[Difference], start: str = "") -> None:
    for item in differences:
        values = f"record {item.recorded}, computed {item.computed}"
        click.echo(f"{start}{item.part}  {item.metric}  {item.predictor}  {values}")
