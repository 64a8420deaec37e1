"""Failures of commands: JSON for programs, and pointers for the words of other tools."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from sciml_data.cli import main
from sciml_data.cli.program import OTHER_WORDS, VERBS
from sciml_data.testing.datasets import write_dataset, write_files

FILES = {"a.bin": b"a", "b.bin": b"bb"}


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs the command line as its process does: (code, out, err)."""
    write_files(tmp_path / "served", FILES)
    write_dataset(tmp_path / "registry", FILES)
    monkeypatch.setenv("SCIML_DATA_REGISTRY", str(tmp_path / "registry"))
    monkeypatch.setenv("SCIML_DATA_HOME", str(tmp_path / "home"))

    def run(*words: str) -> tuple[Any, str, str]:
        monkeypatch.setattr(sys, "argv", ["sciml-data", *words])
        with pytest.raises(SystemExit) as end:
            main()
        return (end.value.code, *capfd.readouterr())

    return run


def test_files_that_differ_are_json(call: Any, tmp_path: Path) -> None:
    assert call("get", "tiny", "--mirror", f"file:{tmp_path}/served", "--json")[0] == 0
    native = next((tmp_path / "home").rglob("native"))
    (native / "a.bin").unlink()
    (native / "b.bin").write_bytes(b"xx")

    code, out, err = call("verify", "tiny", "--full", "--json")

    error = json.loads(out)["error"]
    assert (code, error["exit_code"], error["kind"]) == (1, 1, "VerificationError")
    assert {(each["kind"], each["place"]) for each in error["problems"]} == {
        ("missing", "a.bin"),
        ("changed", "b.bin"),
    }
    assert error["hint"] in err


@pytest.mark.parametrize(
    "words",
    [
        ("get", "none", "--json"),
        ("verify", "tiny", "--json"),
        ("get", "--json", "--nothing"),
    ],
)
def test_a_wrong_call_is_json(call: Any, words: tuple[str, ...]) -> None:
    code, out, err = call(*words)

    error = json.loads(out)["error"]
    assert (code, error["exit_code"], error["kind"]) == (2, 2, "CallError")
    assert error["message"] in err


def test_without_json_standard_output_is_empty(call: Any) -> None:
    assert call("verify", "tiny")[1] == ""


@pytest.mark.parametrize("word", OTHER_WORDS)
def test_the_word_of_another_tool_points_to_the_verb(call: Any, word: str) -> None:
    code, _, err = call(word)

    assert code == 2
    assert OTHER_WORDS[word] in " ".join(err.split())
    assert word not in VERBS


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("get",), "missing argument 'DATASET'"),
        (("get", "tiny", "--jobs", "x"), "'x' is not a whole number"),
        (("get", "tiny", "--jsn"), "no such option '--jsn'"),
        (("split", "export", "uno"), "missing option '--to'"),
        (("nothing",), "no such verb: 'nothing'"),
    ],
)
def test_a_wrong_call_says_how_to_call(call: Any, words: tuple[str, ...], message: str) -> None:
    code, _, err = call(*words)

    assert code == 2
    assert err.startswith("Usage: sciml-data")
    assert message in err
    assert "nothing was done" in err
    assert re.search(r"^hint: sciml-data .+; sciml-data .*--help$", err, re.MULTILINE)


@pytest.mark.parametrize("words", [(), ("submit",), ("cache", "rm", "--help"), ("mirror",)])
def test_without_a_command_the_help_is_all_that_is_printed(
    call: Any, words: tuple[str, ...]
) -> None:
    code, out, err = call(*words)

    text = out + err
    assert code == (0 if "--help" in words else 2)
    assert (text.lower().count("usage: "), text.count("error:")) == (1, 0)
    assert text.startswith("Usage: sciml-data")


@pytest.mark.parametrize(
    "words", [("cache",), ("runs",), ("get", "tiny"), ("convert", "tiny"), ("catalog",)]
)
def test_a_home_that_is_a_file_is_a_wrong_call(
    call: Any, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "file").write_text("")

    code, out, err = call(*words, "--home", str(tmp_path / "file"))

    assert (code, out) == (2, "")
    assert "is a file" in err


@pytest.mark.parametrize("name", ["missing.csv", "table.txt"])
def test_a_file_of_predictions_is_looked_at_before_data_are_fetched(
    call: Any, tmp_path: Path, name: str
) -> None:
    (tmp_path / "table.txt").write_text("")

    code, _, err = call("score", "uno", str(tmp_path / name))

    assert code == 2
    assert name in err
    assert "fetching" not in err


def test_no_submission_is_in_a_folder_that_does_not_exist(call: Any, tmp_path: Path) -> None:
    code, _, err = call("submit", "check", str(tmp_path / "missing"))

    assert code == 2
    assert "no such folder" in err


def test_a_format_of_export_is_named_once(call: Any) -> None:
    _, _, err = call("export", "croisant", "uno_ccle")

    formats = err.splitlines()[0].rpartition(": ")[2].split(", ")
    assert len(formats) == len(set(formats))
