"""Splits of CloudMask are functions of the scenes: nothing that belongs together is parted."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from sciml_data.bench.interface import load_runner
from sciml_data.bench.task.split import Split, load_split, split_names
from sciml_data.errors import DescriptorError, SciMLDataError
from sciml_data.registry.layout import find_registry

RUNNER = find_registry().runner("cloudmask")


@pytest.fixture(scope="module")
def module() -> ModuleType:
    load_runner(find_registry(), "cloudmask")
    return importlib.import_module("sciml_runner_cloudmask.split")


def passes_of(module: ModuleType, starts: list[str], orbits: list[int]) -> Any:
    """Return scenes named by their number, the first last, so that order cannot help."""
    count = len(starts)
    return module.Passes(
        granule=np.array([f"g{number:04d}" for number in range(count)])[::-1],
        time=np.array(starts, "M8[s]")[::-1],
        orbit=np.array(orbits, np.int32)[::-1],
        platform=np.zeros(count, np.int8),
    )


def month(module: ModuleType) -> Any:
    """Return 240 scenes of 30 days, 4 orbits a day of 2 scenes; an orbit runs over midnight."""
    minutes = np.arange(240) * 180 + 90
    starts = np.datetime64("2019-10-01T00:00:00", "s") + minutes.astype("m8[m]")
    return passes_of(module, starts.astype(str).tolist(), ((np.arange(240) + 1) // 2).tolist())


def split(name: str = "orbit") -> Split:
    return load_split(RUNNER, name)


def make_split(module: ModuleType, passes: Any, inference: int, name: str = "orbit") -> Any:
    """Return the split with the last scenes (by name) as the inference folder."""
    count = len(passes)
    return module.make_split(split(name), passes, np.arange(count) < inference)


def test_both_stored_splits_are_rules() -> None:
    assert split_names(RUNNER) == ["file-80-20", "orbit"]
    assert {split(name).members["train"]["by"] for name in split_names(RUNNER)} == {"file", "orbit"}


def test_no_orbit_and_no_day_is_on_both_sides_of_training(module: ModuleType) -> None:
    passes = month(module)
    divided = make_split(module, passes, 24)
    train, validation = divided.parts["train"], divided.parts["validation"]

    assert not set(passes.orbits[train]) & set(passes.orbits[validation])
    assert not set(passes.days[train]) & set(passes.days[validation])
    assert len(validation) == pytest.approx(0.2 * 216, abs=8)


def test_scenes_of_an_orbit_of_the_test_scenes_are_not_trained_on(module: ModuleType) -> None:
    passes = month(module)
    divided = make_split(module, passes, 25)  # an odd number: one orbit is in both folders
    trained_on = np.concatenate([divided.parts["train"], divided.parts["validation"]])
    shared = module.leakage(divided, passes)["test"]

    assert not set(passes.orbits[trained_on]) & set(passes.orbits[divided.parts["test"]])
    assert divided.left_out == 240 - 25 - len(trained_on) > 0
    assert shared["orbits_shared_percent"] == 0.0


def test_few_days_are_divided_by_orbit(module: ModuleType) -> None:
    starts = [f"2019-10-01T{hour:02d}:00:00" for hour in range(20)]
    passes = passes_of(module, starts, [hour // 2 for hour in range(20)])
    divided = make_split(module, passes, 0)
    train, validation = divided.parts["train"], divided.parts["validation"]

    assert (len(train), len(validation)) == (16, 4)
    assert not set(passes.orbits[train]) & set(passes.orbits[validation])
    assert "too few days" in divided.rule
    assert module.leakage(divided, passes)["validation"]["days_shared_percent"] == 100.0


def test_the_order_of_the_files_does_not_matter(module: ModuleType) -> None:
    passes = month(module)
    order = np.random.default_rng(0).permutation(240)
    columns = (passes.granule, passes.time, passes.orbit, passes.platform)
    shuffled = module.Passes(*(column[order] for column in columns))
    is_inference = np.arange(240) < 24
    first = module.describe_split(module.make_split(split(), passes, is_inference), passes)
    other = module.describe_split(
        module.make_split(split(), shuffled, is_inference[order]), shuffled
    )

    assert first == other
    assert first["digest"].startswith("sha256:")


def test_satellites_do_not_share_orbits(module: ModuleType) -> None:
    passes = module.Passes(
        np.array(["a", "b"]), np.array(["2019-10-01", "2019-10-01"], "M8[s]"),
        np.array([7, 7]), np.array([0, 1], np.int8),
    )  # fmt: skip

    assert len(set(passes.orbits)) == 2


def test_the_published_split_takes_a_fifth_of_the_sorted_files(module: ModuleType) -> None:
    passes = passes_of(module, ["2019-10-01"] * 970, list(range(970)))
    divided = make_split(module, passes, 0, "file-80-20")
    validation = divided.parts["validation"]
    names = sorted(passes.granule[validation])
    # scikit-learn: train_test_split(range(970), train_size=0.8, random_state=42) tests on these.
    expected = np.random.RandomState(42).permutation(970)[:194]

    assert (len(divided.parts["train"]), len(validation)) == (776, 194)
    assert names == sorted(f"g{number:04d}" for number in expected)


def test_one_orbit_alone_cannot_be_divided(module: ModuleType) -> None:
    passes = passes_of(module, ["2019-10-01"] * 4, [5] * 4)

    with pytest.raises(SciMLDataError, match="4 training scenes are too few"):
        make_split(module, passes, 0)


def test_an_unknown_rule_is_an_error_of_the_split(module: ModuleType) -> None:
    members = {"train": {"by": "chance"}, "validation": {"share": 0.2}}
    odd = Split("odd", "by chance", 0, members, "sha256:0")

    with pytest.raises(DescriptorError, match="'chance'"):
        module.make_split(odd, month(module), np.zeros(240, bool))
