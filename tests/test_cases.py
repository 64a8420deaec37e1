"""Each kind of trouble that was found has a permanent test; `nox -s cases` runs them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.support.cases import CASES, FOLDER, case_folders, verdicts
from tests.support.paths import ROOT


@pytest.mark.parametrize("test", sorted({test for tests in CASES.values() for test in tests}))
def test_a_test_of_a_case_exists(test: str) -> None:
    path, _, name = test.partition("::")

    assert re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.skipif(not FOLDER.is_dir(), reason="no folder shared/cases")
def test_every_folder_has_a_test() -> None:
    assert [folder for folder in case_folders(FOLDER) if not CASES.get(folder)] == []


def test_a_folder_without_a_test_or_with_one_that_fails_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "_common").mkdir()
    (tmp_path / "unheard-of").mkdir()
    (test,) = CASES["fdsn-ignores-proxy"]

    assert case_folders(tmp_path) == ["unheard-of"]
    assert verdicts(["unheard-of"], {}) == {"unheard-of": "FAILED: no permanent test"}
    for outcome, expected in {
        "passed": "ok",
        "skipped": "skipped here",
        "failed": "FAILED: a test fails",
    }.items():
        found = verdicts(["fdsn-ignores-proxy"], {test: Counter([outcome])})
        assert found == {"fdsn-ignores-proxy": expected}
    assert verdicts(["fdsn-ignores-proxy"], {})["fdsn-ignores-proxy"].startswith("FAILED")
