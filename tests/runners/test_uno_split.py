"""Splits of Uno: held-out entities are in one part, under all their ids."""

from __future__ import annotations

import importlib
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sciml_data.bench.interface import load_runner
from sciml_data.bench.task.split import Split, load_split, split_names
from sciml_data.bench.task.splits import Division, Options, divide, leakage
from sciml_data.errors import CallError, DescriptorError, SciMLDataError
from sciml_data.formats import uno_gdsc
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.synthetic import load_generator
from tests.support.native_files import native_of, read_only_shard
from tests.support.uno_samples import ready

RUNNER = find_registry().runner("uno")


def module(name: str) -> ModuleType:
    load_runner(find_registry(), "uno")
    return importlib.import_module(f"sciml_runner_uno.{name}")


def responses(variant: str = "auc", dataset: xr.Dataset | None = None, **size: int) -> Any:
    source = ready(variant, cells=120, drugs=60, rows=3000, **size) if dataset is None else dataset
    return module("data").read_responses(source, variant)


def make_split(name: str, rows: Any, held_out: tuple[str, ...] = ()) -> Division:
    split = load_split(RUNNER, name)
    return divide(split, module("data").keys_of(rows), Options(held_out=held_out))


def shared(name: str, rows: Any) -> Any:
    return leakage(make_split(name, rows), module("data").keys_of(rows), meaning="")


@pytest.fixture(scope="module")
def auc() -> Any:
    return responses()


@pytest.fixture(scope="module")
def dose() -> Any:
    return responses("dose")


def test_the_registry_has_nine_splits() -> None:
    assert split_names(RUNNER) == [
        "cell", "cell+drug", "cross-study-ccle-gdsc", "cross-study-gdsc-ccle", "drug", "drug_pair",
        "published", "row", "study",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["row", "cell", "drug", "cell+drug", "drug_pair", "study"])
@pytest.mark.parametrize("variant", ["auc", "dose"])
def test_each_row_is_in_one_part_or_counted_as_in_none(
    auc: Any, dose: Any, name: str, variant: str
) -> None:
    rows = {"auc": auc, "dose": dose}[variant]
    divided = make_split(name, rows)
    members = np.concatenate(list(divided.parts.values()))

    assert len(members) == len(np.unique(members))
    assert len(members) + divided.left_out == len(rows)
    assert list(divided.parts) == ["train", "validation", "test"]


@pytest.mark.parametrize(
    ("name", "none", "all_of"),
    [
        ("cell", ("cell", "replicate"), ("drug",)),
        ("drug", ("drug", "combination", "replicate"), ("cell",)),
        ("cell+drug", ("cell", "drug", "replicate"), ()),
        ("drug_pair", ("combination", "replicate"), ()),
        ("row", (), ("cell", "drug")),
    ],
)
def test_held_out_entities_are_in_one_part(
    dose: Any, name: str, none: tuple[str, ...], all_of: tuple[str, ...]
) -> None:
    report = shared(name, dose)["test"]

    assert [report[key]["percent"] for key in none] == [0.0] * len(none)
    assert all(report[key]["percent"] > 95 for key in all_of)


@pytest.mark.parametrize("name", ["cell", "drug", "cell+drug"])
def test_held_out_entities_are_held_out_under_each_of_their_ids(dose: Any, name: str) -> None:
    parts = make_split(name, dose).parts
    columns = {"cell": dose.cell, "drug": dose.drugs}

    for kind in name.split("+"):
        train, test = (set(np.unique(columns[kind][parts[part]])) for part in ("train", "test"))
        assert train & test <= {-1}


def test_a_row_of_two_drugs_from_different_sides_is_in_no_part(dose: Any) -> None:
    divided = make_split("drug", dose)
    single = dose.drugs[:, 1] < 0
    inside = np.concatenate(list(divided.parts.values()))
    outside = np.setdiff1d(np.arange(len(dose)), inside)

    assert divided.left_out == len(outside) > 0
    assert not single[outside].any()


def test_replicates_stay_together_under_row_and_others_do_not(auc: Any) -> None:
    hashes = module("data").row_hashes(auc)
    keys = np.stack([auc.cell, auc.drugs[:, 0], auc.source.codes], axis=1)
    unique = len(np.unique(keys, axis=0))

    assert len(np.unique(hashes)) == unique
    assert shared("row", auc)["test"]["replicate"]["shared"] > 0  # of the other source


def test_a_row_keeps_its_part_when_the_dataset_is_reordered() -> None:
    dataset = ready("dose", cells=60, drugs=20)
    order = np.random.default_rng(0).permutation(dataset.sizes["response"])
    first, other = responses("dose", dataset), responses("dose", dataset.isel(response=order))

    for name in ("row", "drug_pair", "cell+drug"):
        kept, reordered = (make_split(name, rows).parts["test"] for rows in (first, other))
        assert sorted(kept.tolist()) == sorted(order[reordered].tolist())


def test_a_pair_is_in_one_part_whichever_drug_comes_first(dose: Any) -> None:
    other = replace(dose, drugs=dose.drugs[:, ::-1].copy(), doses=dose.doses[:, ::-1].copy())
    pairs = dose.drugs[:, 1] >= 0

    data = module("data")
    assert np.array_equal(data.row_hashes(dose)[pairs], data.row_hashes(other)[pairs])
    assert np.array_equal(data.group_codes(dose)[pairs], data.group_codes(other)[pairs])


def test_a_source_is_left_out_and_may_be_chosen(auc: Any) -> None:
    drawn = make_split("study", auc)
    chosen = [make_split("study", auc, (name,)) for name in ("ONE", "TWO")]

    assert drawn.notes["held_out"] in [divided.notes["held_out"] for divided in chosen]
    for divided in chosen:
        assert set(auc.source[divided.parts["test"]]) == set(divided.notes["held_out"])
        assert not set(auc.source[divided.parts["train"]]) & set(divided.notes["held_out"])
        cells = [set(auc.cells.codes(auc.cell[divided.parts[p]])) for p in ("train", "validation")]
        assert not cells[0] & cells[1]


def test_a_split_that_the_dataset_cannot_have_is_refused_by_name(auc: Any, dose: Any) -> None:
    one_source = replace(auc, source=pd.Categorical(["ONE"] * len(auc)))

    with pytest.raises(CallError, match="two or more values of source; the dataset has ONE"):
        make_split("study", one_source)
    with pytest.raises(CallError, match="did you mean 'TWO'"):
        make_split("study", auc, ("TWOO",))
    with pytest.raises(CallError, match="'row' holds no source out"):
        make_split("row", auc, ("ONE",))
    with pytest.raises(CallError, match="published_part, which this dataset does not have"):
        make_split("published", dose)
    with pytest.raises(CallError, match="no variable 'growth'"):
        responses("dose", ready("auc"))


def test_the_published_parts_are_those_of_the_file(auc: Any) -> None:
    divided = make_split("published", auc)

    for part in ("train", "validation", "test"):
        assert divided.parts[part].tolist() == np.flatnonzero(auc.published == part).tolist()


def test_a_part_without_a_row_is_an_error() -> None:
    with pytest.raises(SciMLDataError, match=r"without a row.*cell: 1;"):
        make_split("cell", responses(dataset=ready("auc", cells=2)))


def test_an_unknown_rule_is_named(auc: Any) -> None:
    member = {"by": ["sell"], "salt": "s"}
    ends = {"train": (0.0, 0.5), "validation": (0.5, 1.0)}
    members = {part: member | {"from": low, "to": high} for part, (low, high) in ends.items()}
    split = Split("x", "", None, members, "")

    with pytest.raises(DescriptorError, match="did you mean 'cell'"):
        divide(split, module("data").keys_of(auc))


# Two studies


@pytest.fixture(scope="module")
def two_studies(tmp_path_factory: pytest.TempPathFactory) -> Any:
    pytest.importorskip("rdkit", reason="the extra `uno` is not installed")
    pytest.importorskip("rdata", reason="the extra `uno` is not installed")
    root = tmp_path_factory.mktemp("uno_gdsc")
    block = load_descriptor(find_registry(), "uno_gdsc", "1.0").native
    load_generator("uno_gdsc").write_sample(root, block, 0)
    native = native_of(root, block=block)
    return responses("cross-study", read_only_shard(uno_gdsc, native, forms="cross-study"))


@pytest.mark.parametrize(("trained", "tested"), [("CCLE", "GDSC"), ("GDSC", "CCLE")])
def test_parts_across_studies_differ_in_what_was_seen(
    two_studies: Any, trained: str, tested: str
) -> None:
    keys = module("data").keys_of(two_studies)
    parts = make_split(f"cross-study-{trained}-{tested}".lower(), two_studies).parts
    rows = {part: keys.iloc[numbers] for part, numbers in parts.items()}

    sources = {part: set(of_part["source"]) for part, of_part in rows.items()}
    same = ("train", "validation", "test_same_study")
    assert sources == {part: {trained if part in same else tested} for part in rows}
    lines = {part: set(of_part["cell"]) for part, of_part in rows.items()}
    drugs = {part: set(of_part["drug_1"]) for part, of_part in rows.items()}
    assert lines["test_seen_lines"] <= lines["train"]
    for part in ("validation", "test", "test_new_drugs", "test_same_study"):
        assert not lines[part] & lines["train"]
    assert drugs["test"] == drugs["test_seen_lines"] == drugs["test_same_study"]
    assert drugs["test"] < drugs["train"]
    assert len(drugs["test"]) == 2
    assert not drugs["test_new_drugs"] & drugs["train"]


def test_a_split_across_studies_needs_both(auc: Any) -> None:
    with pytest.raises(SciMLDataError, match="leaves train and validation"):
        make_split("cross-study-ccle-gdsc", auc)
