"""Which forms a version is exported in, and the name of each file beside the landing page."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sciml_data.errors import CallError, nearest
from sciml_data.metadata.facts import Facts


@dataclass(frozen=True)
class Form:
    """A standard and one of its formats: the function that makes it, and the file's name."""

    module: str
    function: str
    file_name: str
    media_type: str


# form -> format -> how it is made; the first format is what is meant where none is named.
FORMS: Mapping[str, Mapping[str, Form]] = {
    "croissant": {
        "json": Form("croissant", "to_croissant", "croissant.json", "application/ld+json"),
    },
    "datacite": {
        "json": Form("datacite", "to_datacite", "datacite.json", "application/json"),
        "xml": Form("datacite", "to_xml", "datacite.xml", "application/xml"),
    },
    "schema.org": {
        "json": Form("schema_org", "to_schema_org", "schema.org.json", "application/ld+json"),
    },
    "rocrate": {
        "json": Form("rocrate", "to_rocrate", "ro-crate-metadata.json", "application/ld+json"),
    },
    "dcat": {
        "json": Form("dcat", "to_dcat", "dcat.json", "application/ld+json"),
        "turtle": Form("dcat", "to_turtle", "dcat.ttl", "text/turtle"),
    },
}
CITATIONS: Mapping[str, Form] = {
    "text": Form("cite", "to_text", "citation.txt", "text/plain"),
    "bibtex": Form("cite", "to_bibtex", "citation.bib", "application/x-bibtex"),
    "cff": Form("cite", "to_cff", "CITATION.cff", "application/yaml"),
}


def find_form(form: str, format_: str | None = None) -> Form:
    """Return how a form is made.

    Raises:
        CallError: there is no such form, or it has no such format; the nearest is named.
    """
    if form not in FORMS:
        raise CallError(
            f"there is no form {form!r}{nearest(form, FORMS)}; there are {', '.join(FORMS)}",
            untouched="nothing was written",
            hint="sciml-data export croissant tevolop_socal",
        )
    formats = FORMS[form]
    if format_ is None:
        return next(iter(formats.values()))
    if format_ not in formats:
        raise CallError(
            f"{form} has no format {format_!r}{nearest(format_, formats)}; "
            f"it has {', '.join(formats)}",
            untouched="nothing was written",
            hint=f"sciml-data export {form} ID --format {next(iter(formats))}",
        )
    return formats[format_]


def write_form(facts: Facts, form: Form) -> str:
    """Return the text of an export or a citation, ended by a line feed."""
    module = importlib.import_module(f"sciml_data.metadata.{form.module}")
    make: Callable[[Facts], Any] = getattr(module, form.function)
    made = make(facts)
    text = made if isinstance(made, str) else json.dumps(made, indent=2, ensure_ascii=False)
    return f"{text}\n"
