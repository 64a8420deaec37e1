"""The join of rows to entities, its counts, and the ready form written and opened again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml_data.errors import NativeFormatError
from sciml_data.formats.drug_response import (
    NO_DRUG,
    Entities,
    Features,
    Rows,
    cells_dataset,
    drugs_dataset,
    join,
    merged,
    responses_dataset,
    text_of,
)
from sciml_data.formats.drug_response.inputs import read_rows
from sciml_data.ready import write_netcdf
from tests.support.problems import kinds_and_places

CELLS = Entities(
    ids=("A.one", "B.one", "B.two"),
    canonical=("one", "one", "two"),
    texts={"tumour_type": ("lung", "lung", "")},
    features=Features(np.arange(6, dtype=np.float32).reshape(3, 2), ("GE_TP53", "GE_MYC")),
)
BITS = np.array([[1, 0, 0, 0, 0, 0, 0, 0, 0, 1], [0] * 10], np.bool_)
DRUGS = Entities(
    ids=("A.x", "A.y"),
    canonical=("CID:1", "A.y"),
    features=Features(np.array([[1, np.nan], [2, 3]], np.float32), ("weight", "charge")),
    bits=BITS,
)


def rows(**changed: Any) -> Rows:
    columns: dict[str, Any] = {
        "cell": ["B.two", "A.one", "A.lost", "B.one"],
        "drug1": ["A.x", "A.y", "A.x", "A.y"],
        "drug2": ["A.y", "", "A.y", None],
        "source": ["B", "A", "A", "B"],
        "study": ["s 1", "s 2", "s 1", "s 1"],
    } | changed
    values = columns.pop("values", None) or {
        "dose1": np.array([6.0, 5.0, 4.0, 7.0]),
        "dose2": np.array([5.5, np.nan, 5.0, np.nan]),
        "growth": np.array([0.5, 1.0, 0.2, -1.0]),
    }
    return Rows(
        measured=values,
        **{name: np.array(column, dtype=object) for name, column in columns.items() if column},
    )


def test_rows_point_into_the_tables() -> None:
    joined, _ = join(rows(), CELLS, DRUGS)

    assert joined.columns["cell_index"].tolist() == [2, 0, 1]
    assert joined.columns["drug1_index"].tolist() == [0, 1, 1]
    assert joined.columns["drug2_index"].tolist() == [1, NO_DRUG, NO_DRUG]
    assert joined.sources == ("A", "B")
    assert joined.columns["source_index"].tolist() == [1, 0, 1]


def test_rows_without_features_are_counted_by_source_and_reason() -> None:
    table = rows(drug1=["A.x", "A.lost", "A.lost", "A.y"])

    _, counts = join(table, CELLS, DRUGS)

    assert counts.by_source == {
        "A": {"read": 2, "cell": 1, "drug1": 1, "kept": 0},
        "B": {"read": 2, "kept": 2},
    }
    attributes = counts.attributes()
    assert tuple(attributes[f"rows_{what}"] for what in ("read", "kept", "dropped")) == (4, 2, 2)
    assert json.loads(attributes["rows_dropped_reasons"]) == {"cell": 1, "drug1": 1}


def test_an_unknown_second_drug_is_a_reason_of_its_own() -> None:
    _, counts = join(rows(drug2=["A.lost", "", "", ""]), CELLS, DRUGS)

    assert counts.total("drug2") == 1
    assert counts.total("cell") == 1


@pytest.mark.parametrize("name", ["dose1", "dose2", "growth"])
def test_a_number_that_is_missing_drops_its_row(name: str) -> None:
    values = dict(rows().measured)
    values[name] = np.array([np.nan, *values[name][1:]])

    joined, counts = join(rows(values=values), CELLS, DRUGS)

    assert counts.total("value") == 1
    assert len(joined.columns["growth"]) == 2


def test_rows_of_one_drug_say_so_in_the_dose_form() -> None:
    values = {name: rows().measured[name] for name in ("dose1", "growth")}

    joined, _ = join(rows(drug2=None, values=values), CELLS, DRUGS)

    assert joined.columns["drug2_index"].tolist() == [NO_DRUG] * 3
    assert np.isnan(joined.columns["dose2"]).all()


def test_rows_of_an_auc_have_no_second_drug() -> None:
    table = rows(drug2=None, values={"auc": np.array([1.0, 0.5, 0.3, 0.2])})

    joined, _ = join(table, CELLS, DRUGS)

    assert {"cell_index", "drug1_index", "auc", "source_index", "study_index"} == set(
        joined.columns
    )


def test_a_source_of_which_nothing_is_left_is_told_with_the_reasons() -> None:
    _, counts = join(rows(drug1=["A.x", "A.lost", "A.x", "A.y"]), CELLS, DRUGS)

    told = "source A is empty after the join: none of 2 rows (cell 1, drug1 1)"
    assert counts.empty_sources() == [told]


def test_ids_that_are_in_no_table_are_named() -> None:
    _, counts = join(rows(drug1=["A.x", "A.lost", "A.lost", "A.y"]), CELLS, DRUGS)

    assert counts.unknown == {"cell": ("A.lost",), "drug": ("A.lost",)}


def test_an_infinite_feature_is_refused_with_its_place() -> None:
    features = Features(np.array([[1, 2], [np.inf, 3]], np.float32), ("weight", "charge"))

    with pytest.raises(NativeFormatError, match=r"A\.y  weight is inf"):
        drugs_dataset(Entities(DRUGS.ids, DRUGS.canonical, features=features))


def test_a_source_that_was_not_announced_is_named() -> None:
    with pytest.raises(NativeFormatError) as error:
        join(rows(), CELLS, DRUGS, sources=["B"])

    assert [(p.kind, p.place) for p in error.value.problems] == [("unknown", "row 1")]


def test_an_id_that_comes_twice_is_named() -> None:
    twice = Entities(("A.x", "A.x"), ("x", "x"))

    with pytest.raises(NativeFormatError, match=r"'A\.x'") as error:
        join(rows(), CELLS, twice)
    assert kinds_and_places(error) == [("twice", "drug")]


def test_more_entities_than_indices_are_refused() -> None:
    ids = tuple(f"A.{number}" for number in range(NO_DRUG + 1))

    with pytest.raises(NativeFormatError, match="65535") as error:
        join(rows(), CELLS, Entities(ids, ids))
    assert kinds_and_places(error) == [("count", "drug")]


def test_no_rows_are_a_dataset_without_rows() -> None:
    nothing = np.zeros(0)
    none = np.zeros(0, dtype=object)
    empty = Rows(none, none, none, none, {"dose1": nothing, "growth": nothing})

    dataset = responses_dataset(*join(empty, CELLS, DRUGS))

    assert dict(dataset.sizes) == {"response": 0, "source": 0, "study": 0}


@pytest.fixture
def opened(tmp_path: Path) -> xr.Dataset:
    joined, counts = join(rows(), CELLS, DRUGS)
    whole = merged(responses_dataset(joined, counts), cells_dataset(CELLS), drugs_dataset(DRUGS))
    write_netcdf(whole, tmp_path / "dose.nc")
    return xr.load_dataset(tmp_path / "dose.nc", engine="h5netcdf")


def test_the_ready_form_has_the_agreed_types_and_units(opened: xr.Dataset) -> None:
    types = {
        "cell_index": "uint16",
        "drug1_index": "uint16",
        "drug2_index": "uint16",
        "source_index": "uint8",
        "study_index": "uint16",
        "dose1": "float32",
        "dose2": "float32",
        "growth": "float32",
        "expression": "float32",
        "descriptors": "float32",
        "fingerprints": "uint8",
    }

    assert types == {name: str(opened[name].dtype) for name in types}
    assert NO_DRUG == opened["drug2_index"].attrs["no_drug"] == opened["drug2_index"].values[1]
    assert opened["dose2"].attrs["units"] == "-1 lg(re 1 mol L-1)"
    assert np.isnan(opened["dose2"].values[1])
    assert opened["source_index"].attrs["flag_meanings"] == "A B"
    assert text_of(opened["study_id"]) == ["s 1", "s 2"]
    assert opened.attrs["rows_read"] == 4


def test_tables_come_back_as_they_were(opened: xr.Dataset) -> None:
    assert list(CELLS.ids) == text_of(opened["cell_id"])
    assert text_of(opened["drug_canonical"]) == ["CID:1", "A.y"]
    assert text_of(opened["tumour_type"]) == ["lung", "lung", ""]
    assert text_of(opened["gene"]) == ["GE_TP53", "GE_MYC"]
    assert text_of(opened["descriptor"]) == ["weight", "charge"]
    assert opened["descriptors"].attrs["values_missing"] == 1
    assert opened["descriptors"].attrs["missing_in"] == "1 of 2 drugs, 1 of 2 descriptors"
    fingerprints = opened["fingerprints"]
    bits = np.unpackbits(fingerprints.values, axis=1, count=fingerprints.attrs["bits"])
    assert BITS.tolist() == bits.astype(bool).tolist()


def test_the_same_rows_are_the_same_bytes(tmp_path: Path) -> None:
    def content(name: str) -> bytes:
        joined, counts = join(rows(), CELLS, DRUGS)
        whole = merged(responses_dataset(joined, counts), cells_dataset(CELLS))
        write_netcdf(whole, tmp_path / name)
        return (tmp_path / name).read_bytes()

    assert content("first.nc") == content("second.nc")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"id,smiles\n1," + b"C" * 200_000 + b"\n", "line 2"),
        (b'id,smiles\n1,C\n2,"' + b"C\n" * 100_000, "line"),
        (b"id," + b"s" * 200_000 + b"\n", "line 1"),
        (b"id,smiles\n1,\xff\n", "byte 12"),
    ],
    ids=["a field above the limit of csv", "a quotation mark that is not closed",
         "a name above the limit of csv", "not UTF-8"],
)  # fmt: skip
def test_a_text_that_is_no_table_is_named(content: bytes, line: str, tmp_path: Path) -> None:
    path = tmp_path / "smiles.csv"
    path.write_bytes(content)

    with pytest.raises(NativeFormatError) as error:
        list(read_rows(path, ("id", "smiles"), ",", []))

    assert kinds_and_places(error) == [("malformed", "smiles.csv")]
    assert line in error.value.problems[0].message
