"""TEvolOp: targets, input features, and the part that a forecast belongs to."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sciml_data.bench.interface import load_runner
from sciml_data.bench.task.split import Split, load_split
from sciml_data.bench.task.splits import divide, leakage
from sciml_data.errors import DescriptorError, SciMLDataError
from sciml_data.registry.layout import find_registry

TIMES, ACTIVE = 240, 40
LOCAL = ("own", "neighbours", "slow", "rates", "faults", "published")
SHARED = ("region",)


def module(name: str) -> Any:
    """Return a module of the runner in this registry."""
    load_runner(find_registry(), "tevolop")
    return importlib.import_module(f"sciml_runner_tevolop.{name}")


def toy_grid(seed: int = 0) -> Any:
    """Return fortnights in which only a block of 5 x 8 pixels has earthquakes."""
    rng = np.random.default_rng(seed)
    row, column = np.divmod(np.arange(ACTIVE), 8)
    active = 60 * (row + 10) + column + 20
    count = np.zeros((TIMES, 2400), np.int32)
    count[:, active] = rng.poisson(0.6, (TIMES, ACTIVE))
    energy = np.full((TIMES, 2400), 14.0)
    energy[:, active] += count[:, active] * 10 ** (1.5 * rng.uniform(1, 5, (TIMES, ACTIVE)))
    magnitude = (np.log10(energy) / 1.5).astype(np.float32)
    first = np.datetime64("1950-01-04")
    return module("data").Fortnights(
        start=first + 14 * np.arange(TIMES),
        magnitude=magnitude,
        target_magnitude=np.where(count > 0, magnitude, np.nan),
        depth=np.where(count > 0, 8.0, 0.0).astype(np.float32),
        count=count,
        strong=(count > 1).astype(np.int32),
        complete=np.ones(TIMES, bool),
        fault_group=np.arange(2400) // 100,
    )


def split_of(**members: Any) -> Split:
    return Split("toy", "by hand", 0, members, "")


def make_split(split: Split, grid: Any) -> Any:
    """Return the chosen pixels, their origin, the parts, and what they share."""
    data = module("data")
    pixels, split, origin = data.choose_pixels(split, grid)
    table = data.keys_of(grid, pixels)
    division = divide(split, table)
    return SimpleNamespace(
        pixels=pixels,
        origin=origin,
        parts=data.parts_of(division, table, pixels),
        leakage=leakage(division, table, meaning=""),
    )


def active_pixels(grid: Any) -> np.ndarray:
    return np.flatnonzero(grid.count.sum(axis=0))


def test_a_target_is_the_energy_of_the_fortnights_after_the_input() -> None:
    grid = toy_grid()
    pixel = int(active_pixels(grid)[0])
    energy = 10 ** (1.5 * grid.magnitude[:, pixel].astype(float))

    ahead = module("data").windows_ahead(grid.magnitude[:, [pixel]])

    assert ahead.shape == (1, TIMES, 8)
    for index, steps in enumerate(module("data").WINDOWS):
        expected = np.log10(energy[21 : 21 + steps].sum()) / 1.5
        assert ahead[0, 20, index] == pytest.approx(expected, rel=1e-5)


def test_an_incomplete_target_is_missing() -> None:
    ahead = module("data").windows_ahead(toy_grid().magnitude[:, :1])

    for index, steps in enumerate(module("data").WINDOWS):
        assert np.isfinite(ahead[0, :, index]).sum() == TIMES - steps
        assert np.isnan(ahead[0, TIMES - steps :, index]).all()


def test_with_the_clean_floor_an_empty_window_is_missing() -> None:
    grid = toy_grid()
    pixel = int(active_pixels(grid)[0])

    ahead = module("data").windows_ahead(grid.target_magnitude[:, [pixel]])

    has_earthquakes = grid.count[1:, pixel] > 0
    assert np.isfinite(ahead[0, :-1, 0]).tolist() == has_earthquakes.tolist()


def test_the_share_of_a_window_in_a_gap_is_known() -> None:
    complete = np.ones(40, bool)
    complete[10:13] = False

    share = module("data").missing_share(complete)

    assert share[8:14, 0].tolist() == [0, 1, 1, 1, 0, 0]
    assert share[9, 2] == pytest.approx(3 / 4)
    assert share[0, 4] == pytest.approx(3 / 13)


@pytest.mark.parametrize("group", [*LOCAL, *SHARED])
def test_no_feature_looks_ahead(group: str) -> None:
    features, grid, changed = module("features"), toy_grid(0), toy_grid(1)
    pixels, cut = active_pixels(grid)[:12], 100
    for name in ("magnitude", "target_magnitude", "depth", "count", "strong"):
        getattr(changed, name)[: cut + 1] = getattr(grid, name)[: cut + 1]

    make = {**features.LOCAL_GROUPS, **features.SHARED_GROUPS}[group]
    before, after = make(grid, pixels), make(changed, pixels)

    for name, values in before.items():
        np.testing.assert_array_equal(values[..., : cut + 1], after[name][..., : cut + 1])
    assert group == "faults" or any(
        not np.array_equal(values, after[name]) for name, values in before.items()
    )


def test_the_ridge_does_not_look_ahead_either() -> None:
    baselines, grid, changed = module("baselines"), toy_grid(0), toy_grid(1)
    pixel, cut = int(active_pixels(grid)[0]), 100
    for name in ("magnitude", "depth", "count", "strong"):
        getattr(changed, name)[: cut + 1] = getattr(grid, name)[: cut + 1]

    before, after = baselines.ridge_rows(grid, pixel), baselines.ridge_rows(changed, pixel)

    assert before.shape == (TIMES, 84)
    np.testing.assert_array_equal(before[: cut + 1], after[: cut + 1])


@pytest.mark.parametrize("scaling", ["standard", "minmax"])
def test_scaling_knows_only_the_training_pixels_and_dates(scaling: str) -> None:
    features, grid, changed = module("features"), toy_grid(0), toy_grid(1)
    pixels, stop = active_pixels(grid)[:12], 90
    train = np.arange(12) < 8
    for name in ("magnitude", "depth", "count", "strong"):
        getattr(changed, name)[:stop] = getattr(grid, name)[:stop]

    def make(source: Any) -> Any:
        groups = ["own", "region"]
        return features.make_features(
            source, pixels, groups=groups, train=train, stop=stop, scaling=scaling
        )

    values, names = make(grid)
    np.testing.assert_array_equal(values[:, :stop], make(changed)[0][:, :stop])
    known = values[train, :stop]
    if scaling == "standard":
        np.testing.assert_allclose(known.mean(axis=(0, 1)), 0, atol=0.15)  # rare ones are clipped
    else:
        np.testing.assert_allclose(known.min(axis=(0, 1)), 0, atol=1e-6)
    assert values.shape == (12, TIMES, len(names))


def test_the_published_inputs_are_27_and_encodings_are_not_scaled() -> None:
    features, grid = module("features"), toy_grid(0)
    pixels = active_pixels(grid)[:12]

    values, names = features.make_features(
        grid,
        pixels,
        groups=["faults", "published", "dates"],
        train=np.arange(12) < 8,
        stop=90,
        scaling="minmax",
    )

    assert len(names) == 27
    assert sum(map(features.is_encoding, names)) == 14
    np.testing.assert_array_equal(values[..., names.index("constant")], 0.5)
    np.testing.assert_allclose(values[3, :, names.index("linear_space")], 3 / 12)
    known = values[:8, :90, names.index("multiplicity")]
    assert (known.min(), known.max()) == (0.0, 1.0)


def test_the_region_is_that_of_the_training_pixels() -> None:
    features, grid, changed = module("features"), toy_grid(0), toy_grid(0)
    pixels = active_pixels(grid)[:12]
    for name in ("magnitude", "count", "strong"):
        getattr(changed, name)[:, pixels[8:]] = 0
    train = np.arange(12) < 8

    before, _ = features.make_features(grid, pixels, groups=["region"], train=train, stop=90)
    after, _ = features.make_features(changed, pixels, groups=["region"], train=train, stop=90)

    np.testing.assert_array_equal(before, after)
    assert (before == before[:1]).all()


def test_a_trailing_sum_is_scaled_up_while_it_is_incomplete() -> None:
    sums = module("features").trailing_sum(np.array([1.0, 3.0, 5.0, 7.0]), 3)

    assert sums.tolist() == [3.0, 6.0, 9.0, 15.0]
    assert module("features").trailing_sum(np.array([1.0, 3.0]), 4).tolist() == [4.0, 8.0]


def test_a_forecast_belongs_to_the_part_that_has_its_whole_window() -> None:
    part = module("data").Part(np.array([True, False]), 60, 80)

    of_pixel, of_other = part.has_windows(TIMES)

    for index, steps in enumerate(module("data").WINDOWS):
        inputs = np.flatnonzero(of_pixel[:, index])
        assert len(inputs) == max(20 - steps + 1, 0)
        if len(inputs):
            assert (inputs[0] + 1, inputs[-1] + steps) == (60, 79)
    assert not of_other.any()


def test_no_training_target_reaches_into_a_later_part() -> None:
    grid = toy_grid()
    border = str(grid.start[180])
    divided = make_split(
        split_of(
            train={"period": ["1950-01-04", border]}, validation={"period": [border, "1960-01-01"]}
        ),
        grid,
    )
    in_training = divided.parts["train"].has_windows(TIMES)

    for index, steps in enumerate(module("data").WINDOWS):
        assert np.flatnonzero(in_training[..., index].any(axis=0)).max() + steps <= 179


def test_pixels_of_a_split_by_time_are_those_active_in_the_training_period() -> None:
    grid = toy_grid()
    grid.strong[100:, 7] = 50
    split = split_of(train={"period": ["1950-01-04", str(grid.start[100])]})

    divided = make_split(split, grid)

    assert 7 not in divided.pixels
    assert set(active_pixels(grid)) <= set(divided.pixels.tolist())


def test_a_quiet_catalogue_gives_its_busiest_pixels() -> None:
    grid = toy_grid()
    grid.strong[:] = 0

    divided = make_split(split_of(train={"period": ["1950-01-04", "1955-01-01"]}), grid)

    assert len(divided.pixels) == module("data").BUSIEST
    assert "the rule found 0 pixels" in divided.origin


def test_stored_pixels_that_are_not_active_are_replaced_by_a_drawn_list() -> None:
    grid = toy_grid()
    period = ["1950-01-04", "1960-01-01"]
    split = split_of(
        train={"pixels": [0, 1, 2], "period": period}, validation={"pixels": [3], "period": period}
    )

    divided = make_split(split, grid)

    train, validation = (divided.parts[name].has_pixel for name in ("train", "validation"))
    assert "not active in this catalogue" in divided.origin
    assert not (train & validation).any()
    assert train.sum() == round(0.8 * len(divided.pixels))


def test_stored_pixels_that_are_active_are_used() -> None:
    grid = toy_grid()
    active, period = active_pixels(grid), ["1950-01-04", "1960-01-01"]
    split = split_of(
        train={"pixels": active[5:].tolist(), "period": period},
        validation={"pixels": active[:5].tolist(), "period": period},
    )

    divided = make_split(split, grid)

    assert divided.pixels[divided.parts["validation"].has_pixel].tolist() == active[:5].tolist()
    shared = divided.leakage["validation"]
    assert {kind: counts["percent"] for kind, counts in shared.items()} == {
        "date": 100.0,
        "pixel": 0.0,
    }


@pytest.mark.parametrize("member", [{}, {"period": None}, {"period": ["2000-01-01"]}])
def test_a_split_without_a_period_is_refused(member: dict[str, Any]) -> None:
    split = split_of(train={"period": ["1950-01-04", "1960-01-01"]}, validation=member)

    with pytest.raises(DescriptorError, match="'toy': each part needs a period") as error:
        module("data").period_end(split)

    assert '"period": ["1950-01-04", "2005-01-01"]' in str(error.value.hint)


def test_a_split_with_reversed_periods_is_refused_with_every_problem() -> None:
    period = ["2000-01-01", "1990-01-01"]
    split = split_of(train={"period": period}, validation={"period": period})

    with pytest.raises(DescriptorError) as error:
        make_split(split, toy_grid())

    assert [problem.place for problem in error.value.problems] == ["toy: train", "toy: validation"]


def test_the_published_pixels_are_split_400_to_100() -> None:
    split = load_split(find_registry().runner("tevolop"), "spatial-400-100")
    lists = {name: members["pixels"] for name, members in split.members.items()}

    assert {name: len(pixels) for name, pixels in lists.items()} == {
        "train": 400,
        "validation": 100,
    }
    assert len(set(lists["train"]) | set(lists["validation"])) == 500
    everything = np.sort(np.concatenate(list(lists.values())))
    shuffled = everything[np.random.default_rng(split.seed).permutation(500)]
    assert sorted(shuffled[:400].tolist()) == lists["train"]


def test_the_parts_of_the_headline_split_follow_one_another() -> None:
    split = load_split(find_registry().runner("tevolop"), "temporal")
    periods = [members["period"] for members in split.members.values()]

    assert list(split.members) == ["train", "validation", "test", "fresh"]
    assert [end for _, end in periods[:-1]] == [start for start, _ in periods[1:]]


def test_the_ridge_has_the_penalty_of_the_task_for_each_sample() -> None:
    baselines, grid = module("baselines"), toy_grid()
    pixels = active_pixels(grid)[:6]
    observed = module("data").windows_ahead(grid.magnitude[:, pixels])
    is_training = np.isfinite(observed) & (np.arange(TIMES) >= 50)[:, None]

    forecasts = baselines.make_baselines(
        grid, pixels, observed, is_training=is_training, penalty=0.1
    )

    # The closed form of the shortest window, whose targets are known in all of these samples.
    known = is_training[..., 0]
    rows = np.stack([baselines.ridge_rows(grid, pixel) for pixel in pixels])
    target = observed[known][:, 0].astype(float)
    deviation = rows[known].std(axis=0)
    standard = (rows - rows[known].mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    gram = standard[known].T @ standard[known] / known.sum() + 0.1 * np.eye(84)
    weights = np.linalg.solve(gram, standard[known].T @ (target - target.mean()) / known.sum())
    expected = standard @ weights + target.mean()
    np.testing.assert_allclose(forecasts["ridge"][..., 0], expected, atol=1e-5)


def test_the_ridge_is_fitted_to_a_limited_number_of_samples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    baselines, grid = module("baselines"), toy_grid()
    pixels = active_pixels(grid)[:6]
    observed = module("data").windows_ahead(grid.magnitude[:, pixels])
    monkeypatch.setattr(baselines, "MAX_RIDGE_SAMPLES", 50)
    fitted = baselines.make_baselines(
        grid, pixels, observed, is_training=np.isfinite(observed), penalty=0.1
    )["ridge"]
    changed = observed.copy()
    samples = np.argwhere(np.isfinite(observed).any(axis=-1))
    chosen = samples[np.linspace(0, len(samples) - 1, 50).round().astype(int)]
    is_chosen = np.zeros(observed.shape[:2], bool)
    is_chosen[tuple(chosen.T)] = True
    changed[~is_chosen] += 1

    again = baselines.make_baselines(
        grid, pixels, changed, is_training=np.isfinite(observed), penalty=0.1
    )["ridge"]

    np.testing.assert_array_equal(fitted, again)


def test_a_window_without_a_training_target_is_named() -> None:
    baselines, grid = module("baselines"), toy_grid()
    pixels = active_pixels(grid)[:6]
    observed = module("data").windows_ahead(grid.magnitude[:, pixels])
    is_training = np.isfinite(observed)
    is_training[..., 5:] = False

    with pytest.raises(SciMLDataError, match="no target is known of the window of 1 year"):
        baselines.make_baselines(grid, pixels, observed, is_training=is_training, penalty=0.1)
