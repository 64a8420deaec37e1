"""`new` starts a folder that `check` does not let pass until it is filled."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sciml_data.cli import group
from sciml_data.cli.check import check_registry
from sciml_data.curate.derive import derived_files, write_derived
from sciml_data.curate.new import HEADINGS, start_dataset
from sciml_data.errors import CallError, DescriptorError
from sciml_data.registry import TO_FILL
from sciml_data.registry.descriptor import check_address, read_descriptor
from sciml_data.registry.layout import Registry
from sciml_data.registry.manifest import manifest_of, read_manifest
from sciml_data.testing.datasets import change_descriptor
from tests.support.small_registry import small_registry

TODAY = datetime.date(2001, 2, 3)
BUOYS = {"name": "buoys", "path": "buoys.csv"}


def read_json(registry: Registry, version: str) -> dict[str, Any]:
    path = registry.package("waves", version) / "datapackage.json"
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def test_a_started_dataset_has_descriptor_manifest_and_card(tmp_path: Path) -> None:
    files = start_dataset(tmp_path, "waves", "1.0", reader="earthquake", today=TODAY)

    assert sorted(path.relative_to(tmp_path).as_posix() for path in files) == [
        ".gitattributes",
        "datapackages/waves/1.0/datapackage.json",
        "datapackages/waves/1.0/manifest.csv",
        "datapackages/waves/README.md",
    ]
    document = json.loads((tmp_path / "datapackages/waves/1.0/datapackage.json").read_text())
    assert (document["name"], document["version"], document["created"]) == (
        "waves",
        "1.0",
        "2001-02-03T00:00:00Z",
    )
    assert document["sciml"]["native"] == {"reader": "earthquake"}


def test_check_finds_the_places_to_fill_and_nothing_else(tmp_path: Path) -> None:
    start_dataset(tmp_path, "waves", "1.0", reader="earthquake", today=TODAY)

    problems = check_registry(Registry(tmp_path))
    places = [problem.place for problem in problems]

    card = [place for place in places if "README.md" in place]
    descriptor = {place.partition("$")[2] for place in places if "$" in place}
    assert len(card) == len(HEADINGS)
    assert descriptor == {
        ".title",
        ".description",
        ".keywords",
        ".licenses",
        ".sources",
        ".contributors",
        ".sciml.citation",
        ".sciml.variables",
        ".sciml.sample.description",
    }
    assert {problem.kind for problem in problems} == {"to fill"}


def test_a_marked_place_never_passes(tmp_path: Path) -> None:
    registry = small_registry(tmp_path)
    change_descriptor(
        registry.package("waves", "1.0"),
        lambda document: document["sciml"]["variables"]["height"].update(
            dims=["time", f"{TO_FILL}: name of the axis of length 3"]
        ),
    )

    assert [str(problem) for problem in check_registry(registry)] == [
        "to fill    datapackages/waves/1.0: $.sciml.variables.height.dims[1]  "
        "name of the axis of length 3"
    ]
    with pytest.raises(DescriptorError, match="1 problem"):
        read_descriptor(registry.package("waves", "1.0"))
    with pytest.raises(DescriptorError, match="not valid"):
        derived_files(registry)


def test_a_dataset_without_a_reader_can_be_started(tmp_path: Path) -> None:
    start_dataset(tmp_path, "waves", "1.0", today=TODAY)

    document = json.loads((tmp_path / "datapackages/waves/1.0/datapackage.json").read_text())
    assert document["sciml"]["native"] == {"format": ""}
    assert "sample" not in document["sciml"]
    places = [problem.place for problem in check_registry(Registry(tmp_path))]
    assert "datapackages/waves/1.0: $.sciml.native.format" in places
    assert "datapackages/waves/1.0: $.sciml.variables" not in places


def test_stated_keys_need_not_be_filled(tmp_path: Path) -> None:
    stated = {"title": "Heights of waves", "sciml": {"citation": ["The crew (2001): Heights."]}}

    start_dataset(tmp_path, "waves", "1.0", today=TODAY, stated=stated)

    places = [problem.place for problem in check_registry(Registry(tmp_path))]
    assert not [place for place in places if place.endswith((".title", ".citation"))]


def test_a_version_can_be_started_like_another(tmp_path: Path) -> None:
    registry = small_registry(tmp_path / "registry")
    folder = registry.package("waves", "1.0")
    (folder / "buoys.csv").write_text("buoy\n1\n")
    change_descriptor(
        folder, lambda document: document["resources"].append(document["resources"][0] | BUOYS)
    )
    (tmp_path / "raw/deep").mkdir(parents=True)
    (tmp_path / "raw/deep/2002.csv").write_bytes(b"one")

    start_dataset(registry.root, "waves", "1.1", today=TODAY, like="1.0", files=tmp_path / "raw")

    older, newer = (read_json(registry, version) for version in ("1.0", "1.1"))
    assert (newer["title"], newer["version"]) == (older["title"], "1.1")
    assert [resource["path"] for resource in newer["resources"]] == ["manifest.csv", "buoys.csv"]
    assert (registry.package("waves", "1.1") / "buoys.csv").read_text() == "buoy\n1\n"
    write_derived(registry)
    assert [str(problem) for problem in check_registry(registry)] == []


def test_a_version_that_is_not_there_is_nothing_to_start_from(tmp_path: Path) -> None:
    with pytest.raises(CallError, match=r"no version '0\.9'"):
        start_dataset(tmp_path, "waves", "1.0", today=TODAY, like="0.9")
    assert not list(tmp_path.iterdir())


def test_a_second_version_keeps_the_card(tmp_path: Path) -> None:
    start_dataset(tmp_path, "waves", "1.0", reader="earthquake", today=TODAY)
    card = tmp_path / "datapackages" / "waves" / "README.md"
    card.write_text("# waves, by hand\n")

    start_dataset(tmp_path, "waves", "1.1", reader="earthquake", today=TODAY)

    assert card.read_text() == "# waves, by hand\n"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    start_dataset(tmp_path, "waves", "1.0", reader="earthquake", today=TODAY)
    before = manifest_of(tmp_path)

    with pytest.raises(CallError, match="already exists"):
        start_dataset(tmp_path, "waves", "1.0", reader="other", today=TODAY)
    assert manifest_of(tmp_path) == before


@pytest.mark.parametrize(
    ("dataset", "version", "reader"),
    [
        ("Waves", "1.0", "earthquake"),
        ("../waves", "1.0", "earthquake"),
        ("", "1.0", "earthquake"),
        ("waves", "../1.0", "earthquake"),
        ("waves", ".hidden", "earthquake"),
        ("waves", "1.0", "Earth-Quake"),
    ],
)
def test_invalid_names_are_refused(tmp_path: Path, dataset: str, version: str, reader: str) -> None:
    with pytest.raises(CallError, match=r"is not (a dataset id|a version|the name of a reader)"):
        start_dataset(tmp_path, dataset, version, reader=reader, today=TODAY)
    assert not list(tmp_path.iterdir())


def test_the_command_starts_a_registry_and_prints_the_files(tmp_path: Path) -> None:
    root = tmp_path / "new" / "registry"
    arguments = ["new", "waves", "1.0", "--reader", "earthquake", "--registry", str(root)]

    result = CliRunner().invoke(group, arguments)

    assert result.exit_code == 0
    assert sorted(result.stdout.split()) == sorted(
        str(path) for path in root.rglob("*") if path.is_file()
    )
    assert Registry(root).versions("waves") == ["1.0"]


def test_the_manifest_can_be_made_of_the_native_files(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    (raw / "a").mkdir(parents=True)
    (raw / "a" / "1.bin").write_bytes(b"one")

    start_dataset(tmp_path, "waves", "1.0", reader="earthquake", today=TODAY, files=raw)

    stored = read_manifest(tmp_path / "datapackages" / "waves" / "1.0" / "manifest.csv")
    assert stored == manifest_of(raw)
    assert [entry.path for entry in stored] == ["a/1.bin"]


def test_native_files_that_may_not_stand_in_a_manifest_are_refused(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "back\\slash").write_bytes(b"")

    with pytest.raises(CallError, match="may not contain"):
        start_dataset(tmp_path, "waves", "1.0", reader="earthquake", today=TODAY, files=raw)

    assert not (tmp_path / "datapackages").exists()


def test_a_folder_without_files_makes_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="no such folder"):
        start_dataset(
            tmp_path, "waves", "1.0", reader="earthquake", today=TODAY, files=tmp_path / "none"
        )


@pytest.mark.parametrize("key", ["sources", "sciml"])
def test_a_password_is_not_written_into_a_registry(tmp_path: Path, key: str) -> None:
    address = "https://me:secret77@data.example.org/x"
    blocks: dict[str, Any] = {
        "sources": [{"title": "t", "path": address}],
        "sciml": {"mirrors": [{"name": "m", "prefixes": {"": address}}]},
    }
    stated = {key: blocks[key]}
    with pytest.raises(CallError, match="user before its host") as error:
        start_dataset(tmp_path, "waves", "1.0", today=TODAY, stated=stated)

    assert "secret77" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_password_in_a_descriptor_is_not_printed() -> None:
    with pytest.raises(ValueError, match="a user name before the host") as error:
        check_address("https://me:secret77@data.example.org/x")

    assert "secret77" not in str(error.value)
