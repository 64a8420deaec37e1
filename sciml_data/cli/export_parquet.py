"""The half of `sciml-data export` for the data themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sciml_data.cli.options import refuse_options
from sciml_data.cli.output import byte_bar, log
from sciml_data.errors import CallError
from sciml_data.progress import counted

NOT_ACCEPTED = {
    "format_": "--format",
    "runs_folder": "--runs",
    "org": "--org",
    "with_predictions": "--with-predictions",
}


def export_parquet(name: str, options: dict[str, Any]) -> None:
    """Write the Parquet files of a dataset, and print their folder.

    Args:
        name: id of the dataset.
        options: values of the command's options.

    Raises:
        CallError: --to is missing, or see `sciml_data.export_parquet`.
    """
    from sciml_data import export_parquet as export

    refuse_options("parquet", options, NOT_ACCEPTED)
    if options["to"] is None:
        raise CallError(
            "parquet needs a folder for its files",
            untouched="nothing was written",
            hint=f"sciml-data export parquet {name} --to {name}-parquet",
        )
    shard_mb = options["shard_mb"]
    with byte_bar(f"export {name}") as progress:
        exported = export(
            name,
            Path(options["to"]),
            version=options["version"],
            sample=options["sample"],
            sample_seed=options["sample_seed"],
            shard_bytes=None if shard_mb is None else shard_mb * 10**6,
            registry=options["registry"],
            home=options["home"],
            progress=progress,
        )
    if exported.reused:
        log(f"written before: {exported.reused} of {counted(len(exported.files), 'file')}")
    click.echo(exported.folder)
