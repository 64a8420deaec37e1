"""Slurm's variables become a TF_CONFIG."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
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
from sciml_data.errors import CallError
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
def test_hosts_written_as_ranges_are_expanded_to_the_same_hosts(
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
def test_a_text_that_is_not_a_list_of_hosts_is_refused(text: str) -> None:
    with pytest.raises(CallError):
        expand_hosts(text)


def test_every_task_is_a_worker_with_an_address_of_its_own() -> None:
    configs = [config(step(rank)) for rank in range(3)]

    port = FIRST_PORT + 4711 * PORTS_OF_JOB % PORTS
    workers = [f"node09:{port}", f"node09:{port + 1}", f"node10:{port}"]
    assert [made["cluster"] for made in configs] == [{"worker": workers}] * 3
    assert [made["task"] for made in configs] == [{"type": "worker", "index": i} for i in range(3)]
    assert [is_first_worker({"TF_CONFIG": json.dumps(made)}) for made in configs] == [
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
    assert all(
        FIRST_UNPRIVILEGED <= port < FIRST_EPHEMERAL
        for ports_of_job in both
        for port in ports_of_job
    )


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
    ("changed", "message"),
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
def test_variables_that_contradict_each_other_are_refused(
    changed: dict[str, str], message: str
) -> None:
    with pytest.raises(CallError, match=message):
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
