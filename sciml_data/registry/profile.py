"""Our profile of Data Package v2: a JSON Schema at a public address, which descriptors name.

It is `descriptor.schema.json`. As v2 has it, it extends the public profile of Data Package (by
`allOf`), and a descriptor names it in `$schema`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from sciml_data.errors import Problem

PROFILE = "https://sciml-data.github.io/sciml-data/profiles/descriptor-1.json"
SCHEMA_PATH = Path(__file__).with_name("descriptor.schema.json")
TO_FILL = "(to be written)"  # stands where a person has to write; no descriptor with it is sound
# What is to be written where a started descriptor is empty, or has the words above.
FIELDS = {
    "$.title": "one line: what the data are",
    "$.description": "100 letters or more: what was measured or simulated, where, when, how much",
    "$.keywords": "three or more",
    "$.licenses": "name (SPDX, or LicenseRef-not-stated) and title (then: where you looked)",
    "$.sources": "where it comes from: title and path",
    "$.contributors": "who made it: title, roles",
    "$.sciml.citation": "the words upstream asks for, 20 letters or more",
    "$.sciml.native.format": "what the files are, 20 letters or more; or name a reader",
    "$.sciml.variables": "the ready form: dims, dtype, units, long_name of each",
    "$.sciml.sample.description": "what the synthetic sample is; without one leave `sample` out",
}


def profile_problems(document: Mapping[str, Any]) -> list[Problem]:
    """Return what a descriptor has that our profile forbids, or lacks that it asks for.

    What nobody has written yet is of the kind "to fill", each place once.
    """
    errors = sorted(_validator().iter_errors(document), key=lambda error: error.json_path)
    empty = {e.json_path for e in errors if e.json_path in FIELDS and e.instance in ("", [], {})}
    marked = dict(_marked(document, "$"))
    open_places = {**{place: FIELDS[place] for place in empty}, **marked}
    problems = [Problem("to fill", place, hint) for place, hint in sorted(open_places.items())]
    problems += [
        Problem("schema", error.json_path, error.message)
        for error in errors
        if error.json_path not in open_places
    ]
    return problems or _related_problems(document)


def _marked(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield every place whose text has the words that stand for what nobody has written."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _marked(inner, f"{place}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _marked(inner, f"{place}[{number}]")
    elif isinstance(value, str) and TO_FILL in value:
        yield place, value.replace(TO_FILL, "").strip(" :") or FIELDS.get(place, "write it")


def _related_problems(document: Mapping[str, Any]) -> list[Problem]:
    """Return where a relation is stated to something that neither sources nor citation name."""
    named = [*(one["path"] for one in document["sources"]), *document["sciml"]["citation"]]
    return [
        Problem("related", f"$.sciml.related[{number}]", f"nothing names {one['identifier']}")
        for number, one in enumerate(document["sciml"].get("related", ()))
        if not any(one["identifier"] in text for text in named)
    ]


@cache
def _validator() -> Any:
    """Return the validator; what ours extends is not looked up, for nothing here needs a network.

    Ours asks for all that the public profile does (tests/metadata/test_export_profile.py).
    """
    import jsonschema
    from referencing import Registry
    from referencing.jsonschema import DRAFT202012

    schema = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
    extended = (schema["allOf"][0]["$ref"], DRAFT202012.create_resource({}))
    empty: Registry[Any] = Registry()
    return jsonschema.Draft202012Validator(schema, registry=empty.with_resources([extended]))
