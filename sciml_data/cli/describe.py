"""`sciml-data describe`: print a dataset's description."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli import completion
from sciml_data.cli.options import home_option, registry_option, version_option
from sciml_data.cli.program import Verb
from sciml_data.progress import counted, format_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from sciml_data.registry import Descriptor, RegistryPath

LABEL_WIDTH = 14


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data info tevolop_socal
  sciml-data info cloud_slstr_ds1
  sciml-data describe tevolop_socal --version live --json
""",
)
@click.argument("dataset", shell_complete=completion.datasets)
@version_option
@registry_option
@home_option
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(
    dataset: str,
    version: str | None,
    registry: RegistryPath,
    home: tuple[Path, ...],
    *,
    as_json: bool,
) -> None:
    """Print a dataset's sizes, licence, citation, splits, variables and mirrors.

    `~` marks a size that is expected, of an unpinned version, or estimated from its sample. The
    size of ready files is that of the default options. `in the home` are the sizes of files that
    were fetched or converted already. `info` is another name of this command.
    """
    from sciml_data import describe, versions
    from sciml_data.home import find_home
    from sciml_data.ready import stored_version

    descriptor = describe(dataset, version=version, registry=registry)
    facts = to_facts(descriptor, versions(dataset, registry=registry))
    facts["stored"] = [
        {
            "kind": part.kind,
            "folder": str(part.folder),
            "files": part.files,
            "bytes": part.size_bytes,
            "options": part.options,
        }
        for part in stored_version(find_home(home), descriptor.dataset, descriptor.version)
    ]
    click.echo(json.dumps(facts, indent=2, ensure_ascii=False) if as_json else _text(facts))


def to_facts(descriptor: Descriptor, versions: list[str]) -> dict[str, Any]:
    """Return the description of a version as values for JSON.

    Args:
        descriptor: of the version.
        versions: all versions of the dataset.
    """
    from sciml_data.registry import expected_bytes

    document, manifest = descriptor.document, descriptor.manifest
    live = descriptor.live
    return {
        "dataset": descriptor.dataset,
        "version": descriptor.version,
        "versions": versions,
        "title": descriptor.title,
        "description": descriptor.description,
        "homepage": document.get("homepage"),
        "created": document["created"],
        "trust": descriptor.trust,
        "files": None if manifest is None else len(manifest),
        "bytes": None if manifest is None else manifest.total_bytes,
        "expected_bytes": expected_bytes(descriptor.expected),
        "ready_bytes": document["sciml"].get("ready_bytes"),
        "manifest_digest": None if manifest is None else manifest.digest,
        "licenses": document["licenses"],
        "citation": document["sciml"]["citation"],
        "sources": document["sources"],
        "native_format": descriptor.native.get("format"),
        "variables": document["sciml"]["variables"],
        "splits": {name: list(globs) for name, globs in descriptor.splits.items()},
        "split_sizes": _split_sizes(descriptor),
        "mirrors": [{"name": m.name, "prefixes": m.prefixes} for m in descriptor.mirrors],
        "access": dict(descriptor.access),
        "service": None if live is None else live.base,
        "sample": dict(descriptor.sample),
    }


def _split_sizes(descriptor: Descriptor) -> dict[str, dict[str, int]]:
    """Return the number of files and bytes of each split: of the manifest, else as expected."""
    from sciml_data.registry import match_paths

    manifest = descriptor.manifest
    if manifest is None:
        return dict(_expected_sizes(descriptor))
    paths = list(manifest.by_path)
    parts = {
        name: manifest.select(match_paths(globs, paths))
        for name, globs in descriptor.splits.items()
    }
    return {name: {"files": len(part), "bytes": part.total_bytes} for name, part in parts.items()}


def _expected_sizes(descriptor: Descriptor) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield what is expected of each split that has the globs of the expected files."""
    groups = descriptor.expected.get("files", {})
    for name, globs in descriptor.splits.items():
        known = [groups[glob] for glob in globs if "count" in groups.get(glob, {})]
        if len(known) < len(globs):
            continue
        sizes = {"files": sum(group["count"] for group in known)}
        if all("bytes_each" in group for group in known):
            sizes["bytes"] = sum(group["count"] * group["bytes_each"] for group in known)
        yield name, sizes


def _text(facts: dict[str, Any]) -> str:
    versions = ", ".join(facts["versions"])
    lines = [
        f"{facts['dataset']} {facts['version']}  (versions: {versions})",
        *_wrapped(facts["title"]),
        "",
        *_wrapped(facts["description"]),
        "",
        *_labelled("native files", _size(facts)),
    ]
    for name, globs in facts["splits"].items():
        lines += _labelled("split", f"{name}: {', '.join(globs)}{_split_size(facts, name)}")
    if ready := _ready_size(facts):
        lines += _labelled("ready files", ready)
    for part in facts["stored"]:
        lines += _labelled("in the home", _stored(part))
    lines += _labelled("trust", facts["trust"])
    for item in facts["licenses"]:
        lines += _labelled("licence", f"{item['name']}: {item['title']}")
    for text in facts["citation"]:
        lines += _labelled("cite", text)
    for item in facts["sources"]:
        lines += _labelled("source", f"{item['title']}: {item['path']}")
    if facts["variables"]:
        lines += ["", "variables of the ready form", *_variables(facts["variables"])]
    else:
        lines += ["", f"no ready form yet; native files: {facts['native_format']}"]
    return "\n".join([*lines, "", *_places(facts)])


def _places(facts: dict[str, Any]) -> list[str]:
    """Return the lines about the places of the files: mirrors, steps of a person, a service."""
    lines: list[str] = []
    for mirror in facts["mirrors"]:
        for url in mirror["prefixes"].values():
            lines += _labelled("mirror", f"{mirror['name']}: {url}")
    for step in facts["access"].get("steps", ()):
        lines += _labelled(facts["access"]["kind"], step)
    return lines + (_labelled("service", facts["service"]) if facts["service"] else [])


def _labelled(label: str, text: str) -> list[str]:
    """Return a label and its text; on a terminal, the text is wrapped beside the label."""
    return _wrapped(text, first=f"{label:<{LABEL_WIDTH}}", rest=" " * LABEL_WIDTH)


def _wrapped(text: str, *, first: str = "", rest: str = "") -> list[str]:
    """Return a text as lines that fit the terminal; in a pipe, as a single line."""
    if not sys.stdout.isatty():
        return [f"{first}{text}".rstrip()]
    return textwrap.wrap(
        text,
        width=max(shutil.get_terminal_size().columns, 2 * LABEL_WIDTH),
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,  # a URL that is broken cannot be clicked
        break_on_hyphens=False,
    ) or [first.rstrip()]


def _split_size(facts: dict[str, Any], name: str) -> str:
    size = facts["split_sizes"].get(name)
    if size is None:
        return ""
    mark = "~" if facts["bytes"] is None else ""
    total = f", {mark}{format_bytes(size['bytes'])}" if "bytes" in size else ""
    return f" ({_count(size['files'])}{total})"


def _stored(part: dict[str, Any]) -> str:
    size = format_bytes(part["bytes"])
    if part["kind"] != "ready":
        return f"{part['kind']}, {_count(part['files'])}, {size}"
    if part["options"] is None:
        return f"ready, {size} (not complete)"
    words = [f"{name}={value}" for name, value in part["options"].items()]
    return f"ready, {size} ({', '.join(words) or 'default options'})"


def _count(files: int) -> str:
    return counted(files, "file")


def _size(facts: dict[str, Any]) -> str:
    if facts["files"] is not None:
        return f"{_count(facts['files'])}, {format_bytes(facts['bytes'])}"
    if facts["service"]:
        return "requested from a service"
    expected = facts["expected_bytes"]
    return f"~{format_bytes(expected)} (not pinned)" if expected else "not pinned; size unknown"


def _ready_size(facts: dict[str, Any]) -> str:
    size = facts["ready_bytes"]
    if size is None:
        return ""
    is_measured = facts["bytes"] is not None
    return format_bytes(size) if is_measured else f"~{format_bytes(size)} (estimated from a sample)"


def _variables(variables: dict[str, Any]) -> list[str]:
    width = max(len(name) for name in variables)
    lines: list[str] = []
    for name, facts in variables.items():
        text = (
            f"({', '.join(facts['dims'])})  {facts['dtype']}"
            f"  {facts.get('units') or '-'}  {facts['long_name']}"
            + (f"; missing: {facts['missing']}" if facts.get("missing") else "")
            + (f"; only in {', '.join(facts['splits'])}" if facts.get("splits") else "")
        )
        lines += _wrapped(text, first=f"  {name:<{width}}  ", rest=" " * 6)
    return lines
