"""`sciml-data board`: runs and submissions as a board, published figures beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli.options import home_option, registry_option
from sciml_data.cli.output import log, print_or_write
from sciml_data.errors import Problem, RecordError

if TYPE_CHECKING:
    from sciml_data.home import Home
    from sciml_data.results.board import Row

Entry = tuple[dict[str, Any], str | None]  # record, organisation that submitted it
OMITTED = "not successful, or a later run with a seed that ran before"
FORMATS = ("markdown", "csv", "json", "html")


@click.command(
    epilog="""\b
Examples:
  sciml-data board
  sciml-data board --benchmark tevolop
  sciml-data board results/ --format html --output board.html
  sciml-data board latest 3f2a91c0 --format csv
"""
)
@click.argument("names", nargs=-1, metavar="[RUN_OR_FOLDER]...")
@click.option("--benchmark", metavar="NAME", help="Show this benchmark only.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default="markdown",
    show_default=True,
    help="Output format; html is a complete page.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File for the board. Default: stdout.",
)
@registry_option
@home_option
def command(
    names: tuple[str, ...], benchmark: str | None, format_: str, output: Path | None, **where: Any
) -> None:
    """Print a board of all runs in the home, or of RUNs and FOLDERs with runs or submissions.

    Repeats of a run share a row: median and spread, the best baseline, and how the row was
    verified. Rows with the same benchmark, data, split and metric are ranked. Synthetic runs have a
    separate table. They are not ranked, and neither are results published elsewhere.
    """
    from sciml_data.home import find_home
    from sciml_data.registry import find_registry
    from sciml_data.results.board import board_rows, published_rows

    registry = find_registry(where["registry"])
    published = published_rows(registry, [benchmark] if benchmark else None)
    entries = [
        (record, organisation)
        for record, organisation in _load_records(_paths(names, find_home(where["home"])))
        if benchmark in {None, record["benchmark"]["name"]}
    ]
    rows = board_rows(
        [record for record, _ in entries],
        published,
        submitters={record["run_id"]: name for record, name in entries if name},
    )
    on_board = {run_id for row in rows for run_id in row.made_by.run_ids}
    if omitted := len(entries) - len(on_board):
        log(f"{omitted} of {len(entries)} runs are not on the board: {OMITTED}")
    text = _format(rows, format_)
    print_or_write(text, output)


def _format(rows: Sequence[Row], format_: str) -> str:
    from sciml_data.results.board import to_csv, to_html, to_json, to_markdown

    if format_ == "html":
        return to_html(rows, is_page=True)
    return {"markdown": to_markdown, "csv": to_csv, "json": to_json}[format_](rows)


def _paths(names: Sequence[str], home: Home) -> list[Path]:
    """Return the folders of runs and submissions for the arguments of the call."""
    from sciml_data.bench import RECORD_NAME, all_runs, find_run
    from sciml_data.results.submission import find_submissions

    if not names:
        return all_runs(home)
    folders: list[Path] = []
    for name in names:
        path = Path(name).expanduser()
        if path.is_dir() and not (path / RECORD_NAME).is_file():
            folders += sorted(record.parent for record in path.rglob(RECORD_NAME))
            folders += find_submissions(path)
        else:
            folders.append(find_run(home, name))
    return list(dict.fromkeys(path.resolve() for path in folders))


def _load_records(folders: Sequence[Path]) -> list[Entry]:
    """Return the records of all folders.

    Raises:
        RecordError: some records are not valid; `.problems` has the reason for each.
    """
    from sciml_data.results.submission import is_submission

    entries: list[Entry] = []
    problems: list[Problem] = []
    for folder in folders:
        try:
            entries += _packed(folder) if is_submission(folder) else _run(folder)
        except RecordError as error:
            problems.append(Problem("record", folder.name, _first(error)))
    if problems:
        raise RecordError(
            "some records are not valid",
            problems=problems,
            untouched="no board was written",
            hint="give only the valid runs; `sciml-data submit check FOLDER` lists all problems of "
            "a submission",
        )
    return entries


def _first(error: RecordError) -> str:
    """Return the first problem of a record as a single line: a board can have hundreds of runs."""
    if not error.problems:
        return error.message
    first, *others = error.problems
    more = f" and {len(others)} more" if others else ""
    return f"{first.kind} {first.place}: {first.message}{more}"


def _run(folder: Path) -> Iterator[Entry]:
    from sciml_data.bench import load_record

    yield load_record(folder), None


def _packed(root: Path) -> Iterator[Entry]:
    """Yield the records of a submission, with the verification states found by local checks."""
    from sciml_data.results.submission import packed_runs

    for run in packed_runs(root):
        yield run.record, run.organisation
