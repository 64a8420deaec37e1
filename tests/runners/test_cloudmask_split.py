"""Splits of CloudMask are functions of the scenes: nothing that belongs together is parted."""

from __future__ import annotations

import importlib
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sciml_data.bench.interface import load_runner
from sciml_data.bench.task.split import Split, load_split, split_names
from sciml_data.bench.task.splits import Division, describe, divide, leakage
from sciml_data.errors import DescriptorError, SciMLDataError
from sciml_data.registry.layout import find_registry

RUNNER = find_registry().runner("cloudmask")


@pytest.fixture(scope="module")
def module() -> ModuleType:
    load_runner(find_registry(), "cloudmask")
    return importlib.import_module("sciml_runner_cloudmask.data")


def keys_of(module: ModuleType, starts: list[str], orbits: list[int], inference: int = 0) -> Any:
    """Return scenes named by their number, the first last, so that order cannot help.

    The last scenes (by name) are in the folder of inference scenes.
    """
    count = len(starts)
    scenes = SimpleNamespace(
        granule=np.array([f"g{number:04d}" for number in range(count)])[::-1],
        time=np.array(starts, "M8[s]")[::-1],
        orbit=np.array(orbits, np.int32)[::-1],
        platform=np.zeros(count, np.int8),
        split=np.where(np.arange(count) < inference, "inference", "training"),
    )
    return module.keys_of(scenes)


def month(module: ModuleType, inference: int = 0) -> Any:
    """Return 240 scenes of 30 days, 4 orbits a day of 2 scenes; an orbit runs over midnight."""
    minutes = np.arange(240) * 180 + 90
    starts = np.datetime64("2019-10-01T00:00:00", "s") + minutes.astype("m8[m]")
    orbits = ((np.arange(240) + 1) // 2).tolist()
    return keys_of(module, starts.astype(str).tolist(), orbits, inference)


def split(name: str = "orbit") -> Split:
    return load_split(RUNNER, name)


def make_split(module: ModuleType, keys: pd.DataFrame, name: str = "orbit") -> Division:
    return divide(split(name), keys, module.SPLITS)


def ids(keys: pd.DataFrame, kind: str, rows: Any) -> set[Any]:
    return set(keys[kind].iloc[rows])


def test_both_stored_splits_are_rules() -> None:
    assert split_names(RUNNER) == ["file-80-20", "orbit"]
    assert {split(name).members["train"]["by"] for name in split_names(RUNNER)} == {"file", "orbit"}


def test_no_orbit_and_no_day_is_on_both_sides_of_training(module: ModuleType) -> None:
    keys = month(module, 24)
    divided = make_split(module, keys)
    train, validation = divided.parts["train"], divided.parts["validation"]

    assert not ids(keys, "orbit", train) & ids(keys, "orbit", validation)
    assert not ids(keys, "day", train) & ids(keys, "day", validation)
    assert len(validation) == pytest.approx(0.2 * 216, abs=8)


def test_scenes_of_an_orbit_of_the_test_scenes_are_not_trained_on(module: ModuleType) -> None:
    keys = month(module, 25)  # an odd number: one orbit is in both folders
    divided = make_split(module, keys)
    trained_on = np.concatenate([divided.parts["train"], divided.parts["validation"]])

    assert not ids(keys, "orbit", trained_on) & ids(keys, "orbit", divided.parts["test"])
    assert divided.left_out == 240 - 25 - len(trained_on) > 0
    assert leakage(divided, keys, meaning="")["test"]["orbit"]["percent"] == 0.0


def test_few_days_are_divided_by_orbit(module: ModuleType) -> None:
    starts = [f"2019-10-01T{hour:02d}:00:00" for hour in range(20)]
    keys = keys_of(module, starts, [hour // 2 for hour in range(20)])
    divided = make_split(module, keys)
    train, validation = divided.parts["train"], divided.parts["validation"]

    assert (len(train), len(validation)) == (16, 4)
    assert not ids(keys, "orbit", train) & ids(keys, "orbit", validation)
    assert divided.notes["by"] == ["orbit"]
    assert leakage(divided, keys, meaning="")["validation"]["day"]["percent"] == 100.0


@pytest.mark.parametrize("name", ["orbit", "file-80-20"])
def test_the_order_of_the_files_does_not_matter(module: ModuleType, name: str) -> None:
    keys = month(module, 24)
    shuffled = keys.iloc[np.random.default_rng(0).permutation(240)]
    first, other = (describe(make_split(module, k, name), k) for k in (keys, shuffled))

    assert first == other
    assert first["digest"].startswith("sha256:")


def test_satellites_do_not_share_orbits(module: ModuleType) -> None:
    scenes = SimpleNamespace(
        granule=np.array(["a", "b"]), time=np.array(["2019-10-01", "2019-10-01"], "M8[s]"),
        orbit=np.array([7, 7]), platform=np.array([0, 1], np.int8), split=np.array(["", ""]),
    )  # fmt: skip

    assert module.keys_of(scenes)["orbit"].nunique() == 2


def test_the_published_split_takes_a_fifth_of_the_sorted_files(module: ModuleType) -> None:
    keys = keys_of(module, ["2019-10-01"] * 970, list(range(970)))
    divided = make_split(module, keys, "file-80-20")
    validation = divided.parts["validation"]
    names = sorted(ids(keys, "granule", validation))
    # scikit-learn: train_test_split(range(970), train_size=0.8, random_state=42) tests on these.
    expected = np.random.RandomState(42).permutation(970)[:194]

    assert (len(divided.parts["train"]), len(validation)) == (776, 194)
    assert names == sorted(f"g{number:04d}" for number in expected)


def test_one_orbit_alone_cannot_be_divided(module: ModuleType) -> None:
    keys = keys_of(module, ["2019-10-01"] * 4, [5] * 4)

    with pytest.raises(SciMLDataError, match=r"leaves train without a file.*orbit: 1") as error:
        make_split(module, keys)
    assert "sciml-data get cloud_slstr_ds1" in str(error.value)


def test_an_unknown_rule_is_an_error_of_the_split(module: ModuleType) -> None:
    members = {"train": {"by": "chance"}, "validation": {"share": 0.2}}
    odd = Split("odd", "by chance", 0, members, "sha256:0")

    with pytest.raises(DescriptorError, match="'chance'"):
        divide(odd, month(module), module.SPLITS)
