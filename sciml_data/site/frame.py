"""A page of the site: a template, its values, and links that are relative to where it lies.

Every link names its file (`index.html` too): a browser that opens a folder from a disk lists it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sciml_data import __version__
from sciml_data.metadata.addresses import REPOSITORY
from sciml_data.metadata.html import template_environment

ASSETS = ("site.css", "site.js", "icon.svg")
INDEX = "index.html"
# `file:` is for browsers to which a page from a disk has no origin, so that 'self' is nothing. A
# page from the web may not load files anyway.
POLICY = (
    "default-src 'none'; style-src 'self' file:; script-src 'self' file:; "
    "img-src 'self' file: data:; base-uri 'none'; form-action 'none'"
)
NOTICE = (
    "Unofficial. MLCommons neither made nor reviewed this site or any score on it; its benchmarks "
    "are named to say what was run."
)


@dataclass(frozen=True)
class Page:
    """A page before it is drawn.

    Attributes:
        path: from the root of the site, with `/`.
        title: of the document, and its first heading.
        template: file of `templates/`.
        description: a sentence for search engines.
        trail: pages above it, as (label, path).
        values: what the template wants.
        identifier: address that is canonical, where that is not this site's.
    """

    path: str
    title: str
    template: str
    description: str
    trail: tuple[tuple[str, str], ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    identifier: str | None = None

    def to(self, path: str) -> str:
        """Return the relative link from this page to a file of the site, or to a part of one."""
        target, sharp, anchor = path.partition("#")
        relative = posixpath.relpath(target, posixpath.dirname(self.path) or ".")
        return quote(relative) + sharp + anchor


@dataclass(frozen=True)
class Frame:
    """Draws pages; `base_url` is where the site will be, if that is known."""

    base_url: str | None = None

    def draw(self, page: Page) -> str:
        """Return the HTML of a page."""
        template = template_environment("sciml_data.site").get_template(page.template)
        return template.render(
            page=page,
            to=page.to,
            canonical=page.identifier or self.address(page.path),
            policy=POLICY,
            notice=NOTICE,
            version=__version__,
            repository=REPOSITORY,
            **page.values,
        )

    def address(self, path: str) -> str | None:
        """Return the public address of a page, None where the site's is not known."""
        if self.base_url is None:
            return None
        return self.base_url.rstrip("/") + "/" + quote(path.removesuffix(INDEX))


def asset_files() -> dict[str, bytes]:
    """Return the style, the script and the icon by their paths in the site."""
    folder = Path(__file__).with_name("assets")
    return {f"assets/{name}": (folder / name).read_bytes() for name in ASSETS}
