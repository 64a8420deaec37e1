"""The reader of small real scenes: on look-alikes of SNAP's files, and on the real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml_data.errors import NativeFormatError
from sciml_data.formats import Native, slstr_scenes
from sciml_data.formats.slstr_hdf5 import FLAGS, SOLAR_IRRADIANCE
from sciml_data.ready.open import declaration_problems
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from tests.support.native_files import link_real_files, native_of, read_only_shard, reopened
from tests.support.problems import kinds_and_places
from tests.support.sen3_files import write_granule
from tests.support.snap_files import (
    DISTANCE_M,
    SCENE,
    SUBSET,
    ZENITH,
    write_scene,
    write_subset,
)

DESCRIPTOR = load_descriptor(find_registry(), "slstr_real_mini", "1.0")
SEA, LAND, MIXED = 0, 1, 2
S4, S6, S7 = 1 << 3, 1 << 5, 1 << 6


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "native"


def native(root: Path) -> Native:
    return native_of(root, DESCRIPTOR)


def read(root: Path, **options: Any) -> xr.Dataset:
    """Return the only scene as it comes back from its ready file."""
    dataset = read_only_shard(slstr_scenes, native(root), **options)
    ready = reopened(dataset, root.parent / "ready.nc")
    assert declaration_problems(ready, DESCRIPTOR.variables) == []
    return ready.isel(scene=0)


def subset(root: Path, **replaced: Any) -> xr.Dataset:
    write_subset(root / "slstr_subset" / SUBSET, **replaced)
    return read(root)


def scene(root: Path, **replaced: Any) -> xr.Dataset:
    write_scene(root / "aatsr" / SCENE, **replaced)
    return read(root)


def test_reflectance_is_radiance_over_the_irradiance_of_the_day(root: Path) -> None:
    ready = subset(root)

    of_day = SOLAR_IRRADIANCE["S3"] * (1.4878313e11 / DISTANCE_M) ** 2
    expected = np.pi * 100 / (of_day * np.cos(np.radians(ZENITH)))
    assert float(ready["reflectance"][0, 1, 2]) == pytest.approx(expected, abs=2.6e-5)
    assert float(ready["solar_irradiance"][2]) == pytest.approx(of_day, rel=1e-6)


def test_a_pixel_that_lacks_s7_alone_is_valid_and_one_without_any_is_not(root: Path) -> None:
    ready = subset(root)

    assert ready["valid"].values[0].tolist() == [0, 1, 1, 1, 1, 1]
    assert ready["missing_channels"].values[0, 1] == 0
    assert ready["missing_channels"].values[0, 4] == S7
    assert np.isnan(ready["brightness_temperature"].values[0, 4, 0])


def test_flags_of_big_endian_netcdf_3_are_read_bit_by_bit(root: Path) -> None:
    ready = subset(root)

    assert ready["cloud"].values[0].tolist() == [255, 0, 0, 0, 0, 1]
    assert ready["surface"].values[0].tolist() == [MIXED, SEA, SEA, SEA, LAND, SEA]
    assert ready["confidence"].values[0, 1] == 2 | 1 << 15
    masks = dict(
        zip(
            ready["confidence"].attrs["flag_meanings"].split(),
            ready["confidence"].attrs["flag_masks"].tolist(),
            strict=True,
        )
    )
    assert masks["summary_pointing"] == 1 << 15
    assert (ready["bayes"] == 255).all()


def test_aatsr_is_corrected_for_the_sun_and_lacks_s4_and_s6(root: Path) -> None:
    ready = scene(root)

    np.testing.assert_allclose(ready["reflectance"].values[..., [0, 1, 2, 4]], 0.2, atol=2.6e-5)
    assert np.isnan(ready["reflectance"].values[..., [3, 5]]).all()
    assert (
        ready["missing_channels"].values[0].tolist()
        == [S4 | S6] * 2 + [S4 | S6 | S7] + [S4 | S6] * 3
    )
    assert ready["valid"].all()
    assert np.isnan(ready["solar_irradiance"]).all()


def test_aatsr_s_own_mask_is_the_label(root: Path) -> None:
    ready = scene(root)

    assert ready["cloud"].values[0].tolist() == [0, 1, 0, 0, 0, 0]
    assert ready["surface"].values[0].tolist() == [LAND, SEA, SEA, SEA, SEA, SEA]
    assert ready["cloud"].attrs["long_name"].endswith("any of its threshold tests")
    assert ready["platform"].attrs["flag_meanings"].split()[int(ready["platform"])] == "Envisat"
    assert int(ready["orbit"]) == 6146
    assert ready["granule"].item().decode() == SCENE.removesuffix(".nc")


def test_directions_are_interpolated_across_the_satellite_s_track(root: Path) -> None:
    ready = scene(root)

    np.testing.assert_allclose(ready["solar_zenith_angle"], 60.0, atol=1e-4)
    np.testing.assert_allclose(ready["solar_azimuth_angle"], 80.0, atol=1e-4)
    share = (0.5 + 27) / 50  # of the way from the left tie point, at the first pixel
    expected = np.degrees(np.arctan(np.tan(np.radians(10.0)) * abs(1 - 2 * share)))
    assert float(ready["sensor_zenith_angle"][0, 0]) == pytest.approx(expected, abs=1e-3)
    assert float(ready["sensor_azimuth_angle"][0, 0]) == pytest.approx(280.0, abs=1e-3)


def test_a_granule_has_the_same_variables(root: Path) -> None:
    write_granule(root / "slstr_granule")

    ready = read(root)

    assert (ready["surface"] == SEA).values[:, 1:].all()
    assert (ready["missing_channels"].values[:, 1] == (1 << 6) - 1).all()
    assert ready["cloud"].values[0, 40] == 0  # not computed by Bayes, and clear in the summary


def test_what_a_scene_lacks_is_said_in_words(root: Path) -> None:
    assert "S4 and S6" in scene(root).attrs["missing"]


def test_missing_variables_are_named(root: Path) -> None:
    with pytest.raises(NativeFormatError) as error:
        subset(root, S7_BT_in=None, solar_path_tn=(("z",), np.zeros(3), {}))

    place = f"slstr_subset/{SUBSET}"
    assert kinds_and_places(error) == [
        ("missing", f"{place}:S7_BT_in"),
        ("missing", f"{place}:solar_path_tn"),
    ]


def test_missing_flags_are_named(root: Path) -> None:
    about = {"flag_meanings": "LAND", "flag_masks": np.array([1], np.int32)}
    with pytest.raises(NativeFormatError) as error:
        scene(root, cloud_flags_nadir=(("y", "x"), np.zeros((4, 6), np.int16), about))

    assert kinds_and_places(error) == [("flags", f"aatsr/{SCENE}:cloud_flags_nadir")]


def test_files_of_other_names_are_refused(root: Path) -> None:
    write_scene(root / "aatsr" / "other.nc")
    write_scene(root / "elsewhere" / SCENE)

    with pytest.raises(NativeFormatError) as error:
        slstr_scenes.shards(native(root), {})

    assert kinds_and_places(error) == [("name", "aatsr/other.nc"), ("split", f"elsewhere/{SCENE}")]


# --- the real files ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Native:
    return link_real_files(DESCRIPTOR, shared / "mirror", tmp_path_factory.mktemp("real"))


def real_scene(real: Native, split: str) -> xr.Dataset:
    shards = slstr_scenes.shards(real, {})
    (shard,) = (shard for shard in shards if shard.split == split)
    return slstr_scenes.read(real, shard, {}).isel(scene=0)


def share(scene: xr.Dataset, where: Any) -> float:
    return round(float(np.asarray(where)[scene["valid"].values > 0].mean()), 3)


@pytest.mark.reference
def test_the_real_subset_has_28_percent_cloud_and_lacks_s7_over_land(real: Native) -> None:
    ready = real_scene(real, "slstr_subset")

    assert ready["cloud"].shape == (24, 30)
    assert (ready["bayes"] == 255).all()
    summary = ready["flags"].values & FLAGS["summary_cloud"] > 0
    assert (int(summary.sum()), round(float(summary.mean()), 2)) == (199, 0.28)
    assert int(ready["valid"].sum()) == 532
    lacking = ready["missing_channels"] & S7 > 0
    for kind, expected in ((SEA, 0.257), (LAND, 0.987)):
        chosen = (ready["valid"].values > 0) & (ready["surface"].values == kind)
        assert round(float(lacking.values[chosen].mean()), 3) == expected


@pytest.mark.reference
def test_the_real_aatsr_scene_has_52_percent_cloud_and_57_percent_land(real: Native) -> None:
    ready = real_scene(real, "aatsr")

    assert ready["cloud"].shape == (94, 100)
    assert share(ready, ready["cloud"] == 1) == 0.523
    assert share(ready, ready["surface"] == LAND) == 0.566
    assert ready["valid"].all()
    assert float(ready["solar_zenith_angle"].mean()) == pytest.approx(26.8, abs=0.1)


@pytest.mark.reference
def test_the_real_granule_has_1198_rows_and_97_percent_cloud(real: Native) -> None:
    ready = real_scene(real, "slstr_granule")

    assert (ready["cloud"].shape, int(ready["native_rows"])) == ((1200, 1500), 1198)
    summary = ready["flags"].values[:1198] & FLAGS["summary_cloud"] > 0
    assert round(float(summary.mean()), 3) == 0.972
    assert (ready["bayes"] == 255).all()
