"""Write the files that follow from the registry, so that no fact is typed twice.

datapackages/<id>/<version>/datapackage.json  `bytes` and `hash` of the files beside it, and native
                                              CSV files as resources
checksums/<id>-<version>.sha256               for `sha256sum -c` in the folder of the native files
catalog/sciml.yaml                            Intake catalogue, V1 form, with our own driver
catalog/sciml.v2.yaml                         the same in Intake's V2 form
docs/datasets/index.md, README.md             the tables of datasets and of FAIR metrics, each
                                              between its two markers; in pages that have them
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml_data.curate.history import published_hashes
from sciml_data.curate.native_resources import with_native_resources
from sciml_data.errors import DescriptorError, Problem
from sciml_data.formats import find_format, load_format, views_of
from sciml_data.home import write_atomically
from sciml_data.metadata.yaml_text import to_yaml
from sciml_data.progress import counted, format_bytes
from sciml_data.registry.descriptor import (
    DESCRIPTOR_NAME,
    Examined,
    descriptor_of,
    examine_descriptor,
)
from sciml_data.registry.expected import expected_bytes
from sciml_data.registry.layout import LIVE, Registry
from sciml_data.registry.manifest import Manifest, hash_file

BEGIN, END = "<!-- datasets:begin -->", "<!-- datasets:end -->"
FAIR_BEGIN, FAIR_END = "<!-- fair:begin -->", "<!-- fair:end -->"
HEADER = "# Derived from the registry by `sciml-data derive`: edits are lost.\n"
DRIVER = "sciml_data.integrations.intake.driver.SciMLSource"
READER = "sciml_data.integrations.intake.driver:SciMLReader"
DERIVED_FOLDERS = ("checksums", "catalog")
PAGES = ("README.md", "docs/datasets/index.md")  # pages that may have the tables


@dataclass(frozen=True)
class Version:
    """A version as the registry has it: its folder, raw descriptor and manifest."""

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


def derived_files(registry: Registry, left_out: list[Problem] | None = None) -> dict[Path, str]:
    """Return the whole text of every derived file by its path; nothing is written.

    Args:
        registry: of the descriptors.
        left_out: gets a problem for each version that is not valid, and the files are derived
            from the others. None raises the error of the first such version.

    Raises:
        CallError: a page has a table of FAIR metrics, and the extra `fair` is not installed.
        DescriptorError: a descriptor is not valid, apart from the sizes and hashes derived here,
            and `left_out` is None.
    """
    datasets = {name: _versions(registry, name, left_out) for name in registry.datasets()}
    datasets = {name: versions for name, versions in datasets.items() if versions}
    all_versions = [version for versions in datasets.values() for version in versions]
    files = {version.folder / DESCRIPTOR_NAME: _refreshed(version) for version in all_versions}
    catalogs = registry.root / "catalog"
    files[catalogs / "sciml.yaml"] = HEADER + to_yaml(_catalog_v1(datasets))
    files[catalogs / "sciml.v2.yaml"] = HEADER + to_yaml(_catalog_v2(datasets))
    for version in all_versions:
        if checksums := _checksums(version):
            name = f"{version.name}-{version.version}.sha256"
            files[registry.root / "checksums" / name] = checksums
    for name in PAGES:
        page = registry.root / name
        if page.is_file() and BEGIN in (text := _utf8(page)):
            files[page] = _with_tables(text, all_versions, up="../" * name.count("/"))
    return files


def _utf8(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DescriptorError(
            f"{path.name} of the registry is not UTF-8: {error.reason} at byte {error.start}",
            untouched="nothing was written",
        ) from error


def drift(registry: Registry, left_out: list[Problem] | None = None) -> list[Problem]:
    """Return every derived file that is missing, out of date, or no longer derived.

    See `derived_files` for the arguments.
    """
    files = derived_files(registry, left_out)
    problems = []
    for path, text in sorted(files.items()):
        place = path.relative_to(registry.root).as_posix()
        if not path.is_file():
            problems.append(Problem("missing", place, "does not exist"))
        elif (current := path.read_text(encoding="utf-8", errors="replace")) != text:
            line = _first_difference(current, text)
            problems.append(
                Problem("stale", f"{place}:{line}", "does not follow from the registry")
            )
    for path in _left_over(registry, files, left_out or ()):
        place = path.relative_to(registry.root).as_posix()
        problems.append(Problem("left over", place, "follows from nothing in the registry"))
    return problems


def write_derived(registry: Registry, left_out: list[Problem] | None = None) -> list[Path]:
    """Write every derived file that differs, remove left-over files; return the changed paths.

    See `derived_files` for the arguments.
    """
    files = derived_files(registry, left_out)
    changed = []
    for path, text in sorted(files.items()):
        if not path.is_file() or path.read_bytes() != text.encode():
            write_atomically(path, text)
            changed.append(path)
    for path in _left_over(registry, files, left_out or ()):
        path.unlink()
        changed.append(path)
    return changed


def _versions(registry: Registry, dataset: str, left_out: list[Problem] | None) -> list[Version]:
    versions = []
    for name in registry.versions(dataset):
        examined = examine_descriptor(registry.package(dataset, name))
        # Sizes and hashes of resources may be out of date here: they are derived below.
        rewritten = _rewritten(examined)
        if examined.descriptor is not None and not rewritten:
            versions.append(
                Version(examined.descriptor.folder, examined.document, examined.descriptor.manifest)
            )
            continue
        error = DescriptorError(
            f"{dataset}/{name}/{DESCRIPTOR_NAME} is not valid",
            problems=rewritten or [item for item in examined.problems if item.kind != "resource"],
            untouched="nothing was written",
            hint="sciml-data check" + (" --since HEAD" if rewritten else ""),
        )
        if left_out is None:
            raise error
        left_out.append(Problem("dataset", f"{dataset} {name}", error.first_line))
    return versions


def _rewritten(examined: Examined) -> list[Problem]:
    """Return a problem for each published file that was changed; its hash is not derived again.

    A version is published if the newest commit has it as pinned.
    """
    descriptor = examined.descriptor
    if descriptor is None or not examined.problems:  # nearly always: nothing is out of date
        return []
    folder = descriptor.folder
    return [
        Problem("published", path, "was changed after it was committed: a fix is a new version")
        for path, digest in published_hashes(folder).items()
        if (folder / path).is_file() and hash_file(folder / path) != digest
    ]


def _refreshed(version: Version) -> str:
    """Return the descriptor's text, unchanged unless a size or hash in it is out of date."""
    text = (version.folder / DESCRIPTOR_NAME).read_text(encoding="utf-8")
    document = copy.deepcopy(dict(version.document))
    for resource in document["resources"]:
        path = version.folder / resource["path"]
        if path.is_file():
            resource["bytes"] = path.stat().st_size
            resource["hash"] = hash_file(path)
    document["resources"] = with_native_resources(document, version.manifest)
    if document == version.document:
        return text
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _checksums(version: Version) -> str:
    """Return the lines that `sha256sum -c` reads; entries with other hashes are left out."""
    entries = version.manifest or ()
    return "".join(
        f"{entry.hash.removeprefix('sha256:')}  {entry.path}\n"
        for entry in entries
        if entry.hash.startswith("sha256:")
    )


def _catalog_v1(datasets: Mapping[str, Sequence[Version]]) -> dict[str, Any]:
    """Return an Intake V1 catalogue: a source for each dataset, with its version as a parameter.

    A version without a ready form cannot be opened, and is in neither catalogue.
    """
    sources = {}
    for name, versions in _openable(datasets).items():
        newest = _newest(versions)
        parameters = {
            "version": _choice("version of the dataset", [item.version for item in versions]),
            "view": _choice("another form, made when read", ["", *_views(versions)]),
            "split": _choice("one part of the files", ["", *_splits(versions)]),
        }
        parameters["version"]["default"] = newest.version
        sources[name] = {
            "description": newest.document["title"],
            "driver": DRIVER,
            "parameters": parameters,
            "args": {"dataset": name, "registry": "{{ CATALOG_DIR }}/.."}
            | {parameter: f"{{{{ {parameter} }}}}" for parameter in parameters},
            "metadata": catalog_metadata(newest.document, newest.manifest),
        }
    return {"metadata": {"version": 1, "title": "sciml-data"}, "sources": sources}


def _catalog_v2(datasets: Mapping[str, Sequence[Version]]) -> dict[str, Any]:
    """Return an Intake V2 catalogue: an entry for each version, an alias for the newest."""
    openable = _openable(datasets)
    entries = {
        f"{name}-{version.version}": {
            "reader": READER,
            "kwargs": {
                "dataset": name,
                "version": version.version,
                "registry": "{CATALOG_DIR}/..",
            },
            "output_instance": "xarray:Dataset",
            "metadata": {"title": version.document["title"]}
            | catalog_metadata(version.document, version.manifest),
            "user_parameters": {},
        }
        for name, versions in openable.items()
        for version in versions
    }
    return {
        "version": 2,
        "metadata": {"title": "sciml-data"},
        "aliases": {
            name: f"{name}-{_newest(versions).version}" for name, versions in openable.items()
        },
        "user_parameters": {},
        "data": {},
        "entries": entries,
    }


def catalog_metadata(document: Mapping[str, Any], manifest: Manifest | None) -> dict[str, Any]:
    """Return the metadata of a version in a catalogue."""
    return {
        "homepage": document.get("homepage", ""),
        "license": [licence["name"] for licence in document["licenses"]],
        "citation": document["sciml"]["citation"],
        "keywords": document["keywords"],
        "manifest": manifest.digest if manifest else "",
    }


def _openable(datasets: Mapping[str, Sequence[Version]]) -> dict[str, list[Version]]:
    """Return the versions that have a reader, of the datasets that have such a version."""
    openable = {
        name: [version for version in versions if "reader" in version.document["sciml"]["native"]]
        for name, versions in datasets.items()
    }
    return {name: versions for name, versions in openable.items() if versions}


def _choice(description: str, allowed: Sequence[str]) -> dict[str, Any]:
    return {
        "description": description,
        "type": "str",
        "default": allowed[0],
        "allowed": list(allowed),
    }


def _newest(versions: Sequence[Version]) -> Version:
    """Return the newest version; a live version only if there is no other."""
    fixed = [version for version in versions if version.version != LIVE]
    return (fixed or list(versions))[-1]


def _views(versions: Sequence[Version]) -> list[str]:
    """Return the views of built-in formats: the code of a registry does not run here."""
    folders = {
        version.document["sciml"]["native"]["reader"]: version.folder for version in versions
    }
    built_in = [name for name in folders if find_format(name, folders[name]) is None]
    return sorted({view for name in built_in for view in views_of(load_format(name))})


def _splits(versions: Sequence[Version]) -> list[str]:
    """Return the splits of the ready form: those of `native.arrays`, else those of the files."""
    names: set[str] = set()
    for version in versions:
        block = version.document["sciml"]
        names |= set(block["native"].get("arrays", block["splits"]))
    return sorted(names)


def _with_tables(text: str, versions: Sequence[Version], up: str) -> str:
    """Return the text of a page with its tables; `up` leads from its folder to the registry."""
    rows = []
    for version in versions:
        licences = ", ".join(licence["name"] for licence in version.document["licenses"])
        rows.append(
            f"| [{version.name}]({up}datapackages/{version.name}/README.md) | {version.version} "
            f"| {_size(version)} | {licences} | {version.document['title']} |"
        )
    head = ["| dataset | version | native files | licence | what |", "|---|---|---|---|---|"]
    text = _replace_between(text, (BEGIN, END), [*head, *rows])
    if FAIR_BEGIN not in text:
        return text
    from sciml_data.metadata.fair import assess, markdown_table

    descriptors = [descriptor_of(item.document, item.folder, item.manifest) for item in versions]
    table = markdown_table([assess(descriptor) for descriptor in descriptors])
    return _replace_between(text, (FAIR_BEGIN, FAIR_END), table)


def _replace_between(text: str, markers: tuple[str, str], lines: Sequence[str]) -> str:
    begin, end = markers
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return "\n".join([f"{before}{begin}", *lines, f"{end}{after}"])


def _size(version: Version) -> str:
    block = version.document["sciml"]
    if version.manifest is not None:
        count = counted(len(version.manifest), "file")
        return f"{count}, {format_bytes(version.manifest.total_bytes)}"
    if block["trust"] == LIVE:
        return "live service"
    expected = expected_bytes(block.get("expected", {}))
    return "not pinned" if expected is None else f"about {format_bytes(expected)}, not pinned"


def _left_over(
    registry: Registry, files: Mapping[Path, str], left_out: Sequence[Problem]
) -> list[Path]:
    # The checksums of a version stay as they are while its descriptor is not valid.
    kept = {f"{problem.place.replace(' ', '-')}.sha256" for problem in left_out}
    existing = [
        path
        for folder in DERIVED_FOLDERS
        for path in sorted((registry.root / folder).glob("*"))
        if path.suffix in (".sha256", ".yaml")
    ]
    return [path for path in existing if path not in files and path.name not in kept]


def _first_difference(old: str, new: str) -> int:
    """Return the number of the first line that differs."""
    pairs = zip(old.splitlines(), new.splitlines(), strict=False)
    number = 1
    for old_line, new_line in pairs:
        if old_line != new_line:
            break
        number += 1
    return number
