"""An Intake catalogue of ready files for users who have not installed sciml-data.

Which files a split has, and how they follow one another, is known once they are made: so this
catalogue follows from a home, not from the registry. It has an entry for each version and split,
read by the driver `netcdf` of intake-xarray; that driver takes no notice of parameters such as
`(version=…)` (2.0.0), so there are none. Its paths are relative: a home that is served by a web
server is opened from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.curate.derive import metadata_of
from sciml_data.home import Home
from sciml_data.metadata.yaml_text import to_yaml
from sciml_data.ready.convert import find_converted, shards_of_split
from sciml_data.ready.open import rows_of
from sciml_data.registry.descriptor import Descriptor, load_descriptor
from sciml_data.registry.layout import Registry

if TYPE_CHECKING:
    from sciml_data.registry.stages import Converted

NAME = "catalog.yaml"
HEADER = "# Written by `sciml-data catalog` of what is converted here: edits are lost.\n"


def plain_catalog(registry: Registry, home: Home) -> str | None:
    """Return the catalogue's text; None where nothing of the registry is converted in the home.

    Samples, and files made with other than the reader's default options, are left out.
    """
    sources: dict[str, Any] = {}
    for dataset in registry.datasets():
        for version in registry.versions(dataset):
            folder = home.dataset(dataset, version)
            if not folder.ready.is_dir():
                continue
            descriptor = load_descriptor(registry, dataset, version)
            converted = find_converted(descriptor, folder)
            if converted is not None:
                sources |= dict(_entries(descriptor, converted, home.root))
    if not sources:
        return None
    return HEADER + to_yaml(
        {"metadata": {"version": 1, "title": home.root.name}, "sources": sources}
    )


def _entries(
    descriptor: Descriptor, converted: Converted, root: Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and source of each split; of each table where a split has several."""
    for split, names in shards_of_split(converted).items():
        rows = rows_of([converted.root / name for name in names])
        for along, paths in rows.items():
            name = f"{descriptor.dataset}-{descriptor.version}-{split}"
            if len(rows) > 1:
                name += f"-{along.removesuffix('.nc')}"
            yield (
                name,
                {
                    "description": f"{descriptor.title} ({descriptor.version}, {split})",
                    "driver": "netcdf",
                    "args": _arguments(paths, along, root),
                    "metadata": metadata_of(descriptor.document, descriptor.manifest),
                },
            )


def _arguments(paths: Sequence[Path], along: str, root: Path) -> dict[str, Any]:
    """Return what intake-xarray hands to xarray, as `open_dataset` would."""
    urls = [f"{{{{ CATALOG_DIR }}}}/{path.relative_to(root).as_posix()}" for path in paths]
    options: dict[str, Any] = {"engine": "h5netcdf"}
    if len(urls) == 1:
        return {"urlpath": urls[0], "chunks": {}, "xarray_kwargs": options}
    options |= {"data_vars": "minimal", "coords": "minimal", "compat": "override"}
    options |= {"join": "override", "combine_attrs": "override"}
    more = {"combine": "nested", "concat_dim": along}
    return {"urlpath": urls, "chunks": {}, **more, "xarray_kwargs": options}
