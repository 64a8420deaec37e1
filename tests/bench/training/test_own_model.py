"""A model of a user's own is read from a file, and its arguments are settings of the run."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.task import load_task
from sciml_data.bench.training.own_model import (
    OwnModel,
    is_own_model,
    read_own_model,
    require_same_model,
    with_own_model,
)
from sciml_data.errors import CallError, RecordError
from tests.support.records import sample_record
from tests.support.toy import RUNNER

TEXT = """
def build(spec, settings, *, units=3, rate=0.5, names=("a", "b"), deep=False):
    return (spec, settings, units)


def other(spec, settings):
    pass
"""


def written(folder: Path, text: str = TEXT, name: str = "mine.py") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def module_level(spec: Any, settings: Any, width: int = 4) -> None:
    """Make nothing: only its arguments matter."""


@pytest.mark.parametrize(
    ("model", "is_own"),
    [("mine.py", True), ("a/mine.py:make", True), ("small", False), (None, False), ("x.pyc", False),
     (module_level, True)],
)  # fmt: skip
def test_a_model_is_of_the_user_if_it_is_a_function_or_a_python_file(
    model: object, *, is_own: bool
) -> None:
    assert is_own_model(model) is is_own


def test_the_function_build_is_read_by_default_with_its_settings(tmp_path: Path) -> None:
    own = read_own_model(written(tmp_path))

    assert (own.name, own.file) == ("own-mine", "mine.py")
    assert dict(own.defaults) == {"units": 3, "rate": 0.5, "names": ["a", "b"], "deep": False}
    assert own.origin["function"] == "build"
    assert own.source == TEXT.encode()
    assert read_own_model(f"{tmp_path}/mine.py:other").name == "own-mine-other"


def test_a_function_of_this_process_is_its_file() -> None:
    own = read_own_model(module_level)

    assert own.name == "own-test_own_model-module_level"
    assert own.source == Path(__file__).read_bytes()
    assert dict(own.defaults) == {"width": 4}


def test_arguments_are_settings_before_those_of_the_task_and_after_those_of_the_caller(
    tmp_path: Path,
) -> None:
    text = "def build(spec, settings, *, units=5, epochs=9, slope=0.1): ..."
    own = read_own_model(written(tmp_path, text))
    task = with_own_model(load_task(RUNNER), own)

    settings = resolve_settings(task, ["slope=0.3"], model=own.name, split="thirds", is_sample=True)

    assert (settings["units"], settings["epochs"], settings["slope"]) == (5, 9, 0.3)
    assert settings["model"] == "own-mine"
    with pytest.raises(CallError) as caught:
        resolve_settings(task, ["slop=1"], model=own.name, split="thirds")
    assert "slope" in str(caught.value)


BROKEN = {
    "syntax": ("def build(:\n", "mine.py, line 1"),
    "import": ("import numpy\nraise ValueError('no data')\n", "mine.py, line 2"),
    "no function": ("def biuld(spec, settings): ...\n", "biuld"),
    "no arguments": ("def build(): ...\n", "spec and settings"),
    "no default": ("def build(spec, settings, width): ...\n", "width"),
    "not simple": ("def build(spec, settings, f=print): ...\n", "f needs"),
    "reserved": ("def build(spec, settings, seed=0): ...\n", "settings['seed']"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_file_that_cannot_make_a_model_is_a_sentence(tmp_path: Path, kind: str) -> None:
    text, expected = BROKEN[kind]

    with pytest.raises(CallError) as caught:
        read_own_model(written(tmp_path, text))

    assert expected in str(caught.value)
    assert "nothing was run" in str(caught.value)


@pytest.mark.parametrize("model", ["absent.py", functools.partial(module_level), print])
def test_a_model_without_a_source_is_a_sentence(model: Any, tmp_path: Path) -> None:
    model = str(tmp_path / model) if isinstance(model, str) else model
    with pytest.raises(CallError, match=r"cannot be read|is not known"):
        read_own_model(model)


def test_a_run_is_resumed_with_the_model_that_it_began_with(tmp_path: Path) -> None:
    own = read_own_model(written(tmp_path))
    began = {"model": {**sample_record()["model"], "source": own.origin}}
    changed = read_own_model(written(tmp_path, TEXT + "\n# changed\n"))

    require_same_model(began, own.origin)
    require_same_model(sample_record(), None)
    for record, now in ((began, changed), (began, None), (sample_record(), own)):
        with pytest.raises(RecordError, match="began with"):
            require_same_model(record, origin(now))


def origin(own: OwnModel | None) -> dict[str, str] | None:
    return None if own is None else own.origin
