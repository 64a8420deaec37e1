"""Verification: each difference is found, all are named at once, and repair corrects them."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sciml_data.errors import CallError, FetchError, VerificationError
from sciml_data.home import Home
from sciml_data.registry.descriptor import Descriptor, load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import Entry, Manifest, lstat_inside, read_manifest
from sciml_data.registry.stages import Fetched, Plan, Verified
from sciml_data.testing.datasets import write_dataset, write_files, write_unpinned
from sciml_data.transfer.download import fetch, requested_paths
from sciml_data.transfer.download.local_files import StatCache
from sciml_data.transfer.download.partial_file import hash_like
from sciml_data.transfer.listing.listing import ListedFile, new_listing, save_listing
from sciml_data.transfer.plan import make_plan
from sciml_data.transfer.protocols.retry import RetryPolicy
from sciml_data.transfer.verification import (
    changed_files,
    differences,
    load_fetched,
    repair,
    verify,
)

FILES = {"a.bin": bytes(range(256)), "deep/b.bin": b"b" * 1000, "deep/c.bin": b"", "d.bin": b"dd"}
RETRY = RetryPolicy(tries=2, pause=lambda _: None)


@pytest.fixture
def descriptor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Descriptor:
    """Return a dataset whose only mirror is a folder that the environment names."""
    write_files(tmp_path / "served", FILES)
    monkeypatch.setenv("SCIML_DATA_MIRRORS", f"file:{tmp_path}/served")
    return write_dataset(tmp_path / "registry", FILES, splits={"deep": ["deep/*"]})


@pytest.fixture
def plan(descriptor: Descriptor, home: Home) -> Plan:
    return make_plan(descriptor, home)


@pytest.fixture
def fetched(plan: Plan) -> Fetched:
    return fetch(plan, retry=RETRY)


def differences_of(fetched: Fetched, *, full: bool = False) -> list[tuple[str, str]]:
    """Return (kind, path) of every difference."""
    try:
        verify(fetched, full=full)
    except VerificationError as error:
        return [(problem.kind, problem.place) for problem in error.problems]
    return []


def test_what_was_fetched_is_verified(fetched: Fetched, descriptor: Descriptor) -> None:
    verified = verify(fetched)

    assert isinstance(verified, Verified)
    assert verified.manifest == descriptor.manifest
    assert verified.root == fetched.root
    assert verified.descriptor == descriptor
    assert not verified.is_synthetic


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=40,
)
@given(
    path=st.sampled_from([path for path, content in FILES.items() if content]),
    place=st.integers(0, 10_000),
    bit=st.integers(0, 7),
)
def test_one_flipped_bit_is_differences_of(
    fetched: Fetched, path: str, place: int, bit: int
) -> None:
    content = bytearray(FILES[path])
    content[place % len(content)] ^= 1 << bit
    (fetched.root / path).write_bytes(content)

    assert differences_of(fetched, full=True) == [("changed", path)]

    (fetched.root / path).write_bytes(FILES[path])


def test_every_difference_is_named_at_once(fetched: Fetched) -> None:
    root = fetched.root
    (root / "a.bin").write_bytes(bytes(range(255)) + b"x")
    (root / "deep/b.bin").unlink()
    (root / "deep/c.bin").write_bytes(b"longer")
    (root / "new.bin").write_bytes(b"")
    (root / "deep/link").symlink_to("/")

    with pytest.raises(VerificationError) as error:
        verify(fetched)

    assert [(p.kind, p.place) for p in error.value.problems] == [
        ("changed", "a.bin"),
        ("missing", "deep/b.bin"),
        ("changed", "deep/c.bin"),
        ("unexpected", "deep/link"),
        ("unexpected", "new.bin"),
    ]
    messages = [problem.message for problem in error.value.problems]
    assert messages[0].startswith("sha256 40aff2e9d2d8.. expected, sha256 ")
    assert messages[1:3] == ["1000 bytes expected", "0 bytes expected, 6 found"]
    assert "symbolic link" in messages[3]
    assert "0 bytes" in messages[4]
    assert error.value.hint == "sciml-data verify tiny --version 1.0 --repair"


def test_unexpected_files_alone_fail_and_stay(fetched: Fetched, plan: Plan) -> None:
    (fetched.root / "notes.txt").write_text("mine")

    with pytest.raises(VerificationError, match=r"1 file differs") as error:
        repair(fetched, plan, retry=RETRY)

    assert (fetched.root / "notes.txt").read_text() == "mine"
    assert [problem.kind for problem in error.value.problems] == ["unexpected"]
    assert f"out of {fetched.root}" in error.value.hint


def test_files_of_the_operating_system_are_mentioned_and_block_nothing(fetched: Fetched) -> None:
    write_files(fetched.root, {".DS_Store": b"x", "deep/.nfs0001": b"", "deep/thumbs.db": b""})
    lines: list[str] = []

    assert verify(fetched, full=True, log=lines.append).manifest == fetched.manifest
    assert lines == [
        "3 hidden or system files left out: .DS_Store, deep/.nfs0001, deep/thumbs.db",
    ]


def test_a_file_that_is_listed_is_checked_whatever_its_name(tmp_path: Path, home: Home) -> None:
    files = {".DS_Store": b"data", "a.bin": b"a"}
    write_files(tmp_path / "served", files)
    descriptor = write_dataset(tmp_path / "registry", files)
    fetched = fetch(make_plan(descriptor, home, mirrors=[f"file:{tmp_path}/served"]))
    lines: list[str] = []
    verify(fetched, log=lines.append)

    (fetched.root / ".DS_Store").write_bytes(b"date")

    assert differences_of(fetched, full=True) == [("changed", ".DS_Store")]
    assert lines == []


def test_a_name_that_is_not_utf_8_is_unexpected(fetched: Fetched) -> None:
    (fetched.root / os.fsdecode(b"caf\xe9.csv")).touch()

    assert differences_of(fetched) == [("unexpected", r"caf\xe9.csv")]


def test_a_link_is_not_the_file(fetched: Fetched, tmp_path: Path) -> None:
    (fetched.root / "d.bin").unlink()
    (fetched.root / "d.bin").symlink_to(tmp_path / "served" / "d.bin")

    assert differences_of(fetched) == [("changed", "d.bin")]


def test_a_fifo_in_the_place_of_a_file_is_not_opened(
    fetched: Fetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the size of the empty file; opening it would block until somebody writes to it."""
    path = fetched.root / "deep/c.bin"
    path.unlink()
    os.mkfifo(path)
    opened: list[Path] = []

    def note(path: Path, expected: str) -> str:
        opened.append(path)
        return expected

    monkeypatch.setattr("sciml_data.transfer.verification.hash_like", note)

    assert differences_of(fetched) == [("changed", "deep/c.bin")]
    assert differences_of(fetched, full=True) == [("changed", "deep/c.bin")]
    assert path not in opened


def test_a_file_that_becomes_a_link_before_it_is_read_is_not_followed(
    fetched: Fetched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fetched.root / "d.bin"

    def plant(root: Path, name: str) -> os.stat_result | None:
        state = lstat_inside(root, name)
        if name == "d.bin" and not path.is_symlink():
            path.unlink()
            path.symlink_to(tmp_path / "served" / "d.bin")  # the same content
        return state

    monkeypatch.setattr("sciml_data.transfer.verification.lstat_inside", plant)

    assert differences_of(fetched, full=True) == [("changed", "d.bin")]


def test_a_linked_folder_is_not_followed(fetched: Fetched, tmp_path: Path) -> None:
    (fetched.root / "deep").rename(tmp_path / "elsewhere")
    (fetched.root / "deep").symlink_to(tmp_path / "elsewhere")

    assert differences_of(fetched) == [
        ("unexpected", "deep"),
        ("changed", "deep/b.bin"),
        ("changed", "deep/c.bin"),
    ]
    assert all("deep" in problem.message for problem in differences(fetched)[1:])


def test_a_file_in_the_stat_cache_is_not_read_unless_full(fetched: Fetched) -> None:
    """The same size, mtime and inode: only reading shows the difference."""
    path = fetched.root / "a.bin"
    state = path.stat()
    path.write_bytes(bytes(256))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))

    assert differences_of(fetched) == []
    assert differences(fetched) == []
    cache = StatCache(fetched.folder.stat_cache, fetched.root)
    assert changed_files(fetched.root, fetched.manifest, cache) == []
    assert differences_of(fetched, full=True) == [("changed", "a.bin")]


def test_repair_does_not_read_a_file_in_the_stat_cache_unless_full(
    fetched: Fetched, plan: Plan
) -> None:
    path = fetched.root / "a.bin"
    state = path.stat()
    path.write_bytes(bytes(256))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))

    repair(fetched, plan, retry=RETRY)

    assert path.read_bytes() == bytes(256)


@pytest.mark.parametrize("check", ["verify", "differences", "repair"])
def test_as_many_files_are_read_at_once_as_are_allowed(
    fetched: Fetched, plan: Plan, monkeypatch: pytest.MonkeyPatch, check: str
) -> None:
    def read_with(jobs: int, hash_file: Callable[[Path, str], str]) -> None:
        fetched.folder.stat_cache.unlink(missing_ok=True)
        monkeypatch.setattr("sciml_data.transfer.verification.hash_like", hash_file)
        checks: dict[str, Callable[..., object]] = {
            "verify": verify,
            "differences": differences,
            "repair": partial(repair, plan=plan),
        }
        checks[check](fetched, jobs=jobs)

    two, all_files = threading.Barrier(2), threading.Barrier(len(FILES))
    met: list[Path] = []

    def wait_for_another(path: Path, expected: str) -> str:
        with contextlib.suppress(threading.BrokenBarrierError):
            two.wait(timeout=0.2)  # nobody comes, and nobody waits again
            met.append(path)
        return hash_like(path, expected)

    def wait_for_all(path: Path, expected: str) -> str:
        all_files.wait(timeout=30)
        return hash_like(path, expected)

    read_with(1, wait_for_another)
    read_with(len(FILES), wait_for_all)

    assert met == []


def test_another_file_of_the_same_size_and_time_is_read(fetched: Fetched) -> None:
    path = fetched.root / "a.bin"
    state = path.stat()
    other = fetched.folder.root / "other"
    other.write_bytes(bytes(256))
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    other.replace(path)

    assert differences_of(fetched) == [("changed", "a.bin")]


def test_a_second_verification_reads_nothing(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(plan.folder.native, FILES)  # came another way: no stat cache
    fetched = load_fetched(plan.descriptor, plan.folder)
    verify(fetched)
    read: list[Path] = []
    monkeypatch.setattr(
        "sciml_data.transfer.verification.hash_like", lambda path, _: read.append(path)
    )

    verify(fetched)

    assert read == []


def test_a_change_that_a_full_check_found_is_not_forgotten(fetched: Fetched) -> None:
    path = fetched.root / "a.bin"
    state = path.stat()
    path.write_bytes(bytes(256))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    differences_of(fetched, full=True)

    assert differences_of(fetched) == [("changed", "a.bin")]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
@pytest.mark.parametrize("interval", [1, 200])
def test_a_home_that_may_only_be_read_is_verified(
    fetched: Fetched, monkeypatch: pytest.MonkeyPatch, number: int, interval: int
) -> None:
    fetched.folder.stat_cache.unlink()

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("sciml_data.transfer.download.local_files.append", refuse)
    monkeypatch.setattr("sciml_data.transfer.download.local_files.SAVE_INTERVAL", interval)

    assert differences_of(fetched) == []


def test_a_file_that_is_written_to_while_it_is_hashed_is_hashed_again(
    fetched: Fetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched.folder.stat_cache.unlink()
    path = fetched.root / "a.bin"

    def hash_and_change(read: Path, expected: str) -> str:
        actual = hash_like(read, expected)
        if read == path:
            path.write_bytes(bytes(256))
        return actual

    with monkeypatch.context() as patched:
        patched.setattr("sciml_data.transfer.verification.hash_like", hash_and_change)
        assert differences_of(fetched) == []

    assert differences_of(fetched) == [("changed", "a.bin")]


@pytest.mark.parametrize("full", [False, True])
def test_progress_counts_the_bytes_of_the_files_that_are_read(
    fetched: Fetched, *, full: bool
) -> None:
    (fetched.root / "a.bin").write_bytes(FILES["a.bin"])  # another mtime: it is read again
    shown: list[tuple[int, int]] = []

    verify(fetched, full=full, jobs=1, progress=lambda done, total: shown.append((done, total)))

    total = sum(map(len, FILES.values())) if full else len(FILES["a.bin"])
    assert shown[0][0] > 0
    assert {each for _, each in shown} == {total}
    assert shown[-1] == (total, total)
    assert [done for done, _ in shown] == sorted({done for done, _ in shown})


def test_repair_quarantines_and_fetches(fetched: Fetched, plan: Plan) -> None:
    (fetched.root / "a.bin").write_bytes(b"changed")
    (fetched.root / "d.bin").unlink()
    lines: list[str] = []

    verified = repair(fetched, plan, retry=RETRY, log=lines.append)

    assert {entry.path for entry in verified.manifest} == set(FILES)
    assert {p: (fetched.root / p).read_bytes() for p in FILES} == FILES
    assert (fetched.folder.quarantine / "a.bin.changed").read_bytes() == b"changed"
    assert len(lines) == 1


def test_repair_corrects_what_only_reading_finds(fetched: Fetched, plan: Plan) -> None:
    path = fetched.root / "a.bin"
    state = path.stat()
    path.write_bytes(bytes(256))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))

    repair(fetched, plan, full=True, retry=RETRY)

    assert path.read_bytes() == FILES["a.bin"]


def test_repair_passes_on_how_to_fetch_and_to_whom_to_report(
    fetched: Fetched, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fetched.root / "a.bin").write_bytes(b"changed")
    options: list[dict[str, Any]] = []
    shown: list[tuple[int, int]] = []
    lines: list[str] = []

    def note(part: Plan, **given: Any) -> Fetched:
        options.append(given)
        return fetch(part, **given)

    def show(done: int, total: int) -> None:
        shown.append((done, total))

    log = lines.append
    monkeypatch.setattr("sciml_data.transfer.verification.fetch", note)
    repair(fetched, plan, full=True, jobs=3, progress=show, log=log, retry=RETRY)

    assert options == [{"jobs": 3, "progress": show, "log": log, "retry": RETRY}]
    # Of reading all but the file that has another size, then of fetching that one.
    read = sum(map(len, FILES.values())) - len(FILES["a.bin"])
    assert {total for _, total in shown} == {read, len(FILES["a.bin"])}


def test_repair_without_a_mirror_says_which_file(
    fetched: Fetched, plan: Plan, tmp_path: Path
) -> None:
    (tmp_path / "served" / "a.bin").unlink()
    (fetched.root / "a.bin").unlink()

    with pytest.raises(FetchError) as error:
        repair(fetched, plan, retry=RETRY)

    assert [problem.place for problem in error.value.problems] == ["a.bin"]


def test_a_part_is_compared_with_what_was_requested(descriptor: Descriptor, home: Home) -> None:
    folder = fetch(make_plan(descriptor, home, split="deep"), retry=RETRY).folder

    verified = verify(load_fetched(descriptor, folder))
    assert [entry.path for entry in verified.manifest] == ["deep/b.bin", "deep/c.bin"]

    (folder.native / "deep/b.bin").unlink()
    assert differences_of(load_fetched(descriptor, folder)) == [("missing", "deep/b.bin")]


def test_a_part_stays_a_part_after_its_repair(descriptor: Descriptor, home: Home) -> None:
    folder = fetch(make_plan(descriptor, home, split="deep"), retry=RETRY).folder
    (folder.native / "deep/b.bin").unlink()

    repair(load_fetched(descriptor, folder), make_plan(descriptor, home), retry=RETRY)

    assert requested_paths(folder) == {"deep/b.bin", "deep/c.bin"}
    assert set(load_fetched(descriptor, folder).manifest.by_path) == {"deep/b.bin", "deep/c.bin"}


def test_a_whole_dataset_stays_whole_after_its_repair(
    descriptor: Descriptor, plan: Plan, fetched: Fetched
) -> None:
    (fetched.root / "a.bin").unlink()

    repair(fetched, plan, retry=RETRY)

    assert requested_paths(fetched.folder) is None
    (fetched.root / "d.bin").unlink()
    again = load_fetched(descriptor, fetched.folder)
    assert differences_of(again) == [("missing", "d.bin")]


def test_files_that_came_another_way_are_all_expected_after_a_repair(
    descriptor: Descriptor, plan: Plan
) -> None:
    write_files(plan.folder.native, {**FILES, "a.bin": b"wrong"})

    repair(load_fetched(descriptor, plan.folder), plan, retry=RETRY)

    (plan.folder.native / "d.bin").unlink()
    assert differences_of(load_fetched(descriptor, plan.folder)) == [("missing", "d.bin")]


@pytest.fixture
def unpinned(tmp_path: Path, plan: Plan) -> Plan:
    """Return the same files as a version without a manifest in the registry, fetched."""
    descriptor = write_unpinned(tmp_path / "unpinned", mirrors=[{"": "https://localhost/"}])
    files = tuple(replace(file, hash=None) for file in plan.files)
    unpinned = Plan(descriptor, files, plan.folder)
    fetch(unpinned, retry=RETRY)
    return unpinned


def store_another_size(plan: Plan, path: str) -> Fetched:
    """Change the size of a file in the manifest of an unpinned version; return the version."""
    entries = read_manifest(plan.folder.manifest)
    wrong = (replace(one, size_bytes=one.size_bytes + (one.path == path)) for one in entries)
    plan.folder.manifest.write_text(Manifest(tuple(wrong)).dump())
    return load_fetched(plan.descriptor, plan.folder)


@pytest.mark.parametrize("has_log", [True, False])
def test_repair_corrects_a_stored_size_that_contradicts_the_plan(
    unpinned: Plan, *, has_log: bool
) -> None:
    right = read_manifest(unpinned.folder.manifest)
    wrong = store_another_size(unpinned, "a.bin")
    lines: list[str] = []

    repaired = repair(wrong, unpinned, retry=RETRY, log=lines.append if has_log else None)

    assert differences_of(wrong) == [("changed", "a.bin")]
    assert repaired.manifest == right == read_manifest(unpinned.folder.manifest)
    assert all(line.startswith("a.bin") for line in lines)
    assert bool(lines) is has_log


def test_listed_sizes_are_expected_of_an_unpinned_version(unpinned: Plan) -> None:
    listed = [
        ListedFile("a.bin", 256, "", "", unpinned.files[0].urls[0]),
        ListedFile("d.bin", 3, "", "", unpinned.files[0].urls[0]),
    ]
    wrong = store_another_size(unpinned, "a.bin")
    save_listing(new_listing(listed), unpinned.folder.listing)

    # The listing does not name the files in `deep`: their sizes are those of the manifest.
    assert differences_of(wrong) == [("changed", "d.bin")]


def test_a_listing_has_no_say_in_a_pinned_version(fetched: Fetched, plan: Plan) -> None:
    listed = ListedFile("a.bin", 3, "", "", plan.files[0].urls[0])
    save_listing(new_listing([listed]), fetched.folder.listing)

    assert differences_of(fetched) == []


def test_the_manifest_of_the_registry_counts_once_there_is_one(
    descriptor: Descriptor, fetched: Fetched
) -> None:
    """The folder of a version that was unpinned when it was fetched has a manifest of its own."""
    fetched.folder.manifest.write_text(Manifest(()).dump())

    assert load_fetched(descriptor, fetched.folder).manifest == descriptor.manifest


def test_other_files_of_the_manifest_beside_a_part_are_checked_too(
    descriptor: Descriptor, home: Home
) -> None:
    folder = fetch(make_plan(descriptor, home, split="deep"), retry=RETRY).folder
    write_files(folder.native, {"a.bin": b"wrong", "d.bin": FILES["d.bin"]})

    assert differences_of(load_fetched(descriptor, folder)) == [("changed", "a.bin")]


def test_a_fetch_that_failed_misses_what_was_requested(
    descriptor: Descriptor, home: Home, tmp_path: Path
) -> None:
    for path in FILES:
        (tmp_path / "served" / path).unlink()
    plan = make_plan(descriptor, home, include=["a.bin"])
    with pytest.raises(FetchError):
        fetch(plan, retry=RETRY)

    assert differences_of(load_fetched(descriptor, plan.folder)) == [("missing", "a.bin")]


def test_what_was_never_fetched_cannot_be_verified(descriptor: Descriptor, home: Home) -> None:
    with pytest.raises(CallError) as error:
        load_fetched(descriptor, home.dataset("tiny", "1.0"))

    assert error.value.hint == "sciml-data get tiny --version 1.0"
    with pytest.raises(CallError) as error:
        load_fetched(descriptor, home.dataset("tiny", "1.0", sample_seed=1))
    assert error.value.hint == "sciml-data get tiny --version 1.0 --sample --sample-seed 1"


def test_changed_files_of_a_live_version_are_fetched_again_with_get(home: Home) -> None:
    descriptor = load_descriptor(find_registry(), "tevolop_socal", "live")
    manifest = Manifest((Entry("comcat/window.csv", 3, f"sha256:{'0' * 64}"),))

    with pytest.raises(VerificationError) as error:
        verify(Fetched(descriptor, home.dataset("tevolop_socal", "live"), manifest))

    assert "get tevolop_socal --version live --start" in error.value.hint
