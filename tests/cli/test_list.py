"""`list` and `describe` print what the registry says: a table, a text, or JSON."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sciml_data.cli import group
from sciml_data.home import Home
from sciml_data.registry.layout import Registry
from sciml_data.testing.datasets import change_descriptor
from tests.support.small_registry import FILES, small_registry


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return small_registry(tmp_path)


def run(registry: Registry, *arguments: str) -> Result:
    return CliRunner().invoke(group, [*arguments, "--registry", str(registry.root)])


def test_list_prints_one_line_for_each_version(registry: Registry) -> None:
    head, *lines = run(registry, "list").stdout.splitlines()
    [waves] = [line for line in lines if line.startswith("waves ")]

    assert head.split() == ["dataset", "version", "size", "registry", "title"]
    assert waves.split()[:5] == ["waves", "1.0", "3.4", "kB", str(registry.root)]
    assert head.index("title") == waves.index("Heights")


def test_list_of_the_built_in_registry_has_no_column_for_registries() -> None:
    head, *lines = CliRunner().invoke(group, ["list"]).stdout.splitlines()

    assert head.split() == ["dataset", "version", "size", "title"]
    assert any(line.startswith("uno_ccle ") for line in lines)
    assert any(line.split()[:2] == ["benchmark", "title"] for line in lines)


def test_list_has_the_expected_size_of_what_nobody_has_pinned() -> None:
    lines = CliRunner().invoke(group, ["list"]).stdout.splitlines()

    [scenes] = [line for line in lines if line.startswith("cloud_slstr_ds1 ")]
    assert scenes.split()[2:4] == ["~179.1", "GB"]


def test_a_line_of_list_fits_a_terminal_of_80_columns() -> None:
    environment = os.environ | {"COLUMNS": "80", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = shlex.join([sys.executable, "-m", "sciml_data", "list"])
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"], env=environment, capture_output=True, check=True
    )
    lines = done.stdout.decode().splitlines()

    assert max(map(len, lines)) == 80
    assert any(line.endswith("…") for line in lines)


def test_search_finds_every_word_anywhere_in_the_description() -> None:
    def names(*words: str) -> set[str]:
        rows = json.loads(CliRunner().invoke(group, ["search", *words, "--json"]).stdout)
        return {row["name"] for row in rows}

    assert {"cloud_slstr_ds1", "cloudmask"} <= names("CLOUD")
    assert names("electron", "silicon") == {"cbed_si110"}
    assert names("no such thing") == set()


def test_info_is_another_name_of_describe(registry: Registry) -> None:
    assert run(registry, "info", "waves").stdout == run(registry, "describe", "waves").stdout


def test_list_as_json_has_the_same(registry: Registry) -> None:
    rows = json.loads(run(registry, "list", "--json").stdout)

    assert [row for row in rows if row["name"] == "waves"] == [
        {
            "kind": "dataset",
            "name": "waves",
            "version": "1.0",
            "files": 2,
            "bytes": 3412,
            "expected_bytes": None,
            "title": "Heights of waves at two buoys",
            "registry": str(registry.root),
        }
    ]
    assert {row["registry"] for row in rows if row["name"] == "uno"} == {None}


def test_list_names_what_cannot_be_read_and_prints_the_rest(registry: Registry) -> None:
    broken = registry.root / "datapackages" / "tides" / "1.0"
    broken.mkdir(parents=True)
    (broken / "datapackage.json").write_text("{")
    runner = registry.root / "runners" / "surf"
    runner.mkdir(parents=True)
    (runner / "task.toml").write_text("[")

    result = run(registry, "list")

    assert "waves" in result.stdout
    assert "tides/1.0/datapackage.json has 1 problem" in result.stderr
    assert "surf: benchmark 'surf': task.toml is not TOML" in result.stderr
    assert "2 entries left out" in result.stderr
    assert result.exit_code == 0


def test_list_of_the_built_in_registry_has_the_benchmark() -> None:
    rows = json.loads(CliRunner().invoke(group, ["list", "--json"]).stdout)

    assert ("benchmark", "tevolop") in {(row["kind"], row["name"]) for row in rows}
    assert ("dataset", "tevolop_socal") in {(row["kind"], row["name"]) for row in rows}


def test_describe_prints_size_licence_citation_variables_and_mirrors(registry: Registry) -> None:
    text = run(registry, "describe", "waves").stdout + "\n"

    assert text.startswith("waves 1.0  (versions: 1.0)\nHeights of waves at two buoys\n")
    for line in (
        "native files  2 files, 3.4 kB",
        "licence       CC0-1.0: Creative Commons Zero 1.0",
        "cite          The crew (2001): Heights of waves at two buoys.",
        "mirror        example: https://example.org/waves/",
        "split         all: ** (2 files, 3.4 kB)",
        "  height  (time)  float32  m  significant wave height",
    ):
        assert f"\n{line}\n" in text


def test_describe_as_json_has_the_identity_of_the_data(registry: Registry) -> None:
    facts = json.loads(run(registry, "describe", "waves", "--json").stdout)

    assert facts["manifest_digest"] == FILES.digest
    assert (facts["files"], facts["bytes"], facts["trust"]) == (2, 3412, "pinned")
    assert facts["variables"]["height"]["units"] == "m"


def test_info_has_the_expected_sizes_of_what_nobody_has_pinned() -> None:
    lines = CliRunner().invoke(group, ["info", "cloud_slstr_ds1"]).stdout.splitlines()

    assert "native files  ~179.1 GB (not pinned)" in lines
    assert "split         inference: inference/** (100 files, ~16.7 GB)" in lines
    [ready] = [line for line in lines if line.startswith("ready files ")]
    assert ready.split()[2].startswith("~")


def test_sizes_come_first_and_mirrors_last() -> None:
    lines = CliRunner().invoke(group, ["info", "uno_ccle"]).stdout.splitlines()
    labels = [
        line[:14].strip() for line in lines if line[:1] not in {"", " "} and line[13:14] == " "
    ]

    order = ["native files", "split", "ready files", "licence", "cite", "mirror"]
    assert [label for label in dict.fromkeys(labels) if label in order] == order
    assert labels[-1] == "mirror"


def test_info_has_the_sizes_of_what_is_in_the_home(registry: Registry, tmp_path: Path) -> None:
    folder = Home(tmp_path / "home").dataset("waves", "1.0")
    for path, content in {"native/a.csv": b"12", "ready/44136fa355b3/all-00000.nc": b"123"}.items():
        (folder.root / path).parent.mkdir(parents=True)
        (folder.root / path).write_bytes(content)

    result = run(registry, "info", "waves", "--home", str(tmp_path / "home"))
    facts = json.loads(
        run(registry, "info", "waves", "--home", str(tmp_path / "home"), "--json").stdout
    )

    assert "in the home   native, 1 file, 2 bytes\n" in result.stdout
    assert "in the home   ready, 3 bytes (not complete)\n" in result.stdout
    assert [part["bytes"] for part in facts["stored"]] == [2, 3]


def test_a_line_of_info_fits_a_terminal_of_80_columns_unless_it_is_a_url() -> None:
    environment = os.environ | {"COLUMNS": "80", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = shlex.join([sys.executable, "-m", "sciml_data", "info", "tevolop_socal"])
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"], env=environment, capture_output=True, check=True
    )
    lines = done.stdout.decode().splitlines()

    assert [line for line in lines if len(line) > 80 and "https://" not in line] == []


def test_describe_says_how_missing_is_told(registry: Registry) -> None:
    change_descriptor(
        registry.package("waves", "1.0"),
        lambda document: document["sciml"]["variables"]["height"].update(missing="NaN"),
    )

    assert "significant wave height; missing: NaN\n" in run(registry, "describe", "waves").stdout


def test_describe_of_a_live_version_names_the_service() -> None:
    arguments = ["describe", "tevolop_socal", "--version", "live"]

    text = CliRunner().invoke(group, arguments).stdout

    assert "native files  requested from a service\n" in text
    assert "service       https://earthquake.usgs.gov/fdsnws/event/1/\n" in text


def test_describe_of_an_unknown_dataset_is_a_wrong_call(registry: Registry) -> None:
    result = run(registry, "describe", "wave")

    assert "did you mean 'waves'" in str(result.exception)
    assert getattr(result.exception, "exit_code", None) == 2


def test_a_search_without_a_result_says_so_on_stderr() -> None:
    result = CliRunner().invoke(group, ["search", "cancer", "zzzz"])

    assert (result.exit_code, result.stdout) == (0, "")
    assert "'cancer' and 'zzzz'" in result.stderr
    assert CliRunner().invoke(group, ["search", "zzzz", "--json"]).stdout == "[]\n"
