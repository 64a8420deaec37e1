"""Records beside the files: what was requested, the stat cache, existing files, publishing."""

from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path

import pytest

from sciml_data.errors import FetchError
from sciml_data.home import Home
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.manifest import hash_file
from sciml_data.registry.stages import Plan
from sciml_data.testing.datasets import write_files
from sciml_data.transfer.download import fetch
from sciml_data.transfer.download.local_files import (
    MAX_LINES_PER_FILE,
    StatCache,
    check_existing,
    existing_paths,
    requested_paths,
    save_request,
)
from sciml_data.transfer.plan import make_plan
from tests.support.downloads import FOUR_FILES, quick_retry

OTHER = {"deep/c.bin": b"x" * 10, "deep/er/b.bin": FOUR_FILES["deep/er/b.bin"]}


@pytest.fixture
def unpinned(plan: Plan) -> Plan:
    """Return a plan of one existing file without a hash, its size right."""
    write_files(plan.folder.native, {"a.bin": FOUR_FILES["a.bin"]})
    file = next(file for file in plan.files if file.path == "a.bin")
    descriptor = dataclasses.replace(plan.descriptor, manifest=None)
    return Plan(descriptor, (dataclasses.replace(file, hash=None),), plan.folder)


def test_a_request_for_a_part_does_not_shrink_the_whole(descriptor: Descriptor, home: Home) -> None:
    part, whole = make_plan(descriptor, home, split="deep"), make_plan(descriptor, home)

    save_request(part)
    assert requested_paths(part.folder) == {"deep/c.bin", "deep/er/b.bin"}
    save_request(whole)
    assert requested_paths(part.folder) is None
    save_request(part)
    assert requested_paths(part.folder) is None


def test_the_stat_cache_knows_a_file_until_its_status_changes(plan: Plan) -> None:
    write_files(plan.folder.native, {"a.bin": b"abc"})
    path = plan.folder.native / "a.bin"
    actual = hash_file(path)
    cache = StatCache(plan.folder.stat_cache, plan.folder.native)
    cache.add("a.bin", actual)
    cache.save()

    again = StatCache(plan.folder.stat_cache, plan.folder.native)
    assert again.has("a.bin", actual, path.lstat())
    assert again.hash_of("a.bin", path.lstat()) == actual
    assert not again.has("a.bin", f"sha256:{'0' * 64}", path.lstat())
    assert again.hash_of("b.bin", path.lstat()) is None
    os.utime(path, ns=(0, 0))
    assert not again.has("a.bin", actual, path.lstat())
    assert again.hash_of("a.bin", path.lstat()) is None


def test_the_stat_cache_is_rewritten_before_it_grows_without_end(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sciml_data.transfer.download.local_files.SAVE_INTERVAL", 2)
    write_files(plan.folder.native, {"a.bin": b"abc", "b.bin": b""})
    cache = StatCache(plan.folder.stat_cache, plan.folder.native)

    for number in range(40):
        cache.add("ab"[number % 2] + ".bin", f"sha256:{number:064}")

    lines = [line for line in plan.folder.stat_cache.read_text().splitlines() if line]
    assert len(lines) <= MAX_LINES_PER_FILE * 2 + 2
    state = (plan.folder.native / "b.bin").lstat()
    assert (
        StatCache(plan.folder.stat_cache, plan.folder.native).hash_of("b.bin", state)
        == f"sha256:{39:064}"
    )


def test_only_regular_files_of_the_right_size_exist(plan: Plan) -> None:
    write_files(plan.folder.native, OTHER)
    os.mkfifo(plan.folder.native / "empty.bin")  # of size 0, as the file

    assert existing_paths(plan) == {"deep/er/b.bin"}


def test_a_fifo_in_the_place_of_a_file_is_moved_away_and_not_opened(plan: Plan) -> None:
    plan.folder.native.mkdir(parents=True)
    os.mkfifo(plan.folder.native / "empty.bin")
    lines: list[str] = []

    hashes, missing, problems = check_existing(
        plan, StatCache(plan.folder.stat_cache, plan.folder.native), jobs=1, log=lines.append
    )

    assert (hashes, problems) == ({}, [])
    assert {file.path for file in missing} == set(FOUR_FILES)
    assert [path.name for path in plan.folder.quarantine.iterdir()] == ["empty.bin.other"]
    assert len(lines) == 1


def test_an_unpinned_file_is_known_by_its_sha256_only(unpinned: Plan) -> None:
    path = unpinned.folder.native / "a.bin"
    cache = StatCache(unpinned.folder.stat_cache, unpinned.folder.native)
    cache.add("a.bin", hash_file(path, "md5"))

    hashes, _, _ = check_existing(unpinned, cache, jobs=1, log=print)

    assert hashes == {"a.bin": hash_file(path)}


def test_a_cached_file_of_another_size_than_the_listed_one_is_moved_away(unpinned: Plan) -> None:
    cache = StatCache(unpinned.folder.stat_cache, unpinned.folder.native)
    cache.add("a.bin", hash_file(unpinned.folder.native / "a.bin"))
    longer = dataclasses.replace(unpinned.files[0], size_bytes=unpinned.files[0].size_bytes + 1)

    hashes, missing, _ = check_existing(
        dataclasses.replace(unpinned, files=(longer,)), cache, jobs=1, log=print
    )

    assert (hashes, missing) == ({}, [longer])
    assert not (unpinned.folder.native / "a.bin").exists()


def test_a_file_that_cannot_be_flushed_is_a_problem_of_this_file(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, *, flags: int = 0) -> None:
        if path.name == "a.bin.part":
            raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr("sciml_data.transfer.download.local_files.fsync_path", fail)

    with pytest.raises(FetchError) as error:
        fetch(plan, retry=quick_retry())

    assert [(problem.kind, problem.place) for problem in error.value.problems] == [
        ("failed", "a.bin")
    ]
    assert not (plan.folder.native / "a.bin").exists()
    assert (plan.folder.native / "deep/c.bin").exists()
