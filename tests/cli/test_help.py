"""Help: one line for each verb in 80 columns, options in sections, and examples that work."""

from __future__ import annotations

import re
import shlex

import click
import pytest
from click.testing import CliRunner

from sciml_data.cli import GROUPS, VERBS, group
from sciml_data.cli.help import MAX_UNGROUPED, SECTIONS
from tests.support.commands import commands

WIDTH = 80


COMMANDS = dict(commands(group))
EXAMPLES = sorted(
    {
        line.strip().partition("   ")[0]
        for command in COMMANDS.values()
        for line in re.sub(r"\\\n *", "", command.epilog or "").splitlines()
        if line.strip().startswith("sciml-data ")
    }
)


def help_of(typed: str) -> str:
    result = CliRunner().invoke(group, [*typed.split(), "--help"], terminal_width=WIDTH)
    assert result.exit_code == 0
    return result.stdout


def options_of(command: click.Command) -> list[click.Option]:
    return [param for param in command.params if isinstance(param, click.Option)]


def test_a_verb_has_one_line_in_the_help_of_the_program() -> None:
    lines = help_of("").splitlines()

    for section, verbs in GROUPS.items():
        first = lines.index(f"{section}:") + 1
        printed = [line.split()[0] for line in lines[first : first + len(verbs)]]
        assert printed == list(verbs)
    assert max(map(len, lines)) <= WIDTH


def test_the_help_of_the_program_ends_with_examples() -> None:
    text = help_of("")

    assert text.index("Registry:") < text.index("Examples:") < text.index("Exit codes:")


@pytest.mark.parametrize(
    "typed", [t for t, command in COMMANDS.items() if isinstance(command, click.Group) and t]
)
def test_no_line_about_a_command_is_cut(typed: str) -> None:
    assert not re.search(r"^  \w.*\.\.\.$", help_of(typed), re.MULTILINE)


@pytest.mark.parametrize("typed", COMMANDS, ids=lambda typed: typed or "sciml-data")
def test_every_command_has_a_sentence_and_examples(typed: str) -> None:
    command = COMMANDS[typed]

    assert (command.help or "").split("\n\n")[0].rstrip().endswith(".")
    assert re.search(r"^Examples?:|^Dataset \(ID\):", command.epilog or "", re.MULTILINE)


@pytest.mark.parametrize("typed", COMMANDS, ids=lambda typed: typed or "sciml-data")
def test_many_options_are_in_sections(typed: str) -> None:
    command, text = COMMANDS[typed], help_of(typed)

    headings = [section for section in SECTIONS if f"\n{section}:\n" in text]
    assert bool(headings) == (len(options_of(command)) > MAX_UNGROUPED)
    largest = max(
        len(re.findall(r"^  -", block, re.MULTILINE)) for block in re.split(r"\n\n", text)
    )
    assert largest <= MAX_UNGROUPED + 4


@pytest.mark.parametrize("typed", COMMANDS, ids=lambda typed: typed or "sciml-data")
def test_a_value_has_a_name(typed: str) -> None:
    """A reader learns nothing from INTEGER RANGE or PATH."""
    unnamed = [
        option.opts[0]
        for option in options_of(COMMANDS[typed])
        if not (option.is_flag or option.metavar or isinstance(option.type, click.Choice))
    ]

    assert unnamed == []


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_can_be_typed(line: str) -> None:
    words = shlex.split(re.split(r" [|>] ", line)[0].replace("VERB", "get"))[1:]
    command: click.Command = group
    context = click.Context(group)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words.pop(0))
        assert found is not None
        command = found
    if "--help" not in words:
        command.make_context("verb", words)  # raises a usage error for what does not exist


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 2 * len(VERBS)
