from __future__ import annotations

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
from tests.support.sen3_files import (
    COLUMNS,
    GRANULE,
    ROWS,
    WORDS,
    write_granule,
)


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
