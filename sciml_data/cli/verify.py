"""`sciml-data verify`: hold fetched files against the manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sciml_data.cli.options import dataset_options, mirror_option
from sciml_data.cli.progress import byte_bar
from sciml_data.errors import CallError

if TYPE_CHECKING:
    from sciml_data.home import Home
    from sciml_data.registry.descriptor import Descriptor
    from sciml_data.registry.stages import Fetched, Verified


@click.command(
    epilog="""\b
Examples:
  sciml-data verify tevolop_socal --version 1.0
  sciml-data verify tevolop_socal --version 1.0 --full
  sciml-data verify tevolop_socal --version 1.0 --repair --mirror file:../mirror
  sciml-data verify tevolop_socal --version 1.0 --clone DIR
"""
)
@dataset_options
@mirror_option
@click.option("--full", is_flag=True, help="Read every byte, also of what was found right before.")
@click.option("--repair", is_flag=True, help="Fetch what is missing or changed.")
@click.option(
    "--clone",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Hold a DataLad clone of the dataset, where it lies: what was got of it.",
)
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Files at once.")
@click.option("--json", "as_json", is_flag=True, help="Print folder, number and digest as JSON.")
def command(  # noqa: PLR0913 - one parameter for each option
    dataset: str,
    version: str | None,
    registry: Path | None,
    home: Path | None,
    sample_seed: int,
    mirrors: Sequence[str],
    clone: Path | None,
    *,
    sample: bool,
    full: bool,
    repair: bool,
    jobs: int,
    as_json: bool,
) -> None:
    """Say that every file is as the manifest says, or list all that are missing or differ.

    A part that was fetched with --include or --split is held against that part. Files that the
    manifest does not know are a difference too; they are left where they are. --repair moves
    changed files to quarantine and fetches them anew.
    """
    from sciml_data.home import find_home
    from sciml_data.registry.descriptor import load_descriptor
    from sciml_data.registry.layout import find_registry
    from sciml_data.transfer.verification import load_fetched, verify

    descriptor = load_descriptor(find_registry(registry), dataset, version)
    if clone is not None:
        alone = {"--sample": sample, "--repair": repair, "--home": home, "--mirror": mirrors}
        _verify_clone(descriptor, clone, alone, jobs=jobs, as_json=as_json)
        return
    root = find_home(home)
    seed = sample_seed if sample else None
    fetched = load_fetched(descriptor, root.dataset(dataset, descriptor.version, sample_seed=seed))
    if repair:
        verified = _repair(fetched, root, mirrors, seed=seed, full=full, jobs=jobs)
    else:
        with byte_bar(f"verify {dataset}") as progress:
            verified = verify(fetched, full=full, jobs=jobs, progress=progress)
    _print_verified(verified, as_json=as_json)


def _repair(
    fetched: Fetched,
    home: Home,
    mirrors: Sequence[str],
    *,
    seed: int | None,
    full: bool,
    jobs: int,
) -> Verified:
    from sciml_data.transfer.plan import make_plan
    from sciml_data.transfer.verification import repair, verify

    descriptor = fetched.descriptor
    if seed is not None:
        from sciml_data.synthetic.make import make_sample

        return verify(make_sample(descriptor, home, seed=seed), full=full, jobs=jobs)
    if descriptor.live is not None:
        raise CallError(
            f"{descriptor.dataset} {descriptor.version} cannot be repaired: "
            "the service may answer differently today",
            untouched="nothing was changed",
            hint=f"sciml-data get {descriptor.dataset} --version live --start … --end … "
            "asks again for windows that changed here",
        )
    plan = make_plan(descriptor, home, mirrors=mirrors)
    with byte_bar(f"repair {descriptor.dataset}") as progress:
        return repair(fetched, plan, full=full, jobs=jobs, progress=progress, log=_say)


def _verify_clone(
    descriptor: Descriptor,
    root: Path,
    others: Mapping[str, object],
    *,
    jobs: int,
    as_json: bool,
) -> None:
    from sciml_data.integrations.datalad import verify_clone
    from sciml_data.progress import format_bytes

    if given := [name for name, value in others.items() if value]:
        raise CallError(
            f"{', '.join(given)} cannot be used with --clone: it is held as it lies",
            untouched="nothing was read",
        )
    with byte_bar(f"verify {descriptor.dataset}") as progress:
        found = verify_clone(descriptor, root, jobs=jobs, progress=progress)
    total = len(found.here) + len(found.absent)
    _say(
        f"clone of {descriptor.dataset} {descriptor.version}: {len(found.here)} of {total} files, "
        f"{format_bytes(found.here.total_bytes)}, as the manifest says; {len(found.absent)} not "
        "got yet, with keys as the manifest says"
    )
    facts = {
        "folder": str(root),
        "files": len(found.here),
        "bytes": found.here.total_bytes,
        "absent": len(found.absent),
        "manifest": found.here.digest,
    }
    click.echo(json.dumps(facts, indent=2) if as_json else root)


def _print_verified(verified: Verified, *, as_json: bool) -> None:
    from sciml_data.progress import format_bytes

    descriptor = verified.descriptor
    mark = "SYNTHETIC sample of " if verified.is_synthetic else ""
    whole = descriptor.manifest
    part = "" if verified.is_synthetic or whole is None else f" of {len(whole)}"
    _say(
        f"{mark}{descriptor.dataset} {descriptor.version}: {len(verified.manifest)}{part} files, "
        f"{format_bytes(verified.manifest.total_bytes)}, as the manifest says"
    )
    if as_json:
        click.echo(
            json.dumps(
                {
                    "folder": str(verified.root),
                    "synthetic": verified.is_synthetic,
                    "files": len(verified.manifest),
                    "bytes": verified.manifest.total_bytes,
                    "manifest": verified.manifest.digest,
                },
                indent=2,
            )
        )
    else:
        click.echo(verified.root)


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)
