"""Splits of Uno: what is held out is on one side, under all its names."""

from __future__ import annotations

import importlib
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml_data.bench.interface import load_runner
from sciml_data.bench.task.split import Split, load_split, split_names
from sciml_data.errors import CallError, DescriptorError, SciMLDataError
from sciml_data.registry.layout import find_registry
from tests.support.uno_samples import ready

RUNNER = find_registry().runner("uno")


def module(name: str) -> ModuleType:
    load_runner(find_registry(), "uno")
    return importlib.import_module(f"sciml_runner_uno.{name}")


def responses(variant: str = "auc", dataset: xr.Dataset | None = None, **size: int) -> Any:
    given = ready(variant, cells=120, drugs=60, rows=3000, **size) if dataset is None else dataset
    return module("data").read_responses(given, variant)


def lay_out(name: str, rows: Any, held_out: tuple[str, ...] = ()) -> Any:
    return module("split").lay_out(load_split(RUNNER, name), rows, list(held_out))


def shared(name: str, rows: Any) -> Any:
    return module("split").leakage(lay_out(name, rows), rows)


@pytest.fixture(scope="module")
def auc() -> Any:
    return responses()


@pytest.fixture(scope="module")
def dose() -> Any:
    return responses("dose")


def test_the_splits_are_those_of_the_issue() -> None:
    assert split_names(RUNNER) == [
        "cell", "cell+drug", "drug", "drug_pair", "published", "row", "study",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["row", "cell", "drug", "cell+drug", "drug_pair", "study"])
@pytest.mark.parametrize("variant", ["auc", "dose"])
def test_each_row_is_in_one_part_or_counted_as_in_none(
    auc: Any, dose: Any, name: str, variant: str
) -> None:
    rows = {"auc": auc, "dose": dose}[variant]
    layout = lay_out(name, rows)
    found = np.concatenate(list(layout.parts.values()))

    assert len(found) == len(np.unique(found))
    assert len(found) + layout.left_out == len(rows)
    assert list(layout.parts) == ["train", "validation", "test"]


@pytest.mark.parametrize(
    ("name", "none", "all_of"),
    [
        ("cell", ("cells", "canonical_cells", "replicates"), ("compounds",)),
        ("drug", ("drugs", "compounds", "drug_groups", "replicates"), ("canonical_cells",)),
        ("cell+drug", ("cells", "canonical_cells", "drugs", "compounds", "replicates"), ()),
        ("drug_pair", ("drug_groups", "replicates"), ()),
        ("row", (), ("cells", "canonical_cells", "compounds")),
    ],
)
def test_what_is_held_out_is_on_one_side(
    dose: Any, name: str, none: tuple[str, ...], all_of: tuple[str, ...]
) -> None:
    report = shared(name, dose)["test"]

    assert [report[f"{key}_shared_percent"] for key in none] == [0.0] * len(none)
    assert all(report[f"{key}_shared_percent"] > 95 for key in all_of)


def test_a_row_of_two_drugs_from_different_sides_is_in_no_part(dose: Any) -> None:
    layout = lay_out("drug", dose)
    single = dose.drugs[:, 1] < 0
    inside = np.concatenate(list(layout.parts.values()))
    outside = np.setdiff1d(np.arange(len(dose)), inside)

    assert layout.left_out == len(outside) > 0
    assert not single[outside].any()


def test_replicates_stay_together_under_row_and_others_do_not(auc: Any) -> None:
    words = module("data").row_words(auc)
    keys = np.stack([auc.cell, auc.drugs[:, 0], auc.source], axis=1)
    unique = len(np.unique(keys, axis=0))

    assert len(np.unique(words)) == unique
    assert shared("row", auc)["test"]["replicates_shared_percent"] > 0  # of the other source


def test_a_row_keeps_its_part_when_the_dataset_is_put_in_another_order() -> None:
    dataset = ready("dose", cells=60, drugs=20)
    order = np.random.default_rng(0).permutation(dataset.sizes["response"])
    first, other = responses("dose", dataset), responses("dose", dataset.isel(response=order))

    for name in ("row", "drug_pair", "cell+drug"):
        one, two = (lay_out(name, rows).parts["test"] for rows in (first, other))
        assert sorted(one.tolist()) == sorted(order[two].tolist())


def test_a_pair_is_in_one_part_whichever_drug_comes_first(dose: Any) -> None:
    other = replace(dose, drugs=dose.drugs[:, ::-1].copy(), doses=dose.doses[:, ::-1].copy())
    pairs = dose.drugs[:, 1] >= 0

    data = module("data")
    assert np.array_equal(data.row_words(dose)[pairs], data.row_words(other)[pairs])
    assert np.array_equal(data.group_codes(dose)[pairs], data.group_codes(other)[pairs])


def test_a_source_is_left_out_and_may_be_chosen(auc: Any) -> None:
    drawn = lay_out("study", auc)
    chosen = [lay_out("study", auc, (name,)) for name in ("ONE", "TWO")]

    assert drawn.held_out in [layout.held_out for layout in chosen]
    for layout in chosen:
        number = auc.sources.index(layout.held_out[0])
        assert set(auc.source[layout.parts["test"]]) == {number}
        assert number not in auc.source[layout.parts["train"]]
        cells = [set(auc.cells.codes[auc.cell[layout.parts[p]]]) for p in ("train", "validation")]
        assert not cells[0] & cells[1]


def test_what_a_dataset_has_not_is_refused_by_name(auc: Any, dose: Any) -> None:
    one_source = replace(auc, source=np.zeros_like(auc.source))

    with pytest.raises(CallError, match="the dataset has one: ONE"):
        lay_out("study", one_source)
    with pytest.raises(CallError, match="did you mean 'TWO'"):
        lay_out("study", auc, ("TWOO",))
    with pytest.raises(CallError, match="held_out goes with split study"):
        lay_out("row", auc, ("ONE",))
    with pytest.raises(CallError, match="not from"):
        lay_out("published", dose)
    with pytest.raises(CallError, match="no variable 'growth'"):
        responses("dose", ready("auc"))


def test_the_published_parts_are_those_of_the_file(auc: Any) -> None:
    layout = lay_out("published", auc)

    for number, part in enumerate(("train", "validation", "test")):
        assert layout.parts[part].tolist() == np.flatnonzero(auc.published == number).tolist()


def test_a_part_without_a_row_is_an_error() -> None:
    with pytest.raises(SciMLDataError, match="without a row: the dataset has 1 cells"):
        lay_out("cell", responses(dataset=ready("auc", cells=2)))


def test_an_unknown_rule_is_named(auc: Any) -> None:
    member = {"by": ["sell"], "salt": "s"}
    ends = {"train": (0.0, 0.5), "validation": (0.5, 1.0)}
    members = {part: member | {"from": low, "to": high} for part, (low, high) in ends.items()}
    split = Split("x", "", None, members, "")

    with pytest.raises(DescriptorError, match="did you mean 'cell'"):
        module("split").lay_out(split, auc, [])


def test_the_model_is_told_what_validation_rows_share(dose: Any) -> None:
    known = {}
    for name in ("row", "cell", "drug", "cell+drug"):
        layout = lay_out(name, dose)
        known[name] = (layout.knows_cell, layout.knows_drug)

    assert known == {
        "row": (True, True),
        "cell": (False, True),
        "drug": (True, False),
        "cell+drug": (False, False),
    }
