"""`sciml-data diff`: compare two versions of a dataset."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli import completion
from sciml_data.cli.options import home_option, registry_option
from sciml_data.cli.program import UserPath, Verb
from sciml_data.progress import counted

if TYPE_CHECKING:
    from sciml_data.curate import Difference, ValueChange

MAX_FIELD_LETTERS = 100  # printed of a field's value; --json prints all
MAX_FILES = 20  # printed of each kind of change


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data diff my_dataset 1.0 1.1
  sciml-data diff my_dataset 1.0 1.1 --json --no-values
  sciml-data diff my_dataset 1.0 1.0 --other-registry CHECKOUT

Exit codes follow diff(1): 0 no difference, 1 differences, 2 wrong call.
""",
)
@click.argument("dataset", shell_complete=completion.datasets)
@click.argument("before")
@click.argument("after")
@registry_option
@click.option(
    "--other-registry",
    metavar="DIR",
    type=UserPath(),
    help="Registry of the second version. Default: the first registry.",
)
@home_option
@click.option("--no-values", is_flag=True, help="Skip the values of ready files.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(
    dataset: str,
    before: str,
    after: str,
    *,
    no_values: bool,
    as_json: bool,
    **places: Path | None,
) -> None:
    """Compare the files and descriptors of two versions, and their values if both are converted.

    A file with the same bytes at another path counts as renamed. Values are compared by the
    statistics of each variable (count, missing, mean, min, max); every ready file is read once.
    """
    from sciml_data.curate import diff_versions
    from sciml_data.home import find_home
    from sciml_data.registry import find_registry, load_descriptor

    registry = find_registry(places["registry"])
    other = find_registry(places["other_registry"]).first if places["other_registry"] else registry
    difference = diff_versions(
        load_descriptor(registry, dataset, before),
        load_descriptor(other, dataset, after),
        home=None if no_values else find_home(places["home"]),
    )
    if as_json:
        click.echo(json.dumps(difference.document(), indent=2, ensure_ascii=False))
    else:
        for line in lines(difference):
            click.echo(line)
    for note in dict.fromkeys(difference.notes):
        click.echo(note, err=True)
    if not difference.is_none:
        click.get_current_context().exit(1)
    click.echo(f"{dataset} {before} and {after}: no difference", err=True)


def lines(difference: Difference) -> Iterator[str]:
    """Yield a line for each difference."""
    if files := difference.files:
        for kind in ("added", "removed", "changed", "unknown"):
            yield from _some(kind, getattr(files, kind))
        yield from _some("renamed", [f"{old} -> {new}" for old, new in files.renamed])
        if not difference.is_none:
            sizes = f"{files.bytes_before} -> {files.bytes_after}"
            yield f"same       {counted(files.same, 'file')}; bytes {sizes}"
    for field in difference.fields:
        yield f"field      {field.place}: {_short(field.before)} -> {_short(field.after)}"
    for values in difference.values:
        yield f"values     {values.split}/{values.variable}: {_facts(values)}"
    equal = len(difference.compared) - len(difference.values)
    if difference.compared and not difference.is_none:
        yield f"values     equal: {equal} of {counted(len(difference.compared), 'variable')}"


def _some(kind: str, names: tuple[str, ...] | list[str]) -> Iterator[str]:
    for name in names[:MAX_FILES]:
        yield f"{kind:<10} {name}"
    if len(names) > MAX_FILES:
        yield f"{kind:<10} and {len(names) - MAX_FILES} more"


def _short(value: Any) -> str:
    text = "missing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_FIELD_LETTERS else f"{text[:MAX_FIELD_LETTERS]}…"


def _facts(values: ValueChange) -> str:
    sides: list[Mapping[str, Any]] = [values.before, values.after]
    if not all(sides):
        return "is new" if values.after else "is gone"
    keys = [key for key in {**sides[0], **sides[1]} if sides[0].get(key) != sides[1].get(key)]
    return ", ".join(f"{key} {_numbers(*(side.get(key) for side in sides))}" for key in keys)


def _numbers(before: Any, after: Any) -> str:
    """Return two values with six digits, or with all digits if six do not show the difference."""
    rounded = [
        f"{value:.6g}" if isinstance(value, float) else str(value) for value in (before, after)
    ]
    return " -> ".join(rounded if rounded[0] != rounded[1] else (str(before), str(after)))
