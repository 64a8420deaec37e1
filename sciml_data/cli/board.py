"""`sciml-data board`: runs and submissions as a board, published figures beside them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli import completion
from sciml_data.cli.options import home_option, registry_option, runs_option
from sciml_data.cli.output import log, log_left_out, print_or_write
from sciml_data.cli.program import UserPath, Verb

if TYPE_CHECKING:
    from sciml_data.results.board import Row

OMITTED = "because they were not successful, or a later run with a seed that ran before"
FORMATS = ("text", "markdown", "csv", "json", "html")
SORTS = ("rank", "time", "energy")


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data board
  sciml-data board --benchmark tevolop
  sciml-data board --sort time
  sciml-data board results/ --format html --output board.html
  sciml-data board latest 3f2a91c0 --format csv
""",
)
@click.argument("names", nargs=-1, metavar="[RUN_OR_FOLDER]...", shell_complete=completion.runs)
@click.option(
    "--benchmark",
    metavar="NAME",
    help="Show this benchmark only.",
    shell_complete=completion.benchmarks,
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="Output format; text fits a terminal, the others have all columns, html is a page.",
)
@click.option(
    "--sort",
    type=click.Choice(SORTS),
    default="rank",
    show_default=True,
    help="Order of the rows of a split and metric: by rank, time to train, or energy of a run.",
)
@click.option(
    "--output",
    metavar="FILE",
    type=UserPath(dir_okay=False),
    help="File for the board. Default: stdout.",
)
@registry_option
@home_option
@runs_option
def command(
    names: tuple[str, ...],
    benchmark: str | None,
    format_: str,
    sort: str,
    output: Path | None,
    **where: Any,
) -> None:
    """Print a board of all runs in the home, or of RUNs and FOLDERs with runs or submissions.

    Repeats of a run share a row: median and spread, the best baseline, and how the row was
    verified. Rows with the same benchmark, data, split and metric are ranked. Synthetic runs have a
    separate table. They are not ranked, and neither are results published elsewhere.

    A run or submission that is not valid is left out, with its reason on stderr.
    """
    from sciml_data.home import find_home
    from sciml_data.progress import counted
    from sciml_data.registry import find_registry
    from sciml_data.results.board import arrange
    from sciml_data.results.submission import make_board

    home = find_home(where["home"], runs=where["runs_folder"])
    board = make_board(find_registry(where["registry"]), home, names, benchmark=benchmark)
    log_left_out(board.left_out)
    if board.omitted:
        log(f"not on the board: {board.omitted} of {counted(board.runs, 'run')}, {OMITTED}")
    text = _format(arrange(board.rows, sort), format_)
    print_or_write(text, output)


def _format(rows: Sequence[Row], format_: str) -> str:
    from sciml_data.results.board import to_csv, to_html, to_json, to_markdown, to_text

    if format_ == "html":
        return to_html(rows, is_page=True)
    if format_ == "text":
        return to_text(rows, width=shutil.get_terminal_size().columns)
    return {"markdown": to_markdown, "csv": to_csv, "json": to_json}[format_](rows)
