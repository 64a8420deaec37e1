"""HTML comes from templates that escape every value."""

from __future__ import annotations

import jinja2
import pytest

from sciml_data.metadata.html import template_environment

ENVIRONMENT = template_environment("sciml_data.metadata")


def render(source: str, **values: object) -> str:
    return ENVIRONMENT.from_string(source).render(**values)


def test_values_are_escaped() -> None:
    assert render("{{ text }}", text='<a href="x">') == "&lt;a href=&#34;x&#34;&gt;"


def test_an_undefined_name_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="'title' is undefined"):
        render("{{ title }}")


def test_json_in_a_script_cannot_end_the_script() -> None:
    text = render("{{ document|tojson }}", document={"b": "</script>", "a": "Å"})

    assert text == '{\n "b": "\\u003c/script\\u003e",\n "a": "Å"\n}'


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://a/?b&c", '<a href="https://a/?b&amp;c">t</a>'),
        ("a.json", '<a href="a.json">t</a>'),
        ("javascript:alert(1)", "t"),
        ("data:text/html,x", "t"),
    ],
)
def test_only_web_addresses_become_links(address: str, expected: str) -> None:
    source = '{% from "shared/parts.html" import link %}{{ link(address, "t") }}'

    assert render(source, address=address) == expected


def test_a_package_loads_its_own_templates_and_the_shared_ones() -> None:
    names = template_environment("sciml_data.site").list_templates()

    assert {"base.html", "shared/page.html"} <= set(names)
    assert "landing.html" not in names
