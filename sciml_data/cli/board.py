"""`sciml-data board`: runs and submissions as a board, published figures beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli.options import home_option, registry_option
from sciml_data.errors import Problem, RecordError

if TYPE_CHECKING:
    from sciml_data.home import Home
    from sciml_data.results.board import Row

Found = tuple[dict[str, Any], str | None]  # record, organisation that submitted it
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
@click.argument("wanted", nargs=-1, metavar="[RUN_OR_FOLDER]...")
@click.option("--benchmark", metavar="NAME", help="Of this benchmark only.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default="markdown",
    show_default=True,
    help="HTML is a whole page.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write it here, not to stdout.",
)
@registry_option
@home_option
def command(
    wanted: tuple[str, ...], benchmark: str | None, format_: str, output: Path | None, **where: Any
) -> None:
    """Print a board of the runs of the home, or of RUNs and of FOLDERs with runs or submissions.

    Repeats are one row: median and spread beside the best baseline, and what the row rests on.
    Rows are ranked where benchmark, data, split and metric are the same. Synthetic runs stand in a
    table of their own and are not ranked; nor are figures that others published.
    """
    from sciml_data.home import find_home, write_output
    from sciml_data.registry.layout import find_registry
    from sciml_data.results.board import board_rows, published_rows

    registry = find_registry(where["registry"])
    published = published_rows(registry, [benchmark] if benchmark else None)
    found = [
        (record, organisation)
        for record, organisation in _sound(_paths(wanted, find_home(where["home"])))
        if benchmark in {None, record["benchmark"]["name"]}
    ]
    rows = board_rows(
        [record for record, _ in found],
        published,
        submitters={record["run_id"]: name for record, name in found if name},
    )
    shown = {one for row in rows for one in row.made_by.run_ids}
    if left := len(found) - len(shown):
        click.echo(f"{left} of {len(found)} runs have no place of their own: {LEFT_OUT}", err=True)
    text = _written(rows, format_)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_output(output, text)


LEFT_OUT = "no success, or a later run of a seed that ran before"


def _written(rows: Sequence[Row], format_: str) -> str:
    from sciml_data.results.board import to_csv, to_html, to_json, to_markdown

    if format_ == "html":
        return to_html(rows, is_page=True)
    return {"markdown": to_markdown, "csv": to_csv, "json": to_json}[format_](rows)


def _paths(wanted: Sequence[str], home: Home) -> list[Path]:
    """Return the folders of runs and of submissions that the words of the call mean."""
    from sciml_data.bench.record.record import RECORD_NAME
    from sciml_data.bench.record.runs import all_runs, find_run
    from sciml_data.results.submission.tree import find_submissions

    if not wanted:
        return all_runs(home)
    found: list[Path] = []
    for word in wanted:
        path = Path(word).expanduser()
        if path.is_dir() and not (path / RECORD_NAME).is_file():
            found += sorted(record.parent for record in path.rglob(RECORD_NAME))
            found += find_submissions(path)
        else:
            found.append(find_run(home, word))
    return list(dict.fromkeys(path.resolve() for path in found))


def _sound(folders: Sequence[Path]) -> list[Found]:
    """Return the records of all folders, or say of every one that is not sound why."""
    from sciml_data.results.submission.names import TERMS

    found: list[Found] = []
    problems: list[Problem] = []
    for folder in folders:
        try:
            found += _packed(folder) if (folder / TERMS).is_file() else _run(folder)
        except RecordError as error:
            problems.append(Problem("record", folder.name, _first(error)))
    if problems:
        raise RecordError(
            "not every record is sound",
            problems=problems,
            untouched="no board was written",
            hint="name the runs that are to stand on it; `sciml-data submit check FOLDER` says all "
            "that is wrong with a submission",
        )
    return found


def _first(error: RecordError) -> str:
    """Return what is wrong with a record in one line: a board may be of hundreds."""
    if not error.problems:
        return error.message
    first, *others = error.problems
    more = f" and {len(others)} more" if others else ""
    return f"{first.kind} {first.place}: {first.message}{more}"


def _run(folder: Path) -> Iterator[Found]:
    from sciml_data.bench.record.record import load_record

    yield load_record(folder), None


def _packed(root: Path) -> Iterator[Found]:
    """Yield the records of a submission; their states are those that checks found of them here."""
    from sciml_data.results.submission.reading import packed_runs

    for one in packed_runs(root):
        yield one.record, one.organisation
