"""A run on the toy benchmark, made once for all tests of the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from sciml_data.bench.run.execution import prepare, run_once
from sciml_data.bench.run.journal import Prepared
from sciml_data.home import Home
from tests.support.toy import toy_request, toy_source


@pytest.fixture(scope="session")
def prepared() -> Prepared:
    """Return what runs with different seeds have in common."""
    return prepare(toy_request(), toy_source)


@pytest.fixture(scope="session")
def done(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a successful run; tests that change it copy it."""
    folder = run_once(prepared, 0, home=Home(tmp_path_factory.mktemp("home")))
    assert folder is not None
    return folder
