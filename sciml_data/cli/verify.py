"""`sciml-data verify`: check files against the manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli.options import (
    dataset_argument,
    home_option,
    mirror_option,
    registry_option,
    sample_option,
    seed_option,
    trust_option,
    version_option,
    wait_option,
)
from sciml_data.cli.output import byte_bar, log
from sciml_data.cli.program import UserPath, Verb
from sciml_data.errors import CallError
from sciml_data.progress import counted

if TYPE_CHECKING:
    from sciml_data.registry import Verified


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data verify tevolop_socal --version 1.0
  sciml-data verify tevolop_socal --version 1.0 --full
  sciml-data verify tevolop_socal --version 1.0 --ready
  sciml-data verify tevolop_socal --version 1.0 --repair --mirror file:../mirror
  sciml-data verify tevolop_socal --version 1.0 --clone DIR
""",
)
@dataset_argument
@version_option
@sample_option
@seed_option
@registry_option
@trust_option
@home_option
@wait_option
@mirror_option
@click.option(
    "--full",
    is_flag=True,
    help="Read every byte, also of files that did not change since the last check.",
)
@click.option(
    "--ready",
    is_flag=True,
    help="Check the ready files, too: those of every conversion, or of the options in --set.",
)
@click.option(
    "--set",
    "given",
    multiple=True,
    metavar="KEY=VALUE",
    help="Option of the conversion of the ready files to check. Can be repeated.",
)
@click.option(
    "--repair",
    is_flag=True,
    help="Fetch missing and changed files again; with --ready, convert again.",
)
@click.option(
    "--clone",
    type=UserPath(),
    metavar="DIR",
    help="DataLad clone to check instead of the home: every file it has.",
)
@click.option(
    "--jobs",
    metavar="N",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Number of files to read in parallel.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the folder, number of files and digest as JSON."
)
def command(
    dataset: str, clone: Path | None, given: Sequence[str], *, as_json: bool, **options: Any
) -> None:
    """Check every file against the manifest, and list all that are missing, changed or unknown.

    If only some files were fetched (--include, --split), only those are checked. Unknown files are
    reported and not touched. --repair moves changed files to quarantine and fetches them again.
    --ready checks the converted files against the hashes that they had when they were made.
    """
    from sciml_data import verify_dataset
    from sciml_data.cli.convert import read_options

    if given and not options["ready"]:
        raise CallError(
            "--set needs --ready: native files have no options",
            untouched="nothing was read",
            hint=f"sciml-data verify {dataset} --ready --set {given[0]}",
        )
    options["options"] = read_options(given) if given else None
    if clone is not None:
        _verify_clone(dataset, clone, options, as_json=as_json)
        return
    with byte_bar(f"{'repair' if options['repair'] else 'verify'} {dataset}") as progress:
        verified = verify_dataset(dataset, **options, progress=progress)
    _print_verified(verified, as_json=as_json)


def _verify_clone(dataset: str, root: Path, options: Mapping[str, Any], *, as_json: bool) -> None:
    from sciml_data import describe
    from sciml_data.integrations.datalad import verify_clone
    from sciml_data.progress import format_bytes

    names = {
        "sample": "--sample",
        "repair": "--repair",
        "ready": "--ready",
        "home": "--home",
        "mirrors": "--mirror",
    }
    if given := [typed for name, typed in names.items() if options[name]]:
        raise CallError(
            f"{', '.join(given)} cannot be used with --clone: a clone is only read",
            untouched="nothing was read",
        )
    descriptor = describe(dataset, version=options["version"], registry=options["registry"])
    with byte_bar(f"verify {dataset}") as progress:
        clone = verify_clone(descriptor, root, jobs=options["jobs"], progress=progress)
    fetched, absent = clone.fetched, len(clone.absent)
    log(
        f"clone of {descriptor.dataset} {descriptor.version}: {len(fetched)} of "
        f"{counted(len(fetched) + absent, 'file')}, {format_bytes(fetched.total_bytes)}, equal to "
        f"the manifest; {absent} not fetched, with keys equal to the manifest"
    )
    facts = {
        "folder": str(root),
        "files": len(fetched),
        "bytes": fetched.total_bytes,
        "absent": absent,
        "manifest": fetched.digest,
    }
    click.echo(json.dumps(facts, indent=2) if as_json else root)


def _print_verified(verified: Verified, *, as_json: bool) -> None:
    from sciml_data.progress import format_bytes

    descriptor = verified.descriptor
    mark = "SYNTHETIC sample of " if verified.is_synthetic else ""
    whole = descriptor.manifest
    number = len(verified.manifest)
    native = counted(number, "native file")
    if not verified.is_synthetic and whole is not None:
        native = f"{number} of {counted(len(whole), 'native file')}"
    root = verified.root
    has_ready = any(place.is_dir() for place in verified.folder.ready_places)
    if not number and verified.ready:
        native = "no native files"
        root = verified.ready[0].root
    log(
        f"{mark}{descriptor.dataset} {descriptor.version}: {native}, "
        f"{format_bytes(verified.manifest.total_bytes)}, equal to the manifest"
        + ("; ready files were not checked: --ready" if has_ready and not verified.ready else "")
    )
    for converted in verified.ready:
        options = " ".join(f"{name}={value}" for name, value in converted.options.items())
        log(
            f"{counted(len(converted.manifest), 'ready file')}, "
            f"{format_bytes(converted.manifest.total_bytes)}, equal to their manifest "
            f"({options or 'default options'})"
        )
    click.echo(json.dumps(_facts(verified), indent=2) if as_json else root)


def _facts(verified: Verified) -> dict[str, Any]:
    return {
        "folder": str(verified.root),
        "synthetic": verified.is_synthetic,
        "files": len(verified.manifest),
        "bytes": verified.manifest.total_bytes,
        "manifest": verified.manifest.digest,
        "ready": [
            {
                "folder": str(converted.root),
                "options": dict(converted.options),
                "files": len(converted.manifest),
                "bytes": converted.manifest.total_bytes,
                "manifest": converted.manifest.digest,
            }
            for converted in verified.ready
        ]
        or None,  # they were not checked
    }
