"""Windows on whole scenes: they cover each pixel, and their predictions are combined."""

from __future__ import annotations

import numpy as np
import pytest

from sciml_data.errors import CallError
from sciml_data.ready.patches import (
    blend,
    centre_weights,
    extract_windows,
    smooth_weights,
    window_grid,
)

SHAPES = [(1200, 1500), (1198, 1500), (96, 112), (40, 300), (1, 1)]


def test_the_references_windows_are_the_published_ones() -> None:
    grid = window_grid((1200, 1500))

    assert len(grid) == 63
    assert grid.padding == ((56, 56), (82, 82))
    assert sorted(set(grid.row.tolist())) == [-56, 120, 296, 472, 648, 824, 1000]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_centres_of_the_windows_cover_each_pixel_once(shape: tuple[int, int]) -> None:
    grid = window_grid(shape)
    count = np.zeros(np.array(shape) + 1000, int)
    border = (grid.size - grid.stride) // 2
    for row, column in zip(grid.row + 500 + border, grid.column + 500 + border, strict=True):
        count[row : row + grid.stride, column : column + grid.stride] += 1

    assert (count[500 : 500 + shape[0], 500 : 500 + shape[1]] == 1).all()


@pytest.mark.parametrize("weigh", [smooth_weights, centre_weights])
@pytest.mark.parametrize("shape", SHAPES)
def test_extracted_windows_are_blended_to_the_scene(shape: tuple[int, int], weigh: object) -> None:
    assert callable(weigh)
    grid = window_grid(shape)
    scene = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    parts = list(extract_windows(grid, scene, batch_size=10))

    np.testing.assert_allclose(
        scene, blend(grid, np.concatenate(parts), weigh(grid)), rtol=1e-5, atol=1e-6
    )
    assert max(map(len, parts)) <= 10


@pytest.mark.parametrize("shape", SHAPES)
def test_a_constant_stays_a_constant(shape: tuple[int, int]) -> None:
    grid = window_grid(shape)
    same = np.full((len(grid), 256, 256), 0.7, np.float32)

    np.testing.assert_allclose(np.full(shape, 0.7), blend(grid, same), rtol=1e-6)


def test_neighbours_fade_into_each_other() -> None:
    grid = window_grid((256, 352), size=256, stride=176)
    per_window = grid.column.astype(np.float32)[:, None, None] * np.ones((1, 256, 256), np.float32)
    image = blend(grid, per_window)
    steps = np.abs(np.diff(image, axis=1))
    span = float(np.ptp(grid.column))

    assert steps.max() < 0.03 * span
    assert np.abs(np.diff(blend(grid, per_window, centre_weights(grid)), axis=1)).max() == span


def test_two_overlapping_weights_sum_to_one() -> None:
    along = smooth_weights(window_grid((400, 400)))[128]

    np.testing.assert_allclose(np.ones(80), along[:80] + along[176:], atol=1e-5)


def test_channels_and_padding_are_kept() -> None:
    grid = window_grid((60, 70), size=32, stride=20)
    scene = np.random.default_rng(0).integers(1, 100, (60, 70, 3)).astype(np.int16)
    reflected, edge, zero = (
        np.concatenate(list(extract_windows(grid, scene, batch_size=64, padding=mode)))
        for mode in ("reflect", "edge", "constant")
    )
    (above, _), (left, _) = grid.padding

    assert np.int16 == reflected.dtype
    np.testing.assert_array_equal(
        scene[1 : above + 1, :10][::-1], reflected[0, :above, left : left + 10]
    )
    assert (edge[0, :above, left] == scene[0, 0]).all()
    assert (zero[0, :above] == 0).all()
    np.testing.assert_allclose(scene, blend(grid, reflected.astype(np.float32)), rtol=1e-5)


def test_arrays_of_other_shapes_are_refused() -> None:
    grid = window_grid((60, 70), size=32, stride=20)
    with pytest.raises(CallError, match="cover"):
        window_grid((60, 70), size=32, stride=33)
    with pytest.raises(CallError, match="fit"):
        next(extract_windows(grid, np.zeros((60, 71)), batch_size=1))
    with pytest.raises(CallError, match="predictions"):
        blend(grid, np.zeros((len(grid), 31, 32)))
    with pytest.raises(CallError, match="weights are 0"):
        blend(grid, np.zeros((len(grid), 32, 32)), np.zeros((32, 32), np.float32))
