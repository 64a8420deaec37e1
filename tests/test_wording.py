"""Messages, help and docstrings use plain English, without the word order of another language."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
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
# Plurals after a number, for which `counted` is meant: `1 file`, `2 files`.
PLURAL = re.compile(
    r" (?:more |ready |derived )?(?:files|problems|runs|versions|datasets|places|warnings|addresses"
    r"|rows|windows|events|parts|repositories|entries|submissions|samples|mirrors|benchmarks"
    r"|addresses|variables|groups|keywords|metrics|lines|nodes|tasks|features|sources|programs"
    r"|responses|seeds|links)\b"
)
# Packages of which texts are stored in ready files, whose bytes stay.
STORED = {"formats"}
# Never 1, because another text is for one, or the number is that of all, of which some are counted.
ALWAYS_MANY = (
    "len(matches) runs have an id",
    "len(folders) submissions",
    "len(files) files are pinned by a hash",  # of which some
    "len(plan.files) files are there",
    "len(folder.identities) ready files are there",
    "len(names) files",  # stored in a ready file instead of many names
    "len(files) files. The clone has",  # in the card of a DataLad mirror, whose bytes stay
    "len(values) runs",
    "len(blocks) runs",
    "len(tree.logs) runs; MLPerf has one",
    "len(energies) samples",  # of a picture
    "len(same) files",
    "len(problems) files differ",
    "len(report.states) links are dead",  # of which some
    "len(names) entries. ",  # of which some
    "len(files) entries have no open format",  # of which some
    "len(variables) variables has units",  # of which none
    "len(ids) metrics are in a published record",  # all of several
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


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_number_of_things_is_counted_in_words(path: Path) -> None:
    if path.relative_to(ROOT).parts[1] in STORED:
        return
    strings = [
        node.values
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.JoinedStr)
    ]

    found = [
        f"{ast.unparse(number.value)}{noun.value}"
        for values in strings
        for number, noun in pairwise(values)
        if isinstance(number, ast.FormattedValue) and "len(" in ast.unparse(number.value)
        if isinstance(noun, ast.Constant) and isinstance(noun.value, str)
        if PLURAL.match(noun.value)
    ]
    assert [text for text in found if not text.startswith(ALWAYS_MANY)] == []
