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

AUC, DOSE, CROSS_STUDY = "auc", "dose", "cross-study"
TARGETS = {AUC: "auc", DOSE: "growth", CROSS_STUDY: "auc"}
NO_SLOT = -1  # in `drugs`: the slot is empty
PUBLISHED = pd.Index([TRAIN, VALIDATION, TEST])  # in the order of their numbers in the ready files
Floats: TypeAlias = npt.NDArray[np.float32]
Codes: TypeAlias = npt.NDArray[np.int64]
# Variables with a name for people: those of the dataset at hand are tried in this order.
LABELS = {"cell": ("cell_name",), "drug": ("compound", "drug_name")}


@dataclass(frozen=True)
class Entities:
    """Cells or drugs.

    Attributes:
        ids: qualified by source.
        names: (entity,) canonical; ids of the same cell line or compound share a name.
        tables: features by name: float32 (entity, feature), NaN where missing, or bits as uint8.
        labels: (entity,) names for people, such as "Panobinostat"; the canonical name where the
            dataset has no other.
    """

    ids: tuple[str, ...]
    names: pd.Categorical[Any]
    tables: Mapping[str, npt.NDArray[Any]]
    labels: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of entities."""
        return len(self.ids)

    def codes(self, indices: npt.NDArray[np.integer[Any]]) -> Codes:
        """Return the numbers of the names of entities; `NO_SLOT` stays."""
        return np.asarray(np.append(self.names.codes, NO_SLOT)[indices], np.int64)

    def named(self, indices: npt.NDArray[np.integer[Any]]) -> pd.Categorical[Any]:
        """Return the canonical names of entities; none for `NO_SLOT`."""
        return pd.Categorical.from_codes(self.codes(indices), dtype=self.names.dtype)


@dataclass(frozen=True)
class Responses:
    """All measured responses, with the tables of cells and drugs.

    Attributes:
        variant: `auc`, `dose` or `cross-study`, which is `auc` of two studies.
        target: (row,) float32, area under the dose response curve, or growth.
        cell: (row,) int32, index of the cell.
        drugs: (row, slot) int32, indices of the drugs, `NO_SLOT` for an empty slot; two slots for
            `dose`, else one.
        doses: (row, slot) float32, -log10(mol/L), NaN for an empty slot; no slots but for `dose`.
        source: (row,) who measured.
        study: (row,) study of the source.
        published: (row,) part of the published split; None if the dataset has no such parts.
        cells: all cell lines.
        drug_table: all drugs.
        notes: attributes of the dataset for the record.
    """

    variant: str
    target: Floats
    cell: npt.NDArray[np.int32]
    drugs: npt.NDArray[np.int32]
    doses: Floats
    source: pd.Categorical[Any]
    study: pd.Categorical[Any]
    published: pd.Categorical[Any] | None
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
        return self.has_doses and bool((self.drugs[:, 1] >= 0).any())

    @property
    def entities(self) -> Mapping[str, tuple[Entities, npt.NDArray[np.int32]]]:
        """Return by kind the table, and the indices of the rows' entities in it."""
        return {"cell": (self.cells, self.cell), "drug": (self.drug_table, self.drugs)}


def read_responses(dataset: xr.Dataset, variant: str) -> Responses:
    """Return the rows and tables of a ready dataset; see `sciml_data/formats/drug_response`.

    Raises:
        CallError: the dataset does not have the target of this variant.
        SciMLDataError: it has no features of cells or of drugs, or no row.
    """
    name = TARGETS[variant]
    if name not in dataset:
        raise CallError(f"the dataset has no variable {name!r}, which variant {variant!r} needs")
    target = dataset[name].to_numpy().astype(np.float32)
    if not len(target) or not np.isfinite(target).all():
        raise SciMLDataError(
            f"{name} has no rows, or values that are not finite: {len(target)} rows"
        )
    slots = (1, 2) if variant == DOSE else (1,)
    drugs = np.stack([dataset[f"drug{n}_index"].to_numpy() for n in slots], axis=1).astype("i4")
    doses = np.empty((len(target), 0), np.float32)
    if variant == DOSE:
        doses = np.stack([dataset[f"dose{n}"].to_numpy() for n in slots], axis=1).astype("f4")
    parts = dataset["published_part"].to_numpy() if "published_part" in dataset else None
    return Responses(
        variant,
        target,
        dataset["cell_index"].to_numpy().astype(np.int32),
        np.where(drugs == NO_DRUG, np.int32(NO_SLOT), drugs),
        doses,
        _labels(dataset, "source"),
        _labels(dataset, "study"),
        None if parts is None else pd.Categorical.from_codes(parts, PUBLISHED),
        _entities(dataset, "cell", ("expression",)),
        _entities(dataset, "drug", ("descriptors", "fingerprints")),
        {key: value for key, value in dataset.attrs.items() if key.startswith("rows_")},
    )


def feature_names(dataset: xr.Dataset) -> dict[str, list[str]]:
    """Return the names of genes and descriptors."""
    return {name: text_of(dataset[name]) for name in ("gene", "descriptor") if name in dataset}


def _labels(dataset: xr.Dataset, name: str) -> pd.Categorical[Any]:
    codes = dataset[f"{name}_index"].to_numpy().astype(np.int32)
    return pd.Categorical.from_codes(codes, pd.Index(text_of(dataset[f"{name}_id"])))


def _entities(dataset: xr.Dataset, kind: str, features: tuple[str, ...]) -> Entities:
    tables = {name: dataset[name].to_numpy() for name in features if name in dataset}
    if not tables:
        raise SciMLDataError(
            f"the dataset has no features of {kind}s: {' or '.join(features)} is needed"
        )
    if "fingerprints" in tables:
        count = int(dataset["fingerprints"].attrs["bits"])
        tables["fingerprints"] = np.unpackbits(tables["fingerprints"], axis=1, count=count)
    canonical = text_of(dataset[f"{kind}_canonical"])
    known = [text_of(dataset[name]) for name in LABELS[kind] if name in dataset]
    labels = tuple(next(filter(None, names)) for names in zip(*known, canonical, strict=True))
    ids = tuple(text_of(dataset[f"{kind}_id"]))
    return Entities(ids, pd.Categorical(canonical), tables, labels)


def keys_of(responses: Responses) -> pd.DataFrame:
    """Return a row for each response: its cell line, compounds, combination of them, and replicate.

    Cells and compounds have their canonical names, so a compound with two ids is in one part only.
    A combination is a compound, or a pair in any order; replicates share cell and combination,
    regardless of their dose, source and study.
    """
    columns: dict[str, Any] = {"cell": responses.cells.named(responses.cell)}
    for number, slot in enumerate(responses.drugs.T, start=1):
        columns[f"drug_{number}"] = responses.drug_table.named(slot)
    combination = pd.factorize(group_codes(responses))[0]
    columns["combination"] = combination
    cells = responses.cells.codes(responses.cell)
    columns["replicate"] = cells * (combination.max() + 1) + combination
    columns["source"] = responses.source
    if responses.published is not None:
        columns["published_part"] = responses.published
    columns["row"] = row_hashes(responses)
    return pd.DataFrame(columns, index=pd.RangeIndex(len(responses), name="row"))


def group_codes(responses: Responses) -> Codes:
    """Return (row,) a number for each compound, or pair of compounds in either order."""
    slots = responses.drug_table.codes(responses.drugs)
    low, high = slots.min(axis=1), slots.max(axis=1)
    return np.asarray((low + 1) * np.int64(len(responses.drug_table) + 1) + high)


def row_hashes(responses: Responses) -> Hashes:
    """Return (row,) a hash of cell, drugs with doses in any order, source and study by id."""
    drug = np.append(hash_ids(responses.drug_table.ids, "drug"), np.uint64(0))[responses.drugs]
    if responses.has_doses:
        doses = np.nan_to_num(responses.doses, nan=0.0).view(np.uint32).astype(np.uint64)
        drug = np.where(responses.drugs >= 0, combine_hashes(drug, doses), np.uint64(0))
    labels = {"source": responses.source, "study": responses.study}
    return combine_hashes(
        hash_ids(responses.cells.ids, "cell")[responses.cell],
        drug.sum(axis=1, dtype=np.uint64),
        *(hash_ids(list(ids.categories), name)[ids.codes] for name, ids in labels.items()),
    )
