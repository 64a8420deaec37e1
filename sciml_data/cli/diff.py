"""`sciml-data diff`: what differs between two versions of a dataset."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli.options import home_option, registry_option

if TYPE_CHECKING:
    from sciml_data.curate.diff import Difference, Values

MOST_LETTERS = 100  # of one side of a field; --json has all
MOST_FILES = 20  # of one kind


@click.command(
    epilog="""\b
Examples:
  sciml-data diff my_dataset 1.0 1.1
  sciml-data diff my_dataset 1.0 1.1 --json --no-values
  sciml-data diff my_dataset 1.0 1.0 --other-registry CHECKOUT

Exit code, as of diff: 0 nothing differs, 1 something does, 2 the call is wrong.
"""
)
@click.argument("dataset")
@click.argument("before")
@click.argument("after")
@registry_option
@click.option(
    "--other-registry",
    type=click.Path(path_type=Path),
    help="Registry of the second version; else the same.",
)
@home_option
@click.option("--no-values", is_flag=True, help="Do not read ready files.")
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
    """Compare two versions: files, descriptor, and values where both are converted in the home.

    A file whose bytes moved to another path is renamed. Of each variable the statistics are
    compared (count, missing, mean, min, max), which takes one reading of both.
    """
    from sciml_data.curate.diff import diff_versions
    from sciml_data.home import find_home
    from sciml_data.registry.descriptor import load_descriptor
    from sciml_data.registry.layout import find_registry

    registry = find_registry(places["registry"])
    other = find_registry(places["other_registry"]) if places["other_registry"] else registry
    found = diff_versions(
        load_descriptor(registry, dataset, before),
        load_descriptor(other, dataset, after),
        home=None if no_values else find_home(places["home"]),
    )
    if as_json:
        click.echo(json.dumps(found.document(), indent=2, ensure_ascii=False))
    else:
        for line in lines(found):
            click.echo(line)
    for note in dict.fromkeys(found.notes):
        click.echo(note, err=True)
    if not found.is_none:
        click.get_current_context().exit(1)
    click.echo(f"{dataset} {before} and {after}: no difference was found", err=True)


def lines(found: Difference) -> Iterator[str]:
    """Yield what differs, a line each."""
    if files := found.files:
        for kind in ("added", "removed", "changed", "unknown"):
            yield from _some(kind, getattr(files, kind))
        yield from _some("renamed", [f"{old} -> {new}" for old, new in files.renamed])
        if not found.is_none:
            sizes = f"{files.bytes_before} -> {files.bytes_after}"
            yield f"same       {files.same} files; bytes {sizes}"
    for one in found.fields:
        yield f"field      {one.place}: {_short(one.before)} -> {_short(one.after)}"
    for values in found.values:
        yield f"values     {values.split}/{values.variable}: {_facts(values)}"
    alike = len(found.compared) - len(found.values)
    if found.compared and not found.is_none:
        yield f"values     of {alike} of {len(found.compared)} variables are alike"


def _some(kind: str, names: tuple[str, ...] | list[str]) -> Iterator[str]:
    for name in names[:MOST_FILES]:
        yield f"{kind:<10} {name}"
    if len(names) > MOST_FILES:
        yield f"{kind:<10} and {len(names) - MOST_FILES} more"


def _short(value: Any) -> str:
    text = "not there" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}…"


def _facts(values: Values) -> str:
    sides: list[Mapping[str, Any]] = [values.before, values.after]
    if not all(sides):
        return "is new" if values.after else "is gone"
    keys = [key for key in {**sides[0], **sides[1]} if sides[0].get(key) != sides[1].get(key)]
    return ", ".join(f"{key} {_numbers(*(side.get(key) for side in sides))}" for key in keys)


def _numbers(before: Any, after: Any) -> str:
    """Return two values with as many digits as tell them apart, six at least."""
    rounded = [f"{one:.6g}" if isinstance(one, float) else str(one) for one in (before, after)]
    return " -> ".join(rounded if rounded[0] != rounded[1] else (str(before), str(after)))
