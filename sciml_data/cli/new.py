"""`sciml-data new`: start the folder of a new dataset."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli.options import registry_option
from sciml_data.errors import CallError

if TYPE_CHECKING:
    from sciml_data.errors import Problem

NOT_STATED = "LicenseRef-not-stated"
# What is asked on a terminal where the option is missing; an empty answer leaves it to be filled.
QUESTIONS = {
    "files": "folder of the native files, laid out as they are published",
    "title": "title, one line",
    "description": "description, 100 letters or more",
    "license_": f"licence (SPDX identifier, or {NOT_STATED})",
    "creators": "who made the data (a semicolon between names)",
    "keywords": "keywords, three or more (a semicolon between them)",
    "citations": "how to cite it",
    "sources": "where it comes from (a URL)",
    "mirrors": "URL of the folder where the files are served",
}
SEVERAL = ("creators", "keywords", "citations", "sources", "mirrors")


@click.command(
    epilog="""\b
Examples:
  sciml-data new my_dataset 1.0 --files RAW_DIR --registry DIR
  sciml-data new my_dataset 1.0 --files RAW_DIR --reader earthquake
  sciml-data new my_dataset 1.1 --files RAW_DIR --like 1.0
"""
)
@click.argument("dataset", required=False)
@click.argument("version", required=False)
@click.option(
    "--files",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the native files, laid out as published: makes the manifest of them.",
)
@click.option(
    "--reader",
    help="Module of sciml_data/readers/ for its format. Else arrays in HDF5 files are proposed for "
    "the reader hdf5_arrays; where there are none, the dataset has no ready form.",
)
@click.option("--like", metavar="VERSION", help="Take over the descriptor of this version.")
@click.option("--title", help="What the data are, in one line.")
@click.option("--description", help="100 letters or more.")
@click.option("--license", "license_", metavar="SPDX", help=f"Licence, or {NOT_STATED}.")
@click.option("--creator", "creators", multiple=True, help="Who made the data. Several times.")
@click.option("--keyword", "keywords", multiple=True, help="Three or more.")
@click.option("--citation", "citations", multiple=True, help="How the data ask to be cited.")
@click.option("--source", "sources", multiple=True, metavar="URL", help="Where they come from.")
@click.option("--mirror", "mirrors", multiple=True, metavar="URL", help="Folder of the files.")
@click.option("--no-ask", is_flag=True, help="Ask nothing, also on a terminal.")
@registry_option
def command(
    dataset: str | None,
    version: str | None,
    registry: Path | None,
    *,
    no_ask: bool,
    **given: Any,
) -> None:
    """Write a descriptor, a manifest and a card to fill; print their paths, and what is to fill.

    With --registry DIR a registry is started there if need be. Nothing is overwritten. On a
    terminal, what is not given is asked for; an empty answer leaves it to be filled.
    """
    if not no_ask and sys.stdin.isatty():
        dataset, version = _ask_names(dataset, version)
        _ask(given)
    if dataset is None or version is None:
        raise click.UsageError("DATASET and VERSION are missing")
    _start(dataset, version, registry, given)


def _start(dataset: str, version: str, registry: Path | None, given: Mapping[str, Any]) -> None:
    import datetime

    from sciml_data.cli.progress import byte_bar
    from sciml_data.curate.new import start_dataset
    from sciml_data.formats import load_format
    from sciml_data.registry.layout import Registry, find_registry

    root = registry if registry is not None else find_registry().root
    files = given["files"]
    if given["reader"]:
        load_format(given["reader"])
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
        )
    for path in written:
        click.echo(path)
    _report(Registry(root), dataset, version, files)


def stated(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers as keys of a descriptor; what was not said is left out."""
    licence = given["license_"]
    facts: dict[str, Any] = {
        "title": given["title"],
        "description": given["description"],
        "keywords": list(given["keywords"]),
        "licenses": [_licence(licence)] if licence else [],
        "sources": [{"title": _host(url), "path": url} for url in given["sources"]],
        "contributors": [{"title": name, "roles": ["creator"]} for name in given["creators"]],
    }
    block = {
        "citation": list(given["citations"]),
        "mirrors": [
            {"name": _host(url), "prefixes": {"": f"{url.rstrip('/')}/"}}
            for url in given["mirrors"]
        ],
    }
    said = {key: value for key, value in facts.items() if value}
    return {**said, "sciml": {key: value for key, value in block.items() if value}}


def _licence(name: str) -> dict[str, str]:
    from sciml_data.registry.profile import TO_FILL

    if name.startswith("LicenseRef-"):
        return {"name": name, "title": f"{TO_FILL}: where it was looked for, or what it says"}
    if not _may_be_spdx(name):
        raise CallError(
            f"{name!r} is no identifier of SPDX's list of licences",
            untouched="nothing was written",
            hint=f"one such as CC-BY-4.0; {NOT_STATED} where upstream states none, or a "
            "LicenseRef-… of your own where it states another",
        )
    return {"name": name, "title": name, "path": f"https://spdx.org/licenses/{name}.html"}


def _may_be_spdx(name: str) -> bool:
    """Return whether a licence is of SPDX's list, or there is no list here to look it up in."""
    from sciml_data.metadata.vocabularies import is_spdx

    try:
        return is_spdx(name)
    except CallError:
        return True


def _host(url: str) -> str:
    from urllib.parse import urlsplit

    host = urlsplit(url).hostname
    if not host:
        raise CallError(
            f"{url!r} is no URL: it names no host",
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
    """Ask for what is missing; with --like only for the files, for the rest is there."""
    for name, question in QUESTIONS.items():
        if given[name] or (given["like"] and name != "files"):
            continue
        answer = click.prompt(question, default="", show_default=False, err=True).strip()
        if name in SEVERAL:
            parts = answer.split(";") if name in ("creators", "keywords") else [answer]
            given[name] = tuple(part.strip() for part in parts if part.strip())
        elif answer:
            given[name] = Path(answer).expanduser() if name == "files" else answer


def _report(registry: Any, dataset: str, version: str, files: Path | None) -> None:
    """Say which arrays stay native, and everything that `check` finds still to be filled."""
    import json

    from sciml_data.cli.check import check_registry
    from sciml_data.curate.inventory import propose_arrays
    from sciml_data.registry.descriptor import DESCRIPTOR_NAME
    from sciml_data.registry.manifest import read_manifest

    folder = registry.root / "datapackages" / dataset / version
    native = json.loads((folder / DESCRIPTOR_NAME).read_text(encoding="utf-8"))["sciml"]["native"]
    if files is None:
        click.echo("the manifest is empty: name the files with --files", err=True)
    if native.get("reader") == "hdf5_arrays" and files is not None:
        arrays = propose_arrays(files, read_manifest(folder / "manifest.csv"))
        _say("arrays that stay native: ", arrays.left if arrays else ())
    elif "format" in native:
        click.echo("nothing reads its files yet: they can be fetched, verified, mirrored", err=True)
    mine = (f"datapackages/{dataset}/{version}:", f"datapackages/{dataset}/README.md")
    problems: list[Problem] = [
        one for one in check_registry(registry) if one.place.startswith(mine)
    ]
    _say("", map(str, problems))
    click.echo(
        f"{len(problems)} places to fill (docs/add-a-dataset.md); `sciml-data check` names them",
        err=True,
    )


def _say(head: str, lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(f"{head}{line}", err=True)
