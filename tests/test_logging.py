"""The library logs below `sciml_data` and prints nothing itself; the command line shows the log."""

from __future__ import annotations

import ast
import logging
import subprocess
import sys
from pathlib import Path

import pytest

import sciml_data
from sciml_data.testing.datasets import write_dataset, write_files
from tests.support.paths import ROOT

FILES = {"a.bin": b"a", "b.bin": b"bb"}
LIBRARY = sorted(
    path
    for path in (ROOT / "sciml_data").rglob("*.py")
    if path.relative_to(ROOT / "sciml_data").parts[0] not in {"cli", "testing"}
)


@pytest.fixture
def where(tmp_path: Path) -> dict[str, Path]:
    write_files(tmp_path / "served", FILES)
    write_dataset(tmp_path / "registry", FILES)
    return {"registry": tmp_path / "registry", "home": tmp_path / "home"}


def get(*words: str, where: dict[str, Path]) -> subprocess.CompletedProcess[str]:
    mirror = f"file:{where['registry'].parent / 'served'}"
    options = ["--mirror", mirror, *(f"--{name}={path}" for name, path in where.items())]
    command = [sys.executable, "-m", "sciml_data", *words, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_library_code_does_not_print(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))

    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    lines = [
        call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"
    ]
    assert lines == []


def test_a_call_logs_to_the_loggers_of_the_modules(
    where: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    mirror = f"file:{where['registry'].parent / 'served'}"

    with caplog.at_level(logging.DEBUG, logger="sciml_data"):
        sciml_data.get_dataset(
            "tiny", mirrors=[mirror], registry=where["registry"], home=where["home"]
        )

    names = {record.name: record.levelno for record in caplog.records}
    assert names["sciml_data.api.datasets"] == logging.INFO
    assert names["sciml_data.transfer.download.requests"] == logging.DEBUG


def test_a_callback_gets_the_lines_instead(
    where: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    lines: list[str] = []
    mirror = f"file:{where['registry'].parent / 'served'}"

    with caplog.at_level(logging.INFO, logger="sciml_data"):
        sciml_data.get_dataset(
            "tiny",
            mirrors=[mirror],
            registry=where["registry"],
            home=where["home"],
            log=lines.append,
        )

    assert lines
    assert caplog.records == []


def test_true_draws_a_bar_in_a_python_call(
    where: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    sciml_data.get_dataset(
        "tiny",
        mirrors=[f"file:{where['registry'].parent / 'served'}"],
        registry=where["registry"],
        home=where["home"],
        progress=True,
    )

    assert "get tiny: 100%" in capsys.readouterr().err


def test_a_program_without_logging_prints_nothing(where: dict[str, Path]) -> None:
    mirror = f"file:{where['registry'].parent / 'served'}"
    code = (
        "import sciml_data; sciml_data.get_dataset('tiny', "
        f"mirrors=[{mirror!r}], registry={str(where['registry'])!r}, home={str(where['home'])!r})"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("words", [("-q", "get", "tiny"), ("get", "tiny", "-q")])
def test_quiet_prints_the_result_alone(where: dict[str, Path], words: tuple[str, ...]) -> None:
    done = get(*words, where=where)

    assert done.returncode == 0
    assert done.stderr == ""
    assert Path(done.stdout.strip()).name == "native"


def test_quiet_prints_errors(where: dict[str, Path]) -> None:
    done = get("get", "tini", "-q", where=where)

    assert done.returncode == 2
    assert "did you mean 'tiny'" in done.stderr


def test_verbose_prints_each_file(where: dict[str, Path]) -> None:
    usual = get("get", "tiny", where=where)
    other = {**where, "home": where["home"].with_name("other")}
    verbose = get("get", "tiny", "-v", where=other)

    assert "a.bin from" not in usual.stderr
    assert "a.bin from" in verbose.stderr


def test_debug_prints_modules_and_the_traceback(where: dict[str, Path]) -> None:
    done = get("get", "tini", "--debug", where=where)

    assert done.returncode == 2
    assert "Traceback (most recent call last)" in done.stderr
    assert done.stderr.count("error: ") == 1
