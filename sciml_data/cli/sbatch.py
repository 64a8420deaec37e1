"""`sciml-data sbatch`: write the job script of a run under Slurm."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from sciml_data.errors import CallError

# Of `run`, with a value of their own in a job.
DECIDED = {"nodes": "--nodes", "stage_only": "--stage-only", "as_json": "--json"}


@click.command(
    context_settings={"ignore_unknown_options": True},
    epilog="""\b
Examples:
  sciml-data sbatch tevolop --sample --nodes 1 --ntasks-per-node 2
  sciml-data sbatch tevolop --seed 1 --nodes 2 --gpus-per-node 4 --time 02:00:00 --output job.sh
  sciml-data sbatch tevolop --resume latest --nodes 2 --output job.sh
""",
)
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="BENCHMARK …")
@click.option("--nodes", type=click.IntRange(1), default=1, show_default=True, help="Nodes.")
@click.option(
    "--ntasks-per-node",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes on each node; each takes its share of the GPUs.",
)
@click.option("--cpus-per-task", type=click.IntRange(1), help="Cores of a process; its threads.")
@click.option("--gpus-per-node", type=click.IntRange(1), help="GPUs of a node.")
@click.option("--time", help="Longest time, as HH:MM:SS.")
@click.option("--partition", help="Partition (queue).")
@click.option("--account", help="Account that is charged.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write here; else to stdout.",
)
def command(words: tuple[str, ...], *, output: Path | None, **options: Any) -> None:
    """Write the job script that runs BENCHMARK under Slurm; `sbatch FILE` submits it.

    Every option of `sciml-data run` can be given too. The script fetches and converts the data in
    one task, then trains in all of them. A job that is requeued goes on with its run. The home and
    this installation have to lie where every node can read them.
    """
    from sciml_data.bench.run.jobscript import Job, write_job_script
    from sciml_data.home import write_atomically

    benchmark, run, name = _run_words(words, threads=options["cpus_per_task"])
    script = write_job_script(benchmark, Job(**options), run, name=name)
    if output is None:
        click.echo(script, nl=False)
        return
    write_atomically(output, script)
    click.echo(f"written: {output}", err=True)


def _run_words(words: tuple[str, ...], *, threads: int | None) -> tuple[str, list[str], str | None]:
    """Return (benchmark, words of the command to run, name of its folder), all checked.

    Raises:
        CallError: `run` would refuse them, or they are decided here.
    """
    from sciml_data.bench.run.request import check_names
    from sciml_data.cli.run import command as run_command
    from sciml_data.cli.run import read_request
    from sciml_data.home import find_home

    given = run_command.make_context("sciml-data run", list(words)).params
    if decided := [word for name, word in DECIDED.items() if given[name]]:
        raise CallError(f"{', '.join(decided)} cannot be chosen for a job's run")
    home, benchmark = find_home(given["home"]), given["benchmark"]
    resumed, request, _, _ = read_request(benchmark, given, home)
    check_names(request)
    own: dict[str, Path | str] = {"--home": home.root}
    if resumed:  # `latest` would mean another run once the job has begun
        own["--resume"] = resumed.name
    if given["registry"]:
        own["--registry"] = given["registry"].expanduser().resolve()
    kept = _without([*words], {*own, "--name"})
    run = [sys.executable, "-m", "sciml_data", "run", *kept]
    run += [str(word) for pair in own.items() for word in pair]
    if threads and not given["threads"]:
        run += ["--threads", str(threads)]
    return benchmark, run, "" if given["resume"] else given["name"]


def _without(words: list[str], options: set[str]) -> list[str]:
    """Return the words without these options and their values."""
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in options:
            next(rest)
        elif word.partition("=")[0] not in options:
            kept.append(word)
    return kept
