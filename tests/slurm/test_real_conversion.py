"""Conversion in a job array under a real Slurm of one node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sciml_data.home import Home, read_json
from sciml_data.registry.manifest import hash_file
from tests.slurm.test_real_slurm import wait_for_end

if TYPE_CHECKING:
    from tests.slurm.conftest import Slurm

pytestmark = pytest.mark.slow
DATASET = "cloud_slstr_ds1"
SCENES = ("shape=96,96", "count.training=20", "count.inference=4")
BEGINS_S = 300


@pytest.fixture(autouse=True)
def _cancelled(slurm: Slurm) -> Iterator[None]:
    """Leave no job behind for the next test."""
    yield
    slurm.call("scancel", "--user=root")


@pytest.fixture
def slurm_home(tmp_path: Path) -> Home:
    """Return a home with a sample that is not converted."""
    return home_with_sample(tmp_path / "home")


def home_with_sample(root: Path) -> Home:
    sizes = [word for size in SCENES for word in ("--sample-set", size)]
    sciml_data("get", DATASET, "--sample", *sizes, "--home", str(root))
    return Home(root)


def sciml_data(*words: str, env: dict[str, str] | None = None) -> str:
    call = [sys.executable, "-m", "sciml_data", *words]
    return subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True, env=env).stdout


def submit(slurm: Slurm, home: Home, shares: str) -> list[str]:
    """Submit a conversion in shares, and return the numbers of its two jobs."""
    log = home.root / "log-%A-%a"
    words = ["sbatch", "convert", DATASET, "--sample", "--home", str(home.root)]
    job = ["--array", shares, "--cpus-per-task", "1", "--time", "00:10:00"]
    output = ["--sbatch-option", f"output={log}"]
    return sciml_data(*words, *job, *output, "--submit", env=slurm.environment).split()


def ready_root(home: Home) -> Path:
    return home.dataset(DATASET, "1.0", sample_seed=0).ready / "44136fa355b3"


def stamps(home: Home) -> dict[str, tuple[int, int]]:
    states = {path.name: path.stat() for path in ready_root(home).glob("*.nc")}
    return {name: (state.st_ino, state.st_mtime_ns) for name, state in states.items()}


def logs(home: Home) -> str:
    return "\n".join(f"{path}: {path.read_text()}" for path in sorted(home.root.glob("log-*")))


def test_a_job_array_and_its_last_step_make_the_bytes_of_one_process(
    slurm: Slurm, slurm_home: Home, tmp_path: Path
) -> None:
    _, last = submit(slurm, slurm_home, "3%2")
    ended = wait_for_end(slurm, last)
    alone = home_with_sample(tmp_path / "alone")
    sciml_data("convert", DATASET, "--sample", "--home", str(alone.root))

    assert ended == "COMPLETED", logs(slurm_home)
    names = sorted(path.name for path in ready_root(slurm_home).iterdir())
    assert names == sorted(path.name for path in ready_root(alone).iterdir())
    assert len(stamps(slurm_home)) == 24
    for name in ("manifest.csv", *stamps(alone)):
        assert hash_file(ready_root(slurm_home) / name) == hash_file(ready_root(alone) / name)


def test_a_killed_task_loses_one_file_and_the_same_command_resumes(
    slurm: Slurm, slurm_home: Home
) -> None:
    array, last = submit(slurm, slurm_home, "2")
    pid = pid_of_share(slurm_home, "1-of-2")
    os.kill(pid, signal.SIGKILL)
    assert wait_for_end(slurm, f"{array}_1") == "FAILED", logs(slurm_home)
    assert wait_for_end(slurm, f"{array}_2") == "COMPLETED", logs(slurm_home)
    assert wait_for_end(slurm, last) == "CANCELLED"  # it would wait for ever
    before = stamps(slurm_home)
    recorded = journal_lines(slurm_home)
    assert not (ready_root(slurm_home) / "manifest.csv").exists()
    assert len(before) - recorded <= 1

    _, last = submit(slurm, slurm_home, "2")
    ended = wait_for_end(slurm, last)

    assert ended == "COMPLETED", logs(slurm_home)
    assert (ready_root(slurm_home) / "manifest.csv").is_file()
    after = stamps(slurm_home)
    assert len(after) == 24
    assert len(before.items() & after.items()) == recorded


def journal_lines(home: Home) -> int:
    journals = ready_root(home).glob("shares/*/shards.jsonl")
    return sum(len(path.read_text().splitlines()) for path in journals)


def pid_of_share(home: Home, share: str) -> int:
    """Return the process of a share that has finished a file, and makes others."""
    until = time.monotonic() + BEGINS_S
    while not any(ready_root(home).glob(f"shares/{share}.*/shards.jsonl")):
        assert time.monotonic() < until, logs(home)
        time.sleep(0.02)
    return int(read_json(ready_root(home) / "shares" / f"{share}.holder")["pid"])
