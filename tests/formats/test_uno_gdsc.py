"""GDSC: plates to viability, curves and areas; IC50; joins to the CCLE."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml_data.errors import CallError, NativeFormatError
from sciml_data.formats import Native, uno_gdsc
from sciml_data.formats.drug_response import AUC_DOSES, fit_hill, largest_fragment, text_of
from sciml_data.formats.uno_ccle import read_areas
from sciml_data.formats.uno_gdsc import BLANK, NEGATIVE, read_points
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.synthetic import load_generator
from sciml_data.synthetic.uno_almanac import data_frame, write_objects
from tests.support import native_files
from tests.support.native_files import link_real_files, read_only_shard

pytest.importorskip("rdkit", reason="the extra `uno` is not installed")
pytest.importorskip("rdata", reason="the extra `uno` is not installed")

CELLS, DRUGS = 12, 4
LINES = 9  # of GDSC in the sample that the CCLE has, of 11


@pytest.fixture(scope="module")
def block() -> dict[str, Any]:
    descriptor = load_descriptor(find_registry(), "uno_gdsc", "1.0")
    return {**descriptor.native, "sample": {"cells": CELLS, "drugs": DRUGS}}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, block: dict[str, Any]) -> Path:
    root = tmp_path_factory.mktemp("uno_gdsc")
    load_generator("uno_gdsc").write_sample(root, block, 0)
    return root


@pytest.fixture
def damaged(sample: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample, tmp_path / "native"))


@pytest.fixture(scope="session")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Native:
    descriptor = load_descriptor(find_registry(), "uno_gdsc", "1.0")
    return link_real_files(descriptor, shared / "mirror", tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="session")
def real_both(real: Native) -> xr.Dataset:
    return read(real, "cross-study")


def native_of(root: Path, block: dict[str, Any]) -> Native:
    return native_files.native_of(root, block=block)


def read(native: Native, form: str, **options: Any) -> xr.Dataset:
    return read_only_shard(uno_gdsc, native, forms=form, **options)


def write_wells(path: Path, wells: list[tuple[str, str, float, float, float]]) -> Path:
    """Write wells (plate, tag, drug, concentration, intensity) of one cell line as an R file."""
    plates, tags, drugs, concentrations, intensities = zip(*wells, strict=True)
    text = [np.array(column, dtype=object) for column in (plates, tags)]
    frame = {
        "BARCODE": text[0],
        "COSMIC_ID": np.full(len(wells), 905947.0),
        "CELL_LINE_NAME": np.array(["786-0"] * len(wells), dtype=object),
        "RESEARCH_PROJECT": np.array(["GDSC_SA"] * len(wells), dtype=object),
        "TAG": text[1],
        "DRUG_ID": np.array(drugs),
        "CONC": np.array(concentrations),
        "INTENSITY": np.array(intensities),
    }
    write_objects(path, {"wells": data_frame(frame)})
    return path


NONE = float("nan")
PLATE = [
    ("7", BLANK, NONE, NONE, 100.0),
    ("7", BLANK, NONE, NONE, 300.0),
    ("7", NEGATIVE, 4000.0, NONE, 1100.0),
    ("7", NEGATIVE, 4000.0, NONE, 1300.0),
    ("7", "UN-USED", NONE, NONE, 9999.0),
]


# Viability


def test_blanks_are_viability_0_and_negative_controls_1(tmp_path: Path) -> None:
    wells = [
        *PLATE,
        ("7", "L1-D1-S", 1036.0, 10.0, 200.0),
        ("7", "L1-D2-S", 1036.0, 1.0, 700.0),
        ("7", "L1-D3-S", 1036.0, 0.1, 1450.0),
    ]

    points = read_points(write_wells(tmp_path / "wells.rda", wells), [], trim=False)

    assert dict(zip(points.dose.tolist(), points.viability.tolist(), strict=True)) == {
        5.0: 0.0, 6.0: 0.5, 7.0: 1.25,
    }  # fmt: skip
    assert points.counts == {
        "wells_read": 8, "wells_treated": 3, "plates_read": 1, "lines_read": 1, "drugs_read": 1,
    }  # fmt: skip


def test_trimmed_viability_is_within_0_and_1(tmp_path: Path) -> None:
    wells = [*PLATE, ("7", "L1", 1036.0, 1.0, 50.0), ("7", "L1", 1036.0, 0.1, 1450.0)]
    path = write_wells(tmp_path / "wells.rda", wells)

    assert sorted(read_points(path, [], trim=True).viability) == [0.0, 1.0]
    assert sorted(read_points(path, [], trim=False).viability) == [-0.15, 1.25]


def test_a_point_is_the_mean_of_the_wells_of_a_drug_at_a_dose_on_a_plate(tmp_path: Path) -> None:
    other = [("8", *row[1:]) for row in PLATE]
    wells = [*PLATE, *other]
    wells += [("7", "PC-1", 1862.0, 4.0, 400.0), ("7", "PC-1", 1862.0, 4.0, 800.0)]
    wells += [("8", "PC-1", 1862.0, 4.0, 200.0)]

    points = read_points(write_wells(tmp_path / "wells.rda", wells), [], trim=False)

    assert points.barcode.tolist() == [7, 8]
    assert points.viability.tolist() == [pytest.approx(0.4), pytest.approx(0.0)]
    fitted = uno_gdsc.fit_pairs(points)
    assert fitted.drug_id.tolist() == [1862]


@pytest.mark.parametrize("lost", [BLANK, NEGATIVE])
def test_a_plate_without_a_control_is_named_and_left_out(tmp_path: Path, lost: str) -> None:
    wells = [*PLATE, ("7", "L1", 1036.0, 1.0, 700.0), ("8", "L1", 1036.0, 1.0, 700.0)]
    wells += [("8", *row[1:]) for row in PLATE if row[1] != lost]
    problems: list[Any] = []

    points = read_points(write_wells(tmp_path / "wells.rda", wells), problems, trim=False)

    assert points.barcode.tolist() == [7]
    assert [(one.kind, one.place) for one in problems] == [("controls", "wells.rda: plate 8")]


def test_failed_drugs_and_wells_without_a_concentration_are_left_out(tmp_path: Path) -> None:
    wells = [*PLATE, ("7", "L1", 1036.0, 1.0, 700.0), ("7", "FAIL", 1036.0, 1.0, 200.0)]
    wells += [("7", "L2", 1060.0, NONE, 700.0), ("7", "L3", 1060.0, 0.0, 700.0)]

    points = read_points(write_wells(tmp_path / "wells.rda", wells), [], trim=False)

    assert points.viability.tolist() == [0.5]


def test_a_file_without_a_treated_well_is_refused(tmp_path: Path) -> None:
    path = write_wells(tmp_path / "wells.rda", PLATE)

    with pytest.raises(NativeFormatError) as error:
        read_points(path, [], trim=False)

    assert [problem.kind for problem in error.value.problems] == ["empty"]


# Curves


@pytest.mark.parametrize(
    ("einf", "ec50", "slope"), [(0.0, 6.0, 1.0), (0.3, 7.5, 2.0), (0.8, 5.5, 0.7)]
)
def test_a_curve_without_noise_is_recovered(einf: float, ec50: float, slope: float) -> None:
    def curve(dose: Any) -> Any:
        return einf + (1 - einf) / (1 + 10 ** ((ec50 - dose) * slope))

    doses = np.linspace(4.5, 8.5, 9)
    fitted = fit_hill(doses, curve(doses)[None])

    assert fitted.einf[0] == pytest.approx(einf, abs=1e-6)
    assert fitted.ec50[0] == pytest.approx(ec50, abs=1e-6)
    assert fitted.hill_slope[0] == pytest.approx(slope, abs=1e-6)
    assert fitted.auc[0] == pytest.approx(curve(AUC_DOSES).mean(), abs=1e-6)
    assert fitted.r2[0] == pytest.approx(1)


def test_a_drug_without_effect_has_area_1_even_above_the_controls() -> None:
    fitted = fit_hill(np.array([5.0, 6.0, 7.0]), np.array([[1.0, 1, 1], [1.2, 1.1, 1.3]]))

    assert fitted.auc.tolist() == [1.0, 1.0]


def test_doses_that_a_curve_does_not_have_do_not_matter() -> None:
    doses = np.linspace(4, 8, 9)
    values = 1 / (1 + 10 ** (6.2 - doses))
    gaps = np.where(np.arange(9) % 2, np.nan, values)

    with_gaps, alone = fit_hill(doses, gaps[None]), fit_hill(doses[::2], values[None, ::2])

    assert with_gaps.auc == alone.auc


# The forms


def test_areas_point_into_the_lines_that_the_ccle_has(sample: Path, block: dict[str, Any]) -> None:
    dataset = read(native_of(sample, block), "auc")

    assert (dataset.sizes["cell"], dataset.sizes["drug"]) == (LINES, DRUGS)
    assert json.loads(dataset.attrs["rows_dropped_reasons"]) == {"cell": 2 * DRUGS}
    assert text_of(dataset["cell_canonical"])[1] == "SYN0002_BREAST"
    assert text_of(dataset["depmap_id"])[1] == "ACH-000002"
    assert ((dataset["auc"] > 0) & (dataset["auc"] <= 1)).all()
    assert not dataset["expression"].isnull().any()


@pytest.mark.parametrize(("convention", "dead"), [("rescaled", -1), ("viability", 0)])
def test_growth_of_dead_cells_follows_the_convention(
    sample: Path, block: dict[str, Any], convention: str, dead: float
) -> None:
    dataset = read(native_of(sample, block), "dose", growth=convention, trim=True)

    assert float(dataset["growth"].max()) == 1
    assert dead <= float(dataset["growth"].min()) < dead + 0.6
    assert set(np.diff(np.unique(dataset["dose1"].round(3)))) == {np.float32(0.5)}


def test_ic50_keeps_lines_without_expression(sample: Path, block: dict[str, Any]) -> None:
    dataset = read(native_of(sample, block), "ic50")

    assert dataset.sizes["cell"] == LINES + 2
    assert int(dataset["expression"].isnull().all("gene").sum()) == 2
    table = gzip.decompress((sample / block["ic50"]).read_bytes()).decode().splitlines()
    first = float(next(value for value in table[1].split(",")[1:] if value))
    assert float(dataset["ln_ic50"][0]) == pytest.approx(first)


def test_both_studies_point_to_the_same_lines_and_compounds(
    sample: Path, block: dict[str, Any]
) -> None:
    dataset = read(native_of(sample, block), "cross-study")

    assert text_of(dataset["source_id"]) == ["CCLE", "GDSC"]
    lines = [set(dataset["cell_index"].values[dataset["source_index"] == at]) for at in (0, 1)]
    assert lines[0] == lines[1] == set(range(LINES))
    names = text_of(dataset["drug_canonical"])
    ids = dict(zip(text_of(dataset["drug_id"]), names, strict=True))
    assert ids["CCLE.PD-0325901"] == "CID:9826528"
    twice = {name for name in names if names.count(name) == 2}
    assert twice <= {"CID:9826528", block["canonical"]["24180719"]}
    assert len(names) == 2 * DRUGS


def test_the_same_seed_gives_the_same_files(
    sample: Path, block: dict[str, Any], tmp_path: Path
) -> None:
    load_generator("uno_gdsc").write_sample(tmp_path, block, 0)

    files = [path for path in sorted(sample.rglob("*")) if path.is_file()]
    assert len(files) == 11 + CELLS
    for path in files:
        assert (tmp_path / path.relative_to(sample)).read_bytes() == path.read_bytes()


def test_a_form_whose_files_are_not_here_is_left_out(damaged: Path, block: dict[str, Any]) -> None:
    (damaged / block["plates"]).unlink()

    made = uno_gdsc.shards(native_of(damaged, block), {})

    assert [shard.name for shard in made] == ["ic50.nc"]


def test_without_rdata_the_extra_is_named(
    sample: Path, block: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rdata", None)

    with pytest.raises(CallError, match="rdata") as error:
        uno_gdsc.shards(native_of(sample, block), {})

    assert error.value.hint == "pip install 'sciml-data[uno]'"


def test_more_drugs_than_the_plates_have_are_refused(block: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(CallError, match="no sample can be made with 8 drugs"):
        load_generator("uno_gdsc").write_sample(tmp_path, {**block, "sample": {"drugs": 8}}, 0)


# Damage


@pytest.mark.parametrize(
    ("part", "form", "change"),
    [
        ("lines", "auc", lambda text: text.replace("COSMIC_ID", "NUMBER")),
        ("annotation", "auc", lambda text: text.replace("depMapID", "id")),
        ("ic50", "ic50", lambda text: text.replace("_IC50", "_AUC")),
        ("ic50", "ic50", lambda text: text.replace("\n", ",1\n", 2)),
        ("ic50", "ic50", lambda text: text.splitlines()[0] + "\n"),
        ("ic50", "ic50", lambda _: ""),
    ],
    ids=["lines", "annotation", "drug", "fields", "no row", "empty"],
)
def test_a_damaged_table_is_named(
    damaged: Path, block: dict[str, Any], part: str, form: str, change: Callable[[str], str]
) -> None:
    path = damaged / block[part]
    if path.suffix == ".gz":
        path.write_bytes(
            gzip.compress(change(gzip.decompress(path.read_bytes()).decode()).encode())
        )
    else:
        path.write_text(change(path.read_text()))

    with pytest.raises(NativeFormatError) as error:
        read(native_of(damaged, block), form)

    assert [problem.place for problem in error.value.problems] == [path.name]


def test_a_malformed_ic50_is_named_and_the_rest_goes_through(
    damaged: Path, block: dict[str, Any]
) -> None:
    path = damaged / block["ic50"]
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    lines[2] = lines[2].rpartition(",")[0] + ",much"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))

    dataset = read(native_of(damaged, block), "ic50")

    assert dataset.attrs["rows_malformed"] == 1
    assert f"{path.name}:3" in dataset.attrs["notices"]
    with pytest.raises(NativeFormatError):
        read(native_of(damaged, block), "ic50", strict=True)


def test_a_drug_without_smiles_is_left_out_and_named(damaged: Path, block: dict[str, Any]) -> None:
    path = damaged / block["drug_list"]
    path.write_text(path.read_text().replace("MG-132", "MG-133").replace("mg-132", "mg-133"))

    dataset = read(native_of(damaged, block), "auc")

    assert dataset.sizes["drug"] == DRUGS - 1
    assert "GDSC.1862: MG-132 has no readable SMILES" in dataset.attrs["notices"]


# The real files


def test_the_ccle_is_described_as_in_its_own_dataset(block: dict[str, Any]) -> None:
    ccle = load_descriptor(find_registry(), "uno_ccle", "1.0").native

    assert block["ccle_drugs"] == ccle["drugs"]
    same = ("curves", "response", "expression_images", "expression_table")
    for key in (*same, "smiles_corrected", "cells_without_expression"):
        assert block[key] == ccle[key]
    assert block["ccle_smiles"] == ccle["smiles"]


@pytest.mark.reference
def test_all_213787_ic50_of_the_real_files_are_read(real: Native) -> None:
    dataset = read(real, "ic50")

    counts = [dataset.attrs[name] for name in ("rows_read", "rows_kept", "rows_malformed")]
    assert counts == [213787, 213787, 0]
    assert (dataset.attrs["lines_read"], dataset.attrs["drugs_read"]) == (988, 265)
    assert dataset.sizes["cell"] == 988
    assert int((~dataset["expression"].isnull().all("gene")).sum()) == 363
    assert int((~dataset["descriptors"].isnull().all("descriptor")).sum()) == 242
    canonical = text_of(dataset["cell_canonical"])
    assert sum(not name.startswith("COSMIC:") for name in canonical) == 980
    assert len(set(canonical)) == 988
    ccle = {drug["canonical"] for drug in real.block["ccle_drugs"].values()}
    shared = [name for name in text_of(dataset["drug_canonical"]) if name in ccle]
    assert (len(shared), len(set(shared))) == (17, 15)


@pytest.mark.reference
def test_ic50_of_another_release_confirm_the_join_of_lines(real: Native, shared: Path) -> None:
    dataset = read(real, "ic50")
    folder = shared / "mirror" / "raw.githubusercontent.com" / "kimmo1019" / "DeepCDR"
    (path,) = folder.glob("*/data/CCLE/GDSC_IC50.csv")
    rows = [line.split(",") for line in path.read_text().replace('"', "").splitlines()]
    depmap, drugs = rows[0][1:], [row[0].replace("GDSC:", "GDSC.") for row in rows[1:]]
    other = np.array([[float(v.replace("NA", "nan")) for v in row[1:]] for row in rows[1:]]).T
    table = np.full((988, len(drugs)), np.nan)
    columns = {name: at for at, name in enumerate(drugs)}
    ids = text_of(dataset["drug_id"])
    column = np.array([columns.get(name, -1) for name in ids])[dataset["drug1_index"]]
    known = column >= 0
    table[dataset["cell_index"].values[known], column[known]] = dataset["ln_ic50"].values[known]

    corrected = set(real.block["ccle_names"])
    names, expected = text_of(dataset["cell_name"]), text_of(dataset["depmap_id"])
    has_expression = ~dataset["expression"].isnull().all("gene").values
    nearest = {}
    for row in np.flatnonzero(has_expression):
        both = np.isfinite(table[row]) & np.isfinite(other)
        count = both.sum(1)
        distance = np.where(both, abs(table[row] - other), 0).sum(1) / np.maximum(count, 1)
        nearest[names[row]] = depmap[int(np.where(count < 30, np.inf, distance).argmin())]
    agree = {name for row, name in enumerate(names) if nearest.get(name) == expected[row]}
    by_name = set(nearest) - corrected

    assert (len(by_name), len(by_name & agree)) == (357, 356)
    assert by_name - agree == {"NCI-H1650"}
    assert (set(nearest) & corrected) - agree == {"RKN"}  # its DepMap id is under another name


@pytest.mark.reference
def test_compounds_with_another_cid_have_the_same_skeleton(real: Native) -> None:
    from rdkit import Chem

    inchi_key: Callable[[Any], str] = Chem.MolToInchiKey
    smiles = dict(
        line.split("\t") for line in (real.root / real.block["smiles"]).read_text().splitlines()
    )
    table = (real.root / real.block["ccle_smiles"]).read_text().splitlines()[1:]
    of_ccle = dict(line.split(",", 1) for line in table)
    compounds = {d["canonical"]: d["compound"] for d in real.block["ccle_drugs"].values()}

    def skeleton(text: str) -> str:
        return inchi_key(largest_fragment(text)).partition("-")[0]

    for cid, canonical in real.block["canonical"].items():
        assert skeleton(smiles[cid]) == skeleton(of_ccle[compounds[canonical]])


@pytest.mark.reference
def test_areas_of_the_ccles_curves_are_those_that_were_published(real: Native) -> None:
    from sciml_data.formats.uno_ccle import ccle_names, image_ids
    from sciml_data.formats.uno_gdsc import curve_names

    points = uno_ccle_points(real)
    full = ccle_names(
        image_ids(real, "expression_images"),
        curve_names(real),
        real.block["cells_without_expression"],
    )
    compounds = {name: drug["compound"] for name, drug in real.block["ccle_drugs"].items()}
    rows = read_areas(real, [])
    keys = zip(rows.cell, rows.drug1, rows.measured["auc"], strict=True)
    published = np.array([[points[full[c], compounds[d]], area] for c, d, area in keys])
    difference = published[:, 0] - published[:, 1]

    assert len(published) == 10971
    assert np.corrcoef(published.T)[0, 1] == pytest.approx(0.993, abs=5e-4)
    assert abs(difference).mean() == pytest.approx(0.010, abs=5e-4)
    assert difference.mean() == pytest.approx(0.0045, abs=5e-4)


def uno_ccle_points(native: Native) -> dict[tuple[str, str], float]:
    """Return the area under the fitted curve of each cell line and compound of the CCLE."""
    from sciml_data.formats.uno_ccle import read_points as read_curves

    points = read_curves(native.root / native.block["curves"], [])
    by_doses: dict[tuple[float, ...], list[tuple[tuple[str, str], list[float]]]] = {}
    pairs: dict[tuple[str, str], list[int]] = {}
    for row, pair in enumerate(zip(points.cell, points.compound, strict=True)):
        pairs.setdefault(pair, []).append(row)
    for pair, rows in pairs.items():
        doses = tuple(points.dose[rows].tolist())
        by_doses.setdefault(doses, []).append((pair, (1 + points.activity[rows] / 100).tolist()))
    areas: dict[tuple[str, str], float] = {}
    for doses, curves in by_doses.items():
        fitted = fit_hill(np.array(doses), np.array([values for _, values in curves]))
        areas |= dict(zip([pair for pair, _ in curves], fitted.auc.tolist(), strict=True))
    return areas


@pytest.mark.slow
@pytest.mark.reference
def test_all_873525_wells_of_the_real_plates_are_read(real_both: xr.Dataset) -> None:
    names = ("wells_read", "wells_treated", "plates_read", "lines_read", "drugs_read")
    assert [real_both.attrs[name] for name in names] == [873525, 101985, 1837, 739, 7]
    by_source = json.loads(real_both.attrs["rows_by_source"])
    assert by_source["GDSC"] == {"read": 5155, "cell": 3003, "kept": 2152}
    assert by_source["CCLE"]["read"] == 10971
    assert real_both.sizes["cell"] == 308
    assert real_both.sizes["drug"] == 24 + 7


@pytest.mark.slow
@pytest.mark.reference
def test_the_studies_agree_as_far_as_the_data_card_says(real_both: xr.Dataset) -> None:
    table = np.full((31, 308), np.nan)
    table[real_both["drug1_index"].values, real_both["cell_index"].values] = real_both["auc"].values
    rows = {name: at for at, name in enumerate(text_of(real_both["drug_id"]))}
    agreement = {}
    for ours, theirs in (("GDSC.1060", "CCLE.PD-0325901"), ("GDSC.1036", "CCLE.PLX4720")):
        both = table[[rows[ours], rows[theirs]]]
        both = both[:, np.isfinite(both).all(0)]
        squares = ((both[0] - both[1]) ** 2).mean()
        agreement[ours] = (both.shape[1], np.corrcoef(both)[0, 1].round(3), squares.round(4))

    assert agreement == {"GDSC.1060": (308, 0.664, 0.0208), "GDSC.1036": (301, 0.51, 0.005)}
