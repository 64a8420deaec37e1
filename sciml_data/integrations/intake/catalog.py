"""Two catalogues: `intake.cat.sciml_data`, and the catalogue of ready files in a home.

Intake finds the first by the entry point `intake.catalogs`. It is the catalogue of the registry in
use, and is opened again on each access, so that `SCIML_DATA_REGISTRY` can be set after Intake was
imported.

The second is for users without sciml-data. It is made from a home, not from a registry, because
the files of a split and their order are known only after conversion. It has an entry for each
version and split, which the driver `netcdf` of intake-xarray reads. That driver ignores parameters
such as `(version=…)` (in 2.0.0), so the entries have none. Paths are relative: a home behind a web
server can be opened from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.curate.derive import catalog_metadata
from sciml_data.errors import CallError, Problem, SciMLDataError
from sciml_data.home import Home
from sciml_data.metadata import to_yaml
from sciml_data.ready import files_by_dimension, find_converted, shards_of_split
from sciml_data.registry import Descriptor, Registry, find_registry, load_descriptor

if TYPE_CHECKING:
    from sciml_data.registry import Converted

REGISTRY_CATALOG = "catalog/sciml.yaml"
READY_CATALOG = "catalog.yaml"
# Intake renders a path as a Jinja template. fsspec and xarray read wildcards and `::` in it, and
# turn a backslash into `/`. No spelling in the catalogue makes them parts of a name.
SPECIAL = re.compile(r"\{\{|\{%|\{#|\\|[*?\[]|::")
HEADER = "# Written by `sciml-data catalog` from the converted datasets here: edits are lost.\n"


def open_registry_catalog() -> Any:
    """Return the Intake catalogue (V1) of the registry in use.

    Raises:
        CallError: the registry has no catalogue.
    """
    import intake

    # Of several registries, the first one that has a catalogue.
    paths = [folder / REGISTRY_CATALOG for folder in find_registry().named.folders]
    path = next((path for path in paths if path.is_file()), paths[0])
    if not path.is_file():
        raise CallError(
            f"the registry {path.parent.parent} has no {REGISTRY_CATALOG}",
            untouched="nothing was read",
            hint="sciml-data derive --registry DIR",
        )
    return intake.open_catalog(str(path))


def __getattr__(name: str) -> Any:
    """Open the catalogue when the entry point asks for `catalog`, not when this is imported."""
    if name != "catalog":
        raise AttributeError(name)
    return open_registry_catalog()


def ready_catalog(registry: Registry, home: Home, left_out: list[Problem]) -> str | None:
    """Return the catalogue of a home as text; None if no dataset of the registry is converted.

    Samples are omitted, and so are files converted with other than the default options.

    Args:
        registry: of the descriptors.
        home: of the ready files.
        left_out: gets a problem for each converted version with an invalid descriptor or with
            ready files that cannot be used.
    """
    sources: dict[str, Any] = {}
    for dataset in registry.datasets():
        for version in registry.versions(dataset):
            folder = home.dataset(dataset, version)
            if not folder.ready.is_dir():
                continue
            try:
                descriptor = load_descriptor(registry, dataset, version)
                converted = find_converted(descriptor, folder)
                if converted is not None:
                    sources |= dict(_entries(descriptor, converted, home.root))
            except SciMLDataError as error:
                left_out.append(Problem("dataset", f"{dataset} {version}", error.first_line))
    if not sources:
        return None
    return HEADER + to_yaml(
        {"metadata": {"version": 1, "title": home.root.name}, "sources": sources}
    )


def special_in(root: Path) -> str:
    """Return the characters in a folder's path that keep Intake from opening a catalogue there."""
    return " ".join(dict.fromkeys(SPECIAL.findall(str(root))))


def _entries(
    descriptor: Descriptor, converted: Converted, root: Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and source of each split, or of each table in a split with several tables."""
    for split, names in shards_of_split(converted).items():
        rows = files_by_dimension([converted.root / name for name in names])
        for dimension, paths in rows.items():
            name = f"{descriptor.dataset}-{descriptor.version}-{split}"
            if len(rows) > 1:
                name += f"-{dimension.removesuffix('.nc')}"
            yield (
                name,
                {
                    "description": f"{descriptor.title} ({descriptor.version}, {split})",
                    "driver": "netcdf",
                    "args": _arguments(paths, dimension, root),
                    "metadata": catalog_metadata(descriptor.document, descriptor.manifest),
                },
            )


def _arguments(paths: Sequence[Path], dimension: str, root: Path) -> dict[str, Any]:
    """Return the arguments of the driver, which make xarray open the files as `open_dataset` does.

    Args:
        paths: ready files, in order.
        dimension: along which several files are concatenated.
        root: folder of the catalogue.
    """
    urls = [f"{{{{ CATALOG_DIR }}}}/{path.relative_to(root).as_posix()}" for path in paths]
    options: dict[str, Any] = {"engine": "h5netcdf"}
    if len(urls) == 1:
        return {"urlpath": urls[0], "chunks": {}, "xarray_kwargs": options}
    options |= {"data_vars": "minimal", "coords": "minimal", "compat": "override"}
    options |= {"join": "override", "combine_attrs": "override"}
    concatenation = {"combine": "nested", "concat_dim": dimension}
    return {"urlpath": urls, "chunks": {}, **concatenation, "xarray_kwargs": options}
