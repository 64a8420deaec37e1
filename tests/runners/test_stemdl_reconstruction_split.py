"""Splits of the reconstruction benchmark keep materials apart, or report their leakage."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from sciml_data.bench.interface import load_runner
from sciml_data.bench.task.split import load_split, split_names
from sciml_data.bench.task.splits import Division, divide, leakage
from sciml_data.errors import CallError, SciMLDataError
from sciml_data.registry.layout import find_registry
from tests.support.stemdl_scans import ready_dataset, scanned, sheet, window_of, write_ready

RUNNER = find_registry().runner("stemdl_reconstruction")
TRAIN = [[f"syn{n}" for n in range(8)], [f"syn{n}" for n in range(8, 16)]]
TEST = [[f"syn{n}" for n in range(16, 20)]]


def module(name: str) -> ModuleType:
    load_runner(find_registry(), "stemdl_reconstruction")
    return importlib.import_module(f"sciml_runner_stemdl_reconstruction.{name}")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("ready")
    return module("data").find_scans(write_ready(root, {"train": TRAIN, "test": TEST}))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return scans with no more metadata than the published files have."""
    root = tmp_path_factory.mktemp("published")
    converted = write_ready(root, {"train": TRAIN, "test": TEST}, published=True)
    return module("data").find_scans(converted)


def make_split(name: str, scans: Any) -> Division:
    keys = module("data").keys_of(scans)
    return divide(load_split(RUNNER, name), keys, module("runner").SPLITS)


def leakage_of(name: str, scans: Any) -> Any:
    return leakage(make_split(name, scans), module("data").keys_of(scans), meaning="")


def materials(scans: Any, numbers: Any) -> set[str]:
    return set(scans["material"][numbers].tolist())


def test_scans_are_those_of_all_files(scans: Any) -> None:
    assert len(scans) == 40
    assert scans.shapes["scan"] == (16, 16, 16)
    assert module("data").channels_of(scans) == ("potential", "electron_density", "legacy")
    assert len(set(scans["name"].tolist())) == 40
    assert scans.is_known("material")


def test_a_scan_is_read_by_its_number(scans: Any) -> None:
    numbers = [33, 2, 17]
    whole = np.concatenate([ready_dataset(m, published=False)["scan"] for m in (*TEST, *TRAIN)])

    assert np.array_equal(scans.read("scan", numbers), whole[numbers])


def test_no_material_is_on_two_sides_of_the_headline_split(scans: Any) -> None:
    divided = make_split("material", scans)
    parts = [materials(scans, numbers) for numbers in divided.parts.values()]

    assert [len(part) for part in parts] == [14, 3, 3]
    assert len(set.union(*parts)) == 20
    assert sum(len(numbers) for numbers in divided.parts.values()) == 40


def test_the_random_split_reports_its_leakage(scans: Any) -> None:
    divided = make_split("random", scans)
    report = leakage_of("random", scans)
    shared = materials(scans, divided.parts["test"]) & materials(scans, divided.parts["train"])

    assert report["test"]["material"]["shared"] == len(shared) > 0
    assert any(f"test shares with train: material {len(shared)} of" in t for t in report["told"])


def test_shared_formulas_are_reported_when_no_material_is_shared(scans: Any) -> None:
    report = leakage_of("material", scans)

    assert report["test"]["material"]["shared"] == 0
    assert report["test"]["formula"]["percent"] == 100.0  # there are four


def test_the_published_split_takes_validation_from_train_by_material(scans: Any) -> None:
    divided = make_split("published", scans)

    assert set(scans["folder"][divided.parts["test"]]) == {"test"}
    assert set(scans["folder"][divided.parts["validation"]]) == {"train"}
    assert len(divided.parts["test"]) == 8
    assert len(materials(scans, divided.parts["validation"])) == 2
    train = materials(scans, divided.parts["train"])
    assert not train & materials(scans, divided.parts["validation"])


def test_published_files_have_the_legacy_target_and_no_materials(published: Any) -> None:
    assert module("data").channels_of(published) == ("legacy",)
    assert not published.is_known("material")
    assert np.isnan(published["pixel_size"]).all()


def test_without_materials_leakage_is_reported_as_not_checked(published: Any) -> None:
    divided = make_split("published", published)
    report = leakage_of("published", published)

    assert divided.notes["by"] == ["sample"]
    assert len(divided.parts["validation"]) == 5  # of 32, 0.15 of them
    assert report["test"]["material"] == "not known"
    assert all("cannot be checked" in line for line in report["told"])


def test_without_materials_they_cannot_be_kept_apart(published: Any) -> None:
    with pytest.raises(CallError, match="does not name the material") as error:
        make_split("material", published)

    assert "--split published" in str(error.value)


def test_a_part_that_would_be_empty_is_refused(tmp_path: Path) -> None:
    few = write_ready(tmp_path, {"train": [["syn1", "syn2"]]})

    with pytest.raises(SciMLDataError, match="without a sample"):
        make_split("material", module("data").find_scans(few))
    with pytest.raises(SciMLDataError, match=r"validation and test without a sample.*'train': 4"):
        make_split("published", module("data").find_scans(few))


def test_stored_splits_are_three() -> None:
    assert split_names(RUNNER) == ["material", "published", "random"]


@pytest.mark.parametrize("symmetry", range(8))
def test_a_rotated_scan_is_the_scan_of_the_rotated_sheet(symmetry: int) -> None:
    potential = sheet(np.random.default_rng(5), 64)
    rotated = potential.T if symmetry & 1 else potential
    for axis in (0, 1):
        rotated = np.flip(rotated, axis) if symmetry & (2 << axis) else rotated

    scan, image = module("data").apply_symmetry(
        scanned(potential, probes=4, size=16), window_of(potential, 16)[..., None], symmetry
    )

    expected = scanned(np.ascontiguousarray(rotated), probes=4, size=16)
    inner = (slice(None), slice(1, None), slice(1, None))  # an even pattern's first has no partner
    assert np.allclose(scan[inner], expected[inner], atol=1e-12)
    assert np.allclose(image[..., 0], window_of(rotated, 16))
