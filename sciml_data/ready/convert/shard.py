"""Make one ready file: read, check, pack, write, hash, publish."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.errors import ConversionError, Problem
from sciml_data.formats import Native, Shard, load_format
from sciml_data.home import publish
from sciml_data.registry.manifest import Entry, hash_file

if TYPE_CHECKING:
    import xarray as xr

TEMPORARY = ".{name}.{unique}.unfinished"  # beside the ready file: renamed when whole
TEMPORARY_GLOB = ".*.unfinished"


@dataclass(frozen=True)
class Task:
    """One ready file to be made; everything that its bytes depend on.

    Attributes:
        native: what the reader may see; of the paths only those of the shard.
        shard: which file of which native ones.
        options: of the reader.
        attributes: provenance, written into the file.
        root: folder of the ready files.
        inputs_bytes: size of its native files; of those that others share, its part.
    """

    native: Native
    shard: Shard
    options: Mapping[str, Any]
    attributes: Mapping[str, Any]
    root: Path
    inputs_bytes: int

    @property
    def target(self) -> Path:
        """Return where the ready file will lie."""
        return self.root / self.shard.name

    def identity(self, ancillary: Mapping[str, Any]) -> str:
        """Return a digest of all that the bytes depend on but the libraries' versions.

        Args:
            ancillary: hashes of the registry's own files that a reader may look at.
        """
        made_of = {
            "attributes": self.attributes,  # the hashes of the native files are in there
            "native": self.native.block,
            "variables": self.native.variables,
            "ancillary": ancillary,
            "split": self.shard.split,
        }
        text = json.dumps(made_of, sort_keys=True, separators=(",", ":"), default=dict)
        return hashlib.sha256(text.encode()).hexdigest()


def make_shard(task: Task) -> Entry:
    """Make one ready file and return its entry of the manifest.

    A pure function of the native files and the task but for its effect: the file is there, whole.

    Raises:
        NativeFormatError: a native file does not follow its format.
        ConversionError: this process does not see the folders.
    """
    _require_folders(task)
    dataset = load_format(task.native.block["reader"]).read(task.native, task.shard, task.options)
    dataset.attrs.update(task.attributes)
    name = TEMPORARY.format(name=task.target.name, unique=uuid.uuid4().hex)
    temporary = task.target.with_name(name)
    try:
        write_dataset(dataset, temporary)
        entry = Entry(task.shard.name, temporary.stat().st_size, hash_file(temporary))
        publish(temporary, task.target)
    finally:
        temporary.unlink(missing_ok=True)
    return entry


def write_dataset(dataset: xr.Dataset, path: Path) -> None:
    """Write a dataset as NetCDF-4, with the same bytes whenever it is written."""
    _create_without_times(path)
    dataset.to_netcdf(path, mode="a", engine="h5netcdf", format="NETCDF4")


def remove_temporaries(root: Path) -> None:
    """Remove what processes that were killed left of files they had not finished."""
    for path in root.rglob(TEMPORARY_GLOB):
        path.unlink(missing_ok=True)


def _require_folders(task: Task) -> None:
    """Say at once where a worker, on another computer perhaps, does not see what we see."""
    unseen = [path for path in (task.native.root, task.root) if not path.is_dir()]
    if unseen:
        raise ConversionError(
            "a worker does not see the folders of the data",
            problems=[
                Problem("unseen", str(path), "is no folder where it runs") for path in unseen
            ],
            hint="the home must be mounted under the same path on every computer of the cluster",
        )


def _create_without_times(path: Path) -> None:
    """Create an empty HDF5 file whose root group does not remember when it was made.

    h5netcdf makes it otherwise and has no option for it; then no two files would be the same.
    """
    import h5py

    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    creation.set_obj_track_times(False)
    in_order = h5py.h5p.CRT_ORDER_TRACKED | h5py.h5p.CRT_ORDER_INDEXED  # as netCDF-4 wants it
    creation.set_link_creation_order(in_order)
    creation.set_attr_creation_order(in_order)
    h5py.h5f.create(os.fsencode(path), h5py.h5f.ACC_TRUNC, fcpl=creation).close()
