from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from sciml_data.convert import make_shard
from sciml_data.errors import CallError, NativeFormatError
from sciml_data.manifest import hash_file, manifest_of
from sciml_data.readers import Native, Shard, load_reader, slstr_hdf5
from sciml_data.readers.slstr_hdf5 import orbit, sample
from sciml_data.readers.slstr_hdf5.channels import REFLECTIVE, SOLAR_IRRADIANCE
from sciml_data.readers.slstr_hdf5.granule_name import parse_granule_name
from sciml_data.readers.slstr_hdf5.label import bayes_bits
from sciml_data.readers.slstr_hdf5.options import BAYES_BITS, FLAGS, parse_options
from sciml_data.readers.slstr_hdf5.ready import _crop
from sciml_data.readers.slstr_hdf5.scene import Scene, make_scene
from sciml_data.readers.slstr_hdf5.scene_variables import SCENE

SHAPE = (96, 112)
SAMPLE = {"count": {"training": 5, "inference": 2}, "shape": list(SHAPE)}
REAL = (
    "S3A_SL_1_RBT____20170315T113420_20170315T113720_20170315T135348_0179_015_237_1439_SVL_O_NR_002"
)
Change = Callable[[h5py.File], None]


def native_of(root: Path, block: Mapping[str, Any] | None = None) -> Native:
    """Return what a reader sees of a folder."""
    paths = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
    return Native(root, root, block or {}, tuple(paths))


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Native:
    """Return a sample with day, night, glint, night, twilight / day and a short night."""
    root = tmp_path_factory.mktemp("scenes")
    slstr_hdf5.write_sample(root, {"sample": SAMPLE}, seed=4)
    return native_of(root)


@pytest.fixture
def one(native: Native, tmp_path: Path) -> tuple[Path, str]:
    """Return a copy of the first training scene, a day, in a folder of its own: root and path."""
    place = scene_path(native, 0)
    (tmp_path / "native" / "training").mkdir(parents=True)
    shutil.copy(native.root / place, tmp_path / "native" / place)
    return tmp_path / "native", place


def scene_path(native: Native, number: int) -> str:
    """Return the path of a scene of the sample; its stem follows from seed and number."""
    random = np.random.default_rng([4, number])
    at, start_s = sample._pass_of(random, number, seed=4)
    is_short = number % sample.SHORT_EVERY == sample.SHORT_EVERY - 1
    stem = sample._name(at, start_s, orbit.GRANULE_S - is_short).stem
    return next(path for path in native.paths if stem in path)


def shard_of(native: Native, number: int) -> Shard:
    path = scene_path(native, number)
    return next(shard for shard in slstr_hdf5.shards(native, {}) if shard.inputs == (path,))


def reopened(dataset: xr.Dataset, path: Path) -> xr.Dataset:
    dataset.to_netcdf(path, engine="h5netcdf")
    with xr.open_dataset(path, engine="h5netcdf") as found:
        return found.load()


def problems_of(root: Path, options: Mapping[str, Any] | None = None) -> list[tuple[str, str]]:
    """Return kind and key of everything that is said of the files in a folder."""
    native = native_of(root)
    try:
        for shard in slstr_hdf5.shards(native, options or {}):
            slstr_hdf5.read(native, shard, options or {})
    except NativeFormatError as error:
        return [(problem.kind, problem.place.rpartition(":")[2]) for problem in error.problems]
    return []


# --- the sample ---------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes(native: Native, tmp_path: Path) -> None:
    slstr_hdf5.write_sample(tmp_path, {"sample": SAMPLE}, seed=4)

    assert manifest_of(native.root) == manifest_of(tmp_path)


def test_another_seed_gives_other_scenes(native: Native, tmp_path: Path) -> None:
    slstr_hdf5.write_sample(tmp_path, {"sample": SAMPLE}, seed=5)

    assert not {e.hash for e in manifest_of(native.root)} & {e.hash for e in manifest_of(tmp_path)}


def test_a_scene_depends_on_its_number_only(native: Native, tmp_path: Path) -> None:
    alone = sample.write_scene(tmp_path, 4, 3, "training", SHAPE, "training")

    assert hash_file(native.root / scene_path(native, 3)) == hash_file(alone)


def test_two_processes_make_the_same_sample(native: Native, tmp_path: Path) -> None:
    slstr_hdf5.write_sample(tmp_path, {"sample": SAMPLE | {"processes": 2}}, seed=4)

    assert manifest_of(native.root) == manifest_of(tmp_path)


def test_no_two_of_many_scenes_have_one_name() -> None:
    names = [
        sample._pass_of(np.random.default_rng([0, number]), number, seed=0)
        for number in range(0, 2000, 7)
    ]

    assert len(set(names)) == len(names)


def test_a_file_is_as_large_as_a_published_one_for_its_pixels(native: Native) -> None:
    """167,404,096 bytes for 1200 x 1500 pixels: 93 bytes each, and 4096 of HDF5."""
    assert 93 * 1200 * 1500 + 4096 == 167_404_096
    assert 93 * SHAPE[0] * SHAPE[1] + 4096 == (native.root / scene_path(native, 0)).stat().st_size


def test_both_folder_namings_make_the_same_splits(tmp_path: Path) -> None:
    older = SAMPLE | {"naming": "one-day"}
    slstr_hdf5.write_sample(tmp_path / "new", {"sample": SAMPLE}, seed=1)
    slstr_hdf5.write_sample(tmp_path / "old", {"sample": older}, seed=1)

    new, old = (native_of(tmp_path / name) for name in ("new", "old"))

    assert {"one-day/day", "one-day/night", "ssts/day", "ssts/night"} == {
        path.rpartition("/")[0] for path in old.paths
    }
    assert {(s.name, s.split) for s in slstr_hdf5.shards(new, {})} == {
        (s.name, s.split) for s in slstr_hdf5.shards(old, {})
    }


def test_a_sample_that_cannot_be_is_refused(tmp_path: Path) -> None:
    wrong = {"count": {"trainig": 1}, "shape": [8, 8], "naming": "other"}

    with pytest.raises(CallError, match=r"count .* shape .* naming"):
        slstr_hdf5.write_sample(tmp_path, {"sample": wrong}, seed=0)

    assert list(tmp_path.iterdir()) == []


def test_names_say_when_and_where_as_published_ones_do() -> None:
    name = parse_granule_name(f"a/{REAL}.SEN3")

    assert name is not None
    assert (
        name.platform,
        name.cycle,
        name.relative_orbit,
        name.frame,
        name.duration_s,
    ) == ("S3A", 15, 237, 1439, 179)
    assert datetime.fromisoformat("2017-03-15T11:34:20") == name.start
    assert name.stem == REAL
    assert parse_granule_name(REAL.replace("20170315T11", "20171315T11")) is None
    node = orbit.node_time(name.orbit) + timedelta(seconds=1439)
    assert abs(node - name.start) < timedelta(seconds=2)


# --- physics ------------------------------------------------------------------------------------


def scene_of(number: int, shape: tuple[int, int] = SHAPE) -> Scene:
    random = np.random.default_rng([7, number])
    at, start_s = sample._pass_of(random, number, seed=7)
    return make_scene(random, orbit.angles(at, start_s, shape))


def test_brightness_temperature_has_the_products_steps() -> None:
    steps = (scene_of(0).brightness_temperature.astype(float) - 283.73) / 0.01

    np.testing.assert_allclose(np.rint(steps), steps, atol=5e-3)


def test_a_clear_sea_is_seen_a_little_too_cold_and_coldest_in_s9() -> None:
    scene = scene_of(1)
    clear = scene.depth == 0
    loss = [
        float(np.median((scene.sea.temperature - scene.brightness_temperature[..., band])[clear]))
        for band in range(3)
    ]

    assert 0 < loss[0] < loss[1] < loss[2] < 9


def test_thick_high_cloud_is_cold_bright_and_the_only_one_that_s4_sees() -> None:
    scene = scene_of(0, (256, 256))
    s4, s8 = scene.reflectance[..., 3], scene.brightness_temperature[..., 1]
    cold = s8 < scene.sea.temperature - 40
    low = (scene.depth > 5) & (s8 > scene.sea.temperature - 12)

    assert scene.reflectance[..., 2][cold | low].min() > 0.2
    assert np.median(s4[low]) < 0.01 < np.median(s4[cold])


def test_low_cloud_at_night_is_colder_in_s7_than_in_s8() -> None:
    scene = scene_of(1, (256, 256))
    s7, s8 = (scene.brightness_temperature[..., band] for band in range(2))
    low = (scene.depth > 5) & (s8 > scene.sea.temperature - 14)
    clear = scene.depth == 0

    assert np.median((s7 - s8)[low]) < -1 < np.median((s7 - s8)[clear])


def test_nothing_is_lit_at_night_and_reflectance_follows_its_formula_by_day() -> None:
    assert not scene_of(1).reflectance.any()

    scene = scene_of(0)
    irradiance = np.array([SOLAR_IRRADIANCE[band] for band in REFLECTIVE])
    cosine = scene.angles.sun[..., None]
    np.testing.assert_allclose(
        scene.reflectance, np.pi * scene.radiance / (irradiance * cosine), rtol=1e-4, atol=1e-6
    )


def test_glint_brightens_the_clear_sea_where_waves_mirror_the_sun() -> None:
    random = np.random.default_rng(3)
    at = orbit.angles(sample.FIRST_ORBIT, *_overhead(sample.FIRST_ORBIT), shape=(64, 1500))
    scene = make_scene(random, at)
    clear = scene.depth == 0
    mirrored = clear & (at.tilt > np.cos(np.radians(8)))
    elsewhere = clear & (at.tilt < np.cos(np.radians(25)))

    assert np.median(scene.reflectance[..., 2][elsewhere]) < 0.03
    assert np.median(scene.reflectance[..., 2][mirrored]) > 0.1


def _overhead(at: int) -> tuple[float]:
    _, zenith = orbit.frame_lights(at)
    return (float(np.argmin(zenith)) * orbit.GRANULE_S,)


def test_the_label_has_errors_of_its_own() -> None:
    scene = scene_of(3, (256, 256))
    called = bayes_bits(np.random.default_rng(0), scene) > 0
    there = scene.depth > 0.1

    assert (there & ~called).any()
    assert (called & ~there).any()
    assert (called == there).mean() > 0.75


def test_the_sun_stands_where_the_almanac_says() -> None:
    """Equinox of 20 March 2017, 10:29 UTC: declination zero, and noon at 27.6 east."""
    x, y, z = orbit.sun_direction(datetime.fromisoformat("2017-03-20T10:29:00"))

    assert np.degrees(np.arcsin(z)) == pytest.approx(0, abs=0.02)
    assert np.degrees(np.arctan2(y, x)) == pytest.approx((12 - 10 - 29 / 60) * 15 + 1.86, abs=0.1)


# --- from native to ready -----------------------------------------------------------------------


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
        assert error.max() <= most
    assert ((values["bayes"][..., 0] > 0) == ready["cloud"].values[0, :rows])[valid].all()
    assert (
        (ready["flags"].values & FLAGS["summary_cloud"] > 0)[0, :rows] == values["summary"][..., 0]
    ).all()


def test_missing_is_missing_and_never_a_label(native: Native, tmp_path: Path) -> None:
    ready = reopened(slstr_hdf5.read(native, shard_of(native, 0), {}), tmp_path / "a.nc")
    unfilled = np.zeros(SHAPE[1], bool)
    unfilled[[0, 1, -1]] = True  # 26 and 14 of 1500 columns

    assert (np.isnan(ready["reflectance"].values[0]).all(axis=(0, 2)) == unfilled).all()
    assert (np.isnan(ready["brightness_temperature"].values[0]).any(axis=(0, 2)) == unfilled).all()
    assert ((ready["cloud"].values[0] == 255).all(axis=0) == unfilled).all()
    assert ((ready["valid"].values[0] == 0).all(axis=0) == unfilled).all()


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
        too_bright = (file["refs"][...] > 3.138).any(-1)

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
    root, _ = one
    _edit(one, lambda file: _put(file, "bayes", np.full((*SHAPE, 1), 255, np.uint8)))
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
    slstr_hdf5.write_sample(tmp_path, block, seed=0)
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


def test_converting_twice_gives_the_same_bytes(native: Native, tmp_path: Path) -> None:
    named = Native(native.root, native.folder, {"reader": "slstr_hdf5"}, native.paths)
    record = {
        "dataset": "cloud_slstr_ds1",
        "version": "1.0",
        "title": "CloudMask",
        "references": [],
        "licenses": [],
        "native_manifest_sha256": "0" * 64,
        "options": {"compression": "gzip"},
        "is_synthetic": True,
        "sciml_data": "0",
    }
    for turn in ("a.nc", "b.nc"):
        make_shard(named, shard_of(native, 4), record, tmp_path / turn)

    assert hash_file(tmp_path / "a.nc") == hash_file(tmp_path / "b.nc")


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


# --- deviations ---------------------------------------------------------------------------------


def _edit(one: tuple[Path, str], change: Change) -> None:
    with h5py.File(one[0] / one[1], "r+") as file:
        change(file)


def _put(file: h5py.File, key: str, values: NDArray[Any]) -> None:
    del file[key]
    file[key] = values


def _scaled(key: str, factor: float, shift: float = 0.0) -> Change:
    return lambda file: _put(file, key, file[key][...] * factor + shift)


def _as(key: str, dtype: str) -> Change:
    return lambda file: _put(file, key, file[key][...].astype(dtype))


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
    "celsius for kelvin": (_scaled("bts", 1, -273.15), ("finite", "bts")),
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


def test_all_deviations_of_all_files_are_reported_at_once(native: Native, tmp_path: Path) -> None:
    root = tmp_path / "native"
    shutil.copytree(native.root, root)
    for number, change in ((0, _delete), (1, _add)):
        _edit((root, scene_path(native, number)), change)
    (root / "training" / "scene.hdf").write_bytes(b"no HDF5")
    (root / "training" / "notes.txt").write_text("x")

    with pytest.raises(NativeFormatError) as error:
        slstr_hdf5.shards(native_of(root), {})

    assert sorted(problem.kind for problem in error.value.problems) == [
        "missing",
        "name",
        "unexpected",
        "unexpected",
        "unreadable",
    ]
    assert "4 of 9 granules" in error.value.wrong


def test_a_granule_that_stands_twice_in_a_split_is_reported(one: tuple[Path, str]) -> None:
    root, place = one
    (root / "one-day").mkdir()
    shutil.copy(root / place, root / "one-day")

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
        slstr_hdf5.shards(native, {})


def test_radiance_is_accepted_where_it_is_said_and_made_comparable(one: tuple[Path, str]) -> None:
    root, place = one
    with h5py.File(root / place) as file:
        radiance = file["rads"][...]
    assert ("quantity", "refs") in problems_of(root, {"refs": "radiance"})

    _edit(one, _radiance)
    native = native_of(root)
    (shard,) = slstr_hdf5.shards(native, {})
    ready = slstr_hdf5.read(native, shard, {"refs": "radiance"})

    irradiance = np.array([SOLAR_IRRADIANCE[band] for band in REFLECTIVE])
    valid = ready["valid"].values[0] == 1
    expected = (np.pi * radiance / irradiance)[valid]
    np.testing.assert_allclose(
        ready["reflectance"].values[0][valid], expected, rtol=1e-5, atol=1e-7
    )
    assert "standard_name" not in ready["reflectance"].attrs


# --- options ------------------------------------------------------------------------------------


def test_unknown_options_are_refused_with_the_nearest_all_at_once() -> None:
    wrong = {"lable": "bayes", "label": "bayse", "bayes_bits": "single_hi", "exclude": 3}

    with pytest.raises(CallError) as error:
        parse_options(wrong)

    assert [problem.place for problem in error.value.problems] == [
        "lable",
        "label",
        "bayes_bits",
        "exclude",
    ]
    assert "did you mean 'label'" in str(error.value)
    assert "did you mean 'bayes'" in str(error.value)


def test_the_order_of_words_makes_no_other_options() -> None:
    assert parse_options({"bayes_bits": "dual_low,single_low"}) == parse_options(
        {"bayes_bits": ["single_low", "dual_low"]}
    )


def test_the_reader_is_found_by_its_name() -> None:
    assert slstr_hdf5 is load_reader("slstr_hdf5")
