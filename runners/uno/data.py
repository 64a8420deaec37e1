"""Read responses and tables of a ready dataset as arrays.

Features are not joined to rows. A row has the index of a cell line, indices and doses of drugs, and
the measured response. The features of cells and drugs stay in their own tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from sciml_data.bench.task.shares import Hashes, combine_hashes, hash_ids
from sciml_data.bench.task.splits import TEST, TRAIN, VALIDATION
from sciml_data.errors import CallError, SciMLDataError
from sciml_data.formats.drug_response import NO_DRUG, text_of

if TYPE_CHECKING:
    import xarray as xr

AUC, DOSE = "auc", "dose"
TARGETS = {AUC: "auc", DOSE: "growth"}
NO_SLOT = -1  # in `drugs`: the slot is empty
PUBLISHED = (TRAIN, VALIDATION, TEST)  # in the order of their numbers in the ready files
Floats: TypeAlias = npt.NDArray[np.float32]
Codes: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Entities:
    """Cells or drugs.

    Attributes:
        ids: qualified by source.
        names: canonical names; ids of the same cell line or compound share a name.
        tables: features by name: float32 (entity, feature) with NaN where missing, or bits as
            uint8 (entity, bit).
        codes: (entity,) number of the name.
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]
    tables: Mapping[str, npt.NDArray[Any]]
    codes: Codes

    def __len__(self) -> int:
        """Return the number of entities."""
        return len(self.ids)

    def named(self, indices: npt.NDArray[np.integer[Any]]) -> pd.Categorical:
        """Return the canonical names of entities; none for a negative index."""
        codes = np.append(self.codes, NO_SLOT)[indices]
        return pd.Categorical.from_codes(codes, pd.Index(np.unique(np.array(self.names, str))))


@dataclass(frozen=True)
class Responses:
    """All measured responses, with the tables of cells and drugs.

    Attributes:
        variant: `auc` or `dose`.
        target: (row,) float32, area under the dose response curve, or growth.
        cell: (row,) int32, index of the cell.
        drugs: (row, slot) int32, indices of the drugs, `NO_SLOT` for an empty slot; one slot for
            `auc`, two for `dose`.
        doses: (row, slot) float32, -log10(mol/L), NaN for an empty slot; no slots for `auc`.
        source: (row,) index into `sources`.
        study: (row,) index into `studies`.
        published: (row,) 0 train, 1 validation, 2 test; None if the dataset has no such parts.
        cells: all cell lines.
        drug_table: all drugs.
        notes: attributes of the dataset for the record.
    """

    variant: str
    target: Floats
    cell: npt.NDArray[np.int32]
    drugs: npt.NDArray[np.int32]
    doses: Floats
    source: npt.NDArray[np.int32]
    study: npt.NDArray[np.int32]
    published: npt.NDArray[np.uint8] | None
    sources: tuple[str, ...]
    studies: tuple[str, ...]
    cells: Entities
    drug_table: Entities
    notes: Mapping[str, Any]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.target)

    @property
    def has_doses(self) -> bool:
        """Return whether rows have doses, and with them two slots for drugs."""
        return self.variant == DOSE

    @property
    def has_pairs(self) -> bool:
        """Return whether any row has a second drug."""
        return bool(self.drugs.shape[1] > 1 and (self.drugs[:, 1] >= 0).any())


def read_responses(dataset: xr.Dataset, variant: str) -> Responses:
    """Return the rows and tables of a ready dataset.

    Args:
        dataset: ready form; see `sciml_data/formats/drug_response`.
        variant: `auc` or `dose`.

    Raises:
        CallError: the dataset does not have the target of this variant.
        SciMLDataError: it has no features of cells or of drugs, or no row.
    """
    name = TARGETS[variant]
    if name not in dataset:
        raise CallError(f"the dataset has no variable {name!r}, which variant {variant!r} needs")
    target = dataset[name].to_numpy().astype(np.float32)
    cells = _entities(dataset, "cell", ("expression",))
    drug_table = _entities(dataset, "drug", ("descriptors", "fingerprints"))
    if not len(target) or not np.isfinite(target).all():
        raise SciMLDataError(
            f"{name} has no rows, or values that are not finite: {len(target)} rows"
        )
    slots = (1,) if variant == AUC else (1, 2)
    drugs = np.stack([dataset[f"drug{n}_index"].to_numpy().astype(np.int32) for n in slots], axis=1)
    doses = np.empty((len(target), 0), np.float32)
    if variant == DOSE:
        doses = np.stack([dataset[f"dose{n}"].to_numpy().astype("f4") for n in slots], axis=1)
    has_part = "published_part" in dataset
    return Responses(
        variant=variant,
        target=target,
        cell=dataset["cell_index"].to_numpy().astype(np.int32),
        drugs=np.where(drugs == NO_DRUG, NO_SLOT, drugs).astype(np.int32),
        doses=doses,
        source=dataset["source_index"].to_numpy().astype(np.int32),
        study=dataset["study_index"].to_numpy().astype(np.int32),
        published=dataset["published_part"].to_numpy() if has_part else None,
        sources=tuple(text_of(dataset["source_id"])),
        studies=tuple(text_of(dataset["study_id"])),
        cells=cells,
        drug_table=drug_table,
        notes={key: value for key, value in dataset.attrs.items() if key.startswith("rows_")},
    )


def keys_of(responses: Responses) -> pd.DataFrame:
    """Return a row for each response: its cell line, compounds, combination of them, and replicate.

    Cells and compounds have their canonical names, so a compound with two ids is in one part only.
    A combination is a compound, or a pair in any order; replicates share cell and combination,
    whatever their dose, source and study.
    """
    columns: dict[str, Any] = {"cell": responses.cells.named(responses.cell)}
    for number, slot in enumerate(responses.drugs.T, start=1):
        columns[f"drug_{number}"] = responses.drug_table.named(slot)
    combination = pd.factorize(group_codes(responses))[0]
    columns["combination"] = combination
    cells = responses.cells.codes[responses.cell]
    columns["replicate"] = cells * (combination.max() + 1) + combination
    columns["source"] = pd.Categorical.from_codes(responses.source, pd.Index(responses.sources))
    if responses.published is not None:
        columns["published_part"] = pd.Categorical.from_codes(
            responses.published, pd.Index(PUBLISHED)
        )
    columns["row"] = row_hashes(responses)
    return pd.DataFrame(columns, index=pd.RangeIndex(len(responses), name="row"))


def compounds(responses: Responses) -> Codes:
    """Return (row, slot) codes of the canonical compounds, `NO_SLOT` for an empty slot."""
    codes = np.append(responses.drug_table.codes, NO_SLOT)
    return np.asarray(codes[responses.drugs])


def group_codes(responses: Responses) -> Codes:
    """Return (row,) a number for each compound, or pair of compounds in either order."""
    slots = compounds(responses)
    low, high = slots.min(axis=1), slots.max(axis=1)
    return np.asarray((low + 1) * np.int64(len(responses.drug_table) + 1) + high)


def drug_texts(responses: Responses, row: int) -> tuple[str, str]:
    """Return the names of a row's drugs and their ids, each joined with ` + `."""
    table = responses.drug_table
    drugs = sorted(int(drug) for drug in responses.drugs[row] if drug >= 0)
    names, ids = ([texts[drug] for drug in drugs] for texts in (table.names, table.ids))
    return " + ".join(names), " + ".join(ids)


def row_hashes(responses: Responses) -> Hashes:
    """Return (row,) a hash of cell, drugs with doses in any order, source and study by id."""
    table = responses.drug_table
    drug = np.append(hash_ids(table.ids, "drug"), np.uint64(0))[responses.drugs]
    if responses.doses.shape[1]:
        doses = np.nan_to_num(responses.doses, nan=0.0).view(np.uint32).astype(np.uint64)
        drug = np.where(responses.drugs >= 0, combine_hashes(drug, doses), np.uint64(0))
    return combine_hashes(
        hash_ids(responses.cells.ids, "cell")[responses.cell],
        drug.sum(axis=1, dtype=np.uint64),
        hash_ids(responses.sources, "source")[responses.source],
        hash_ids(responses.studies, "study")[responses.study],
    )


def _entities(dataset: xr.Dataset, kind: str, features: tuple[str, ...]) -> Entities:
    tables: dict[str, npt.NDArray[Any]] = {}
    for name in features:
        if name not in dataset:
            continue
        values = dataset[name].to_numpy()
        if name == "fingerprints":
            bits = int(dataset[name].attrs["bits"])
            values = np.unpackbits(values, axis=1, count=bits, bitorder="big")
        tables[name] = values
    if not tables:
        raise SciMLDataError(
            f"the dataset has no features of {kind}s: {' or '.join(features)} is needed"
        )
    names = tuple(text_of(dataset[f"{kind}_canonical"]))
    codes = np.unique(np.array(names, str), return_inverse=True)[1]
    return Entities(tuple(text_of(dataset[f"{kind}_id"])), names, tables, codes.astype(np.int64))
