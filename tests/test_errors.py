"""Errors are sentences in five parts, with every problem and a hint."""

from __future__ import annotations

import errno
import inspect
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from sciml_data import errors
from sciml_data.cli import program
from sciml_data.errors import CallError, Problem, SciMLDataError, nearest

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, SciMLDataError)
]


def test_the_parts_stand_in_their_order() -> None:
    error = SciMLDataError(
        "waves 1.0: 1 of 2 files differs",
        problems=[Problem("changed", "a.csv", "12 bytes expected, 11 found")],
        done="a.csv was moved to quarantine/",
        untouched="nothing was converted",
        hint="sciml-data verify waves --repair",
    )

    assert str(error) == (
        "waves 1.0: 1 of 2 files differs\n"
        "  changed    a.csv  12 bytes expected, 11 found\n"
        "a.csv was moved to quarantine/; nothing was converted\n"
        "\n"
        "hint: sciml-data verify waves --repair"
    )


def test_parts_that_are_not_given_leave_no_trace() -> None:
    assert str(SciMLDataError("what is wrong")) == "what is wrong"


def test_twenty_problems_are_printed_and_the_rest_counted() -> None:
    problems = [Problem("missing", f"{number}.csv", "") for number in range(23)]

    lines = str(SciMLDataError("23 files", problems=problems)).splitlines()

    assert len(lines) == 1 + 20 + 1
    assert lines[-1] == "  and 3 more"


@pytest.mark.parametrize("kind", KINDS)
def test_only_wrong_calls_exit_with_two(kind: type[SciMLDataError]) -> None:
    assert kind("wrong").exit_code == (2 if issubclass(kind, CallError) else 1)


def test_the_nearest_word_is_suggested_or_none() -> None:
    assert (
        nearest("tevolop_scal", ["uno_auc", "tevolop_socal"]) == " (did you mean 'tevolop_socal'?)"
    )
    assert nearest("xyz", ["tevolop_socal"]) == ""
    assert nearest("tevo", ["uno_auc", "tevolop_socal"]) == " (did you mean 'tevolop_socal'?)"


@pytest.mark.parametrize(
    ("word", "known"), [("nope", "uno"), ("nope", "uno_dose"), ("info", "pin"), ("ls", "list_all")]
)
def test_a_word_that_is_not_near_is_not_suggested(word: str, known: str) -> None:
    assert nearest(word, [known]) == ""


def test_a_disk_that_refuses_is_a_sentence_and_not_a_traceback(tmp_path: Path) -> None:
    """A bound on the size of files stands for a full disk; HDF5 then fails to close its file."""
    words = ["get", "cloud_slstr_ds1", "--sample", "--sample-set", "shape=300,300"]
    refused = subprocess.run(
        [sys.executable, "-m", "sciml_data", *words, "--home", str(tmp_path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)),
        capture_output=True,
        text=True,
        check=False,
    )

    assert refused.returncode == 1
    assert refused.stderr.startswith("error: file size limit exceeded\n")
    assert "\nhint: raise the limit (ulimit -f), or choose another folder" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_any_other_error_of_the_system_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(program.group, "main", fail)
    with pytest.raises(OSError, match="input/output error"):
        program.main()
