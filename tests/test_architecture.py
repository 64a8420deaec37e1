"""The promises that hold for the whole tree: sizes, import budget, words that must not stand."""

from __future__ import annotations

import ast
import graphlib
import importlib
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import click
import grimp
import pytest

from sciml_data.cli import VERBS, group
from tests.support.commands import commands
from tests.support.paths import ROOT

SOURCES = sorted(
    path for folder in ("sciml_data", "runners") for path in (ROOT / folder).rglob("*.py")
)
MOST_ENTRIES = 20  # of sciml_data/
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


@pytest.mark.parametrize("arguments", ["list", "describe tevolop_socal"])
def test_a_look_at_the_registry_loads_nothing_heavy(arguments: str) -> None:
    """Descriptors are validated, which needs jsonschema; nothing needs arrays or requests."""
    assert imported_by("-m", "sciml_data", *arguments.split()) & (HEAVY - {"jsonschema"}) == set()


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


MODULES_FOR_ALL = {"sciml_data.errors", "sciml_data.home", "sciml_data.progress"}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "sciml_data" / "cli").glob("*.py")), ids=lambda path: path.name
)
def test_the_command_line_imports_public_names_only(path: Path) -> None:
    """What a verb can do, a script can do: each name is in the `__all__` of a package."""
    imported = [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("sciml_data")
        and node.module not in MODULES_FOR_ALL
        and not (node.module or "").startswith("sciml_data.cli")
        for alias in node.names
    ]
    modules = [
        alias.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import)
        for alias in node.names
    ]

    assert [module for module in modules if module.startswith("sciml_data")] == []
    assert [
        f"{module}.{name}"
        for module, name in imported
        if module is None or name not in getattr(importlib.import_module(module), "__all__", ())
    ] == []


# Private vocabulary of version 1, which the field's terms have replaced (the words that stay are in
# docs/reference/glossary.md). Words that are a verb or a noun of everyday English are meant in any
# sense.
PRIVATE_WORDS = (
    "anew", "asked", "crew", "crowd", "extent", "facts", "found", "gate", "judged", "judge", "kept",
    "lay out", "laid out", "levels", "lest", "lies", "mend", "mends", "moved", "none", "notice",
    "one", "patience", "receipt", "rings", "said", "seen", "shown", "so many", "stands", "survey",
    "team", "tell", "told", "turn", "turned", "whatever", "whose",
    "go on with", "goes on", "gone on", "held against", "hold against", "is on",
)  # fmt: skip
PRIVATE_NAME = re.compile(rf"\b(least|most)_|\b({'|'.join(PRIVATE_WORDS)})\b")
NOT_A_START = re.compile(
    "(As|At|By|From|In|Of|On|Only|To|Under|What|Where|Which|Who|Whom|With) ", re.IGNORECASE
)


COMMANDS = dict(commands(group))


@pytest.mark.parametrize("typed", COMMANDS, ids=lambda typed: typed or "sciml-data")
def test_help_is_in_the_terms_of_the_field(typed: str) -> None:
    command = COMMANDS[typed]
    options = [param for param in command.params if isinstance(param, click.Option)]
    helps = {option.opts[0]: option.help or "" for option in options}
    texts = [command.help or "", command.short_help or "", *helps.values()]

    assert [match[0] for text in texts if (match := PRIVATE_NAME.search(text.lower()))] == []
    assert command.help
    # A help text completes "This option sets ...": no preposition or pronoun begins it.
    assert [name for name, text in helps.items() if not re.match(r"[A-Z]", text)] == []
    assert [name for name, text in helps.items() if NOT_A_START.match(text)] == []


def test_help_of_the_program_is_in_the_terms_of_the_field() -> None:
    assert [text for text in VERBS.values() if PRIVATE_NAME.search(text.lower())] == []


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


def children_graph(parent: str) -> dict[str, set[str]]:
    """Return which direct children of a package import which others, anything below included.

    Imports for type checking only do not count: they are never executed.
    """
    graph = import_graph()
    depth = parent.count(".") + 2
    edges: dict[str, set[str]] = {}
    for importer in graph.find_descendants(parent):
        child = ".".join(importer.split(".")[:depth])
        imported = graph.find_modules_directly_imported_by(importer)
        below = {name for name in imported if name.startswith(f"{parent}.")}
        edges.setdefault(child, set()).update(".".join(name.split(".")[:depth]) for name in below)
    return {child: imported - {child} for child, imported in edges.items()}


@cache
def import_graph() -> grimp.ImportGraph:
    return grimp.build_graph("sciml_data", exclude_type_checking_imports=True, cache_dir=None)


PACKAGES = sorted(
    ".".join(path.parent.relative_to(ROOT).parts)
    for path in (ROOT / "sciml_data").rglob("__init__.py")
)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_parts_of_a_package_do_not_import_each_other_in_circles(package: str) -> None:
    try:
        graphlib.TopologicalSorter(children_graph(package)).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_a_cycle_would_be_found() -> None:
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()


def test_the_top_of_the_package_can_be_read_at_a_glance() -> None:
    entries = {path.name for path in (ROOT / "sciml_data").iterdir()}
    entries -= {"__pycache__", "__init__.pyi"}  # the stub belongs to `__init__.py`

    assert len(entries) <= MOST_ENTRIES


def test_no_unfinished_work_is_marked_in_the_sources() -> None:
    words = re.compile(r"#.*\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    marked = [path.name for path in SOURCES if words.search(path.read_text(encoding="utf-8"))]

    assert marked == []


def test_the_dependencies_that_are_argued_are_those_of_the_project() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    declared = {
        (group, re.split(r"[<>=\[ ;]", line)[0])
        for group, lines in groups.items()
        for line in lines
    }
    page = (ROOT / "docs" / "explanation" / "dependencies.md").read_text(encoding="utf-8")
    core, extras = page.partition("## Tests and")[0].split("## Extras")
    rows = [["", row[0]] for row in _rows(core)] + [row[:2] for row in _rows(extras)]
    argued = {
        (group, package.partition("[")[0])
        for group, packages in rows
        for package in packages.split(", ")
    }

    assert argued == {(group, name) for group, name in declared if name != "sciml-data"}


def _rows(text: str) -> list[list[str]]:
    """Return the cells of the tables of a Markdown text, without heads."""
    lines = [line.strip("| ") for line in text.splitlines() if line.startswith("| ")]
    cells = [re.split(r" \| ", line) for line in lines]
    return [row for row in cells if row[0] not in ("package", "extra")]
