"""Splits of stacks keep materials apart and report leakage; augmentation keeps labels right."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from sciml_data.bench.interface import load_runner
from sciml_data.bench.task.split import load_split, split_names
from sciml_data.bench.task.splits import Division, describe, divide, leakage
from sciml_data.errors import CallError, SciMLDataError
from sciml_data.registry.layout import find_registry
from tests.support.stemdl_samples import ENERGIES, converted

RUNNER = find_registry().runner("stemdl_classification")


def module(name: str) -> ModuleType:
    load_runner(find_registry(), "stemdl_classification")
    return importlib.import_module(f"sciml_runner_stemdl_classification.{name}")


def stacks_of(root: Path, groups: Mapping[int, int] | None = None, **options: Any) -> Any:
    return module("data").find_stacks(converted(root, groups=groups, side=8, **options))


def make_split(stacks: Any, split: str) -> Division:
    options = module("runner").SPLITS
    return divide(load_split(RUNNER, split), module("data").keys_of(stacks), options)


def leakage_of(stacks: Any, split: str) -> Any:
    return leakage(
        make_split(stacks, split),
        module("data").keys_of(stacks),
        meaning=module("runner").Classification.LEAKAGE,
    )


def groups_of(stacks: Any, divided: Any) -> dict[str, list[int]]:
    return {
        part: sorted(set(stacks["space_group"][rows].tolist()))
        for part, rows in divided.parts.items()
    }


def test_the_splits_are_those_of_the_documents() -> None:
    assert split_names(RUNNER) == ["material", "published", "random"]


def test_no_material_is_on_two_sides_of_the_headline_split(tmp_path: Path) -> None:
    stacks = stacks_of(tmp_path, {2: 3, 14: 4, 62: 20, 225: 7})
    parts = [
        set(stacks["material"][rows]) for rows in make_split(stacks, "material").parts.values()
    ]

    assert sum(map(len, parts)) == len(set.union(*parts)) == 34
    report = leakage_of(stacks, "material")
    assert [report[part]["material"]["shared"] for part in ("validation", "test")] == [0, 0]


def test_a_group_of_three_materials_is_in_every_part(tmp_path: Path) -> None:
    stacks = stacks_of(tmp_path, {2: 3, 14: 4, 62: 20, 225: 7})
    by_part = groups_of(stacks, make_split(stacks, "material"))

    assert set(map(tuple, by_part.values())) == {(2, 14, 62, 225)}


def test_a_group_of_one_or_two_materials_stays_in_train_and_is_counted(tmp_path: Path) -> None:
    stacks = stacks_of(tmp_path, {2: 1, 14: 2, 62: 5, 225: 5})
    divided = make_split(stacks, "material")

    assert divided.notes["in_train_alone"] == [2, 14]
    assert groups_of(stacks, divided) == {
        "train": [2, 14, 62, 225],
        "validation": [62, 225],
        "test": [62, 225],
    }


def test_parts_take_their_shares_of_each_group(tmp_path: Path) -> None:
    stacks = stacks_of(tmp_path, {62: 40, 225: 10})
    divided = make_split(stacks, "material")
    materials = {
        part: [
            len({m for m in stacks["material"][rows] if group in m}) for group in ("-062-", "-225-")
        ]
        for part, rows in divided.parts.items()
    }

    assert materials == {"train": [28, 6], "validation": [6, 2], "test": [6, 2]}


def test_the_random_split_reports_its_leakage(tmp_path: Path) -> None:
    report = leakage_of(stacks_of(tmp_path), "random")

    assert report["test"]["material"]["shared"] > 10
    assert report["test"]["material"]["percent"] > 80
    assert "test shares with train: material" in report["told"][1]
    assert "what was remembered" in report["told"][-1]


def test_formulas_that_parts_share_are_counted_apart(tmp_path: Path) -> None:
    report = leakage_of(stacks_of(tmp_path), "material")

    assert report["test"]["material"]["shared"] == 0
    assert report["test"]["formula"]["shared"] > 0
    assert "material 0 of 6 (0 % of samples)" in report["told"][1]


def test_the_published_split_is_that_of_the_folders(tmp_path: Path) -> None:
    stacks = stacks_of(tmp_path)
    divided = make_split(stacks, "published")
    folders = {part: set(stacks["folder"][rows]) for part, rows in divided.parts.items()}

    assert folders == {"train": {"train"}, "validation": {"dev"}, "test": {"test"}}
    assert divided.left_out == 0


def test_without_a_folder_for_validation_whole_materials_of_train_are_taken(
    tmp_path: Path,
) -> None:
    stacks = stacks_of(tmp_path, with_validation=False)
    divided = make_split(stacks, "published")
    train, validation = (set(stacks["material"][divided.parts[p]]) for p in ("train", "validation"))

    assert divided.notes["by"] == ["material"]
    assert validation
    assert not train & validation


def test_leakage_that_cannot_be_checked_is_reported(tmp_path: Path) -> None:
    stacks = stacks_of(tmp_path, is_log_intensity=True)
    report = leakage_of(stacks, "published")

    assert report["test"]["material"] == "not known"
    assert "material: not known, so it cannot be checked" in report["told"][0]
    assert make_split(stacks, "published").notes["by"] == ["stack"]


def test_a_split_by_material_is_refused_if_the_dataset_names_none(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="does not name the material") as caught:
        make_split(stacks_of(tmp_path, is_log_intensity=True), "material")
    assert "--split published" in str(caught.value.hint)


def test_a_dataset_too_small_to_divide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SciMLDataError, match="validation and test without a stack"):
        make_split(stacks_of(tmp_path, {2: 2, 225: 2}), "material")


def test_a_material_with_two_labels_stays_whole(tmp_path: Path) -> None:
    stacks = stacks_of(tmp_path, {2: 5, 225: 5})
    table = stacks.table
    table = table.assign(material=table["material"].str.replace("syn-225-000", "syn-002-000"))
    stacks = replace(stacks, table=table)

    assert leakage_of(stacks, "material")["test"]["material"]["shared"] == 0


def test_the_parts_do_not_depend_on_the_order_of_the_files(tmp_path: Path) -> None:
    stacks = stacks_of(tmp_path)
    digest = describe(make_split(stacks, "material"), module("data").keys_of(stacks))["digest"]
    order = np.random.default_rng(0).permutation(len(stacks))
    stacks = replace(stacks, table=stacks.table.iloc[order].reset_index(drop=True))

    assert (
        describe(make_split(stacks, "material"), module("data").keys_of(stacks))["digest"] == digest
    )


def test_the_last_group_of_each_crystal_system_is_followed_by_the_next_system() -> None:
    groups = module("data")
    gemmi = pytest.importorskip("gemmi")
    systems = groups.systems_of(np.arange(1, 231))
    names = [
        gemmi.find_spacegroup_by_number(number).crystal_system_str() for number in range(1, 231)
    ]

    assert [groups.SYSTEMS[number] for number in systems] == names


def test_mirrors_change_the_group_of_22_and_of_no_other() -> None:
    gemmi = pytest.importorskip("gemmi")
    expected = [0]
    for number in range(1, 231):
        operations = gemmi.find_spacegroup_by_number(number).operations()
        inversion = gemmi.Op("-x,-y,-z")
        mirrored = gemmi.GroupOps(
            [(inversion * operation * inversion).wrap() for operation in operations]
        )
        group = gemmi.find_spacegroup_by_ops(mirrored)
        # Settings that gemmi does not list are those of the group, shifted by a translation.
        expected.append(number if group is None else group.number)

    assert module("data").mirrored_groups().tolist() == expected


def beam_and_spot(side: int) -> np.ndarray[Any, Any]:
    """Return an image with its beam in pixel side / 2 and one spot aside."""
    image = np.zeros((1, side, side), np.float32)
    image[0, side // 2, side // 2] = 9
    image[0, side // 2 + 2, side // 2 + 1] = 1
    return image


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_the_beam_stays_in_its_pixel_when_a_pattern_is_rotated(quarters: int) -> None:
    rotated = module("augment").rotate_quarters(beam_and_spot(16), quarters, is_sharp=True)
    row, column = np.argwhere(rotated[0] == 1)[0] - 8

    assert rotated[0, 8, 8] == 9
    assert (row, column) == [(2, 1), (-1, 2), (-2, -1), (1, -2)][quarters]


def smooth(side: int = 32) -> np.ndarray[Any, Any]:
    """Return a stack of one smooth pattern without symmetry: (1, side, side, 1)."""
    y, x = np.indices((side, side)) - side // 2
    image = np.exp(-((y - 5) ** 2 + (x - 2) ** 2) / 18) + 0.5 * np.exp(-((y + 3) ** 2 + x**2) / 30)
    return image[None, :, :, None].astype(np.float32)


def test_a_quarter_rotation_is_a_shift_along_the_angle() -> None:
    grid = module("augment").PolarGrid(32)
    square = smooth()
    rotated = module("augment").rotate_quarters(square[..., 0], 3, is_sharp=True)[..., None]

    assert grid.resample(rotated) == pytest.approx(
        np.roll(grid.resample(square), 8, axis=2), abs=1e-5
    )
    assert grid.resample(square).std() > 0.05


def test_a_mirrored_pattern_has_its_angles_in_reverse_order() -> None:
    grid = module("augment").PolarGrid(32)
    square = smooth()
    mirrored = np.roll(square[:, ::-1], 1, axis=1)
    other = np.roll(grid.resample(square)[:, :, ::-1], 1, axis=2)

    assert grid.resample(mirrored) == pytest.approx(other, abs=1e-5)


def test_polar_views_are_mirrored_together_and_rotated_apart() -> None:
    patterns = np.repeat(smooth(), 300, axis=0).repeat(3, axis=3)
    polar = module("augment").PolarGrid(32).resample(patterns)
    augmented, groups = module("augment").augment_polar(
        polar, np.full(300, 225), np.array([225]), np.random.default_rng(0)
    )
    plain = {np.roll(polar[0, ..., 0], n, axis=1).tobytes() for n in range(32)}
    is_plain = np.array(
        [[stack[..., v].tobytes() in plain for v in range(3)] for stack in augmented]
    )

    assert set(groups) == {225}
    assert 0.4 < is_plain.mean() < 0.6
    assert (is_plain == is_plain[:, :1]).all()
    assert len({stack[..., 0].tobytes() for stack in augmented}) > 50


def test_mirrored_stacks_of_a_handed_group_get_the_other_label_if_it_is_known() -> None:
    augment = module("augment")
    patterns = np.repeat(beam_and_spot(16)[0][None, :, :, None], 400, axis=0).repeat(3, axis=3)
    groups = np.repeat([152, 225], 200)

    def labels(known: list[int]) -> set[int]:
        rng = np.random.default_rng(0)
        augmented = augment.augment_square(
            patterns, groups, np.array(known), rng=rng, is_sharp=True
        )
        return set(augmented[1][:200].tolist())

    assert labels([152, 154, 225]) == {152, 154}
    assert labels([152, 225]) == {152}


def test_square_views_are_mirrored_together_and_rotated_apart() -> None:
    patterns = np.repeat(beam_and_spot(16)[0][None, :, :, None], 200, axis=0).repeat(3, axis=3)
    augmented, groups = module("augment").augment_square(
        patterns, np.full(200, 225), np.array([225]), rng=np.random.default_rng(1), is_sharp=True
    )
    places = [
        [tuple(np.argwhere(augmented[n, ..., view] == 1)[0] - 8) for view in range(3)]
        for n in range(200)
    ]
    plain = {(2, 1), (-1, 2), (-2, -1), (1, -2)}

    assert set(groups) == {225}
    assert len({place for stack in places for place in stack}) == 8
    assert all(len({place in plain for place in stack}) == 1 for stack in places)
    assert any(len(set(stack)) == 3 for stack in places)


def test_the_fixture_has_every_energy_of_every_material(tmp_path: Path) -> None:
    stacks = stacks_of(tmp_path)

    assert len(stacks) == len(set(stacks["name"])) == 6 * 6 * len(ENERGIES)


def test_a_radius_factor_of_one_changes_nothing() -> None:
    polar = np.random.default_rng(0).uniform(0, 255, (2, 8, 4, 3)).astype(np.float32)

    same = module("augment").scale_radius(polar, 0.0, np.random.default_rng(1))
    np.testing.assert_array_equal(same, polar)


def test_scaling_the_radius_shifts_spots_in_or_out_and_fills_with_zeros() -> None:
    polar = np.zeros((40, 16, 1, 1), np.float32)
    polar[:, 8] = 100.0

    scaled = module("augment").scale_radius(polar, 0.3, np.random.default_rng(1))

    places = (scaled[..., 0, 0] * np.arange(16)).sum(axis=1) / scaled[..., 0, 0].sum(axis=1)
    factors = 8.5 / (places + 0.5)  # radius 8.5 becomes radius 8.5 / factor
    assert 1 / np.exp(0.3) - 0.05 <= factors.min() < 0.9
    assert 1.1 < factors.max() <= np.exp(0.3) + 0.05
    assert scaled.max() <= 100.0
