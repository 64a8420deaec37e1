"""What Slurm says of a job step, and the TF_CONFIG that follows from it.

Pure functions of an environment mapping. Lists of hosts are expanded here and not by `scontrol show
hostnames`: jobs often run in a container that lacks Slurm's programs, and a function of a text can
be tested without a cluster. Names of variables: srun(1), "OUTPUT ENVIRONMENT VARIABLES".
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

# Ports of a job's workers: below 32768, where Linux begins to hand out ports by itself
# (ip_local_port_range). 256 jobs with neighbouring numbers do not share one.
FIRST_PORT, PORTS = 16384, 16384
PORTS_OF_JOB = 64
MOST_HOSTS = 65_536  # a list that says more is a mistake, not a cluster
HOST_ITEM = re.compile(r"(?:[A-Za-z0-9._-]|\[[0-9,-]+\])+")
RANGE = re.compile(r"(\d+)(?:-(\d+))?")
TASKS = re.compile(r"(\d+)(?:\(x(\d+)\))?")


@dataclass(frozen=True)
class Step:
    """This task's place in a job step.

    Attributes:
        job: number of the job.
        rank: of this task, from 0.
        hosts: names of the step's nodes, in Slurm's order.
        tasks: how many tasks run on each of them.
    """

    job: int
    rank: int
    hosts: tuple[str, ...]
    tasks: tuple[int, ...]

    @property
    def task_count(self) -> int:
        """Return how many tasks the step has."""
        return sum(self.tasks)


def expand_hosts(text: str) -> list[str]:
    """Return the host names of a list such as `node[01-03,07],gpu1`, in order.

    Raises:
        CallError: it is no list of hosts.
    """
    items = re.split(r",(?![^\[]*\])", text)
    hosts: list[str] = []
    for item in items:
        if not HOST_ITEM.fullmatch(item):
            raise CallError(f"{text!r} is not a list of hosts: {item!r} is not understood")
        pieces = [
            _numbers(piece[1:-1], text) if piece.startswith("[") else [piece]
            for piece in re.findall(r"\[[^\]]*\]|[^\[]+", item)
        ]
        if len(hosts) + math.prod(map(len, pieces)) > MOST_HOSTS:
            raise CallError(f"{text!r} names more than {MOST_HOSTS:,} hosts")
        hosts += ("".join(chosen) for chosen in itertools.product(*pieces))
    return hosts


def read_step(environment: Mapping[str, str]) -> Step | None:
    """Return the job step that this process is a task of, None where it is none.

    Raises:
        CallError: Slurm's variables are incomplete or contradict each other.
    """
    if not environment.get("SLURM_STEP_ID"):
        return None
    hosts = expand_hosts(_first(environment, "SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"))
    per_node = _first(environment, "SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE")
    tasks: list[int] = []
    for part in per_node.split(","):
        if not (found := TASKS.fullmatch(part)):
            raise CallError(f"Slurm's tasks of each node are not understood: {per_node!r}")
        tasks += [int(found[1])] * int(found[2] or 1)
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
            f"Slurm's variables contradict each other: {numbers['count']} tasks, "
            f"{len(hosts)} nodes, {per_node!r} tasks on each"
        )
    if numbers["rank"] >= numbers["count"]:
        raise CallError(f"SLURM_PROCID is {numbers['rank']} of {numbers['count']} tasks")
    return Step(numbers["job"], numbers["rank"], tuple(hosts), tuple(tasks))


def check_nodes(
    environment: Mapping[str, str], nodes: int, *, benchmark: str, strategy: str
) -> None:
    """Hold the number of nodes that is asked for against the job step.

    Raises:
        CallError: this is no job step, or one of another size, or the strategy is for one process.
    """
    if strategy not in {"auto", "multiworker"}:
        raise CallError(
            f"--nodes is for strategy multiworker, not for {strategy!r}",
            untouched="nothing was run",
        )
    step = read_step(environment)
    sbatch = f"sciml-data sbatch {benchmark} --nodes {nodes} writes a job script that does"
    if step is None:
        raise CallError(
            f"--nodes {nodes} needs a process on each node, and Slurm started none here",
            untouched="nothing was run",
            hint=f"start it with srun; {sbatch}",
        )
    if len(step.hosts) != nodes:
        raise CallError(
            f"--nodes {nodes} was asked for; this step of job {step.job} has {len(step.hosts)}",
            untouched="nothing was run",
            hint=f"srun --nodes={nodes}; {sbatch}",
        )


def join_cluster(environment: MutableMapping[str, str], strategy: str) -> None:
    """Set TF_CONFIG to what Slurm says, where a strategy asks for it and it is not set already.

    Raises:
        CallError: see `tf_config`.
    """
    if strategy in {"auto", "multiworker"} and not environment.get(CLUSTER_VARIABLE):
        said = tf_config(environment)
        if said is not None:
            environment[CLUSTER_VARIABLE] = said


def tf_config(environment: Mapping[str, str]) -> str | None:
    """Return the TF_CONFIG of this task: every task of the step is a worker.

    None outside of a job step, and in one of a single task.

    Raises:
        CallError: what Slurm says is not understood, or tasks do not fill node after node.
    """
    step = read_step(environment)
    if step is None or step.task_count == 1:
        return None
    if max(step.tasks) > PORTS_OF_JOB:
        raise CallError(f"{max(step.tasks)} tasks on a node; {PORTS_OF_JOB} at most have a port")
    places = [(node, local) for node, count in enumerate(step.tasks) for local in range(count)]
    said = (_number(environment, "SLURM_NODEID"), _number(environment, "SLURM_LOCALID"))
    if places[step.rank] != said:
        raise CallError(
            f"task {step.rank} is number {said[1]} on node {said[0]}: tasks do not fill "
            "node after node",
            hint="srun --distribution=block",
        )
    port = FIRST_PORT + step.job * PORTS_OF_JOB % PORTS
    workers = [f"{step.hosts[node]}:{port + local}" for node, local in places]
    task = {"type": "worker", "index": step.rank}
    return json.dumps({"cluster": {"worker": workers}, "task": task})


def _numbers(text: str, whole: str) -> list[str]:
    """Return the numbers of `01-03,07`, each as wide as the first of its range."""
    found: list[str] = []
    for part in text.split(","):
        ends = RANGE.fullmatch(part)
        first, last = (ends[1], ends[2] or ends[1]) if ends else ("1", "0")
        count = int(last) - int(first) + 1
        if not 0 < count <= MOST_HOSTS:
            raise CallError(f"{whole!r} is not a list of hosts: {part!r} is no range")
        found += (f"{int(first) + step:0{len(first)}d}" for step in range(count))
    return found


def _first(environment: Mapping[str, str], *names: str) -> str:
    """Return the first variable that is set.

    Raises:
        CallError: none is.
    """
    for name in names:
        if environment.get(name):
            return environment[name]
    raise CallError(f"Slurm set none of {', '.join(names)}")


def _number(environment: Mapping[str, str], *names: str) -> int:
    text = _first(environment, *names)
    if not re.fullmatch(r"[0-9]+", text):
        raise CallError(f"{names[0]} is {text!r}, not a number")
    return int(text)
