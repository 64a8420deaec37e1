"""Check every link of the built site: `python docs/hooks/check_html.py build/docs`.

MkDocs checks links in Markdown. This reads the HTML, so links that a theme, a plug-in or a
generated page made are checked, too, with their anchors. Nothing may be loaded from another server.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADING = {
    "script",
    "img",
    "iframe",
    "source",
    "video",
    "audio",
}  # elements that load what they name


class Page(HTMLParser):
    """The anchors, links and loaded files of a page."""

    def __init__(self) -> None:
        """Start without any."""
        super().__init__()
        self.anchors = {""}
        self.links: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what a tag names."""
        values = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := values.get(key))}
        is_loaded = tag in LOADING or (tag == "link" and "stylesheet" in (values.get("rel") or ""))
        for key in ("href", "src"):
            if value := values.get(key):
                self.links.append(value)
                self.loaded += [value] if is_loaded else []


def problems(root: Path) -> list[str]:
    """Return a line for each link that leads nowhere, and each file of another server."""
    pages = {}
    for path in sorted(root.rglob("*.html")):
        pages[path] = Page()
        pages[path].feed(path.read_text(encoding="utf-8"))
    found = []
    for path, page in pages.items():
        name = path.relative_to(root)
        found += [f"{name}: loads {link}" for link in page.loaded if urlsplit(link).netloc]
        if name.name == "404.html":  # its links are absolute, for any depth
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                found.append(f"{name}: {link} does not exist")
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{name}: {link} has no such anchor")
    return found


def main() -> None:
    """Check a folder, and fail if a link leads nowhere."""
    root = Path(sys.argv[1]).resolve()
    lines = problems(root)
    count = len(list(root.rglob("*.html")))
    print(f"{count} pages, {len(lines)} wrong links", *lines, sep="\n")  # noqa: T201
    sys.exit(1 if lines or not count else 0)


if __name__ == "__main__":
    main()
