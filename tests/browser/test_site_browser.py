"""The site in a real Chromium: opened, sorted, searched, printed, and checked by axe and vnu."""

from __future__ import annotations

import json
import os
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.support.site_samples import IDS

from .conftest import PageLog

pytestmark = pytest.mark.browser
PAGES = (
    "index.html",
    "runs/index.html",
    f"runs/{IDS[0]}/index.html",
    f"runs/{IDS[1]}/index.html",
    "benchmarks/tevolop/index.html",
    "benchmarks/uno/index.html",
    "datasets/tevolop_socal/1.0/index.html",
    "datasets/stemdl_cbed/1.0/index.html",
)
SIZES = {"phone": (360, 740), "desktop": (1280, 900)}
# vnu does not know the address of a page, and so reports the site's own files as foreign.
NOT_OF_THE_PAGE = "violates Content Security Policy (meta tag)"


@pytest.fixture(params=["file", "http"])
def base(request: pytest.FixtureRequest, site: Path) -> str:
    """Return the site's address on the disk, and on a server under a prefix."""
    if request.param == "file":
        return f"{site.as_uri()}/"
    return str(request.getfixturevalue("served"))


def opened(chromium: Any, url: str, log: PageLog, **options: Any) -> Any:
    page = chromium.new_context(**options).new_page()
    log.watch(page)
    page.goto(url, wait_until="networkidle")
    return page


def column(page: Any, table: str, number: int) -> list[str]:
    cells = page.locator(f"{table} tbody tr > :nth-child({number})").all_inner_texts()
    return [str(cell) for cell in cells]


def test_pages_open_without_a_word_on_the_console_or_a_request_to_elsewhere(
    chromium: Any, base: str
) -> None:
    log = PageLog()
    page = opened(chromium, base, log) if base.startswith("http") else None
    page = page or opened(chromium, f"{base}index.html", log)
    for name in PAGES:
        page.goto(base + name, wait_until="networkidle")
        skip = "getComputedStyle(document.querySelector('.skip')).position"
        assert page.evaluate(skip) == "absolute", name  # the style sheet was applied

    assert log.messages == []
    assert [url for url in log.requests if not url.startswith((base, "data:"))] == []
    assert any(url.endswith("map.png") for url in log.requests)


def test_a_table_is_sorted_by_mouse_and_by_keyboard(chromium: Any, base: str) -> None:
    log = PageLog()
    page = opened(chromium, f"{base}index.html", log)
    table = 'section[aria-labelledby="datasets"] table'
    page.locator('section[aria-labelledby="datasets"] summary').click()
    size = page.locator(f"{table} th button").nth(2)
    size.click()

    assert column(page, table, 3)[:3] == ["1.57 MB", "1.94 MB", "2.02 MB"]
    unknown = ("size not published", "size by period")
    assert column(page, table, 3)[-1] in unknown  # what is missing stays last
    assert page.locator(f"{table} th[aria-sort]").get_attribute("aria-sort") == "ascending"
    size.focus()
    page.keyboard.press("Enter")
    assert column(page, table, 3)[:2] == ["about 5 TB", "about 589 GB"]
    assert page.locator(f"{table} th[aria-sort]").get_attribute("aria-sort") == "descending"
    assert log.messages == []


def test_the_search_finds_by_all_words_and_leads_there(chromium: Any, base: str) -> None:
    log = PageLog()
    page = opened(chromium, f"{base}index.html", log)
    page.get_by_label("Search datasets, benchmarks and runs").fill("cloud sentinel-3")
    titles = page.locator("#results a").all_inner_texts()

    assert [title.split()[0] for title in titles] == [
        "cloud_slstr_ds1",
        "cloud_slstr_ds2",
        "slstr_real_mini",
        "cloudmask:",
    ]
    assert page.locator("#search-status").inner_text() == "4 found"
    page.locator("#results a").first.click()
    assert page.locator("h1").inner_text().startswith("Sentinel-3 SLSTR scenes")
    assert log.messages == []


def test_without_a_script_everything_but_search_and_sorting_is_there(
    chromium: Any, base: str
) -> None:
    page = opened(chromium, f"{base}index.html", PageLog(), java_script_enabled=False)

    assert page.locator("#search").is_hidden()
    assert page.locator("th button").count() == 0
    assert page.get_by_role("link", name="tevolop_socal").count() >= 1


def test_the_first_tab_stop_skips_to_the_content(chromium: Any, base: str) -> None:
    page = opened(chromium, f"{base}{PAGES[2]}", PageLog())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")

    assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_scrolls_no_page_sideways(chromium: Any, site: Path, name: str) -> None:
    width, height = SIZES["phone"]
    viewport = {"width": width, "height": height}
    page = opened(chromium, f"{site.as_uri()}/{name}", PageLog(), viewport=viewport)

    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_nothing(chromium: Any, site: Path, size: str, scheme: str) -> None:
    script = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    width, height = SIZES[size]
    log = PageLog()
    page = opened(
        chromium,
        f"{site.as_uri()}/index.html",
        log,
        viewport={"width": width, "height": height},
        color_scheme=scheme,
    )
    violations = []
    for name in PAGES:
        page.goto(f"{site.as_uri()}/{name}")
        page.evaluate(script)
        outcome = page.evaluate("axe.run(document, {preload: false})")
        assert len(outcome["passes"]) > 10
        violations += [
            (name, rule["id"], rule["nodes"][0]["html"]) for rule in outcome["violations"]
        ]

    assert violations == []


@pytest.mark.parametrize("name", [PAGES[0], PAGES[2], PAGES[4], PAGES[6]])
def test_a_page_is_printed_whole(chromium: Any, site: Path, tmp_path: Path, name: str) -> None:
    page = opened(chromium, f"{site.as_uri()}/{name}", PageLog())
    page.pdf(path=tmp_path / "page.pdf", format="A4")
    data = (tmp_path / "page.pdf").read_bytes()

    assert data.startswith(b"%PDF-")
    assert data.count(b"/Type /Page\n") + data.count(b"/Type /Page ") >= 1
    page.emulate_media(media="print")
    assert page.locator("header.site ul").is_hidden()
    wide = page.evaluate(
        "[...document.querySelectorAll('.wide')]"
        ".filter(one => getComputedStyle(one).overflowX !== 'visible').length"
    )
    assert wide == 0


def test_the_nu_checker_finds_no_error(site: Path) -> None:
    checker = os.environ.get("SCIML_DATA_VNU")
    if not checker:
        pytest.skip("SCIML_DATA_VNU names no vnu.jar: docs/how-to/site.md")
    words = ["java", "-jar", checker, "--skip-non-html", "--format", "json", str(site)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    messages = json.loads(done.stderr)["messages"]

    assert [text for text in messages if NOT_OF_THE_PAGE not in text["message"]] == []
