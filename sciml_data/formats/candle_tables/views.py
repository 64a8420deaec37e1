"""The reference's choice of drugs, made when read: off unless it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr

LOWEST_MEDIAN, HIGHEST_MEDIAN = -1.0, 1.0  # median growth of a drug
HIGHEST_LEAST, LOWEST_MOST = 1.0, -1.0  # its least and its most growth


def responding_drugs(dataset: xr.Dataset) -> xr.Dataset:
    """Return the responses whose first drug the reference would keep.

    Of each drug and cell line least, most and median growth are taken and averaged over the cell
    lines. Kept are drugs with least <= 1, most >= -1 and -1 <= median <= 1: that drops compounds
    that do nothing, chosen by the very response that is to be forecast. Scores on what is left are
    not those of all drugs. The reference looks at rows without features too, so its choice differs
    a little.
    """
    import numpy as np
    import pandas as pd

    drug = dataset["drug1_index"].to_numpy()
    frame = pd.DataFrame({"drug": drug, "cell": dataset["cell_index"], "growth": dataset["growth"]})
    grouped = frame.groupby(["drug", "cell"], sort=False)["growth"]
    of_pairs = grouped.agg(["min", "max", "median"])
    of_drugs = of_pairs.groupby(level="drug").mean()
    kept = of_drugs.index[
        (of_drugs["min"] <= HIGHEST_LEAST)
        & (of_drugs["max"] >= LOWEST_MOST)
        & of_drugs["median"].between(LOWEST_MEDIAN, HIGHEST_MEDIAN)
    ]
    chosen = dataset.isel(response=np.flatnonzero(np.isin(drug, kept)))
    chosen.attrs["rows_dropped_by_view"] = int(dataset.sizes["response"] - chosen.sizes["response"])
    chosen.attrs["view"] = "responding_drugs: drugs chosen by their own response, which biases"
    return chosen
