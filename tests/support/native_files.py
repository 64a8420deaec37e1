"""Native files on disk as a format gets them, and ready datasets as they are read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import xarray as xr

from sciml_data.formats import Format, Native
from sciml_data.ready import write_netcdf
from sciml_data.registry import Descriptor


def files_in(root: Path) -> tuple[str, ...]:
    """Return the paths of all files under a folder, relative to it, sorted."""
    files = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return tuple(sorted(files))


def native_of(root: Path, descriptor: Descriptor | None = None, **changed: Any) -> Native:
    """Return a folder as native files.

    Args:
        root: folder of the files.
        descriptor: of their dataset; without one the block is empty and all files are one split.
        changed: fields of `Native` that differ.
    """
    fields: dict[str, Any] = {"folder": root, "block": {}}
    if descriptor is not None:
        document = descriptor.document["sciml"]
        fields = {
            "folder": descriptor.folder,
            "block": descriptor.native,
            "variables": document["variables"],
            "splits": document["splits"],
        }
    return Native(root=root, paths=files_in(root), **fields | changed)


def read_only_shard(native_format: Format, native: Native, **options: Any) -> xr.Dataset:
    """Return the content of the one ready file that native files make."""
    (shard,) = native_format.shards(native, options)
    return native_format.read(native, shard, options)


def reopened(dataset: xr.Dataset, path: Path) -> xr.Dataset:
    """Return a dataset after it was written as a ready file and opened again."""
    write_netcdf(dataset, path)
    with xr.open_dataset(path, engine="h5netcdf") as opened:
        return opened.load()


def dropped(dataset: xr.Dataset) -> dict[str, int]:
    """Return how many samples were left out, by reason."""
    counts: dict[str, int] = json.loads(dataset.attrs["samples_dropped"])
    return counts


def link_real_files(descriptor: Descriptor, mirror: Path, root: Path) -> Native:
    """Return the real files of a dataset, linked from a copy of its first mirror.

    Args:
        descriptor: of a pinned version.
        mirror: folder with a file for each URL of the mirror, under host and path.
        root: empty folder for the links.
    """
    if descriptor.manifest is None:
        raise ValueError(descriptor.dataset)
    prefixes = descriptor.mirrors[0].prefixes
    for entry in descriptor.manifest:
        prefix = descriptor.mirrors[0].prefix_of(entry.path) or ""
        place = prefixes[prefix].removeprefix("https://") + entry.path[len(prefix) :]
        target = root / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(mirror / place)
    return native_of(root, descriptor)
