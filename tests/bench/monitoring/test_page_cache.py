"""The page cache is said to be clear only where no page of the files is left in it."""

import mmap
import os
from pathlib import Path

import pytest

from sciml_data.bench.monitoring import page_cache
from sciml_data.bench.monitoring.page_cache import (
    NOT_REQUESTED,
    CacheClear,
    clear_cached,
    resident_pages,
)

PAGES = 64
MEMORY = Path("/dev/shm")  # noqa: S108 - a file system in memory is the case under test


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    """A file that was just written and read: all its pages are in memory."""
    path = tmp_path / "shard.nc"
    path.write_bytes(os.urandom(PAGES * mmap.PAGESIZE - 100))
    path.read_bytes()
    return path


def test_what_was_just_read_is_resident(cached: Path) -> None:
    assert resident_pages(cached) == (PAGES, PAGES)


def test_a_cleared_file_has_no_page_left_and_its_bytes_are_as_before(cached: Path) -> None:
    before = cached.stat().st_size

    found = clear_cached([cached])

    assert found == CacheClear(True, page_cache.METHOD, 1, 0.0, None)
    assert resident_pages(cached) == (0, PAGES)
    assert cached.stat().st_size == before


def test_dirty_pages_are_written_and_then_dropped(cached: Path) -> None:
    with cached.open("r+b") as stream:
        stream.write(b"dirty")

    assert clear_cached([cached]).done
    assert cached.read_bytes()[:5] == b"dirty"


def test_files_below_a_folder_are_found_and_counted_once(tmp_path: Path, cached: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "b.nc").write_bytes(b"b")
    (tmp_path / "empty").touch()

    found = clear_cached([tmp_path, cached, cached])

    assert (found.done, found.files, found.resident_fraction_after) == (True, 3, 0.0)


def test_a_mapped_file_stays_and_is_said_to_stay(cached: Path) -> None:
    with cached.open("rb") as stream, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as held:
        touched = sum(held[start] >= 0 for start in range(0, len(held), mmap.PAGESIZE))
        found = clear_cached([cached])

    assert touched == PAGES
    assert not found.done
    assert found.resident_fraction_after == 1.0
    assert "stayed in memory" in str(found.reason)


@pytest.mark.skipif(not MEMORY.is_dir(), reason="there is no file system in memory here")
def test_a_file_system_in_memory_cannot_be_cleared() -> None:
    path = MEMORY / f"sciml-data-test-{os.getpid()}"
    path.write_bytes(b"x" * mmap.PAGESIZE)
    try:
        found = clear_cached([path])
    finally:
        path.unlink()

    assert (found.done, found.resident_fraction_after) == (False, 1.0)
    assert "in memory" in str(found.reason)


def test_windows_add_up_to_the_whole_file(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_cache, "WINDOW_BYTES", 5 * mmap.PAGESIZE)

    assert resident_pages(cached) == (PAGES, PAGES)


def test_residency_that_is_not_known_is_not_claimed(
    cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The answer of Linux to a user who may not know: every page is resident.
    monkeypatch.setattr(page_cache, "_resident", lambda _number: (PAGES, PAGES))
    monkeypatch.setattr(page_cache, "_is_ours", lambda _path: False)

    found = clear_cached([cached])

    assert not found.done
    assert "is not known" in str(found.reason)


def test_a_system_without_the_advice_says_so(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fadvise")

    found = clear_cached([cached])

    assert (found.done, found.method, found.files) == (False, None, 1)
    assert found.reason == "this system has no posix_fadvise"


def test_a_refusal_of_the_system_is_a_reason_and_no_error(
    cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: int) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "posix_fadvise", refuse)

    assert clear_cached([cached]).reason == "the system refused: Invalid argument"


def test_nothing_asked_for_and_nothing_found_are_told_apart(tmp_path: Path) -> None:
    assert NOT_REQUESTED.to_json() == {
        "done": False,
        "method": None,
        "files": 0,
        "resident_fraction_after": None,
        "reason": "not asked for",
    }
    assert clear_cached([tmp_path / "absent"]).reason == "no file was named that is there"
