"""Fixtures that every test may ask for: a home of its own, the reference tables."""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from sciml_data.home import HOME_VARIABLE, Home
from sciml_data.registry.extensions import TRUST_VARIABLE
from sciml_data.registry.layout import REGISTRY_VARIABLE

# Many images of containers tell Python not to keep compiled modules. Then each of the hundreds of
# processes that the tests start compiles its libraries again: 14 s of CPU instead of 5 to load
# TensorFlow, 2.8 s instead of 0.7 for `convert`.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The registries of the tests are ours. Tests of trust remove the variable.
os.environ[TRUST_VARIABLE] = "1"
CSV_FIELD_LIMIT = csv.field_size_limit()  # Python's own, before other libraries change it

# On a busy computer, values are drawn slowly: that says nothing about the code that is tested.
settings.register_profile(
    "default", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that want two devices first: TensorFlow takes its devices once a process."""
    items.sort(key=lambda item: "test_tensorflow_backend" not in item.nodeid)


@pytest.fixture(autouse=True)
def _own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a home of its own, and no variable of the user's."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv(REGISTRY_VARIABLE, raising=False)
    monkeypatch.delenv("SCIML_DATA_MIRRORS", raising=False)
    csv.field_size_limit(CSV_FIELD_LIMIT)  # frictionless raises it for the whole process


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return the home that the environment of this test names."""
    return Home(tmp_path / "home")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of reference tables and mirrored data beside the checkout."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("the reference tables are not beside this checkout")
    return folder
