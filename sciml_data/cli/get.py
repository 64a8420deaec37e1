"""`sciml-data get`: fetch a dataset, or make its synthetic sample."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sciml_data.cli.options import dataset_options, mirror_option, sample_set_option
from sciml_data.cli.progress import byte_bar, log, part_bar
from sciml_data.errors import CallError

if TYPE_CHECKING:
    from sciml_data.home import Home
    from sciml_data.registry.descriptor import Descriptor
    from sciml_data.registry.stages import Fetched, Plan


@click.command(
    epilog="""\b
Examples:
  sciml-data get tevolop_socal --sample
  sciml-data get cloud_slstr_ds1 --sample --sample-set count.training=50
  sciml-data get tevolop_socal --version 1.0 --dry-run
  sciml-data get tevolop_socal --version 1.0 --mirror file:../mirror
  sciml-data get tevolop_socal --version 1.0 --via datalad --mirror ../clone
  sciml-data get tevolop_socal --include 'scedc/20*' --jobs 4
  sciml-data get cloud_slstr_ds1 --split inference --limit 20
  sciml-data get tevolop_socal --version live --start 2020-01-01 --end 2021-01-01
"""
)
@dataset_options
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
@click.option("--split", help="Fetch the files of this split only.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="Fetch the first N of the selected files only, sorted by path.",
)
@click.option("--start", help="Start of the period, inclusive (ISO 8601, UTC; live versions only).")
@click.option("--end", help="End of the period, exclusive (ISO 8601, UTC; live versions only).")
@click.option("--dry-run", is_flag=True, help="Print files, sizes and URLs, and fetch nothing.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Number of parallel requests for files and for ranges of large files.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the folder, files and hashes as JSON.")
def command(  # noqa: PLR0913 - one parameter for each option
    dataset: str,
    version: str | None,
    registry: Path | None,
    home: Path | None,
    sample_seed: int,
    sample_set: Sequence[str],
    mirrors: Sequence[str],
    via: str | None,
    include: Sequence[str],
    split: str | None,
    limit: int | None,
    start: str | None,
    end: str | None,
    *,
    sample: bool,
    dry_run: bool,
    jobs: int,
    as_json: bool,
) -> None:
    """Fetch a dataset and print the folder of its native files.

    Mirrors are tried in order until a file has the right hash. Complete files are not fetched
    again, and an interrupted transfer is resumed. For an unpinned version the listing of a mirror
    is checked against the expected sizes; later fetches must agree with that first listing.
    """
    from sciml_data.home import find_home
    from sciml_data.registry.descriptor import load_descriptor
    from sciml_data.registry.layout import find_registry

    descriptor = load_descriptor(find_registry(registry), dataset, version)
    _check_options(
        descriptor,
        sample=sample,
        period={"--start": start, "--end": end},
        part={"--include": include, "--split": split, "--limit": limit, "--dry-run": dry_run},
    )
    root = find_home(home)
    mirrors = _via(via, mirrors)
    if sample_set and not sample:
        raise CallError("--sample-set needs --sample", untouched="nothing was fetched")
    if sample:
        fetched = _make_sample(descriptor, root, sample_seed, sample_set)
    elif descriptor.live is not None:
        fetched = _fetch_live(descriptor, root, start=start, end=end, mirrors=mirrors)
    else:
        from sciml_data.transfer.plan import make_plan

        plan = make_plan(
            descriptor,
            root,
            mirrors=mirrors,
            include=include,
            split=split,
            limit=limit,
            log=log,
            keep_listing=not dry_run,
        )
        if dry_run:
            _print_plan(plan, as_json=as_json)
            return
        fetched = _fetch(plan, jobs)
    _print_fetched(fetched, as_json=as_json)


def _make_sample(descriptor: Descriptor, home: Home, seed: int, settings: Sequence[str]) -> Fetched:
    from sciml_data.synthetic.make import make_sample

    with part_bar(f"sample of {descriptor.dataset}") as progress:
        return make_sample(descriptor, home, seed=seed, overrides=settings, progress=progress)


def _via(protocol: str | None, mirrors: Sequence[str]) -> Sequence[str]:
    """Return the mirrors as addresses of a protocol."""
    if protocol is None:
        return mirrors
    if not mirrors:
        raise CallError(
            f"--via {protocol} needs --mirror: a clone's folder, or a URL that can be cloned",
            untouched="nothing was fetched",
            hint=f"--via {protocol} --mirror https://HOST/ID.git, or a clone's folder",
        )
    return [f"{protocol}:{one.removeprefix(f'{protocol}:')}" for one in mirrors]


def _check_options(
    descriptor: Descriptor,
    *,
    sample: bool,
    period: Mapping[str, object],
    part: Mapping[str, object],
) -> None:
    """Raise an error for options that would have no effect."""
    name = f"{descriptor.dataset} {descriptor.version}"
    parts, moments = ([name for name, value in one.items() if value] for one in (part, period))
    if (sample or descriptor.live is not None) and parts:
        what = "a sample" if sample else f"the live version {name}"
        raise CallError(
            f"{', '.join(parts)} cannot be used with {what}: it is always complete",
            untouched="nothing was fetched",
        )
    if moments and (sample or descriptor.live is None):
        what = "a sample" if sample else name
        raise CallError(
            f"{', '.join(moments)} cannot be used with {what}: its files are fixed",
            untouched="nothing was fetched",
            hint="--start and --end need --version live",
        )


def _fetch(plan: Plan, jobs: int) -> Fetched:
    from sciml_data.transfer.download import fetch

    _say_what_is_to_come(plan)
    with byte_bar(f"get {plan.descriptor.dataset}") as progress:
        fetched = fetch(plan, jobs=jobs, progress=progress, log=log)
    if not plan.descriptor.is_pinned:
        _say_unpinned(plan)
    return fetched


def _say_what_is_to_come(plan: Plan) -> None:
    from sciml_data.progress import format_bytes
    from sciml_data.transfer.download.present import existing_paths

    present = existing_paths(plan)
    left = sum(file.size_bytes for file in plan.files if file.path not in present)
    log(
        f"{plan.descriptor.dataset} {plan.descriptor.version}: {len(plan.files)} of "
        f"{plan.version_files} files, {format_bytes(plan.total_bytes)} of "
        f"{format_bytes(plan.version_bytes)}; {len(present)} present, {format_bytes(left)} "
        f"to fetch to {plan.folder.native}"
    )


def _say_unpinned(plan: Plan) -> None:
    """Log that the registry has no checksums of these files, and how to pin them."""
    from sciml_data.registry.manifest import read_manifest

    name = f"{plan.descriptor.dataset} {plan.descriptor.version}"
    log(
        f"{name} is unpinned: the registry has no checksums for its files. Their sha256 are stored "
        f"in {plan.folder.manifest}; from now on a file with another hash is an error"
    )
    known = read_manifest(plan.folder.manifest) if plan.folder.manifest.is_file() else ()
    if len(known) == plan.version_files:
        log(
            "all files are present; to pin them in a registry: sciml-data pin "
            f"{plan.descriptor.dataset} --version {plan.descriptor.version} --registry CHECKOUT"
        )


def _fetch_live(
    descriptor: Descriptor,
    home: Home,
    *,
    start: str | None,
    end: str | None,
    mirrors: Sequence[str],
) -> Fetched:
    from sciml_data.transfer.protocols.fdsn import fetch_live
    from sciml_data.transfer.protocols.mirrors import user_mirrors

    folder = home.dataset(descriptor.dataset, descriptor.version)
    return fetch_live(
        descriptor, folder, start=start, end=end, mirrors=user_mirrors(mirrors), log=log
    )


def _print_plan(plan: Plan, *, as_json: bool) -> None:
    """Print state, size, path and first URL of each file; then the total."""
    from sciml_data.progress import format_bytes
    from sciml_data.transfer.download.present import existing_paths

    present = existing_paths(plan)
    if as_json:
        rows = [
            {
                "path": file.path,
                "bytes": file.size_bytes,
                "hash": file.hash,
                "etag": file.etag,
                "present": file.path in present,
                "urls": file.urls,
            }
            for file in plan.files
        ]
        click.echo(json.dumps({"folder": str(plan.folder.native), "files": rows}, indent=2))
        return
    width = max(len(file.path) for file in plan.files)
    for file in plan.files:
        state = "present" if file.path in present else "fetch"
        url = file.urls[0] if file.urls else "-"
        click.echo(f"{state:<7}  {format_bytes(file.size_bytes):>11}  {file.path:<{width}}  {url}")
    left = sum(file.size_bytes for file in plan.files if file.path not in present)
    click.echo(
        f"total  {len(plan.files)} files, {format_bytes(plan.total_bytes)} "
        f"({plan.total_bytes} bytes); {len(present)} present, {format_bytes(left)} to fetch"
    )


def _print_fetched(fetched: Fetched, *, as_json: bool) -> None:
    from sciml_data.progress import format_bytes

    mark = "SYNTHETIC sample of " if fetched.is_synthetic else ""
    name = f"{mark}{fetched.descriptor.dataset} {fetched.descriptor.version}"
    total = format_bytes(fetched.manifest.total_bytes)
    log(f"{name}: {len(fetched.manifest)} files, {total}")
    if as_json:
        click.echo(
            json.dumps(
                {
                    "folder": str(fetched.root),
                    "synthetic": fetched.is_synthetic,
                    "manifest": fetched.manifest.digest,
                    "files": [
                        {"path": e.path, "bytes": e.size_bytes, "hash": e.hash}
                        for e in fetched.manifest
                    ],
                },
                indent=2,
            )
        )
    else:
        click.echo(fetched.root)
