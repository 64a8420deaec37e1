"""`sciml-data new`: start the folder of a new dataset."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli.options import registry_option
from sciml_data.cli.program import UserPath, Verb
from sciml_data.errors import CallError
from sciml_data.progress import counted

if TYPE_CHECKING:
    from sciml_data.errors import Problem
    from sciml_data.registry import RegistryPath

NOT_STATED = "LicenseRef-not-stated"
# Questions on a terminal for missing options; an empty answer leaves a place to fill.
QUESTIONS = {
    "files": "folder of the native files, with the paths they are published under",
    "title": "title, a single line",
    "description": "description (100 characters or more)",
    "license_": f"licence (SPDX identifier, or {NOT_STATED})",
    "creators": "creators of the data: `Family, Given` is a person, a name without a comma an "
    "organisation (a semicolon between them)",
    "keywords": "keywords (three or more, a semicolon between them)",
    "citations": "citation of the data",
    "sources": "source of the data (a URL)",
    "mirrors": "URL of the folder that serves the files",
}
LISTS = ("creators", "keywords", "citations", "sources", "mirrors")


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data new my_dataset 1.0 --files RAW_DIR --registry DIR
  sciml-data new my_dataset 1.0 --files RAW_DIR --reader earthquake
  sciml-data new my_dataset 1.0 --files RAW_DIR --creator 'Curie, Marie' --creator CERN
  sciml-data new my_dataset 1.1 --files RAW_DIR --like 1.0
""",
)
@click.argument("dataset", required=False)
@click.argument("version", required=False)
@click.option(
    "--files",
    metavar="DIR",
    type=UserPath(file_okay=False),
    help="Folder of the native files, with their published paths; the manifest is made of it.",
)
@click.option(
    "--reader",
    metavar="NAME",
    help="Module of sciml_data/formats/ that reads the files. Default: csv_table, parquet_table, "
    "netcdf, image_folder or hdf5_arrays by their content; other files have no ready form.",
)
@click.option("--like", metavar="VERSION", help="Version to copy the descriptor from.")
@click.option("--title", metavar="TEXT", help="Title of the dataset, a single line.")
@click.option("--description", metavar="TEXT", help="Description, 100 characters or more.")
@click.option("--license", "license_", metavar="SPDX", help=f"SPDX licence, or {NOT_STATED}.")
@click.option(
    "--creator",
    "creators",
    metavar="NAME",
    multiple=True,
    help="Creator of the data: a person as 'Family, Given', or an organisation by a name without a "
    "comma. Can be repeated.",
)
@click.option(
    "--organisation",
    "organisations",
    metavar="NAME",
    multiple=True,
    help="Organisation that created the data. Its name may have commas. Can be repeated.",
)
@click.option(
    "--keyword",
    "keywords",
    metavar="WORD",
    multiple=True,
    help="Keyword. Repeat it: three or more are needed.",
)
@click.option(
    "--citation",
    "citations",
    metavar="TEXT",
    multiple=True,
    help="Citation of the data. Can be repeated.",
)
@click.option(
    "--source", "sources", multiple=True, metavar="URL", help="Source of the data. Can be repeated."
)
@click.option(
    "--mirror",
    "mirrors",
    multiple=True,
    metavar="URL",
    help="Folder that serves the files (https, ftp, sftp), or doi:DOI. Can be repeated.",
)
@click.option("--no-ask", is_flag=True, help="Disable the questions on a terminal.")
@registry_option
def command(
    dataset: str | None,
    version: str | None,
    registry: RegistryPath,
    *,
    no_ask: bool,
    **given: Any,
) -> None:
    """Write a descriptor, a manifest and a data card with places to fill, and print their paths.

    --registry DIR starts a registry in an empty folder. Existing files are never overwritten. On a
    terminal, missing options become questions; an empty answer leaves a place to fill.
    """
    if not no_ask and sys.stdin.isatty():
        dataset, version = _ask_names(dataset, version)
        _ask(given)
    if dataset is None or version is None:
        raise click.UsageError("DATASET and VERSION are missing")
    _start(dataset, version, registry, given)


def _start(dataset: str, version: str, registry: RegistryPath, given: Mapping[str, Any]) -> None:
    import datetime

    from sciml_data.cli.output import byte_bar, log
    from sciml_data.curate import start_dataset
    from sciml_data.formats import find_format
    from sciml_data.registry import Registry, find_registry, named_folders

    named = named_folders(registry)
    root = named[0] if named else find_registry().root
    Registry(root.resolve()).require_writable("nothing was written")
    files = given["files"]
    if given["reader"]:
        find_format(given["reader"], root / "datapackages" / dataset / version)
    with byte_bar(f"hash {files}") if files else contextlib.nullcontext() as progress:
        written = start_dataset(
            root,
            dataset,
            version,
            today=datetime.datetime.now(datetime.UTC).date(),
            reader=given["reader"],
            like=given["like"],
            stated=stated(given),
            files=files,
            progress=progress,
            log=log,
        )
    for path in written:
        click.echo(path)
    _report(Registry(root), dataset, version, files)


def stated(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given answers as keys of a descriptor."""
    licence = given["license_"]
    facts: dict[str, Any] = {
        "title": given["title"],
        "description": given["description"],
        "keywords": list(given["keywords"]),
        "licenses": [_licence(licence)] if licence else [],
        "sources": [{"title": _host(url), "path": url} for url in given["sources"]],
        "contributors": [
            *map(_creator, given["creators"]),
            *({"title": name, "roles": ["creator"]} for name in given["organisations"]),
        ],
    }
    block = {
        "citation": list(given["citations"]),
        "mirrors": _mirrors(given["mirrors"]),
    }
    answered = {key: value for key, value in facts.items() if value}
    return {**answered, "sciml": {key: value for key, value in block.items() if value}}


def _creator(name: str) -> dict[str, Any]:
    """Return a creator as a contributor of a descriptor: only a person has a family name.

    Raises:
        CallError: the name has a comma, and is not of the form `Family, Given`.
    """
    from sciml_data.cli.output import log

    family, *others = [part.strip() for part in name.split(",")]
    if not others:
        log(f"{name!r} is recorded as an organisation; a person is written as 'Family, Given'")
        return {"title": name, "roles": ["creator"]}
    if len(others) > 1 or not family or not others[0]:
        raise CallError(
            f"the creator {name!r} is neither 'Family, Given' nor a name without a comma",
            untouched="nothing was written",
            hint=f"of an organisation: --organisation {shlex.quote(name)}",
        )
    person = {"givenName": others[0], "familyName": family}
    return {"title": f"{others[0]} {family}", **person, "roles": ["creator"]}


def _licence(name: str) -> dict[str, str]:
    from sciml_data.registry import TO_FILL

    if name.startswith("LicenseRef-"):
        return {"name": name, "title": f"{TO_FILL}: where it was looked for, or what it says"}
    if not _may_be_spdx(name):
        raise CallError(
            f"{name!r} is not in the SPDX licence list",
            untouched="nothing was written",
            hint=f"an identifier such as CC-BY-4.0; {NOT_STATED} if upstream states no licence; "
            "your own LicenseRef-… for any other licence",
        )
    return {"name": name, "title": name, "path": f"https://spdx.org/licenses/{name}.html"}


def _may_be_spdx(name: str) -> bool:
    """Return whether a licence is in the SPDX list; True if the list is not installed."""
    from sciml_data.metadata import is_spdx

    try:
        return is_spdx(name)
    except CallError:
        return True


def _mirrors(urls: Sequence[str]) -> list[dict[str, Any]]:
    """Return mirrors with different names: the host, and the folder if two have one host."""
    hosts = [url if url.startswith("doi:") else _host(url) for url in urls]
    mirrors = []
    for url, host in zip(urls, hosts, strict=True):
        is_only = hosts.count(host) == 1
        name = host if is_only else url.partition("://")[2].rpartition("@")[2].strip("/")
        end = "#" if url.startswith("doi:") else "/"
        mirrors.append({"name": name, "prefixes": {"": f"{url.rstrip('/#')}{end}"}})
    return mirrors


def _host(url: str) -> str:
    from urllib.parse import urlsplit

    host = urlsplit(url).hostname
    if not host:
        raise CallError(
            f"{url!r} is not a URL: it has no host",
            untouched="nothing was written",
            hint="https://HOST/FOLDER/",
        )
    return host


def _ask_names(dataset: str | None, version: str | None) -> tuple[str, str]:
    return (
        dataset or click.prompt("id of the dataset (lower_case_words)", err=True),
        version or click.prompt("version", default="1.0", err=True),
    )


def _ask(given: dict[str, Any]) -> None:
    """Ask for missing options; with --like only for the files, because the rest is copied."""
    for name, question in QUESTIONS.items():
        is_given = given[name] or (name == "creators" and given["organisations"])
        if is_given or (given["like"] and name != "files"):
            continue
        answer = click.prompt(question, default="", show_default=False, err=True).strip()
        if name in LISTS:
            parts = answer.split(";") if name in ("creators", "keywords") else [answer]
            given[name] = tuple(part.strip() for part in parts if part.strip())
        elif answer:
            given[name] = Path(answer).expanduser() if name == "files" else answer


def _report(registry: Any, dataset: str, version: str, files: Path | None) -> None:
    """Print every place that `check` still reports."""
    import json

    from sciml_data.cli.check import check_registry, log_warnings
    from sciml_data.registry import DESCRIPTOR_NAME

    folder = registry.root / "datapackages" / dataset / version
    native = json.loads((folder / DESCRIPTOR_NAME).read_text(encoding="utf-8"))["sciml"]["native"]
    if files is None:
        click.echo("the manifest is empty: give the folder of the files with --files", err=True)
    if "format" in native:
        click.echo(
            "no format reads these files yet: they can be fetched, verified and mirrored only",
            err=True,
        )
    folder_name = f"datapackages/{dataset}/{version}"
    mine = (f"{folder_name}:", f"datapackages/{dataset}/README.md")
    warnings: list[Problem] = []
    problems: list[Problem] = [
        problem for problem in check_registry(registry, warnings) if problem.place.startswith(mine)
    ]
    log_warnings([warning for warning in warnings if warning.place.startswith(folder_name)])
    for problem in problems:
        click.echo(problem, err=True)
    click.echo(
        f"{counted(len(problems), 'place')} to fill (docs/how-to/add-a-dataset.md); "
        "`sciml-data check` lists them",
        err=True,
    )
