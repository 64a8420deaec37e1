"""The documentation site: its navigation, its checker of links, and the pages that code names."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from tests.support.paths import ROOT

DOCS = ROOT / "docs"
SUFFIXES = (".py", ".toml", ".md", ".html", ".yml", ".yaml", ".cff", ".json")
# Files in which `docs/...` is a page of another project, or made up for a test.
OTHERS = {
    "sciml_data/results/exports/catalogue.py",
    "tests/results/pages/test_pages.py",
    "tests/test_packaging.py",
    "tests/test_site_pages.py",
}
# The bytes of runners are in the digests of published records, so two of them still name pages by
# the folder that these were in.
NAMED_BEFORE = {
    ("runners/uno/task.toml", "docs/protocol.md"),
    ("runners/stemdl_classification/task.toml", "docs/performance.md"),
}


def hook(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / "hooks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def navigation(entries: object) -> set[str]:
    if isinstance(entries, str):
        return {entries}
    items = entries.values() if isinstance(entries, dict) else entries
    assert not isinstance(items, (str, bytes))
    return {page for entry in items for page in navigation(entry)}  # type: ignore[attr-defined]


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = navigation(yaml.safe_load(text)["nav"])
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}

    assert sorted(pages - listed) == []


def test_pages_that_code_names_exist() -> None:
    listed = subprocess.run(
        ["git", "ls-files"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    missing = set()
    for name in listed.stdout.split():
        if name in OTHERS or name.startswith("results/") or not name.endswith(SUFFIXES):
            continue
        text = (ROOT / name).read_text(encoding="utf-8")
        for page in re.findall(r"(?<![\w/.-])docs/[\w/-]+\.md", text):
            if not (ROOT / page).exists():
                missing.add((name, page))

    assert missing - NAMED_BEFORE == set()


def test_the_check_of_the_built_site_names_each_wrong_link(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="top">A</h1><a href="b.html#there">b</a><a href="#top">here</a>'
        '<a href="https://example.org/">out</a><img src="none.png">'
        '<script src="https://example.org/x.js"></script>'
    )
    (tmp_path / "b.html").write_text('<p id="other">B</p><a href="a.html">a</a>')

    assert hook("check_html").problems(tmp_path) == [
        "a.html: loads https://example.org/x.js",
        "a.html: b.html#there has no such anchor",
        "a.html: none.png does not exist",
    ]


def test_links_of_pages_lead_to_pages_of_the_site_or_to_the_forge() -> None:
    pytest.importorskip("mkdocs")
    links = hook("links")
    text = (
        "[c](../../datapackages/uno_ccle/README.md#gaps) [r](../../results/README.md) "
        "[p](../index.md)\n\n```python run\nx = y[0](1)\n```\n"
    )

    assert links.rewrite(text, "docs/how-to/x.md", "how-to/x.md") == (
        "[c](../datasets/uno_ccle.md#gaps) "
        "[r](https://github.com/sciml-data/sciml-data/blob/main/results/README.md) "
        "[p](../index.md)\n\n```python\nx = y[0](1)\n```\n"
    )


def test_printed_pages_fit_80_columns_and_name_no_folder_of_this_computer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("mkdocs")
    monkeypatch.syspath_prepend(str(DOCS / "hooks"))
    generated = hook("generated")

    for command in generated.CAPTURED:
        lines = generated.printed(command)
        assert len(lines) > 10, command
        assert [line for line in lines if len(line) > 80 and "https://" not in line] == [], command
        assert "/tmp" not in "".join(lines), command  # noqa: S108 - a text, not a file


def test_the_page_of_a_benchmark_shows_its_data_below_the_title(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("mkdocs")
    monkeypatch.syspath_prepend(str(DOCS / "hooks"))
    pages = dict(hook("generated").card_pages())

    lines = pages["benchmarks/uno.md"].splitlines()
    assert lines[0].startswith("# ")
    assert lines[2] == "![Overview of uno_ccle](../datasets/uno_ccle/overview.webp)"
    assert pages["datasets/uno_ccle.md"].count("![Overview") == 1
