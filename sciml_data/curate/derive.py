"""Write what follows from the registry, so that no fact is typed twice.

datapackages/<id>/<version>/datapackage.json  `bytes` and `hash` of the files beside it
checksums/<id>-<version>.sha256               for `sha256sum -c` in the folder of the native files
catalog/sciml.yaml                            Intake catalogue, V1 form, with our own driver
catalog/sciml.v2.yaml                         the same in Intake's V2 form
README.md                                     the tables of datasets and of FAIR metrics, each
                                              between its two markers
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml_data.errors import DescriptorError, Problem
from sciml_data.formats import load_format, views_of
from sciml_data.home import write_atomically
from sciml_data.metadata.yaml_text import to_yaml
from sciml_data.registry.descriptor import (
    DESCRIPTOR_NAME,
    MANIFEST_NAME,
    check_descriptor,
    descriptor_of,
)
from sciml_data.registry.layout import LIVE, Registry
from sciml_data.registry.manifest import Manifest, hash_file, read_manifest

BEGIN, END = "<!-- datasets:begin -->", "<!-- datasets:end -->"
FAIR_BEGIN, FAIR_END = "<!-- fair:begin -->", "<!-- fair:end -->"
HEADER = "# Derived from the registry by `sciml-data derive`: edits are lost.\n"
DRIVER = "sciml_data.integrations.intake.driver.SciMLSource"
READER = "sciml_data.integrations.intake.driver:SciMLReader"
DERIVED_FOLDERS = ("checksums", "catalog")


@dataclass(frozen=True)
class Version:
    """One version as the registry has it: its folder, raw descriptor and manifest."""

    folder: Path
    document: Mapping[str, Any]
    manifest: Manifest | None

    @property
    def name(self) -> str:
        """Return the dataset's id."""
        return str(self.document["name"])

    @property
    def version(self) -> str:
        """Return the version."""
        return str(self.document["version"])


def derive(registry: Registry) -> dict[Path, str]:
    """Return the whole text of every derived file by its path; nothing is written.

    Raises:
        CallError: the README asks for FAIR metrics, and the extra `fair` is not installed.
        DescriptorError: a descriptor is not sound, apart from the sizes and hashes derived here.
    """
    found = {name: _versions(registry, name) for name in registry.datasets()}
    found = {name: versions for name, versions in found.items() if versions}
    every = [version for versions in found.values() for version in versions]
    files = {version.folder / DESCRIPTOR_NAME: _refreshed(version) for version in every}
    catalogs = registry.root / "catalog"
    files[catalogs / "sciml.yaml"] = HEADER + to_yaml(_catalog_v1(found))
    files[catalogs / "sciml.v2.yaml"] = HEADER + to_yaml(_catalog_v2(found))
    for version in every:
        if checksums := _checksums(version):
            name = f"{version.name}-{version.version}.sha256"
            files[registry.root / "checksums" / name] = checksums
    readme = registry.root / "README.md"
    if readme.is_file() and BEGIN in readme.read_text(encoding="utf-8"):
        files[readme] = _readme(readme.read_text(encoding="utf-8"), found)
    return files


def drift(registry: Registry) -> list[Problem]:
    """Return every derived file that is missing, stale, or follows from nothing any more."""
    files = derive(registry)
    problems = []
    for path, text in sorted(files.items()):
        place = path.relative_to(registry.root).as_posix()
        if not path.is_file():
            problems.append(Problem("missing", place, "is not there"))
        elif path.read_text(encoding="utf-8") != text:
            line = _first_difference(path.read_text(encoding="utf-8"), text)
            problems.append(
                Problem("stale", f"{place}:{line}", "does not follow from the registry")
            )
    for path in _left_over(registry, files):
        place = path.relative_to(registry.root).as_posix()
        problems.append(Problem("left over", place, "follows from nothing in the registry"))
    return problems


def write_derived(registry: Registry) -> list[Path]:
    """Write every derived file that differs, remove what is left over; return what changed."""
    files = derive(registry)
    changed = []
    for path, text in sorted(files.items()):
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text)
            changed.append(path)
    for path in _left_over(registry, files):
        path.unlink()
        changed.append(path)
    return changed


def _versions(registry: Registry, dataset: str) -> list[Version]:
    found = []
    for version in registry.versions(dataset):
        folder = registry.package(dataset, version)
        problems = [one for one in check_descriptor(folder) if one.kind != "resource"]
        if problems:
            raise DescriptorError(
                f"{dataset}/{version}/{DESCRIPTOR_NAME} is not sound",
                problems=problems,
                untouched="nothing was written",
                hint="sciml-data check",
            )
        document = json.loads((folder / DESCRIPTOR_NAME).read_text(encoding="utf-8"))
        manifest = folder / MANIFEST_NAME
        found.append(
            Version(folder, document, read_manifest(manifest) if manifest.is_file() else None)
        )
    return found


def _refreshed(version: Version) -> str:
    """Return the descriptor's text; as it stands unless a size or hash in it is stale."""
    text = (version.folder / DESCRIPTOR_NAME).read_text(encoding="utf-8")
    document = json.loads(text)
    for resource in document["resources"]:
        path = version.folder / resource["path"]
        if path.is_file():
            resource["bytes"] = path.stat().st_size
            resource["hash"] = hash_file(path)
    if document == version.document:
        return text
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _checksums(version: Version) -> str:
    """Return the lines that `sha256sum -c` reads; entries with other hashes cannot stand there."""
    entries = version.manifest or ()
    return "".join(
        f"{entry.hash.removeprefix('sha256:')}  {entry.path}\n"
        for entry in entries
        if entry.hash.startswith("sha256:")
    )


def _catalog_v1(found: Mapping[str, Sequence[Version]]) -> dict[str, Any]:
    """Return an Intake V1 catalogue: one source a dataset, its version and view as parameters.

    A version without a ready form cannot be opened, and stands in neither catalogue.
    """
    sources = {}
    for name, versions in _openable(found).items():
        parameters = {
            "version": _choice("version of the dataset", [one.version for one in versions]),
            "view": _choice("another form, made when read", ["", *_views(versions)]),
            "split": _choice("one part of the files", ["", *_splits(versions)]),
        }
        parameters["version"]["default"] = _latest(versions).version
        sources[name] = {
            "description": _latest(versions).document["title"],
            "driver": DRIVER,
            "parameters": parameters,
            "args": {"dataset": name, "registry": "{{ CATALOG_DIR }}/.."}
            | {parameter: f"{{{{ {parameter} }}}}" for parameter in parameters},
            "metadata": metadata_of(_latest(versions).document, _latest(versions).manifest),
        }
    return {"metadata": {"version": 1, "title": "sciml-data"}, "sources": sources}


def _catalog_v2(found: Mapping[str, Sequence[Version]]) -> dict[str, Any]:
    """Return an Intake V2 catalogue: one entry a version, the dataset's name for the newest."""
    found = _openable(found)
    entries = {
        f"{name}-{one.version}": {
            "reader": READER,
            "kwargs": {"dataset": name, "version": one.version, "registry": "{CATALOG_DIR}/.."},
            "output_instance": "xarray:Dataset",
            "metadata": {"title": one.document["title"]} | metadata_of(one.document, one.manifest),
            "user_parameters": {},
        }
        for name, versions in found.items()
        for one in versions
    }
    aliases = {name: f"{name}-{_latest(versions).version}" for name, versions in found.items()}
    return {
        "version": 2,
        "metadata": {"title": "sciml-data"},
        "aliases": aliases,
        "user_parameters": {},
        "data": {},
        "entries": entries,
    }


def _openable(found: Mapping[str, Sequence[Version]]) -> dict[str, list[Version]]:
    """Return the versions that have a reader, of the datasets that have such a version."""
    with_reader = {
        name: [one for one in versions if "reader" in one.document["sciml"]["native"]]
        for name, versions in found.items()
    }
    return {name: versions for name, versions in with_reader.items() if versions}


def metadata_of(document: Mapping[str, Any], manifest: Manifest | None) -> dict[str, Any]:
    """Return what catalogues say of a version."""
    return {
        "homepage": document.get("homepage", ""),
        "license": [one["name"] for one in document["licenses"]],
        "citation": document["sciml"]["citation"],
        "keywords": document["keywords"],
        "manifest": manifest.digest if manifest else "",
    }


def _choice(description: str, allowed: Sequence[str]) -> dict[str, Any]:
    return {
        "description": description,
        "type": "str",
        "default": allowed[0],
        "allowed": list(allowed),
    }


def _latest(versions: Sequence[Version]) -> Version:
    return ([one for one in versions if one.version != LIVE] or list(versions))[-1]


def _views(versions: Sequence[Version]) -> list[str]:
    readers = {one.document["sciml"]["native"]["reader"] for one in versions}
    return sorted({view for reader in readers for view in views_of(load_format(reader))})


def _splits(versions: Sequence[Version]) -> list[str]:
    """Return the splits of the ready form: `native.arrays` has them where it is, else the files."""
    blocks = [one.document["sciml"] for one in versions]
    return sorted({s for one in blocks for s in one["native"].get("arrays", one["splits"])})


def _readme(text: str, found: Mapping[str, Sequence[Version]]) -> str:
    every = [one for versions in found.values() for one in versions]
    rows = [
        f"| [{one.name}](datapackages/{one.name}/README.md) | {one.version} | {_size(one)} "
        f"| {', '.join(licence['name'] for licence in one.document['licenses'])} "
        f"| {one.document['title']} |"
        for one in every
    ]
    head = ["| dataset | version | native files | licence | what |", "|---|---|---|---|---|"]
    text = _between(text, (BEGIN, END), [*head, *rows])
    if FAIR_BEGIN not in text:
        return text
    from sciml_data.metadata.fair import assess, markdown_table

    descriptors = (descriptor_of(one.document, one.folder, one.manifest) for one in every)
    table = markdown_table([assess(one) for one in descriptors])
    return _between(text, (FAIR_BEGIN, FAIR_END), table)


def _between(text: str, markers: tuple[str, str], lines: Sequence[str]) -> str:
    begin, end = markers
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return "\n".join([f"{before}{begin}", *lines, f"{end}{after}"])


def _size(version: Version) -> str:
    if version.manifest is None:
        return "asked of a service" if version.document["sciml"]["trust"] == LIVE else "not pinned"
    return f"{len(version.manifest)} files, {version.manifest.total_bytes / 1e6:,.1f} MB"


def _left_over(registry: Registry, files: Mapping[Path, str]) -> list[Path]:
    there = [
        path
        for folder in DERIVED_FOLDERS
        for path in sorted((registry.root / folder).glob("*"))
        if path.suffix in (".sha256", ".yaml")
    ]
    return [path for path in there if path not in files]


def _first_difference(old: str, new: str) -> int:
    """Return the number of the first line that differs."""
    pairs = zip(old.splitlines(), new.splitlines(), strict=False)
    same = 0
    for one, other in pairs:
        if one != other:
            break
        same += 1
    return same + 1
