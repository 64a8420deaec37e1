"""The driver behind `catalog/sciml.yaml`, so that Intake opens what `open_dataset` opens.

The form is Intake's V1 `sources:`: in Intake 2.0.9 it is the only one in which versions, bad
options and lazy reading all work. Data are not fetched here; an error says what to type.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intake.source.base import DataSource, Schema

from sciml_data.errors import CallError
from sciml_data.ready.open import open_dataset
from sciml_data.registry.layout import find_registry

if TYPE_CHECKING:
    import xarray as xr


class SciMLSource(DataSource):  # type: ignore[misc] # Intake ships no types
    """One dataset of a registry as an Intake source.

    Args:
        dataset: id in the registry.
        version: version of the dataset; None or "" is the newest.
        options: further keywords of `open_dataset` (view, split, sample, registry, home, and the
            view's own).
        metadata: what the catalogue says of the source.
    """

    name = "sciml"
    container = "xarray"
    version = "1"  # of the driver, as Intake wants it; the dataset's is in `_version`
    partition_access = False

    def __init__(
        self,
        dataset: str,
        version: str | None = None,
        *,
        metadata: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Keep what is asked for; nothing is opened yet."""
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
            CallError: no such dataset, version or option, and all that are allowed are named; or
                the data are not here, and what to type is said.
        """
        if self._opened is None:
            _refuse_other_registry(self._dataset_id, self._options)
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


def _refuse_other_registry(dataset: str, options: Mapping[str, Any]) -> None:
    """Say so where a catalogue was read from afar, and the registry here lacks its dataset."""
    is_afar = "registry" in options and options["registry"] is None
    if is_afar and dataset not in (registry := find_registry()).datasets():
        raise CallError(
            f"the catalogue names {dataset}, and the registry {registry.root} has no such dataset",
            untouched="nothing was read",
            hint="get a copy of the registry that the catalogue is of, and set SCIML_DATA_REGISTRY "
            "to it; `sciml-data get` needs it, too",
        )


def local_folder(address: str) -> Path | None:
    """Return a folder on this computer; None, the built-in one, for a catalogue read from afar."""
    local = address.removeprefix("file:")
    return None if "://" in local else Path(local)
