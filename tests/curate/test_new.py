"""`sciml-data new` as typed: with flags, and asking on a terminal."""

from __future__ import annotations

import json
import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result

from sciml_data.cli import group
from sciml_data.errors import CallError
from sciml_data.progress import counted
from sciml_data.registry.manifest import manifest_of, read_manifest


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    for split in ("train", "test"):
        with h5py.File(folder / f"{split}.h5", "w") as file:
            file["height"] = np.zeros((3, 2))
            file["axis"] = np.zeros(2)
    return folder


def new(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["new", *arguments])


def descriptor(registry: Path) -> dict[str, Any]:
    path = registry / "datapackages/waves/1.0/datapackage.json"
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def test_arrays_are_proposed_and_what_is_left_is_named(tmp_path: Path, raw: Path) -> None:
    root = tmp_path / "registry"

    result = new("waves", "1.0", "--files", str(raw), "--registry", str(root))

    assert result.exit_code == 0
    assert descriptor(root)["sciml"]["native"]["reader"] == "hdf5_arrays"
    manifest = read_manifest(root / "datapackages/waves/1.0/manifest.csv")
    assert manifest == manifest_of(raw)
    lines = result.stderr.splitlines()
    assert "not converted: test.h5:axis (2,)" in lines
    assert (
        "to fill    datapackages/waves/1.0: $.sciml.variables.height.dims[1]  "
        "name of the axis of length 2" in lines
    )
    checked = CliRunner().invoke(group, ["check", "--registry", str(root)])
    assert checked.exception
    places = [line for line in lines if line.startswith("to fill")]
    assert checked.stdout.splitlines() == places
    assert lines[-1].startswith(f"{counted(len(places), 'place')} to fill")


def test_mirrors_of_every_kind_have_different_names(tmp_path: Path) -> None:
    urls = (
        "https://one.example/waves",
        "ftp://two.example/a/waves/",
        "sftp://two.example/b/waves",
        "doi:10.5281/zenodo.1234",
        "doi:10.5281/zenodo.5678",
    )
    options = [option for url in urls for option in ("--mirror", url)]

    assert new("waves", "1.0", "--registry", str(tmp_path), *options).exit_code == 0

    assert descriptor(tmp_path)["sciml"]["mirrors"] == [
        {"name": "one.example", "prefixes": {"": "https://one.example/waves/"}},
        {"name": "two.example/a/waves", "prefixes": {"": "ftp://two.example/a/waves/"}},
        {"name": "two.example/b/waves", "prefixes": {"": "sftp://two.example/b/waves/"}},
        {"name": "doi:10.5281/zenodo.1234", "prefixes": {"": "doi:10.5281/zenodo.1234#"}},
        {"name": "doi:10.5281/zenodo.5678", "prefixes": {"": "doi:10.5281/zenodo.5678#"}},
    ]


def test_flags_fill_places(tmp_path: Path) -> None:
    root = tmp_path / "registry"

    new(
        "waves", "1.0", "--registry", str(root),
        "--title", "Heights of waves", "--license", "CC-BY-4.0", "--creator", "Ada Crew",
        "--creator", "Bo Crew", "--keyword", "waves", "--mirror", "https://example.org/waves",
        "--source", "https://example.org/", "--citation", "The crew (2001): Heights of waves.",
    )  # fmt: skip

    document = descriptor(root)
    assert document["licenses"] == [
        {
            "name": "CC-BY-4.0",
            "title": "CC-BY-4.0",
            "path": "https://spdx.org/licenses/CC-BY-4.0.html",
        }
    ]
    assert [person["title"] for person in document["contributors"]] == ["Ada Crew", "Bo Crew"]
    assert document["sciml"]["mirrors"] == [
        {"name": "example.org", "prefixes": {"": "https://example.org/waves/"}}
    ]


def test_a_creator_with_a_comma_is_a_person_and_any_other_an_organisation(tmp_path: Path) -> None:
    result = new(
        "waves", "1.0", "--registry", str(tmp_path), "--creator", "Crew, Ada Bo",
        "--creator", "A. Crew", "--organisation", "Wave Centre, Some Town, Some Country",
    )  # fmt: skip

    assert descriptor(tmp_path)["contributors"] == [
        {
            "title": "Ada Bo Crew",
            "givenName": "Ada Bo",
            "familyName": "Crew",
            "roles": ["creator"],
        },
        {"title": "A. Crew", "roles": ["creator"]},
        {"title": "Wave Centre, Some Town, Some Country", "roles": ["creator"]},
    ]
    recorded = [line for line in result.stderr.splitlines() if "as an organisation" in line]
    assert [line.split(" is ")[0] for line in recorded] == ["'A. Crew'"]


@pytest.mark.parametrize("name", ["Wave Centre, Some Town, Some Country", "Crew,", ", Ada"])
def test_a_creator_that_may_be_anything_is_refused(tmp_path: Path, name: str) -> None:
    result = new("waves", "1.0", "--registry", str(tmp_path / "r"), "--creator", name)

    assert isinstance(result.exception, CallError)
    assert shlex.quote(name) in result.exception.hint
    assert not (tmp_path / "r").exists()


def test_a_licence_that_is_not_stated_asks_where_it_was_looked_for(tmp_path: Path) -> None:
    result = new(
        "waves", "1.0", "--registry", str(tmp_path / "r"), "--license", "LicenseRef-not-stated"
    )

    assert "$.licenses[0].title  where it was looked for, or what it says" in result.stderr


def test_a_mirror_without_a_host_is_refused(tmp_path: Path) -> None:
    result = new("waves", "1.0", "--registry", str(tmp_path / "r"), "--mirror", "waves")

    assert isinstance(result.exception, CallError)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("arguments", "wrong", "hint"),
    [
        (["--license", "MITT"], "'MITT' is not in the SPDX", "LicenseRef-not-stated"),
        (["--license", "mit"], "'mit' is not in the SPDX", "CC-BY-4.0"),
        (["--reader", "earthquak"], "did you mean 'earthquake'?", "earthquake"),
        (["--files", "nowhere"], "no such folder: nowhere", "--files"),
        (["--like", "0.9"], "waves has no version '0.9' to start from", "without --like"),
    ],
)
def test_a_wrong_answer_is_refused_before_anything_is_written(
    tmp_path: Path, arguments: list[str], wrong: str, hint: str
) -> None:
    result = new("waves", "1.0", "--registry", str(tmp_path / "r"), *arguments)

    assert isinstance(result.exception, CallError)
    assert wrong in result.exception.message
    assert hint in (result.exception.hint or "")
    assert not (tmp_path / "r").exists()


def test_names_have_to_be_given_where_nothing_can_be_asked() -> None:
    result = new("waves")

    assert result.exit_code == 2
    assert "DATASET and VERSION are missing" in result.stderr


def test_on_a_terminal_it_asks_for_what_is_missing(tmp_path: Path, raw: Path) -> None:
    """A real terminal: the program itself sees that there is one."""
    root = tmp_path / "registry"
    ours, theirs = pty.openpty()
    answers = [
        "waves", "1.0", str(raw), "Heights of waves", "", "CC0-1.0", "Ada Crew; Bo Crew",
        "waves; ocean; buoys", "", "", "",
    ]  # fmt: skip
    os.write(ours, "".join(f"{answer}\n" for answer in answers).encode())
    command = [sys.executable, "-m", "sciml_data", "new", "--registry", str(root)]

    done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, check=False)

    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0, done.stderr
    document = descriptor(root)
    assert document["title"] == "Heights of waves"
    assert document["keywords"] == ["waves", "ocean", "buoys"]
    assert [person["title"] for person in document["contributors"]] == ["Ada Crew", "Bo Crew"]
    assert len(document["sciml"]["native"]["arrays"]) == 2
    assert document["description"] == ""
