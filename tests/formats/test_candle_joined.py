"""The joined file of pandas: entities found again, nothing unpickled, contradictions named."""

from __future__ import annotations

import builtins
import os
import pickle
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sciml_data.errors import CallError, NativeFormatError
from sciml_data.formats import Native, candle_joined
from sciml_data.formats.candle_joined import hdf_store
from sciml_data.formats.candle_joined.format import FeatureTable, canonical_by_features
from sciml_data.formats.drug_response import text_of
from sciml_data.home import DatasetFolder
from sciml_data.ready import convert, open_ready
from sciml_data.registry.descriptor import Descriptor, load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import manifest_of
from sciml_data.registry.stages import Verified
from sciml_data.synthetic import load_generator

SMALL = {"rows": 300, "cells": 6, "drugs": 8}
FILE = "top_21_auc_1fold.uno.h5"
PARTS = {"train": 240, "val": 30, "test": 30}


@pytest.fixture(scope="module")
def descriptor() -> Descriptor:
    found = load_descriptor(find_registry(), "uno_auc", "1.0")
    return replace(found, native={**found.native, "sample": SMALL})


@pytest.fixture(scope="module")
def sample(descriptor: Descriptor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("joined")
    load_generator("candle_joined").write_sample(root, descriptor.native, seed=3)
    return root


@pytest.fixture
def spoilt(sample: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample, tmp_path / "spoilt"))


def read(root: Path, descriptor: Descriptor, **options: Any) -> xr.Dataset:
    native = Native(root, root, descriptor.native, (FILE,))
    (shard,) = candle_joined.shards(native, options)
    return candle_joined.read(native, shard, options)


def write_with_pandas(root: Path, parts: Mapping[str, Any], **options: Any) -> None:
    """Write parts as upstream does: key to frame; strings with room of their own."""
    root.mkdir()
    with pd.HDFStore(str(root / FILE), "w", **options) as file:
        for key, frame in parts.items():
            room = {"Sample": 30, "Drug1": 10} if key.startswith("y") else None
            for half in (frame.iloc[: len(frame) // 2], frame.iloc[len(frame) // 2 :]):
                file.append(key, half, format="table", min_itemsize=room)


def frames(part: str = "train", genes: int = 5) -> dict[str, pd.DataFrame]:
    """Return small tables of a part: three cell lines, two drugs, blank names of descriptors."""
    random = np.random.default_rng(0)
    cells = random.standard_normal((3, genes)).astype(np.float32)
    drugs = random.standard_normal((2, 4)).astype(np.float32)
    cell, drug = np.arange(12) % 3, np.arange(12) // 3 % 2
    responses = {
        "AUC": random.random(12).astype(np.float32),
        "Sample": [f"CCLE.{n}" for n in cell],
        "Drug1": [f"CTRP.{n}" for n in drug],
    }
    return {
        f"x_{part}_0": pd.DataFrame(cells[cell], columns=[f"GE_G{n}" for n in range(genes)]),
        f"x_{part}_1": pd.DataFrame(drugs[drug], columns=[""] * 4),
        f"y_{part}": pd.DataFrame(responses),
    }


def test_every_response_points_at_the_features_it_came_with(
    sample: Path, descriptor: Descriptor
) -> None:
    dataset = read(sample, descriptor)

    cells = dataset["expression"].to_numpy()[dataset["cell_index"]]
    drugs = dataset["descriptors"].to_numpy()[dataset["drug1_index"]]
    first = 0
    with h5py.File(sample / FILE) as file:
        for number, (part, count) in enumerate(PARTS.items()):
            rows = slice(first, first + count)
            np.testing.assert_array_equal(file[f"x_{part}_0/table"]["values_block_0"], cells[rows])
            np.testing.assert_array_equal(file[f"x_{part}_1/table"]["values_block_0"], drugs[rows])
            y = file[f"y_{part}/table"][:]
            np.testing.assert_array_equal(y["values_block_0"][:, 0], dataset["auc"][rows])
            samples = np.array(text_of(dataset["cell_id"]))[dataset["cell_index"][rows]]
            assert y["Sample"].astype(str).tolist() == samples.tolist()
            assert (dataset["published_part"][rows] == number).all()
            first += count
    assert dataset.sizes["response"] == first == dataset.attrs["rows_kept"]


def test_entities_stand_once_and_have_one_name_under_all_ids(
    sample: Path, descriptor: Descriptor
) -> None:
    dataset = read(sample, descriptor)

    names = dict(zip(text_of(dataset["drug_id"]), text_of(dataset["drug_canonical"]), strict=True))
    assert len(set(names)) == dataset.sizes["drug"] > len(set(names.values()))
    assert names["CTRP.1"] == names["NSC.700000"] == names["GDSC.1"] == "CCLE.1"
    assert len(set(text_of(dataset["cell_canonical"]))) <= SMALL["cells"] < dataset.sizes["cell"]
    assert text_of(dataset["source_id"]) == ["CCLE", "CTRP", "GDSC", "NCI60", "gCSI"]
    assert text_of(dataset["gene"])[:2] == ["GENE0001", "GENE0002"]
    assert text_of(dataset["descriptor"])[:2] == ["0", "1"]


def test_it_is_converted_and_opened_as_declared(
    sample: Path, descriptor: Descriptor, tmp_path: Path
) -> None:
    folder = DatasetFolder(tmp_path / "data")
    folder.root.mkdir()
    folder.native.symlink_to(sample)
    verified = Verified(descriptor, folder, manifest_of(sample), is_synthetic=True)

    with open_ready(convert(verified), split="auc") as dataset:
        assert set(descriptor.variables) == set(map(str, dataset.variables))
        assert dataset.sizes["response"] == SMALL["rows"]


def test_pandas_reads_the_sample(sample: Path) -> None:
    expression, responses = (
        pd.read_hdf(str(sample / FILE), key) for key in ("x_train_0", "y_train")
    )

    assert expression.shape == (240, 942)
    assert list(expression.columns[:2]) == ["GE_GENE0001", "GE_GENE0002"]
    assert list(responses.columns) == ["AUC", "Sample", "Drug1"]
    assert str(responses["Sample"].iloc[0]).startswith("CCLE.")


def test_what_pandas_writes_is_read(descriptor: Descriptor, tmp_path: Path) -> None:
    parts = {**frames("train"), **frames("val")}
    write_with_pandas(tmp_path / "pandas", parts)

    dataset = read(tmp_path / "pandas", descriptor)

    assert text_of(dataset["gene"]) == [f"G{n}" for n in range(5)]
    assert text_of(dataset["descriptor"]) == ["0", "1", "2", "3"]
    assert text_of(dataset["cell_id"]) == ["CCLE.0", "CCLE.1", "CCLE.2"]
    assert dataset["published_part"].to_numpy().tolist() == [0] * 12 + [1] * 12
    np.testing.assert_array_equal(dataset["auc"][:12], parts["y_train"]["AUC"])
    np.testing.assert_array_equal(
        dataset["expression"].to_numpy()[dataset["cell_index"][:12]], parts["x_train_0"]
    )
    assert dataset.attrs["notices"] == "the file has no part test"


@pytest.mark.parametrize("library", ["zlib", "blosc:lz4", "blosc2:zstd"])
def test_compressed_files_and_a_field_for_each_column_are_read(
    descriptor: Descriptor, tmp_path: Path, library: str
) -> None:
    pytest.importorskip("hdf5plugin")
    (tmp_path / "one").mkdir()
    parts = frames()
    compression: dict[str, Any] = {"complevel": 9, "complib": library}
    with pd.HDFStore(str(tmp_path / "one" / FILE), "w", **compression) as file:
        file.append("x_train_0", parts["x_train_0"], data_columns=True)
        file.append("x_train_1", parts["x_train_1"])
        file.append("y_train", parts["y_train"])  # texts in blocks, without room of their own

    dataset = read(tmp_path / "one", descriptor)

    assert text_of(dataset["gene"]) == [f"G{n}" for n in range(5)]
    np.testing.assert_array_equal(
        dataset["expression"].to_numpy()[dataset["cell_index"]], parts["x_train_0"]
    )
    assert text_of(dataset["drug_id"]) == ["CTRP.0", "CTRP.1"]


def test_the_compression_that_upstream_s_code_asks_for_is_read(
    spoilt: Path, sample: Path, descriptor: Descriptor
) -> None:
    plugin = pytest.importorskip("hdf5plugin")
    with h5py.File(spoilt / FILE, "r+") as file:
        for key in list(file):
            data, attributes = file[f"{key}/table"][:], dict(file[f"{key}/table"].attrs)
            del file[f"{key}/table"]
            made = file.create_dataset(f"{key}/table", data=data, **plugin.Blosc(cname="snappy"))
            made.attrs.update(attributes)

    assert read(spoilt, descriptor).identical(read(sample, descriptor))


def test_a_compression_without_its_plug_in_says_what_to_install(
    descriptor: Descriptor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_with_pandas(tmp_path / "one", frames(), complevel=9, complib="blosc:lz4")
    found = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name == "hdf5plugin":
            raise ImportError(name)
        return found(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(CallError, match=r"_\w+/table is compressed with blosc .*32001") as error:
        read(tmp_path / "one", descriptor)

    assert error.value.hint == "pip install 'sciml-data[uno]'"


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_nothing_is_unpickled(spoilt: Path, descriptor: Descriptor, tmp_path: Path) -> None:
    trap = np.bytes_(pickle.dumps(Trap(tmp_path / "sprung"), 0))
    with h5py.File(spoilt / FILE, "r+") as file:
        file.create_group("model").attrs["input_features"] = trap
        for key in [key for key in file if key != "model"]:
            file[key].attrs["non_index_axes"] = trap
            file[key].attrs["info"] = trap
            file[f"{key}/table"].attrs["values_block_0_kind"] = trap
        for part in PARTS:
            kind = np.bytes_(pickle.dumps(["AUC"], 0))
            file[f"y_{part}/table"].attrs["values_block_0_kind"] = kind

    dataset = read(spoilt, descriptor)

    assert not (tmp_path / "sprung").exists()
    assert dataset.attrs["rows_kept"] == SMALL["rows"]
    assert text_of(dataset["gene"])[:2] == ["0", "1"]
    pickle.loads(bytes(trap))  # noqa: S301 (the test's own: it does spring)
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("names", [["a", "b"], ["", "", ""], ["a", "b", "a"], ["Äpfel"]])
def test_texts_of_a_pickled_list_are_those_that_went_in(names: list[str], protocol: int) -> None:
    assert hdf_store.texts_of(pickle.dumps(names, protocol)) == names


def test_an_id_with_two_rows_of_features_is_named_and_left_out(
    spoilt: Path, descriptor: Descriptor
) -> None:
    with h5py.File(spoilt / FILE, "r+") as file:
        table = file["x_val_1/table"]
        records = table[:]
        records["values_block_0"][7, :3] += 1
        table[:] = records
        drug = file["y_val/table"]["Drug1"][7].decode()

    dataset = read(spoilt, descriptor)

    said = f"y_val:7: Drug1 {drug} had other features before: 3 columns differ"
    assert dataset.attrs["contradictions"] == said
    assert dataset.attrs["rows_contradicting"] == 1
    assert "1 responses contradict their ids and are left out" in dataset.attrs["notices"]
    assert dataset.sizes["response"] == SMALL["rows"] - 1
    with pytest.raises(NativeFormatError) as error:
        read(spoilt, descriptor, strict=True)
    assert [problem.place for problem in error.value.problems] == ["y_val:7"]


def test_blocks_of_any_size_find_the_same(
    sample: Path, descriptor: Descriptor, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read(sample, descriptor)
    monkeypatch.setattr("sciml_data.formats.candle_joined.format.ROWS_AT_ONCE", 7)

    assert read(sample, descriptor).identical(whole)


def test_a_missing_area_is_dropped_and_counted(spoilt: Path, descriptor: Descriptor) -> None:
    with h5py.File(spoilt / FILE, "r+") as file:
        records = file["y_test/table"][:]
        records["values_block_0"][0] = np.nan
        file["y_test/table"][:] = records

    assert read(spoilt, descriptor).attrs["rows_dropped_reasons"] == '{"value": 1}'


def rename(file: h5py.File) -> None:
    file.move("x_val_1", "x_val_9")


def shorten(file: h5py.File) -> None:
    file["y_test/table"].resize((29,))


def fix(file: h5py.File) -> None:
    del file["x_train_0/table"]
    file["x_train_0/block0_values"] = np.zeros((3, 3))


def empty(file: h5py.File) -> None:
    for key in list(file):
        del file[key]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (rename, "x_val_1  is not in the file"),
        (shorten, "x_test_0 30, x_test_1 30, y_test 29"),
        (fix, "the fixed format is not read"),
        (empty, "the file has none of the parts"),
    ],
)
def test_another_layout_is_refused_by_name(
    spoilt: Path, descriptor: Descriptor, spoil: Callable[[h5py.File], None], said: str
) -> None:
    with h5py.File(spoilt / FILE, "r+") as file:
        spoil(file)

    with pytest.raises(NativeFormatError, match=said):
        read(spoilt, descriptor)


def test_what_is_no_hdf5_and_what_is_not_there_is_said(
    spoilt: Path, descriptor: Descriptor
) -> None:
    (spoilt / FILE).write_bytes(b"<html>not found</html>")
    with pytest.raises(NativeFormatError, match="cannot be read as HDF5"):
        read(spoilt, descriptor)

    with pytest.raises(NativeFormatError, match="is not among the native files"):
        candle_joined.shards(Native(spoilt, spoilt, descriptor.native, ()), {})


def test_an_option_that_there_is_not_is_refused(sample: Path, descriptor: Descriptor) -> None:
    with pytest.raises(CallError, match="did you mean 'strict'"):
        read(sample, descriptor, strct=True)
    with pytest.raises(CallError, match="true or false is expected, not 1"):
        read(sample, descriptor, strict=1)


def test_nothing_and_minus_nothing_are_the_same_features() -> None:
    table = FeatureTable(3)
    rows = np.array([[0.0, np.nan, 1.0], [-0.0, np.nan, 1.0], [0.0, 0.0, 1.0]], np.float32)

    assert table.add(np.array([b"a", b"a", b"a"]), rows).tolist() == [0, 0, 1]
    assert table.add(np.array([b"b"]), rows[1:2]).tolist() == [0]
    assert canonical_by_features(table) == ("a", "a")
