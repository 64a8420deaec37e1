"""Access to datasets that no program can fetch: the steps for a person are in every error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sciml_data.cli.describe import command as describe_command
from sciml_data.cli.get import command as get_command
from sciml_data.errors import ListingError
from sciml_data.home import Home
from sciml_data.registry.descriptor import check_descriptor
from sciml_data.registry.manifest import read_manifest
from sciml_data.testing.datasets import change_descriptor, write_files, write_unpinned

ACCESS = {"kind": "globus", "steps": ["transfer the record by Globus", "sciml-data adopt tiny DIR"]}
FILES = {"train/a.h5": b"a" * 10, "test/b.h5": b"b" * 20}


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """Return a registry with a dataset that has no mirror."""
    registry = tmp_path / "registry"
    write_unpinned(registry, mirrors=[], expected={"files": {"**": {"count": 2}}})
    change_descriptor(folder_of(registry), lambda one: one["sciml"].update(access=ACCESS))
    return registry


def folder_of(registry: Path) -> Path:
    return registry / "datapackages" / "tiny" / "1.0"


def get(registry: Path, *words: str) -> Any:
    return CliRunner().invoke(get_command, ["tiny", "--registry", str(registry), *words])


def test_what_no_mirror_has_is_not_asked_for_and_the_way_to_it_is_said(
    registry: Path, home: Home
) -> None:
    result = get(registry)

    assert isinstance(result.exception, ListingError)
    assert str(result.exception).splitlines() == [
        "tiny 1.0 cannot be fetched by a program: access is by globus only",
        "nothing was fetched",
        "",
        "hint: how to get tiny 1.0",
        "  1. transfer the record by Globus",
        "  2. sciml-data adopt tiny DIR",
    ]
    assert result.stderr == ""
    assert not (home.root / "tiny").exists()


def test_a_copy_of_it_may_be_a_mirror_of_the_users(
    registry: Path, home: Home, tmp_path: Path
) -> None:
    write_files(tmp_path / "copy", FILES)

    result = get(registry, "--mirror", f"file:{tmp_path / 'copy'}")

    assert result.exit_code == 0
    entries = read_manifest(home.dataset("tiny", "1.0").manifest)
    assert sorted(entry.path for entry in entries) == sorted(FILES)


def test_a_copy_that_lacks_files_is_refused_with_the_way_to_all(
    registry: Path, tmp_path: Path
) -> None:
    write_files(tmp_path / "copy", {"train/a.h5": b"a"})

    result = get(registry, "--mirror", f"file:{tmp_path / 'copy'}")

    assert isinstance(result.exception, ListingError)
    assert result.exception.message == "no mirror lists the expected files of tiny 1.0"
    assert "2 files expected, 1 listed" in result.exception.problems[0].message
    assert "1. transfer the record by Globus" in result.exception.hint


def test_what_is_here_already_needs_no_way(registry: Path, tmp_path: Path) -> None:
    write_files(tmp_path / "copy", FILES)
    get(registry, "--mirror", f"file:{tmp_path / 'copy'}")

    assert get(registry).exit_code == 0


def test_the_way_is_told_by_describe(registry: Path) -> None:
    words = ["tiny", "--registry", str(registry)]
    text = CliRunner().invoke(describe_command, words).stdout
    facts = json.loads(CliRunner().invoke(describe_command, [*words, "--json"]).stdout)

    assert "globus        transfer the record by Globus\n" in text
    assert facts["access"] == ACCESS


@pytest.mark.parametrize(
    ("access", "place"),
    [
        ({"kind": "post", "steps": ["write a letter to them"]}, "$.sciml.access.kind"),
        ({"kind": "globus", "steps": []}, "$.sciml.access.steps"),
        ({"kind": "globus"}, "$.sciml.access.steps"),
        ({**ACCESS, "url": "https://example.org"}, "$.sciml.access.url"),
    ],
    ids=["kind", "empty", "without", "more"],
)
def test_a_way_that_is_none_is_a_problem_of_the_descriptor(
    registry: Path, access: Mapping[str, Any], place: str
) -> None:
    change_descriptor(folder_of(registry), lambda one: one["sciml"].update(access=access))

    problems = check_descriptor(folder_of(registry))

    assert [(one.kind, one.place) for one in problems] == [("schema", place)]


def test_stemdl_cbed_says_that_globus_has_it_and_what_then(home: Home) -> None:
    result = CliRunner().invoke(get_command, ["stemdl_cbed"])

    assert isinstance(result.exception, ListingError)
    assert "10.13139/OLCF/1510313" in result.exception.hint
    assert "sciml-data adopt stemdl_cbed DIR" in result.exception.hint
    assert "sciml-data get stemdl_cbed --sample" in result.exception.hint
