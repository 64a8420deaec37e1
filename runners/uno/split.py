"""Which rows are in which part of a split, and what the parts share.

A split here is a rule (`sciml_data/bench/task/shares.py`): given the rows of any dataset it gives
the parts. `by` names what is hashed: `row`, `cell`, `drug` (each of a row's drugs), `drug_pair`;
cells and drugs go by their canonical names, so one compound is never on two sides under two ids.
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

from .data import NO_SLOT, Responses, compounds, group_codes, row_words

if TYPE_CHECKING:
    from sciml_data.bench.task.split import Split

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PUBLISHED = (TRAIN, VALIDATION, TEST)  # in the order of their numbers in the ready files
MOST_PERCENT = 50  # of rows, from which on the model is told what it knows of an entity
Rows: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """The rows of each part, ascending, and how they came to be there.

    `left_out` counts rows of no part; `held_out` names the sources that were left out to test on.
    `knows_cell`, `knows_drug`: whether most rows of the validation part have a cell, or all their
    drugs, that the training part has too.
    """

    parts: Mapping[str, Rows]
    left_out: int
    held_out: tuple[str, ...]
    knows_cell: bool
    knows_drug: bool


def lay_out(split: Split, responses: Responses, held_out: list[str]) -> Layout:
    """Return the parts of a split.

    Args:
        split: stored rule.
        responses: all rows.
        held_out: sources to test on, of the split `study`; none takes the one drawn by hash.

    Raises:
        CallError: the dataset has not what the split divides by.
        DescriptorError: the rule is not known.
        SciMLDataError: a part is left without a row.
    """
    sources = _held_out(split, responses, held_out)
    numbers = _published(split, responses) if "published_part" in split.members[TRAIN] else None
    if numbers is None:
        hashed = {part: member for part, member in split.members.items() if "from" in member}
        numbers = _by_shares(read_shares(split.name, hashed), responses)
    if sources:
        numbers = _apart(numbers, responses, sources, list(split.members).index(TEST))
    parts = {part: np.flatnonzero(numbers == number) for number, part in enumerate(split.members)}
    if empty := [part for part, rows in parts.items() if not len(rows)]:
        raise SciMLDataError(
            f"split {split.name!r} leaves {' and '.join(empty)} without a row: the dataset has "
            f"{len(set(responses.cells.names))} cells and {len(set(responses.drug_table.names))} "
            "compounds",
            untouched="nothing was trained",
            hint="--split row",
        )
    knows = {kind: _knows(found, parts) for kind, found in _keys(responses).items()}
    return Layout(
        parts,
        left_out=int((numbers == NO_PART).sum()),
        held_out=sources,
        knows_cell=knows["canonical_cells"],
        knows_drug=knows["compounds"],
    )


def leakage(layout: Layout, responses: Responses) -> dict[str, Any]:
    """Return how many per cent of each part's rows have what the training part has too."""
    keys = _keys(responses)
    report: dict[str, Any] = {
        part: {
            f"{name}_shared_percent": _shared(values, rows, layout.parts[TRAIN])
            for name, values in keys.items()
        }
        for part, rows in layout.parts.items()
        if part != TRAIN
    }
    report["rows_of_no_part"] = layout.left_out
    report["meaning"] = (
        "per cent of the part's rows whose cell, drugs (all of them), pair, or cell with drugs is "
        "in a training row too; cells and compounds by canonical name, replicates whatever their "
        "dose, source and study"
    )
    return report


def describe(layout: Layout, responses: Responses) -> dict[str, Any]:
    """Return what each part holds, for the record."""
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
        for part, rows in layout.parts.items()
    }


def _by_shares(shares: Shares, responses: Responses) -> Parts:
    known = {"row": _rows, "cell": _cells, "drug": _drugs, "drug_pair": _pairs}
    if unknown := [name for name in shares.by if name not in known]:
        raise DescriptorError(
            f"a split cannot be by {unknown[0]!r}{nearest(unknown[0], known)}; "
            f"it can be by {', '.join(known)}"
        )
    return common_parts(*(known[name](shares, responses) for name in shares.by))


def _rows(shares: Shares, responses: Responses) -> Parts:
    return assign_parts(
        to_unit_interval(combine_hashes(hash_ids([shares.salt]), row_words(responses))), shares
    )


def _cells(shares: Shares, responses: Responses) -> Parts:
    of_cells = assign_parts(to_unit_interval(hash_ids(responses.cells.names, shares.salt)), shares)
    return np.asarray(of_cells[responses.cell])


def _drugs(shares: Shares, responses: Responses) -> Parts:
    """Return the part of which all of a row's drugs are."""
    of_drugs = assign_parts(
        to_unit_interval(hash_ids(responses.drug_table.names, shares.salt)), shares
    )
    first = of_drugs[responses.drugs[:, 0]]
    others = (np.where(slot == NO_SLOT, first, of_drugs[slot]) for slot in responses.drugs.T[1:])
    return common_parts(first, *others)


def _pairs(shares: Shares, responses: Responses) -> Parts:
    """Return the part of each pair of compounds, or of the compound where there is one."""
    words = hash_ids(responses.drug_table.names, shares.salt)
    both = np.append(words, np.uint64(0))[responses.drugs].sum(axis=1, dtype=np.uint64)
    count = (responses.drugs >= 0).sum(axis=1).astype(np.uint64)
    return assign_parts(to_unit_interval(combine_hashes(both, count)), shares)


def _held_out(split: Split, responses: Responses, wanted: list[str]) -> tuple[str, ...]:
    """Return the sources that a split keeps to test on; none where it keeps none."""
    salt = split.members.get(TEST, {}).get("source_salt")
    present = [responses.sources[number] for number in np.unique(responses.source)]
    if salt is None:
        if wanted:
            raise CallError(f"held_out goes with split study, not with {split.name!r}")
        return ()
    if len(present) < 2:
        raise CallError(
            f"split {split.name!r} leaves a source out, and the dataset has one: {present[0]}",
            untouched="nothing was trained",
        )
    if unknown := [name for name in wanted if name not in present]:
        raise CallError(
            f"there is no source {unknown[0]!r}{nearest(unknown[0], present)}; there are "
            f"{', '.join(present)}",
            untouched="nothing was trained",
        )
    return tuple(wanted) or (present[int(np.argmin(hash_ids(present, salt)))],)


def _apart(numbers: Parts, responses: Responses, sources: tuple[str, ...], part: int) -> Parts:
    """Return that part for the rows of these sources, and the others as they are."""
    is_held = np.isin(responses.source, [responses.sources.index(name) for name in sources])
    return np.where(is_held, part, numbers).astype(np.int8)


def _published(split: Split, responses: Responses) -> Parts:
    if responses.published is None:
        raise CallError(
            f"split {split.name!r} is that of the published file, which this dataset is not from",
            untouched="nothing was trained",
            hint="--split row is of the same kind",
        )
    order = [list(split.members).index(part) for part in PUBLISHED]
    return np.array(order, np.int8)[responses.published]


def _keys(responses: Responses) -> dict[str, npt.NDArray[np.int64]]:
    """Return numbers of what rows may share: (row,), or (row, slot) where all have to be known."""
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
    known = np.isin(values[rows], np.append(np.unique(values[train]), NO_SLOT))
    return round(100 * float(known.reshape(len(rows), -1).all(axis=1).mean()), 1)


def _knows(values: npt.NDArray[np.int64], parts: Mapping[str, Rows]) -> bool:
    return VALIDATION in parts and _shared(values, parts[VALIDATION], parts[TRAIN]) >= MOST_PERCENT
