"""YAML keeps texts as texts, whichever version of YAML the parser follows."""

from __future__ import annotations

import pytest
import yaml

from sciml_data.metadata.yaml_text import to_yaml


@pytest.mark.parametrize(
    "text",
    ["1.0", "1e5", "0o14", "2026-03-17", "yes", "null", "", "a: b", "- a", "Å\n{}", "~", ".5"],
)
def test_a_text_is_read_back_as_the_same_text(text: str) -> None:
    document = {text: text, "list": [text, {"key": text}]}

    assert yaml.safe_load(to_yaml(document)) == document


@pytest.mark.parametrize("text", ["1e5", "0o14", "1.0", "-1", "+1", ".5"])
def test_a_text_that_begins_like_a_number_is_quoted(text: str) -> None:
    assert to_yaml({"version": text}) == f"version: '{text}'\n"


def test_keys_keep_their_order_and_equal_values_are_written_out() -> None:
    shared = {"b": 1, "a": None}

    assert to_yaml({"z": shared, "y": shared}) == "z:\n  b: 1\n  a: null\ny:\n  b: 1\n  a: null\n"
