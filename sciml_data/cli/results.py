"""`sciml-data results`: store records of runs, and write pages of results from them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from sciml_data.cli import completion
from sciml_data.cli.options import home_of, home_option, runs_option
from sciml_data.cli.output import log_left_out
from sciml_data.cli.program import UserPath, VerbGroup
from sciml_data.errors import CallError

results_option = click.option(
    "--results",
    metavar="DIR",
    type=UserPath(file_okay=False),
    default="results",
    show_default=True,
    help="Folder of the stored records.",
)
pages_argument = click.argument("pages", nargs=-1, type=UserPath(), metavar="[PAGE]...")
DEFAULT_PAGES = Path("docs") / "results"


@click.group(
    cls=VerbGroup,
    epilog="""\b
Examples:
  sciml-data results add RUN RUN RUN --name auc-row
  sciml-data results build
  sciml-data results check
""",
)
def command() -> None:
    """Store records of runs in results/, and write docs/results/*.md from them.

    The text of a page is written by hand. `build` writes its tables and numbers between comments,
    which say what to print; results/README.md explains them.
    """


@command.command(
    epilog="""\b
Examples:
  sciml-data results add RUN RUN RUN --name auc-row
  sciml-data results add latest --name auc-row-reference --results ../sciml-data/results
"""
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=completion.runs)
@click.option("--name", metavar="NAME", required=True, help="Name of the runs, such as auc-row.")
@click.option("--allow-dirty", is_flag=True, help="Accept runs of code with uncommitted changes.")
@results_option
@home_option
@runs_option
def add(
    runs: tuple[str, ...], name: str, results: Path, *, allow_dirty: bool, **places: Any
) -> None:
    """Copy the records of RUNs to `results/BENCHMARK/NAME`.

    RUN is a path, an id or `latest`. The runs must differ only in their seed. Existing records of
    that name are replaced. A record that names a path, a computer or a user is refused. Prints the
    folder.
    """
    from sciml_data.bench import find_runs
    from sciml_data.results.pages import add_runs

    found, left_out = find_runs(home_of(places), runs)
    log_left_out(left_out)
    records = [record for _, record in found]
    click.echo(add_runs(records, name=name, results=results, allow_dirty=allow_dirty))


@command.command(
    epilog="""\b
Examples:
  sciml-data results build
  sciml-data results build docs/results/uno.md
"""
)
@pages_argument
@results_option
def build(pages: tuple[Path, ...], results: Path) -> None:
    """Write the tables and numbers of PAGEs from the stored records.

    Also writes summary.json of each set. Without PAGE, all pages in docs/results and the README
    are written.
    Prints the files that changed.
    """
    from sciml_data.results.pages import build_pages, write_summaries

    for path in [*write_summaries(results), *build_pages(_pages(pages), results)]:
        click.echo(path)


@command.command(
    epilog="""\b
Examples:
  sciml-data results check
  sciml-data results check docs/results/uno.md
"""
)
@pages_argument
@results_option
def check(pages: tuple[Path, ...], results: Path) -> None:
    """Print where PAGEs differ from the stored records.

    The exit code is 1 if a page differs. Without PAGE, all pages in docs/results and all stored
    records are checked, and stored records that no page prints are named. In a full clone, records
    of a commit that is not in its history are named, too.
    """
    from sciml_data.results.pages import (
        history_problems,
        page_problems,
        script_table_problems,
        stored_problems,
        unprinted_sets,
    )

    problems = list(page_problems(_pages(pages), results))
    if not pages:
        problems += [*stored_problems(results), *script_table_problems(results)]
        problems += history_problems(results)
        problems += unprinted_sets(_pages(()), results)
    for problem in problems:
        click.echo(problem)
    if problems:
        sys.exit(1)
    click.echo("pages and records agree")


def _pages(named: tuple[Path, ...]) -> list[Path]:
    """Return the named pages, or all pages of the checkout."""
    readme = Path("README.md")  # its table of benchmarks has numbers of records, too
    pages = list(named) or sorted(DEFAULT_PAGES.glob("*.md"))
    if not named and readme.is_file() and "<!-- value " in readme.read_text(encoding="utf-8"):
        pages.append(readme)
    if not pages:
        raise CallError(
            f"{DEFAULT_PAGES}: no pages here", hint="run this in the checkout, or name a page"
        )
    for page in pages:
        if not page.is_file():
            raise CallError(f"{page}: no such file")
    return pages
