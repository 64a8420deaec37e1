"""`sciml-data get`: fetch a dataset, or make its synthetic sample."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sciml_data.cli.options import dataset_options, mirror_option
from sciml_data.cli.progress import byte_bar
from sciml_data.errors import CallError

if TYPE_CHECKING:
    from sciml_data.descriptor import Descriptor
    from sciml_data.home import Home
    from sciml_data.stages import Fetched, Plan


@click.command(
    epilog="""\b
Examples:
  sciml-data get tevolop_socal --sample
  sciml-data get tevolop_socal --version 1.0 --dry-run
  sciml-data get tevolop_socal --version 1.0 --mirror file:../mirror
  sciml-data get tevolop_socal --include 'scedc/20*' --jobs 4
  sciml-data get tevolop_socal --version live --start 2020-01-01 --end 2021-01-01
"""
)
@dataset_options
@mirror_option
@click.option(
    "--include", multiple=True, metavar="GLOB", help="Only files that fit; several times."
)
@click.option("--split", help="Only the files of this split.")
@click.option("--start", help="Of a live version: first moment, ISO 8601, UTC.")
@click.option("--end", help="Of a live version: the moment after the last, ISO 8601, UTC.")
@click.option("--dry-run", is_flag=True, help="Print files, sizes and URLs; fetch nothing.")
@click.option("--jobs", type=click.IntRange(1), default=8, show_default=True, help="Files at once.")
@click.option("--json", "as_json", is_flag=True, help="Print folder, files and hashes as JSON.")
def command(  # noqa: PLR0913 - one parameter for each option
    dataset: str,
    version: str | None,
    registry: Path | None,
    home: Path | None,
    sample_seed: int,
    mirrors: Sequence[str],
    include: Sequence[str],
    split: str | None,
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
    fetched again, and a transfer that was cut goes on where it was.
    """
    from sciml_data.descriptor import load_descriptor
    from sciml_data.home import find_home
    from sciml_data.registry import find_registry

    descriptor = load_descriptor(find_registry(registry), dataset, version)
    _check_options(
        descriptor,
        sample=sample,
        period=[name for name, value in (("--start", start), ("--end", end)) if value],
        part=[
            n for n, v in (("--include", include), ("--split", split), ("--dry-run", dry_run)) if v
        ],
    )
    root = find_home(home)
    if sample:
        from sciml_data.sample import make_sample

        fetched = make_sample(descriptor, root, seed=sample_seed)
    elif descriptor.live is not None:
        fetched = _fetch_live(descriptor, root, start=start, end=end, mirrors=mirrors)
    else:
        from sciml_data.plan import make_plan

        plan = make_plan(descriptor, root, mirrors=mirrors, include=include, split=split)
        if dry_run:
            _print_plan(plan, as_json=as_json)
            return
        fetched = _fetch(plan, jobs)
    _print_fetched(fetched, as_json=as_json)


def _check_options(
    descriptor: Descriptor, *, sample: bool, period: list[str], part: list[str]
) -> None:
    """Refuse options that would silently do nothing."""
    name = f"{descriptor.dataset} {descriptor.version}"
    if (sample or descriptor.live is not None) and part:
        what = "a sample" if sample else f"{name}, which a service answers,"
        raise CallError(
            f"{', '.join(part)} cannot be used with {what}: it is always whole",
            untouched="nothing was fetched",
        )
    if period and (sample or descriptor.live is None):
        what = "a sample" if sample else name
        raise CallError(
            f"{', '.join(period)} cannot be used with {what}: its files are fixed",
            untouched="nothing was fetched",
            hint="--start and --end are for versions named live",
        )


def _fetch(plan: Plan, jobs: int) -> Fetched:
    from sciml_data.fetch import fetch

    with byte_bar(f"get {plan.descriptor.dataset}") as progress:
        return fetch(plan, jobs=jobs, progress=progress, notice=_say)


def _fetch_live(
    descriptor: Descriptor,
    home: Home,
    *,
    start: str | None,
    end: str | None,
    mirrors: Sequence[str],
) -> Fetched:
    from sciml_data.sources.fdsn import fetch_live
    from sciml_data.sources.mirrors import user_mirrors

    folder = home.dataset(descriptor.dataset, descriptor.version)
    return fetch_live(
        descriptor, folder, start=start, end=end, mirrors=user_mirrors(mirrors), notice=_say
    )


def _print_plan(plan: Plan, *, as_json: bool) -> None:
    """Print one line for each file: size, whether it is there, path, first URL; then the total."""
    from sciml_data.fetch.meter import in_words
    from sciml_data.fetch.pool import present_paths

    present = present_paths(plan)
    if as_json:
        rows = [
            {
                "path": file.path,
                "bytes": file.size_bytes,
                "hash": file.hash,
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
        click.echo(f"{state}  {in_words(file.size_bytes):>11}  {file.path:<{width}}  {url}")
    left = sum(file.size_bytes for file in plan.files if file.path not in present)
    click.echo(
        f"total  {len(plan.files)} files, {in_words(plan.total_bytes)} ({plan.total_bytes} bytes); "
        f"{len(present)} there, {in_words(left)} to fetch"
    )


def _print_fetched(fetched: Fetched, *, as_json: bool) -> None:
    from sciml_data.fetch.meter import in_words

    mark = "SYNTHETIC sample of " if fetched.is_synthetic else ""
    name = f"{mark}{fetched.descriptor.dataset} {fetched.descriptor.version}"
    total = in_words(fetched.manifest.total_bytes)
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
