"""How objects look in a notebook: a table of names and values, every text escaped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sciml_data.progress import counted

if TYPE_CHECKING:
    from sciml_data.registry.descriptor import Descriptor

TEMPLATE = """<div class="sciml-data"><strong>{{ title }}</strong>
<table>
{%- for name, value in rows %}
<tr><th style="text-align:left">{{ name }}</th><td style="text-align:left">{{ value }}</td></tr>
{%- endfor %}
</table>{{ more | safe }}</div>"""


def html_table(title: str, rows: Mapping[str, object], *, more: str = "") -> str:
    """Return a heading and a table of names and values as HTML.

    Args:
        title: heading.
        rows: name -> value; empty values are left out.
        more: HTML that follows the table.
    """
    # Imported here, because nothing but a notebook shows HTML.
    from jinja2 import Environment

    template = Environment(autoescape=True).from_string(TEMPLATE)
    shown = [(name, value) for name, value in rows.items() if value not in ("", None)]
    return template.render(title=title, rows=shown, more=more)


def descriptor_html(descriptor: Descriptor) -> str:
    """Return title, size, licence, citation and variables of a dataset as HTML."""
    manifest, document = descriptor.manifest, descriptor.document
    size = (
        ""
        if manifest is None
        else f"{counted(len(manifest), 'file')}, {manifest.total_bytes:,} bytes"
    )
    variables = ", ".join(
        f"{name} ({', '.join(variable.dims)})" for name, variable in descriptor.variables.items()
    )
    rows = {
        "title": descriptor.title,
        "description": descriptor.description,
        "native files": size,
        "trust": descriptor.trust,
        "licence": ", ".join(item.get("name", "") for item in document["licenses"]),
        "cite": " ".join(document["sciml"]["citation"]),
        "splits": ", ".join(descriptor.splits),
        "variables": variables,
    }
    return html_table(f"{descriptor.dataset} {descriptor.version}", rows)
