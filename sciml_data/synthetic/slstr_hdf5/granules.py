"""Write the sample of CloudMask: native files of scenes at real times and places.

Scenes are on orbits of October 2019, the month of the inference scenes, so day, night, twilight and
glint follow from the sun. Kinds of light and of surface alternate. Each scene depends only on the
seed and its own number. Any count can be made, in any order, by any number of processes, with the
same bytes.

Settings in `block["sample"]` and their defaults:

    count      {"training": 6, "inference": 4}
    shape      [512, 512]     rows and columns of 1 km; the published files have [1200, 1500]
    processes  1
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError
from sciml_data.formats.processes import process_pool
from sciml_data.formats.slstr_hdf5 import (
    NOT_COMPUTED,
    ORBITS_PER_CYCLE,
    ROWS_SHORT,
    SHAPE_ATTRIBUTE,
    SURFACE_KEY,
    GranuleName,
)
from sciml_data.synthetic.slstr_hdf5 import orbit as orbits
from sciml_data.synthetic.slstr_hdf5.label import bayes_bits, summary_mask
from sciml_data.synthetic.slstr_hdf5.scene import Scene, make_scene

DEFAULTS: Mapping[str, Any] = {
    "count": {"training": 6, "inference": 4},
    "shape": [512, 512],
    "processes": 1,
}
SPLITS = ("training", "inference")
FIRST_ORBIT, ORBITS = 49 * ORBITS_PER_CYCLE + 16, 441  # October 2019; more scenes use later orbits
ORBIT_STRIDE = 173  # coprime to ORBITS: every orbit is used before an orbit is used again
# Kinds of light, which alternate.
LIGHTS = ("day", "night", "glint", "night", "twilight", "day", "night", "twilight", "day", "night")
# Ranges in degrees of latitude (on either side of the equator) and of the sun's zenith angle.
LIGHT_RANGES = {
    "day": ((0, 62), (0, 68)),
    "glint": ((0, 25), (0, 45)),
    "night": ((0, 65), (100, 180)),
    "twilight": ((50, 90), (87, 92)),
}
# Kinds of surface, which alternate; seven, so that each meets each kind of light. Four of the seven
# have land; over many scenes it is 0.29 of the pixels, as of the Earth.
SURFACES = ("coast", "sea", "coast", "land", "sea", "coast", "sea")
LAND_SHARES = {"sea": (0.0, 0.0), "coast": (0.15, 0.65), "land": (0.8, 0.95)}
SHORT_EVERY = 7  # one granule in seven is as short as a real granule that is known
UNFILLED_LEFT, UNFILLED_RIGHT = 26 / 1500, 14 / 1500  # share of columns without data in it
DELAY_S = 95_000  # from stop to creation of a non-time-critical granule: about a day
ORIGIN = "LN2_O_NT_003"  # as in the published names


def write_sample(root: Path, block: Mapping[str, Any], seed: int) -> None:
    """Write all scenes under a folder.

    Args:
        root: folder of the native files.
        block: `sciml.native`; its `sample` has the settings in this module's docstring.
        seed: the same seed, the same bytes.

    Raises:
        CallError: counts or shape are not valid.
    """
    sample = block.get("sample", {})
    settings = {key: sample.get(key, default) for key, default in DEFAULTS.items()}
    _check(settings)
    splits = [name for name, count in settings["count"].items() for _ in range(count)]
    shape = tuple(settings["shape"])
    tasks = [(root, seed, number, split, shape) for number, split in enumerate(splits)]
    processes = min(int(settings["processes"]), len(tasks))
    if processes <= 1:
        for task in tasks:
            write_scene(*task)
        return
    with process_pool(processes) as pool:
        for future in [pool.submit(write_scene, *task) for task in tasks]:
            future.result()


def write_scene(root: Path, seed: int, number: int, split: str, shape: tuple[int, int]) -> Path:
    """Write a scene and return its path.

    Args:
        root: folder of the native files.
        seed: seed of the sample.
        number: number of the scene in the sample.
        split: "training" or "inference", the subfolder.
        shape: rows and columns.
    """
    random = np.random.default_rng([seed, number])
    orbit, start_s = choose_frame(random, number, seed=seed)
    is_short = number % SHORT_EVERY == SHORT_EVERY - 1
    rows = shape[0] - ROWS_SHORT * is_short
    scene = draw_scene(random, orbit, start_s, (rows, shape[1]), number=number)
    folder = root / split
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{granule_name(orbit, start_s, orbits.GRANULE_S - is_short).stem}.hdf"
    _write(path, scene, random, shape)
    return path


def draw_scene(
    random: np.random.Generator, orbit: int, start_s: float, shape: tuple[int, int], *, number: int
) -> Scene:
    """Return a scene of an orbit.

    A scene that is smaller than the granule is anywhere in it. If it is of the kind "glint" or
    "twilight", it is as near to the glint or to the setting sun as the granule allows.

    Args:
        random: of the scene.
        orbit: running number.
        start_s: seconds from the ascending node to the first row of the granule.
        shape: rows and columns.
        number: of the scene, which says the kinds of light and surface.
    """
    kind, middle_s = LIGHTS[number % len(LIGHTS)], start_s + orbits.GRANULE_S / 2
    land_share = random.uniform(*LAND_SHARES[SURFACES[number % len(SURFACES)]])
    spare = [max(orbits.SWATH_ROWS - shape[0], 0), max(orbits.SWATH_COLUMNS - shape[1], 0)]
    row, column = (int(random.integers(room + 1)) for room in spare)
    if kind == "glint":
        across = orbits.angles(orbit, middle_s, (1, orbits.SWATH_COLUMNS)).tilt[0]
        column = int(np.clip(np.argmax(across) - shape[1] // 2, 0, spare[1]))
    if kind == "twilight":
        middle = column + shape[1] // 2
        along = orbits.angles(orbit, start_s, (orbits.SWATH_ROWS, 1), middle).sun[:, 0]
        row = int(np.clip(np.argmin(np.abs(along)) - shape[0] // 2, 0, spare[0]))
    angles = orbits.angles(orbit, start_s + row * orbits.ROW_S, shape, column)
    time = orbits.node_time(orbit) + timedelta(seconds=middle_s)
    return make_scene(random, angles, time, float(land_share))


def _check(settings: Mapping[str, Any]) -> None:
    shape, counts = settings["shape"], settings["count"]
    checks = [
        ("count", counts, set(counts) <= set(SPLITS) and min(counts.values()) >= 0),
        ("shape", shape, len(shape) == 2 and min(shape) >= 32),
    ]
    bad = [f"{name} {value!r}" for name, value, is_valid in checks if not is_valid]
    if bad:
        raise CallError(
            f"no sample can be made with {', '.join(bad)}", untouched="nothing was written"
        )


def choose_frame(random: np.random.Generator, number: int, *, seed: int) -> tuple[int, float]:
    """Return the orbit of a scene, and the start of its frame in seconds after the ascending node.

    Two scenes share an orbit. They have different kinds of light, so they have different frames.

    Args:
        random: chooses among the frames of the orbit with the scene's kind of light.
        number: number of the scene in the sample.
        seed: seed of the sample.
    """
    round_, place = divmod(number // 2, ORBITS)
    orbit = FIRST_ORBIT + round_ * ORBITS + (place * ORBIT_STRIDE + seed) % ORBITS
    (south, north), (high, low) = LIGHT_RANGES[LIGHTS[number % len(LIGHTS)]]
    latitude, zenith = orbits.frame_angles(orbit)
    excess = np.maximum(south - abs(latitude), abs(latitude) - north).clip(0)
    excess += np.maximum(high - zenith, zenith - low).clip(0)
    best = np.flatnonzero(excess == excess.min())  # all frames that fit, or the nearest frame
    return orbit, float(random.choice(best) * orbits.GRANULE_S)


def granule_name(orbit: int, start_s: float, duration: int) -> GranuleName:
    """Return the name of a granule.

    Args:
        orbit: running number of the orbit.
        start_s: seconds after the ascending node of the orbit.
        duration: seconds.
    """
    start = orbits.node_time(orbit) + timedelta(seconds=start_s)
    stop = start + timedelta(seconds=duration)
    return GranuleName(
        platform="S3A",
        start=start.replace(microsecond=0),
        stop=stop.replace(microsecond=0),
        created=(stop + timedelta(seconds=DELAY_S)).replace(microsecond=0),
        duration_s=duration,
        cycle=(orbit - 1) // ORBITS_PER_CYCLE + 1,
        relative_orbit=(orbit - 1) % ORBITS_PER_CYCLE + 1,
        frame=int(start_s),
        origin=ORIGIN,
    )


def _write(path: Path, scene: Scene, random: np.random.Generator, shape: tuple[int, int]) -> None:
    """Write the five keys as in the published files, not compressed, and the true surface."""
    columns = shape[1]
    unfilled = np.zeros(columns, bool)
    unfilled[: round(UNFILLED_LEFT * columns)] = True
    unfilled[columns - round(UNFILLED_RIGHT * columns) :] = True
    arrays: dict[str, NDArray[Any]] = {
        "bts": scene.brightness_temperature,
        "refs": scene.reflectance,
        "rads": scene.radiance,
        "bayes": bayes_bits(random, scene)[..., None],
        "summary": summary_mask(random, scene).astype(np.int64)[..., None],
        SURFACE_KEY: scene.surface.land.astype(np.uint8)[..., None],
    }
    with h5py.File(path, "w") as file:
        file.attrs["synthetic"] = True
        file.attrs[SHAPE_ATTRIBUTE] = np.array(shape, np.int64)
        for key, values in arrays.items():
            if key != SURFACE_KEY:
                values[:, unfilled] = NOT_COMPUTED if key == "bayes" else 0
            file.create_dataset(key, data=values)
