from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from sciml_data.errors import CallError, NativeFormatError
from sciml_data.formats import slstr_sen3
from sciml_data.formats.slstr_hdf5 import FLAGS
from sciml_data.formats.slstr_sen3.tie_points import Places, pixel_angles, pixel_places
from sciml_data.synthetic import load_generator
from tests.support.native_files import native_of, read_only_shard

GRANULE = (
    "S3A_SL_1_RBT____20170315T113420_20170315T113720_20170315T135348_0179_015_237_1439_SVL_O_NR_002"
    ".SEN3"
)
ROWS, COLUMNS, TIES = 8, 64, 8
WORDS = (
    "coastline ocean tidal land inland_water unfilled spare spare cosmetic duplicate day twilight "
    "sun_glint snow summary_cloud summary_pointing"
)
UNFILLED, COSMETIC, DUPLICATE, SUMMARY = 1 << 5, 1 << 8, 1 << 9, 1 << 14


def write_granule(root: Path) -> None:
    """Write a granule of 8 x 64 pixels: cold, cosmetic, duplicate and unfilled columns."""
    folder = root / GRANULE
    folder.mkdir(parents=True)
    packed = np.full((ROWS, COLUMNS), -873, np.int16)  # 275 K
    packed[:, 10], packed[:, 0] = -5373, -32768
    for name in ("S7", "S8", "S9"):
        _write(folder, f"{name}_BT_in.nc", {f"{name}_BT_in": packed}, step=1000, track=32)
        with h5py.File(folder / f"{name}_BT_in.nc", "r+") as file:
            packing = {"scale_factor": [0.01], "add_offset": [283.73], "_FillValue": [-32768]}
            file[f"{name}_BT_in"].attrs.update(packing)
    confidence = np.full((ROWS, COLUMNS), 2, np.uint16)
    confidence[:, 0] = UNFILLED
    confidence[:, [10, 20, 30]] |= np.array([SUMMARY, COSMETIC, DUPLICATE], np.uint16)
    bayes = np.zeros((ROWS, COLUMNS), np.uint8)
    bayes[:, [10, 40]] = [3, 255]
    flags = {"confidence_in": confidence, "cloud_in": confidence, "bayes_in": bayes}
    _write(folder, "flags_in.nc", flags, step=1000, track=32)
    with h5py.File(folder / "flags_in.nc", "r+") as file:
        for name in ("confidence_in", "cloud_in"):
            file[name].attrs["flag_masks"] = 2 ** np.arange(16, dtype=np.uint16)
            file[name].attrs["flag_meanings"] = np.bytes_(WORDS)
    east = np.broadcast_to(179.0 + 0.25 * np.arange(TIES), (ROWS, TIES))  # over the date line
    north = np.broadcast_to(0.01 * np.arange(ROWS)[:, None], (ROWS, TIES))
    places = {"longitude_tx": (east + 180) % 360 - 180, "latitude_tx": north}
    _write(folder, "geodetic_tx.nc", places, step=16000, track=4)
    angles = {
        f"{body}_{kind}_tn": np.full((ROWS, TIES), value)
        for body, kind, value in (
            ("solar", "azimuth", 135.0),
            ("solar", "zenith", 40.0),
            ("sat", "azimuth", 270.0),
            ("sat", "zenith", 20.0),
        )
    }
    _write(folder, "geometry_tn.nc", angles, step=16000, track=4)


def _write(folder: Path, name: str, arrays: Mapping[str, Any], *, step: int, track: int) -> None:
    with h5py.File(folder / name, "w") as file:
        file.attrs["resolution"] = np.bytes_(f"[ {step} 1000 ]")
        file.attrs["track_offset"] = [track]
        for key, values in arrays.items():
            file[key] = values


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_granule(tmp_path / "native")
    return tmp_path / "native"


def read(root: Path, **options: Any) -> xr.Dataset:
    return read_only_shard(slstr_sen3, native_of(root), **options)


def problems_of(root: Path) -> list[tuple[str, str]]:
    with pytest.raises(NativeFormatError) as error:
        read(root)
    return [
        (problem.kind, problem.place.removeprefix(f"{GRANULE}/"))
        for problem in error.value.problems
    ]


def test_channels_flags_and_label_come_from_their_files(root: Path, tmp_path: Path) -> None:
    read(root).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")

    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as ready:
        kelvin = ready["brightness_temperature"].values[0]
        np.testing.assert_allclose(kelvin[:, [1, 10]].mean(axis=(0, 2)), [275.0, 230.0], atol=4e-5)
        assert np.isnan(kelvin[:, 0]).all()
        assert ready["cloud"].values[0, 3, [40, 1, 10, 40]].tolist() == [255, 0, 1, 255]
        assert np.isnan(ready["reflectance"].values).all()


def test_cosmetic_and_duplicate_pixels_are_not_valid_unless_wanted(root: Path) -> None:
    strict, lenient = read(root), read(root, exclude="unfilled,not_computed")

    assert np.flatnonzero(strict["valid"].values[0, 0] == 0).tolist() == [0, 20, 30, 40]
    assert np.flatnonzero(lenient["valid"].values[0, 0] == 0).tolist() == [0, 40]
    flags = strict["flags"].values[0, 0]
    assert np.flatnonzero(flags & FLAGS["cosmetic"]).tolist() == [20]
    assert np.flatnonzero(flags & FLAGS["duplicate"]).tolist() == [30]


def test_the_summary_can_be_the_label(root: Path) -> None:
    ready = read(root, label="summary")

    assert np.flatnonzero(ready["cloud"].values[0, 0] == 1).tolist() == [10]
    assert ready["valid"].values[0, 0, 40] == 1


def test_the_products_own_words_are_kept(root: Path) -> None:
    confidence = read(root)["confidence"]

    assert "spare" not in confidence.attrs["flag_meanings"].split()
    assert len(confidence.attrs["flag_masks"]) == len(confidence.attrs["flag_meanings"].split())
    assert (confidence.values[0, :, 1] == 2).all()


def test_places_and_angles_reach_every_pixel(root: Path) -> None:
    ready = read(root)

    at_tie = ready.isel(scene=0, column=32)  # where both grids have the satellite's track
    np.testing.assert_allclose(at_tie["longitude"], -180.0, atol=1e-4)
    np.testing.assert_allclose(at_tie["latitude"], 0.01 * np.arange(ROWS), atol=1e-4)
    halfway = float(ready["longitude"][0, 0, 40])
    assert halfway == pytest.approx(-180 + 0.125, abs=1e-4)
    np.testing.assert_allclose(ready["solar_zenith_angle"], 40, atol=1e-4)
    np.testing.assert_allclose(ready["sensor_azimuth_angle"], 270, atol=0.01)
    assert ready["illumination"].values.tolist() == [2]


def test_places_pass_over_the_pole() -> None:
    ties = Places(np.array([[0.0, 180.0]]), np.array([[89.9, 89.9]]))

    pixels = pixel_places(ties, np.array([0.0, 0.25, 0.75]))

    np.testing.assert_allclose(pixels.latitude, [[89.9, 89.95, 89.95]], atol=1e-6)
    np.testing.assert_allclose(pixels.longitude, [[0, 0, 180]], atol=1e-6)


def test_north_may_turn_between_two_ties() -> None:
    """The sun stands over 90 E: from the pole's two sides that is to the left and to the right."""
    ties = Places(np.array([[0.0, 180.0]]), np.array([[89.9, 89.9]]))
    position = np.array([0.1, 0.9])

    azimuth, zenith = pixel_angles(
        np.array([[90.0, 270.0]]),
        np.array([[80.0, 80.0]]),
        ties,
        pixel_places(ties, position),
        position,
    )

    np.testing.assert_allclose(azimuth, [[90, 270]], atol=1e-6)
    np.testing.assert_allclose(zenith, 80)


def test_nothing_is_known_beyond_the_last_tie() -> None:
    ties = Places(np.array([[10.0, 10.1]]), np.array([[50.0, 50.0]]))

    assert np.isnan(pixel_places(ties, np.array([-0.1, 1.1])).longitude).all()


def test_files_that_are_not_read_are_named(root: Path) -> None:
    (root / GRANULE / "S1_radiance_an.nc").write_bytes(b"")

    assert read(root).attrs["native_files_not_read"] == "S1_radiance_an.nc"


def test_the_split_is_the_first_that_fits_in_the_descriptor(root: Path) -> None:
    (root / "check").mkdir()
    (root / GRANULE).rename(root / "check" / GRANULE)

    native = replace(native_of(root), splits={"check": ["check/**"], "all": ["**"]})

    (shard,) = slstr_sen3.shards(native, {})

    assert ("check", f"check-{GRANULE.removesuffix('.SEN3')}.nc") == (shard.split, shard.name)


def test_missing_and_stray_files_are_reported_at_once(root: Path) -> None:
    (root / GRANULE / "S8_BT_in.nc").unlink()
    (root / GRANULE / "geometry_tn.nc").unlink()
    (root / "notes.txt").write_text("x")

    assert sorted(problems_of(root)) == [
        ("missing", "S8_BT_in.nc"),
        ("missing", "geometry_tn.nc"),
        ("unexpected", "notes.txt"),
    ]


def test_what_is_wrong_inside_the_files_is_reported_at_once(root: Path) -> None:
    with h5py.File(root / GRANULE / "flags_in.nc", "r+") as file:
        file["confidence_in"].attrs["flag_meanings"] = np.bytes_(WORDS.replace("cosmetic", "spare"))
        del file["bayes_in"]
    with h5py.File(root / GRANULE / "S9_BT_in.nc", "r+") as file:
        del file.attrs["track_offset"], file["S9_BT_in"]
        file["S9_BT_in"] = np.zeros((ROWS, COLUMNS - 1), np.int16)
    (root / GRANULE / "geodetic_tx.nc").write_bytes(b"no HDF5")

    assert {
        ("flags", "flags_in.nc:confidence_in"),
        ("missing", "flags_in.nc:bayes_in"),
        ("missing", "S9_BT_in.nc:track_offset"),
        ("shape", GRANULE),
        ("unreadable", "geodetic_tx.nc"),
    } == set(problems_of(root))


def test_temperatures_that_are_none_are_reported(root: Path) -> None:
    with h5py.File(root / GRANULE / "S8_BT_in.nc", "r+") as file:
        file["S8_BT_in"].attrs["scale_factor"] = [1.0]

    assert [kind for kind, _ in problems_of(root)] == ["range"]


def test_options_of_the_other_format_are_refused(root: Path) -> None:
    with pytest.raises(CallError, match="training_crop"):
        slstr_sen3.shards(native_of(root), {"training_crop": "reference"})


def test_there_is_no_synthetic_level_1_product(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="no synthetic sample"):
        load_generator("slstr_sen3").write_sample(tmp_path, {}, 0)
