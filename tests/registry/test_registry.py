"""The registry's folders are its only index."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from sciml_data.cli import group
from sciml_data.cli.check import check_registry
from sciml_data.errors import CallError
from sciml_data.registry import layout
from sciml_data.registry.layout import REGISTRY_VARIABLE, Registry, find_registry, version_key
from tests.support.small_registry import small_registry


def with_versions(root: Path, *versions: str) -> Registry:
    for version in versions:
        folder = root / "datapackages" / "waves" / version
        folder.mkdir(parents=True)
        (folder / "datapackage.json").write_text("{}")
    return Registry(root)


def test_versions_are_in_the_order_of_their_numbers_and_live_comes_last(tmp_path: Path) -> None:
    registry = with_versions(tmp_path, "live", "1.10", "1.9", "1.9-beta")

    assert registry.versions("waves") == ["1.9-beta", "1.9", "1.10", "live"]
    assert registry.latest("waves") == "1.10"


def test_live_is_the_latest_only_where_there_is_nothing_else(tmp_path: Path) -> None:
    assert with_versions(tmp_path, "live").latest("waves") == "live"


def test_numbers_come_before_words() -> None:
    assert sorted(["b", "10", "9", "1.0"], key=version_key) == ["1.0", "9", "10", "b"]


def test_pre_releases_come_before_their_release() -> None:
    ordered = ["1.0", "1.0a", "2.0.dev1", "2.0a1", "2.0-beta.1", "2.0.0-rc.1", "2.0", "2.0.1rc1"]
    ordered += ["2.0.1", "2024-01-01", "r2"]

    assert sorted(set(ordered), key=version_key) == ordered


def test_a_pre_release_is_the_latest_only_where_there_is_no_release(tmp_path: Path) -> None:
    assert with_versions(tmp_path / "a", "2.0", "3.0-rc.1", "live").latest("waves") == "2.0"
    assert with_versions(tmp_path / "b", "3.0-rc.1", "live").latest("waves") == "3.0-rc.1"


def test_the_variant_of_stemdl_is_the_later_version() -> None:
    assert find_registry().latest("stemdl_ds1") == "1.0a"


def test_a_dataset_is_found_without_a_look_at_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[Path] = []
    folders = layout._folders

    def counted(root: Path) -> list[str]:
        listed.append(root)
        return folders(root)

    monkeypatch.setattr(layout, "_folders", counted)
    registry = with_versions(tmp_path, "1.0")

    registry.latest("waves")
    registry.package("waves", "1.0")

    assert set(listed) == {tmp_path / "datapackages" / "waves"}
    for name in ("", ".", "..", "_waves", "../datapackages/waves", "waves/1.0", "w\0"):
        with pytest.raises(CallError):
            registry.folder_of(name)


@pytest.mark.parametrize("digits", ["²", "٣", "1²", "①"])
def test_digits_of_other_scripts_are_words(tmp_path: Path, digits: str) -> None:
    registry = with_versions(tmp_path, f"1.{digits}", "1.0")

    assert registry.versions("waves") == ["1.0", f"1.{digits}"]


def test_an_empty_variable_names_no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REGISTRY_VARIABLE, raising=False)
    built_in = find_registry()
    monkeypatch.setenv(REGISTRY_VARIABLE, "")

    assert find_registry() == built_in


def test_a_tilde_is_the_home_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = with_versions(tmp_path, "1.0")
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    monkeypatch.setenv(REGISTRY_VARIABLE, f"~/{tmp_path.name}")

    assert find_registry().root == registry.root
    assert find_registry(f"~/{tmp_path.name}").root == registry.root


def test_a_folder_without_descriptor_is_no_version(tmp_path: Path) -> None:
    registry = with_versions(tmp_path, "1.0")
    (tmp_path / "datapackages" / "waves" / "2.0").mkdir()
    (tmp_path / "datapackages" / ".git").mkdir()

    assert registry.versions("waves") == ["1.0"]
    assert registry.datasets() == ["waves"]


def test_an_unknown_dataset_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(CallError, match=r"no dataset 'wave' .did you mean 'waves'"):
        with_versions(tmp_path, "1.0").versions("wave")


def test_an_unknown_name_is_searched_in_titles_and_descriptions(tmp_path: Path) -> None:
    registry = with_versions(tmp_path, "1.0")
    folder = tmp_path / "datapackages" / "waves" / "1.0"
    document = {"title": "Heights", "description": "Of the SEA", "keywords": ["buoy"]}
    (folder / "datapackage.json").write_text(json.dumps(document))
    damaged = tmp_path / "datapackages" / "sea_level" / "1.0"
    damaged.mkdir(parents=True)
    (damaged / "datapackage.json").write_text("[]")
    runner = tmp_path / "runners" / "swell"
    runner.mkdir(parents=True)
    (runner / "task.toml").write_text('[task]\ntitle = "Waves at sea"\n')

    for words in ("sea", "sea-height", "Buoy_sea"):
        with pytest.raises(CallError) as error:
            registry.versions(words)
        assert "finds waves;" in error.value.hint
    with pytest.raises(CallError) as error:
        registry.runner("sea waves")
    assert "`sciml-data search sea waves` finds swell;" in error.value.hint
    with pytest.raises(CallError) as error:
        registry.versions("...")
    assert "search" not in error.value.hint


def test_an_unknown_version_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(CallError, match=r"no version '3\.0'; it has 1\.0, 2\.0") as error:
        with_versions(tmp_path, "1.0", "2.0").package("waves", "3.0")

    assert error.value.hint == "sciml-data get waves --version 2.0"


def test_an_unknown_benchmark_lists_those_there_are(tmp_path: Path) -> None:
    runner = tmp_path / "runners" / "surf"
    runner.mkdir(parents=True)
    (runner / "task.toml").write_text("")

    with pytest.raises(CallError, match=r"no benchmark 'serf' .did you mean 'surf'\?.; it has"):
        Registry(tmp_path).runner("serf")
    assert Registry(tmp_path).runner("surf") == runner


def test_the_registry_is_the_one_asked_for_then_the_environments_then_the_built_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_registry(tmp_path / "mine")
    small_registry(tmp_path / "other")
    monkeypatch.setenv(REGISTRY_VARIABLE, str(tmp_path / "mine"))

    assert find_registry(tmp_path / "other").root == tmp_path / "other"
    assert find_registry().root == tmp_path / "mine"
    monkeypatch.delenv(REGISTRY_VARIABLE)
    assert "tevolop_socal" in find_registry().datasets()


def test_a_folder_without_datapackages_is_no_registry(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="datapackages/"):
        find_registry(tmp_path)


def test_a_registry_may_be_named_as_text(tmp_path: Path) -> None:
    small_registry(tmp_path / "mine")

    assert find_registry(str(tmp_path / "mine")) == find_registry(tmp_path / "mine")


def test_registries_are_searched_in_order_and_the_built_in_one_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    small_registry(first)
    with_versions(second, "3.0")
    (second / "datapackages" / "tides" / "1.0").mkdir(parents=True)
    (second / "datapackages" / "tides" / "1.0" / "datapackage.json").write_text("{}")
    built_in = find_registry().root

    registry = find_registry([first, second])

    assert registry.folders == (first, second, built_in)
    assert registry.package("waves", "1.0") == first / "datapackages" / "waves" / "1.0"
    assert registry.folder_of("tides") == second
    assert registry.folder_of("uno_ccle") == built_in
    assert registry.runner("uno") == built_in / "runners" / "uno"
    assert {"waves", "tides", "uno_ccle"} <= set(registry.datasets())
    assert registry.named.datasets() == ["tides", "waves"]
    assert registry.first == Registry(first)
    monkeypatch.setenv(REGISTRY_VARIABLE, f"{first}{os.pathsep}{second}{os.pathsep}")
    assert find_registry() == registry


def test_a_dataset_of_two_registries_is_that_of_the_first_and_the_other_is_named(
    tmp_path: Path,
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    with_versions(first, "1.0")
    with_versions(second, "2.0")

    registry = find_registry([first, second])

    assert registry.versions("waves") == ["1.0"]
    assert [problem.place for problem in registry.hidden()] == [
        str(second / "datapackages" / "waves")
    ]
    assert str(first) in registry.hidden()[0].message
    for verb in ("list", "check"):
        words = [verb, "--registry", str(first), "--registry", str(second)]
        assert str(second / "datapackages" / "waves") in CliRunner().invoke(group, words).stderr


def test_the_built_in_registry_named_first_is_searched_first(tmp_path: Path) -> None:
    built_in = find_registry().root
    small_registry(tmp_path)

    assert find_registry([built_in, tmp_path]).folders == (built_in, tmp_path)
    assert find_registry([built_in, tmp_path]).named.folders == (built_in, tmp_path)
    assert find_registry(built_in).named == Registry(built_in)


def test_one_missing_registry_of_several_is_named(tmp_path: Path) -> None:
    small_registry(tmp_path / "mine")

    with pytest.raises(CallError, match="nowhere is not a registry"):
        find_registry([tmp_path / "mine", tmp_path / "nowhere"])


def test_a_benchmark_of_one_registry_may_use_a_dataset_of_another(tmp_path: Path) -> None:
    small_registry(tmp_path)
    built_in = find_registry()
    shutil.copytree(built_in.runner("uno"), tmp_path / "runners" / "uno")

    assert check_registry(find_registry(tmp_path)) == []
    assert {problem.kind for problem in check_registry(Registry(tmp_path))} == {"dataset"}
