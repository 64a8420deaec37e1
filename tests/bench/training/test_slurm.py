"""Slurm's variables become a TF_CONFIG; a job script is sound, quoted, and not submitted."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from sciml_data.bench.training.backend import is_first_worker
from sciml_data.bench.training.slurm import (
    FIRST_PORT,
    PORTS,
    PORTS_OF_JOB,
    check_nodes,
    expand_hosts,
    join_cluster,
    read_step,
    tf_config,
)
from sciml_data.cli import group
from sciml_data.errors import CallError, SciMLDataError
from tests.support.paths import TOY_REGISTRY

REGISTRY = TOY_REGISTRY
FIRST_UNPRIVILEGED, FIRST_EPHEMERAL = 1024, 32768


def step(rank: int = 0, **changed: str) -> dict[str, str]:
    """Return the variables of a task in a step of 2 and 1 tasks on 2 nodes."""
    node, local = [(0, 0), (0, 1), (1, 0)][rank]
    return {
        "SLURM_JOB_ID": "4711",
        "SLURM_STEP_ID": "1",
        "SLURM_STEP_NODELIST": "node[09-10]",
        "SLURM_STEP_NUM_TASKS": "3",
        "SLURM_STEP_TASKS_PER_NODE": "2,1",
        "SLURM_PROCID": str(rank),
        "SLURM_NODEID": str(node),
        "SLURM_LOCALID": str(local),
        **changed,
    }


def config(environment: Mapping[str, str]) -> Any:
    return json.loads(tf_config(environment) or "null")


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("gpu1", ["gpu1"]),
        ("node[01-03,07],gpu1", ["node01", "node02", "node03", "node07", "gpu1"]),
        ("a[8-11]", ["a8", "a9", "a10", "a11"]),
        ("r[1-2]n[1-2]-ib", ["r1n1-ib", "r1n2-ib", "r2n1-ib", "r2n2-ib"]),
        ("a.b-c_d", ["a.b-c_d"]),
        ("n[098-101]", ["n098", "n099", "n100", "n101"]),
    ],
)
def test_a_list_of_hosts_is_expanded(text: str, hosts: list[str]) -> None:
    assert hosts == expand_hosts(text)


PREFIXES = st.from_regex(r"[a-z][a-z-]{0,5}[a-z]", fullmatch=True)
RANGES = st.lists(
    st.tuples(st.integers(0, 500), st.integers(0, 20)), min_size=1, max_size=4
)  # first number, how many more


@given(st.lists(st.tuples(PREFIXES, RANGES, st.integers(1, 5)), min_size=1, max_size=4))
def test_what_is_written_as_ranges_is_expanded_to_the_same_hosts(
    parts: list[tuple[str, list[tuple[int, int]], int]],
) -> None:
    written, hosts = [], []
    for prefix, ranges, width in parts:
        words = [
            f"{first:0{width}d}" + (f"-{first + more:0{width}d}" if more else "")
            for first, more in ranges
        ]
        written.append(f"{prefix}[{','.join(words)}]")
        hosts += [
            f"{prefix}{number:0{width}d}"
            for first, more in ranges
            for number in range(first, first + more + 1)
        ]

    assert hosts == expand_hosts(",".join(written))


@given(st.text("ab01[]-, ,.", max_size=12))
def test_any_text_is_expanded_or_refused(text: str) -> None:
    try:
        hosts = expand_hosts(text)
    except CallError:
        return
    assert all(host and not set(host) & set("[], ") for host in hosts)


@pytest.mark.parametrize(
    "text", ["", "a,,b", "a[", "a[3-1]", "a[1-", "a b", "a[1-99999999]", "a[1-999]b[1-999]", "a[]"]
)
def test_what_is_no_list_of_hosts_is_refused(text: str) -> None:
    with pytest.raises(CallError):
        expand_hosts(text)


def test_every_task_is_a_worker_with_an_address_of_its_own() -> None:
    configs = [config(step(rank)) for rank in range(3)]

    port = FIRST_PORT + 4711 * PORTS_OF_JOB % PORTS
    workers = [f"node09:{port}", f"node09:{port + 1}", f"node10:{port}"]
    assert [one["cluster"] for one in configs] == [{"worker": workers}] * 3
    assert [one["task"] for one in configs] == [{"type": "worker", "index": i} for i in range(3)]
    assert [is_first_worker({"TF_CONFIG": json.dumps(one)}) for one in configs] == [
        True,
        False,
        False,
    ]


@given(st.integers(1, 10**9), st.integers(1, 255))
def test_jobs_with_near_numbers_share_no_port(job: int, later: int) -> None:
    def ports(number: int) -> set[int]:
        workers = config(step(SLURM_JOB_ID=str(number)))["cluster"]["worker"]
        first = int(workers[0].partition(":")[2])
        return set(range(first, first + PORTS_OF_JOB))

    both = ports(job), ports(job + later)
    assert not both[0] & both[1]
    assert all(FIRST_UNPRIVILEGED <= port < FIRST_EPHEMERAL for one in both for port in one)


def test_tasks_of_each_node_may_be_written_short() -> None:
    environment = step(
        SLURM_STEP_NODELIST="n[1-3]",
        SLURM_STEP_TASKS_PER_NODE="2(x2),1",
        SLURM_STEP_NUM_TASKS="5",
    )

    found = read_step(environment)

    assert found is not None
    assert (found.tasks, found.task_count) == ((2, 2, 1), 5)


def test_the_variables_of_the_job_stand_in_where_the_step_has_none() -> None:
    environment = step()
    for name in ("NODELIST", "TASKS_PER_NODE"):
        prefix = "SLURM_JOB_" if name == "NODELIST" else "SLURM_"
        environment[prefix + name] = environment.pop(f"SLURM_STEP_{name}")
    environment["SLURM_NTASKS"] = environment.pop("SLURM_STEP_NUM_TASKS")

    assert config(environment) == config(step())


def test_a_batch_script_and_a_step_of_one_task_are_no_cluster() -> None:
    batch = {"SLURM_JOB_ID": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "2"}
    alone = step(SLURM_STEP_NODELIST="a", SLURM_STEP_NUM_TASKS="1", SLURM_STEP_TASKS_PER_NODE="1")

    assert (tf_config({}), tf_config(batch), tf_config(alone)) == (None, None, None)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"SLURM_STEP_NUM_TASKS": "4"}, "contradict"),
        ({"SLURM_STEP_NODELIST": "node09"}, "contradict"),
        ({"SLURM_STEP_TASKS_PER_NODE": "two"}, "not valid"),
        ({"SLURM_PROCID": "3"}, "SLURM_PROCID is 3"),
        ({"SLURM_PROCID": ""}, "SLURM_PROCID"),
        ({"SLURM_JOB_ID": "x"}, "not a number"),
        ({"SLURM_NODEID": "1"}, "in blocks"),
        ({"SLURM_STEP_TASKS_PER_NODE": "64,65", "SLURM_STEP_NUM_TASKS": "129"}, "ports"),
    ],
)
def test_variables_that_cannot_be_are_refused(changed: dict[str, str], said: str) -> None:
    with pytest.raises(CallError, match=said):
        tf_config(step(0, **changed))


def test_a_cluster_is_joined_only_where_the_strategy_asks_for_it() -> None:
    needed, not_needed, already_set = step(), step(), step(TF_CONFIG="{}")

    join_cluster(needed, "auto")
    join_cluster(not_needed, "default")
    join_cluster(already_set, "auto")

    assert needed["TF_CONFIG"] == tf_config(step())
    assert "TF_CONFIG" not in not_needed
    assert already_set["TF_CONFIG"] == "{}"


def test_the_number_of_nodes_has_to_be_that_of_the_step() -> None:
    check_nodes(step(), 2, benchmark="toy", strategy="auto")

    with pytest.raises(CallError, match="Slurm did not start") as outside:
        check_nodes({}, 2, benchmark="toy", strategy="auto")
    with pytest.raises(CallError, match="job 4711, whose step has 2 nodes"):
        check_nodes(step(), 3, benchmark="toy", strategy="auto")
    with pytest.raises(CallError, match="'mirrored'"):
        check_nodes(step(), 2, benchmark="toy", strategy="mirrored")
    assert "sciml-data sbatch toy --nodes 2" in outside.value.hint


# --- the job script ---


def sbatch(*words: str) -> Result:
    return CliRunner().invoke(group, ["sbatch", *words, "--registry", str(REGISTRY)])


def test_a_script_requests_resources_stages_and_trains(tmp_path: Path) -> None:
    result = sbatch(
        "toy", "--seed", "3", "--nodes", "2", "--cpus-per-task", "4", "--time", "01:00:00",
        "--home", str(tmp_path),
    )  # fmt: skip

    lines = result.stdout.splitlines()
    steps = [line for line in lines if line.startswith("srun ")]
    (run,) = [line for line in lines if line.startswith("run=(")]
    assert result.exit_code == 0
    assert lines[0] == "#!/usr/bin/env bash"
    assert {"#SBATCH --nodes=2", "#SBATCH --time=01:00:00", "#SBATCH --requeue"} <= set(lines)
    assert " -m sciml_data run toy --seed 3 " in run
    assert f"--home {tmp_path}" in run
    assert "--threads 4" in run
    assert len(steps) == 2
    assert "--ntasks=1" in steps[0]
    assert steps[0].endswith("--stage-only")
    assert "--kill-on-bad-exit=1" in steps[1]
    assert steps[1].endswith('--nodes 2 --name "slurm-${SLURM_JOB_ID}"')


def test_the_gpus_of_a_node_are_divided_among_its_tasks() -> None:
    shared = sbatch("toy", "--gpus-per-node", "4", "--ntasks-per-node", "2")
    uneven = sbatch("toy", "--gpus-per-node", "4", "--ntasks-per-node", "3")

    assert "--gpus-per-task=2 " in shared.stdout
    assert isinstance(uneven.exception, CallError)
    assert "cannot be divided among 3 tasks" in str(uneven.exception)


def test_a_name_of_ones_own_is_kept(tmp_path: Path) -> None:
    result = sbatch("toy", "--name", "first", "--home", str(tmp_path))

    assert result.stdout.count("--name") == 1
    assert result.stdout.splitlines()[-1].endswith("--nodes 1 --name first")


@pytest.mark.parametrize("home", ["plain", "with space", 'it\'s; $(touch x) `y` "z"'])
def test_a_script_is_quoted(tmp_path: Path, home: str) -> None:
    """Run the script's own line in bash, with a stand-in for srun that prints its words."""
    script = sbatch("toy", "--set", "epochs=2", "--home", str(tmp_path / home)).stdout
    stand_in = 'srun() { printf "%s\\n" "$@"; }\nSLURM_JOB_ID=7\n'

    done = subprocess.run(
        ["bash"], input=stand_in + script, capture_output=True, text=True, check=True, cwd=tmp_path
    )

    words = done.stdout.splitlines()
    assert words.count(str((tmp_path / home).resolve())) == 2
    assert words[-2:] == ["--name", "slurm-7"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="apt-get install shellcheck")
def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "job.sh"

    result = sbatch("toy", "--gpus-per-node", "2", "--home", "a b", "--output", str(path))

    assert result.exit_code == 0
    assert result.stdout == ""
    subprocess.run(["shellcheck", str(path)], check=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["toi"], "did you mean 'toy'"),
        (["toy", "--model", "smal"], "did you mean 'small'"),
        (["toy", "--stage-only"], "sets --stage-only itself"),
        (["toy", "--time", "1:0\nrm -r x"], "special meaning in a script"),
        (["toy", "--partition", "a b"], "special meaning in a script"),
        (["toy", "--strategy", "data_parallel"], "keras.distribution is not supported"),
        (["toy", "--name", "../x"], "cannot be named"),
        (["toy", "--resume", "latest"], "no such run"),
    ],
)
def test_a_wrong_call_writes_nothing(words: list[str], said: str) -> None:
    result = sbatch(*words)

    assert isinstance(result.exception, SciMLDataError)
    assert result.exception.exit_code == 2
    assert said in str(result.exception)
    assert result.stdout == ""


def test_an_option_that_run_does_not_know_is_refused() -> None:
    result = sbatch("toy", "--modl", "small")

    assert result.exit_code == 2
    assert "--modl" in result.stderr


def test_help_has_examples() -> None:
    command = group.get_command(click.Context(group), "sbatch")

    assert command is not None
    assert "sciml-data sbatch" in (command.epilog or "")
