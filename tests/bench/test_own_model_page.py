"""docs/how-to/own-model.md, typed: its models train on the sample of uno and are rescored."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sciml_data.bench.record.record import load_record
from sciml_data.cli import group
from tests.support.paths import ROOT

pytest.importorskip("tensorflow")
# Keras 3.15 converts its own variables in a way NumPy 2.4 warns of, when it saves weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PAGE = ROOT / "docs" / "how-to" / "own-model.md"
HAS_TORCH = importlib.util.find_spec("torch") is not None
NEEDS_TORCH = pytest.mark.skipif(not HAS_TORCH, reason="pip install torch")
FENCE = re.compile(r"^```(\w+) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINES = {"keras_model.py": 20, "sklearn_model.py": 10, "torch_model.py": 30}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run every block of the page in an empty folder, in their order."""
    folder = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        patch.setenv("SCIML_DATA_HOME", str(folder / "home"))
        for language, mark, text in FENCE.findall(PAGE.read_text(encoding="utf-8")):
            if "torch_model.py" in text and not HAS_TORCH:
                continue  # the tests of CI run without PyTorch, which is large
            if mark.startswith("file="):
                (folder / mark.removeprefix("file=")).write_text(text, encoding="utf-8")
            elif language == "python":
                exec(compile(text, "page", "exec"), {})  # noqa: S102 - the page is ours
            else:
                typed(text)
        yield folder
    sys.modules.pop("keras_model", None)


@pytest.fixture(autouse=True)
def _in_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SCIML_DATA_HOME", str(folder / "home"))


def typed(line: str, *more: str) -> Result:
    result = CliRunner().invoke(group, [*shlex.split(line)[1:], *more])
    assert result.exit_code == 0, (line, result.output, result.exception)
    return result


def run_folder(folder: Path, name: str) -> Path:
    return folder / "home" / "runs" / "uno" / name


def test_the_examples_are_short() -> None:
    blocks = {mark: text for _, mark, text in FENCE.findall(PAGE.read_text(encoding="utf-8"))}

    assert {
        name: len(blocks[f"file={name}"].splitlines()) <= most for name, most in LINES.items()
    } == dict.fromkeys(LINES, True)


@pytest.mark.parametrize(
    ("name", "model", "kind", "epochs"),
    [
        ("keras", "own-keras_model", "keras", 4),
        ("sklearn", "own-sklearn_model-make", "fit and predict", 0),
        pytest.param("torch", "own-torch_model-make", "fit and predict", 0, marks=NEEDS_TORCH),
        ("function", "own-keras_model", "keras", 4),
    ],
)
def test_a_model_of_the_page_is_trained_and_marked(
    folder: Path, name: str, model: str, kind: str, epochs: int
) -> None:
    record = load_record(run_folder(folder, name))

    assert record["status"] == "success"
    assert (record["model"]["name"], record["model"]["kind"]) == (model, kind)
    assert record["model"]["origin"] == "own"
    assert len(record["curve"]) == epochs
    assert "not of the registry" in typed(f"sciml-data show {name}").stdout


@pytest.mark.parametrize("name", ["keras", "sklearn", pytest.param("torch", marks=NEEDS_TORCH)])
def test_a_run_is_packed_checked_and_rescored(folder: Path, name: str) -> None:
    words = f"--org lab --system laptop --descriptor {name} --to {folder / 'tree'} --allow-dirty"
    typed(f"sciml-data submit pack {name} {words}")
    (packed,) = (folder / "tree" / "lab").glob(f"*/laptop/{name}")

    checked = typed(f"sciml-data submit check {packed}", "--json")
    rescored = typed(f"sciml-data rescore {packed}")

    assert "not of the registry" in checked.stdout
    assert (packed / "model.py").read_bytes() == (
        run_folder(folder, name) / "model.py"
    ).read_bytes()
    assert (packed / "result-1.txt").exists() is (name == "keras")
    assert "0 differ" in rescored.output
    board = typed(f"sciml-data board {run_folder(folder, name)}", "--format", "json")
    assert "not of the registry" in board.stdout


def test_another_model_in_a_submission_is_found(folder: Path) -> None:
    words = f"--org lab --system laptop --descriptor other --to {folder / 'tree'} --allow-dirty"
    typed(f"sciml-data submit pack keras {words}")
    (packed,) = (folder / "tree" / "lab").glob("*/laptop/other")
    for change in (lambda path: path.write_text("import os\n"), Path.unlink):
        change(packed / "model.py")

        result = CliRunner().invoke(group, ["submit", "check", str(packed), "--json"])

        assert result.exit_code == 1
        assert '"kind": "model"' in result.stdout


def test_a_run_is_resumed_with_the_same_file(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "home" / "samples", tmp_path / "samples")
    shutil.copytree(run_folder(folder, "keras"), tmp_path / "runs" / "uno" / "keras")
    home = ["--home", str(tmp_path)]
    before = load_record(tmp_path / "runs" / "uno" / "keras")

    typed("sciml-data run uno --resume keras --model keras_model.py", *home)
    refused = CliRunner().invoke(
        group, ["run", "uno", "--resume", "keras", "--model", "sklearn_model.py:make", *home]
    )

    after = load_record(tmp_path / "runs" / "uno" / "keras")
    assert after["timing"]["resumed_epochs"] == 4
    assert (before["run_id"], before["metrics"]) == (after["run_id"], after["metrics"])
    assert "began with" in str(refused.exception)
