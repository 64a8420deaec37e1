"""The reader of the ALMANAC files: on a look-alike, damaged copies of it, and the real ones."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml_data.bench.interface import load_runner
from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.split import load_split
from sciml_data.bench.task.task import load_task
from sciml_data.bench.task.variants import choose_variant
from sciml_data.errors import CallError, NativeFormatError
from sciml_data.formats import Native, uno_almanac
from sciml_data.formats.drug_response import NO_DRUG, swapped, text_of
from sciml_data.formats.uno_almanac import mean_of_probes
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.synthetic import load_generator
from tests.support import native_files
from tests.support.native_files import link_real_files, read_only_shard
from tests.support.problems import kinds_and_places

pytest.importorskip("rdkit", reason="the extra `uno` is not installed")
pytest.importorskip("rdata", reason="the extra `uno` is not installed")

CELLS, DRUGS, ROWS = 3, 4, 400


@pytest.fixture(scope="module")
def block() -> dict[str, Any]:
    descriptor = load_descriptor(find_registry(), "uno_almanac", "1.0")
    return {**descriptor.native, "sample": {"cells": CELLS, "drugs": DRUGS, "rows": ROWS}}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, block: dict[str, Any]) -> Path:
    root = tmp_path_factory.mktemp("uno_almanac")
    load_generator("uno_almanac").write_sample(root, block, 0)
    return root


@pytest.fixture(scope="module")
def dataset(sample: Path, block: dict[str, Any]) -> xr.Dataset:
    return read(native_of(sample, block))


@pytest.fixture
def damaged(sample: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample, tmp_path / "native"))


@pytest.fixture(scope="session")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    descriptor = load_descriptor(find_registry(), "uno_almanac", "1.0")
    native = link_real_files(descriptor, shared / "mirror", tmp_path_factory.mktemp("real"))
    return read(native, strict=True)


def native_of(root: Path, block: dict[str, Any]) -> Native:
    folder = load_descriptor(find_registry(), "uno_almanac", "1.0").folder
    return native_files.native_of(root, folder=folder, block=block)


def read(native: Native, **options: Any) -> xr.Dataset:
    return read_only_shard(uno_almanac, native, **options)


def test_one_drug_and_two_are_told_apart(dataset: xr.Dataset) -> None:
    is_pair = dataset["drug2_index"].values != NO_DRUG

    assert dataset.attrs["rows_read"] == dataset.attrs["rows_kept"] == ROWS
    assert 0 < int(is_pair.sum()) == dataset.attrs["rows_of_pairs_read"] < ROWS
    assert (np.isfinite(dataset["dose2"].values) == is_pair).all()
    assert text_of(dataset["source_id"]) == ["ALMANAC.1A", "ALMANAC.FF", "ALMANAC.FG"]


def test_drugs_bear_their_numbers_and_cids(dataset: xr.Dataset) -> None:
    assert text_of(dataset["drug_id"]) == ["NSC.409962", "NSC.712807", "NSC.732517", "NSC.743414"]
    assert text_of(dataset["drug_canonical"]) == ["CID:1", "CID:2", "CID:3", "CID:4"]
    assert dataset["fingerprints"].shape == (DRUGS, 256)


def test_cells_are_found_whatever_signs_their_names_have(dataset: xr.Dataset) -> None:
    ids, canonical = text_of(dataset["cell_id"]), text_of(dataset["cell_canonical"])

    assert ids[:3] == ["NCI60.HT29", "NCI60.K-562", "NCI60.MOLT-4"]  # XX:K_562 in the expression
    assert canonical[1] == "K562"
    assert set(dataset["cell_index"].values) == {0, 1, 2}
    assert dataset.sizes["cell"] == 11  # also those without responses


def test_only_genes_of_unos_list_are_kept_unless_all_are_asked_for(
    sample: Path, block: dict[str, Any], dataset: xr.Dataset
) -> None:
    every = read(native_of(sample, block), genes="all")

    assert text_of(dataset["gene"])[:2] == ["GE_AARS", "GE_ABCB6"]
    assert (dataset.sizes["gene"], every.sizes["gene"]) == (6, 50)


def test_a_gene_is_the_mean_of_its_probes() -> None:
    probes = np.array([[1.0, 3.0, 5.0, 9.0]])
    symbols = np.array(["B", "A", "B", None], dtype=object)

    some = mean_of_probes(probes, symbols, ["Z", "B", "A"])
    every = mean_of_probes(probes, symbols, None)

    assert (some.names, some.values.tolist()) == (("GE_B", "GE_A"), [[3.0, 3.0]])
    assert every.names == ("GE_A", "GE_B")


def test_swapping_twice_is_no_change_and_once_exchanges_pairs(dataset: xr.Dataset) -> None:
    once = swapped(dataset)

    is_pair = dataset["drug2_index"].values != NO_DRUG
    assert (once["dose1"].values[is_pair] == dataset["dose2"].values[is_pair]).all()
    assert (once["drug2_index"].values[is_pair] == dataset["drug1_index"].values[is_pair]).all()
    assert (once["drug1_index"].values[~is_pair] == dataset["drug1_index"].values[~is_pair]).all()
    assert once["drug1_index"].dtype == once["drug2_index"].dtype == np.uint16
    xr.testing.assert_identical(swapped(once), dataset)


def test_the_same_seed_gives_the_same_files(
    sample: Path, block: dict[str, Any], tmp_path: Path
) -> None:
    load_generator("uno_almanac").write_sample(tmp_path, block, 0)

    paths = native_of(sample, block).paths
    assert all((tmp_path / path).read_bytes() == (sample / path).read_bytes() for path in paths)


@pytest.mark.parametrize("options", [{"gene": "uno"}, {"genes": "some"}, {"strict": "yes"}])
def test_other_options_are_named(
    sample: Path, block: dict[str, Any], options: dict[str, Any]
) -> None:
    with pytest.raises(CallError, match=next(iter(options))):
        uno_almanac.shards(native_of(sample, block), options)


@pytest.mark.parametrize("package", ["rdata", "rdkit"])
def test_without_a_package_the_extra_is_named(
    sample: Path, block: dict[str, Any], monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)

    with pytest.raises(CallError, match=r"pip install 'sciml-data\[uno\]'"):
        uno_almanac.shards(native_of(sample, block), {})


@pytest.mark.parametrize("size", [{"cells": 12}, {"drugs": 1}, {"drugs": 11}, {"pairs": 5}])
def test_a_sample_of_an_impossible_size_is_refused(
    block: dict[str, Any], tmp_path: Path, size: dict[str, int]
) -> None:
    with pytest.raises(CallError, match="sample"):
        load_generator("uno_almanac").write_sample(tmp_path, {**block, "sample": size}, 0)


@pytest.mark.parametrize("part", ["responses", "expression"])
@pytest.mark.parametrize("left", [0, 40, 1000])
def test_a_cut_r_file_is_named(damaged: Path, block: dict[str, Any], part: str, left: int) -> None:
    path = damaged / block[part]
    path.write_bytes(path.read_bytes()[:left])

    with pytest.raises(NativeFormatError) as error:
        read(native_of(damaged, block))
    assert kinds_and_places(error) == [("damaged", path.name)]


def test_an_r_file_of_something_else_is_refused(damaged: Path, block: dict[str, Any]) -> None:
    shutil.copy(damaged / block["expression"], damaged / block["responses"])

    with pytest.raises(NativeFormatError, match="no rowKey, treatment1id"):
        read(native_of(damaged, block))


def test_a_file_that_is_not_here_is_named(damaged: Path, block: dict[str, Any]) -> None:
    (damaged / block["smiles"]).unlink()

    with pytest.raises(NativeFormatError, match=r"missing +panthera/SMILES_ALMANAC\.csv"):
        uno_almanac.shards(native_of(damaged, block), {})


def test_an_empty_table_of_smiles_is_refused(damaged: Path, block: dict[str, Any]) -> None:
    (damaged / block["smiles"]).write_text("")

    with pytest.raises(NativeFormatError, match="is empty"):
        read(native_of(damaged, block))


def test_a_drug_without_smiles_is_left_out_and_counted(
    damaged: Path, block: dict[str, Any]
) -> None:
    for part in ("smiles", "drug_list"):
        path = damaged / block[part]
        lines = path.read_text().splitlines()
        kept = [line for line in lines if "409962" not in line and "Carmustine" not in line]
        path.write_text("\n".join(kept) + "\n")

    dataset = read(native_of(damaged, block))

    assert "NSC.409962" not in text_of(dataset["drug_id"])
    assert (
        "NSC.409962: 1,3-Bis(2-chloroethyl)-1-nitrosourea has no SMILES"
        in (dataset.attrs["notices"])
    )
    lost = json.loads(dataset.attrs["rows_dropped_reasons"])
    assert lost["drug1"] > 0
    assert lost["drug2"] > 0
    assert sum(lost.values()) == dataset.attrs["rows_dropped"] < ROWS
    with pytest.raises(NativeFormatError, match=r"smiles +NSC\.409962"):
        read(native_of(damaged, block), strict=True)


def test_a_drug_that_the_descriptor_does_not_know_is_named(
    sample: Path, block: dict[str, Any]
) -> None:
    drugs = {name: one for name, one in block["drugs"].items() if name != "Capecitabine"}

    dataset = read(native_of(sample, {**block, "drugs": drugs}))

    assert "Capecitabine: drug without features: its rows are left out" in dataset.attrs["notices"]


def test_another_number_than_the_file_has_is_refused(sample: Path, block: dict[str, Any]) -> None:
    drugs = block["drugs"] | {"Capecitabine": {"nsc": "1", "name": "Capecitabine"}}

    with pytest.raises(NativeFormatError, match="712807") as error:
        read(native_of(sample, {**block, "drugs": drugs}))
    assert kinds_and_places(error) == [("number", "nci_TRE_small.rda: rowData$NSC2")]


def test_a_key_that_leads_nowhere_is_a_malformed_row(
    sample: Path, block: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = uno_almanac._frames

    def lost(path: Path) -> Any:
        treatments, samples, assays, index = honest(path)
        index["colKey"][6] = 99
        return treatments, samples, assays, index

    monkeypatch.setattr(uno_almanac, "_frames", lost)

    dataset = read(native_of(sample, block))

    assert dataset.attrs["rows_read"] == ROWS - 1
    assert dataset.attrs["malformed_rows"] == (
        "nci_TRE_small.rda: measurement 7: leads to no colKey"
    )


# The real files


@pytest.mark.reference
def test_all_9288_measurements_of_the_real_files_are_read(real: xr.Dataset) -> None:
    assert (real.attrs["rows_read"], real.attrs["rows_kept"]) == (9288, 9288)
    assert real.attrs["rows_of_pairs_read"] == 1368
    assert json.loads(real.attrs["rows_by_source"]) == {
        "ALMANAC.1A": {"read": 240, "kept": 240},
        "ALMANAC.FF": {"read": 8742, "kept": 8742},
        "ALMANAC.FG": {"read": 306, "kept": 306},
    }
    assert dict(real.sizes) | {"descriptor": 0} == {
        "response": 9288,
        "source": 3,
        "study": 631,
        "cell": 59,
        "gene": 915,
        "drug": 10,
        "descriptor": 0,
        "byte": 256,
    }
    used = {text_of(real["cell_id"])[cell] for cell in set(real["cell_index"].values.tolist())}
    assert used == {"NCI60.HT29", "NCI60.K-562", "NCI60.MOLT-4", "NCI60.PC-3", "NCI60.SR"}
    assert float(real["growth"].min()) == -1.0
    assert float(real["growth"].max()) == pytest.approx(2.0092)
    assert not real["expression"].isnull().any()
    assert not real["descriptors"].isnull().any()


@pytest.mark.reference
def test_a_real_pair_and_its_swap_are_the_same_point_where_both_were_measured(
    real: xr.Dataset,
) -> None:
    def points(dataset: xr.Dataset) -> Counter[tuple[float, ...]]:
        names = ("cell_index", "drug1_index", "dose1", "drug2_index", "dose2")
        is_pair = dataset["drug2_index"].values != NO_DRUG
        columns = [dataset[name].values[is_pair].tolist() for name in names]
        return Counter(zip(*columns, strict=True))

    straight, other_way = points(real), points(swapped(real))

    assert len(straight) == straight.total() == 1368  # each point once
    assert not straight & other_way  # the screen lists a pair one way only: none was in both orders
    pairs = {frozenset(point[1:4:2]) for point in straight}
    assert len(pairs) == 31
    xr.testing.assert_identical(swapped(swapped(real)), real)


@pytest.mark.reference
@pytest.mark.parametrize("model", ["pooled", "reference"])
def test_each_network_says_the_same_of_a_real_pair_and_its_swap(
    real: xr.Dataset, model: str
) -> None:
    pytest.importorskip("tensorflow")
    straight, other_way = (problem_on(dataset, model) for dataset in (real, swapped(real)))
    pairs = np.flatnonzero(straight.responses.drugs[:, 1] >= 0)
    network = straight.build()
    random = np.random.default_rng(5)
    for weight in network.trainable_variables:  # untrained it says nothing but its base
        weight.assign(weight + random.normal(0, 0.1, weight.shape))

    one, other = (
        np.asarray(network(problem.rows.inputs(pairs)))[:, 0] for problem in (straight, other_way)
    )

    assert len(pairs) == 1368
    assert one == pytest.approx(other, rel=1e-5, abs=1e-5)
    assert one.std() > 0.01  # it tells pairs apart
    for part, rows in straight.division.parts.items():
        assert rows.tolist() == other_way.division.parts[part].tolist()


def problem_on(dataset: xr.Dataset, model: str) -> Any:
    """Return the benchmark on the split by pairs, with small networks."""
    runner = find_registry().runner("uno")
    task = choose_variant(load_task(runner), "dose")
    small = ("tower_widths=8,7,6", "head_widths=6,5", "cell_widths=8", "drug_widths=8")
    settings = resolve_settings(task, small, model=model, split="drug_pair")
    module = load_runner(find_registry(), "uno")
    return module.prepare(dataset, load_split(runner, "drug_pair"), settings)
