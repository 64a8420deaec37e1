"""A few mutations of a run's files; `tests.support.fuzz_records` makes as many as one likes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fuzz_records import fuzz_files

pytestmark = pytest.mark.filterwarnings("ignore")  # HDF5 and NumPy warn of what is damaged


def test_mutated_files_of_a_run_are_sound_or_a_sentence(tmp_path: Path) -> None:
    fuzz = fuzz_files(0, 8, tmp_path)

    assert fuzz.failures == []
    assert fuzz.tried == {"record": 8, "predictions": 8, "checkpoint": 8}
