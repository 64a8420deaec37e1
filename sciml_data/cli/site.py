"""`sciml-data site`: build a static site of datasets, benchmarks and runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from sciml_data.cli import completion
from sciml_data.cli.options import home_option, registry_option, runs_option, trust_option
from sciml_data.cli.output import log, log_left_out
from sciml_data.cli.program import UserPath, VerbGroup
from sciml_data.progress import counted

if TYPE_CHECKING:
    from sciml_data.registry import RegistryPath
    from sciml_data.results.mlperf_log import Submitter


@click.group(
    cls=VerbGroup,
    epilog="""\b
Examples:
  sciml-data site build --to public
  sciml-data site build --to public latest --benchmark tevolop
""",
)
def command() -> None:
    """Build a static site of datasets, benchmarks and runs."""


@command.command(
    short_help="Write the site, and print the path of its first page.",
    epilog="""\b
Examples:
  sciml-data site build --to public
  sciml-data site build --to public latest 3f2a91c0
  sciml-data site build --to public results/ --benchmark tevolop
  sciml-data site build --to public --base-url https://example.org/science/
  sciml-data site build --to public --samples --draw
  sciml-data site build --to public --org "Example Laboratory" --system workstation
""",
)
@click.argument("runs", nargs=-1, metavar="[RUN_OR_FOLDER]...", shell_complete=completion.runs)
@click.option(
    "--to",
    "target",
    required=True,
    type=UserPath(file_okay=False),
    metavar="DIR",
    help="Folder of the site. Other files in it are not touched.",
)
@click.option(
    "--benchmark",
    "benchmarks",
    metavar="NAME",
    multiple=True,
    help="Benchmark to include, with its datasets and runs. Can be repeated. Default: all.",
)
@click.option(
    "--base-url",
    metavar="URL",
    help="Public address of the site, for canonical links and the site map.",
)
@click.option(
    "--org",
    metavar="NAME",
    help="Organisation that made the runs: adds their MLPerf logs; needs --system.",
)
@click.option(
    "--system", metavar="NAME", help="Name of the system of the runs in their logs; needs --org."
)
@click.option("--samples", is_flag=True, help="Make the synthetic samples that the pictures need.")
@click.option("--draw", is_flag=True, help="Draw the figures of the runs first.")
@registry_option
@trust_option
@home_option
@runs_option
def build(  # noqa: PLR0913 - one parameter an option
    runs: tuple[str, ...],
    target: Path,
    benchmarks: tuple[str, ...],
    base_url: str | None,
    org: str | None,
    system: str | None,
    registry: RegistryPath,
    home: tuple[Path, ...],
    runs_folder: Path | None,
    *,
    samples: bool,
    draw: bool,
) -> None:
    """Write a site of the registry and of runs, and print the path of its first page.

    RUN_OR_FOLDER selects runs by id, path or folder. Default: all runs in the home. The site can be
    opened from a disk or under any address, and loads nothing from other hosts. The same input
    gives the same bytes. An entry that is not valid is left out, with its reason on stderr.
    """
    from sciml_data.bench import draw_figures
    from sciml_data.home import find_home
    from sciml_data.registry import find_registry
    from sciml_data.site import SiteOptions, gather, site_files, write_site

    _check_url(base_url)
    submitter = _submitter(org, system)
    source, place = find_registry(registry), find_home(home, runs=runs_folder)
    content = gather(source, place, wanted=runs, benchmarks=benchmarks)
    log_left_out(content.left_out)
    # The folders of submissions belong to other people: no figure is drawn into them.
    own = [run for run in content.runs if run.organisation is None]
    for run in own if draw else ():
        click.echo(f"figures of {run.name}", err=True)
        draw_figures(source, run.folder, run.record)
    options = SiteOptions(base_url, are_samples_made=samples, submitter=submitter)
    files = site_files(content, place, options=options, log=log)
    write_site(files, target)
    total = sum(map(len, files.values()))
    click.echo(f"{counted(len(files), 'file')}, {total / 1e6:.1f} MB", err=True)
    click.echo(target / "index.html")


def _submitter(org: str | None, system: str | None) -> Submitter | None:
    from sciml_data.errors import CallError
    from sciml_data.results.mlperf_log import Submitter

    if org is None and system is None:
        return None
    if org is None or system is None:
        raise CallError(
            "--org and --system must be used together: a log has both",
            untouched="nothing was written",
            hint='--org "Example Laboratory" --system workstation',
        )
    return Submitter(org, system)


def _check_url(base_url: str | None) -> None:
    from sciml_data.errors import CallError

    if base_url is None:
        return
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise CallError(
            f"--base-url {base_url!r} is not the address of a site",
            untouched="nothing was written",
            hint="--base-url https://example.org/science/",
        )
