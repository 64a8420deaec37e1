"""Options that several verbs share: `~` in a path is the user's home, also after `=`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from sciml_data.cli import group
from sciml_data.cli.program import UserPath
from sciml_data.errors import CallError


def parameters(command: click.Command, name: str) -> Iterator[tuple[str, click.Parameter]]:
    for param in command.params:
        yield f"{name} {param.opts[0]}", param
    if isinstance(command, click.Group):
        context = click.Context(command)
        for verb in command.list_commands(context):
            inner = command.get_command(context, verb)
            assert inner is not None
            yield from parameters(inner, f"{name} {verb}".strip())


PATHS = {name: param for name, param in parameters(group, "") if isinstance(param.type, click.Path)}


@pytest.mark.parametrize("name", PATHS)
def test_a_tilde_is_expanded_in_every_path(name: str) -> None:
    assert isinstance(PATHS[name].type, UserPath)


def test_many_options_are_paths() -> None:
    assert {"check --to", "new --files", "get --home", "verify --clone"} <= set(PATHS)


@pytest.mark.parametrize(
    "words", ["export datacite tevolop_socal --to=~/a.json", "list --json --registry=~"]
)
def test_a_shell_leaves_a_tilde_after_an_equals_sign(
    words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datapackages").mkdir()

    result = CliRunner().invoke(group, words.split())

    assert result.exit_code == 0, result.output
    if "--to" in words:
        assert json.loads((tmp_path / "a.json").read_text())
    assert not (tmp_path / "~").exists()


def test_a_uri_is_left_as_it_was_typed(tmp_path: Path) -> None:
    command = group.get_command(click.Context(group), "export")
    assert command is not None
    words = ["mlflow", "RUN", "--to", "file:///x//y"]
    with command.make_context("export", words) as context:
        assert context.params["to"] == "file:///x//y"


@pytest.mark.parametrize(
    ("words", "hint"), [(["50", "GB"], "--cache 50GB"), (["fifty"], "--cache 20GB")]
)
def test_a_wrong_size_is_answered_with_a_right_one(words: list[str], hint: str) -> None:
    result = CliRunner().invoke(group, ["run", "cloudmask", "--stream", "--cache", *words])

    assert isinstance(result.exception, CallError)
    assert f"{words[0]!r} is not a size" in result.exception.message
    assert result.exception.hint.startswith(hint)
