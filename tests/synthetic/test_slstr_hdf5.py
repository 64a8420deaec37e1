"""The synthetic scenes: real names and places, the physics of what nine channels would see."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from sciml_data.errors import CallError
from sciml_data.formats import Native
from sciml_data.formats.slstr_hdf5 import REFLECTIVE, parse_granule_name, solar_irradiance
from sciml_data.registry.manifest import hash_file, manifest_of
from sciml_data.synthetic import load_generator
from sciml_data.synthetic.slstr_hdf5 import granules, orbit
from sciml_data.synthetic.slstr_hdf5.clouds import make_clouds, tropopause_km
from sciml_data.synthetic.slstr_hdf5.label import bayes_bits
from sciml_data.synthetic.slstr_hdf5.scene import Scene, make_scene
from sciml_data.synthetic.slstr_hdf5.surface import make_surface
from tests.support.slstr_scenes import SAMPLE, SHAPE, scene_path, write_scenes

REAL = (
    "S3A_SL_1_RBT____20170315T113420_20170315T113720_20170315T135348_0179_015_237_1439_SVL_O_NR_002"
)


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Native:
    return write_scenes(tmp_path_factory.mktemp("scenes"))


def test_the_same_seed_gives_the_same_bytes(native: Native, tmp_path: Path) -> None:
    load_generator("slstr_hdf5").write_sample(tmp_path, {"sample": SAMPLE}, seed=4)

    assert manifest_of(native.root) == manifest_of(tmp_path)


def test_another_seed_gives_other_scenes(native: Native, tmp_path: Path) -> None:
    load_generator("slstr_hdf5").write_sample(tmp_path, {"sample": SAMPLE}, seed=5)

    assert not {e.hash for e in manifest_of(native.root)} & {e.hash for e in manifest_of(tmp_path)}


def test_a_scene_depends_on_its_number_only(native: Native, tmp_path: Path) -> None:
    alone = granules.write_scene(tmp_path, 4, 3, "training", SHAPE)

    assert hash_file(native.root / scene_path(native, 3)) == hash_file(alone)


@pytest.mark.slow  # processes that are spawned import everything again
def test_two_processes_make_the_same_sample(native: Native, tmp_path: Path) -> None:
    load_generator("slstr_hdf5").write_sample(
        tmp_path, {"sample": SAMPLE | {"processes": 2}}, seed=4
    )

    assert manifest_of(native.root) == manifest_of(tmp_path)


def test_no_two_of_many_scenes_have_the_same_name() -> None:
    names = [
        granules.choose_frame(np.random.default_rng([0, number]), number, seed=0)
        for number in range(0, 2000, 7)
    ]

    assert len(set(names)) == len(names)


def test_a_file_is_as_large_as_a_published_one_for_its_pixels(native: Native) -> None:
    """167,404,096 bytes for 1200 x 1500 pixels: 93 bytes each, and 4096 of HDF5.

    A synthetic file also has a byte for the surface of each pixel.
    """
    assert 93 * 1200 * 1500 + 4096 == 167_404_096
    assert 94 * SHAPE[0] * SHAPE[1] + 4096 == (native.root / scene_path(native, 0)).stat().st_size


def test_invalid_settings_are_refused(tmp_path: Path) -> None:
    wrong = {"count": {"trainig": 1}, "shape": [8, 8]}

    with pytest.raises(CallError, match=r"count .* shape"):
        load_generator("slstr_hdf5").write_sample(tmp_path, {"sample": wrong}, seed=0)

    assert list(tmp_path.iterdir()) == []


def test_names_have_time_and_place_like_published_names() -> None:
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


def scene_of(number: int, shape: tuple[int, int] = SHAPE) -> Scene:
    random = np.random.default_rng([7, number])
    at, start_s = granules.choose_frame(random, number, seed=7)
    return granules.draw_scene(random, at, start_s, shape, number=number)


def test_brightness_temperature_has_the_products_steps() -> None:
    temperature = scene_of(0).brightness_temperature.astype(float)
    steps = (temperature[np.isfinite(temperature)] - 283.73) / 0.01

    np.testing.assert_allclose(np.rint(steps), steps, atol=5e-3)


def test_a_clear_sea_is_seen_a_little_too_cold_and_coldest_in_s9() -> None:
    scene = scene_of(1)
    clear = scene.depth == 0
    loss = [
        float(np.median((scene.surface.air - scene.brightness_temperature[..., band])[clear]))
        for band in range(3)
    ]

    assert 0 < loss[0] < loss[1] < loss[2] < 9


def test_thick_high_cloud_is_cold_bright_and_the_only_one_that_s4_sees() -> None:
    scene = scene_of(8, (256, 256))
    s4, s8 = scene.reflectance[..., 3], scene.brightness_temperature[..., 1]
    cold = s8 < scene.surface.air - 40
    low = (scene.depth > 5) & (s8 > scene.surface.air - 12)

    assert scene.reflectance[..., 2][cold | low].min() > 0.2
    assert np.median(s4[low]) < 0.01 < np.median(s4[cold])


def test_low_cloud_at_night_is_colder_in_s7_than_in_s8() -> None:
    scene = scene_of(1, (256, 256))
    s7, s8 = (scene.brightness_temperature[..., band] for band in range(2))
    low = (scene.depth > 5) & (s8 > scene.surface.air - 14)
    clear = scene.depth == 0

    assert np.median((s7 - s8)[low]) < -1 < np.median((s7 - s8)[clear])


def test_nothing_is_lit_at_night_and_reflectance_follows_its_formula_by_day() -> None:
    assert not scene_of(1).reflectance.any()

    scene = scene_of(0)
    irradiance = np.array([solar_irradiance(scene.time)[band] for band in REFLECTIVE])
    cosine = scene.angles.sun[..., None]
    np.testing.assert_allclose(
        scene.reflectance, np.pi * scene.radiance / (irradiance * cosine), rtol=1e-4, atol=1e-6
    )


def test_glint_brightens_the_clear_sea_where_waves_mirror_the_sun() -> None:
    random = np.random.default_rng(3)
    at = orbit.angles(granules.FIRST_ORBIT, *_overhead(granules.FIRST_ORBIT), shape=(64, 1500))
    scene = make_scene(random, at, orbit.node_time(granules.FIRST_ORBIT))
    clear = scene.depth == 0
    mirrored = clear & (at.tilt > np.cos(np.radians(8)))
    elsewhere = clear & (at.tilt < np.cos(np.radians(25)))

    assert np.median(scene.reflectance[..., 2][elsewhere]) < 0.03
    assert np.median(scene.reflectance[..., 2][mirrored]) > 0.1


def _overhead(at: int) -> tuple[float]:
    _, zenith = orbit.frame_angles(at)
    return (float(np.argmin(zenith)) * orbit.GRANULE_S,)


def test_the_label_has_errors_of_its_own() -> None:
    scene = scene_of(1, (256, 256))
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


def test_kinds_of_surface_and_light_meet_and_land_covers_its_share_of_the_earth() -> None:
    kinds, lights = granules.SURFACES, granules.LIGHTS
    pairs = {(kinds[n % len(kinds)], lights[n % len(lights)]) for n in range(70)}
    mean = np.mean([np.mean(granules.LAND_SHARES[kind]) for kind in kinds])

    assert pairs == {(kind, light) for kind in set(kinds) for light in set(lights)}
    assert mean == pytest.approx(0.29, abs=0.01)


def test_a_coast_has_sea_and_land_and_clear_land_is_brighter() -> None:
    scene = scene_of(0, (256, 256))  # a coast by day
    land, clear = scene.surface.land, scene.depth == 0
    s3 = scene.reflectance[..., 2]

    assert 0.1 < land.mean() < 0.7
    assert np.median(s3[clear & land]) > 5 * np.median(s3[clear & ~land])


def test_desert_is_bright_and_hot_by_day_and_lacks_s7_there() -> None:
    shape = (128, 128)
    at = orbit.angles(granules.FIRST_ORBIT, *_latitude(granules.FIRST_ORBIT, 24), shape)
    scene = make_scene(np.random.default_rng(0), at, orbit.node_time(granules.FIRST_ORBIT), 0.99)
    sand = (scene.depth == 0) & scene.surface.land & (scene.surface.sand > 0.8)
    s7, s8, s9 = np.moveaxis(scene.brightness_temperature, -1, 0)

    assert 0.35 < np.median(scene.reflectance[..., 1][sand]) < 0.5
    assert np.median(s8[sand]) > 298
    assert np.isnan(s7[sand]).mean() > 0.9
    assert np.nanmax(s7) <= 311.01
    assert np.isfinite(s8).all()
    assert np.isfinite(s9).all()


def _latitude(at: int, degrees: float) -> tuple[float]:
    latitude, zenith = orbit.frame_angles(at)
    away = np.where(zenith < 90, abs(abs(latitude) - degrees), np.inf)
    return (float(np.argmin(away)) * orbit.GRANULE_S,)


def test_cloud_edges_cover_pixels_in_part_and_cirrus_of_the_tropics_is_higher() -> None:
    random = np.random.default_rng(0)
    shape = (128, 128)
    at = orbit.angles(granules.FIRST_ORBIT, 0, shape)
    flow = (np.zeros(shape, np.float32), np.zeros(shape, np.float32))
    time = orbit.node_time(granules.FIRST_ORBIT)
    surface = make_surface(random, at, flow, land_share=0, time=time)
    low, _, high = make_clouds(random, at.latitude, surface, flow)
    partly = (low.cover > 0) & (low.cover < 1)
    equator, north = tropopause_km(np.array([0.0, 60.0], np.float32))

    assert partly.any()
    assert not low.depth[low.cover == 0].any()
    assert abs(np.median(high.top_km) - 15) < 2
    assert equator > north + 5


def test_low_cloud_is_as_often_thin_as_over_the_oceans() -> None:
    """45 % of marine low cloud is thinner than an optical depth of 3 (Leahy et al. 2012)."""
    shape, time = (256, 256), orbit.node_time(granules.FIRST_ORBIT)
    depths, weights = [], []
    for number in range(30):
        random = np.random.default_rng(number)
        at = orbit.angles(granules.FIRST_ORBIT, 300, shape)
        flow = (np.zeros(shape, np.float32), np.zeros(shape, np.float32))
        surface = make_surface(random, at, flow, land_share=0, time=time)
        low = make_clouds(random, at.latitude, surface, flow)[0]
        depths.append(low.depth.ravel())
        weights.append(low.cover.ravel())
    depth, weight = np.concatenate(depths), np.concatenate(weights)

    assert weight[depth < 3].sum() / weight.sum() == pytest.approx(0.45, abs=0.12)


def test_a_narrow_scene_of_glint_is_where_the_sea_mirrors_the_sun() -> None:
    glint, day = (scene_of(number) for number in (2, 5))

    assert glint.angles.tilt.max() > np.cos(np.radians(15))
    assert glint.angles.tilt.max() > day.angles.tilt.max()


def test_the_sun_sets_in_the_middle_of_a_scene_of_twilight() -> None:
    for number in (4, 7):
        lit = scene_of(number).reflectance[..., 0] > 0.02

        assert 0.2 < lit.mean() < 0.8
