"""`sciml-data adopt`: import a local folder as a dataset's files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sciml_data.cli import completion
from sciml_data.cli.options import (
    home_option,
    registry_option,
    version_option,
    wait_option,
)
from sciml_data.cli.output import byte_bar, file_rows, log
from sciml_data.cli.program import UserPath, Verb
from sciml_data.progress import counted

if TYPE_CHECKING:
    from sciml_data.registry import Fetched, RegistryPath


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data adopt stemdl_cbed DIR
  sciml-data adopt stemdl_cbed DIR --home DIR_ON_THE_SAME_DISK
  sciml-data adopt tevolop_socal DATALAD_CLONE --version 1.0
  sciml-data adopt cloud_slstr_ds1 DIR --copy --jobs 4
  sciml-data adopt cloud_slstr_ds1 DIR --ignore '*.txt' --ignore 'logs/**'
""",
)
@click.argument("dataset", shell_complete=completion.datasets)
@click.argument("folder", metavar="DIR", type=UserPath())
@version_option
@registry_option
@home_option
@wait_option
@click.option(
    "--link/--copy",
    "link",
    default=True,
    show_default=True,
    help="Hard-link the files into the home, or copy them.",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="GLOB",
    help="Skip files that match. Can be repeated. Hidden files are always skipped.",
)
@click.option(
    "--jobs",
    metavar="N",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Number of files to read in parallel.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the folder, files and hashes as JSON.")
def command(  # noqa: PLR0913 - one parameter for each option
    dataset: str,
    folder: Path,
    version: str | None,
    registry: RegistryPath,
    home: tuple[Path, ...],
    ignore: Sequence[str],
    *,
    link: bool,
    wait: bool,
    jobs: int,
    as_json: bool,
) -> None:
    """Import the files in DIR as those of a dataset, after every byte is checked.

    The folders in DIR follow the dataset or a mirror of it. Files are checked against the manifest.
    Files of an unpinned version are checked against the expected sizes. Then they count as fetched.
    If files are missing, changed or unknown, all of them are listed and nothing is imported. Hashes
    are remembered: repeat the command to resume an interrupted import.

    The default is a hard link for each file. It copies no byte, and DIR can be deleted later.
    Hard links need DIR and the home on the same file system (--home). A hard-linked file that is
    changed in DIR is changed in the home too, and `sciml-data verify` reports it. Use --copy
    for independent files. Symbolic links in DIR, as git-annex makes them, are followed if their
    target is inside DIR; the home itself has no symbolic links.
    """
    from sciml_data import adopt_dataset

    with byte_bar(f"adopt {dataset}") as progress:
        fetched = adopt_dataset(
            dataset,
            folder,
            version=version,
            copy=not link,
            ignore=ignore,
            jobs=jobs,
            registry=registry,
            home=home,
            wait=wait,
            progress=progress,
        )
    _print(fetched, as_json=as_json)


def _print(fetched: Fetched, *, as_json: bool) -> None:
    from sciml_data.progress import format_bytes

    name = f"{fetched.descriptor.dataset} {fetched.descriptor.version}"
    state = "equal to the manifest"
    if not fetched.descriptor.is_pinned:
        state = (
            "unpinned: the registry has no checksums for them. Their sha256 are stored in "
            f"{fetched.folder.manifest}; from now on a file with another hash is an error"
        )
    total = format_bytes(fetched.manifest.total_bytes)
    log(f"{name}: {counted(len(fetched.manifest), 'file')}, {total}, {state}")
    if as_json:
        facts = {
            "folder": str(fetched.root),
            "manifest": fetched.manifest.digest,
            "files": file_rows(fetched.manifest),
        }
        click.echo(json.dumps(facts, indent=2))
    else:
        click.echo(fetched.root)
