"""The examples in docstrings of public functions (`>>>`) print what they say, on samples."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import sciml_data

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
MAX_LINES = 4  # of statements: an example is read at a glance
NEEDED = {
    "cite", "convert_dataset", "describe", "get_dataset", "load", "load_benchmark", "open_dataset",
    "run", "score", "verify_dataset",
}  # fmt: skip
TRAINED = {"run"}  # with TensorFlow, which takes half a minute to import


def examples() -> dict[str, doctest.DocTest]:
    """Return the examples of each public name that has some."""
    finder = doctest.DocTestFinder(recurse=False)
    found = {
        name: test
        for name in sciml_data.__all__
        for test in finder.find(
            getattr(sciml_data, name), name, module=False, globs={"sciml_data": sciml_data}
        )
    }
    return {name: test for name, test in found.items() if test.examples}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with the sample that the examples use."""
    place = tmp_path_factory.mktemp("home")
    sciml_data.load("hydronet_ds1", split="min_data", sample=True, home=place).close()
    return place


def test_the_main_functions_have_short_examples() -> None:
    known = examples()

    assert NEEDED - set(known) == set()
    lengths = {
        name: sum(len(example.source.splitlines()) for example in test.examples)
        for name, test in known.items()
    }
    assert {name for name, length in lengths.items() if length > MAX_LINES} == set()


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in TRAINED)) for name in examples()],
)
def test_an_example_prints_what_it_says(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCIML_DATA_HOME", str(home))
    printed: list[str] = []

    result = doctest.DocTestRunner().run(examples()[name], out=printed.append)

    assert result.failed == 0, "".join(printed)
