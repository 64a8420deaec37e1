"""`sciml-data fair`: assess a dataset by the FAIRsFAIR metrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sciml_data.cli import completion
from sciml_data.cli.options import registry_option, version_option
from sciml_data.cli.output import check_output, log_left_out, print_or_write
from sciml_data.cli.program import UserPath, Verb

if TYPE_CHECKING:
    from sciml_data.registry import Descriptor, Registry, RegistryPath


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data fair tevolop_socal
  sciml-data fair --all --json
  sciml-data fair uno_ccle --version 1.0 --fail-below 80
  sciml-data fair uno_ccle --page index.html
""",
)
@click.argument("dataset", required=False, shell_complete=completion.datasets)
@version_option
@registry_option
@click.option("--all", "is_all", is_flag=True, help="Report every version of every dataset.")
@click.option("--json", "as_json", is_flag=True, help="Print the reports as a JSON list.")
@click.option(
    "--fail-below",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Exit with 1 if fewer of the checked metrics pass.",
)
@click.option(
    "--page",
    type=UserPath(dir_okay=False),
    metavar="FILE",
    help="File for the landing page; no report is printed.",
)
def command(  # noqa: PLR0913 - one parameter an option
    dataset: str | None,
    version: str | None,
    registry: RegistryPath,
    fail_below: float | None,
    page: Path | None,
    *,
    is_all: bool,
    as_json: bool,
) -> None:
    """Assess a version by the 17 FAIRsFAIR metrics (0.8): passed, failed or not checked, and why.

    The checks read the descriptor, its exports and its landing page; no file is fetched. Each
    failed metric has a remedy and its owner: upstream or this registry. docs/explanation/fair.md
    describes every check.
    """
    from sciml_data.registry import find_registry

    versions = _versions(find_registry(registry), dataset, version, is_all=is_all)
    if page is not None:
        _write_page(versions, page)
        return
    from sciml_data.errors import SciMLDataError
    from sciml_data.metadata.fair import assess

    reports = [assess(version) for version in versions]
    if as_json:
        click.echo(
            json.dumps([report.to_document() for report in reports], indent=2, ensure_ascii=False)
        )
    else:
        click.echo("\n\n".join(report.to_text() for report in reports))
    below = [r for r in reports if fail_below is not None and r.percent < fail_below]
    if below:
        names = ", ".join(
            f"{report.dataset} {report.version} ({report.percent:.1f} %)" for report in below
        )
        raise SciMLDataError(
            f"below {fail_below:g} %: {names}", hint="each FAILED line of the report has a remedy"
        )


def _versions(
    registry: Registry, dataset: str | None, version: str | None, *, is_all: bool
) -> list[Descriptor]:
    from sciml_data.errors import CallError, DescriptorError, Problem
    from sciml_data.registry import load_descriptor

    if is_all == (dataset is not None) or (is_all and version is not None):
        raise CallError(
            "give either a dataset or --all",
            untouched="nothing was written",
            hint="sciml-data fair tevolop_socal, or sciml-data fair --all",
        )
    if dataset is not None:
        return [load_descriptor(registry, dataset, version)]
    versions: list[Descriptor] = []
    left_out: list[Problem] = []
    named = registry.named
    for name in named.datasets():
        for number in named.versions(name):
            try:
                versions.append(load_descriptor(named, name, number))
            except DescriptorError as error:
                left_out.append(Problem("dataset", f"{name} {number}", error.first_line))
    log_left_out(left_out)
    return versions


def _write_page(versions: list[Descriptor], page: Path) -> None:
    from sciml_data.errors import CallError
    from sciml_data.metadata.landing import landing_page

    if len(versions) != 1:
        raise CallError(
            f"--page writes the page of one version, not of {len(versions)}",
            untouched="nothing was written",
            hint="sciml-data fair ID --version VERSION --page index.html",
        )
    check_output(page)
    print_or_write(landing_page(versions[0]), page)
