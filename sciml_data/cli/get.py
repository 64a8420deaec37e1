"""`sciml-data get`: fetch a dataset, or make its synthetic sample."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli import completion
from sciml_data.cli.options import (
    dataset_argument,
    home_option,
    mirror_option,
    registry_option,
    sample_option,
    sample_set_option,
    seed_option,
    version_option,
    wait_option,
)
from sciml_data.cli.output import byte_bar, file_rows, log, part_bar
from sciml_data.cli.program import Verb
from sciml_data.errors import CallError
from sciml_data.progress import counted

if TYPE_CHECKING:
    from pathlib import Path

    from sciml_data.registry import Fetched, Plan


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data get tevolop_socal --sample
  sciml-data get cloud_slstr_ds1 --sample --sample-set count.training=50
  sciml-data get tevolop_socal --version 1.0 --dry-run
  sciml-data get tevolop_socal --version 1.0 --mirror file:../mirror
  sciml-data get tevolop_socal --version 1.0 --via datalad --mirror ../clone
  sciml-data get tevolop_socal --include 'scedc/20*' --jobs 4
  sciml-data get cloud_slstr_ds1 --split inference --limit 20
  sciml-data get cloud_slstr_ds1 --ready
  sciml-data get tevolop_socal --version live --start 2020-01-01 --end 2021-01-01
""",
)
@dataset_argument
@version_option
@sample_option
@seed_option
@registry_option
@home_option
@wait_option
@sample_set_option
@mirror_option
@click.option(
    "--via",
    type=click.Choice(["datalad"]),
    help="Protocol of every --mirror. datalad: each is a clone's folder or a `datalad clone` URL.",
)
@click.option(
    "--include", multiple=True, metavar="GLOB", help="Fetch matching files only. Can be repeated."
)
@click.option(
    "--split",
    metavar="NAME",
    help="Fetch the files of this split only.",
    shell_complete=completion.splits,
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="Fetch the first N of the selected files only, sorted by path.",
)
@click.option(
    "--ready",
    is_flag=True,
    help="Fetch the published ready form, which is converted already, instead of native files.",
)
@click.option(
    "--start",
    metavar="TIME",
    help="Start of the period, inclusive (ISO 8601, UTC; live versions only).",
)
@click.option(
    "--end",
    metavar="TIME",
    help="End of the period, exclusive (ISO 8601, UTC; live versions only).",
)
@click.option("--dry-run", is_flag=True, help="Print files, sizes and URLs, and fetch nothing.")
@click.option(
    "--jobs",
    metavar="N",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Number of parallel requests for files and for ranges of large files.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the folder, files and hashes as JSON.")
def command(
    dataset: str, *, sample: bool, sample_seed: int, dry_run: bool, as_json: bool, **options: Any
) -> None:
    """Fetch a dataset and print the folder of its native files.

    Mirrors are tried in order until a file has the right hash. Complete files are not fetched
    again, and an interrupted transfer is resumed. Files that another version in the home has
    are taken from there; if they are hard links, they are read-only under both names. For an
    unpinned version the listing of a mirror is checked against the expected sizes; later
    fetches must agree with that first listing.
    """
    from sciml_data import get_dataset

    if options.pop("ready"):
        given = _ready_options(options, sample=sample)
        (_dry_run_ready if dry_run else _get_ready)(dataset, given, as_json=as_json)
        return
    if dry_run:
        _dry_run(dataset, options, sample=sample, as_json=as_json)
        return
    bar = part_bar(f"sample of {dataset}") if sample else byte_bar(f"get {dataset}")
    with bar as progress:
        fetched = get_dataset(
            dataset,
            **options,
            sample=sample,
            sample_seed=sample_seed,
            progress=progress,
        )
    _print_fetched(fetched, as_json=as_json)


def _ready_options(options: dict[str, Any], *, sample: bool) -> dict[str, Any]:
    """Return the options of `get` that a ready form has; raise an error for others."""
    names = ("version", "registry", "home", "wait", "mirrors", "jobs")
    given = {name: options.pop(name) for name in names}
    if wrong := [name for name, value in {**options, "sample": sample}.items() if value]:
        raise CallError(
            "--ready fetches a whole ready form, and cannot be used with "
            + ", ".join(f"--{name.replace('_', '-')}" for name in wrong),
            untouched="nothing was fetched",
        )
    return given


def _dry_run_ready(dataset: str, given: dict[str, Any], *, as_json: bool) -> None:
    """Print the plan of a fetch of a published ready form."""
    from sciml_data import describe
    from sciml_data.home import find_home
    from sciml_data.ready import ready_folder
    from sciml_data.ready.streaming import plan_ready
    from sciml_data.transfer import existing_paths

    descriptor = describe(dataset, version=given["version"], registry=given["registry"])
    home = find_home(given["home"])
    plan = plan_ready(descriptor, home, mirrors=given["mirrors"])
    folder = ready_folder(home.dataset(descriptor.dataset, descriptor.version), {})
    _print_plan(plan, folder, existing_paths(plan) | plan.copies.keys(), as_json=as_json)


def _get_ready(dataset: str, given: dict[str, Any], *, as_json: bool) -> None:
    """Fetch a published ready form, and print its folder."""
    from sciml_data import get_ready
    from sciml_data.progress import format_bytes

    with byte_bar(f"get {dataset}") as progress:
        converted = get_ready(dataset, **given, log=log, progress=progress)
    name = f"{converted.descriptor.dataset} {converted.descriptor.version}"
    total = format_bytes(converted.manifest.total_bytes)
    log(f"{name}: {counted(len(converted.manifest), 'ready file')}, {total}")
    if as_json:
        files = file_rows(converted.manifest)
        click.echo(json.dumps({"root": str(converted.root), "files": files}, indent=2))
    else:
        click.echo(converted.root)


def _dry_run(dataset: str, options: dict[str, Any], *, sample: bool, as_json: bool) -> None:
    """Print the plan of a fetch."""
    from sciml_data import plan_dataset
    from sciml_data.transfer import existing_paths

    refused = [name for name in ("start", "end", "sample_set") if options.pop(name)]
    if sample or refused:
        names = ["sample"] * sample + refused
        typed = ", ".join(f"--{name.replace('_', '-')}" for name in names)
        raise CallError(f"--dry-run cannot be used with {typed}", untouched="nothing was fetched")
    del options["jobs"], options["wait"]
    plan = plan_dataset(dataset, **options)
    _print_plan(plan, plan.folder.native, existing_paths(plan), as_json=as_json)


def _print_plan(plan: Plan, folder: Path, existing: set[str], *, as_json: bool) -> None:
    """Print state, size, path and first URL of each file; then the total."""
    from sciml_data.progress import format_bytes
    from sciml_data.transfer import amounts_left

    if as_json:
        rows = [
            {
                "path": file.path,
                "bytes": file.size_bytes,
                "hash": file.hash,
                "etag": file.etag,
                "present": file.path in existing,
                "copy": str(plan.copies[file.path].place) if file.path in plan.copies else None,
                "urls": file.urls,
            }
            for file in plan.files
        ]
        click.echo(json.dumps({"folder": str(folder), "files": rows}, indent=2))
        return
    width = max(len(file.path) for file in plan.files)
    for file in plan.files:
        state, url = "fetch", file.urls[0] if file.urls else "-"
        if file.path in existing:
            state = "present"
        elif file.path in plan.copies:
            state, url = "copy", plan.copies[file.path].place.as_uri()
        click.echo(f"{state:<7}  {format_bytes(file.size_bytes):>11}  {file.path:<{width}}  {url}")
    click.echo(
        f"total  {counted(len(plan.files), 'file')}, {format_bytes(plan.total_bytes)} "
        f"({plan.total_bytes} bytes); {len(existing)} present, {amounts_left(plan, existing)}"
    )


def _print_fetched(fetched: Fetched, *, as_json: bool) -> None:
    from sciml_data.progress import format_bytes

    mark = "SYNTHETIC sample of " if fetched.is_synthetic else ""
    name = f"{mark}{fetched.descriptor.dataset} {fetched.descriptor.version}"
    total = format_bytes(fetched.manifest.total_bytes)
    log(f"{name}: {counted(len(fetched.manifest), 'file')}, {total}")
    if as_json:
        facts = {
            "folder": str(fetched.root),
            "synthetic": fetched.is_synthetic,
            "manifest": fetched.manifest.digest,
            "files": file_rows(fetched.manifest),
        }
        click.echo(json.dumps(facts, indent=2))
    else:
        click.echo(fetched.root)
