"""`sciml-data runs`: list, filter and remove the runs in the home."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from sciml_data.cli import completion
from sciml_data.cli.options import home_of, home_option, runs_option
from sciml_data.cli.output import log, log_left_out, log_one_left_out, table
from sciml_data.cli.program import VerbGroup
from sciml_data.errors import CallError, nearest
from sciml_data.progress import counted

NOTE_NAME = "note.txt"  # of the user, beside the record, which is never changed
DIGITS = 6  # enough to see which of two runs is better
ID_CHARACTERS = 8  # of a run's id: enough to name a run among thousands
HEADINGS = (
    "run", "benchmark", "split", "model", "seed", "score", "metric", "status", "note", "name",
)  # fmt: skip
OPTIONAL = ("name", "metric", "seed")  # columns that a narrow terminal can do without, in order


@click.group(
    "runs",
    cls=VerbGroup,
    invoke_without_command=True,
    epilog="""\b
Examples:
  sciml-data runs
  sciml-data runs --benchmark uno --split cell --best
  sciml-data runs --benchmark tevolop --sort nnse_averaged.mean
  sciml-data runs note latest "twice the width"
  sciml-data runs rm 3f2a91c0
""",
)
@click.option(
    "--benchmark",
    metavar="NAME",
    help="Runs of this benchmark only.",
    shell_complete=completion.benchmarks,
)
@click.option("--split", metavar="NAME", help="Runs of this split only.")
@click.option("--model", metavar="NAME", help="Runs of this model only.")
@click.option("--best", is_flag=True, help="Sort by the headline score, the best run first.")
@click.option(
    "--sort",
    metavar="METRIC",
    help="Print and sort by this metric of the test part, the best run first.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the runs as a JSON list.")
@home_option
@runs_option
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    best: bool,
    sort: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Print a line for each run in the home, the oldest first.

    The score is that of the headline metric, or of --sort, in the test part. Synthetic runs are
    marked, because their scores are not comparable with others. RUN of other commands is the id in
    the first column, or the name. A narrow terminal has no room for all columns; a pipe has.
    """
    if context.invoked_subcommand is not None:
        return
    from sciml_data.bench import stored_runs

    home = home_of(options)
    runs, left_out = stored_runs(home)
    wanted = {key: options[key] for key in ("benchmark", "split", "model")}
    every = [_row(folder, record, sort) for folder, record in runs]
    rows = [row for row in every if all(v in {None, row[k]} for k, v in wanted.items())]
    if sort and rows and all(row["score"] is None for row in rows):
        raise _no_such_metric(sort, [record for _, record in runs])
    if best or sort:
        rows.sort(key=_rank)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif rows:
        click.echo(_text(rows), nl=False)
    elif every:
        _log_no_match(every, wanted)
    else:
        log(f"no run is in {home.runs_folder}; `sciml-data run BENCHMARK` makes a run")
    log_left_out(left_out)


def _log_no_match(rows: Sequence[Mapping[str, Any]], wanted: Mapping[str, str | None]) -> None:
    """Log which values the runs have instead of those that were given."""
    for key, value in wanted.items():
        known = sorted({row[key] for row in rows})
        if value is not None and value not in known:
            log(f"no run has {key} {value!r}{nearest(value, known)}; runs have {', '.join(known)}")
            return
    log(f"none of {counted(len(rows), 'run')} has all of these values")


def _no_such_metric(key: str, records: Sequence[Mapping[str, Any]]) -> CallError:
    from sciml_data.bench.scoring import row_key

    known = sorted({row_key(row) for record in records for row in record["metrics"]})
    return CallError(
        f"no run has a score of metric {key!r} in the test part{nearest(key, known)}",
        untouched="nothing was changed",
        hint=f"--sort with one of: {', '.join(known)}",
    )


@command.command(
    epilog="""\b
Examples:
  sciml-data runs rm 3f2a91c0 --dry-run
  sciml-data runs rm 20260807T120000Z-lstm-temporal-s0 --yes
"""
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=completion.runs)
@click.option("--dry-run", is_flag=True, help="Print what would be removed, and remove nothing.")
@click.option("--yes", is_flag=True, help="Remove without asking.")
@home_option
@runs_option
def rm(runs: tuple[str, ...], *, dry_run: bool, yes: bool, **places: Any) -> None:
    """Remove each RUN: record, predictions, weights and log.

    RUN is a name or the start of an id.
    """
    from sciml_data.bench import find_run

    home = home_of(places)
    folders = [find_run(home, run, on_left_out=log_one_left_out) for run in runs]
    if outside := [f for f in folders if home.runs_folder.resolve() not in f.resolve().parents]:
        raise CallError(
            f"{outside[0]} is not a run of {home.runs_folder}", untouched="nothing was removed"
        )
    for folder in folders:
        click.echo(folder)
    if dry_run:
        return
    if not yes:
        click.confirm(f"remove {counted(len(folders), 'run')}?", abort=True, err=True)
    for folder in folders:
        shutil.rmtree(folder)


@command.command(
    epilog="""\b
Examples:
  sciml-data runs note latest "twice the width"
  sciml-data runs note latest ""
"""
)
@click.argument("run", shell_complete=completion.runs)
@click.argument("text")
@home_option
@runs_option
def note(run: str, text: str, **places: Any) -> None:
    """Store TEXT beside RUN; `runs` prints it.

    An empty TEXT removes the note. The record of the run is not changed.
    """
    from sciml_data.bench import find_run
    from sciml_data.home import write_atomically

    path = find_run(home_of(places), run, on_left_out=log_one_left_out) / NOTE_NAME
    if text.strip():
        write_atomically(path, text.strip() + "\n")
    else:
        path.unlink(missing_ok=True)


def _row(folder: Path, record: Mapping[str, Any], metric: str | None) -> dict[str, Any]:
    benchmark = record["benchmark"]
    metric = metric or benchmark["headline_metric"]
    found = _headline(record, metric)
    path = folder / NOTE_NAME
    return {
        "run": folder.name,
        "run_id": record["run_id"],
        "benchmark": benchmark["name"],
        "variant": benchmark["variant"],
        "split": record["split"]["name"],
        "model": record["model"]["name"],
        "seed": record["seeds"]["seed"],
        "status": record["status"],
        "synthetic": record["synthetic"],
        "start_time": record["timing"]["start_time"],
        "metric": metric,
        "score": None if found is None else found["score"],
        "lower_is_better": _is_lower_better(record, metric),
        "note": path.read_text(encoding="utf-8").strip() if path.is_file() else "",
    }


def _headline(record: Mapping[str, Any], key: str | None) -> Mapping[str, Any] | None:
    """Return the row of the headline metric in the test part, if it was scored."""
    from sciml_data.bench.scoring import row_key

    rows = [row for row in record["metrics"] if key is not None and row_key(row) == key]
    return next((row for row in rows if row["part"] == "test"), None)


def _is_lower_better(record: Mapping[str, Any], key: str | None) -> bool | None:
    name = (key or "").partition(".")[0]
    defined = {d["metric_id"]: d["lower_is_better"] for d in record["metric_definitions"]}
    return defined.get(name)


def _rank(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the order of a run: by task and metric, real runs first, the best score first."""
    score = row["score"]
    task = (row["benchmark"], row["variant"] or "", row["split"], row["synthetic"])
    if score is None:
        return (*task, True, 0.0)
    return (*task, False, score if row["lower_is_better"] else -score)


def _state(row: Mapping[str, Any]) -> str:
    words = [str(row["status"])] if row["status"] != "success" or not row["synthetic"] else []
    return ", ".join([*words, *(["synthetic"] * row["synthetic"])])


def _text(rows: Sequence[Mapping[str, Any]]) -> str:
    cells = [[*HEADINGS]]
    for row in rows:
        variant = f" {row['variant']}" if row["variant"] else ""
        cells.append(
            [
                row["run_id"][:ID_CHARACTERS],
                f"{row['benchmark']}{variant}",
                row["split"],
                row["model"],
                str(row["seed"]),
                "-" if row["score"] is None else f"{row['score']:.{DIGITS}g}",
                row["metric"] or "-",
                _state(row),
                row["note"],
                row["run"],
            ]
        )
    if not any(row["note"] for row in rows):
        cells = [[*line[:-2], line[-1]] for line in cells]
    are_usual = all(row["status"] == "success" and not row["synthetic"] for row in rows)
    return table(cells, optional=[*OPTIONAL, *(["status"] * are_usual)])
