"""What jsonschema finds is said in plain sentences, each with its place."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from sciml_data.errors import Problem
from sciml_data.registry.schema import expected, schema_problems, slashed, strict_validator
from tests.support.paths import ROOT

JARGON = ("property", "schema", "instance", "valid under", "'type'", "'string'", "does not match")


def problems_of(schema: dict[str, Any], document: Any) -> list[Problem]:
    errors = jsonschema.Draft202012Validator(schema).iter_errors(document)
    return schema_problems(errors)


@pytest.mark.parametrize(
    ("schema", "value", "kind", "sentence"),
    [
        ({"type": "string"}, 3, "type", "a text is expected, not 3"),
        ({"type": ["string", "null"]}, 3, "type", "a text or null is expected, not 3"),
        ({"type": "integer", "minimum": 1}, 0, "value", "a whole number, 1 or more, is expected"),
        ({"type": "number", "exclusiveMinimum": 0}, 0, "value", "a number, more than 0, is"),
        ({"type": "array", "items": {"type": "object"}}, {}, "type", "a list is expected, not {}"),
        ({"type": "array", "items": {"type": ["null", "string"]}}, 1, "type", "a list is expected"),
        ({"type": "array", "items": {"type": "string"}}, 1, "type", "a list of texts is expected"),
        ({"minimum": 0, "maximum": 1}, 2, "value", "from 0 to 1 is expected, not 2"),
        ({"minimum": 0, "exclusiveMaximum": 1}, 1, "value", "0 or more and less than 1 is"),
        ({"enum": ["fast", "slow", "off"]}, "fsat", "value", "fast, slow or off is expected"),
        ({"enum": ["fast", "slow"]}, "fsat", "value", "did you mean 'fast'"),
        ({"const": "1.0"}, "2.0", "value", "'1.0' is expected, not '2.0'"),
        ({"minLength": 5}, "abc", "value", "5 or more characters are expected, not 3"),
        ({"minItems": 1}, [], "value", "1 or more entries are expected, not 0"),
        ({"minProperties": 1}, {}, "value", "1 or more entries are expected, not 0"),
        ({"pattern": "^[a-z]+$"}, "A", "value", "'A' does not have the form ^[a-z]+$"),
        ({"uniqueItems": True}, ["a", "a"], "value", "has an entry twice"),
        ({"not": {"type": "string"}}, "a", "value", "'a' is not allowed here"),
        ({"anyOf": [{"type": "string"}, {"minimum": 1}]}, 0, "value", "not 0, or 1 or more is"),
    ],
)  # fmt: skip
def test_a_finding_is_a_sentence_with_the_value(
    schema: dict[str, Any], value: Any, kind: str, sentence: str
) -> None:
    (problem,) = problems_of({"properties": {"key": schema}}, {"key": value})

    assert (problem.kind, problem.place) == (kind, "key")
    assert sentence in problem.message
    assert [word for word in JARGON if word in problem.message] == []


def test_a_missing_and_an_unknown_key_have_their_own_place() -> None:
    table = {
        "properties": {"title": {}, "name": {}},
        "required": ["title", "name"],
        "additionalProperties": False,
    }
    document = {"metric": [{"tilte": 1}]}

    assert problems_of({"properties": {"metric": {"items": table}}}, document) == [
        Problem("missing", "metric[0].title", "is required"),
        Problem("missing", "metric[0].name", "is required"),
        Problem("unknown", "metric[0].tilte", "no such key (did you mean 'title'?)"),
    ]


def test_a_key_that_another_key_needs_is_named() -> None:
    schema = {"dependentRequired": {"energy": ["source"]}}

    assert [problem.place for problem in problems_of(schema, {"energy": 3})] == ["source"]


def test_alternatives_name_the_keys_of_each() -> None:
    schema = {"anyOf": [{"required": ["value"]}, {"required": ["cost"]}]}

    (problem,) = problems_of(schema, {})

    assert problem.message == "value or cost is required"


def test_a_long_value_is_cut_and_a_password_is_not_shown() -> None:
    (long,) = problems_of({"type": "integer"}, "x" * 10_000)
    (address,) = problems_of({"pattern": "^ftp:"}, "https://user:hidden@host/")

    assert len(long.message) < 200
    assert "hidden" not in address.message


def test_places_of_records_have_slashes() -> None:
    errors = jsonschema.Draft202012Validator({"items": {"type": "string"}}).iter_errors(["a", 1])

    assert [problem.place for problem in schema_problems(errors, place=slashed)] == ["1"]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("integer", {"yes": [2, -1], "no": [2.0, True, "2"]}),
        ("number", {"yes": [2, 2.5], "no": [math.nan, math.inf, False]}),
        ("array", {"yes": [(1,), [1]], "no": ["1"]}),
    ],
)
def test_python_values_are_checked_strictly(kind: str, values: dict[str, list[Any]]) -> None:
    validator = strict_validator({"type": kind})

    assert [value for value in values["yes"] if not validator.is_valid(value)] == []
    assert [value for value in values["no"] if validator.is_valid(value)] == []


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "boolean"}, "true or false"),
        ({"type": "number", "minimum": 0}, "a number, 0 or more"),
        ({"enum": ["a", "b"]}, "a or b"),
        ({"type": "array", "items": {"type": "integer"}}, "a list of whole numbers"),
        ({"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1}, "1 or more of a, b"),
    ],
)  # fmt: skip
def test_what_a_schema_allows_is_said_in_words(schema: dict[str, Any], text: str) -> None:
    assert expected(schema) == text


@pytest.mark.parametrize(
    "schema", sorted((ROOT / "sciml_data").rglob("*.schema.json")), ids=lambda path: path.name
)
@pytest.mark.parametrize("document", [None, 1, "a", [], [{}], {}, {"a": 1}])
def test_every_schema_of_the_package_can_be_put_into_words(schema: Path, document: Any) -> None:
    """A value of each type at each place of the first two levels gives sentences, and no crash."""
    content = json.loads(schema.read_text(encoding="utf-8"))
    keys = content.get("properties", {})

    for wrong in (document, dict.fromkeys(keys, document), {key: {"a": document} for key in keys}):
        for problem in problems_of({**content, "allOf": []}, wrong):
            assert problem.message
