"""What a shell completes after `sciml-data`, as click's own script asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def completed(*words: str, **environment: str) -> list[str]:
    """Return what bash offers for the last word."""
    command = [sys.executable, "-c", "from sciml_data.cli import main; main()"]
    variables = os.environ | {
        "_SCIML_DATA_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["sciml-data", *words]),
        "COMP_CWORD": str(len(words)),
        "PYTHONPATH": os.pathsep.join(sys.path),
        **environment,
    }
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["desc"], ["describe"]),
        (["get", "te"], ["tevolop_japan", "tevolop_socal"]),
        (["get", "tevolop_socal", "--version", ""], ["1.0", "live"]),
        (["run", "te"], ["tevolop"]),
        (["run", "uno", "--split", "ce"], ["cell", "cell+drug"]),
        (["run", "uno", "--model", "ref"], ["reference"]),
        (["run", "uno", "--variant", ""], ["auc", "dose", "cross-study"]),
        (["run", "uno", "--dataset", "uno_c"], ["uno_ccle"]),
        (["run", "uno", "--resume", "la"], ["latest"]),
        (["board", "--benchmark", "un"], ["uno"]),
        (["runs", "--benchmark", "un"], ["uno"]),
        (["board", "la"], ["latest"]),
        (["mirror", "create", "folder", "uno_cc"], ["uno_ccle"]),
        (["show", "la"], ["latest"]),
        (["rate", "te"], ["tevolop"]),
        (["sample-report", "cloud_slstr"], ["cloud_slstr_ds1"]),
        (["sample-report", "tevolop_j"], []),
        (["export", "croissant", "uno_cc"], ["uno_ccle"]),
        (["export", "catalogue", "un"], ["uno"]),
        (["export", "spdx", "la"], ["latest"]),
        (["get", "nope"], []),
        (["run", "nope", "--split", ""], []),
    ],
    ids=" ".join,
)
def test_names_are_completed(words: list[str], offered: list[str]) -> None:
    assert completed(*words) == offered


def test_runs_of_the_home_are_completed(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "uno" / "20260807T120000Z-pooled-cell-s0"
    run.mkdir(parents=True)
    (run / "record.json").write_text("{}")

    assert completed("show", "2026", SCIML_DATA_HOME=str(tmp_path)) == [run.name]


def test_bash_completes_after_the_line_that_help_prints(tmp_path: Path) -> None:
    program = tmp_path / "sciml-data"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m sciml_data "$@"\n')
    program.chmod(0o755)
    script = """
eval "$(_SCIML_DATA_COMPLETE=bash_source sciml-data)"
COMP_WORDS=(sciml-data get tevolop_s) COMP_CWORD=2
eval "$(complete -p sciml-data | sed 's/.*-F \\([^ ]*\\).*/\\1/') sciml-data tevolop_s get"
echo "${COMPREPLY[@]}"
"""
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    variables = os.environ | {"PATH": path, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        ["bash", "-c", script], env=variables, capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["tevolop_socal"]
