"""`sciml-data cache`: what the home has stored, and how to free its space."""

from __future__ import annotations

import datetime
import json
import re
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli import completion
from sciml_data.cli.options import home_of, home_option, registry_option, runs_option, wait_option
from sciml_data.cli.output import log
from sciml_data.cli.program import VerbGroup
from sciml_data.errors import CallError, nearest
from sciml_data.progress import counted

if TYPE_CHECKING:
    from sciml_data.ready import StoredPart
    from sciml_data.registry import RegistryPath

COLUMNS = ("dataset", "what", "files", "size", "shared", "last used", "options")
UNITS = {"h": 3600, "d": 86400, "w": 7 * 86400}
# What a removed part costs, as the last line of `--dry-run` and of a question says.
AGAIN = "`get` fetches native files again, and `convert` makes ready files again"

dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Print what would be removed, and remove nothing."
)
yes_option = click.option("--yes", is_flag=True, help="Remove without asking.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the parts as JSON.")


@click.group(
    "cache",
    cls=VerbGroup,
    invoke_without_command=True,
    epilog="""\b
Examples:
  sciml-data cache
  sciml-data cache rm cloud_slstr_ds1 --ready
  sciml-data cache rm uno_ccle --version 1.0 --dry-run
  sciml-data cache prune --older 90d --keep-pinned
""",
)
@home_option
@runs_option
@json_option
@click.pass_context
def command(context: click.Context, /, *, as_json: bool, **places: Any) -> None:
    """Print what the home has stored: sizes, options of ready files, and when it was last used.

    `shared` are bytes of files that have another name as well (another version, or a folder that
    was adopted): removing them frees no space while the other name exists. Shared homes are not
    listed, because they are only read.
    """
    if context.invoked_subcommand is None:
        from sciml_data.ready import stored_parts

        _print(stored_parts(home_of(places)), as_json=as_json)


@command.command(
    "rm",
    epilog="""\b
Examples:
  sciml-data cache rm cloud_slstr_ds1 --ready
  sciml-data cache rm uno_ccle --version 1.0 --dry-run
  sciml-data cache rm tevolop_socal --sample --yes
""",
)
@click.argument("dataset", shell_complete=completion.datasets)
@click.option(
    "--version", metavar="VERSION", help="Remove from this version only. Default: all versions."
)
@click.option("--native", is_flag=True, help="Remove native files.")
@click.option("--ready", is_flag=True, help="Remove ready files, of all options.")
@click.option("--sample", is_flag=True, help="Remove synthetic samples, native and ready files.")
@click.option("--partial", is_flag=True, help="Remove what was not downloaded to the end.")
@click.option("--quarantine", is_flag=True, help="Remove files that had wrong content.")
@home_option
@wait_option
@dry_run_option
@yes_option
@json_option
def remove(dataset: str, version: str | None, **options: Any) -> None:
    """Remove DATASET, or only the given parts of it, from the home. Runs are not removed.

    Without an option for a part, everything of the published data is removed, and with --sample
    alone everything of the samples. The first listing of an unpinned version stays, because later
    fetches are compared with it.
    """
    from sciml_data.ready import stored_parts

    parts = stored_parts(home_of({**options, "runs_folder": None}))
    if dataset not in (known := {part.dataset for part in parts if part.owner}):
        raise CallError(
            f"the home has nothing of {dataset!r}{nearest(dataset, known)}",
            untouched="nothing was removed",
            hint="`sciml-data cache` lists what it has",
        )
    kinds = {kind for kind in ("native", "ready", "partial", "quarantine") if options[kind]}
    chosen = [
        part
        for part in parts
        if part.owner
        and part.dataset == dataset
        and version in (None, part.version)
        and options["sample"] == (part.sample_seed is not None)
        and (not kinds or part.kind in kinds)
    ]
    _remove(chosen, options)


@command.command(
    "prune",
    epilog="""\b
Examples:
  sciml-data cache prune --older 90d --dry-run
  sciml-data cache prune --older 2w --keep-pinned --yes
""",
)
@click.option(
    "--older", required=True, metavar="TIME", help="Not used for this long: 12h, 90d or 8w."
)
@click.option(
    "--keep-pinned", is_flag=True, help="Keep native files of versions that the registry pins."
)
@registry_option
@home_option
@wait_option
@dry_run_option
@yes_option
@json_option
def prune(older: str, *, keep_pinned: bool, registry: RegistryPath, **options: Any) -> None:
    """Remove parts of the home that were not used for some time. Runs are not removed."""
    from sciml_data.ready import stored_parts

    limit = time.time() - _seconds(older)
    parts = stored_parts(home_of({**options, "runs_folder": None}))
    chosen = [part for part in parts if part.owner and part.last_used < limit]
    if keep_pinned:
        pinned = _pinned(registry)
        chosen = [part for part in chosen if not _is_pinned(part, pinned)]
    _remove(chosen, options)


def _is_pinned(part: StoredPart, pinned: set[tuple[str, str]]) -> bool:
    is_native = part.kind == "native" and part.sample_seed is None
    return is_native and (part.dataset, part.version) in pinned


def _pinned(registry: RegistryPath) -> set[tuple[str, str]]:
    """Return dataset and version of all pinned versions of a registry."""
    from sciml_data.errors import DescriptorError
    from sciml_data.registry import find_registry, load_descriptor

    place = find_registry(registry)
    pinned = set()
    for dataset in place.datasets():
        for version in place.versions(dataset):
            try:
                is_pinned = load_descriptor(place, dataset, version).is_pinned
            except DescriptorError as error:
                log(f"{dataset} {version} is kept: {error.message}")
                is_pinned = True
            if is_pinned:
                pinned.add((dataset, version))
    return pinned


def _seconds(text: str) -> int:
    """Return the seconds of `90d`.

    Raises:
        CallError: the text is not a number with a unit.
    """
    match = re.fullmatch(r"([0-9]{1,6})([hdw])", text)
    if match is None:
        raise CallError(
            f"--older {text!r} is not a time",
            untouched="nothing was removed",
            hint="a number of hours, days or weeks: 12h, 90d or 8w",
        )
    return int(match[1]) * UNITS[match[2]]


def _remove(parts: Sequence[StoredPart], options: dict[str, Any]) -> None:
    """Print the parts, ask, and remove them."""
    from sciml_data.progress import format_bytes
    from sciml_data.ready import remove_parts

    as_json = options["as_json"]
    _print(parts, as_json=as_json)
    freed = sum(part.size_bytes - part.shared_bytes for part in parts)
    if not parts or options["dry_run"]:
        log(f"nothing was removed; {format_bytes(freed)} would be freed" if parts else "no parts")
        return
    if not options["yes"] and sys.stdin.isatty():
        click.confirm(f"remove {counted(len(parts), 'part')}? {AGAIN}", abort=True, err=True)
    for part in remove_parts(parts):
        log(f"removed {part.kind} files of {part.name}: {format_bytes(part.size_bytes)}")
    log(f"{format_bytes(freed)} freed")


def _print(parts: Iterable[StoredPart], *, as_json: bool) -> None:
    """Print a line for each part and the total, or JSON."""
    from sciml_data.progress import format_bytes

    parts = list(parts)
    if as_json:
        click.echo(json.dumps([_document(part) for part in parts], indent=2))
        return
    if not parts:
        log("the home has no data; `sciml-data get ID` fetches a dataset")
        return
    rows = [COLUMNS, *map(_row, parts)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(COLUMNS) - 1)]
    for row in rows:
        cells = [
            text.rjust(width) if place in (2, 3, 4) else text.ljust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=False))
        ]
        click.echo("  ".join([*cells, row[-1]]).rstrip())
    size = sum(part.size_bytes for part in parts)
    shared = sum(part.shared_bytes for part in parts)
    hard_links = f", of which {format_bytes(shared)} have another name, too" if shared else ""
    click.echo(f"total: {format_bytes(size)}{hard_links}")


def _row(part: StoredPart) -> tuple[str, ...]:
    from sciml_data.progress import format_bytes

    options = ""
    if part.kind == "ready":
        given = part.options
        words = [] if given is None else [f"{name}={value}" for name, value in given.items()]
        options = "unknown (not complete)" if given is None else ", ".join(words) or "default"
    day = _time(part).strftime("%Y-%m-%d")
    return (
        part.name,
        part.kind,
        str(part.files),
        format_bytes(part.size_bytes),
        format_bytes(part.shared_bytes) if part.shared_bytes else "-",
        day,
        options,
    )


def _document(part: StoredPart) -> dict[str, Any]:
    return {
        "kind": part.kind,
        "dataset": part.dataset,
        "version": part.version,
        "sample_seed": part.sample_seed,
        "options": part.options,
        "folder": str(part.folder),
        "files": part.files,
        "bytes": part.size_bytes,
        "shared_bytes": part.shared_bytes,
        "last_used": _time(part).isoformat(timespec="seconds"),
    }


def _time(part: StoredPart) -> datetime.datetime:
    """Return the last use; `datetime` ends with the year 9999, some file systems do not."""
    try:
        return datetime.datetime.fromtimestamp(part.last_used, datetime.UTC)
    except (ValueError, OverflowError):
        return datetime.datetime.max.replace(tzinfo=datetime.UTC)
