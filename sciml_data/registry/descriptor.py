"""Read a `datapackage.json` into a frozen `Descriptor`, or say everything that is wrong with it.

The document is a Frictionless Data Package v2 descriptor whose `sciml` block is held against
our own profile (`profile.py`); what a schema cannot say (the folder's name, the
manifest, mirrors and splits that cover no file) is checked here.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sciml_data.errors import DescriptorError, Problem
from sciml_data.registry.layout import LIVE, Registry
from sciml_data.registry.manifest import Manifest, hash_file, read_manifest
from sciml_data.registry.profile import profile_problems

DESCRIPTOR_NAME = "datapackage.json"
MANIFEST_NAME = "manifest.csv"


@dataclass(frozen=True)
class Mirror:
    """One place that holds the files: `prefixes` maps the start of a path to that of a URL.

    The longest prefix that fits wins; two mirrors may so hold one dataset under other folder names.
    `s3` is the URI of the dataset's folder in a bucket, where the files lie in one.
    """

    name: str
    prefixes: Mapping[str, str]
    s3: str | None = None

    def prefix_of(self, path: str) -> str | None:
        """Return the prefix by which a manifest path is found here, or None if there is none."""
        return max((one for one in self.prefixes if path.startswith(one)), key=len, default=None)

    def url(self, path: str) -> str | None:
        """Return the URL of a manifest path here, or None where this mirror does not hold it."""
        prefix = self.prefix_of(path)
        return None if prefix is None else self.prefixes[prefix] + quote(path[len(prefix) :])


@dataclass(frozen=True)
class Variable:
    """One variable of the ready form, as declared; `splits` are those that have it, () all.

    One that is `is_optional` need not be there: some native files have it, others do not.
    """

    dims: tuple[str, ...]
    dtype: str
    units: str | None
    long_name: str
    standard_name: str | None = None
    missing: str | None = None
    splits: tuple[str, ...] = ()
    is_optional: bool = False


@dataclass(frozen=True)
class LiveService:
    """A service that is asked instead of a folder of files."""

    protocol: str
    base: str
    parameters: Mapping[str, str]
    earliest: str


@dataclass(frozen=True)
class Descriptor:
    """What the registry says of one version of one dataset; `document` is the whole JSON."""

    dataset: str
    version: str
    title: str
    description: str
    folder: Path
    trust: str
    native: Mapping[str, Any]
    mirrors: tuple[Mirror, ...]
    splits: Mapping[str, tuple[str, ...]]
    variables: Mapping[str, Variable]
    sample: Mapping[str, Any]
    live: LiveService | None
    manifest: Manifest | None
    expected: Mapping[str, Any]
    document: Mapping[str, Any] = field(repr=False)

    @property
    def access(self) -> Mapping[str, Any]:
        """Return `kind` and `steps` of coming by the files, empty where mirrors give them."""
        access: Mapping[str, Any] = self.document["sciml"].get("access", {})
        return access

    @property
    def is_pinned(self) -> bool:
        """Return whether every file's hash stands in the registry."""
        return self.trust == "pinned"


def load_descriptor(registry: Registry, dataset: str, version: str | None = None) -> Descriptor:
    """Return the descriptor of one version; None means the newest published one.

    Raises:
        CallError: no such dataset or version.
        DescriptorError: `.problems` has everything that is wrong, each with its place.
    """
    return read_descriptor(registry.package(dataset, version or registry.latest(dataset)))


def read_descriptor(folder: Path) -> Descriptor:
    """Return the descriptor in a folder; see `load_descriptor`."""
    problems = check_descriptor(folder)
    name = f"{folder.parent.name}/{folder.name}/{DESCRIPTOR_NAME}"
    if problems:
        raise DescriptorError(
            f"{name} has {len(problems)} problem{'s' if len(problems) > 1 else ''}",
            problems=problems,
            untouched="nothing was fetched or changed",
            hint="sciml-data check, after each mend",
        )
    document = _document(folder, [])
    manifest_path = folder / MANIFEST_NAME
    return descriptor_of(
        document, folder, read_manifest(manifest_path) if manifest_path.is_file() else None
    )


def check_descriptor(folder: Path) -> list[Problem]:
    """Return every problem of a version's folder, each with its place; an empty list is good."""
    problems: list[Problem] = []
    document = _document(folder, problems)
    if problems:
        return problems
    problems += profile_problems(document)
    problems += _native_problems(document["sciml"]) if not problems else []
    problems += _name_problems(document, folder)
    problems += _resource_problems(document, folder)
    manifest = _manifest(folder, problems)
    if problems:
        return problems
    return _coverage_problems(descriptor_of(document, folder, manifest), manifest)


def match_paths(patterns: Iterable[str], paths: Iterable[str]) -> list[str]:
    """Return the paths that at least one glob fits; `*` does not stop at `/`, `**` is the same."""
    patterns = [pattern.replace("**", "*") for pattern in patterns]
    return [
        path for path in paths if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)
    ]


def _document(folder: Path, problems: list[Problem]) -> dict[str, Any]:
    path = folder / DESCRIPTOR_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        problems.append(Problem("missing", DESCRIPTOR_NAME, "the folder has no descriptor"))
    except json.JSONDecodeError as error:
        place = f"{DESCRIPTOR_NAME}:{error.lineno}:{error.colno}"
        problems.append(Problem("syntax", place, f"no JSON: {error.msg}"))
    except UnicodeDecodeError as error:
        problems.append(Problem("syntax", DESCRIPTOR_NAME, f"not UTF-8: {error.reason}"))
    else:
        if isinstance(document, dict):
            return document
        problems.append(Problem("syntax", DESCRIPTOR_NAME, "an object is expected at the top"))
    return {}


def _name_problems(document: Mapping[str, Any], folder: Path) -> list[Problem]:
    problems = []
    for key, expected in (("name", folder.parent.name), ("version", folder.name)):
        if document.get(key) != expected:
            problems.append(
                Problem(
                    "name",
                    f"$.{key}",
                    f"the folder says {expected!r}, the descriptor {document.get(key)!r}",
                )
            )
    return problems


def _resource_problems(document: Mapping[str, Any], folder: Path) -> list[Problem]:
    problems = []
    resources = document.get("resources")
    for number, resource in enumerate(resources if isinstance(resources, list) else []):
        place = f"$.resources[{number}]"
        relative = resource.get("path") if isinstance(resource, dict) else None
        if not isinstance(relative, str) or relative.startswith(("http:", "https:")):
            continue
        path = folder / relative
        if not path.is_file():
            problems.append(Problem("missing", place, f"{relative} is not in the folder"))
            continue
        found = {"bytes": path.stat().st_size, "hash": hash_file(path)}
        problems += [
            Problem("resource", f"{place}.{key}", f"{relative} has {value}; see `derive`")
            for key, value in found.items()
            if resource.get(key) != value
        ]
    return problems


def _native_problems(block: Mapping[str, Any]) -> list[Problem]:
    """Return where the native block and the rest promise different things."""
    native, declared = block["native"], block["variables"]
    given = {
        "variables": declared,
        "sample": "sample" in block,
        "native.reader": "reader" in native,
    }
    problems = [
        Problem(
            "native", f"$.sciml.{key}", "is given, and native.format says that nothing reads it"
        )
        for key, is_there in given.items()
        if is_there and "format" in native
    ]
    problems += [
        Problem("native", f"$.sciml.native.padded.{dim}", f"{counter} is not declared")
        for dim, counter in native.get("padded", {}).items()
        if counter not in declared
    ]
    for split, arrays in native.get("arrays", {}).items():
        common = set(arrays) & set(declared)
        firsts = sorted({dim for name in common for dim in declared[name]["dims"][:1]})
        differing = set(arrays) ^ (set(declared) - set(firsts))
        message = f"declared without an array, or the reverse: {', '.join(sorted(differing))}"
        if len(firsts) > 1:
            message = f"the variables differ in their first dimension: {', '.join(firsts)}"
        if differing or len(firsts) > 1:
            problems.append(Problem("native", f"$.sciml.native.arrays.{split}", message))
    return problems + [
        Problem("split", f"$.sciml.variables.{name}", f"there is no split {split!r}")
        for name, one in declared.items()
        for split in one.get("splits", ())
        if split not in block["splits"]
    ]


def _manifest(folder: Path, problems: list[Problem]) -> Manifest | None:
    path = folder / MANIFEST_NAME
    if not path.is_file():
        return None
    try:
        return read_manifest(path)
    except DescriptorError as error:
        problems.extend(error.problems)
        return None


def descriptor_of(
    document: Mapping[str, Any], folder: Path, manifest: Manifest | None
) -> Descriptor:
    """Return a document that `check_descriptor` found sound as a descriptor."""
    block = document["sciml"]
    live = block.get("live")
    return Descriptor(
        dataset=document["name"],
        version=document["version"],
        title=document["title"],
        description=document["description"],
        folder=folder,
        trust=block["trust"],
        native=block["native"],
        mirrors=tuple(Mirror(**one) for one in block.get("mirrors", ())),
        splits={name: tuple(globs) for name, globs in block["splits"].items()},
        variables={name: _variable(one) for name, one in block["variables"].items()},
        sample=block.get("sample", {}),
        live=LiveService(**live) if live else None,
        manifest=manifest,
        expected=block.get("expected", {}),
        document=document,
    )


def _variable(block: Mapping[str, Any]) -> Variable:
    return Variable(
        dims=tuple(block["dims"]),
        dtype=block["dtype"],
        units=block.get("units"),
        long_name=block["long_name"],
        standard_name=block.get("standard_name"),
        missing=block.get("missing"),
        splits=tuple(block.get("splits", ())),
        is_optional=block.get("optional", False),
    )


def _coverage_problems(descriptor: Descriptor, manifest: Manifest | None) -> list[Problem]:
    if descriptor.trust == LIVE:
        return [] if descriptor.live else [Problem("live", "$.sciml.live", "no service is named")]
    if manifest is None:
        if descriptor.trust == "unpinned":
            return []
        return [Problem("missing", MANIFEST_NAME, "the dataset is pinned but has no manifest")]
    paths = [entry.path for entry in manifest]
    return [*_uncovered_by_mirrors(descriptor, paths), *_empty_splits(descriptor, paths)]


def _uncovered_by_mirrors(descriptor: Descriptor, paths: Sequence[str]) -> list[Problem]:
    return [
        Problem("mirror", f"$.sciml.mirrors[{number}]", f"{mirror.name} has no prefix for {path}")
        for number, mirror in enumerate(descriptor.mirrors)
        for path in paths
        if mirror.url(path) is None
    ]


def _empty_splits(descriptor: Descriptor, paths: Sequence[str]) -> list[Problem]:
    return [
        Problem("split", f"$.sciml.splits.{name}", f"{glob!r} fits no file of the manifest")
        for name, globs in descriptor.splits.items()
        for glob in globs
        if not match_paths([glob], paths)
    ]
