"""What the documents say can be typed, and what they link to is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from sciml_data.bench.task.task import load_task
from sciml_data.cli import VERBS, group
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.expected import expected_bytes
from sciml_data.registry.layout import find_registry
from tests.support.paths import ROOT

DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "datapackages/*/README.md", "runners/*/README.md")
    for path in ROOT.glob(pattern)
)
WIDTH = 100  # of a line of prose, in characters
# Cards and pages of results have links and generated numbers in their prose.
WRAPPED = [
    path
    for path in DOCUMENTS
    if path.relative_to(ROOT).parts[0] not in {"datapackages", "runners"}
    and path.parent.name != "results"
    and path.name != "performance.md"
]
COMMANDS = sorted(
    {
        line.split("#")[0].strip().removeprefix("$ ")
        for path in DOCUMENTS
        for line in path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
        if re.match(r"( {4}|\$ )?sciml-data [a-z]", line)
    }
)


def test_there_are_commands_to_check() -> None:
    assert len(COMMANDS) > 15


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_documents_can_be_typed(line: str) -> None:
    verb, *arguments = shlex.split(line)[1:]
    context = click.Context(group)
    command = group.get_command(context, verb)

    assert verb in VERBS
    assert command is not None
    command.make_context(verb, arguments)  # raises a usage error for what does not exist


DOMAIN_WORDS = (
    "dataset", "version", "descriptor", "manifest", "mirror", "source", "native", "ready", "split",
    "sample", "pin", "registry", "home", "benchmark", "task", "runner", "run", "record", "board",
    "submission", "card", "part", "view", "format",
)  # fmt: skip


def test_the_glossary_explains_each_word_of_the_domain_once() -> None:
    text = (ROOT / "docs" / "reference" / "glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\w, -]+) \| \S.*\|$", text, re.MULTILINE)
    words = [word for row in rows for word in row.split(", ") if row != "word"]

    assert sorted(set(DOMAIN_WORDS) - set(words)) == []
    assert len(words) == len(set(words))
    assert (ROOT / "README.md").read_text(encoding="utf-8").count("docs/reference/glossary.md") == 1


# Pages that are made when the site is built; `nox -s docs` checks the links to them.
GENERATED = re.compile(r"(\.\./)*(reference/)?(cli/\w+|api|extension-api|schemas)\.md")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", path.read_text(encoding="utf-8"))

    dead = [target for target in targets if not (path.parent / target).exists()]
    assert [target for target in dead if not GENERATED.fullmatch(target)] == []


CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """Return the anchors of the headings of a Markdown file, as the site and forges make them."""
    text = re.sub(
        r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    found = set()
    for heading in re.findall(r"^#+ +(.+)$", text, re.MULTILINE):
        plain = re.sub(r"\]\([^)]*\)", "", heading).lower()
        words = re.sub(r"[^\w\s-]", "", plain).strip()
        found |= {re.sub(r"[-\s]+", "-", words), re.sub(r"\s", "-", words)}
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_headings_that_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:)([^)#\s]*\.md)?#([^)\s]+)\)", text)
    files = {(path.parent / name if name else path, anchor) for name, anchor in targets}

    assert [
        f"{file.name}#{anchor}"
        for file, anchor in sorted(files)
        if file.exists() and anchor not in anchors(file)
    ] == []


@pytest.mark.parametrize("path", WRAPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_prose_is_wrapped(path: Path) -> None:
    text = re.sub(
        r"^ *```.*?^ *```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    # Tables, indented code and comments may be long.
    prose = (line for line in text.splitlines() if not re.match(r"\||    |<", line))

    # An address cannot be broken.
    assert [line for line in prose if len(line) > WIDTH and " " in line.strip()] == []


def test_the_readme_is_short_and_names_the_four_benchmarks() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    assert len(text.splitlines()) <= 100
    assert "pip install" in text.split("## ")[1]
    for name in ("tevolop", "uno", "cloudmask", "stemdl_classification"):
        assert f"](runners/{name}/README.md)" in text


def test_the_readme_has_the_sizes_that_the_registry_has() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    row = r"^\| \[[\w-]+\]\(runners/(\w+)/README\.md\) \| (\d+) (GB|MB),"
    rows = re.findall(row, text, re.MULTILINE)
    registry = find_registry()
    for benchmark, size, unit in rows:
        task = load_task(registry.runner(benchmark))
        version = load_descriptor(registry, task.dataset, task.version)
        manifest = version.manifest
        total = manifest.total_bytes if manifest else expected_bytes(version.expected)

        assert total is not None
        assert round(total / {"GB": 1e9, "MB": 1e6}[unit]) == int(size), benchmark
    assert len(rows) == 4


def test_the_notes_of_the_first_release_describe_no_change_of_an_unpublished_state() -> None:
    released = (ROOT / "docs/changes.md").read_text(encoding="utf-8").partition("begin -->")[2]
    fragments = sorted(path.name for path in (ROOT / "changes.d").glob("*.*.md"))

    assert fragments
    if not released.strip():
        assert [name for name in fragments if name.endswith((".changed.md", ".fixed.md"))] == []
