"""A landing page needs no other file, is valid HTML, and says to programs what exports say."""

from __future__ import annotations

import functools
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sciml_data import site
from sciml_data.metadata.facts import facts_of
from sciml_data.metadata.fair.evidence import read_page
from sciml_data.metadata.landing.card import card_html
from sciml_data.metadata.landing.page import MAX_ITEM_LINKS, landing_page, page_folder
from sciml_data.metadata.schema_org import to_schema_org
from sciml_data.registry.descriptor import Descriptor, load_descriptor, read_descriptor
from sciml_data.testing.datasets import change_descriptor
from tests.support.small_registry import small_registry
from tests.support.versions import REGISTRY, every_version

html5lib = pytest.importorskip("html5lib")
# Relations of links that a browser does not load (HTML standard, link types).
NEVER_FETCHED = {"canonical", "cite-as", "type", "license", "author", "describedby", "item"}
CARD = "https://example.org/cards/waves/README.md"


@functools.cache
def descriptor(of: tuple[str, str]) -> Descriptor:
    return load_descriptor(REGISTRY, *of)


@functools.cache
def page(of: tuple[str, str]) -> str:
    return landing_page(descriptor(of))


def tree(html: str) -> Any:
    """Return the elements as a browser has them; html5lib stops at the first error."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(html)


@functools.cache
def elements(of: tuple[str, str]) -> Any:
    return tree(page(of))


@every_version
def test_a_page_is_html_without_an_error(of: tuple[str, str]) -> None:
    assert elements(of).get("lang") == "en"
    assert [heading.text for heading in elements(of).iter("h1")] == [descriptor(of).title]


@every_version
def test_a_page_asks_no_other_file_and_runs_no_script(of: tuple[str, str]) -> None:
    root = elements(of)

    assert [item.get("type") for item in root.iter("script")] == ["application/ld+json"]
    assert [item for item in root.iter() if item.get("src") or item.get("srcset")] == []
    assert {item.get("rel") for item in root.iter("link")} <= NEVER_FETCHED
    assert re.findall(r"url\(|@import", "".join(item.text for item in root.iter("style"))) == []
    assert [name for item in root.iter() for name in item.attrib if name.startswith("on")] == []


@every_version
def test_headings_skip_no_level_and_tables_name_columns_and_rows(of: tuple[str, str]) -> None:
    root = elements(of)
    headings = [item for item in root.iter() if re.fullmatch(r"h[1-6]", str(item.tag))]
    levels = [int(heading.tag[1]) for heading in headings]
    steps = [after - before for before, after in pairwise(levels)]

    assert max(steps) <= 1
    assert [item for item in root.iter("th") if item.get("scope") not in ("col", "row")] == []
    names = [item.get("id") for item in root.iter() if item.get("id")]
    assert sorted(set(names)) == sorted(names)
    labels = {item.get("aria-labelledby") for item in root.iter("section")} - {None}
    assert labels == {
        "about",
        "get",
        "use",
        "licence",
        "cite",
        "card",
        "variables",
        "files",
        "descriptions",
    }
    assert labels <= set(names)


@every_version
def test_files_that_a_page_links_beside_itself_exist(of: tuple[str, str]) -> None:
    targets = {item.get("href") for item in elements(of).iter() if item.get("href")}
    relative = {target for target in targets if not re.match(r"[a-z]+:|#", target)}

    assert relative <= set(page_folder(descriptor(of)))
    assert {"croissant.json", "datapackage.json", "dcat.ttl"} <= relative


@every_version
def test_the_json_ld_of_a_page_is_that_of_the_export(of: tuple[str, str]) -> None:
    assert read_page(page(of)).json_ld == (to_schema_org(facts_of(descriptor(of))),)


def test_typed_links_are_those_of_signposting() -> None:
    links = read_page(page(("uno_almanac", "1.0"))).links
    known = facts_of(descriptor(("uno_almanac", "1.0")))

    by_relation = {rel: [href for name, href in links if name == rel] for rel, _ in links}
    assert by_relation["cite-as"] == [known.identifier]
    assert by_relation["type"] == ["https://schema.org/AboutPage", "https://schema.org/Dataset"]
    assert by_relation["license"] == [licence.url for licence in known.licences]
    assert by_relation["item"] == [
        *(resource.url for resource in known.resources),
        *(file.urls[0] for file in known.files),
    ]


def test_the_manifest_replaces_many_files_and_an_unstated_licence_is_not_linked() -> None:
    known = facts_of(descriptor(("uno_ccle", "1.0")))
    links = read_page(page(("uno_ccle", "1.0"))).links

    assert len(known.files) > MAX_ITEM_LINKS
    assert [href for rel, href in links if rel == "item"] == [file.url for file in known.resources]
    assert [href for rel, href in links if rel == "license"] == ["https://spdx.org/licenses/MIT"]


def test_a_long_list_of_files_scrolls_in_its_frame_and_a_short_one_does_not() -> None:
    def tall(name: str) -> list[str]:
        sections = elements((name, "1.0")).iter("section")
        return [item.get("aria-label") for item in sections if item.get("class") == "wide tall"]

    assert tall("uno_ccle") == ["Native files: 502"]
    assert tall("cloud_csmask") == []


def test_paper_has_the_first_files_and_says_where_the_others_are_listed() -> None:
    of = ("uno_ccle", "1.0")
    (frame,) = (item for item in elements(of).iter("section") if item.get("class") == "wide tall")
    shown = [body.findall("tr") for body in frame.iter("tbody") if body.get("class") is None]
    hidden = [body.findall("tr") for body in frame.iter("tbody") if body.get("class") is not None]
    (note,) = (item.text for item in elements(of).iter("p") if item.get("class") == "printed-only")

    assert [len(rows) for rows in (*shown, *hidden)] == [20, 482]
    (manifest,) = facts_of(descriptor(of)).resources
    assert note == f"Not printed: 482 more files. All are in manifest.csv: {manifest.url}"
    assert "printed-only" not in page(("cloud_csmask", "1.0")).partition("<body>")[2]
    site_style = Path(site.__file__).parent / "assets/site.css"
    for style in (page(of), site_style.read_text(encoding="utf-8")):
        on_screen, _, on_paper = "".join(style.split()).partition("@mediaprint{")
        assert re.search(r"\.printed-only\{display:none", on_screen)
        assert not re.search(r"\.not-printed\{", on_screen)
        assert re.search(r"\.not-printed\{display:none", on_paper)
        assert re.search(r"\.printed-only\{display:block", on_paper)


def test_fields_that_nobody_stated_are_left_out(tmp_path: Path) -> None:
    folder = small_registry(tmp_path / "registry").package("waves", "1.0")
    change_descriptor(folder, lambda document: document.pop("homepage", None))

    root = tree(landing_page(read_descriptor(folder)))
    titles = {item.text for item in root.iter("dt")}
    columns = {item.text for item in root.iter("th") if item.get("scope") == "col"}

    assert titles & {"Homepage", "Sampling", "Biases"} == set()
    assert {"Dataset", "Version", "Keywords", "Size"} <= titles
    assert {"name", "type (dimensions)"} <= columns
    assert "CF standard name" not in columns  # no variable has one


def test_no_text_of_a_descriptor_or_a_card_becomes_markup(tmp_path: Path) -> None:
    folder = small_registry(tmp_path / "registry").package("waves", "1.0")
    hostile = '</script><script>alert("1")</script><!-- <script '
    change_descriptor(folder, lambda document: document.update(title=hostile, homepage="http://a"))
    card = folder.parent / "README.md"
    card.write_text(f"# waves\n\n{hostile}\n\n<img src=x onerror=alert(2)>\n")

    html = landing_page(read_descriptor(folder))

    assert [heading.text for heading in tree(html).iter("h1")] == [hostile]
    assert [script.get("type") for script in tree(html).iter("script")] == ["application/ld+json"]
    assert list(tree(html).iter("img")) == []
    assert read_page(html).json_ld[0]["name"] == hostile


def test_the_links_of_a_card_are_relative_to_the_card() -> None:
    text = (
        "# waves\n\n[near](1.0/a.csv) [far](https://b.org/) [here](#gaps)\n\n![buoy](x/buoy.png)\n"
    )

    assert card_html(text, CARD) == (
        '<p><a href="https://example.org/cards/waves/1.0/a.csv">near</a> '
        '<a href="https://b.org/">far</a> <a href="#gaps">here</a></p>\n'
        '<p><a href="https://example.org/cards/waves/x/buoy.png">buoy</a></p>\n'
    )


def test_a_card_becomes_headings_below_the_section_and_tables() -> None:
    text = "# waves\n\n## Gaps\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"

    html = card_html(text, CARD)

    assert "<h3>Gaps</h3>" in html
    assert '<th scope="col">a</th>' in html
    assert "waves" not in html
    assert card_html("no title\n", CARD) == "<p>no title</p>\n"
