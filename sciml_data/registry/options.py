"""Options and settings: declared once with type and limits, checked all at once.

A native format declares the options of its conversion as the fields of a frozen dataclass:

    @dataclass(frozen=True)
    class Options:
        strict: bool = option(False, "a sample that cannot be used stops the conversion")
        compression: str = option("none", "of the ready files", choices=("none", "gzip"))
        samples_per_shard: int = option(0, "samples in a ready file", minimum=0)

`parse_options(Options, given)` returns an instance, or raises a CallError that lists every unknown
name, wrong type and value out of range. The type of an option is that of its default. A tuple of
words may be given as a list or as one text with commas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from sciml_data.errors import CallError, Problem, nearest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    OptionsType = TypeVar("OptionsType", bound=DataclassInstance)

BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
METADATA_KEY = "option"


@dataclass(frozen=True)
class Limits:
    """What an option means and takes, beside its type and default.

    Attributes:
        meaning: what the option does, as its help says it.
        choices: allowed values, or allowed words of a tuple; empty allows all.
        minimum: of a number, or of the number of words of a tuple; None has no limit.
    """

    meaning: str
    choices: tuple[str, ...] = ()
    minimum: int | None = None


def option(
    default: Any, meaning: str, *, choices: Sequence[str] = (), minimum: int | None = None
) -> Any:
    """Return a dataclass field for an option; `Limits` explains the arguments."""
    limits = Limits(meaning, tuple(choices), minimum)
    return field(default=default, metadata={METADATA_KEY: limits})


def parse_options(declared: type[OptionsType], given: Mapping[str, Any]) -> OptionsType:
    """Return the options of a conversion; an option that is not given has its default.

    Args:
        declared: frozen dataclass whose fields are made with `option`. A field with `init=False`
            keeps its default and cannot be given.
        given: values by name, as read from JSON or passed by a caller.

    Raises:
        CallError: names that are not declared, or values of another type or out of range;
            `.problems` has each, with the nearest known name or word.
    """
    known = {each.name: each for each in fields(declared) if each.init}
    problems = [
        Problem("unknown", name, f"no such option{nearest(name, known)}")
        for name in given
        if name not in known
    ]
    values = {name: _checked(known[name], given[name], problems) for name in known if name in given}
    if problems:
        count = len({problem.place for problem in problems})
        raise CallError(
            f"{count} of {len(given)} conversion options cannot be used",
            problems=problems,
            untouched="nothing was read",
            hint="\n".join(["options of this format:", *_help_lines(list(known.values()))]),
        )
    return declared(**values)


def value_like(text: str, default: Any) -> Any:
    """Return a text of the command line as a value of the default's type.

    A list is split at its commas.

    Raises:
        ValueError: the text is no such value; the message says what is expected.
    """
    if isinstance(default, bool):
        if text.lower() not in BOOLEANS:
            raise ValueError(f"{TYPE_NAMES[bool]} is expected, not {text!r}")
        return BOOLEANS[text.lower()]
    if isinstance(default, list):
        kind = default[0] if default else ""
        return [value_like(part.strip(), kind) for part in text.split(",") if part.strip()]
    if isinstance(default, int | float):
        try:
            return type(default)(text)
        except ValueError:
            message = f"{TYPE_NAMES[type(default)]} is expected, not {text!r}"
            raise ValueError(message) from None
    return text


def _checked(declared: Field[Any], value: Any, problems: list[Problem]) -> Any:
    """Return the value in the option's type; what is wrong with it is added to the problems."""
    default, limits = declared.default, _limits(declared)
    if isinstance(default, tuple):
        return _words(declared, value, problems)
    if limits.choices:
        return _word(declared, value, problems)
    accepted = (int, float) if isinstance(default, float) else type(default)
    # To Python true and false are the numbers 1 and 0; to a user they are not.
    has_type = isinstance(value, accepted) and isinstance(value, bool) == isinstance(default, bool)
    if not has_type or (limits.minimum is not None and value < limits.minimum):
        message = f"{_accepted(declared)} expected, {value!r} found"
        problems.append(Problem("value", declared.name, message))
    return value


def _word(declared: Field[Any], value: Any, problems: list[Problem]) -> str:
    known = _limits(declared).choices
    if value not in known:
        message = f"{value!r} is none of {', '.join(known)}{nearest(str(value), known)}"
        problems.append(Problem("value", declared.name, message))
    return str(value)


def _words(declared: Field[Any], value: Any, problems: list[Problem]) -> tuple[str, ...]:
    """Return words in the order of the known ones, so that their order makes no other file."""
    words = [word.strip() for word in value.split(",")] if isinstance(value, str) else value
    if not isinstance(words, Sequence):
        message = f"a list of words expected, {value!r} found"
        problems.append(Problem("value", declared.name, message))
        return ()
    given = [_word(declared, word, problems) for word in words if word != ""]
    limits = _limits(declared)
    if len(given) < (limits.minimum or 0):
        message = f"{limits.minimum} or more of {', '.join(limits.choices)} expected"
        problems.append(Problem("value", declared.name, message))
    return tuple(word for word in limits.choices if word in given)


def _accepted(declared: Field[Any]) -> str:
    """Return in words which values an option takes."""
    limits = _limits(declared)
    if limits.choices:
        return f"{'some of ' * isinstance(declared.default, tuple)}{', '.join(limits.choices)}"
    minimum = "" if limits.minimum is None else f", {limits.minimum} or more,"
    return f"{TYPE_NAMES[type(declared.default)]}{minimum}"


def _help_lines(known: Sequence[Field[Any]]) -> Iterator[str]:
    """Yield a line for each option: its name, what it takes and what it does."""
    for declared in known:
        accepted = _accepted(declared).rstrip(",")
        yield f"  {declared.name} ({accepted}): {_limits(declared).meaning}"
    if not known:
        yield "  none"


def _limits(declared: Field[Any]) -> Limits:
    limits: Limits = declared.metadata[METADATA_KEY]
    return limits
