"""`cache`: a table, and removals that say what they do."""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sciml_data.cli import group
from sciml_data.home import Home
from sciml_data.registry import find_registry, load_descriptor

DAY_S = 86400


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a home with native files of two versions, one of them old, and a sample."""
    home = Home(tmp_path / "home")
    for version, seed, days in (("1.0", None, 100), ("1.1", None, 1), ("1.0", 0, 1)):
        path = home.dataset("tiny", version, sample_seed=seed).root / "native/a.bin"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * 10)
        os.utime(path, (time.time() - days * DAY_S,) * 2)
    return home


def cache(*words: str, home: Home) -> Result:
    return CliRunner().invoke(group, ["cache", *words, "--home", str(home.root)])


def names(home: Home) -> list[str]:
    return [
        f"{part['version']} {part['sample_seed']}"
        for part in json.loads(cache("--json", home=home).stdout)
    ]


def test_the_table_has_a_line_for_each_part_and_the_total(home: Home) -> None:
    result = cache(home=home)

    assert result.exit_code == 0
    header, *lines, total = result.stdout.splitlines()
    assert header.split()[:4] == ["dataset", "what", "files", "size"]
    assert [line.split()[1] for line in lines] == ["1.0", "1.1", "1.0,"]
    assert total.startswith("total: 30 bytes")


def test_a_home_without_data_says_so(tmp_path: Path) -> None:
    result = cache(home=Home(tmp_path / "new"))

    assert (result.exit_code, result.stdout) == (0, "")
    assert "sciml-data get" in result.stderr


def test_rm_removes_the_version_that_is_named(home: Home) -> None:
    result = cache("rm", "tiny", "--version", "1.0", home=home)

    assert result.exit_code == 0
    assert "10 bytes freed" in result.stderr
    assert names(home) == ["1.1 None", "1.0 0"]


def test_rm_removes_samples_only_if_asked(home: Home) -> None:
    assert cache("rm", "tiny", "--sample", home=home).exit_code == 0
    assert names(home) == ["1.0 None", "1.1 None"]


def test_a_dry_run_removes_nothing(home: Home) -> None:
    for words in (("rm", "tiny", "--dry-run"), ("prune", "--older", "1h", "--dry-run")):
        result = cache(*words, home=home)

        assert result.exit_code == 0
        assert "nothing was removed" in result.stderr
    assert len(names(home)) == 3


def test_prune_removes_what_was_not_used_for_that_time(home: Home) -> None:
    cache("prune", "--older", "90d", home=home)

    assert names(home) == ["1.1 None", "1.0 0"]


def test_native_files_of_pinned_versions_can_be_kept(home: Home) -> None:
    dataset, version = "uno_almanac", "1.0"
    assert load_descriptor(find_registry(), dataset, version).is_pinned
    old = home.dataset(dataset, version).root / "native/a.txt"
    old.parent.mkdir(parents=True)
    old.write_text("x")
    os.utime(old, (0, 0))

    cache("prune", "--older", "90d", "--keep-pinned", home=home)

    assert old.is_file()
    assert names(home) == ["1.1 None", f"{version} None", "1.0 0"]
    cache("prune", "--older", "90d", home=home)
    assert not old.exists()


@pytest.mark.parametrize("text", ["90", "d", "9x", "-1d", "1d1d", "9" * 5000 + "d"])
def test_a_time_that_is_none_is_a_wrong_call(home: Home, text: str) -> None:
    result = cache("prune", "--older", text, home=home)

    assert result.exit_code != 0
    assert len(names(home)) == 3


def test_an_unknown_dataset_is_a_wrong_call(home: Home) -> None:
    result = cache("rm", "tinny", home=home)

    assert "did you mean 'tiny'" in str(result.exception)
    assert len(names(home)) == 3


def test_a_file_time_beyond_the_year_9999_is_shown_as_that_year() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:  # ext4 ends with the year 2446
        path = Home(Path(memory)).dataset("tiny", "1.0").root / "native/a.bin"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
        os.utime(path, (10**12, 10**12))
        if path.stat().st_mtime < 10**12:
            pytest.skip("this file system has no such time")

        for words in ([], ["--json"]):
            result = CliRunner().invoke(group, ["cache", "--home", memory, *words])

            assert result.exit_code == 0, result.exception
            assert "9999-12-31" in result.output
