"""Write the job script for a benchmark's run or a conversion under Slurm. Nothing is submitted.

Several seeds are a job array: Slurm starts a job for each seed, with the seed as its task number.
So are the shares of a conversion; task 0 of the same script is its last step.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from sciml_data.errors import CallError, Problem

# Values with these characters only are a single word to sbatch, which knows quotes, escapes and
# comments. The shell does not read the lines: they are comments to it.
DIRECTIVE = re.compile(r"[A-Za-z0-9._:,@%+/=&|()\[\]*!~^-]+")
OPTION = re.compile(r"([a-z][a-z0-9-]*)(?:=(.+))?", re.DOTALL)
# Time limits as sbatch(1) reads them: minutes, with seconds, with hours; or days and hours.
TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<first>\d+)(?::(?P<second>\d+))?(?::(?P<third>\d+))?")
MIN_TIME_S, MAX_TIME_S = 60, 366 * 86400  # outside, the limit is a mistake of the user
SHARES = re.compile(r"(?P<count>[1-9]\d{0,4})(?P<limit>%[1-9]\d*)?")
ARRAY = re.compile(r"(?P<tasks>\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)(?:%\d+)?")
UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


@dataclass(frozen=True)
class Job:
    """The resources that a job requests, as sbatch(1) names them; None is the cluster's default.

    Attributes:
        array: the seeds, as `0-4`, `0,2,5`, or `0-4%2` for at most two jobs at once. Of a
            conversion: the number of shares, as `8`, or `8%4` for at most four at once.
        more: further options of sbatch, as `name=value` or `name`.
    """

    nodes: int
    ntasks_per_node: int = 1
    cpus_per_task: int | None = None
    gpus_per_node: int | None = None
    mem: str | None = None
    time: str | None = None
    array: str | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    mail_type: str | None = None
    mail_user: str | None = None
    more: tuple[str, ...] = ()


def write_job_script(benchmark: str, job: Job, run: Sequence[str], *, name: str | None) -> str:
    """Return the text of a job script.

    Args:
        benchmark: name of the benchmark, for the name of the job.
        job: resources.
        run: words of the command that runs the benchmark, including `--home`; without a seed for
            an array.
        name: of the run's folder; in an array, the seed is added. None chooses a name from the
            job's number, which stays the same when the job is requeued. "" adds no name, because
            `run` has one.

    Raises:
        CallError: a value is not one that sbatch accepts, or GPUs cannot be divided among tasks.
    """
    _check(job)
    cpus = _cpus(job)
    gpus = ""
    if job.gpus_per_node and job.ntasks_per_node > 1:
        gpus = f" --gpus-per-task={job.gpus_per_node // job.ntasks_per_node}"
    command = " ".join(map(shlex.quote, run))
    lines = [
        *_head(benchmark, benchmark, job),
        "set -euo pipefail",
        "",
        f"run=({command})",
        "",
        "# One task brings the data here, before the tasks of the run read them. If compute nodes",
        "# have no network, run the command above with --stage-only on a login node first.",
        f'srun --nodes=1 --ntasks=1 --ntasks-per-node=1{cpus} "${{run[@]}}" --stage-only',
        "",
        "# A task that fails ends the others. A requeued job resumes after the last whole epoch.",
        f"srun --kill-on-bad-exit=1 --distribution=block{cpus}{gpus} "
        f'"${{run[@]}}" --nodes {job.nodes}{_own_words(job, name)}',
    ]
    return "\n".join(lines) + "\n"


def write_conversion_script(
    dataset: str, job: Job, convert: Sequence[str], *, processes: int | None = None
) -> str:
    """Return the text of the job script of a conversion.

    With `job.array`, the script is submitted twice: for the shares, and with the options of
    `last_step_options` for the step that completes the ready form.

    Args:
        dataset: its id, for the name of the job.
        job: resources of each job.
        convert: words of the command that converts, including `--home`; without `--jobs`.
        processes: that convert in a job; None are as many as `job.cpus_per_task`.

    Raises:
        CallError: a value is not one that sbatch accepts.
    """
    shares = SHARES.fullmatch(job.array or "1")
    if shares is None:
        raise CallError(
            f"--array {job.array!r} is not a number of shares: 8, or 8%4 for four at once",
            untouched="nothing was written",
        )
    if job.array:
        job = replace(job, array=f"1-{shares['count']}{shares['limit'] or ''}")
    _check(job)
    processes = processes or job.cpus_per_task or 1
    jobs = f" --jobs {processes}" if processes > 1 else ""
    srun = f'srun --ntasks=1{_cpus(job)} "${{convert[@]}}"'
    lines = _head(f"convert-{dataset}", f"convert {dataset}", job)
    command = ["set -euo pipefail", "", f"convert=({' '.join(map(shlex.quote, convert))})", ""]
    if not job.array:
        command += ["# Requeued, it keeps the files that are finished.", srun + jobs]
        return "\n".join([*lines, *command]) + "\n"
    lines += [
        "# It is submitted twice: for the shares, and for the last step, which needs all of them:",
        "#     job=$(sbatch --parsable FILE)",
        f"#     sbatch {' '.join(last_step_options('${job%%;*}'))} FILE",
        *command,
        "# A share that is started again keeps the files that it made. Task 0 is the last step.",
        'if [ "${SLURM_ARRAY_TASK_ID}" -eq 0 ]; then',
        "    step=(--finish)",
        "else",
        f'    step=(--share "${{SLURM_ARRAY_TASK_ID}}/{shares["count"]}"{jobs})',
        "fi",
        f'{srun} "${{step[@]}}"',
    ]
    return "\n".join(lines) + "\n"


def last_step_options(job: str) -> list[str]:
    """Return the options of sbatch for the last step of a conversion in shares.

    If a share fails, the last step is removed from the queue instead of waiting for ever.

    Args:
        job: number of the array's job.
    """
    return ["--array=0", f"--dependency=afterok:{job}", "--kill-on-invalid-dep=yes"]


def describe_time(text: str) -> str:
    """Return a time limit in words, as Slurm reads it: `2:00` is 2 minutes.

    Raises:
        CallError: it is not a time limit of Slurm, or shorter than a minute, or longer than a year.
    """
    seconds = _time_s(text)
    words = []
    for unit, unit_s in UNITS:
        count, seconds = divmod(seconds, unit_s)
        words += [f"{count} {unit}{'s' * (count > 1)}"] * bool(count)
    return " ".join(words)


def _head(name: str, words: str, job: Job) -> list[str]:
    """Return the first lines of a script: the options of sbatch, and where it comes from."""
    return [
        "#!/usr/bin/env bash",
        *(f"#SBATCH --{line}" for line in _directives(name, job)),
        f"# Written by `sciml-data sbatch {words}`. All nodes must share the folder of --home.",
    ]


def _cpus(job: Job) -> str:
    return f" --cpus-per-task={job.cpus_per_task}" if job.cpus_per_task else ""


def _own_words(job: Job, name: str | None) -> str:
    """Return the seed and the name of the run, for the shell of the job."""
    seed = ' --seed "${SLURM_ARRAY_TASK_ID}"' if job.array else ""
    if name == "":
        return seed
    if job.array:
        start = '"slurm-${SLURM_ARRAY_JOB_ID}"' if name is None else shlex.quote(name)
        return f'{seed} --name {start}"-s${{SLURM_ARRAY_TASK_ID}}"'
    return " --name " + ('"slurm-${SLURM_JOB_ID}"' if name is None else shlex.quote(name))


def _directives(name: str, job: Job) -> Iterator[str]:
    """Yield the options of sbatch, as `name=value`."""
    yield f"job-name=sciml-{name}"
    for option, value in _values(job).items():
        yield f"{option}={value}"
    yield "requeue"
    yield "open-mode=append"
    yield from job.more  # last, so that `no-requeue` overrides


def _values(job: Job) -> Mapping[str, object]:
    values = {f.name.replace("_", "-"): getattr(job, f.name) for f in fields(job)}
    del values["more"]
    return {name: value for name, value in values.items() if value is not None}


def _check(job: Job) -> None:
    values = {name: value for name, value in _values(job).items() if isinstance(value, str)}
    problems = [*_option_problems(job), *_value_problems(values)]
    if job.array and not ARRAY.fullmatch(job.array):
        message = f"{job.array!r} is not a list of seeds: 0-4, 0,2,5, or 0-4%2 for two at once"
        problems.append(Problem("value", "--array", message))
    if job.gpus_per_node and job.gpus_per_node % job.ntasks_per_node:
        message = f"{job.gpus_per_node} GPUs cannot be divided among {job.ntasks_per_node} tasks"
        problems.append(Problem("value", "--gpus-per-node", message))
    if problems:
        raise CallError(
            "the job script cannot be written", problems=problems, untouched="nothing was written"
        )
    if job.time:
        _time_s(job.time)


def _value_problems(values: Mapping[str, str]) -> Iterator[Problem]:
    for name, text in values.items():
        if not DIRECTIVE.fullmatch(text):
            message = f"{text!r} has characters with a special meaning in a script"
            yield Problem("value", f"--{name}", message)


def _option_problems(job: Job) -> Iterator[Problem]:
    """Yield what is wrong with the options of `--sbatch-option`."""
    own = {f.name.replace("_", "-") for f in fields(job)} - {"more"}
    for text in job.more:
        match = OPTION.fullmatch(text.removeprefix("--"))
        if match is None or text.startswith("-"):
            yield Problem("value", "--sbatch-option", f"{text!r} is not NAME=VALUE or NAME")
        elif match[1] in own:
            yield Problem("value", "--sbatch-option", f"{match[1]} has an option: --{match[1]}")
        elif match[2] is not None:
            yield from _value_problems({f"sbatch-option {match[1]}": match[2]})


def _time_s(text: str) -> int:
    """Return a time limit in seconds."""
    match = TIME.fullmatch(text)
    if match is None:
        raise CallError(
            f"--time {text!r} is not a time limit of Slurm",
            untouched="nothing was written",
            hint="--time HH:MM:SS, --time DAYS-HOURS or --time MINUTES",
        )
    days, first, second, third = (int(part or 0) for part in match.groups())
    if match["days"] is not None:
        seconds = days * 86400 + first * 3600 + second * 60 + third
    elif match["third"] is not None:
        seconds = first * 3600 + second * 60 + third
    else:
        seconds = first * 60 + second
    if not MIN_TIME_S <= seconds <= MAX_TIME_S:
        limit = "less than a minute" if seconds < MIN_TIME_S else "more than a year"
        raise CallError(
            f"--time {text!r} is {limit}",
            untouched="nothing was written",
            hint="--time HH:MM:SS, --time DAYS-HOURS or --time MINUTES",
        )
    return seconds
