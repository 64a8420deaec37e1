"""Granules become ready scenes; every deviation of a granule is reported with file and key."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from sciml_data.errors import CallError, NativeFormatError
from sciml_data.formats import Native, load_format, slstr_hdf5
from sciml_data.formats.slstr_hdf5 import (
    BAYES_BITS,
    FLAGS,
    REFLECTIVE,
    SCENE,
    SOLAR_IRRADIANCE,
    Options,
    parse_granule_name,
    solar_irradiance,
    sun_distance,
)
from sciml_data.formats.slstr_hdf5.ready import _crop
from sciml_data.home import DatasetFolder
from sciml_data.ready import convert, ready_folder, write_netcdf
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import hash_file, manifest_of
from sciml_data.registry.options import parse_options
from sciml_data.registry.stages import Verified
from sciml_data.synthetic import load_generator
from tests.support.native_files import reopened
from tests.support.slstr_scenes import SHAPE, native_of, scene_path, shard_of, write_scenes

Change = Callable[[h5py.File], None]


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Native:
    return write_scenes(tmp_path_factory.mktemp("scenes"))


@pytest.fixture
def one(native: Native, tmp_path: Path) -> tuple[Path, str]:
    """Return a copy of the first training scene, a day, in a folder of its own: root and path."""
    place = scene_path(native, 0)
    (tmp_path / "native" / "training").mkdir(parents=True)
    shutil.copy(native.root / place, tmp_path / "native" / place)
    return tmp_path / "native", place


@pytest.mark.parametrize("number", [0, 1, 4, 6])
def test_ready_scenes_hold_what_the_native_files_hold(
    native: Native, tmp_path: Path, number: int
) -> None:
    shard = shard_of(native, number)
    ready = reopened(slstr_hdf5.read(native, shard, {}), tmp_path / shard.name)
    with h5py.File(native.root / shard.inputs[0]) as file:
        rows = len(file["bts"])
        values = {key: file[key][...] for key in file}
    valid = ready["valid"].values[0, :rows] == 1

    assert ready["reflectance"].dtype == ready["brightness_temperature"].dtype == np.float32
    for name, key, most in (
        ("brightness_temperature", "bts", 4e-5),
        ("reflectance", "refs", 2.6e-5),
    ):
        error = abs(ready[name].values[0, :rows] - values[key])[valid]
        assert np.nanmax(error) <= most
        missing = np.isnan(values[key])  # S7 where it is out of its range
        assert (np.isnan(ready[name].values[0, :rows]) == missing)[valid].all()
    assert ((values["bayes"][..., 0] > 0) == ready["cloud"].values[0, :rows])[valid].all()
    assert (
        (ready["flags"].values & FLAGS["summary_cloud"] > 0)[0, :rows] == values["summary"][..., 0]
    ).all()


def test_missing_is_missing_and_never_a_label(native: Native, tmp_path: Path) -> None:
    ready = reopened(slstr_hdf5.read(native, shard_of(native, 0), {}), tmp_path / "a.nc")
    unfilled = np.zeros(SHAPE[1], bool)
    unfilled[[0, 1, -1]] = True  # 26 and 14 of 1500 columns

    assert (np.isnan(ready["reflectance"].values[0]).all(axis=(0, 2)) == unfilled).all()
    assert (np.isnan(ready["brightness_temperature"].values[0]).all(axis=(0, 2)) == unfilled).all()
    assert ((ready["cloud"].values[0] == 255).all(axis=0) == unfilled).all()
    assert ((ready["valid"].values[0] == 0).all(axis=0) == unfilled).all()


def test_a_pixel_that_lacks_s7_alone_is_valid(one: tuple[Path, str]) -> None:
    _edit(one, _hot)
    native = native_of(one[0])
    (shard,) = slstr_hdf5.shards(native, {})
    ready = slstr_hdf5.read(native, shard, {})
    pixel = ready.isel(row=slice(20, 30), column=slice(20, 30))

    assert np.isnan(pixel["brightness_temperature"].values[..., 0]).all()
    assert np.isfinite(pixel["brightness_temperature"].values[..., 1:]).all()
    assert not (pixel["flags"].values & FLAGS["unfilled"]).any()
    assert pixel["valid"].values.all()


def _hot(file: h5py.File) -> None:
    file["bts"][20:30, 20:30, 0] = np.nan


def test_a_mask_that_was_not_computed_is_no_cloud_for_a_reader_of_cf_flags(
    native: Native, tmp_path: Path
) -> None:
    ready = reopened(slstr_hdf5.read(native, shard_of(native, 0), {}), tmp_path / "a.nc")
    bayes, about = ready["bayes"].values, ready["bayes"].attrs
    # CF 1.11, 3.5: with masks and values, a flag is set where value AND mask is the flag's value.
    decoded = {
        word: (bayes & mask) == value
        for word, mask, value in zip(
            about["flag_meanings"].split(), about["flag_masks"], about["flag_values"], strict=True
        )
    }

    assert (decoded.pop("not_computed") == (bayes == 255)).all()
    assert (bayes == 255).any()
    for word, bit in BAYES_BITS.items():
        assert (decoded[word] == ((bayes & bit > 0) & (bayes != 255))).all()
        assert decoded[word].any() == (bayes[bayes != 255] & bit > 0).any()
    assert about["ancillary_variables"] in ready.variables


def test_a_short_granule_is_padded_and_says_so(native: Native) -> None:
    ready = slstr_hdf5.read(native, shard_of(native, 6), {})
    added = ready.isel(row=slice(SHAPE[0] - 2, None))

    assert {"row": SHAPE[0], "column": SHAPE[1]}.items() <= ready.sizes.items()
    assert [SHAPE[0] - 2] == ready["native_rows"].values.tolist()
    assert (added["flags"].values & FLAGS["padded"] > 0).all()
    assert not added["valid"].values.any()
    assert not (ready["flags"].values[0, : SHAPE[0] - 2] & FLAGS["padded"]).any()


def test_light_orbit_and_time_are_told(native: Native) -> None:
    ready = [slstr_hdf5.read(native, shard_of(native, number), {}) for number in range(5)]
    name = parse_granule_name(scene_path(native, 0))

    assert [int(scene["illumination"][0]) for scene in ready[:4]] == [2, 0, 2, 0]
    assert name is not None
    assert (name.orbit, name.frame) == (int(ready[0]["orbit"][0]), int(ready[0]["frame"][0]))
    assert np.datetime64(name.start) == ready[0]["time"].values[0]
    assert ready[0]["orbit"].values == ready[1]["orbit"].values


def test_the_last_light_is_flagged_where_no_reflectance_has_room(native: Native) -> None:
    ready = slstr_hdf5.read(native, shard_of(native, 4), {})
    beyond = ready["flags"].values & FLAGS["beyond_range"] > 0
    with h5py.File(native.root / scene_path(native, 4)) as file:
        refs = file["refs"][...].astype(np.float32)
    steps = np.float32(32767 * 5e-5)  # what 16 bits hold on either side of 1.5
    too_bright = (abs(refs - np.float32(1.5)) > steps).any(-1)

    assert (beyond[0] == too_bright).all()
    assert not (beyond & (ready["valid"].values == 1)).any()


@pytest.mark.parametrize(
    ("bits", "mask"),
    [(list(BAYES_BITS), 15), (["single_moderate"], 2), ("dual_low, single_low", 5)],
)
def test_chosen_bits_make_the_label(native: Native, bits: Any, mask: int) -> None:
    ready = slstr_hdf5.read(native, shard_of(native, 0), {"bayes_bits": bits})
    given = ready["bayes"].values
    expected = np.where(given == 255, 255, given & mask > 0)

    assert (expected == ready["cloud"].values).all()


def test_the_summary_can_be_the_label(native: Native) -> None:
    ready = slstr_hdf5.read(native, shard_of(native, 0), {"label": "summary"})
    known = ready["flags"].values & FLAGS["unfilled"] == 0
    summary = ready["flags"].values & FLAGS["summary_cloud"] > 0

    assert (np.where(known, summary, 255) == ready["cloud"].values).all()


def test_a_mask_that_was_not_computed_is_no_cloud(one: tuple[Path, str]) -> None:
    root, place = one
    with h5py.File(root / place, "r+") as file:
        file["bayes"][...] = 255
    native = native_of(root)
    (shard,) = slstr_hdf5.shards(native, {})

    by_bayes = slstr_hdf5.read(native, shard, {})
    by_summary = slstr_hdf5.read(native, shard, {"label": "summary"})

    assert {255} == set(np.unique(by_bayes["cloud"]).tolist())
    assert not by_bayes["valid"].values.any()
    assert by_summary["valid"].values.mean() > 0.9


def test_what_makes_a_pixel_invalid_can_be_chosen(native: Native) -> None:
    strict = slstr_hdf5.read(native, shard_of(native, 1), {"exclude": "unfilled,unlit"})
    lenient = slstr_hdf5.read(native, shard_of(native, 1), {"exclude": []})

    assert not strict["valid"].values.any()
    assert lenient["valid"].values.all()


def test_the_references_crop_is_of_training_scenes_only(tmp_path: Path) -> None:
    block = {"sample": {"count": {"training": 1, "inference": 1}, "shape": [300, 320]}}
    load_generator("slstr_hdf5").write_sample(tmp_path, block, seed=0)
    native, options = native_of(tmp_path), {"training_crop": "reference"}
    inference, training = slstr_hdf5.shards(native, options)

    cropped = slstr_hdf5.read(native, training, options)
    whole = slstr_hdf5.read(native, inference, options)

    assert (training.split, inference.split) == ("training", "inference")
    assert (
        *cropped["cloud"].shape[1:],
        int(cropped["row"][0]),
        int(cropped["column"][0]),
    ) == (256, 256, 22, 32)
    assert whole["cloud"].shape[1:] == (300, 320)
    assert whole["reflectance"].encoding["chunksizes"] == (1, 256, 256, 6)


def test_the_references_crop_of_a_whole_granule_is_the_published_one() -> None:
    assert (slice(88, 1112), slice(110, 1390)) == (_crop(1200), _crop(1500))


def test_writing_twice_gives_the_same_bytes(native: Native, tmp_path: Path) -> None:
    for turn in ("a.nc", "b.nc"):
        dataset = slstr_hdf5.read(native, shard_of(native, 4), {"compression": "gzip"})
        write_netcdf(dataset, tmp_path / turn)

    assert hash_file(tmp_path / "a.nc") == hash_file(tmp_path / "b.nc")


def test_splits_are_those_of_the_descriptor_whatever_the_folders(native: Native) -> None:
    everything = replace(native, splits={"all": ["**"]})

    by_split = Counter(shard.split for shard in slstr_hdf5.shards(native, {}))
    together = slstr_hdf5.shards(everything, {})

    assert by_split == {"training": 5, "inference": 2}
    assert {shard.split for shard in together} == {"all"}
    assert all(shard.name.startswith("all-") for shard in together)


def test_channels_are_packed_and_masks_are_not_filled(native: Native, tmp_path: Path) -> None:
    slstr_hdf5.read(native, shard_of(native, 0), {}).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")

    with h5py.File(tmp_path / "a.nc") as file:
        assert (np.int16, None, (1, *SHAPE, 6)) == (
            file["reflectance"].dtype,
            file["reflectance"].compression,
            file["reflectance"].chunks,
        )
        assert "_FillValue" not in file["cloud"].attrs
        assert file.attrs["Conventions"] == "CF-1.11"


def test_scenes_of_a_split_open_as_one_dataset(native: Native, tmp_path: Path) -> None:
    pytest.importorskip("dask")
    paths = []
    for number in (5, 6):
        shard = shard_of(native, number)
        paths.append(tmp_path / shard.name)
        slstr_hdf5.read(native, shard, {}).to_netcdf(paths[-1], engine="h5netcdf")

    with xr.open_mfdataset(
        paths,
        engine="h5netcdf",
        combine="nested",
        concat_dim=SCENE,
        chunks={},
    ) as opened:
        assert (2, *SHAPE) == opened["cloud"].shape
        assert opened["reflective_wavelength"].dims == ("reflective_band",)


def test_irradiance_follows_the_distance_of_the_sun() -> None:
    """Distances are solar_path_tn of two real granules, in 1e11 m; perihelion is in January."""
    astronomical_unit = 1.495978707
    for text, metres in (("2017-03-13T11:03", 1.48700), ("2017-03-15T11:34", 1.48783)):
        distance = sun_distance(datetime.fromisoformat(text))
        assert distance == pytest.approx(metres / astronomical_unit, abs=5e-5)
    july, january = (
        solar_irradiance(datetime.fromisoformat(f"2019-{day}"))["S1"] / SOLAR_IRRADIANCE["S1"]
        for day in ("07-04", "01-03")
    )

    assert (july, january) == pytest.approx((0.957, 1.023), abs=5e-4)


# Deviations of granules, and options


def problems_of(root: Path, options: Mapping[str, Any] | None = None) -> list[tuple[str, str]]:
    """Return kind and key of everything that is said of the files in a folder."""
    native = native_of(root)
    try:
        for shard in slstr_hdf5.shards(native, options or {}):
            slstr_hdf5.read(native, shard, options or {})
    except NativeFormatError as error:
        return [(problem.kind, problem.place.rpartition(":")[2]) for problem in error.problems]
    return []


def _edit(one: tuple[Path, str], change: Change) -> None:
    with h5py.File(one[0] / one[1], "r+") as file:
        change(file)


def _put(file: h5py.File, key: str, values: NDArray[Any]) -> None:
    del file[key]
    file[key] = values


def _scaled(key: str, factor: float, shift: float = 0.0) -> Change:
    return lambda file: _put(file, key, file[key][...] * factor + shift)


def _as(key: str, dtype: str) -> Change:
    return lambda file: _put(file, key, np.nan_to_num(file[key][...]).astype(dtype))


def _radiance(file: h5py.File) -> None:
    _put(file, "refs", file["rads"][...].astype(np.float64))


def _swapped(file: h5py.File) -> None:
    _put(file, "refs", file["refs"][...][..., ::-1])


def _bit_14(file: h5py.File) -> None:
    file["summary"][...] = file["summary"][...] * 16384


def _delete(file: h5py.File) -> None:
    del file["summary"]


def _add(file: h5py.File) -> None:
    file["probability"] = np.zeros(3)


def _spare(file: h5py.File) -> None:
    file["bayes"][5, 5] = 17


def _hole(file: h5py.File) -> None:
    file["bts"][10:80] = np.nan


DEVIATIONS: dict[str, tuple[Change, tuple[str, str]]] = {
    "a key is missing": (_delete, ("missing", "summary")),
    "a key too many": (_add, ("unexpected", "probability")),
    "too few rows": (lambda f: _put(f, "bts", f["bts"][4:]), ("shape", "bts")),
    "too few bands": (lambda f: _put(f, "refs", f["refs"][..., :4]), ("shape", "refs")),
    "integers for kelvin": (_as("bts", "int16"), ("dtype", "bts")),
    "signed bits": (_as("bayes", "int64"), ("dtype", "bayes")),
    "radiance for reflectance": (_radiance, ("quantity", "refs")),
    "neither radiance nor reflectance": (_swapped, ("quantity", "refs")),
    "celsius for kelvin": (_scaled("bts", 1, -273.15), ("range", "bts")),
    "packed numbers for kelvin": (_scaled("bts", 100), ("range", "bts")),
    "mostly holes": (_hole, ("finite", "bts")),
    "spare bits": (_spare, ("bits", "bayes")),
    "a summary of bits": (_bit_14, ("values", "summary")),
    "a summary of fractions": (_scaled("summary", 0.5), ("dtype", "summary")),
}


@pytest.mark.parametrize("what", DEVIATIONS)
def test_every_deviation_is_reported_with_its_key(one: tuple[Path, str], what: str) -> None:
    change, expected = DEVIATIONS[what]

    assert problems_of(one[0]) == []
    _edit(one, change)

    assert expected in problems_of(one[0])


def test_all_deviations_of_all_files_are_told_at_once_and_the_others_are_made(
    native: Native, tmp_path: Path
) -> None:
    folder = DatasetFolder(tmp_path)
    shutil.copytree(native.root, folder.native)
    changed = {scene_path(native, number): change for number, change in ((0, _delete), (1, _add))}
    for place, change in changed.items():
        _edit((folder.native, place), change)
    torn = scene_path(native, 5)
    (folder.native / torn).write_bytes(b"no HDF5")
    descriptor = load_descriptor(find_registry(), "cloud_slstr_ds1", "1.0")

    with pytest.raises(NativeFormatError) as error:
        convert(Verified(descriptor, folder, manifest_of(folder.native), is_synthetic=True))

    assert {torn, *changed} == {
        problem.place.partition(".hdf")[0] + ".hdf" for problem in error.value.problems
    }
    assert sorted(p.kind for p in error.value.problems) == ["missing", "unexpected", "unreadable"]
    assert "3 of 7 ready files" in error.value.message
    ready = ready_folder(folder, {})
    assert len(list(ready.glob("*.nc"))) == 4
    listed = (ready / "problems.txt").read_text(encoding="utf-8").splitlines()
    assert [str(problem) for problem in error.value.problems] == listed


def test_names_that_are_no_granules_are_told_at_once_before_any_is_opened(
    one: tuple[Path, str],
) -> None:
    root, place = one
    for name in ("training/scene.hdf", "training/notes.txt", f"elsewhere/{Path(place).name}"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"")

    assert problems_of(root) == [
        ("split", f"elsewhere/{Path(place).name}"),
        ("unexpected", "training/notes.txt"),
        ("name", "training/scene.hdf"),
    ]


def test_a_granule_that_stands_twice_in_a_split_is_reported(one: tuple[Path, str]) -> None:
    root, place = one
    (root / "training" / "night").mkdir()
    shutil.copy(root / place, root / "training" / "night")

    assert {"name"} == {kind for kind, _ in problems_of(root)}


def test_a_descriptor_may_tolerate_harmless_kinds_only(one: tuple[Path, str]) -> None:
    _edit(one, _spare)
    _edit(one, _add)
    block = {"tolerates": ["bits", "unexpected", "missing"]}
    native = native_of(one[0], block)
    (shard,) = slstr_hdf5.shards(native, {})

    ready = slstr_hdf5.read(native, shard, {})
    assert ready["bayes"].values[0, 5, 5] == 17

    _edit(one, _delete)
    with pytest.raises(NativeFormatError, match="summary"):
        slstr_hdf5.read(native, shard, {})


def test_radiance_is_accepted_where_it_is_said_and_made_comparable(one: tuple[Path, str]) -> None:
    root, place = one
    with h5py.File(root / place) as file:
        radiance = file["rads"][...]
    assert ("quantity", "refs") in problems_of(root, {"refs": "radiance"})

    _edit(one, _radiance)
    native = native_of(root)
    (shard,) = slstr_hdf5.shards(native, {})
    ready = slstr_hdf5.read(native, shard, {"refs": "radiance"})

    start = ready["time"].values[0].astype("M8[us]").item()
    irradiance = np.array([solar_irradiance(start)[band] for band in REFLECTIVE])
    np.testing.assert_allclose(ready["solar_irradiance"].values[0], irradiance, rtol=1e-6)
    valid = ready["valid"].values[0] == 1
    expected = (np.pi * radiance / irradiance)[valid]
    np.testing.assert_allclose(
        ready["reflectance"].values[0][valid], expected, rtol=1e-5, atol=1e-7
    )
    assert "standard_name" not in ready["reflectance"].attrs


def test_unknown_options_are_refused_with_the_nearest_all_at_once() -> None:
    wrong = {"lable": "bayes", "label": "bayse", "bayes_bits": "single_hi", "exclude": 3}

    with pytest.raises(CallError) as error:
        parse_options(Options, wrong)

    assert {problem.place for problem in error.value.problems} == {
        "lable",
        "label",
        "bayes_bits",
        "exclude",
    }
    assert "did you mean 'label'" in str(error.value)
    assert "did you mean 'bayes'" in str(error.value)


def test_the_order_of_words_makes_no_other_options() -> None:
    assert parse_options(Options, {"bayes_bits": "dual_low,single_low"}) == parse_options(
        Options, {"bayes_bits": ["single_low", "dual_low"]}
    )


def test_the_reader_is_found_by_its_name() -> None:
    assert slstr_hdf5 is load_format("slstr_hdf5")
