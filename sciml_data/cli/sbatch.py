"""`sciml-data sbatch`: write the job script of a run under Slurm."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from sciml_data.cli.options import home_of
from sciml_data.cli.output import log, print_or_write
from sciml_data.cli.program import UserPath, Verb
from sciml_data.errors import CallError

# Options of `run` that the job script sets itself.
DECIDED = {"nodes": "--nodes", "stage_only": "--stage-only", "as_json": "--json"}


@click.command(
    cls=Verb,
    context_settings={"ignore_unknown_options": True},
    epilog="""\b
Examples:
  sciml-data sbatch tevolop --sample --nodes 1 --ntasks-per-node 2
  sciml-data sbatch tevolop --seed 1 --nodes 2 --gpus-per-node 4 --time 02:00:00 --output job.sh
  sciml-data sbatch tevolop --resume latest --nodes 2 --output job.sh
""",
)
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="BENCHMARK …")
@click.option(
    "--nodes",
    metavar="N",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Number of nodes.",
)
@click.option(
    "--ntasks-per-node",
    metavar="N",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Number of processes on each node; they share its GPUs equally.",
)
@click.option(
    "--cpus-per-task",
    metavar="N",
    type=click.IntRange(1),
    help="Number of cores and threads of a process.",
)
@click.option(
    "--gpus-per-node", metavar="N", type=click.IntRange(1), help="Number of GPUs of each node."
)
@click.option("--time", metavar="TIME", help="Time limit, as HH:MM:SS.")
@click.option("--partition", metavar="NAME", help="Partition (queue).")
@click.option("--account", metavar="NAME", help="Account to charge.")
@click.option(
    "--output",
    metavar="FILE",
    type=UserPath(dir_okay=False),
    help="File for the script. Default: stdout.",
)
def command(words: tuple[str, ...], *, output: Path | None, **options: Any) -> None:
    """Write the job script that runs BENCHMARK under Slurm; `sbatch FILE` submits it.

    All options of `sciml-data run` are accepted too. The script fetches and converts the data in
    its first task, then trains in all tasks. A requeued job resumes its run. Every node must be
    able to read the home and this installation.
    """
    from sciml_data.bench import Job, write_job_script

    benchmark, run, name = _run_words(words, threads=options["cpus_per_task"])
    script = write_job_script(benchmark, Job(**options), run, name=name)
    print_or_write(script, output)
    if output is not None:
        log(f"written: {output}")


def _run_words(words: tuple[str, ...], *, threads: int | None) -> tuple[str, list[str], str | None]:
    """Return (benchmark, words of the command to run, name of its folder), all checked.

    Raises:
        CallError: `run` does not accept them, or the job script sets them itself.
    """
    from sciml_data.bench import check_names
    from sciml_data.cli.run import command as run_command
    from sciml_data.cli.run import read_request
    from sciml_data.registry import named_folders

    given = run_command.make_context("sciml-data run", list(words)).params
    if decided := [word for name, word in DECIDED.items() if given[name]]:
        raise CallError(
            f"the job script sets {', '.join(decided)} itself",
            untouched="nothing was written",
        )
    if given["help_settings"]:
        raise CallError(
            "--help-settings prints and does not run",
            untouched="nothing was written",
            hint=f"sciml-data run {given['benchmark']} --help-settings",
        )
    home, benchmark = home_of(given), given["benchmark"]
    resumed, request, _, _ = read_request(benchmark, given, home)
    check_names(request)
    own: list[tuple[str, Path | str]] = [("--home", each) for each in (home.root, *home.shared)]
    if home.runs_root:
        own.append(("--runs", home.runs_root))
    if resumed:  # `latest` would mean another run once the job has begun
        own.append(("--resume", resumed.name))
    own += [("--registry", folder.resolve()) for folder in named_folders(given["registry"])]
    passed = _without([*words], {"--name", *(option for option, _ in own)})
    run = [sys.executable, "-m", "sciml_data", "run", *passed]
    run += [str(word) for pair in own for word in pair]
    if threads and not given["threads"]:
        run += ["--threads", str(threads)]
    return benchmark, run, "" if given["resume"] else given["name"]


def _without(words: list[str], options: set[str]) -> list[str]:
    """Return the words without these options and their values."""
    remaining: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in options:
            next(rest)
        elif word.partition("=")[0] not in options:
            remaining.append(word)
    return remaining
