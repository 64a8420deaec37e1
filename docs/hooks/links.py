"""Links of the Markdown files, which work in the repository, made to work in the site, too.

A link to a file outside docs/ leads to the page that is made of that file, else to the forge. The
info line of a marked code block (```python run) becomes one that the site understands.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority

ROOT = Path(__file__).parents[2]
FORGE = "https://github.com/sciml-data/sciml-data/blob/main"
# Source in the repository -> page of the site; the hook `generated` makes these pages.
CARDS = {"datapackages": "datasets", "runners": "benchmarks"}
LINK = re.compile(r"(?<=\])\((?![a-z]+:|#)([^)\s#]*)(#[^)\s]*)?\)")
FENCE = re.compile(r"^(```+)(\w+) (?!title)(.*)$", re.MULTILINE)
SHOWN = re.compile(r"\b(?:file|source)=(\S+)")  # name of the file that a block has
CODE = re.compile(r"^(```+|~~~+).*?^\1", re.MULTILINE | re.DOTALL)


def page_of(path: str) -> str | None:
    """Return the page of the site that a file of the repository becomes, or None."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path == "CONTRIBUTING.md":
        return "contributing.md"
    if match := re.fullmatch(r"(datapackages|runners)/(\w+)(/README\.md)?", path):
        return f"{CARDS[match[1]]}/{match[2]}.md"
    if match := re.fullmatch(r"(datapackages|runners)/(\w+/[\w.-]+\.(?:png|svg|webp))", path):
        return f"{CARDS[match[1]]}/{match[2]}"
    return None


def rewrite(text: str, source: str, page: str) -> str:
    """Return the text of a page with links that work in the site.

    Args:
        text: Markdown.
        source: path of the file in the repository; its links are relative to it.
        page: path of the page in the site.

    Raises:
        PluginError: a link leads to nothing.
    """

    def link(match: re.Match[str]) -> str:
        target, anchor = match[1], match[2] or ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if path.startswith("docs/") and not (ROOT / path).exists():
            return match[0]  # a generated page, else MkDocs reports it
        if not (ROOT / path).exists():
            raise PluginError(f"{source}: the link to {target} leads nowhere")
        found = page_of(path)
        if found is None or not_in_site(path):
            return f"({FORGE}/{path}{anchor})"
        return f"({posixpath.relpath(found, posixpath.dirname(page) or '.')}{anchor})"

    text = FENCE.sub(fence, text)
    parts = []
    end = 0
    for block in CODE.finditer(text):
        parts += [LINK.sub(link, text[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*parts, LINK.sub(link, text[end:])])


def not_in_site(path: str) -> bool:
    """Return whether a path of docs/ is a folder, or a file that is not part of the site."""
    in_docs = path.startswith("docs/")
    return in_docs and ((ROOT / path).is_dir() or path.startswith("docs/how-to/containers/"))


def fence(match: re.Match[str]) -> str:
    """Return the first line of a code block as the site understands it."""
    name = SHOWN.search(match[3])
    title = f' title="{name[1]}"' if name else ""
    return f"{match[1]}{match[2]}{title}"


@event_priority(50)
def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrite the links of a page of docs/; generated pages were rewritten when they were made."""
    if page.file.generated_by:
        return markdown
    return rewrite(markdown, f"docs/{page.file.src_uri}", page.file.src_uri)
