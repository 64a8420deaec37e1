"""`sciml-data verify`: check files against the manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sciml_data.cli.options import dataset_options, mirror_option
from sciml_data.cli.progress import byte_bar, log
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
@click.option(
    "--full",
    is_flag=True,
    help="Read every byte, also of files that did not change since the last check.",
)
@click.option("--repair", is_flag=True, help="Fetch missing and changed files again.")
@click.option(
    "--clone",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="DataLad clone to check instead of the home: every file it has.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Number of files to read in parallel.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the folder, number of files and digest as JSON."
)
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
    """Check every file against the manifest, and list all that are missing, changed or unknown.

    If only some files were fetched (--include, --split), only those are checked. Unknown files are
    reported and not touched. --repair moves changed files to quarantine and fetches them again.
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
            "fetches the changed periods again",
        )
    plan = make_plan(descriptor, home, mirrors=mirrors)
    with byte_bar(f"repair {descriptor.dataset}") as progress:
        return repair(fetched, plan, full=full, jobs=jobs, progress=progress, log=log)


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
            f"{', '.join(given)} cannot be used with --clone: a clone is only read",
            untouched="nothing was read",
        )
    with byte_bar(f"verify {descriptor.dataset}") as progress:
        clone = verify_clone(descriptor, root, jobs=jobs, progress=progress)
    total = len(clone.here) + len(clone.absent)
    log(
        f"clone of {descriptor.dataset} {descriptor.version}: {len(clone.here)} of {total} files, "
        f"{format_bytes(clone.here.total_bytes)}, equal to the manifest; {len(clone.absent)} not "
        "fetched, with keys equal to the manifest"
    )
    facts = {
        "folder": str(root),
        "files": len(clone.here),
        "bytes": clone.here.total_bytes,
        "absent": len(clone.absent),
        "manifest": clone.here.digest,
    }
    click.echo(json.dumps(facts, indent=2) if as_json else root)


def _print_verified(verified: Verified, *, as_json: bool) -> None:
    from sciml_data.progress import format_bytes

    descriptor = verified.descriptor
    mark = "SYNTHETIC sample of " if verified.is_synthetic else ""
    whole = descriptor.manifest
    part = "" if verified.is_synthetic or whole is None else f" of {len(whole)}"
    log(
        f"{mark}{descriptor.dataset} {descriptor.version}: {len(verified.manifest)}{part} files, "
        f"{format_bytes(verified.manifest.total_bytes)}, equal to the manifest"
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
