"""Job scripts under a real Slurm of one node: two tasks are two workers of one run."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sciml_data.bench.record.record import load_record
from sciml_data.home import Home

if TYPE_CHECKING:
    from tests.slurm.conftest import Slurm

pytestmark = pytest.mark.slow
EPOCHS = 3
ENDS_S = 900  # a job takes one to two minutes on two idle cores
SCENES = ("shape=96,96", "count.training=8", "count.inference=2")
SMALL = (
    "patch=32", "step=32", "window=32", "window_step=22", "widths=2,3,4", "batch_size=5",
    "train_scored=2", "least_valid=0.2", f"epochs={EPOCHS}",
)  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return one home for all jobs, so that the sample is converted once."""
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(autouse=True)
def _cancelled(slurm: Slurm) -> Iterator[None]:
    """Leave no job behind for the next test."""
    yield
    slurm.call("scancel", "--user=root")


def script(home: Home, path: Path, *words: str) -> Path:
    """Write the job script with the program itself."""
    subprocess.run(script_words(home, path, *words), check=True)
    return path


def script_words(home: Home, path: Path, *words: str) -> list[str]:
    call = [sys.executable, "-m", "sciml_data", "sbatch", "cloudmask", "--sample"]
    call += [word for setting in SCENES for word in ("--sample-set", setting)]
    call += [word for setting in SMALL for word in ("--set", setting)]
    call += ["--home", str(home.root), "--output", str(path)]
    job = ["--nodes", "1", "--ntasks-per-node", "2", "--cpus-per-task", "1", "--time", "00:10:00"]
    return [*call, *job, *words]


def submit(slurm: Slurm, path: Path) -> str:
    log = path.with_suffix(".log")
    done = slurm.call("sbatch", "--parsable", f"--output={log}", str(path))
    assert done.returncode == 0, done.stderr
    return str(done.stdout.strip())


def state_of(slurm: Slurm, job: str) -> str:
    shown = slurm.call("scontrol", "show", "job", job).stdout
    return str(re.findall(r"JobState=(\w+)", shown)[0])


def wait_for_end(slurm: Slurm, job: str) -> str:
    until = time.monotonic() + ENDS_S
    while (state := state_of(slurm, job)) in {"PENDING", "RUNNING", "COMPLETING", "CONFIGURING"}:
        assert time.monotonic() < until, f"job {job} is {state} after {ENDS_S} s"
        time.sleep(0.5)
    return state


def wait_for_state(folder: Path) -> None:
    until = time.monotonic() + ENDS_S
    while not (folder / "checkpoint" / "state.npz").is_file():
        assert time.monotonic() < until, "no epoch was ever done"
        time.sleep(0.05)


def pid_of_task(job: str, rank: int) -> int:
    """Return the process of one task of the job's training step."""
    wanted = {f"SLURM_JOB_ID={job}", f"SLURM_PROCID={rank}", "SLURM_STEP_ID=1"}
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = set(path.read_text(errors="replace").split("\0"))
            command = path.with_name("cmdline").read_text(errors="replace")
        except OSError:
            continue
        if wanted <= variables and "sciml_data" in command:
            return int(path.parent.name)
    raise AssertionError(f"task {rank} of job {job} does not run")


def record_of(home: Home, job: str) -> dict[str, Any]:
    (folder,) = home.runs("cloudmask").glob(f"slurm-{job}")
    return load_record(folder)


def test_two_tasks_are_two_workers_of_one_run(slurm: Slurm, home: Home, tmp_path: Path) -> None:
    path = script(home, tmp_path / "job.sh")

    job = submit(slurm, path)
    ended = wait_for_end(slurm, job)

    said = (tmp_path / "job.log").read_text()
    assert ended == "COMPLETED", said
    record = record_of(home, job)
    assert record["status"] == "success"
    assert (record["distribution"]["workers"], record["distribution"]["replicas"]) == (2, 2)
    epochs = re.findall(r"^epoch (\d+)/", said, re.MULTILINE)
    assert epochs == [str(number) for number in range(1, EPOCHS + 1)]  # one task talks
    assert len(re.findall(rf"best epoch\s+\d+\s+of\s+{EPOCHS}\b", said)) == 1


def test_slurm_accepts_every_option_of_a_script(slurm: Slurm, home: Home, tmp_path: Path) -> None:
    """`sbatch --test-only` reads the whole script, and starts nothing."""
    path = script(
        home, tmp_path / "job.sh", "--mem", "1", "--array", "0-3%2", "--mail-type", "END,FAIL",
        "--mail-user", "a@example.org", "--sbatch-option", "nice=100", "--sbatch-option",
        "exclusive", "--time", "1-02:03",
    )  # fmt: skip

    done = slurm.call("sbatch", "--test-only", str(path))

    assert done.returncode == 0, done.stderr
    assert "to start at" in done.stderr


def test_a_submitted_array_has_a_job_for_each_seed(
    slurm: Slurm, home: Home, tmp_path: Path
) -> None:
    words = ["--array", "3,5", "--submit", "--sbatch-option", "begin=now+1hour"]
    call = script_words(home, tmp_path / "job.sh", *words)

    job = subprocess.run(
        call, check=True, capture_output=True, text=True, env=slurm.environment
    ).stdout.strip()

    shown = slurm.call("scontrol", "show", "job", job).stdout
    assert "ArrayTaskId=3,5" in shown
    assert (tmp_path / "job.sh").is_file()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_task_aborts_the_run_and_the_requeued_job_goes_on(
    slurm: Slurm, home: Home, tmp_path: Path, rank: int
) -> None:
    job = submit(slurm, script(home, tmp_path / "job.sh"))
    wait_for_state(home.runs("cloudmask") / f"slurm-{job}")

    os.kill(pid_of_task(job, rank), signal.SIGKILL)
    ended = wait_for_end(slurm, job)
    aborted = record_of(home, job)
    requeued = slurm.call("scontrol", "requeue", job)
    ended_again = wait_for_end(slurm, job)

    said = (tmp_path / "job.log").read_text()
    assert (ended, aborted["status"]) == ("FAILED", "aborted"), said
    assert requeued.returncode == 0, requeued.stderr
    record = record_of(home, job)
    assert (ended_again, record["status"]) == ("COMPLETED", "success"), said
    assert record["run_id"] == aborted["run_id"]
    assert 1 <= record["timing"]["resumed_epochs"] < EPOCHS
