"""Say in plain sentences where a document breaks a JSON Schema, and which values a schema allows.

`jsonschema` finds everything that is wrong; its messages are for people who know JSON Schema. Here
each finding becomes a `Problem`: the place in the file (`settings.batch_size`, `metric[0].id`), and
a sentence with the value and what is expected instead. Unknown keys and words suggest the nearest.

Callers import this module only after a check failed, or before an unusual one. A document without
problems needs no sentences.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

from sciml_data.errors import Problem, nearest, redacted

Steps: TypeAlias = tuple[str | int, ...]  # to a place in a document
Finding: TypeAlias = tuple[Steps, str, str]  # path, kind and sentence of a problem

PLAIN = re.compile(r"[\w$-]+")  # keys that need no quotes in a path
MAX_SHOWN = 80  # characters of a wrong value; it may be a megabyte
MAX_MESSAGE = 300  # characters of a message that is not ours
TYPE_NAMES = {
    "string": "a text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "array": "a list",
    "object": "a table",
    "null": "null",
}
PLURALS = {
    "string": "texts",
    "boolean": "true and false",
    "integer": "whole numbers",
    "number": "numbers",
}
SIZES = {
    "minLength": ("characters", "or more"),
    "maxLength": ("characters", "or fewer"),
    "minItems": ("entries", "or more"),
    "maxItems": ("entries", "or fewer"),
    "minProperties": ("entries", "or more"),
    "maxProperties": ("entries", "or fewer"),
}
BOUNDS = {
    "minimum": "{} or more",
    "exclusiveMinimum": "more than {}",
    "maximum": "{} or less",
    "exclusiveMaximum": "less than {}",
}


def dotted(path: Steps) -> str:
    """Return a path as in TOML files: `metric[0].id`."""
    return "".join(map(_step, path)).removeprefix(".")


def _step(step: str | int) -> str:
    return f".{step}" if isinstance(step, str) and PLAIN.fullmatch(step) else f"[{step!r}]"


def slashed(path: Steps) -> str:
    """Return a path as in records: `metrics/0/score`."""
    return "/".join(map(str, path))


def rooted(path: Steps) -> str:
    """Return a path as in descriptors: `$.sciml.mirrors[0].s3`."""
    return f"$.{dotted(path)}".removesuffix(".").replace("$.[", "$[")


def strict_validator(schema: Mapping[str, Any]) -> Any:
    """Return a validator of Python values, for which 2.0 is not a whole number.

    JSON Schema takes 2.0 for a whole number, NaN for a number, and knows no tuples.
    """
    return _strict_class()(schema)


def schema_problems(
    errors: Iterable[Any], *, place: Callable[[Steps], str] = dotted, whole: str = ""
) -> list[Problem]:
    """Return the problems that `Validator.iter_errors` found, sorted by place, each only once.

    Args:
        errors: of jsonschema.
        place: how a path is written.
        whole: place of a problem that concerns the document as a whole.
    """
    ordered = sorted(
        errors, key=lambda error: [(type(step).__name__, step) for step in error.absolute_path]
    )
    problems = (
        Problem(kind, place(path) or whole, message)
        for error in ordered
        for path, kind, message in _findings(error)
    )
    return list(dict.fromkeys(problems))


def expected(schema: Mapping[str, Any]) -> str:
    """Return which values a schema allows, such as `a whole number, 1 or more`."""
    if "enum" in schema:
        return _choices(schema["enum"])
    entry = schema.get("items", {})
    if "enum" in entry or str(entry.get("type")) in PLURALS:
        return _expected_list(entry, schema.get("minItems", 0))
    types = schema.get("type", ())
    names = [TYPE_NAMES[name] for name in ([types] if isinstance(types, str) else types)]
    return ", ".join(part for part in (" or ".join(names), _range(schema)) if part)


def _expected_list(entry: Mapping[str, Any], min_entries: int) -> str:
    start = f"{min_entries} or more of" if min_entries else "some of"
    if "enum" in entry:
        return f"{start} {', '.join(map(str, entry['enum']))}"
    start = f"a list of {min_entries} or more" if min_entries else "a list of"
    limits = _range(entry)
    return f"{start} {PLURALS[entry['type']]}{', each ' * bool(limits)}{limits}"


def _findings(error: Any) -> Iterator[Finding]:
    """Yield what an error of jsonschema says; a missing and an unknown key have their own path."""
    path, keyword = tuple(error.absolute_path), error.validator
    if keyword in OF_KEYS:
        for kind, key, sentence in OF_KEYS[keyword](error):
            yield (*path, key), kind, sentence
    else:
        kind = "type" if keyword == "type" else "value"
        yield path, kind, SENTENCES.get(keyword, _other)(error)


def _missing(error: Any) -> Iterator[tuple[str, str, str]]:
    missing = (key for key in error.validator_value if key not in error.instance)
    return (("missing", key, "is required") for key in missing)


def _missing_beside(error: Any) -> Iterator[tuple[str, str, str]]:
    for key, needed in error.validator_value.items():
        missing = (other for other in needed if key in error.instance)
        for other in missing:
            if other not in error.instance:
                yield "missing", other, f"is required beside {key}"


def _unknown(error: Any) -> Iterator[tuple[str, str, str]]:
    known = error.schema.get("properties", {})
    unknown = (key for key in error.instance if key not in known)
    return (("unknown", key, f"no such key{nearest(key, known)}") for key in unknown)


def _not_expected(error: Any) -> str:
    allowed = expected(error.schema)
    return f"{allowed}{',' * (', ' in allowed)} is expected, not {_shown(error.instance)}"


def _not_chosen(error: Any) -> str:
    value, choices = error.instance, error.validator_value
    hint = nearest(value, map(str, choices)) if isinstance(value, str) else ""
    return f"{_choices(choices)} is expected, not {_shown(value)}{hint}"


def _not_constant(error: Any) -> str:
    return f"{_shown(error.validator_value)} is expected, not {_shown(error.instance)}"


def _wrong_form(error: Any) -> str:
    return f"{_shown(error.instance)} does not have the form {error.validator_value}"


def _wrong_size(error: Any) -> str:
    noun, more = SIZES[error.validator]
    return f"{error.validator_value} {more} {noun} are expected, not {len(error.instance)}"


def _wrong_format(error: Any) -> str:
    cause, value = error.cause, _shown(error.instance)
    return str(cause) if cause is not None else f"{value} is not a {error.validator_value}"


def _no_alternative(error: Any) -> str:
    """Return what each alternative asks for, because the value fulfils none of them."""
    findings = [finding for inner in error.context for finding in _findings(inner)]
    depth = len(error.absolute_path)
    if all(kind == "missing" for _, kind, _ in findings):
        return f"{_choices([dotted(path[depth:]) for path, _, _ in findings])} is required"
    sentences = (f"{dotted(path[depth:])} {message}".lstrip() for path, _, message in findings)
    return ", or ".join(dict.fromkeys(sentences))


def _other(error: Any) -> str:
    return redacted(str(error.message)[:MAX_MESSAGE])


def _choices(choices: Sequence[Any]) -> str:
    words = [each if isinstance(each, str) and each else repr(each) for each in choices]
    return " or ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def _range(schema: Mapping[str, Any]) -> str:
    """Return the limits of a number, an empty string if there are none."""
    if "minimum" in schema and "maximum" in schema:
        return f"from {_number(schema['minimum'])} to {_number(schema['maximum'])}"
    limits = [text.format(_number(schema[key])) for key, text in BOUNDS.items() if key in schema]
    return " and ".join(limits)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _shown(value: Any) -> str:
    """Return a value as text of bounded length, without passwords."""
    text = redacted(repr(value))
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


# What is said about keys of a table: kind, key and sentence of each.
OF_KEYS: Mapping[str, Callable[[Any], Iterator[tuple[str, str, str]]]] = {
    "required": _missing,
    "dependentRequired": _missing_beside,
    "additionalProperties": _unknown,
}
SENTENCES: Mapping[str, Callable[[Any], str]] = {
    "type": _not_expected,
    "enum": _not_chosen,
    "const": _not_constant,
    "format": _wrong_format,
    "pattern": _wrong_form,
    "uniqueItems": lambda _error: "has an entry twice",
    "not": lambda error: f"{_shown(error.instance)} is not allowed here",
    "anyOf": _no_alternative,
    "oneOf": _no_alternative,
    **dict.fromkeys(BOUNDS, _not_expected),
    **dict.fromkeys(SIZES, _wrong_size),
}


@cache
def _strict_class() -> Any:
    from jsonschema import validators

    plain = validators.Draft202012Validator
    types: dict[str, Callable[[Any, Any], bool]] = {
        "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
        "number": lambda _, value: _is_number(value),
        "array": lambda _, value: isinstance(value, list | tuple),
    }
    checker = plain.TYPE_CHECKER.redefine_many(types)
    extend: Any = validators.extend  # has no types
    return extend(plain, type_checker=checker)


def _is_number(value: Any) -> bool:
    # To Python true and false are the numbers 1 and 0; to a user they are not.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)
