"""CloudMask killed at any moment and resumed ends with the scores of an uninterrupted run."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sciml_data.bench.record.record import load_record

pytest.importorskip("tensorflow")
pytestmark = pytest.mark.slow

EPOCHS = 6
SCENES = ("shape=96,96", "count.training=8", "count.inference=2")
SMALL = (
    "patch=32", "step=32", "window=32", "window_step=22", "widths=2,3,4", "batch_size=5",
    "train_scored=2", "least_valid=0.2", f"epochs={EPOCHS}",
)  # fmt: skip
TIMEOUT_S = 600
MAX_WAIT_S = 2.0  # after the first epoch; some epochs pass meanwhile


def command(home: Path, *words: str) -> list[str]:
    call = [sys.executable, "-m", "sciml_data", "run", "cloudmask", "--home", str(home)]
    return [*call, "--threads", "1", *words]


def start_command(home: Path, name: str) -> list[str]:
    scenes = [word for size in SCENES for word in ("--sample-set", size)]
    settings = [word for setting in SMALL for word in ("--set", setting)]
    return command(home, "--sample", *scenes, *settings, "--name", name)


def record_of(home: Path, name: str) -> dict[str, Any]:
    return load_record(home / "runs" / "cloudmask" / name)


def wait_for(path: Path) -> None:
    until = time.monotonic() + TIMEOUT_S
    while not path.is_file():
        assert time.monotonic() < until, f"{path.name} was not written"
        time.sleep(0.02)


def test_killed_at_a_random_moment_it_ends_with_the_scores_of_a_run_that_was_not(
    tmp_path: Path,
) -> None:
    subprocess.run(start_command(tmp_path, "whole"), check=True, timeout=TIMEOUT_S)
    wait_s = secrets.randbelow(int(MAX_WAIT_S * 1000)) / 1000
    with subprocess.Popen(start_command(tmp_path, "killed")) as victim:
        wait_for(tmp_path / "runs" / "cloudmask" / "killed" / "checkpoint" / "state.npz")
        time.sleep(wait_s)  # random, because the result may not depend on the moment
        os.kill(victim.pid, signal.SIGKILL)
    before = record_of(tmp_path, "killed")

    subprocess.run(command(tmp_path, "--resume", "killed"), check=True, timeout=TIMEOUT_S)

    context = f"killed {wait_s} s after the first epoch"
    whole, resumed = record_of(tmp_path, "whole"), record_of(tmp_path, "killed")
    assert before["status"] == "running", context
    assert 1 <= resumed["timing"]["resumed_epochs"] <= EPOCHS, context
    curves = [[row["train_loss"] for row in record["curve"]] for record in (whole, resumed)]
    assert curves[0] == curves[1], context
    assert whole["metrics"] == resumed["metrics"], context
