"""`sciml-data adopt`: take files that are here already as those of a dataset."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sciml_data.cli.options import home_option, registry_option, version_option
from sciml_data.cli.progress import byte_bar

if TYPE_CHECKING:
    from sciml_data.registry.stages import Fetched


@click.command(
    epilog="""\b
Examples:
  sciml-data adopt stemdl_cbed DIR
  sciml-data adopt stemdl_cbed DIR --home DIR_ON_THE_SAME_DISK
  sciml-data adopt tevolop_socal DATALAD_CLONE --version 1.0
  sciml-data adopt cloud_slstr_ds1 DIR --copy --jobs 4
  sciml-data adopt cloud_slstr_ds1 DIR --ignore '*.txt' --ignore 'logs/**'
"""
)
@click.argument("dataset")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@version_option
@registry_option
@home_option
@click.option(
    "--link/--copy",
    "link",
    default=True,
    show_default=True,
    help="Give the files a second name in the home, or copy them there.",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="GLOB",
    help="Leave files that fit where they are; several times. Hidden ones are left anyway.",
)
@click.option(
    "--jobs", type=click.IntRange(1), default=2, show_default=True, help="Files to read at once."
)
@click.option("--json", "as_json", is_flag=True, help="Print folder, files and hashes as JSON.")
def command(  # noqa: PLR0913 - one parameter for each option
    dataset: str,
    folder: Path,
    version: str | None,
    registry: Path | None,
    home: Path | None,
    ignore: Sequence[str],
    *,
    link: bool,
    jobs: int,
    as_json: bool,
) -> None:
    """Take the files in DIR as those of a dataset, after reading every byte of them.

    DIR is laid out as the dataset, or as one of its mirrors. Its files are held against the
    manifest; of a version that nobody has pinned, against what is expected, and then they count as
    if they had been fetched. All that is missing, changed or not the dataset's is named at once,
    and nothing is adopted then. What was read is remembered: after a kill the same command goes on.

    No byte is copied: a file gets a second name (a hard link), and DIR may be deleted later. That
    works within one file system, so the home has to lie on that of DIR (--home). Symbolic links are
    not made: nothing in a home follows one, for it could lead anywhere, and its file could change
    unseen. Links to files within DIR are followed, as git-annex makes them. Two names are one file:
    who changes it in DIR changes it in the home, and `sciml-data verify` says so. --copy copies.
    """
    from sciml_data import api

    with byte_bar(f"adopt {dataset}") as progress:
        fetched = api.adopt_dataset(
            dataset,
            folder,
            version=version,
            copy=not link,
            ignore=ignore,
            jobs=jobs,
            registry=registry,
            home=home,
            log=_say,
            progress=progress,
        )
    _print(fetched, as_json=as_json)


def _print(fetched: Fetched, *, as_json: bool) -> None:
    from sciml_data.progress import format_bytes

    name = f"{fetched.descriptor.dataset} {fetched.descriptor.version}"
    how = "as the manifest says"
    if not fetched.descriptor.is_pinned:
        how = (
            f"unpinned: nobody vouches for these bytes; their sha256 stand in "
            f"{fetched.folder.manifest}, and from now on any other is an error"
        )
    size = format_bytes(fetched.manifest.total_bytes)
    _say(f"{name}: {len(fetched.manifest)} files, {size}, {how}")
    if as_json:
        files = [{"path": e.path, "bytes": e.size_bytes, "hash": e.hash} for e in fetched.manifest]
        facts = {"folder": str(fetched.root), "manifest": fetched.manifest.digest, "files": files}
        click.echo(json.dumps(facts, indent=2))
    else:
        click.echo(fetched.root)


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)
