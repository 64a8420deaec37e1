"""CANDLE's tables: every row counted, every index right, what is wrong named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml_data.errors import CallError, NativeFormatError
from sciml_data.formats import Native, candle_tables
from sciml_data.formats.candle_tables import canonical_cell, responses
from sciml_data.formats.candle_tables.text_tables import Header, read_header, well_formed
from sciml_data.formats.drug_response import text_of
from sciml_data.home import DatasetFolder
from sciml_data.ready import convert, open_ready
from sciml_data.registry.descriptor import Descriptor, load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import manifest_of
from sciml_data.registry.stages import Verified
from sciml_data.synthetic import hill, load_generator
from tests.support.problems import kinds_and_places

SMALL = {"rows": 3000, "pairs": 600, "cells": 8, "drugs": 12}
SINGLE = "rescaled_combined_single_drug_growth"
PAIRED = "ComboDrugGrowth_Nov2017.csv"
DESCRIPTORS = "NCI60_dragon7_descriptors.tsv"
SHARDS = {"shard_bytes": 60_000}
FIRST, PAIRS = "responses-single-00000.nc", "responses-paired-00000.nc"


@pytest.fixture(scope="module")
def descriptor() -> Descriptor:
    found = load_descriptor(find_registry(), "uno_dose", "1.0")
    return replace(found, native={**found.native, "sample": SMALL})


@pytest.fixture(scope="module")
def tables(descriptor: Descriptor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tables")
    load_generator("candle_tables").write_sample(root, descriptor.native, seed=1)
    return root


class Bench:
    """Converts tables that a test may spoil first."""

    def __init__(self, descriptor: Descriptor, tables: Path, root: Path) -> None:
        self.descriptor = descriptor
        self.folder = DatasetFolder(root)
        self.said: list[str] = []
        shutil.copytree(tables, self.folder.native)

    def edit(self, name: str, change: Callable[[list[str]], list[str]]) -> None:
        path = self.folder.native / name
        lines = path.read_text(encoding="utf-8").splitlines()
        path.write_text("\n".join(change(lines)) + "\n", encoding="utf-8")

    def read(self, name: str, **options: Any) -> xr.Dataset:
        """Return the content of one ready file."""
        native = self.native()
        (shard,) = [one for one in candle_tables.shards(native, options) if one.name == name]
        seen = replace(native, paths=tuple(sorted(shard.inputs)))
        return candle_tables.read(seen, shard, options)

    def native(self) -> Native:
        root = self.folder.native
        paths = tuple(sorted(path.name for path in root.iterdir()))
        return Native(root, root, self.descriptor.native, paths)

    def convert(self, **options: Any) -> xr.Dataset:
        manifest = manifest_of(self.folder.native)
        verified = Verified(self.descriptor, self.folder, manifest, is_synthetic=True)
        return open_ready(convert(verified, options=options, log=self.said.append))


@pytest.fixture
def bench(descriptor: Descriptor, tables: Path, tmp_path: Path) -> Bench:
    return Bench(descriptor, tables, tmp_path / "data")


@pytest.fixture(scope="module")
def whole(
    descriptor: Descriptor, tables: Path, tmp_path_factory: pytest.TempPathFactory
) -> xr.Dataset:
    return (
        Bench(descriptor, tables, tmp_path_factory.mktemp("whole") / "data")
        .convert(**SHARDS)
        .load()
    )


def put(row: int, text: str) -> Callable[[list[str]], list[str]]:
    """Return what replaces a line, counted from 1."""
    return lambda lines: [*lines[: row - 1], text, *lines[row:]]


def by_source(dataset: xr.Dataset) -> Mapping[str, Mapping[str, int]]:
    counts: Mapping[str, Mapping[str, int]] = json.loads(dataset.attrs["rows_by_source"])
    return counts


def expected_rows(root: Path) -> list[tuple[Any, ...]]:
    """Return the single-drug rows as a few lines of Python read them, those of SCL and SCLC not."""
    found = []
    for line in (root / SINGLE).read_text(encoding="utf-8").splitlines()[1:]:
        source, drug, cell, _, dose, _, growth = line.split("\t")
        if not source.startswith("SCL") and growth not in {"", "na", "-"}:
            values = (np.float32(-float(dose)), np.float32(float(growth) / 100))
            found.append((source, cell, drug, *values))
    return found


def test_every_row_points_at_what_it_named(whole: xr.Dataset, tables: Path) -> None:
    cells, drugs = text_of(whole["cell_id"]), text_of(whole["drug_id"])
    sources = text_of(whole["source_id"])
    expected = expected_rows(tables)
    count = len(expected)

    found = [
        (sources[source], cells[cell], drugs[drug], dose, growth)
        for source, cell, drug, dose, growth in zip(
            *(
                whole[name].to_numpy()[:count]
                for name in ("source_index", "cell_index", "drug1_index", "dose1", "growth")
            ),
            strict=True,
        )
    ]

    assert expected == found


def test_pairs_have_a_second_drug_and_dose_and_single_rows_none(
    whole: xr.Dataset, tables: Path
) -> None:
    lines = (tables / PAIRED).read_text(encoding="utf-8").splitlines()[1:]
    native = [line.split(",") for line in lines]
    valid = [row for row in native if row[6] == "Y" and row[5] not in {"", "na", "-"}]
    paired = whole.isel(response=slice(-len(valid), None))
    drugs = text_of(whole["drug_id"])

    assert [f"NSC.{row[3]}" if row[3] else "" for row in valid] == [
        "" if index == 65535 else drugs[index] for index in paired["drug2_index"].to_numpy()
    ]
    expected = [-np.log10(float(row[4])) if row[4] else np.nan for row in valid]
    np.testing.assert_allclose(paired["dose2"], expected, rtol=1e-6)
    assert (len(native) - sum(row[6] == "Y" for row in native)) == whole.attrs["rows_not_valid"]
    assert (np.isnan(whole["dose2"]) == (whole["drug2_index"] == 65535)).all()


def test_sources_without_features_are_counted_and_named(bench: Bench) -> None:
    counts = by_source(bench.convert())

    assert counts["SCL"] == {"read": 36, "cell": 36, "kept": 0}
    said = "source SCL is empty after the join: none of 36 rows (cell 36)"
    assert f"{FIRST}: {said}" in bench.said


def test_the_numbers_of_the_parts_add_up(whole: xr.Dataset) -> None:
    kept, dropped = whole.attrs["rows_kept"], whole.attrs["rows_dropped"]

    assert whole.attrs["rows_read"] == kept + dropped
    assert whole.attrs["rows_read"] + whole.attrs["rows_not_valid"] == 3000 + 600
    assert whole.sizes["response"] == kept
    assert {"value", "cell"} == set(json.loads(whole.attrs["rows_dropped_reasons"]))


def test_features_are_those_of_the_tables_and_missing_stays_missing(
    whole: xr.Dataset, tables: Path
) -> None:
    lines = (tables / DESCRIPTORS).read_text(encoding="utf-8").splitlines()
    row = lines[4].split("\t")
    place = text_of(whole["drug_id"]).index(row[0])
    expected = [np.nan if text == "na" else float(text) for text in row[1:]]

    assert (len(lines) - 1, whole.sizes["gene"], whole.sizes["descriptor"]) == (12, 942, 5270)
    np.testing.assert_array_equal(whole["descriptors"][place], np.array(expected, np.float32))
    assert np.isnan(whole["descriptors"]).any()
    prints = [f"NCI60_dragon7_{kind}.tsv" for kind in ("PFP", "ECFP")]
    bits = [(tables / name).read_text().splitlines()[4].split("\t")[1:] for name in prints]
    found = np.unpackbits(whole["fingerprints"][place].to_numpy())
    assert [int(bit) for bit in (*bits[0], *bits[1])] == found.tolist()


def test_one_compound_has_one_name_under_ids_with_and_without_a_cid(whole: xr.Dataset) -> None:
    names = dict(zip(text_of(whole["drug_id"]), text_of(whole["drug_canonical"]), strict=True))

    assert names["CCLE.1"] == names["CTRP.1"] == names["NSC.700000"] == "CID:1000"
    assert names["NSC.700011"] == "NSC.700011"
    assert len(set(names.values())) == SMALL["drugs"]


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("CCLE.22RV1", "22RV1"),
        ("gCSI.22Rv1", "22RV1"),
        ("NCI60.MDA-MB-231/ATCC", "MDAMB231"),
        ("NCI60.HL-60(TB)", "HL60"),
        ("CTRP.T.T", "TT"),
        ("...", "..."),
    ],
)
def test_a_cell_line_has_one_name(cell: str, name: str) -> None:
    assert canonical_cell(cell) == name


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("CCLE\tCCLE.1\tCCLE.22RV1\tM\t-5", "7 fields expected, 5 found"),
        ("CCLE\tCCLE.1\tCCLE.22RV1\tM\t-5\tE\t1\tmore", "7 fields expected, 8 found"),
        ("CCLE\tCCLE.1\tCCLE.22RV1\tM\tfive\tE\t1", "LOG_CONCENTRATION is 'five'"),
        ("ACME\tCCLE.1\tCCLE.22RV1\tM\t-5\tE\t1", "source 'ACME' is not among the 10 known"),
        ("", "7 fields expected, 1 found"),
        ('CCLE\tCCLE.1\t"CCLE.22RV1\tM\t-5\tE', "7 fields expected, 6 found"),
    ],
)
@pytest.mark.parametrize("row", [2, 1700, 3001])
def test_a_malformed_row_is_named_and_the_rest_goes_through(
    bench: Bench, line: str, why: str, row: int
) -> None:
    bench.edit(SINGLE, put(row, line))

    dataset = bench.read(FIRST)

    assert dataset.attrs["rows_malformed"] == 1
    assert dataset.attrs["rows_read"] == 3000 - 1
    assert f"1 malformed: {SINGLE}:{row}: {why}" in dataset.attrs["notices"]
    assert dataset.attrs["malformed_rows"].startswith(f"{SINGLE}:{row}: {why}")


def test_malformed_rows_of_all_parts_are_told_with_their_lines(bench: Bench) -> None:
    bench.edit(SINGLE, put(2000, "x"))
    bench.edit(SINGLE, put(2003, "CCLE\tCCLE.1\tCCLE.22RV1\tM\t-5\tE\tmuch"))
    bench.edit(PAIRED, put(7, 'PC-3,"7,1",1,,,2,Y,FG'))

    dataset = bench.convert(**SHARDS)

    assert dataset.attrs["rows_malformed"] == 3
    for said in (dataset.attrs["notices"], " ".join(bench.said)):
        assert f"{SINGLE}:2000: 7 fields expected, 1 found" in said
        assert f"{SINGLE}:2003: GROWTH is 'much', which is not a number" in said
        assert f"{PAIRED}:7: 9 fields expected, 8 found" in said


def test_a_quoted_field_with_a_comma_is_one_field(bench: Bench) -> None:
    bench.edit(PAIRED, lambda lines: [*lines, '"no, such",700001,1e-05,,,50,Y,FG,S'])

    dataset = bench.read(PAIRS)

    assert dataset.attrs["rows_malformed"] == 0
    assert by_source(dataset)["ALMANAC.FG"]["cell"] == 1


def test_strict_stops_at_a_malformed_row(bench: Bench) -> None:
    bench.edit(SINGLE, put(1700, "CCLE\tonly"))

    with pytest.raises(NativeFormatError) as error:
        bench.read(FIRST, strict=True)

    assert [f"{SINGLE}:1700"] == [problem.place for problem in error.value.problems]


def test_an_unknown_drug_or_cell_is_dropped_and_counted(bench: Bench) -> None:
    known = by_source(bench.read(FIRST))["CCLE"]
    bench.edit(SINGLE, put(2, "CCLE\tCCLE.999\tCCLE.22RV1\tM\t-5\tE\t1"))
    bench.edit(SINGLE, put(3, "CCLE\tCCLE.1\tCCLE.NOBODY\tM\t-5\tE\t1"))

    read = bench.read(FIRST)

    counts = by_source(read)["CCLE"]
    assert {**known, "drug1": 1, "cell": 1, "kept": known["kept"] - 2} == counts
    told = read.attrs["notices"].splitlines()
    assert "1 drugs have no features, their rows are left out: CCLE.999" in told
    rows = (bench.folder.native / SINGLE).read_text(encoding="utf-8").splitlines()[1:]
    lost = sorted({row.split("\t")[2] for row in rows if row.startswith("SCL")} | {"CCLE.NOBODY"})
    assert lost[0] == "CCLE.NOBODY"
    why = f"{len(lost)} cells have no features, their rows are left out: {', '.join(lost[:5])}"
    assert why in [line.partition(" and ")[0] for line in told]


def test_a_malformed_number_of_a_feature_is_missing_and_named(bench: Bench) -> None:
    def spoil(lines: list[str]) -> list[str]:
        fields = lines[2].split("\t")
        return [*lines[:2], "\t".join([fields[0], "many", *fields[2:]]), *lines[3:]]

    bench.edit(DESCRIPTORS, spoil)
    bench.edit("combined_rnaseq_data_lincs1000_source_scale", put(2, "CCLE.22RV1\t1.5\t2.5"))

    cells, drugs = bench.read("cells.nc"), bench.read("drugs-00000.nc")

    place = text_of(drugs["drug_id"]).index("NSC.700001")
    assert np.isnan(drugs["descriptors"][place, 0])
    assert np.isfinite(drugs["descriptors"][place, 1:]).mean() > 0.9
    assert np.isnan(cells["expression"][0]).all()
    why = f"{DESCRIPTORS}:3: 1 fields are not numbers, taken as missing: 'many'"
    assert why in drugs.attrs["notices"]
    assert "source_scale:2: 942 numbers expected, 2 found" in cells.attrs["notices"]
    expected = "942 features of 1 of 29 cells are missing, all of them in CCLE.22RV1: they stay NaN"
    assert expected in cells.attrs["notices"].splitlines()


def test_missing_descriptors_are_told_and_drugs_that_have_none_are_named(bench: Bench) -> None:
    nothing = "\t".join(["NSC.700001", *["na"] * 5270])
    bench.edit(DESCRIPTORS, put(3, nothing))

    drugs = bench.read("drugs-00000.nc")

    lacks = np.isnan(drugs["descriptors"].to_numpy())
    expected = (
        f"{lacks.sum()} features of {lacks.any(1).sum()} of {len(lacks)} drugs are missing, "
        "all of them in NSC.700001: they stay NaN"
    )
    assert expected in drugs.attrs["notices"].splitlines()


def test_a_drug_without_fingerprints_is_left_out_and_said(bench: Bench) -> None:
    bench.edit("NCI60_dragon7_PFP.tsv", lambda lines: lines[:-1])

    drugs = bench.read("drugs-00000.nc")

    assert "NSC.700011" not in text_of(drugs["drug_id"])
    said = "1 drugs with descriptors have no fingerprints and are left out"
    assert said in drugs.attrs["notices"]
    assert by_source(bench.read(FIRST))["NCI60"]["drug1"] > 0


def test_units_other_than_molar_are_counted(bench: Bench) -> None:
    bench.edit(SINGLE, put(2, "CCLE\tCCLE.1\tCCLE.22RV1\tu\t-5\tE\t1"))

    dataset = bench.read(FIRST)

    assert json.loads(dataset.attrs["rows_other_units"]) == {"u": 1}
    assert "not in mol/L" in dataset.attrs["notices"]


def test_a_table_without_a_column_says_which(bench: Bench) -> None:
    bench.edit(SINGLE, lambda lines: [lines[0].replace("GROWTH", "GROWHT"), *lines[1:]])

    with pytest.raises(NativeFormatError, match="there is no column GROWTH"):
        bench.read(FIRST)


def test_one_table_of_responses_is_enough_and_feature_tables_are_not_optional(
    bench: Bench,
) -> None:
    (bench.folder.native / PAIRED).unlink()
    assert bench.read(FIRST).attrs["rows_read"] == 3000
    (bench.folder.native / "drug_info").unlink()

    with pytest.raises(NativeFormatError, match="drug_info  is not among the native files"):
        bench.read(FIRST)


def test_feature_tables_of_other_columns_are_refused(bench: Bench) -> None:
    bench.edit(DESCRIPTORS, lambda lines: [line.rpartition("\t")[0] for line in lines])

    with pytest.raises(NativeFormatError, match=r"5269 columns, Combined.* has 5270"):
        bench.read(FIRST)


def test_parts_of_any_size_have_the_same_rows(whole: xr.Dataset, bench: Bench) -> None:
    dataset = bench.convert(shard_bytes=30_001).load()

    for name in ("cell_index", "drug1_index", "drug2_index", "dose1", "growth", "source_index"):
        np.testing.assert_array_equal(whole[name], dataset[name])
    assert whole.attrs["rows_by_source"] == dataset.attrs["rows_by_source"]


def test_an_option_that_there_is_not_is_refused(bench: Bench) -> None:
    with pytest.raises(CallError, match="did you mean 'strict'"):
        bench.read(FIRST, strikt=True)
    with pytest.raises(CallError, match="true or false is expected, not 'yes'"):
        bench.read(FIRST, strict="yes")


def test_the_reference_s_choice_of_drugs_is_a_view(whole: xr.Dataset) -> None:
    inert = whole["drug1_index"] == int(whole["drug1_index"][0])
    spoilt = whole.assign(growth=whole["growth"].where(~inert, np.float32(1.4)))

    chosen = candle_tables.VIEWS["responding_drugs"](spoilt)

    assert chosen.attrs["rows_dropped_by_view"] == int(inert.sum())
    assert not (chosen["drug1_index"] == int(whole["drug1_index"][0])).any()


def test_the_same_seed_makes_the_same_tables_and_another_does_not(
    descriptor: Descriptor, tables: Path, tmp_path: Path
) -> None:
    load_generator("candle_tables").write_sample(tmp_path / "again", descriptor.native, seed=1)
    load_generator("candle_tables").write_sample(tmp_path / "other", descriptor.native, seed=2)

    assert manifest_of(tables) == manifest_of(tmp_path / "again")
    assert manifest_of(tables) != manifest_of(tmp_path / "other")


def test_drugs_of_like_features_have_like_effects(whole: xr.Dataset) -> None:
    drugs = whole["drug1_index"].to_numpy()
    kept = np.unique(drugs)
    mean = np.array([whole["growth"].to_numpy()[drugs == one].mean() for one in kept])
    table = np.nan_to_num(whole["descriptors"].to_numpy()[kept])
    spread = table.std(axis=0)
    scaled = (table[:, spread > 0] - table.mean(axis=0)[spread > 0]) / spread[spread > 0]
    near = scaled @ scaled.T / scaled.shape[1]

    same = np.corrcoef(
        near[np.triu_indices(len(kept), 1)],
        -np.abs(mean[:, None] - mean)[np.triu_indices(len(kept), 1)],
    )[0, 1]

    assert same > 0.2


def test_two_drugs_do_more_or_less_than_each_alone_and_their_order_does_not_count() -> None:
    curves = hill.make_growth_curves(np.random.default_rng(0), 4, 30)
    one, other = np.arange(15), np.arange(15, 30)
    line = np.zeros(15, np.intp)
    first = curves.growth(line, one, np.full(15, 6.0))
    second = curves.growth(line, other, np.full(15, 6.0))

    both = curves.paired_growth(first, second, np.stack([one, other], 1))

    swapped = curves.paired_growth(second, first, np.stack([other, one], 1))
    np.testing.assert_allclose(both, swapped)
    independent = 2 * ((first + 1) / 2).clip(0, 1) * ((second + 1) / 2).clip(0, 1) - 1
    assert (both < independent - 0.02).any()
    assert (both > independent + 0.02).any()


def test_a_part_inside_a_line_has_no_rows(tables: Path) -> None:
    part = responses.read_part(
        tables / SINGLE, responses.SINGLE, (120, 125), sources=["CCLE"], cell_names={}
    )

    assert len(part.rows.cell) == 0
    assert part.malformed == ()


@pytest.mark.parametrize(
    ("name", "column"), [("drug_info", "PUBCHEM"), ("NCI60_CELLNAME_to_Combo.txt", "NCI60.ID")]
)
def test_a_small_table_without_its_column_says_which(bench: Bench, name: str, column: str) -> None:
    bench.edit(name, lambda lines: [lines[0].replace(column, "other"), *lines[1:]])

    with pytest.raises(NativeFormatError, match=f"there is no column {column}"):
        bench.read(PAIRS)


@pytest.mark.parametrize(
    "line", [b"b\rc,2", b"x" * 200_000 + b",2"], ids=["a carriage return", "above csv's limit"]
)
def test_a_line_that_is_no_csv_is_named(line: bytes) -> None:
    """Found by `nox -s attack`: the reader of CSV raises an error of its own."""
    header = Header(("cell", "dose"), ",", 10)

    good, _, bad = well_formed(b"a,1\n" + line + b'\n"d",3\n', header, ("dose",))

    assert good == b'a,1\n"d",3\n'
    assert [row.line for row in bad] == [1]


@pytest.mark.parametrize("line", [b"b\rc\t2", b"b\t2\r\r", b"b\t\r2"])
def test_a_carriage_return_that_ends_no_line_is_named(line: bytes) -> None:
    """pandas would take it as the end of a line, so that rows and lines differ."""
    header = Header(("cell", "dose"), "\t", 10)

    good, positions, bad = well_formed(b"a\t1\r\n" + line + b"\nd\t3\n", header, ("dose",))

    assert good == b"a\t1\r\nd\t3\n"
    assert positions == [0, 2]
    assert [row.line for row in bad] == [1]


def test_a_header_that_is_no_csv_names_the_file_and_the_missing_column(tmp_path: Path) -> None:
    path = tmp_path / "combo.csv"
    path.write_bytes(b"cell,d\rose," + b"x" * 200_000 + b"\na,1,2\n")

    with pytest.raises(NativeFormatError) as error:
        read_header(path, ("cell", "dose"))

    assert kinds_and_places(error) == [("missing", "combo.csv:1")]
    assert "dose" in error.value.problems[0].message
