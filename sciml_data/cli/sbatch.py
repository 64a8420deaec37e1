"""`sciml-data sbatch`: write or submit the job script of a run under Slurm."""

from __future__ import annotations

import difflib
import subprocess
import sys
from collections.abc import Mapping
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
  sciml-data sbatch tevolop --seeds 0-4 --mem 16G --qos short --submit
  sciml-data sbatch tevolop --array 0-9%2 --constraint a100 --mail-type END,FAIL --submit --dry-run
  sciml-data sbatch uno --dataset uno_ccle --sbatch-option exclusive --sbatch-option nice=100
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
@click.option("--mem", metavar="SIZE", help="Memory of each node, such as 16G.")
@click.option("--time", metavar="TIME", help="Time limit: HH:MM:SS, DAYS-HOURS or MINUTES.")
@click.option(
    "--array",
    metavar="SEEDS",
    help="Seeds of a job array, a job for each: 0-4, or 0-4%2 for two at once. --seeds 0-4 "
    "makes an array, too.",
)
@click.option("--partition", metavar="NAME", help="Partition (queue).")
@click.option("--account", metavar="NAME", help="Account to charge.")
@click.option("--qos", metavar="NAME", help="Quality of service.")
@click.option("--constraint", metavar="FEATURES", help="Features that the nodes must have.")
@click.option("--mail-type", metavar="EVENTS", help="Events that send a mail, such as END,FAIL.")
@click.option("--mail-user", metavar="ADDRESS", help="Address of the mail.")
@click.option(
    "--sbatch-option",
    "more",
    metavar="NAME[=VALUE]",
    multiple=True,
    help="Any other option of sbatch. Can be repeated.",
)
@click.option(
    "--output",
    metavar="FILE",
    type=UserPath(dir_okay=False),
    help="File for the script. Default: stdout.",
)
@click.option("--submit", is_flag=True, help="Submit the script, and print the number of the job.")
@click.option(
    "--dry-run", is_flag=True, help="Print the script that would be submitted, and submit nothing."
)
def command(
    words: tuple[str, ...], *, output: Path | None, submit: bool, dry_run: bool, **options: Any
) -> None:
    """Write the job script that runs BENCHMARK under Slurm, or submit it.

    All options of `sciml-data run` are accepted too. The script fetches and converts the data in
    its first task, then trains in all tasks. Several seeds are a job array. A requeued job resumes
    its run. Every node must be able to read the home and this installation.
    """
    from sciml_data.bench import Job, describe_time, write_job_script

    given = _parsed(words)
    options["array"] = _array(given, options["array"])
    benchmark, run, name = _run_words(words, given, threads=options["cpus_per_task"])
    script = write_job_script(benchmark, Job(**options), run, name=name)
    if options["time"]:
        log(f"time limit: {describe_time(options['time'])}")
    if submit and not dry_run:
        if output is not None:
            print_or_write(script, output)
        click.echo(_submit(script))
        return
    print_or_write(script, output)
    if output is not None:
        log(f"written: {output}")


def _submit(script: str) -> str:
    """Submit a script, and return the number of the job."""
    try:
        done = subprocess.run(
            ["sbatch", "--parsable"],  # noqa: S607 - the cluster's own, on the user's path
            input=script,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise CallError(
            f"sbatch cannot be started: {error.strerror}",
            untouched="nothing was submitted",
            hint="on a computer with Slurm: sbatch FILE, with the FILE of --output",
        ) from error
    if done.returncode:
        raise CallError(
            f"sbatch refuses the job: {done.stderr.strip()}", untouched="nothing was submitted"
        )
    return done.stdout.strip().partition(";")[0]  # of several clusters, the name follows


def _parsed(words: tuple[str, ...]) -> dict[str, Any]:
    """Return the parameters of `run`; a wrong option is reported with the usage of `sbatch`."""
    from sciml_data.cli.run import command as run_command

    context = click.get_current_context()
    try:
        return run_command.make_context("sciml-data run", list(words)).params
    except click.NoSuchOption as error:
        known = {
            name
            for each in (context.command, run_command)
            for param in each.get_params(context)
            for name in param.opts
        }
        near = difflib.get_close_matches(error.option_name, known)
        raise click.NoSuchOption(error.option_name, possibilities=near, ctx=context) from error
    except click.UsageError as error:
        error.ctx = context
        raise


def _array(given: Mapping[str, Any], array: str | None) -> str | None:
    """Return the seeds of a job array: those of --array, or of --seeds of `run`.

    Raises:
        CallError: there is another option for the seed, or a run to resume, which has its seed.
    """
    if array is None:
        return "".join((given["seeds"] or "").split()) or None
    options = {"seed": "--seed", "seeds": "--seeds", "resume": "--resume"}
    if others := [typed for name, typed in options.items() if given[name] is not None]:
        raise CallError(
            f"--array cannot be used with {', '.join(others)}: the seeds of --array are those of "
            "the runs",
            untouched="nothing was written",
        )
    return array


def _run_words(
    words: tuple[str, ...], given: dict[str, Any], *, threads: int | None
) -> tuple[str, list[str], str | None]:
    """Return (benchmark, words of the command to run, name of its folder), all checked.

    Raises:
        CallError: `run` does not accept them, or the job script sets them itself.
    """
    from sciml_data.bench import check_names
    from sciml_data.cli.run import read_request
    from sciml_data.registry import named_folders

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
    passed = _without([*words], {"--name", "--seeds", *(option for option, _ in own)})
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
