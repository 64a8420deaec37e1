"""The frame of pages: links are relative to the page."""

from __future__ import annotations

from sciml_data.site.frame import Page


def test_links_are_relative_to_the_page() -> None:
    page = Page("runs/a/index.html", "", "", "")

    assert page.to("index.html#runs") == "../../index.html#runs"
    assert page.to("runs/a/index.html") == "index.html"
    assert page.to("datasets/x y/1.0/index.html") == "../../datasets/x%20y/1.0/index.html"
