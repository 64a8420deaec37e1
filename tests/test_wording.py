"""Messages, help and docstrings use plain English, without the word order of another language."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

SOURCES = sorted((ROOT / "sciml_data").rglob("*.py"))
# `X is no Y` for `X is not a Y`, and phrases that a reader stumbles over.
STUMBLE = re.compile(
    r"(?<!there )\b(?:is|are) no (?!longer\b|more\b|such\b)\w+"
    r"|\bso many\b|\bwhatever\b|\bholds? [^.]{0,30}\bagainst\b|\bheld [^.]{0,30}\bagainst\b"
    r"|\b(?:goes|gone|go) on with\b|\bto be had\b|\bis told of\b|\bwhat was asked\b"
    r"|\bnobody knows\b|\bcomes? by\b|\bare wanted\b",
    re.IGNORECASE,
)
# Texts of published documents, whose bytes stay.
PUBLISHED = {"is no official", "is no result"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_texts_are_plain_english(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = [
        " ".join(node.value.split())
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]

    found = [match[0] for text in texts for match in STUMBLE.finditer(text)]
    assert [phrase for phrase in found if phrase not in PUBLISHED] == []
