"""Options and settings: declared once with type, limits and meaning, checked all at once.

A native format declares the options of its conversion as the fields of a frozen dataclass:

    @dataclass(frozen=True)
    class Options:
        strict: bool = option(False, "a sample that cannot be used stops the conversion")
        compression: str = option("none", "of the ready files", choices=("none", "gzip"))
        samples_per_shard: int = option(0, "samples in a ready file", minimum=0)

`parse_options(Options, given)` returns an instance, or raises a CallError that lists every unknown
name, wrong type and value out of range. The type of an option is that of its default. A tuple of
words may be given as a list or as one text with commas. The settings of a benchmark are declared
in its task.toml, with the same `Declaration`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from sciml_data.errors import CallError, Problem

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    OptionsType = TypeVar("OptionsType", bound=DataclassInstance)

BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}  # of JSON Schema
# Limits of a declaration -> the keyword of JSON Schema.
KEYWORDS = {
    "minimum": "minimum",
    "maximum": "maximum",
    "above": "exclusiveMinimum",
    "below": "exclusiveMaximum",
}
METADATA_KEY = "option"


@dataclass(frozen=True)
class Declaration:
    """What an option or a setting means and takes.

    Attributes:
        default: its value. None: only some models (splits, datasets) have the setting.
        help: what it does.
        choices: allowed values, or allowed entries of a list; empty allows all.
        minimum: smallest number, of a list: smallest entry. None has no limit.
        maximum: largest number. None has no limit.
        above: limit that is not allowed itself; every number above it is. None has no limit.
        below: limit that is not allowed itself; every number below it is. None has no limit.
        min_entries: smallest length of a list.
        unit: of the value.
        example: a value with its type; None takes the default's.
    """

    default: Any = None
    help: str = ""
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    min_entries: int = 0
    unit: str = ""
    example: Any = None


def option(
    default: Any,
    meaning: str,
    *,
    choices: Sequence[str] = (),
    minimum: int | None = None,
    min_entries: int = 0,
) -> Any:
    """Return a dataclass field for an option; `Declaration` explains the arguments."""
    declared = Declaration(
        default, meaning, tuple(choices), minimum=minimum, min_entries=min_entries
    )
    return field(default=default, metadata={METADATA_KEY: declared})


def value_schema(declared: Declaration) -> dict[str, Any]:
    """Return the JSON Schema of the values that an option or a setting takes."""
    example = declared.default if declared.example is None else declared.example
    if isinstance(example, list | tuple):
        entry = _scalar_schema(declared, example[0] if example else "")
        return {"type": "array", "items": entry, "minItems": declared.min_entries}
    return _scalar_schema(declared, example)


def _scalar_schema(declared: Declaration, example: Any) -> dict[str, Any]:
    if declared.choices:
        return {"enum": list(declared.choices)}
    limits = {KEYWORDS[name]: getattr(declared, name) for name in KEYWORDS}
    given = {keyword: limit for keyword, limit in limits.items() if limit is not None}
    return {"type": TYPES[type(example)], **given}


def parse_options(declared: type[OptionsType], given: Mapping[str, Any]) -> OptionsType:
    """Return the options of a conversion; an option that is not given has its default.

    Args:
        declared: frozen dataclass with fields that `option` made. A field with `init=False` keeps
            its default and cannot be given.
        given: values by name, as read from JSON or passed by a caller.

    Raises:
        CallError: names that are not declared, or values of another type or out of range;
            `.problems` has each, with the nearest known name or word.
    """
    known = {each.name: _declaration(each) for each in fields(declared) if each.init}
    values = {name: _as_words(known.get(name), value) for name, value in given.items()}
    if values and (problems := _problems(known, values)):
        count = len({problem.place for problem in problems})
        raise CallError(
            f"{count} of {len(given)} conversion options cannot be used",
            problems=problems,
            untouched="nothing was read",
            hint="\n".join(["options of this format:", *_help_lines(known)]),
        )
    return declared(**{name: _in_order(known[name], value) for name, value in values.items()})


def _problems(known: Mapping[str, Declaration], values: Mapping[str, Any]) -> list[Problem]:
    # Imported here, because most conversions have no options, and jsonschema takes 0.1 s.
    from sciml_data.registry.schema import schema_problems, strict_validator

    properties = {name: value_schema(declared) for name, declared in known.items()}
    validator = strict_validator({"properties": properties, "additionalProperties": False})
    # Words are often given as one text, so the place of a wrong word is its option.
    return schema_problems(validator.iter_errors(values), place=lambda path: str(path[0]))


def _as_words(declared: Declaration | None, value: Any) -> Any:
    """Return the words of a text with commas, where an option takes words."""
    if declared is None or not isinstance(declared.default, tuple) or not isinstance(value, str):
        return value
    return [word.strip() for word in value.split(",") if word.strip()]


def _in_order(declared: Declaration, value: Any) -> Any:
    """Return words in the order of the known ones, so that their order makes no other file."""
    if not isinstance(declared.default, tuple):
        return value
    return tuple(word for word in declared.choices if word in value)


def _help_lines(known: Mapping[str, Declaration]) -> Iterator[str]:
    """Yield a line for each option: its name, what it takes and what it does."""
    from sciml_data.registry.schema import expected

    for name, declared in known.items():
        yield f"  {name} ({expected(value_schema(declared))}): {declared.help}"
    if not known:
        yield "  none"


def _declaration(declared: Field[Any]) -> Declaration:
    declaration: Declaration = declared.metadata[METADATA_KEY]
    return declaration


def value_like(text: str, default: Any) -> Any:
    """Return a text of the command line as a value of the default's type.

    A list is split at its commas.

    Raises:
        ValueError: the text is no such value; the message says what is expected.
    """
    if isinstance(default, bool):
        if text.lower() not in BOOLEANS:
            raise ValueError(_not_expected(text, default))
        return BOOLEANS[text.lower()]
    if isinstance(default, list):
        kind = default[0] if default else ""
        return [value_like(part.strip(), kind) for part in text.split(",") if part.strip()]
    if isinstance(default, int | float):
        try:
            return type(default)(text)
        except ValueError:
            raise ValueError(_not_expected(text, default)) from None
    return text


def _not_expected(text: str, default: Any) -> str:
    from sciml_data.registry.schema import TYPE_NAMES

    return f"{TYPE_NAMES[TYPES[type(default)]]} is expected, not {text!r}"
