"""The standard forms that a version can be exported in, and each file's name beside its page.

`FORMS` is the list that `sciml-data export` offers, `CITATIONS` the one of `sciml-data cite`. Each
entry names its module, which is imported only when the form is written.
"""

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
    """One format of a standard: the function that writes it, and the name and type of its file."""

    module: str
    function: str
    file_name: str
    media_type: str


# form -> format -> how it is written. The first format is the default.
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
    """Return a form in one of its formats; None is the form's default format.

    Raises:
        CallError: the form or the format is not known; the message names the nearest.
    """
    if form not in FORMS:
        raise CallError(
            f"unknown form {form!r}{nearest(form, FORMS)}; the forms are {', '.join(FORMS)}",
            untouched="nothing was written",
            hint="sciml-data export croissant tevolop_socal",
        )
    formats = FORMS[form]
    if format_ is None:
        return next(iter(formats.values()))
    if format_ not in formats:
        raise CallError(
            f"{form} has no format {format_!r}{nearest(format_, formats)}; "
            f"its formats are {', '.join(formats)}",
            untouched="nothing was written",
            hint=f"sciml-data export {form} ID --format {next(iter(formats))}",
        )
    return formats[format_]


def write_form(facts: Facts, form: Form) -> str:
    """Return the text of an export or a citation, ended by a line feed."""
    module = importlib.import_module(f"sciml_data.metadata.{form.module}")
    function: Callable[[Facts], Any] = getattr(module, form.function)
    result = function(facts)
    text = result if isinstance(result, str) else json.dumps(result, indent=2, ensure_ascii=False)
    return f"{text}\n"
