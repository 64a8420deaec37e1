"""The text of a model's file tells a wrong name before the file is executed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sciml_data.bench.training.outline import outline_of
from sciml_data.bench.training.own_model import read_own_model
from sciml_data.errors import CallError
from tests.support.paths import TOY_REGISTRY

EXECUTED = "raise SystemExit('the file was executed')\n"
BUILD = "def build(spec, settings, width=3, *, rate=-0.5, names=('a', 'b'), deep=False): ...\n"


def written(folder: Path, text: str) -> str:
    path = folder / "mine.py"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_an_outline_has_the_name_and_the_settings_of_the_model(tmp_path: Path) -> None:
    outline, own = outline_of(written(tmp_path, BUILD)), read_own_model(written(tmp_path, BUILD))

    assert outline is not None
    assert (outline.name, outline.file, outline.source) == (own.name, own.file, own.source)
    assert outline.defaults == own.defaults


WRONG = {
    "syntax": ("def build(spec, settings)\n", "", "mine.py, line 1"),
    "lone return": ("\nreturn 3\n", "", "mine.py, line 2"),
    "no function": (EXECUTED + BUILD, ":bulid", "did you mean 'build'?"),
    "no arguments": (EXECUTED + "def build(): ...\n", "", "spec and settings"),
    "no default": (EXECUTED + "def build(spec, settings, *, width): ...\n", "", "width"),
    "reserved": (EXECUTED + "def build(spec, settings, seed=0): ...\n", "", "mine.py:build"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_the_text_tells_is_refused_before_the_file_is_executed(
    tmp_path: Path, kind: str
) -> None:
    text, function, expected = WRONG[kind]

    with pytest.raises(CallError) as caught:
        outline_of(written(tmp_path, text) + function)

    assert expected in str(caught.value)
    assert "nothing was run" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "from elsewhere import build\n",
        "from elsewhere import *\n",
        "build = functools.partial(print)\n",
        "globals()['bui' + 'ld'] = print\n",
        "class build: ...\n",
        f"@wrapped\n{BUILD}",
        f"{BUILD}build = wrapped(build)\n",
        "WIDTH = 3\ndef build(spec, settings, width=WIDTH): ...\n",
    ],
)
def test_what_only_executing_the_file_can_tell_is_not_refused(tmp_path: Path, text: str) -> None:
    assert outline_of(written(tmp_path, text)) is None


def test_a_syntax_error_names_its_place_once(tmp_path: Path) -> None:
    for read in (outline_of, read_own_model):
        with pytest.raises(CallError) as caught:
            read(written(tmp_path, "\ndef build(spec, settings)\n"))
        assert str(caught.value).count("line 2") == 1


CALL = """
import sys, sciml_data
from sciml_data.errors import SciMLDataError
from sciml_data.cli import main
try:
    {call}
except (SciMLDataError, SystemExit) as error:
    assert str(error.code if isinstance(error, SystemExit) else 2) == "2"
else:
    sys.exit("no error")
assert not {{"keras", "tensorflow"}} & set(sys.modules)
"""


@pytest.mark.parametrize(
    ("model", "words"),
    [("absent.py", []), ("mine.py:biuld", []), ("mine.py", ["--set", "wdith=3"]),
     ("mine.py", ["--split", "nosplit"]), ("mine.py", ["--set", "width=many"])],
)  # fmt: skip
def test_a_wrong_name_is_told_before_a_backend_is_imported(
    tmp_path: Path, model: str, words: list[str]
) -> None:
    written(tmp_path, "import keras\n" + BUILD)
    home = ["--home", str(tmp_path / "home"), "--registry", str(TOY_REGISTRY)]
    sys_argv = ["sciml-data", "run", "toy", "--model", model, *words, *home]

    done = _python(f"sys.argv = {sys_argv!r}; main()", tmp_path)

    assert done.returncode == 0, done.stderr
    assert "nothing was run" in done.stderr


def test_a_wrong_name_in_python_is_told_before_a_backend_is_imported(tmp_path: Path) -> None:
    written(tmp_path, "import keras\n" + BUILD)
    words = f"'toy', model='mine.py', settings={{'wdith': 3}}, registry={str(TOY_REGISTRY)!r}"

    done = _python(f"sciml_data.run({words}, home={str(tmp_path / 'home')!r})", tmp_path)

    assert done.returncode == 0, done.stderr


def _python(call: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", CALL.format(call=call)]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
