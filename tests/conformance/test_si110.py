"""The simulation of electron diffraction against a measured pattern of silicon along [110]."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.real_files import require_real_files

pytestmark = [pytest.mark.reference, pytest.mark.slow]

THICKNESSES = (100, 180, 200, 220, 240, 250, 260, 280, 300, 340)


@pytest.fixture(scope="module")
def matches(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, float]]:
    """Return the fit of each simulated thickness, by the script that made the table in the docs."""
    pytest.importorskip("gemmi", reason="the extra `stemdl` is not installed")
    pytest.importorskip("PIL", reason="the extra `formats` is not installed")
    mirror = require_real_files("cbed_si110", shared)
    home = tmp_path_factory.mktemp("home")
    options = ["--mirror", f"file:{mirror}", "--home", str(home), "--json"]
    thicknesses = ",".join(map(str, THICKNESSES))
    command = [sys.executable, "benchmarks/si110.py", *options, "--thickness", thicknesses]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip(THICKNESSES, json.loads(done.stdout), strict=True))


def test_the_best_simulated_pattern_agrees_with_the_measured_one(
    matches: dict[int, dict[str, float]],
) -> None:
    best = max(matches, key=lambda thickness: matches[thickness]["r_log"])

    assert 220 <= best <= 270
    assert matches[best]["r_log"] >= 0.98
    assert matches[best]["r_linear"] >= 0.98


def test_other_thicknesses_agree_less(matches: dict[int, dict[str, float]]) -> None:
    assert max(matches[far]["r_log"] for far in (100, 180, 200, 300, 340)) < 0.97


def test_the_orientation_does_not_depend_on_the_thickness(
    matches: dict[int, dict[str, float]],
) -> None:
    angles = [found["rotation"] for found in matches.values()]

    assert max(angles) - min(angles) < 1
