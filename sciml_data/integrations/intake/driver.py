"""The driver and the reader behind a registry's catalogues: Intake opens what `open_dataset` opens.

`catalog/sciml.yaml` has Intake's V1 form and names `SciMLSource`. In Intake 2.0.9 it is the only
form in which versions, errors about options, and lazy reading all work. `catalog/sciml.v2.yaml` has
the V2 form and names `SciMLReader`; it has an entry for each version, because its options cannot
differ between datasets.

No data are fetched here: an error says what to type.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intake.readers.readers import BaseReader
from intake.source.base import DataSource, Schema

from sciml_data.errors import CallError
from sciml_data.ready import open_dataset
from sciml_data.registry import find_registry

if TYPE_CHECKING:
    import xarray as xr


class SciMLSource(DataSource):  # type: ignore[misc] # Intake ships no types
    """A dataset of a registry as an Intake V1 source.

    Args:
        dataset: id in the registry.
        version: version of the dataset; None or "" is the newest.
        options: further keywords of `open_dataset` (view, split, sample, registry, home, and those
            of the view).
        metadata: metadata of the source in the catalogue.
    """

    name = "sciml"
    container = "xarray"
    version = "1"  # of the driver, which Intake requires; the dataset's version is `_version`
    partition_access = False

    def __init__(
        self,
        dataset: str,
        version: str | None = None,
        *,
        metadata: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Store the arguments; nothing is opened yet."""
        super().__init__(metadata=metadata)
        self._dataset_id = dataset
        self._version = version or None
        self._options: dict[str, Any] = {
            name: local_folder(str(value)) if name in ("registry", "home") else value
            for name, value in options.items()
            if value not in (None, "")
        }
        self._opened: xr.Dataset | None = None

    def to_dask(self) -> xr.Dataset:
        """Return the dataset lazily.

        Raises:
            CallError: no such dataset, version or option, with a list of the allowed ones; or the
                data are not on this computer, with the command that gets them.
        """
        if self._opened is None:
            _check_registry(self._dataset_id, self._options)
            self._opened = open_dataset(self._dataset_id, version=self._version, **self._options)
        return self._opened

    def read(self) -> xr.Dataset:
        """Return the dataset with its values in memory."""
        return self.to_dask().load()

    def _get_schema(self) -> Schema:
        dataset = self.to_dask()
        return Schema(
            datashape=None,
            dtype=None,
            shape=None,
            npartitions=1,
            extra_metadata={"dims": dict(dataset.sizes), "data_vars": list(dataset.data_vars)},
        )

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None


class SciMLReader(BaseReader):  # type: ignore[misc] # Intake ships no types
    """A version of a dataset as an Intake V2 reader; its keywords are those of `open_dataset`."""

    output_instance = "xarray:Dataset"
    func = "sciml_data.ready.open:open_dataset"

    def to_dask(self, **options: Any) -> xr.Dataset:
        """Return the dataset lazily, as the V1 source does."""
        opened: xr.Dataset = self.read(**options)
        return opened

    def _read(self, dataset: str, **options: Any) -> xr.Dataset:
        for name in ("registry", "home"):
            if name in options:
                options[name] = local_folder(str(options[name]))
        return open_dataset(dataset, **options)


def _check_registry(dataset: str, options: Mapping[str, Any]) -> None:
    """Raise an error if the catalogue is remote and the local registry lacks its dataset."""
    is_remote = "registry" in options and options["registry"] is None
    if is_remote and dataset not in (registry := find_registry()).datasets():
        raise CallError(
            f"the registry {registry.root} has no such dataset: {dataset}, which the catalogue has",
            untouched="nothing was read",
            hint="copy the registry of the catalogue to this computer and set SCIML_DATA_REGISTRY; "
            "`sciml-data get` needs it too",
        )


def local_folder(address: str) -> Path | None:
    """Return the folder of an address on this computer, or None for a remote address.

    None is the registry in use: a catalogue that was read over HTTP has no folder here.
    """
    local = address.removeprefix("file:")
    return None if "://" in local else Path(local)
