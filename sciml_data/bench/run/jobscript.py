"""Write the job script for a benchmark's run under Slurm. Nothing is submitted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sciml_data.errors import CallError, Problem

# Values with these characters only have no special meaning to sbatch or a shell.
DIRECTIVE = re.compile(r"[A-Za-z0-9._:,@%+/=-]+")


@dataclass(frozen=True)
class Job:
    """The resources that a job requests, as sbatch(1) names them; None is the cluster's default."""

    nodes: int
    ntasks_per_node: int = 1
    cpus_per_task: int | None = None
    gpus_per_node: int | None = None
    time: str | None = None
    partition: str | None = None
    account: str | None = None


def write_job_script(benchmark: str, job: Job, run: Sequence[str], *, name: str | None) -> str:
    """Return the text of a job script.

    Args:
        benchmark: name of the benchmark, for the name of the job.
        job: resources.
        run: words of the command that runs the benchmark, including `--home`.
        name: of the run's folder. None chooses a name from the job's number, which stays the same
            when the job is requeued. "" adds no name, because `run` has one.

    Raises:
        CallError: a value has special characters, or GPUs cannot be divided among tasks.
    """
    _check(job)
    folder = '"slurm-${SLURM_JOB_ID}"' if name is None else shlex.quote(name)
    named = f" --name {folder}" if folder != "''" else ""
    cpus = f" --cpus-per-task={job.cpus_per_task}" if job.cpus_per_task else ""
    gpus = ""
    if job.gpus_per_node and job.ntasks_per_node > 1:
        gpus = f" --gpus-per-task={job.gpus_per_node // job.ntasks_per_node}"
    lines = [
        "#!/usr/bin/env bash",
        *(f"#SBATCH --{key}={value}" for key, value in _directives(benchmark, job).items()),
        "#SBATCH --requeue",
        "#SBATCH --open-mode=append",
        f"# Written by `sciml-data sbatch {benchmark}`. All nodes must share the folder of --home.",
        "set -euo pipefail",
        "",
        f"run=({' '.join(map(shlex.quote, run))})",
        "",
        "# One task brings the data here, before the tasks of the run read them.",
        f'srun --nodes=1 --ntasks=1 --ntasks-per-node=1{cpus} "${{run[@]}}" --stage-only',
        "",
        "# A task that fails ends the others. A requeued job resumes after the last whole epoch.",
        f"srun --kill-on-bad-exit=1 --distribution=block{cpus}{gpus} "
        f'"${{run[@]}}" --nodes {job.nodes}{named}',
    ]
    return "\n".join(lines) + "\n"


def _directives(benchmark: str, job: Job) -> Mapping[str, object]:
    directives = {
        "job-name": f"sciml-{benchmark}",
        "nodes": job.nodes,
        "ntasks-per-node": job.ntasks_per_node,
        "cpus-per-task": job.cpus_per_task,
        "gpus-per-node": job.gpus_per_node,
        "time": job.time,
        "partition": job.partition,
        "account": job.account,
    }
    return {key: value for key, value in directives.items() if value is not None}


def _check(job: Job) -> None:
    texts = {"time": job.time, "partition": job.partition, "account": job.account}
    problems = [
        Problem("value", f"--{key}", f"{text!r} has characters with a special meaning in a script")
        for key, text in texts.items()
        if text is not None and not DIRECTIVE.fullmatch(text)
    ]
    if job.gpus_per_node and job.gpus_per_node % job.ntasks_per_node:
        message = f"{job.gpus_per_node} GPUs cannot be divided among {job.ntasks_per_node} tasks"
        problems.append(Problem("value", "--gpus-per-node", message))
    if problems:
        raise CallError(
            "the job script cannot be written", problems=problems, untouched="nothing was written"
        )
