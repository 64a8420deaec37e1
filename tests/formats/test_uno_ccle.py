"""The reader of the CCLE files: on a synthetic look-alike, damaged copies of it, and the real."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml_data.errors import CallError, NativeFormatError
from sciml_data.formats import Native, uno_ccle
from sciml_data.formats.drug_response import NO_DRUG, molecular_features, text_of
from sciml_data.formats.drug_response.inputs import BITS, largest_fragment
from sciml_data.formats.uno_ccle.curves import growth, read_points
from sciml_data.formats.uno_ccle.images import PIXELS, ccle_names, matches
from sciml_data.ready import write_netcdf
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.synthetic import load_generator
from tests.support import native_files
from tests.support.native_files import link_real_files, read_only_shard
from tests.support.problems import kinds_and_places

pytest.importorskip("rdkit", reason="the extra `uno` is not installed")

CELLS, DRUGS = 12, 4


@pytest.fixture(scope="module")
def block() -> dict[str, Any]:
    descriptor = load_descriptor(find_registry(), "uno_ccle", "1.0")
    return {**descriptor.native, "sample": {"cells": CELLS, "drugs": DRUGS}}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, block: dict[str, Any]) -> Path:
    root = tmp_path_factory.mktemp("uno_ccle")
    load_generator("uno_ccle").write_sample(root, block, 0)
    return root


@pytest.fixture
def damaged(sample: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample, tmp_path / "native"))


@pytest.fixture(scope="session")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Native:
    descriptor = load_descriptor(find_registry(), "uno_ccle", "1.0")
    return link_real_files(descriptor, shared / "mirror", tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="session")
def real_areas(real: Native) -> xr.Dataset:
    return read(real, "auc", strict=True)


@pytest.fixture(scope="session")
def real_points(real: Native) -> xr.Dataset:
    return read(real, "dose", strict=True)


def native_of(root: Path, block: dict[str, Any]) -> Native:
    return native_files.native_of(root, block=block)


def read(native: Native, form: str, **options: Any) -> xr.Dataset:
    return read_only_shard(uno_ccle, native, forms=form, **options)


def edit_row(path: Path, line: int, change: Callable[[str], str]) -> None:
    lines = path.read_text().splitlines()
    lines[line - 1] = change(lines[line - 1])
    path.write_text("\n".join(lines) + "\n")


# The two forms


def test_areas_point_into_tables_of_cells_and_drugs(sample: Path, block: dict[str, Any]) -> None:
    dataset = read(native_of(sample, block), "auc")

    assert dict(dataset.sizes) | {"response": 0} == {
        "response": 0,
        "source": 1,
        "study": 1,
        "cell": CELLS,
        "gene": PIXELS,
        "drug": DRUGS,
        "descriptor": PIXELS,
    }
    row = 5
    cell = text_of(dataset["cell_id"])[int(dataset["cell_index"][row])]
    drug = text_of(dataset["drug_id"])[int(dataset["drug1_index"][row])]
    lines = (sample / block["response"]).read_text().splitlines()
    assert lines[row + 1] == f"{cell}\t{drug}\t{float(dataset['auc'][row]):.4f}"


def test_points_of_curves_are_doses_and_growth(sample: Path, block: dict[str, Any]) -> None:
    dataset = read(native_of(sample, block), "dose")

    lines = (sample / block["curves"]).read_text().splitlines()
    assert dataset.attrs["rows_read"] == 8 * (len(lines) - 1)
    activity = float(lines[1].split('"')[3].split(",")[0])
    assert float(dataset["growth"][0]) == pytest.approx(1 + 2 * activity / 100, rel=1e-6)
    assert float(dataset["dose1"][0]) == pytest.approx(-np.log10(0.0025e-6), rel=1e-6)
    assert set(dataset["drug2_index"].values) == {NO_DRUG}
    assert np.isnan(dataset["dose2"].values).all()
    assert dataset["fingerprints"].attrs["bits"] == BITS


def test_points_of_cells_without_an_image_are_counted(sample: Path, block: dict[str, Any]) -> None:
    dataset = read(native_of(sample, block), "dose")

    text = (sample / block["curves"]).read_text()
    without = block["cells_without_expression"][:2]
    points = 8 * sum(line.startswith(tuple(without)) for line in text.splitlines())
    assert points > 0
    assert json.loads(dataset.attrs["rows_dropped_reasons"]) == {"cell": points}
    said = f"{points} points are of cells without expression and are left out"
    assert dataset.attrs["notices"] == said


def test_both_forms_name_a_cell_and_a_compound_the_same(
    sample: Path, block: dict[str, Any]
) -> None:
    native = native_of(sample, block)

    areas, points = read(native, "auc"), read(native, "dose")

    assert text_of(areas["cell_canonical"]) == text_of(points["cell_canonical"])
    assert set(text_of(areas["drug_canonical"])) == set(text_of(points["drug_canonical"]))
    assert text_of(points["cell_id"])[0] == "CCLE.SYN0001"


def test_expression_is_turned_back_and_named_where_a_gene_is_known(
    sample: Path, block: dict[str, Any]
) -> None:
    # 12 cells: the table has 6 of them, too few to be sure of a name
    many = {**block, "sample": {"cells": 24, "drugs": 2}}
    root = sample.parent / "many"
    load_generator("uno_ccle").write_sample(root, many, 0)

    few, enough = read(native_of(sample, block), "auc"), read(native_of(root, many), "auc")

    assert not any(name.startswith("GE_") for name in text_of(few["gene"]))
    assert sum(name.startswith("GE_MADEUP") for name in text_of(enough["gene"])) == 1600
    header, first, *_ = (root / block["expression_table"]).read_text().splitlines()
    gene = text_of(enough["gene"]).index(f"GE_{header.split()[0]}")
    assert float(enough["expression"][0, gene]) == pytest.approx(float(first.split()[1]), abs=1e-6)


def test_a_column_with_two_partners_gets_no_name() -> None:
    random = np.random.default_rng(0)
    values = random.random((12, 3))
    values[:, 2] = values[:, 1]
    ids = [str(number) for number in range(12)]

    assert matches(values, ids, ids, values[:, :2]) == [(0, 0)]


def test_the_same_seed_gives_the_same_files(
    sample: Path, block: dict[str, Any], tmp_path: Path
) -> None:
    load_generator("uno_ccle").write_sample(tmp_path, block, 0)

    paths = native_of(sample, block).paths
    assert native_of(tmp_path, block).paths == paths
    assert all((tmp_path / path).read_bytes() == (sample / path).read_bytes() for path in paths)


def test_converting_twice_gives_the_same_bytes(
    sample: Path, block: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("one.nc", "other.nc"):
        write_netcdf(read(native_of(sample, block), "dose"), tmp_path / name)

    assert (tmp_path / "one.nc").read_bytes() == (tmp_path / "other.nc").read_bytes()


# Options


@pytest.mark.parametrize(("convention", "dead"), [("rescaled", -1.0), ("viability", 0.0)])
def test_the_convention_says_what_no_cell_alive_is(convention: str, dead: float) -> None:
    assert growth(np.array([0.0, -100.0]), convention).tolist() == [1.0, dead]


@pytest.mark.parametrize(
    "options", [{"form": "auc"}, {"forms": "both"}, {"strict": 1}, {"growth": True}]
)
def test_other_options_are_named(
    sample: Path, block: dict[str, Any], options: dict[str, Any]
) -> None:
    with pytest.raises(CallError, match=next(iter(options))):
        uno_ccle.shards(native_of(sample, block), options)


def test_without_rdkit_the_extra_is_named(
    sample: Path, block: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rdkit", None)
    native = native_of(sample, block)

    with pytest.raises(CallError, match=r"pip install 'sciml-data\[uno\]'"):
        uno_ccle.shards(native, {})
    assert [shard.split for shard in uno_ccle.shards(native, {"forms": "auc"})] == ["auc"]


def test_a_form_whose_files_are_not_here_is_left_out(sample: Path, block: dict[str, Any]) -> None:
    native = native_of(sample, block)
    paths = tuple(path for path in native.paths if path != block["response"])
    part = Native(sample, sample, block, paths)

    assert [shard.split for shard in uno_ccle.shards(part, {})] == ["dose"]
    with pytest.raises(NativeFormatError, match="the form auc needs it"):
        uno_ccle.shards(part, {"forms": "auc"})


@pytest.mark.parametrize("size", [{"cells": 0}, {"drugs": 25}, {"rows": 10}])
def test_a_sample_of_an_impossible_size_is_refused(
    block: dict[str, Any], tmp_path: Path, size: dict[str, int]
) -> None:
    with pytest.raises(CallError, match="sample"):
        load_generator("uno_ccle").write_sample(tmp_path, {**block, "sample": size}, 0)


# Damage


def first_is(value: str) -> Callable[[str], str]:
    """Return a change of the first number of a line."""
    return lambda line: "\t".join([value, *line.split("\t")[1:]])


def broken(fields: str) -> Callable[[str], str]:
    """Return a change of one row of curves."""
    return {
        "fewer fields": lambda line: line.rsplit(",", 3)[0],
        "no number": lambda line: line.replace('".0025,', '"none,'),
        "too few doses": lambda line: line.replace('".0025,', '"'),
        "a dose of nothing": lambda line: line.replace('".0025,', '"0,'),
        "no cell": lambda line: line[line.index(",") :],
    }[fields]


@pytest.mark.parametrize(
    "how", ["fewer fields", "no number", "too few doses", "a dose of nothing", "no cell"]
)
def test_a_malformed_curve_is_named_and_the_rest_goes_through(
    damaged: Path, block: dict[str, Any], how: str
) -> None:
    native = native_of(damaged, block)
    before = read(native, "dose").attrs["rows_read"]
    edit_row(damaged / block["curves"], 3, broken(how))

    dataset = read(native, "dose")

    place = f"{Path(block['curves']).name}:3: "
    assert dataset.attrs["rows_read"] == before - 8
    assert dataset.attrs["rows_malformed"] == 1
    assert dataset.attrs["malformed_rows"].startswith(place)
    assert place in dataset.attrs["notices"]
    with pytest.raises(NativeFormatError) as error:
        read(native, "dose", strict=True)
    assert [problem.kind for problem in error.value.problems] == ["malformed"]


def test_a_curve_that_comes_again_is_malformed(damaged: Path, block: dict[str, Any]) -> None:
    path = damaged / block["curves"]
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[1]]) + "\n")

    malformed = read(native_of(damaged, block), "dose").attrs["malformed_rows"]

    assert malformed.endswith(f"cell and compound are those of {path.name}:2")


@pytest.mark.parametrize("value", ["", "nan", "1.2", "-0.1", "high"])
def test_an_area_that_cannot_be_is_malformed(
    damaged: Path, block: dict[str, Any], value: str
) -> None:
    edit_row(damaged / block["response"], 4, lambda line: "\t".join([*line.split("\t")[:2], value]))

    dataset = read(native_of(damaged, block), "auc")

    assert dataset.attrs["malformed_rows"].startswith("Example_Drug_Response_Data.txt:4: ")


def test_an_unknown_drug_is_named_and_its_rows_are_counted(
    damaged: Path, block: dict[str, Any]
) -> None:
    edit_row(damaged / block["response"], 2, lambda line: line.replace("Drug_", "Drug_9"))

    dataset = read(native_of(damaged, block), "auc")

    assert json.loads(dataset.attrs["rows_dropped_reasons"]) == {"drug1": 1}
    assert "drug without features: its rows are left out" in dataset.attrs["notices"]
    with pytest.raises(NativeFormatError, match=r"unknown +Drug_9"):
        read(native_of(damaged, block), "auc", strict=True)


def test_an_image_of_a_drug_that_nobody_knows_stops(damaged: Path, block: dict[str, Any]) -> None:
    folder = damaged / block["descriptor_images"]
    shutil.copy(folder / "Drug_1.txt", folder / "Drug_77.txt")

    with pytest.raises(NativeFormatError, match="24") as error:
        read(native_of(damaged, block), "auc")
    assert kinds_and_places(error) == [("unknown", "Drug_77")]


def test_a_descriptor_that_is_not_a_number_stays_missing_and_is_told(
    damaged: Path, block: dict[str, Any]
) -> None:
    image = damaged / block["descriptor_images"] / "Drug_2.txt"
    edit_row(image, 1, first_is("nan"))

    dataset = read(native_of(damaged, block), "auc")

    assert dataset["descriptors"].attrs["missing_in"] == "1 of 4 drugs, 1 of 2500 descriptors"
    assert np.isnan(dataset["descriptors"].values[1, 0])
    assert "Drug_2: 1 descriptors are not a number" in dataset.attrs["notices"]
    with pytest.raises(NativeFormatError, match="Drug_2"):
        read(native_of(damaged, block), "auc", strict=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda line: line.rpartition("\t")[0], "line 7: 50 numbers expected, 49 found"),
        (first_is("nan"), "line 7, number 1: nan found"),
        (first_is("1.5"), "line 7, number 1: 1.5 found"),
        (first_is("x"), "could not convert"),
    ],
)
def test_a_damaged_image_of_expression_is_named(
    damaged: Path, block: dict[str, Any], change: Callable[[str], str], said: str
) -> None:
    edit_row(damaged / block["expression_images"] / "CCL_61.txt", 7, change)

    with pytest.raises(NativeFormatError) as error:
        read(native_of(damaged, block), "auc")

    assert error.value.problems[0].place == "CCL_61.txt"
    assert said in error.value.problems[0].message


@pytest.mark.parametrize(("part", "form"), [("response", "auc"), ("curves", "dose")])
def test_an_empty_file_is_refused(
    damaged: Path, block: dict[str, Any], part: str, form: str
) -> None:
    (damaged / block[part]).write_text("")

    with pytest.raises(NativeFormatError, match="is empty"):
        read(native_of(damaged, block), form)


@pytest.mark.parametrize(("part", "form"), [("response", "auc"), ("curves", "dose")])
def test_a_file_without_a_row_is_refused(
    damaged: Path, block: dict[str, Any], part: str, form: str
) -> None:
    path = damaged / block[part]
    path.write_text(path.read_text().splitlines()[0] + "\n")

    with pytest.raises(NativeFormatError, match=r"has no (response|curve)"):
        read(native_of(damaged, block), form)


def test_an_image_too_few_means_that_cells_cannot_be_told(
    damaged: Path, block: dict[str, Any]
) -> None:
    (damaged / block["expression_images"] / "CCL_61.txt").unlink()

    with pytest.raises(NativeFormatError, match="11 images, 12 names"):
        read(native_of(damaged, block), "dose")


def test_a_smiles_that_is_no_molecule_drops_its_drug(damaged: Path, block: dict[str, Any]) -> None:
    edit_row(damaged / block["smiles"], 2, lambda line: f"{line.partition(',')[0]},C1CC(")

    dataset = read(native_of(damaged, block), "dose")

    assert dataset.sizes["drug"] == DRUGS - 1
    assert "is not a molecule: 'C1CC('" in dataset.attrs["notices"]
    assert json.loads(dataset.attrs["rows_dropped_reasons"])["drug1"] > 0


def test_names_follow_the_order_of_ascii() -> None:
    names = {"HT_BLOOD", "HT29_COLON", "HT1080_BONE", "LEFT_OUT"}

    found = ccle_names(["CCL_1", "CCL_2", "CCL_3"], names, ["LEFT_OUT"])

    assert found == {"CCL_1": "HT1080_BONE", "CCL_2": "HT29_COLON", "CCL_3": "HT_BLOOD"}


def test_a_salt_counts_without_its_acid() -> None:
    both = molecular_features({"base": "CCN", "salt": "CCN.Cl", "nothing": ""})

    assert both.ids == ("base", "salt")
    assert both.unreadable == ("nothing",)
    assert (both.bits[0] == both.bits[1]).all()
    assert np.array_equal(both.descriptors.values[0], both.descriptors.values[1], equal_nan=True)


# The real files


@pytest.mark.reference
def test_all_10971_areas_of_the_real_files_are_read(real_areas: xr.Dataset) -> None:
    dataset = real_areas

    counts = [dataset.attrs[f"rows_{what}"] for what in ("read", "kept", "malformed")]
    assert counts == [10971, 10971, 0]
    assert (dataset.sizes["cell"], dataset.sizes["drug"]) == (474, 24)
    assert sum(name.startswith("GE_") for name in text_of(dataset["gene"])) == 1600
    assert len(set(text_of(dataset["gene"]))) == PIXELS
    assert float(dataset["auc"].mean()) == pytest.approx(0.786161, abs=1e-6)
    assert int((dataset["descriptors"].std("drug") > 0).sum()) == 2099
    assert not dataset["expression"].isnull().any()


@pytest.mark.reference
def test_all_93251_points_of_the_real_curves_are_read(
    real: Native, real_points: xr.Dataset
) -> None:
    dataset = real_points

    counts = [dataset.attrs[f"rows_{what}"] for what in ("read", "kept", "malformed")]
    assert counts == [93251, 87665, 0]
    assert json.loads(dataset.attrs["rows_dropped_reasons"]) == {"cell": 5586}
    assert dataset.attrs["curves"] == 11670
    assert (dataset.sizes["cell"], dataset.sizes["drug"]) == (474, 24)
    assert not dataset["descriptors"].isnull().any()
    points = read_points(real.root / real.block["curves"], [])
    assert np.median(points.dose) == pytest.approx(6.602, abs=5e-4)  # as Uno's README has it
    assert (points.dose.min(), points.dose.max()) == pytest.approx((5.097, 8.602), abs=5e-4)
    assert (points.activity.min(), points.activity.max()) == pytest.approx((-239, 190), abs=1)


@pytest.mark.reference
def test_the_map_of_cells_and_drugs_has_the_same_gaps_in_areas_and_curves(
    real_areas: xr.Dataset, real_points: xr.Dataset
) -> None:
    areas, points = real_areas, real_points
    drugs = {name: at for at, name in enumerate(text_of(areas["igtd_drug_id"]))}
    order = np.array([drugs[name] for name in text_of(points["igtd_drug_id"])])

    has_area, has_curve = np.zeros((474, 24), bool), np.zeros((474, 24), bool)
    has_area[areas["cell_index"].values, areas["drug1_index"].values] = True
    has_curve[points["cell_index"].values, order[points["drug1_index"].values]] = True

    assert text_of(areas["igtd_id"]) == text_of(points["igtd_id"])
    assert int((has_area != has_curve).sum()) == 0
    assert int((~has_area).sum()) == 405


@pytest.mark.reference
def test_each_area_correlates_best_with_the_curves_of_its_own_compound(
    real_areas: xr.Dataset, real_points: xr.Dataset
) -> None:
    areas, points = real_areas, real_points
    drugs = {name: at for at, name in enumerate(text_of(areas["igtd_drug_id"]))}
    order = np.array([drugs[name] for name in text_of(points["igtd_drug_id"])])
    tables = np.full((2, 474, 24), np.nan)
    tables[0, areas["cell_index"].values, areas["drug1_index"].values] = areas["auc"].values
    place = points["cell_index"].values.astype(int) * 24 + order[points["drug1_index"].values]
    count = np.bincount(place, minlength=474 * 24)
    sums = np.bincount(place, points["growth"].values, minlength=474 * 24)
    tables[1] = np.where(count, sums / np.maximum(count, 1), np.nan).reshape(474, 24)

    def correlation(one: int, other: int) -> float:
        both = np.isfinite(tables[0, :, one]) & np.isfinite(tables[1, :, other])
        return float(np.corrcoef(tables[0, both, one], tables[1, both, other])[0, 1])

    best = [max(range(24), key=lambda other: correlation(one, other)) for one in range(24)]
    assert best == list(range(24))


@pytest.mark.reference
def test_the_published_smiles_of_tki258_is_that_of_topotecan(real: Native) -> None:
    from rdkit import Chem

    inchi_key: Callable[[Any], str] = Chem.MolToInchiKey

    rows = (real.root / real.block["smiles"]).read_text().splitlines()
    published = dict(row.split(",", 1) for row in rows)

    def flat(name: str) -> str:
        return str(Chem.MolToSmiles(largest_fragment(published[name]), isomericSmiles=False))

    assert flat("TKI258") == flat("Topotecan")
    mended = largest_fragment(real.block["smiles_corrected"]["TKI258"])
    assert inchi_key(mended) == "PIQCTGMSNWUMAF-UHFFFAOYSA-N"
    for one in real.block["drugs"].values():
        if one["canonical"].startswith("InChIKey:"):
            key = inchi_key(largest_fragment(published[one["compound"]]))
            assert one["canonical"] == f"InChIKey:{key}"
