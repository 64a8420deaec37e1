"""Options are declared once as a dataclass; what a caller gives is checked all at once."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import pytest

from sciml_data.errors import CallError
from sciml_data.registry.options import option, parse_options, value_like
from tests.support.paths import ROOT
from tests.support.problems import kinds_and_places


@dataclass(frozen=True)
class Options:
    """Every type that an option may have."""

    strict: bool = option(False, "stop at the first bad row")
    count: int = option(0, "rows in a file", minimum=0)
    share: float = option(0.5, "of the rows", minimum=0)
    glob: str = option("**", "of the files")
    mode: str = option("slow", "of reading", choices=("slow", "fast"))
    flags: tuple[str, ...] = option(
        ("b",), "that exclude a row", choices=("a", "b", "c"), min_entries=1
    )
    inherited: str = field(default="fixed", init=False)


def problems_of(**given: Any) -> list[tuple[str, str]]:
    with pytest.raises(CallError) as error:
        parse_options(Options, given)
    return kinds_and_places(error)


def test_options_that_are_not_given_have_their_defaults() -> None:
    assert parse_options(Options, {}) == Options()


def test_without_options_no_schema_is_checked() -> None:
    """A conversion without options does not wait for jsonschema, which takes 0.1 s to load."""
    program = """
import sys
from tests.registry.test_options import Options, parse_options
assert "jsonschema" not in sys.modules
parse_options(Options, {})
assert "jsonschema" not in sys.modules
parse_options(Options, {"count": 1})
assert "jsonschema" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


@pytest.mark.parametrize(
    ("name", "value", "parsed"),
    [
        ("strict", True, True),
        ("count", 7, 7),
        ("count", 0, 0),
        ("share", 1, 1),
        ("share", 0.25, 0.25),
        ("glob", "a/*", "a/*"),
        ("mode", "fast", "fast"),
        ("flags", ["c", "a"], ("a", "c")),
        ("flags", "c, a,c,", ("a", "c")),
        ("flags", ("b",), ("b",)),
    ],
)
def test_a_value_of_the_right_type_is_taken(name: str, value: Any, parsed: Any) -> None:
    assert getattr(parse_options(Options, {name: value}), name) == parsed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("strict", 1),
        ("strict", "true"),
        ("count", True),
        ("count", 2.0),
        ("count", "3"),
        ("count", None),
        ("share", "half"),
        ("share", True),
        ("share", float("nan")),
        ("glob", 3),
        ("flags", 3),
        ("flags", None),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, value: Any) -> None:
    assert problems_of(**{name: value}) == [("type", name)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", -1),
        ("share", -0.1),
        ("mode", "quick"),
        ("mode", True),
        ("mode", None),
        ("flags", []),
        ("flags", ""),
        ("flags", "a,d"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused(name: str, value: Any) -> None:
    assert problems_of(**{name: value}) == [("value", name)]


def test_everything_that_is_wrong_is_named_at_once_with_the_nearest_word() -> None:
    with pytest.raises(CallError) as error:
        parse_options(Options, {"mode": "fsat", "flags": "x,y", "strct": True, "count": 1})

    assert kinds_and_places(error) == [
        ("unknown", "strct"),
        ("value", "flags"),
        ("value", "flags"),
        ("value", "mode"),
    ]
    assert "did you mean 'strict'" in error.value.problems[0].message
    assert "did you mean 'fast'" in error.value.problems[3].message
    assert "3 of 4" in error.value.message


def test_an_error_lists_the_options_and_what_they_take() -> None:
    with pytest.raises(CallError) as error:
        parse_options(Options, {"inherited": "free"})

    assert [line.partition(" (")[0].strip() for line in error.value.hint.splitlines()[1:]] == [
        "strict", "count", "share", "glob", "mode", "flags"
    ]  # fmt: skip
    assert "count (a whole number, 0 or more): rows in a file" in error.value.hint


@pytest.mark.parametrize(
    ("text", "default", "value"),
    [
        ("yes", False, True),
        ("0", True, False),
        ("7", 1, 7),
        ("1e-3", 0.5, 1e-3),
        ("a,b, c", ["x"], ["a", "b", "c"]),
        ("1,2", [0], [1, 2]),
        ("a,b", [], ["a", "b"]),
        ("7", "word", "7"),
    ],
)
def test_a_text_becomes_a_value_of_the_default_s_type(text: str, default: Any, value: Any) -> None:
    made = value_like(text, default)

    assert made == value
    assert type(made) is type(value)


@pytest.mark.parametrize(("text", "default"), [("maybe", True), ("1.5", 1), ("x", 0.5)])
def test_a_text_that_is_of_another_type_is_refused(text: str, default: Any) -> None:
    with pytest.raises(ValueError, match="is expected, not"):
        value_like(text, default)
