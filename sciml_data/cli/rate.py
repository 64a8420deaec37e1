"""`sciml-data rate`: rate a benchmark by the rubric of the working group."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from sciml_data.cli import completion
from sciml_data.cli.options import registry_option
from sciml_data.cli.program import Verb

if TYPE_CHECKING:
    from sciml_data.registry import RegistryPath


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data rate tevolop
  sciml-data rate uno --json
  sciml-data rate --all
""",
)
@click.argument("benchmark", required=False, shell_complete=completion.benchmarks)
@registry_option
@click.option("--all", "is_all", is_flag=True, help="Rate every benchmark; print a table.")
@click.option("--json", "as_json", is_flag=True, help="Print the answers as JSON.")
def command(benchmark: str | None, registry: RegistryPath, *, is_all: bool, as_json: bool) -> None:
    """Rate a benchmark by the 27 questions of the MLCommons Science working group.

    Each question is answered by yes, no or unknown, with the file, test or command that proves it.
    Six categories have up to 5 points each. Nothing is fetched or run.
    docs/reference/catalogue/README.md describes the rubric.
    """
    from sciml_data.bench import load_task
    from sciml_data.errors import CallError
    from sciml_data.registry import find_registry
    from sciml_data.results.rating import rate

    if is_all == (benchmark is not None):
        raise CallError(
            "give either a benchmark or --all",
            untouched="nothing was written",
            hint="sciml-data rate tevolop, or sciml-data rate --all",
        )
    found = find_registry(registry)
    names = found.named.benchmarks() if benchmark is None else [benchmark]
    ratings = [rate(load_task(found.runner(name)), found) for name in names]
    if as_json:
        documents = [rating.to_document() for rating in ratings]
        click.echo(json.dumps(documents if is_all else documents[0], indent=2))
    elif is_all:
        for rating in ratings:
            click.echo(f"{rating.benchmark:<24} {rating.average:.2f}")
    else:
        click.echo(ratings[0].to_text())
