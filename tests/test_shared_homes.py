"""Homes that several people use: read-only ones, stacked ones, and runs in a folder apart."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

DATASET = "uno_almanac"
SAMPLE = (DATASET, "--sample", "--sample-set", "rows=300")


def sciml(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user whom permissions bind; root is bound without capabilities."""
    bound: list[str] = []
    if os.geteuid() == 0:
        if (setpriv := shutil.which("setpriv")) is None:
            pytest.skip("root needs setpriv (util-linux) to be bound by permissions")
        bound = [setpriv, "--bounding-set", "-dac_override,-dac_read_search,-fowner"]
    return subprocess.run(
        [*bound, sys.executable, "-m", "sciml_data", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def make_read_only(root: Path) -> None:
    for path in (root, *root.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a read-only home with a sample that is fetched and converted."""
    home = tmp_path_factory.mktemp("shared") / "site"
    for verb in (("get", *SAMPLE), ("convert", DATASET, "--sample")):
        words = [sys.executable, "-m", "sciml_data", *verb, "--home", str(home)]
        subprocess.run(words, check=True, capture_output=True)
    make_read_only(home)
    yield home
    for path in (home, *home.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.fixture
def mine(site: Path) -> Iterator[Path]:
    """Return an empty home of one's own."""
    home = site.parent / "mine"
    home.mkdir()
    yield home
    shutil.rmtree(home)


@pytest.mark.parametrize("verb", ["get", "verify", "convert"])
def test_a_read_only_home_with_all_files_is_enough(site: Path, verb: str) -> None:
    before = sorted(site.rglob("*"))

    result = sciml(verb, DATASET, "--sample", "--home", str(site))

    assert result.returncode == 0, result.stderr
    assert sorted(site.rglob("*")) == before


@pytest.mark.parametrize("verb", ["get", "convert"])
def test_what_a_read_only_home_lacks_is_a_sentence(site: Path, verb: str) -> None:
    seed = ("--sample-seed", "5") if verb == "get" else ("--set", "genes=all")

    result = sciml(verb, DATASET, "--sample", *seed, "--home", str(site))

    assert result.returncode == 1
    assert "is not writable" in result.stderr
    assert "--home MINE --home SHARED" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_run_that_cannot_be_written_fails_before_any_work(site: Path) -> None:
    result = sciml("run", "uno", "--dataset", DATASET, "--sample", "--home", str(site))

    assert result.returncode == 1
    assert "cannot run" in result.stderr
    assert "--runs DIR" in result.stderr
    assert "preparing" not in result.stderr


def test_a_read_only_home_is_enough_to_stage_a_run(site: Path) -> None:
    words = ("run", "uno", "--dataset", DATASET, "--sample", "--stage-only", "--home", str(site))

    result = sciml(*words)

    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("verb", ["get", "verify", "convert"])
def test_data_of_a_shared_home_are_used_and_not_copied(site: Path, mine: Path, verb: str) -> None:
    result = sciml(verb, DATASET, "--sample", SCIML_DATA_HOME=f"{mine}:{site}")

    assert result.returncode == 0, result.stderr
    assert not [path for path in mine.rglob("*") if path.suffix in {".csv", ".nc", ".txt", ".tsv"}]


def test_other_options_are_converted_into_the_own_home(site: Path, mine: Path) -> None:
    homes = ("--home", str(mine), "--home", str(site))

    result = sciml("convert", DATASET, "--sample", "--set", "genes=all", *homes)

    assert result.returncode == 0, result.stderr
    assert Path(result.stdout.strip()).is_relative_to(mine)
    assert not list(mine.rglob("native"))


def test_files_follow_the_umask_and_the_group_of_their_folder(site: Path, mine: Path) -> None:
    mine.chmod(0o2775)
    command = [sys.executable, "-m", "sciml_data", "get", *SAMPLE, "--home", str(mine)]

    result = subprocess.run(command, umask=0o002, capture_output=True, check=False)

    assert result.returncode == 0, result.stderr
    made = [path for path in mine.rglob("*") if not path.is_symlink()]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in made}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o2775}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o664}
    assert {path.stat().st_gid for path in made} == {mine.stat().st_gid}
