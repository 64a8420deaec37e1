"""`sciml-data sample-report`: percentiles of a synthetic sample beside those of real data."""

from __future__ import annotations

import json
from typing import Any

import click

from sciml_data.cli import completion
from sciml_data.cli.options import (
    home_option,
    mirror_option,
    registry_option,
    sample_set_option,
    seed_option,
    version_option,
    wait_option,
)
from sciml_data.cli.output import log
from sciml_data.cli.program import Verb

NOTHING = "-"
SIDES = ("sample", "real")
NAME, WIDTH = 20, 10  # of columns


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data sample-report cloud_slstr_ds1
  sciml-data sample-report cloud_slstr_ds1 --split aatsr --mirror file:../shared/mirror
  sciml-data sample-report cloud_slstr_ds1 --sample-set count.training=20 --format json
""",
)
@click.argument("dataset", shell_complete=completion.comparable_datasets)
@version_option
@seed_option
@sample_set_option
@mirror_option
@registry_option
@home_option
@wait_option
@click.option(
    "--split", metavar="NAME", help="Split of the real data. Default: that of the descriptor."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Format of the output.",
)
def command(dataset: str, *, form: str, **options: Any) -> None:
    """Print percentiles of a sample's variables beside those of real data, by group.

    The descriptor names the real dataset, the variables and the groups, such as surface and class
    (`sample.compare_with`, docs/how-to/add-a-dataset.md). Sample and real data are made or
    fetched first. Each row has the 5th, 50th and 95th percentile, and the share of missing values.
    """
    from sciml_data import compare_sample

    report = compare_sample(dataset, log=log, **options)
    click.echo(json.dumps(report, indent=2) if form == "json" else _text(report))


def _text(report: dict[str, Any]) -> str:
    lines = [f"sample  {report['sample']}", f"real    {report['real']}"]
    group: list[str] | None = None
    for row in report["rows"]:
        if row["group"] != group:
            group = row["group"]
            lines += ["", _head(report["by"], row)]
        cells = "  ".join(_cells(row[side]) for side in SIDES)
        lines.append(f"  {_name(row):<{NAME}}{cells}")
    return "\n".join(lines)


def _name(row: dict[str, Any]) -> str:
    """Return the name of a row, and the unit of its values; that of a number alone is left out."""
    unit = "" if row["unit"] in {None, "1"} else f" [{row['unit']}]"
    return f"{row['band'] or row['variable']}{unit}"


def _head(by: list[str], row: dict[str, Any]) -> str:
    words = [f"{name} {word}" for name, word in zip(by, row["group"], strict=True)]
    counts = [f"{side} {row[side]['values'] if row[side] else 0:,} values" for side in SIDES]
    titles = [[f"{side} p5", "p50", "p95", "missing"] for side in SIDES]
    columns = ["".join(f"{title:>{WIDTH}}" for title in four) for four in titles]
    return f"{', '.join(words) or 'all'} ({', '.join(counts)})\n  {'':<{NAME}}{'  '.join(columns)}"


def _cells(summary: dict[str, Any] | None) -> str:
    words = [NOTHING] * 4
    if summary is not None:
        cuts = summary["percentiles"]
        words = [NOTHING] * 3 if cuts is None else [f"{cut:.4g}" for cut in cuts]
        words.append(_percent(summary["missing"]))
    return "".join(f"{word:>{WIDTH}}" for word in words)


def _percent(share: float) -> str:
    """Return a share without decimals, in which 0 % and 100 % are none and all."""
    if 0 < share < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= share < 1 else f"{share:.0%}"
