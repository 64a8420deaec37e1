"""Summaries, boards and published figures are held against schemas that lie beside the code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from sciml_data.errors import Problem, RecordError

SUMMARY_SCHEMA = Path(__file__).with_name("summary.schema.json")
BOARD_SCHEMA = Path(__file__).with_name("board.schema.json")
PUBLISHED_SCHEMA = Path(__file__).with_name("published.schema.json")


def to_text(document: Mapping[str, Any], schema: Path) -> str:
    """Return a document as JSON, if it keeps to its schema.

    Raises:
        RecordError: it does not, or a number in it is not finite; `.problems` has every place.
    """
    try:
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except ValueError as error:
        raise RecordError(f"only finite numbers can be written: {error}") from error
    from_text(text, schema)  # tuples are lists in the text, so the text is what is checked
    return text


def from_text(text: str, schema: Path) -> dict[str, Any]:
    """Return a document that was written by `to_text`.

    Raises:
        RecordError: it is no JSON or breaks its schema; `.problems` has every place.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise RecordError(f"this is no JSON: {error}") from error
    if problems := schema_problems(document, schema):
        raise RecordError(f"the document breaks {schema.name}", problems=problems)
    return dict(document)


def schema_problems(document: Any, schema: Path) -> list[Problem]:
    """Return every place where a document breaks a schema."""
    errors = sorted(_validator(schema).iter_errors(document), key=lambda one: one.json_path)
    return [Problem("schema", error.json_path, error.message[:300]) for error in errors]


@cache
def _validator(schema: Path) -> Any:
    import jsonschema

    return jsonschema.Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))
