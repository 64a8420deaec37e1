"""Every export, FAIR report and landing page of a descriptor that `check` accepts can be made."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sciml_data.curate.derive import write_derived
from sciml_data.metadata.facts import facts_of
from sciml_data.metadata.fair import assess
from sciml_data.metadata.forms import CITATIONS, FORMS, write_form
from sciml_data.metadata.landing import landing_page
from sciml_data.registry.descriptor import examine_descriptor
from sciml_data.registry.layout import Registry
from sciml_data.testing.datasets import change_descriptor
from tests.support.small_registry import small_registry

pytest.importorskip("rdflib")

HOSTILE = st.text(
    st.one_of(st.sampled_from("<>\"'&[]{}()\\^`|%#?:/@ \n\t\u00a0;,.=$*_-~é漢🌍"), st.characters())
)
WORDS = st.one_of(
    HOSTILE,
    st.sampled_from(
        [
            "https://e.org/<a>",
            "doi:10.1000/a<b>'c'[d]{e}",
            "https://doi.org/10.1002/(SICI)1<1661::AID-SIM968>3.0.CO;2-2",
            "arXiv:1909.11150",
            'https://e.org/a"b',
            "https://e.org/a b",
            "https://[::1]/",
            "https://e.org/%",
            "</script><script>alert(1)</script>",
            "10.1000/<x>",
            "]]>",
            "{{ 7 * 7 }}",
        ]
    ),
)


def _related(document: dict[str, Any], text: str) -> None:
    document["sciml"]["related"] = [{"identifier": text, "relation": "References"}]
    document["sciml"]["citation"] = [f"The crew (2001): Heights of waves. {text}"]


CHANGES: dict[str, Callable[[dict[str, Any], str], object]] = {
    "title": lambda d, text: d.update(title=f"{text} waves"),
    "description": lambda d, text: d.update(description=text + "x" * 100),
    "keywords": lambda d, text: d.update(keywords=[text, text, "waves"]),
    "homepage": lambda d, text: d.update(homepage=text),
    "licence": lambda d, text: d.update(
        licenses=[{"name": "X", "title": f"{text}...", "path": text}]
    ),
    "licence name": lambda d, text: d["licenses"][0].update(name=text),
    "source": lambda d, text: d.update(sources=[{"title": text, "path": text}]),
    "contributor": lambda d, text: d.update(
        contributors=[
            {"title": f"{text}...", "familyName": text, "email": text, "organization": text}
        ]
    ),
    "citation": lambda d, text: d["sciml"].update(
        citation=[f"{text} and more than 20 letters {text}"]
    ),
    "related": _related,
    "mirror": lambda d, text: d["sciml"]["mirrors"][0].update(prefixes={"": text}),
    "mirror name": lambda d, text: d["sciml"]["mirrors"][0].update(name=text),
    "s3": lambda d, text: d["sciml"]["mirrors"][0].update(s3=f"s3://{text}"),
    "units": lambda d, text: d["sciml"]["variables"]["height"].update(units=text, missing=text),
    "variable": lambda d, text: d["sciml"]["variables"].update(
        {text: d["sciml"]["variables"]["height"]}
    ),
    "standard name": lambda d, text: d["sciml"]["variables"]["height"].update(standard_name=text),
    "dtype": lambda d, text: d["sciml"]["variables"]["height"].update(dtype=text, dims=[text]),
    "resource": lambda d, text: d["resources"][0].update(
        name=text, title=text, mediatype=text, format=text
    ),
    "published": lambda d, text: d["sciml"].update(published=text),
    "statement": lambda d, text: d["sciml"].update(
        access_rights={"rights": "open", "statement": f"{text} and more than 20 letters"}
    ),
    "coverage": lambda d, text: d["sciml"].update(coverage={text: text}, gaps=[text]),
    "id": lambda d, text: d.update(id=text, extra={text: [text]}),
}


@pytest.fixture(scope="module")
def registry() -> Any:
    with tempfile.TemporaryDirectory() as place:
        yield small_registry(Path(place))


@pytest.mark.parametrize("place", CHANGES)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=WORDS)
def test_what_check_accepts_can_be_described_in_every_form(
    registry: Registry, place: str, text: str
) -> None:
    folder = registry.root / "datapackages" / "waves" / "1.0"
    before = (folder / "datapackage.json").read_bytes()
    try:
        try:
            change_descriptor(folder, lambda document: CHANGES[place](document, text))
        except UnicodeEncodeError:
            return  # half of a surrogate pair: no file can have it
        examined = examine_descriptor(folder)
        if examined.problems or examined.descriptor is None:
            return
        facts = facts_of(examined.descriptor)
        for forms in (*FORMS.values(), CITATIONS):
            for form in forms.values():
                write_form(facts, form)
        assess(examined.descriptor)
        landing_page(examined.descriptor)
        write_derived(registry)
    finally:
        (folder / "datapackage.json").write_bytes(before)
