"""Rows of two drugs: a row and the row with its drugs in the other order are one measurement."""

from __future__ import annotations

import xarray as xr

from sciml_data.formats.drug_response.rows import NO_DRUG


def swapped(dataset: xr.Dataset) -> xr.Dataset:
    """Return the dataset with first and second drug, and their doses, exchanged in every pair.

    Rows of one drug stay as they are.

    Args:
        dataset: of the dose form.
    """
    is_pair = dataset["drug2_index"] != NO_DRUG
    exchanged = {}
    for one, other in (("drug1_index", "drug2_index"), ("dose1", "dose2")):
        first, second = dataset[one], dataset[other]
        exchanged[one] = first.where(~is_pair, second).astype(first.dtype)
        exchanged[other] = second.where(~is_pair, first).astype(second.dtype)
    return dataset.assign(exchanged)
