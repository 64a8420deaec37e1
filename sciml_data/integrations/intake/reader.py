"""The reader behind `catalog/sciml.v2.yaml`: Intake's V2 form of what `intake_driver` does for V1.

The V2 form has no options that differ from dataset to dataset; each version is an entry of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intake.readers.readers import BaseReader

from sciml_data.integrations.intake.driver import local_folder
from sciml_data.ready.open import open_dataset

if TYPE_CHECKING:
    import xarray as xr


class SciMLReader(BaseReader):  # type: ignore[misc] # Intake ships no types
    """One version of a dataset as an Intake V2 reader; keywords are those of `open_dataset`."""

    output_instance = "xarray:Dataset"
    func = "sciml_data.ready.open:open_dataset"

    def to_dask(self, **options: Any) -> xr.Dataset:
        """Return the dataset lazily, as the V1 form does."""
        opened: xr.Dataset = self.read(**options)
        return opened

    def _read(self, dataset: str, **options: Any) -> xr.Dataset:
        for name in ("registry", "home"):
            if name in options:
                options[name] = local_folder(str(options[name]))
        return open_dataset(dataset, **options)
