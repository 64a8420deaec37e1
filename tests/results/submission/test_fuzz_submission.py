"""A few mutations of a submission; `tests.support.fuzz_records` has more."""

from __future__ import annotations

from pathlib import Path

import pytest

from sciml_data.registry.layout import Registry
from tests.support.fuzz_records import Fuzz, fuzz_submission
from tests.support.submissions import FOLDER, Bench

pytestmark = pytest.mark.filterwarnings("ignore")  # HDF5 and NumPy warn of what is damaged


def test_a_mutated_submission_is_refused_and_never_ends_the_check(
    bench: Bench, packed: Path, tmp_path: Path
) -> None:
    fuzz = Fuzz(0)

    fuzz_submission(fuzz, packed / FOLDER, Registry(bench.registry), tmp_path, 10)

    assert fuzz.failures == []
    assert fuzz.tried == {"submission": 10}
