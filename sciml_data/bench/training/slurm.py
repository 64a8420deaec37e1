"""Read Slurm's variables in a job step, and make a TF_CONFIG from them.

All functions take the environment as a mapping. Lists of hosts are expanded here and not by
`scontrol show hostnames`, because jobs often run in a container without Slurm's programs, and
because a function of a text can be tested without a cluster. The variables are documented in
srun(1), "OUTPUT ENVIRONMENT VARIABLES".
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from sciml_data.bench.training.backend import CLUSTER_VARIABLE
from sciml_data.errors import CallError
from sciml_data.progress import counted

# Ports of a job's workers are below 32768, from where Linux assigns ports automatically
# (ip_local_port_range). 256 jobs with consecutive numbers have no port in common.
FIRST_PORT, PORTS = 16384, 16384
PORTS_OF_JOB = 64
MAX_HOSTS = 65_536  # a longer list is a mistake, and its expansion would fill the memory
HOST_ITEM = re.compile(r"(?:[A-Za-z0-9._-]|\[[0-9,-]+\])+")
RANGE = re.compile(r"(\d+)(?:-(\d+))?")
TASKS = re.compile(r"(\d+)(?:\(x(\d+)\))?")


@dataclass(frozen=True)
class Step:
    """The place of this task in a job step.

    Attributes:
        job: number of the job.
        rank: of this task, from 0.
        hosts: names of the step's nodes, in Slurm's order.
        tasks: number of tasks on each node.
    """

    job: int
    rank: int
    hosts: tuple[str, ...]
    tasks: tuple[int, ...]

    @property
    def task_count(self) -> int:
        """Return the number of tasks in the step."""
        return sum(self.tasks)


def expand_hosts(text: str) -> list[str]:
    """Return the host names of a list such as `node[01-03,07],gpu1`, in order.

    Raises:
        CallError: the text is not a list of hosts.
    """
    items = re.split(r",(?![^\[]*\])", text)
    hosts: list[str] = []
    for item in items:
        if not HOST_ITEM.fullmatch(item):
            raise CallError(f"{text!r} is not a list of hosts: {item!r} is not a host name")
        pieces = [
            _numbers(piece[1:-1], text) if piece.startswith("[") else [piece]
            for piece in re.findall(r"\[[^\]]*\]|[^\[]+", item)
        ]
        if len(hosts) + math.prod(map(len, pieces)) > MAX_HOSTS:
            raise CallError(f"{text!r} has more than {MAX_HOSTS:,} hosts")
        hosts += ("".join(chosen) for chosen in itertools.product(*pieces))
    return hosts


def read_step(environment: Mapping[str, str]) -> Step | None:
    """Return the place of this process in its job step, None outside of a job step.

    Raises:
        CallError: Slurm's variables are incomplete or contradict each other.
    """
    if not environment.get("SLURM_STEP_ID"):
        return None
    hosts = expand_hosts(_first(environment, "SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"))
    per_node = _first(environment, "SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE")
    tasks: list[int] = []
    for part in per_node.split(","):
        if not (match := TASKS.fullmatch(part)):
            raise CallError(f"Slurm's number of tasks on each node is not valid: {per_node!r}")
        tasks += [int(match[1])] * int(match[2] or 1)
    numbers = {
        name: _number(environment, *names)
        for name, names in {
            "job": ("SLURM_JOB_ID",),
            "rank": ("SLURM_PROCID",),
            "count": ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"),
        }.items()
    }
    if len(tasks) != len(hosts) or sum(tasks) != numbers["count"]:
        raise CallError(
            f"Slurm's variables contradict each other: {counted(numbers['count'], 'task')} on "
            f"{counted(len(hosts), 'node')}, but {per_node!r} tasks on each node"
        )
    if numbers["rank"] >= numbers["count"]:
        raise CallError(
            f"Slurm's variables contradict each other: SLURM_PROCID is {numbers['rank']}, but the "
            f"step has {numbers['count']} tasks, numbered from 0"
        )
    return Step(numbers["job"], numbers["rank"], tuple(hosts), tuple(tasks))


def check_nodes(
    environment: Mapping[str, str], nodes: int, *, benchmark: str, strategy: str
) -> None:
    """Check that the job step has the number of nodes of `--nodes`.

    Args:
        environment: of the process.
        nodes: value of `--nodes`.
        benchmark: name, for the command in the hint.
        strategy: name of the distribution strategy.

    Raises:
        CallError: this is not a job step, it has another number of nodes, or the strategy is for
            one process.
    """
    if strategy not in {"auto", "multiworker"}:
        raise CallError(
            f"--nodes needs strategy multiworker, not {strategy!r}",
            untouched="nothing was run",
            hint="--strategy multiworker",
        )
    step = read_step(environment)
    sbatch = f"`sciml-data sbatch {benchmark} --nodes {nodes}` writes a job script that does this"
    if step is None:
        raise CallError(
            f"--nodes {nodes} needs a process on each node, but Slurm did not start this process",
            untouched="nothing was run",
            hint=f"start the run with srun; {sbatch}",
        )
    if len(step.hosts) != nodes:
        raise CallError(
            f"--nodes {nodes} does not match job {step.job}, whose step has {len(step.hosts)} "
            f"node{'s' if len(step.hosts) != 1 else ''}",
            untouched="nothing was run",
            hint=f"srun --nodes={nodes}; {sbatch}",
        )


def join_cluster(environment: MutableMapping[str, str], strategy: str) -> None:
    """Set TF_CONFIG from Slurm's variables, if the strategy needs it and it is not set.

    Args:
        environment: of the process; changed in place.
        strategy: name of the distribution strategy.

    Raises:
        CallError: see `tf_config`.
    """
    if strategy in {"auto", "multiworker"} and not environment.get(CLUSTER_VARIABLE):
        config = tf_config(environment)
        if config is not None:
            environment[CLUSTER_VARIABLE] = config


def tf_config(environment: Mapping[str, str]) -> str | None:
    """Return the TF_CONFIG of this task, in which every task of the job step is a worker.

    It is None outside of a job step, and in a step with one task.

    Raises:
        CallError: Slurm's variables are not valid, or tasks are not distributed in blocks.
    """
    step = read_step(environment)
    if step is None or step.task_count == 1:
        return None
    if max(step.tasks) > PORTS_OF_JOB:
        raise CallError(
            f"{max(step.tasks)} tasks on a node; a node has ports for at most {PORTS_OF_JOB} tasks",
            hint=f"srun --ntasks-per-node={PORTS_OF_JOB}, or fewer",
        )
    # Every task computes the same list of workers, which is right only for the block distribution.
    places = [(node, local) for node, count in enumerate(step.tasks) for local in range(count)]
    place = (_number(environment, "SLURM_NODEID"), _number(environment, "SLURM_LOCALID"))
    if places[step.rank] != place:
        raise CallError(
            f"task {step.rank} is task {place[1]} on node {place[0]}: tasks are not distributed in "
            "blocks",
            hint="srun --distribution=block",
        )
    port = FIRST_PORT + step.job * PORTS_OF_JOB % PORTS
    workers = [f"{step.hosts[node]}:{port + local}" for node, local in places]
    task = {"type": "worker", "index": step.rank}
    return json.dumps({"cluster": {"worker": workers}, "task": task})


def _numbers(text: str, whole: str) -> list[str]:
    """Return the numbers of `01-03,07`, each with as many digits as the first of its range."""
    numbers: list[str] = []
    for part in text.split(","):
        ends = RANGE.fullmatch(part)
        first, last = (ends[1], ends[2] or ends[1]) if ends else ("1", "0")
        count = int(last) - int(first) + 1
        if not 0 < count <= MAX_HOSTS:
            raise CallError(f"{whole!r} is not a list of hosts: {part!r} is not a range")
        numbers += (f"{int(first) + step:0{len(first)}d}" for step in range(count))
    return numbers


def _first(environment: Mapping[str, str], *names: str) -> str:
    """Return the value of the first variable that is set.

    Raises:
        CallError: no variable is set.
    """
    for name in names:
        if environment.get(name):
            return environment[name]
    raise CallError(f"Slurm did not set {' or '.join(names)}")


def _number(environment: Mapping[str, str], *names: str) -> int:
    text = _first(environment, *names)
    if not re.fullmatch(r"[0-9]+", text):
        raise CallError(f"{names[0]} is {text!r}, not a number")
    return int(text)
