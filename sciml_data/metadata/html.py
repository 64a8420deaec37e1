"""The one way to write HTML: Jinja templates in a package's folder `templates/`.

Every value is escaped unless it is `Markup`, and an undefined name is an error. Templates of all
packages share what is in `metadata/templates/`, under the name `shared/`:

- `{% extends "shared/page.html" %}`: a whole page that needs no other file;
- `{% import "shared/parts.html" as shared %}`: macros, such as `shared.link(address, text)`.

Example:
    >>> from sciml_data.metadata.html import template_environment
    >>> environment = template_environment("sciml_data.results.board")
    >>> environment.get_template("board.html").render(rows=rows)
"""

from __future__ import annotations

from functools import cache
from urllib.parse import urlsplit

from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined

from sciml_data.progress import counted

SAFE_SCHEMES = ("http", "https", "")  # "" is a relative address


@cache
def template_environment(package: str) -> Environment:
    """Return the Jinja environment of a package, which loads from the package's `templates/`.

    `{{ document|tojson }}` writes JSON that is safe inside a script element: nothing in it can end
    the element. `address is web_address` tells whether an address may become a link.
    `{{ number|counted("file") }}` writes `1 file` or `2 files`.

    Args:
        package: dotted name of the package, such as `sciml_data.site`.
    """
    shared = PrefixLoader({"shared": PackageLoader("sciml_data.metadata")})
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), shared]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"indent": 1, "ensure_ascii": False}
    environment.tests["web_address"] = is_web_address
    environment.filters["counted"] = counted
    return environment


def is_web_address(address: str) -> bool:
    """Return whether a browser may follow an address: `javascript:` and the like are refused."""
    try:
        return urlsplit(address).scheme in SAFE_SCHEMES
    except ValueError:  # no address at all, such as http://[
        return False
