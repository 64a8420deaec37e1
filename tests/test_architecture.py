"""The promises that hold for the whole tree: sizes, import budget, words that must not stand."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

SOURCES = sorted(
    path for folder in ("sciml_data", "runners") for path in (ROOT / folder).rglob("*.py")
)
MOST_LINES_OF_FILE = 600  # typical modules have 100 to 450
MOST_LINES_OF_FUNCTION = 40  # of its body, docstring aside
# What --help may not load: each costs more than 100 ms (research: tooling, section 1.1).
HEAVY = {
    "numpy", "pandas", "xarray", "h5py", "h5netcdf", "tensorflow", "keras", "matplotlib",
    "jsonschema", "requests", "intake", "dask", "scipy", "frictionless",
}  # fmt: skip


def imported_by(*arguments: str) -> set[str]:
    """Return the top-level modules that an interpreter loads for these arguments."""
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    return {name.split(".")[0] for name in re.findall(r"\| +([\w.]+)$", shown, re.MULTILINE)}


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert imported_by("-c", "import sciml_data") & (HEAVY | {"click", "urllib3"}) == set()


def test_help_loads_nothing_heavy() -> None:
    assert imported_by("-m", "sciml_data", "--help") & HEAVY == set()


STUBS = sorted((ROOT / "sciml_data").rglob("__init__.pyi"))


@pytest.mark.parametrize("stub", STUBS, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_public_names_of_a_package_exist(stub: Path) -> None:
    package = importlib.import_module(".".join(stub.parent.relative_to(ROOT).parts))
    tree = ast.parse(stub.read_text(encoding="utf-8"))
    (declared,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )

    assert sorted(package.__all__) == sorted(declared)
    assert [name for name in declared if not hasattr(package, name)] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    long_functions = [
        f"{node.name}: {lines}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := lines_of_body(node)) > MOST_LINES_OF_FUNCTION
    ]

    assert len(text.splitlines()) <= MOST_LINES_OF_FILE
    assert long_functions == []


def lines_of_body(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines a function's body has, its docstring not counted."""
    statements = function.body[1:] if ast.get_docstring(function) else function.body
    if not statements:
        return 0
    return (function.end_lineno or function.lineno) - statements[0].lineno + 1


def test_no_unfinished_work_is_marked_in_the_sources() -> None:
    words = re.compile(r"#.*\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    marked = [path.name for path in SOURCES if words.search(path.read_text(encoding="utf-8"))]

    assert marked == []


def test_every_dependency_is_argued() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [one for group in project["optional-dependencies"].values() for one in group]
    names = {re.split(r"[<>=\[ ]", one)[0] for one in [*project["dependencies"], *extras]}
    argued = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")

    assert sorted(n for n in names - {"sciml-data"} if f"| {n} " not in argued) == []
