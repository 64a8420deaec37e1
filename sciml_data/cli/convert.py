"""`sciml-data convert`: convert native files to analysis-ready NetCDF."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import click

from sciml_data.cli.options import (
    dataset_argument,
    home_option,
    registry_option,
    sample_option,
    seed_option,
    trust_option,
    version_option,
    wait_option,
)
from sciml_data.cli.output import byte_bar, file_rows, log
from sciml_data.cli.program import Verb
from sciml_data.errors import CallError

if TYPE_CHECKING:
    from sciml_data.registry import Converted


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data convert tevolop_socal --version 1.0
  sciml-data convert tevolop_socal --sample
  sciml-data convert tevolop_socal --version 1.0 --again
  sciml-data convert uno_dose --strict
  sciml-data convert cloud_slstr_ds1 --jobs 8 --set compression=gzip
  sciml-data convert cloud_slstr_ds2 --cluster tcp://scheduler:8786
  sciml-data convert cloud_slstr_ds2 --cluster scheduler.json
  sciml-data convert cloud_slstr_ds2 --share 3/8
  sciml-data convert cloud_slstr_ds2 --finish
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
@click.option(
    "--set",
    "given",
    multiple=True,
    metavar="KEY=VALUE",
    help="Option of the native format. Can be repeated.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Stop at the first malformed value; the same as --set strict=true.",
)
@click.option(
    "--jobs",
    metavar="N",
    type=click.IntRange(1),
    help="Number of processes on this computer. Default: 1.",
)
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Dask cluster that converts: tcp://HOST:PORT, or the scheduler file. Every worker must "
    "see the home and the registry under the same paths as this computer.",
)
@click.option(
    "--share",
    metavar="K/N",
    help="Convert every N-th file, beginning with the K-th, for N processes that share the home, "
    "such as the tasks of a job array. Afterwards: --finish.",
)
@click.option(
    "--finish",
    is_flag=True,
    help="Complete a conversion in shares. Make no file, and name shares with missing files.",
)
@click.option("--again", is_flag=True, help="Convert again, even if the ready files exist.")
@click.option("--json", "as_json", is_flag=True, help="Print the folder, files and sizes as JSON.")
def command(  # noqa: PLR0913 - one parameter for each option
    dataset: str,
    version: str | None,
    registry: tuple[Path, ...],
    home: tuple[Path, ...],
    sample_seed: int,
    given: Sequence[str],
    *,
    sample: bool,
    strict: bool,
    wait: bool,
    jobs: int | None,
    cluster: str | None,
    share: str | None,
    finish: bool,
    again: bool,
    as_json: bool,
) -> None:
    """Convert verified native files to NetCDF-4 and print the folder of the ready files.

    Native files are verified first; files that did not change since the last check are not read
    again. Converting twice gives the same bytes, on this computer or on a cluster. Existing ready
    files are reused, also after more of the dataset was fetched.
    """
    from sciml_data import convert_dataset, convert_share, finish_conversion
    from sciml_data.registry import MANIFEST_NAME

    _refuse_pairs(
        {"--share": share, "--finish": finish, "--jobs": jobs, "--cluster": cluster},
        {"--again": again, "--json": as_json},
    )
    given = (*given, "strict=true") if strict else given
    common: _Common = {
        "version": version,
        "sample": sample,
        "sample_seed": sample_seed,
        "options": read_options(given),
        "registry": registry,
        "home": home,
        "wait": wait,
    }
    done: Path | Converted
    with byte_bar(f"convert {dataset}") as progress:
        if share is not None:
            done = convert_share(dataset, share, workers=jobs or 1, progress=progress, **common)
        elif finish:
            done = finish_conversion(dataset, progress=progress, **common)
        else:
            done = convert_dataset(
                dataset, workers=cluster or jobs or 1, again=again, progress=progress, **common
            )
    if isinstance(done, Path):
        if not (done / MANIFEST_NAME).is_file():
            log(f"when all shares are made: {_finish_command(dataset, common, given)}")
        click.echo(done)
    elif as_json:
        facts = {"root": str(done.root), "files": file_rows(done.manifest)}
        click.echo(json.dumps(facts, indent=2))
    else:
        click.echo(done.root)


def _finish_command(dataset: str, common: _Common, given: Sequence[str]) -> str:
    """Return the command that completes the conversion in shares, with all of its options."""
    words = ["sciml-data", "convert", dataset]
    if common["version"]:
        words += ["--version", common["version"]]
    if common["sample"]:
        words += ["--sample", "--sample-seed", str(common["sample_seed"])]
    places = {"--registry": common["registry"], "--home": common["home"], "--set": given}
    for option, values in places.items():
        words += [word for value in values for word in (option, str(value))]
    return shlex.join([*words, "--finish"])


class _Common(TypedDict):
    """What all three functions take."""

    version: str | None
    sample: bool
    sample_seed: int
    options: dict[str, Any]
    registry: tuple[Path, ...]
    home: tuple[Path, ...]
    wait: bool


# Options that cannot be used together, and why.
PAIRS = {
    ("--jobs", "--cluster"): "--jobs sets processes on this computer",
    ("--share", "--cluster"): "a share is converted by processes of this computer",
    ("--share", "--finish"): "--finish comes after all shares",
    ("--share", "--again"): "a share that is started again keeps what it made",
    ("--share", "--json"): "the files are complete after --finish",
    ("--finish", "--jobs"): "--finish makes no file",
    ("--finish", "--cluster"): "--finish makes no file",
    ("--finish", "--again"): "--finish makes no file",
}


def _refuse_pairs(*options: Mapping[str, object]) -> None:
    """Raise an error for options that cannot be used together.

    Args:
        options: name -> value; None or False for those that are not given.
    """
    given = {name for each in options for name, value in each.items() if value not in (None, False)}
    for (first, second), reason in PAIRS.items():
        if {first, second} <= given:
            raise CallError(
                f"{first} and {second} cannot be used together: {reason}",
                untouched="nothing was converted",
            )


def read_options(given: Sequence[str]) -> dict[str, Any]:
    """Return options of KEY=VALUE; a value that is not JSON is text.

    Raises:
        CallError: an item has no `=`, or a key is repeated.
    """
    options: dict[str, Any] = {}
    for item in given:
        key, equals, value = item.partition("=")
        if not equals or not key or key in options:
            raise CallError(
                f"--set {item!r} is not KEY=VALUE, or repeats {key!r}",
                untouched="nothing was converted",
                hint="--set compression=gzip",
            )
        try:
            options[key] = json.loads(value)
        except (ValueError, RecursionError):  # a text; or a number of 5,000 digits
            options[key] = value
    return options
