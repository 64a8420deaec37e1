"""`sciml-data get`: fetch a dataset, or make its synthetic sample."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sciml_data.cli.options import dataset_options, mirror_option, sample_set_option
from sciml_data.cli.progress import byte_bar, part_bar
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
    help="Each --mirror is a DataLad dataset: a clone's folder, or what `datalad clone` takes.",
)
@click.option(
    "--include", multiple=True, metavar="GLOB", help="Only files that fit; several times."
)
@click.option("--split", help="Only the files of this split.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="Only the first N files by path, of those that are wanted otherwise.",
)
@click.option("--start", help="Of a live version: first moment, ISO 8601, UTC.")
@click.option("--end", help="Of a live version: the moment after the last, ISO 8601, UTC.")
@click.option("--dry-run", is_flag=True, help="Print files, sizes and URLs; fetch nothing.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Files, and ranges of large files, at once.",
)
@click.option("--json", "as_json", is_flag=True, help="Print folder, files and hashes as JSON.")
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

    A file is asked of each mirror in turn until its hash is right; what is there already is not
    fetched again, and a transfer that was cut goes on where it was. Of a version that nobody has
    pinned, what a mirror lists is held against what is expected of it, and counts from then on.
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
        raise CallError("--sample-set goes with --sample", untouched="nothing was fetched")
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
            log=_say,
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
            f"--via {protocol} needs --mirror: where the dataset is, or can be cloned from",
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
    """Refuse options that would silently do nothing."""
    name = f"{descriptor.dataset} {descriptor.version}"
    parts, moments = ([name for name, value in one.items() if value] for one in (part, period))
    if (sample or descriptor.live is not None) and parts:
        what = "a sample" if sample else f"{name}, which a service answers,"
        raise CallError(
            f"{', '.join(parts)} cannot be used with {what}: it is always whole",
            untouched="nothing was fetched",
        )
    if moments and (sample or descriptor.live is None):
        what = "a sample" if sample else name
        raise CallError(
            f"{', '.join(moments)} cannot be used with {what}: its files are fixed",
            untouched="nothing was fetched",
            hint="--start and --end are for versions named live",
        )


def _fetch(plan: Plan, jobs: int) -> Fetched:
    from sciml_data.transfer.download import fetch

    _say_what_is_to_come(plan)
    with byte_bar(f"get {plan.descriptor.dataset}") as progress:
        fetched = fetch(plan, jobs=jobs, progress=progress, log=_say)
    if not plan.descriptor.is_pinned:
        _say_unpinned(plan)
    return fetched


def _say_what_is_to_come(plan: Plan) -> None:
    from sciml_data.progress import format_bytes
    from sciml_data.transfer.download.present import existing_paths

    present = existing_paths(plan)
    left = sum(file.size_bytes for file in plan.files if file.path not in present)
    _say(
        f"{plan.descriptor.dataset} {plan.descriptor.version}: {len(plan.files)} of "
        f"{plan.version_files} files, {format_bytes(plan.total_bytes)} of "
        f"{format_bytes(plan.version_bytes)}; {len(present)} there, {format_bytes(left)} to fetch "
        f"to {plan.folder.native}"
    )


def _say_unpinned(plan: Plan) -> None:
    """Say what the trust in these files rests on, and how others may share it."""
    from sciml_data.registry.manifest import read_manifest

    name = f"{plan.descriptor.dataset} {plan.descriptor.version}"
    _say(
        f"{name} is unpinned: nobody vouches for these bytes; their sha256 stand in "
        f"{plan.folder.manifest}, and from now on any other is an error"
    )
    known = read_manifest(plan.folder.manifest) if plan.folder.manifest.is_file() else ()
    if len(known) == plan.version_files:
        _say(
            "all of it is here; to pin it for everybody: sciml-data pin "
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
        descriptor, folder, start=start, end=end, mirrors=user_mirrors(mirrors), log=_say
    )


def _print_plan(plan: Plan, *, as_json: bool) -> None:
    """Print one line for each file: size, whether it is there, path, first URL; then the total."""
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
        state = "there" if file.path in present else "fetch"
        url = file.urls[0] if file.urls else "-"
        click.echo(f"{state}  {format_bytes(file.size_bytes):>11}  {file.path:<{width}}  {url}")
    left = sum(file.size_bytes for file in plan.files if file.path not in present)
    click.echo(
        f"total  {len(plan.files)} files, {format_bytes(plan.total_bytes)} "
        f"({plan.total_bytes} bytes); {len(present)} there, {format_bytes(left)} to fetch"
    )


def _print_fetched(fetched: Fetched, *, as_json: bool) -> None:
    from sciml_data.progress import format_bytes

    mark = "SYNTHETIC sample of " if fetched.is_synthetic else ""
    name = f"{mark}{fetched.descriptor.dataset} {fetched.descriptor.version}"
    total = format_bytes(fetched.manifest.total_bytes)
    _say(f"{name}: {len(fetched.manifest)} files, {total}")
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


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)
