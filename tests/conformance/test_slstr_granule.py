"""A real level-1 granule, S3A of 15 March 2017, 11:34: an Arctic twilight, nearly all cloud."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sciml_data.formats import Native, slstr_sen3
from sciml_data.formats.slstr_hdf5 import FLAGS
from sciml_data.synthetic.slstr_hdf5 import orbit

pytestmark = pytest.mark.reference

ROWS = 1198
REPOSITORY = "mirror/raw.githubusercontent.com/samueljackson92/slstr-tools"
REVISION = "edef7b79f1e9aaea1e5e1f1dd7cdc42273d85a2c"


@pytest.fixture(scope="module")
def native(shared: Path) -> Native:
    root = shared / REPOSITORY / REVISION / "data"
    if not root.is_dir():
        pytest.skip("the level-1 granule is not in the shared mirror")
    paths = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
    return Native(root, root, {}, tuple(paths))


@pytest.fixture(scope="module")
def ready(native: Native, tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """Return the granule as it is read from its ready file."""
    (shard,) = slstr_sen3.shards(native, {})
    path = tmp_path_factory.mktemp("ready") / shard.name
    slstr_sen3.read(native, shard, {}).to_netcdf(path, engine="h5netcdf")
    with xr.open_dataset(path, engine="h5netcdf") as found:
        return found.load().isel(scene=0)


def share(ready: xr.Dataset, flag: str) -> float:
    """Return the share of the native pixels that have a flag."""
    return float((ready["flags"].values[:ROWS] & FLAGS[flag] > 0).mean())


def test_its_1198_rows_are_padded_to_1200(ready: xr.Dataset) -> None:
    assert ready["cloud"].shape == (1200, 1500)
    assert int(ready["native_rows"]) == ROWS
    assert (ready["flags"].values[ROWS:] & FLAGS["padded"] > 0).all()
    assert share(ready, "padded") == 0


def test_brightness_temperatures_are_between_227_and_292_kelvin(ready: xr.Dataset) -> None:
    kelvin = ready["brightness_temperature"]

    assert float(kelvin.min()) == pytest.approx(227.12, abs=0.005)
    assert float(kelvin.max()) == pytest.approx(291.76, abs=0.005)
    coldest = kelvin.min(("row", "column")).values
    np.testing.assert_allclose(coldest, [228.47, 227.70, 227.12], atol=1e-4)


def test_no_pixel_has_a_bayesian_label(ready: xr.Dataset) -> None:
    assert (ready["bayes"] == 255).all()
    assert (ready["cloud"] == 255).all()
    assert not ready["valid"].any()
    assert share(ready, "not_computed") == 1


def test_shares_of_its_flags_are_those_counted_by_hand(ready: xr.Dataset) -> None:
    found = {
        name: round(share(ready, name), 3)
        for name in ("summary_cloud", "unfilled", "cosmetic", "duplicate", "beyond_range")
    }

    assert found == {
        "summary_cloud": 0.972,
        "unfilled": 0.027,
        "cosmetic": 0.231,
        "duplicate": 0.057,
        "beyond_range": 0.0,
    }
    day = ready["confidence"].values[:ROWS] & 1 << 10 > 0  # the product's own flag
    assert 1 - share(ready, "unlit") == pytest.approx(day.mean(), abs=0.03)


def test_unfilled_columns_are_the_swaths_edges(ready: xr.Dataset) -> None:
    unfilled = (ready["flags"].values[:ROWS] & FLAGS["unfilled"] > 0).all(axis=0)

    assert [*range(26), *range(1486, 1500)] == np.flatnonzero(unfilled).tolist()


def test_the_summary_is_a_label_where_it_is_asked_for(native: Native) -> None:
    (shard,) = slstr_sen3.shards(native, {"label": "summary"})
    ready = slstr_sen3.read(native, shard, {"label": "summary"})
    valid = ready["valid"].values == 1

    assert ready["cloud"].values[valid].mean() == pytest.approx(0.9986, abs=1e-4)
    assert valid.mean() == pytest.approx(0.684, abs=1e-3)


def test_it_lies_where_its_orbit_says(ready: xr.Dataset) -> None:
    """The synthetic scenes' orbit, tied to this granule's node, finds it to half a degree."""
    angles = orbit.angles(int(ready["orbit"]), float(ready["frame"]), (1200, 1500))
    away = ready["latitude"].values - angles.latitude

    assert tuple(int(ready[n]) for n in ("cycle", "relative_orbit", "frame")) == (15, 237, 1439)
    assert np.nanmax(abs(away[:ROWS])) < 0.7
    view = np.degrees(np.arccos(np.clip(angles.view, -1, 1)))
    off = ready["sensor_zenith_angle"].values - view
    assert np.nanmedian(abs(off)) < 4


def test_geometry_is_smooth_and_within_the_tie_points(ready: xr.Dataset) -> None:
    assert float(ready["solar_zenith_angle"].min()) == pytest.approx(78.50, abs=0.01)
    assert float(ready["solar_zenith_angle"].max()) == pytest.approx(94.56, abs=0.01)
    assert float(ready["latitude"].max()) < 90
    east, north = (np.radians(ready[name].values[:ROWS]) for name in ("longitude", "latitude"))
    flat = np.cos(north)
    place = np.stack([flat * np.cos(east), flat * np.sin(east), np.sin(north)], axis=-1) * 6371
    across = np.linalg.norm(np.diff(place, axis=1), axis=-1)
    assert 0.6 < across.min() < np.median(across) < across.max() < 1.7


def test_two_rows_are_missing_after_row_104(ready: xr.Dataset) -> None:
    """Why it has 1198: places step by three kilometres there, and by one elsewhere."""
    north = np.radians(ready["latitude"].values[:ROWS, 1200].astype(float))
    east = np.radians(ready["longitude"].values[:ROWS, 1200].astype(float))
    flat = np.cos(north)
    place = np.stack([flat * np.cos(east), flat * np.sin(east), np.sin(north)], axis=-1) * 6371
    along = np.linalg.norm(np.diff(place, axis=0), axis=-1)

    assert np.flatnonzero(along > 2).tolist() == [104]


def test_reflectance_is_missing_and_the_files_that_were_not_read_are_named(
    ready: xr.Dataset,
) -> None:
    assert ready["reflectance"].isnull().all()
    assert "viscal.nc" in ready.attrs["native_files_not_read"].split()
