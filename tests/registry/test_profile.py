"""Descriptors name our profile, which extends that of Data Package v2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sciml_data.metadata.addresses import registry_identity
from sciml_data.registry import PROFILE, SCHEMA_PATH, profile_problems
from sciml_data.registry.layout import find_registry
from sciml_data.testing.datasets import change_descriptor
from tests.support.small_registry import small_registry

SCHEMA = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
PUBLIC = "https://datapackage.org/profiles/2.0/datapackage.json"
# What the public profile of version 2.0 requires of a package, copied from it: it only requires
# `resources`, and each resource has a name and a path.
REQUIRED = {"resources"}
REQUIRED_OF_A_RESOURCE = {"name", "path"}


def document(tmp_path: Path) -> dict[str, object]:
    folder = small_registry(tmp_path).package("waves", "1.0")
    parsed: dict[str, object] = json.loads((folder / "datapackage.json").read_text())
    return parsed


def test_the_profile_names_its_own_address_and_what_it_extends() -> None:
    assert SCHEMA["$id"] == PROFILE
    assert PROFILE.startswith(registry_identity(find_registry().root).page)
    assert SCHEMA["allOf"] == [{"$ref": PUBLIC}]


def test_the_profile_requires_all_that_the_public_profile_requires() -> None:
    assert set(SCHEMA["required"]) >= REQUIRED
    assert set(SCHEMA["properties"]["resources"]["items"]["required"]) >= REQUIRED_OF_A_RESOURCE


def test_a_new_descriptor_names_our_profile(tmp_path: Path) -> None:
    assert document(tmp_path)["$schema"] == PROFILE


def test_every_descriptor_of_the_registry_names_a_profile_that_is_ours_or_that_it_extends() -> None:
    registry = find_registry()
    named = {
        json.loads(path.read_text(encoding="utf-8"))["$schema"]
        for path in registry.root.glob("datapackages/*/*/datapackage.json")
    }

    assert PROFILE in named
    assert named <= {PROFILE, PUBLIC}


def test_a_descriptor_that_names_only_the_public_profile_is_accepted(tmp_path: Path) -> None:
    assert profile_problems(document(tmp_path) | {"$schema": PUBLIC}) == []


def test_another_profile_is_refused(tmp_path: Path) -> None:
    problems = profile_problems(document(tmp_path) | {"$schema": "https://example.org/other.json"})

    assert [problem.place for problem in problems] == ["$.$schema"]


@pytest.mark.filterwarnings("ignore")  # frictionless' own
def test_frictionless_describes_and_validates_a_descriptor_with_our_profile(
    tmp_path: Path,
) -> None:
    frictionless = pytest.importorskip("frictionless")
    folder = small_registry(tmp_path).package("waves", "1.0")
    path = folder / "datapackage.json"

    good = frictionless.validate(str(path))
    package = frictionless.Package(str(path))
    change_descriptor(folder, lambda text: text["resources"][0].update(hash=f"sha256:{'0' * 64}"))
    bad = frictionless.validate(str(path))

    assert (good.valid, bad.valid) == (True, False)
    assert package.to_descriptor()["$schema"] == PROFILE
    assert [row["path"] for row in package.get_resource("manifest").read_rows()] == [
        "deep/2001.csv",
        "shore/2001.csv",
    ]


@pytest.mark.filterwarnings("ignore")  # frictionless' own
@pytest.mark.parametrize("dataset", ["tevolop_socal", "uno_almanac", "uno_ccle"])
def test_frictionless_validates_the_tables_of_a_pinned_dataset(dataset: str) -> None:
    frictionless = pytest.importorskip("frictionless")
    folder = find_registry().package(dataset, "1.0")

    report = frictionless.validate(str(folder / "datapackage.json"))

    assert report.flatten(["name", "type", "message"]) == []
