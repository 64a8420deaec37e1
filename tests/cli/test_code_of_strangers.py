"""The code of a registry runs only in verbs that need it, and only after it is trusted."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pty
import py_compile
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import sciml_data
from sciml_data.cli import group
from sciml_data.curate.derive import write_derived
from sciml_data.errors import CallError
from sciml_data.formats import load_format
from sciml_data.home import Home
from sciml_data.registry.extensions import TRUST_VARIABLE, require_trust
from sciml_data.registry.layout import find_registry, trusting
from sciml_data.testing.datasets import change_descriptor, write_dataset, write_files
from tests.support.paths import ROOT
from tests.support.run_samples import written_run
from tests.support.site_samples import TOY_BENCHMARK, site_registry
from tests.support.toy import toy_source

SAFE = [
    "list",
    "check",
    "derive",
    "diff waves 1.0 1.0",
    "describe waves",
    "cite waves",
    "export croissant waves",
    "export datacite waves",
    "fair waves",
    "get waves --dry-run",
    "verify waves",
    "convert waves",
    "cache",
    "board",
    "aggregate one two",
    "log one",
    "export run-crate one --to {tmp}/crate",
    "site build --to {tmp}/site",
    "run toy --help-settings",
    "export catalogue one",
    "export catalogue toy",
    "export croissant-task one",
    "export croissant-task toy",
    "export every-eval-ever one",
    "export formal toy",
    "export spdx one",
    "rate toy",
]
# They cannot do what is asked without the code.
NEED_CODE = [
    "run toy --set epochs=1 --name mine",
    "show one",
    "rescore one",
    "check --code",
    "convert waves",
    "site build --to {tmp}/site --draw",
]


METRIC = """
[[metric]]
id = "worst"
metric = "worst"
name = "largest error"
version = "1"
unit = "1"
lower_is_better = true
formula = "max of |observed - predicted|"
"""
READER = {"reader": "waves_log"}
FORMAT = "def shards(native, options): return ()\ndef read(native, shard, options): ...\n"


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file that exists as soon as any code of the registry was run."""
    monkeypatch.delenv(TRUST_VARIABLE)
    registry = site_registry(tmp_path / "registry")
    marker = tmp_path / "code-was-run"
    (registry.root / "formats").mkdir()
    (registry.root / "formats" / "waves_log.py").write_text(FORMAT)
    (registry.root / "metrics.py").write_text("def worst(observed, predicted): return 1.0\n")
    (registry.root / "runners/toy/__init__.py").write_text("")
    for path in registry.root.rglob("*.py"):
        path.write_text(f"{path.read_text()}\nopen({str(marker)!r}, 'w').close()\n")
    task = registry.root / "runners/toy/task.toml"
    text = task.read_text().replace("[[metric]]", f"{METRIC}\n[[metric]]", 1)
    task.write_text(text.replace("toy_points", "waves"))
    folder = registry.package("waves", "1.0")
    change_descriptor(folder, lambda document: document["sciml"]["native"].update(READER))
    write_derived(registry)
    home = Home(tmp_path / "home")
    for number, name in enumerate(("one", "two")):
        identifier = f"{number}2345678-1234-4234-8234-123456789abc"
        written_run(home.runs("toy") / name, run_id=identifier, benchmark=TOY_BENCHMARK)
    return marker


def sciml(line: str, folder: Path) -> Result:
    words = line.format(tmp=folder).split()
    verb = [*words, "--registry", str(folder / "registry")]
    if words[0] in {"get", "verify", "convert", "board", "aggregate", "log", "run", "show"}:
        verb += ["--home", str(folder / "home")]
    return CliRunner().invoke(group, verb)


@pytest.mark.parametrize("line", SAFE)
def test_the_code_of_a_registry_is_not_run(marker: Path, line: str) -> None:
    sciml(line, marker.parent)

    assert not marker.exists()


@pytest.mark.parametrize("line", SAFE)
def test_it_is_not_run_by_these_verbs_although_it_is_trusted(
    marker: Path, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRUST_VARIABLE, "1")

    sciml(line, marker.parent)

    assert not marker.exists() or line in TRUSTED_ONLY


# They run the code once it is trusted; without trust they fail before.
TRUSTED_ONLY = {"convert waves"}


@pytest.mark.parametrize("line", NEED_CODE)
def test_verbs_that_need_the_code_name_it_and_say_what_to_type(marker: Path, line: str) -> None:
    result = sciml(line, marker.parent)

    assert isinstance(result.exception, CallError), result.output
    assert result.exception.exit_code == 2
    assert str(marker.parent / "registry") in result.exception.message
    assert "--trust-code" in result.exception.hint
    assert not marker.exists()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_run_and_show_run_it_with_trust_and_the_documentation_says_so(
    marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sciml_data.bench.stage", toy_source)
    text = (ROOT / "docs" / "explanation" / "security.md").read_text(encoding="utf-8")

    for line in (
        "run toy --set epochs=1 --name mine --trust-code",
        "show mine --trust-code",
        "check --code --trust-code",
        "convert waves --trust-code",
    ):
        result = sciml(line, marker.parent)

        assert marker.exists(), f"{line}: {result.output} {result.exception}"
        assert f"`{line.split()[0]}`" in text
        marker.unlink()
        for name in [name for name in sys.modules if name.startswith("sciml_")]:
            if not name.startswith("sciml_data"):
                del sys.modules[name]


def test_the_answer_on_a_terminal_is_stored_until_the_code_changes(marker: Path) -> None:
    registry = marker.parent / "registry"
    questions: list[str] = []

    def answer(question: str) -> bool:
        questions.append(question)
        return True

    for _ in range(2):
        with trusting(trust_code=False, ask=answer):
            require_trust(registry)
    assert len(questions) == 1
    assert str(registry) in questions[0]
    require_trust(registry)  # also where nobody can be asked

    (registry / "formats" / "waves_log.py").write_text("import os\n")
    with pytest.raises(CallError):
        require_trust(registry)
    with trusting(trust_code=False, ask=lambda _question: False), pytest.raises(CallError):
        require_trust(registry)


@pytest.mark.parametrize("answer", ["y", "n"])
def test_a_terminal_is_asked_once(marker: Path, answer: str) -> None:
    words = [sys.executable, "-m", "sciml_data", "check", "--code"]
    words += ["--registry", str(marker.parent / "registry")]

    first, printed = on_terminal(words, answer)
    second, printed_again = on_terminal(words, "n")

    assert "brings code" in printed
    assert "waves_log.py" in printed
    assert marker.exists() is (answer == "y")
    assert (first, second) == ((0, 0) if answer == "y" else (2, 2)), printed
    assert ("Trust this code" in printed_again) is (answer == "n")


def on_terminal(words: list[str], answer: str) -> tuple[int, str]:
    """Run a command on a terminal, answer its question, and return exit code and output."""
    environment = {name: value for name, value in os.environ.items() if name != TRUST_VARIABLE}
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=ROOT
    ) as process:
        os.close(theirs)
        printed = b""
        with contextlib.suppress(OSError):  # the terminal is closed when the process ends
            while chunk := os.read(ours, 4096):
                printed += chunk
                if b"[y/N]" in chunk:
                    os.write(ours, f"{answer}\n".encode())
        code = process.wait(timeout=120)
    os.close(ours)
    return code, printed.decode()


def test_a_prepared_cache_of_python_is_not_run(tmp_path: Path, marker: Path) -> None:
    """The digest covers sources only, so nothing else may be executed."""
    folder = tmp_path / "registry" / "formats"
    source = folder / "waves_log.py"
    source.write_text(FORMAT)
    hostile = tmp_path / "hostile.py"
    hostile.write_text(f"{FORMAT}open({str(marker)!r}, 'w').close()\n")
    cache = Path(importlib.util.cache_from_source(str(source)))
    py_compile.compile(
        str(hostile),
        cfile=str(cache),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )

    with trusting(trust_code=True):
        load_format("waves_log", tmp_path / "registry" / "datapackages" / "waves" / "1.0")

    assert not marker.exists()


def test_the_built_in_registry_needs_no_trust(marker: Path) -> None:
    require_trust(find_registry().root)


LINES = """
import numpy as np, xarray as xr
from sciml_data.formats import one_to_one

def shards(native, options):
    return one_to_one(native, (".log",))

def read(native, shard, options):
    rows = np.loadtxt(native.root / shard.inputs[0], ndmin=1).astype("float32")
    return xr.Dataset({"value": ("x", rows, {"units": "1", "long_name": "v"})})
"""


def test_worker_processes_run_the_format_that_the_first_process_may_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TRUST_VARIABLE)
    registry, files = tmp_path / "registry", {f"{n}.log": b"1\n2\n" for n in range(4)}
    folder = write_dataset(registry, files).folder
    change_descriptor(folder, lambda document: document["sciml"].update(native={"reader": "lines"}))
    (registry / "formats").mkdir()
    (registry / "formats" / "lines.py").write_text(LINES)
    write_files(tmp_path / "files", files)
    places: dict[str, Any] = {"registry": registry, "home": tmp_path / "home"}
    sciml_data.adopt_dataset("tiny", tmp_path / "files", copy=True, **places)

    with pytest.raises(CallError, match="not trusted"):
        sciml_data.convert_dataset("tiny", workers=2, **places)
    with sciml_data.trusting(trust_code=True):
        converted = sciml_data.convert_dataset("tiny", workers=2, **places)

    assert len(converted.manifest) == len(files)
    assert not list(registry.rglob("__pycache__"))
