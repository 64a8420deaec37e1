"""`sciml-data describe`: print a dataset's description."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli import completion
from sciml_data.cli.list_ import expected_bytes
from sciml_data.cli.options import registry_option, version_option
from sciml_data.cli.program import Verb
from sciml_data.progress import format_bytes

if TYPE_CHECKING:
    from sciml_data.registry import Descriptor, Manifest, RegistryPath


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data describe tevolop_socal
  sciml-data describe tevolop_socal --version live --json
""",
)
@click.argument("dataset", shell_complete=completion.datasets)
@version_option
@registry_option
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(dataset: str, version: str | None, registry: RegistryPath, *, as_json: bool) -> None:
    """Print a dataset's title, versions, size, licence, citation, variables, splits and mirrors."""
    from sciml_data import describe, versions

    descriptor = describe(dataset, version=version, registry=registry)
    facts = to_facts(descriptor, versions(dataset, registry=registry))
    click.echo(json.dumps(facts, indent=2, ensure_ascii=False) if as_json else _text(facts))


def to_facts(descriptor: Descriptor, versions: list[str]) -> dict[str, Any]:
    """Return the description of a version as values for JSON.

    Args:
        descriptor: of the version.
        versions: all versions of the dataset.
    """
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
        "manifest_digest": None if manifest is None else manifest.digest,
        "licenses": document["licenses"],
        "citation": document["sciml"]["citation"],
        "sources": document["sources"],
        "native_format": descriptor.native.get("format"),
        "variables": document["sciml"]["variables"],
        "splits": {name: list(globs) for name, globs in descriptor.splits.items()},
        "split_sizes": {
            name: {"files": len(part), "bytes": part.total_bytes}
            for name, part in _parts(descriptor).items()
        },
        "mirrors": [{"name": m.name, "prefixes": m.prefixes} for m in descriptor.mirrors],
        "access": dict(descriptor.access),
        "service": None if live is None else live.base,
        "sample": dict(descriptor.sample),
    }


def _parts(descriptor: Descriptor) -> dict[str, Manifest]:
    """Return the files of each split of a pinned version."""
    from sciml_data.registry import match_paths

    manifest = descriptor.manifest
    if manifest is None:
        return {}
    paths = list(manifest.by_path)
    return {
        name: manifest.select(match_paths(globs, paths))
        for name, globs in descriptor.splits.items()
    }


def _text(facts: dict[str, Any]) -> str:
    lines = [
        f"{facts['dataset']} {facts['version']}  (versions: {', '.join(facts['versions'])})",
        facts["title"],
        "",
        facts["description"],
        "",
        f"native files  {_size(facts)}",
        f"trust         {facts['trust']}",
    ]
    lines += [f"licence       {item['name']}: {item['title']}" for item in facts["licenses"]]
    lines += [f"cite          {text}" for text in facts["citation"]]
    lines += [f"source        {item['title']}: {item['path']}" for item in facts["sources"]]
    lines += [
        f"split         {name}: {', '.join(globs)}{_split_size(facts, name)}"
        for name, globs in facts["splits"].items()
    ]
    if facts["variables"]:
        lines += ["", "variables of the ready form", *_variables(facts["variables"])]
    else:
        lines += ["", f"no ready form yet; native files: {facts['native_format']}"]
    return "\n".join([*lines, "", *_places(facts)])


def _places(facts: dict[str, Any]) -> list[str]:
    """Return from where the files come: mirrors, steps of a person, a service."""
    lines = [
        f"mirror        {mirror['name']}: {url}"
        for mirror in facts["mirrors"]
        for url in mirror["prefixes"].values()
    ]
    lines += [f"{facts['access']['kind']:<13} {step}" for step in facts["access"].get("steps", ())]
    return lines + ([f"service       {facts['service']}"] if facts["service"] else [])


def _split_size(facts: dict[str, Any], name: str) -> str:
    size = facts["split_sizes"].get(name)
    return f" ({_count(size['files'])}, {format_bytes(size['bytes'])})" if size else ""


def _count(files: int) -> str:
    return f"{files:,} file{'' if files == 1 else 's'}"


def _size(facts: dict[str, Any]) -> str:
    if facts["files"] is None:
        if facts["service"]:
            return "requested from a service"
        expected = facts["expected_bytes"]
        return "not pinned" + (f"; about {format_bytes(expected)} expected" if expected else "")
    return f"{_count(facts['files'])}, {facts['bytes']:,} bytes ({format_bytes(facts['bytes'])})"


def _variables(variables: dict[str, Any]) -> list[str]:
    width = max(len(name) for name in variables)
    return [
        f"  {name:<{width}}  ({', '.join(facts['dims'])})  {facts['dtype']}"
        f"  {facts.get('units') or '-'}  {facts['long_name']}"
        + (f"; missing: {facts['missing']}" if facts.get("missing") else "")
        + (f"; only in {', '.join(facts['splits'])}" if facts.get("splits") else "")
        for name, facts in variables.items()
    ]
