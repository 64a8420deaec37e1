"""Divide the rows into training, validation and test, and report what the parts share.

A stored split is a rule (`sciml_data/bench/task/shares.py`) that applies to the rows of any
dataset. `by` names what is hashed: `row`, `cell`, `drug` (each drug of a row) or `drug_pair`. Cells
and drugs are hashed by their canonical names, so a compound with two ids is in one part only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.bench.task.shares import (
    NO_PART,
    Parts,
    Shares,
    assign_parts,
    combine_hashes,
    common_parts,
    hash_ids,
    read_shares,
    to_unit_interval,
)
from sciml_data.errors import CallError, DescriptorError, SciMLDataError, nearest

from .data import NO_SLOT, Responses, compounds, group_codes, row_hashes

if TYPE_CHECKING:
    from sciml_data.bench.task.split import Split

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PUBLISHED = (TRAIN, VALIDATION, TEST)  # in the order of their numbers in the ready files
# The model may use an entity's own effect if at least this percentage of validation rows share
# their entity with the training part.
MIN_SHARED_PERCENT = 50
Rows: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SplitParts:
    """The rows of each part of a split.

    Attributes:
        parts: row numbers of each part, ascending.
        left_out: number of rows that are in no part.
        held_out: sources that are the test part of the split `study`.
        knows_cell: whether most validation rows have a cell that is in the training part.
        knows_drug: whether most validation rows have only drugs that are in the training part.
    """

    parts: Mapping[str, Rows]
    left_out: int
    held_out: tuple[str, ...]
    knows_cell: bool
    knows_drug: bool


def make_split(split: Split, responses: Responses, held_out: list[str]) -> SplitParts:
    """Return the rows of each part.

    Args:
        split: stored rule.
        responses: all rows.
        held_out: sources to test on, of the split `study`; if empty, one is drawn by hash.

    Raises:
        CallError: the dataset lacks what the split divides by.
        DescriptorError: the split's rule is unknown.
        SciMLDataError: a part has no row.
    """
    sources = _held_out(split, responses, held_out)
    numbers = _published(split, responses) if "published_part" in split.members[TRAIN] else None
    if numbers is None:
        hashed = {part: member for part, member in split.members.items() if "from" in member}
        numbers = _by_shares(read_shares(split.name, hashed), responses)
    if sources:
        numbers = _assign_sources(numbers, responses, sources, list(split.members).index(TEST))
    parts = {part: np.flatnonzero(numbers == number) for number, part in enumerate(split.members)}
    if empty := [part for part, rows in parts.items() if not len(rows)]:
        raise SciMLDataError(
            f"split {split.name!r} leaves {' and '.join(empty)} without a row: the dataset has "
            f"{len(set(responses.cells.names))} cells and {len(set(responses.drug_table.names))} "
            "compounds",
            untouched="nothing was trained",
            hint="--split row",
        )
    knows = {kind: _is_known(values, parts) for kind, values in _keys(responses).items()}
    return SplitParts(
        parts,
        left_out=int((numbers == NO_PART).sum()),
        held_out=sources,
        knows_cell=knows["canonical_cells"],
        knows_drug=knows["compounds"],
    )


def leakage(split: SplitParts, responses: Responses) -> dict[str, Any]:
    """Return for each part the percentage of rows that share entities with the training part."""
    keys = _keys(responses)
    report: dict[str, Any] = {
        part: {
            f"{name}_shared_percent": _shared(values, rows, split.parts[TRAIN])
            for name, values in keys.items()
        }
        for part, rows in split.parts.items()
        if part != TRAIN
    }
    report["rows_of_no_part"] = split.left_out
    report["meaning"] = (
        "per cent of the part's rows whose cell, drugs (all of them), pair, or cell with drugs is "
        "in a training row too; cells and compounds by canonical name, replicates whatever their "
        "dose, source and study"
    )
    return report


def describe_split(split: SplitParts, responses: Responses) -> dict[str, Any]:
    """Return rows, entities and sources of each part, for the record."""
    keys = _keys(responses)
    return {
        part: {"rows": len(rows)}
        | {name: len(np.unique(keys[name][rows])) for name in ("canonical_cells", "drug_groups")}
        | {
            "sources": {
                source: int(count)
                for source, count in zip(
                    responses.sources,
                    np.bincount(responses.source[rows], minlength=len(responses.sources)),
                    strict=True,
                )
                if count
            }
        }
        for part, rows in split.parts.items()
    }


def _by_shares(shares: Shares, responses: Responses) -> Parts:
    known = {"row": _rows, "cell": _cells, "drug": _drugs, "drug_pair": _pairs}
    if unknown := [name for name in shares.by if name not in known]:
        raise DescriptorError(
            f"the stored split is by {unknown[0]!r}{nearest(unknown[0], known)}; "
            f"one of {', '.join(known)} is expected"
        )
    return common_parts(*(known[name](shares, responses) for name in shares.by))


def _rows(shares: Shares, responses: Responses) -> Parts:
    return assign_parts(
        to_unit_interval(combine_hashes(hash_ids([shares.salt]), row_hashes(responses))), shares
    )


def _cells(shares: Shares, responses: Responses) -> Parts:
    of_cells = assign_parts(to_unit_interval(hash_ids(responses.cells.names, shares.salt)), shares)
    return np.asarray(of_cells[responses.cell])


def _drugs(shares: Shares, responses: Responses) -> Parts:
    """Return the part that all drugs of a row belong to."""
    of_drugs = assign_parts(
        to_unit_interval(hash_ids(responses.drug_table.names, shares.salt)), shares
    )
    first = of_drugs[responses.drugs[:, 0]]
    others = (np.where(slot == NO_SLOT, first, of_drugs[slot]) for slot in responses.drugs.T[1:])
    return common_parts(first, *others)


def _pairs(shares: Shares, responses: Responses) -> Parts:
    """Return the part of each pair of compounds, or of the single compound."""
    hashes = hash_ids(responses.drug_table.names, shares.salt)
    both = np.append(hashes, np.uint64(0))[responses.drugs].sum(axis=1, dtype=np.uint64)
    count = (responses.drugs >= 0).sum(axis=1).astype(np.uint64)
    return assign_parts(to_unit_interval(combine_hashes(both, count)), shares)


def _held_out(split: Split, responses: Responses, wanted: list[str]) -> tuple[str, ...]:
    """Return the sources that are the test part; empty if the split is not by source."""
    salt = split.members.get(TEST, {}).get("source_salt")
    present = [responses.sources[number] for number in np.unique(responses.source)]
    if salt is None:
        if wanted:
            raise CallError(
                f"held_out is a setting of split study, and the split is {split.name!r}",
                untouched="nothing was trained",
            )
        return ()
    if len(present) < 2:
        raise CallError(
            f"split {split.name!r} holds out a source, and the dataset has only one: {present[0]}",
            untouched="nothing was trained",
        )
    if unknown := [name for name in wanted if name not in present]:
        raise CallError(
            f"the dataset has no source {unknown[0]!r}{nearest(unknown[0], present)}; it has "
            f"{', '.join(present)}",
            untouched="nothing was trained",
        )
    return tuple(wanted) or (present[int(np.argmin(hash_ids(present, salt)))],)


def _assign_sources(
    numbers: Parts, responses: Responses, sources: tuple[str, ...], part: int
) -> Parts:
    """Return part numbers (row,) with the rows of these sources in `part`."""
    is_held_out = np.isin(responses.source, [responses.sources.index(name) for name in sources])
    return np.where(is_held_out, part, numbers).astype(np.int8)


def _published(split: Split, responses: Responses) -> Parts:
    if responses.published is None:
        raise CallError(
            f"split {split.name!r} is stored in the published file; this dataset is not from it",
            untouched="nothing was trained",
            hint="--split row is a random split of rows too",
        )
    order = [list(split.members).index(part) for part in PUBLISHED]
    return np.array(order, np.int8)[responses.published]


def _keys(responses: Responses) -> dict[str, npt.NDArray[np.int64]]:
    """Return codes of everything that rows may share, by name: (row,) or (row, slot).

    A row shares (row, slot) codes with the training part if all of its slots do.
    """
    cells = responses.cells.codes[responses.cell]
    groups = np.unique(group_codes(responses), return_inverse=True)[1].astype(np.int64)
    return {
        "cells": responses.cell.astype(np.int64),
        "canonical_cells": cells,
        "drugs": responses.drugs.astype(np.int64),
        "compounds": compounds(responses),
        "drug_groups": groups,
        "replicates": cells * (groups.max() + 1) + groups,
    }


def _shared(values: npt.NDArray[np.int64], rows: Rows, train: Rows) -> float:
    """Return the percentage of rows whose codes are all in the training part."""
    known = np.isin(values[rows], np.append(np.unique(values[train]), NO_SLOT))
    return round(100 * float(known.reshape(len(rows), -1).all(axis=1).mean()), 1)


def _is_known(values: npt.NDArray[np.int64], parts: Mapping[str, Rows]) -> bool:
    return (
        VALIDATION in parts
        and _shared(values, parts[VALIDATION], parts[TRAIN]) >= MIN_SHARED_PERCENT
    )
