"""The frame that all pages share, and the path of each page in the site.

Links between pages are relative, and always name their file (`index.html` too), because a browser
that opens a folder from a disk shows a list of files.
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

INDEX = "index.html"
HOME_PATH = INDEX
RUNS_PATH = f"runs/{INDEX}"
ASSETS = ("site.css", "site.js", "icon.svg")
# `file:` is for pages that are opened from a disk: some browsers give them no origin, so that
# 'self' matches nothing. A page from the web may not load `file:` addresses anyway.
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
    """A page before it is rendered.

    Attributes:
        path: path from the root of the site, with `/`.
        title: title of the document, and its first heading.
        template: file of `templates/`.
        description: a sentence for search engines.
        trail: the pages above this one, as (label, path).
        values: the variables of the template.
        identifier: canonical address, if it is not an address of this site.
    """

    path: str
    title: str
    template: str
    description: str
    trail: tuple[tuple[str, str], ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    identifier: str | None = None

    def to(self, path: str) -> str:
        """Return the relative link from this page to a file of the site, or to its anchor."""
        return relative_link(self.path, path)


@dataclass(frozen=True)
class Frame:
    """Renders pages.

    Attributes:
        base_url: future address of the site; None if it is not known.
        title: of the site.
    """

    base_url: str | None = None
    title: str = "sciml-data"

    def render(self, page: Page) -> str:
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
            site_title=self.title,
            **page.values,
        )

    def address(self, path: str) -> str | None:
        """Return the public address of a page, or None if the site's address is not known."""
        if self.base_url is None:
            return None
        return self.base_url.rstrip("/") + "/" + quote(path.removesuffix(INDEX))


def relative_link(page: str, target: str) -> str:
    """Return the link from one path of the site to another, which may end with `#anchor`."""
    path, sharp, anchor = target.partition("#")
    relative = posixpath.relpath(path, posixpath.dirname(page) or ".")
    return quote(relative) + sharp + anchor


def dataset_path(name: str, version: str) -> str:
    """Return the path of a version's page, which is that of its public landing page too."""
    return f"datasets/{name}/{version}/{INDEX}"


def benchmark_path(name: str) -> str:
    """Return the path of a benchmark's page."""
    return f"benchmarks/{name}/{INDEX}"


def run_path(identifier: str) -> str:
    """Return the path of a run's page."""
    return f"runs/{identifier}/{INDEX}"


def asset_files() -> dict[str, bytes]:
    """Return the style sheet, the script and the icon by their paths in the site."""
    folder = Path(__file__).with_name("assets")
    return {f"assets/{name}": (folder / name).read_bytes() for name in ASSETS}
