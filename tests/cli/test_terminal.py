"""What a stranger wrote is shown on a terminal, and never obeyed by it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sciml_data.cli import group
from sciml_data.cli.program import CleanText
from sciml_data.errors import (
    UNPRINTABLE,
    CallError,
    Problem,
    SciMLDataError,
    one_line,
    show_controls,
)
from sciml_data.home import Home
from tests.support.run_samples import written_run

HOSTILE = "\x1b[2J\x1b]0;title\x07\x9b31m\u202e\x00\x7f\bred\rok"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc\r\n", "a\tb\nc\r\n"),
        ("é 🌍 \u200d", "é 🌍 \u200d"),
        ("\x1b[31m", "\\x1b[31m"),
        ("good\rbad", "good\\x0dbad"),
        ("\u202e\ud800", "\\u202e\\ud800"),
    ],
)
def test_control_characters_are_shown_and_text_stays(text: str, shown: str) -> None:
    assert show_controls(text) == shown


def test_json_stays_json_when_its_control_characters_are_shown() -> None:
    document = {"a": "".join(map(chr, range(0x2070)))}

    text = show_controls(json.dumps(document, ensure_ascii=False))

    assert json.loads(text) == document
    assert UNPRINTABLE.search(text) is None


def test_a_log_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "result-1.txt")

    result = CliRunner().invoke(group, ["log", "--check", str(tmp_path / "result-1.txt")])

    assert isinstance(result.exception, CallError)


def test_a_problem_has_one_line() -> None:
    assert "\n" not in str(Problem("kind\n", "a\nb", "c\r\nd\t"))
    assert one_line("a\n::error::b") == "a\\x0a::error::b"
    assert "\x1b" not in str(SciMLDataError(HOSTILE, hint=HOSTILE))


def test_every_text_of_a_stream_is_cleaned_and_bytes_stay() -> None:
    buffer = io.BytesIO()
    stream = CleanText(io.TextIOWrapper(buffer, encoding="ascii"))

    stream.write("a\x1bé\n")
    stream.flush()

    assert buffer.getvalue() == b"a\\x1b\\xe9\n"


@pytest.mark.parametrize("verb", [["show", "one", "--no-figures"], ["board"], ["show", "broken"]])
def test_no_command_prints_a_control_character_of_a_record(home: Home, verb: list[str]) -> None:
    written_run(
        home.runs("tevolop") / "one",
        benchmark={
            "name": "tevolop",
            "title": HOSTILE,
            "division": "open",
            "headline_metric": "rmse.a",
        },
        model={
            "name": HOSTILE,
            "parameters": 1,
            "framework": HOSTILE,
            "best_epoch": 1,
            "origin": "own",
            "kind": "keras",
            "source": {"file": HOSTILE, "function": HOSTILE, "sha256": "0" * 64},
        },
        split={
            "name": HOSTILE,
            "strategy": HOSTILE,
            "seed": None,
            "members_digest": f"sha256:{'a' * 64}",
            "is_headline": True,
        },
        facts={"leakage": {"told": [HOSTILE]}},
    )
    broken = home.runs("tevolop") / "broken"
    broken.mkdir()
    (broken / "record.json").write_text('{"\\u001b[2J": 1}', encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "sciml_data", *verb, "--home", str(home.root)],
        capture_output=True,
        check=False,
    )

    output = (done.stdout + done.stderr).decode("utf-8")
    assert "Traceback" not in output
    assert "\\x1b" in output
    assert UNPRINTABLE.search(output) is None


def test_a_file_name_is_shown_too(home: Home, tmp_path: Path) -> None:
    place = tmp_path / "\x1b[31mred"
    (place / "a").mkdir(parents=True)
    (place / "a" / "record.json").write_text("{", encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "sciml_data", "board", str(place), "--home", str(home.root)],
        capture_output=True,
        check=False,
    )

    assert done.returncode == 1
    assert b"\x1b" not in done.stdout + done.stderr
