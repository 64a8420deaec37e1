"""CloudMask killed at any moment and gone on with ends as if nothing had happened."""

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
    "train_scenes_scored=2", "least_valid=0.2", f"epochs={EPOCHS}",
)  # fmt: skip
ENDS_S = 600
MOST_WAIT_S = 2.0  # after the first epoch; some epochs pass meanwhile


def command(home: Path, *words: str) -> list[str]:
    call = [sys.executable, "-m", "sciml_data", "run", "cloudmask", "--home", str(home)]
    return [*call, "--threads", "1", *words]


def begun(home: Path, name: str) -> list[str]:
    scenes = [word for one in SCENES for word in ("--sample-set", one)]
    settings = [word for one in SMALL for word in ("--set", one)]
    return command(home, "--sample", *scenes, *settings, "--name", name)


def record(home: Path, name: str) -> dict[str, Any]:
    return load_record(home / "runs" / "cloudmask" / name)


def wait_for(path: Path) -> None:
    until = time.monotonic() + ENDS_S
    while not path.is_file():
        assert time.monotonic() < until, f"{path.name} never came"
        time.sleep(0.02)


def test_killed_at_a_random_moment_it_ends_with_the_scores_of_a_run_that_was_not(
    tmp_path: Path,
) -> None:
    subprocess.run(begun(tmp_path, "whole"), check=True, timeout=ENDS_S)
    wait_s = secrets.randbelow(int(MOST_WAIT_S * 1000)) / 1000
    with subprocess.Popen(begun(tmp_path, "killed")) as victim:
        wait_for(tmp_path / "runs" / "cloudmask" / "killed" / "checkpoint" / "state.npz")
        time.sleep(wait_s)  # what is tested is that the moment does not matter
        os.kill(victim.pid, signal.SIGKILL)
    before = record(tmp_path, "killed")

    subprocess.run(command(tmp_path, "--resume", "killed"), check=True, timeout=ENDS_S)

    said = f"killed {wait_s} s after the first epoch"
    whole, resumed = record(tmp_path, "whole"), record(tmp_path, "killed")
    assert before["status"] == "running", said
    assert 1 <= resumed["timing"]["resumed_epochs"] <= EPOCHS, said
    curves = [[row["train_loss"] for row in one["curve"]] for one in (whole, resumed)]
    assert curves[0] == curves[1], said
    assert whole["metrics"] == resumed["metrics"], said
