"""`sciml-data sbatch`: write or submit the job script of a run or a conversion under Slurm."""

from __future__ import annotations

import difflib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli.options import home_of
from sciml_data.cli.output import log, print_or_write
from sciml_data.cli.program import UserPath, Verb
from sciml_data.errors import CallError
from sciml_data.progress import counted

if TYPE_CHECKING:
    from sciml_data.home import DatasetFolder, Home
    from sciml_data.registry import Descriptor

# Options of `run` that the job script sets itself.
DECIDED = {"nodes": "--nodes", "stage_only": "--stage-only", "as_json": "--json"}
CONVERT = "convert"  # as the first word, instead of a benchmark
# Options of `convert` that the job script sets itself, and of those that shares do not have.
DECIDED_OF_CONVERT = {"share": "--share", "finish": "--finish", "as_json": "--json"}
NOT_IN_SHARES = {"cluster": "--cluster", "again": "--again"}
ONLY_OF_RUNS = {"nodes": 1, "ntasks_per_node": 1, "gpus_per_node": None}  # with their defaults


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
  sciml-data sbatch convert cloud_slstr_ds1 --array 8 --cpus-per-task 4 --time 04:00:00 --submit
  sciml-data sbatch convert cloud_slstr_ds1 --array 100%20 --mem 4G --output convert.sh
""",
)
@click.argument(
    "words",
    nargs=-1,
    required=True,
    type=click.UNPROCESSED,
    metavar="BENCHMARK … | convert DATASET …",
)
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
    metavar="SEEDS|N",
    help="Seeds of a job array, a job for each: 0-4, or 0-4%2 for two at once. --seeds 0-4 "
    "makes an array, too. With `convert`: the number of shares, a job for each: 8, or 8%4.",
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
    """Write the job script that runs BENCHMARK or converts DATASET under Slurm, or submit it.

    All options of `sciml-data run` are accepted too. The script fetches and converts the data in
    its first task, then trains in all tasks. Several seeds are a job array. A requeued job resumes
    its run. Every node must be able to read the home and this installation.

    With `convert`, all options of `sciml-data convert` are accepted. With --array N, a job array
    converts N shares of the fetched files, and a job that depends on it completes the ready form;
    --submit prints the numbers of both. Finished files are not made again.
    """
    from sciml_data.bench import describe_time

    is_conversion = words[0] == CONVERT
    submits = submit and not dry_run
    if is_conversion:
        script = _conversion_script(words, options, submits=submits)
    else:
        script = _run_script(words, options)
    if options["time"]:
        log(f"time limit: {describe_time(options['time'])}")
    if submits:
        if output is not None:
            print_or_write(script, output)
        _submit_all(script, has_last_step=is_conversion and options["array"] is not None)
        return
    print_or_write(script, output)
    if output is not None:
        log(f"written: {output}")


def _run_script(words: tuple[str, ...], options: dict[str, Any]) -> str:
    """Return the job script of a run."""
    from sciml_data.bench import Job, write_job_script
    from sciml_data.cli.run import command as run_command

    given = _parsed("run", run_command, words)
    options["array"] = _array(given, options["array"])
    benchmark, run, name = _run_words(words, given, threads=options["cpus_per_task"])
    return write_job_script(benchmark, Job(**options), run, name=name)


def _conversion_script(words: tuple[str, ...], options: dict[str, Any], *, submits: bool) -> str:
    """Return the job script of a conversion.

    Raises:
        CallError: there is no such dataset, or no format for it; an option does not fit; or the
            script will be submitted, and nothing was fetched that the jobs could convert.
    """
    from sciml_data import describe
    from sciml_data.bench import Job, write_conversion_script
    from sciml_data.cli.convert import command as convert_command
    from sciml_data.cli.convert import read_options
    from sciml_data.formats import require_format
    from sciml_data.home import find_home

    given = _parsed(CONVERT, convert_command, words[1:])
    _check_conversion(given, options)
    read_options(given["given"])
    home = find_home(given["home"])
    descriptor = describe(given["dataset"], version=given["version"], registry=given["registry"])
    require_format(descriptor, home.dataset(descriptor.dataset, descriptor.version).native)
    _check_fetched(descriptor, home, given, submits=submits)
    own = [("--home", each) for each in (home.root, *home.shared)]
    passed = _without([*words[1:]], {"--jobs", "--home", "--registry"})
    command = [*_program(CONVERT, passed), *_registries(given)]
    command += [str(word) for pair in own for word in pair]
    return write_conversion_script(
        given["dataset"], Job(**options), command, processes=given["jobs"]
    )


def _check_fetched(
    descriptor: Descriptor, home: Home, given: Mapping[str, Any], *, submits: bool
) -> None:
    """Refuse to submit jobs that would find no native files; warn if the script is only printed."""
    seed = given["sample_seed"] if given["sample"] else None
    try:
        _require_native(
            descriptor, home.dataset(descriptor.dataset, descriptor.version, sample_seed=seed)
        )
    except CallError as error:
        error.untouched = "nothing was submitted"
        if submits:
            raise
        log(f"warning: the jobs would fail: {error.message}; first: {error.hint}")


def _require_native(descriptor: Descriptor, folder: DatasetFolder) -> None:
    """Raise an error with the command that fetches if native files are missing."""
    from sciml_data.transfer import load_fetched

    fetched = load_fetched(descriptor, folder)
    missing = [e.path for e in fetched.manifest if not (fetched.root / e.path).exists()]
    if missing:
        seed = folder.sample_seed
        sample = "" if seed is None else f" --sample --sample-seed {seed}"
        raise CallError(
            f"{len(missing)} of {counted(len(fetched.manifest), 'native file')} are not in "
            f"{fetched.root}, such as {missing[0]}",
            hint=f"sciml-data get {descriptor.dataset} --version {descriptor.version}{sample}",
        )


def _check_conversion(given: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Raise an error for options that do not fit a job that converts.

    Args:
        given: parameters of `convert`.
        options: resources of the job.
    """
    _refuse_decided(given, DECIDED_OF_CONVERT)
    unfit = [typed for name, typed in NOT_IN_SHARES.items() if given[name]]
    if unfit and options["array"] is not None:
        raise CallError(
            f"--array cannot be used with {', '.join(unfit)}: a share is converted by its own job, "
            "and keeps finished files when it is started again",
            untouched="nothing was written",
        )
    if unfit := [name for name, default in ONLY_OF_RUNS.items() if options[name] != default]:
        typed = ", ".join(f"--{name.replace('_', '-')}" for name in unfit)
        raise CallError(
            f"{typed} cannot be used with convert: a job that converts has one task without GPUs",
            untouched="nothing was written",
            hint="--array N makes N jobs, --cpus-per-task and --jobs set the processes of a job",
        )


def _refuse_decided(given: Mapping[str, Any], decided: Mapping[str, str]) -> None:
    """Raise an error for options that the job script sets itself."""
    if typed := [option for name, option in decided.items() if given[name]]:
        raise CallError(
            f"the job script sets {', '.join(typed)} itself",
            untouched="nothing was written",
        )


def _program(verb: str, words: list[str]) -> list[str]:
    """Return the words that start this installation."""
    return [sys.executable, "-m", "sciml_data", verb, *words]


def _registries(given: Mapping[str, Any]) -> list[str]:
    """Return the options that name the registries of a call by absolute paths."""
    from sciml_data.registry import named_folders

    folders = named_folders(given["registry"])
    return [str(word) for folder in folders for word in ("--registry", folder.resolve())]


def _submit_all(script: str, *, has_last_step: bool) -> None:
    """Submit a script, and its last step if it has one; print the numbers of the jobs."""
    from sciml_data.bench import last_step_options

    job = _submit(script)
    click.echo(job)
    if has_last_step:
        last = _submit(script, *last_step_options(job), submitted=f"job {job} was submitted")
        click.echo(last)
        log(f"job {job} converts the shares, job {last} completes the ready form afterwards")


def _submit(script: str, *options: str, submitted: str = "nothing was submitted") -> str:
    """Submit a script, and return the number of the job.

    Args:
        script: its text.
        options: of sbatch, which override those in the script.
        submitted: what was submitted before, for an error.
    """
    try:
        done = subprocess.run(  # noqa: S603
            # The cluster's own program, on the user's path; the options are ours.
            ["sbatch", "--parsable", *options],  # noqa: S607
            input=script,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise CallError(
            f"sbatch cannot be started: {error.strerror}",
            untouched=submitted,
            hint="on a computer with Slurm: sbatch FILE, with the FILE of --output",
        ) from error
    if done.returncode:
        raise CallError(f"sbatch refuses the job: {done.stderr.strip()}", untouched=submitted)
    return done.stdout.strip().partition(";")[0]  # of several clusters, the name follows


def _parsed(verb: str, command: click.Command, words: tuple[str, ...]) -> dict[str, Any]:
    """Return the parameters of a verb; a wrong option is reported with the usage of `sbatch`."""
    context = click.get_current_context()
    try:
        return command.make_context(f"sciml-data {verb}", list(words)).params
    except click.NoSuchOption as error:
        known = {
            name
            for each in (context.command, command)
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

    _refuse_decided(given, DECIDED)
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
    own_options = {"--name", "--seeds", "--registry", *(option for option, _ in own)}
    run = _program("run", _without([*words], own_options))
    run += [*(str(word) for pair in own for word in pair), *_registries(given)]
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
