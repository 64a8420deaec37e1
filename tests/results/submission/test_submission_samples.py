"""Each benchmark's sample goes all the way: run, log, pack, check, score again, check."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sciml_data.cli import group
from sciml_data.results.mlperf_log import application

# Keras 3.15 converts its own variables in a way NumPy 2.4 warns of, when it saves weights.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]
FEW_CRYSTALS = ("groups=14,62,225", "materials=4", "energies=100")
SAMPLES = {
    "cloudmask": ("epochs=1", ()),
    "stemdl_classification": ("epochs=2", FEW_CRYSTALS),
    "stemdl_reconstruction": ("epochs=2", FEW_CRYSTALS),
    "tevolop": ("epochs=1", ()),
    "uno": ("epochs=1", ()),
}


def call(*words: str) -> Result:
    return CliRunner().invoke(group, words)


@pytest.mark.parametrize("benchmark", sorted(SAMPLES))
def test_a_sample_is_packed_accepted_and_scored_again(benchmark: str, tmp_path: Path) -> None:
    pytest.importorskip("mlperf_logging")
    epochs, sizes = SAMPLES[benchmark]
    home = ("--home", str(tmp_path / "home"))
    sample = ("--sample", *(word for size in sizes for word in ("--sample-set", size)))
    # A process of its own: TensorFlow takes its number of threads once.
    words = ("run", benchmark, *sample, "--set", epochs, "--threads", "1", *home)
    command = [sys.executable, "-m", "sciml_data", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    named = ("--org", "lab", "--system", "node-a")
    packed = call(
        "submit", "pack", "latest", *named, "--descriptor", "first",
        "--to", str(tmp_path / "results"), "--allow-dirty", *home,
    )  # fmt: skip
    folder = tmp_path / "results" / "lab" / application(benchmark) / "node-a" / "first"
    verdicts = [call("submit", "check", str(folder))]
    again = call("rescore", str(folder), *home)
    verdicts.append(call("submit", "check", str(folder)))

    assert (packed.exception, [verdict.exit_code for verdict in verdicts]) == (None, [0, 0])
    assert (again.exit_code, again.exception) == (0, None)
    assert "accepted, 1 run, rescored" in verdicts[1].stdout
    assert "SYNTHETIC" in verdicts[1].stdout
