"""What a home has stored is counted, and removed only as asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sciml_data.errors import LockedError
from sciml_data.home import DatasetFolder, Home, find_home
from sciml_data.ready import StoredPart, remove_parts, stored_parts
from sciml_data.ready.folder import write_record


def fill(folder: DatasetFolder, **options: object) -> DatasetFolder:
    """Write 10 bytes of native and 20 bytes of ready files, and what belongs to them."""
    for path, size in (("native/deep/a.bin", 10), ("ready/0123456789ab/a.nc", 20)):
        place = folder.root / path
        place.parent.mkdir(parents=True)
        place.write_bytes(b"x" * size)
    write_record(folder.ready / "0123456789ab", {"options": options, "splits": {}})
    folder.stat_cache.write_text("")
    return folder


def kinds(home: Home) -> list[tuple[str, str, int]]:
    return [(part.name, part.kind, part.files) for part in stored_parts(home)]


def of_kind(home: Home, kind: str) -> StoredPart:
    (part,) = [part for part in stored_parts(home) if part.kind == kind]
    return part


def test_every_part_is_listed_with_its_files_and_options(home: Home) -> None:
    fill(home.dataset("waves", "1.0"), genes="all")
    fill(home.dataset("waves", "1.0", sample_seed=3))
    (home.runs("swim") / "one").mkdir(parents=True)
    (home.runs("swim") / "two").mkdir()

    assert kinds(home) == [
        ("waves 1.0", "native", 1),
        ("waves 1.0", "ready", 2),
        ("waves 1.0, sample 3", "native", 1),
        ("waves 1.0, sample 3", "ready", 2),
        ("swim", "runs", 2),
    ]
    native, ready, *_ = stored_parts(home)
    assert (native.size_bytes, native.options) == (10, None)
    assert ready.options == {"genes": "all"}


def test_files_with_another_name_are_counted_as_shared(home: Home) -> None:
    first = fill(home.dataset("waves", "1.0"))
    second = home.dataset("waves", "1.1")
    second.native.mkdir(parents=True)
    os.link(first.native / "deep/a.bin", second.native / "a.bin")
    (second.native / "b.bin").write_bytes(b"y" * 5)

    part = next(part for part in stored_parts(home) if part.version == "1.1")

    assert (part.size_bytes, part.shared_bytes) == (15, 10)


def test_the_last_use_is_the_latest_time_of_any_file(home: Home) -> None:
    folder = fill(home.dataset("waves", "1.0"))
    (folder.native / "b.bin").write_bytes(b"y")
    os.utime(folder.native / "deep/a.bin", (1_000, 2_000))
    os.utime(folder.native / "b.bin", (3_000, 500))

    assert of_kind(home, "native").last_used == 3_000


def test_a_removed_part_is_gone_and_the_others_stay(home: Home) -> None:
    folder = fill(home.dataset("waves", "1.0"))

    removed = list(remove_parts([of_kind(home, "ready")]))

    assert [part.kind for part in removed] == ["ready"]
    assert kinds(home) == [("waves 1.0", "native", 1)]
    assert folder.stat_cache.is_file()
    list(remove_parts([of_kind(home, "native")]))
    assert not (home.root / "data").exists()


def test_files_without_write_permission_are_removed(home: Home) -> None:
    folder = fill(home.dataset("waves", "1.0"))
    (folder.native / "deep/a.bin").chmod(0o444)
    (folder.native / "deep").chmod(0o555)

    list(remove_parts([of_kind(home, "native")]))

    assert not folder.native.exists()


def test_the_first_listing_of_an_unpinned_version_stays(home: Home) -> None:
    folder = fill(home.dataset("waves", "1.0"))
    folder.listing.write_text("path\n")

    list(remove_parts(stored_parts(home)))

    assert stored_parts(home) == []
    assert folder.listing.is_file()


def test_a_link_is_neither_counted_nor_followed(home: Home, tmp_path: Path) -> None:
    folder = fill(home.dataset("waves", "1.0"))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x" * 1000)
    (folder.native / "link").symlink_to(outside)
    (home.root / "data" / "linked").symlink_to(outside)

    assert of_kind(home, "native").size_bytes == 10
    list(remove_parts(stored_parts(home)))
    assert (outside / "precious").is_file()


def test_a_removal_that_was_killed_is_finished_by_the_next_look(home: Home) -> None:
    folder = fill(home.dataset("waves", "1.0"))
    folder.native.rename(folder.root / ".removed-native")

    assert kinds(home) == [("waves 1.0", "ready", 2)]
    assert not (folder.root / ".removed-native").exists()


def test_data_in_use_are_not_removed(home: Home) -> None:
    folder = fill(home.dataset("waves", "1.0"))
    parts = stored_parts(find_home(home, wait=False))

    with folder.lock("fetch waves 1.0"), pytest.raises(LockedError, match="remove native files"):
        list(remove_parts(parts))
    assert (folder.native / "deep/a.bin").is_file()


def test_runs_are_refused(home: Home) -> None:
    (home.runs("swim") / "one").mkdir(parents=True)

    with pytest.raises(ValueError, match="runs of swim"):
        list(remove_parts(stored_parts(home)))
    assert (home.runs("swim") / "one").is_dir()


def test_shared_homes_are_not_listed(tmp_path: Path) -> None:
    fill(Home(tmp_path / "site").dataset("waves", "1.0"))

    assert stored_parts(find_home([tmp_path / "mine", tmp_path / "site"])) == []
