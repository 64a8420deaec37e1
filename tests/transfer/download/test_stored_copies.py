"""Content is stored once: a new version brings its changed files only, and no edit spreads."""

from __future__ import annotations

import dataclasses
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sciml_data.home import DatasetFolder, Home
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.manifest import hash_file
from sciml_data.registry.stages import Plan, StoredCopy
from sciml_data.testing.datasets import write_dataset, write_files, write_unpinned
from sciml_data.testing.faults import status
from sciml_data.testing.s3_server import S3Server
from sciml_data.testing.server import FileServer
from sciml_data.transfer import adopt, amounts_left, existing_paths, fetch, make_plan, verify
from sciml_data.transfer.download import stored_copies
from sciml_data.transfer.download.local_files import StatCache
from sciml_data.transfer.verification import load_fetched
from tests.support.downloads import contents, quick_retry
from tests.support.users import FIRST, SECOND, run_as, shared_folder

OLD = {"a.bin": bytes(range(256)) * 100, "deep/b.bin": b"b" * 70_000, "note.txt": b"first\n"}
NEW = OLD | {"note.txt": b"second!\n"}
# The content of an unchanged file may be under another path in the new version.
MOVED = {"moved/a.bin": OLD["a.bin"], "note.txt": NEW["note.txt"]}
LARGE = {"a.bin", "deep/b.bin"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    for version, files in (("1.0", OLD), ("1.1", NEW), ("1.2", MOVED)):
        write_files(tmp_path / "served" / version, files)
    with FileServer(tmp_path / "served") as server:
        yield server


def described(tmp_path: Path, server: FileServer, version: str) -> Descriptor:
    files = {"1.0": OLD, "1.1": NEW, "1.2": MOVED}[version]
    mirrors = [{"": f"{server.url}/{version}/"}]
    descriptor = write_dataset(tmp_path / f"registry-{version}", files, mirrors=mirrors)
    return dataclasses.replace(descriptor, version=version)


@pytest.fixture
def old(tmp_path: Path, server: FileServer, home: Home) -> DatasetFolder:
    """Return the folder of version 1.0, which is in the home."""
    fetch(make_plan(described(tmp_path, server, "1.0"), home), retry=quick_retry())
    server.requests.clear()
    return home.dataset("tiny", "1.0")


@pytest.fixture
def plan(tmp_path: Path, server: FileServer, home: Home, old: DatasetFolder) -> Plan:
    """Return the plan of version 1.1."""
    return make_plan(described(tmp_path, server, "1.1"), home)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def has_reflinks(folder: Path) -> bool:
    write_files(folder, {"first": b"x" * 4096})
    copy = StoredCopy(folder / "first", "1.0", is_own=False)
    with (folder / "first").open("rb") as stream:
        return stored_copies._reflink(stream.fileno(), copy.place.with_name("second"))


def test_a_version_with_one_changed_file_fetches_that_file_only(
    plan: Plan, old: DatasetFolder, server: FileServer
) -> None:
    lines: list[str] = []

    fetched = fetch(plan, retry=quick_retry(), log=lines.append)

    assert contents(fetched.root) == NEW
    assert [request.path for request in server.requests] == ["1.1/note.txt"]
    assert lines == ["taken from version 1.0: 2 files, 95.6 kB"]
    assert contents(old.native) == OLD
    assert not plan.folder.partial.exists()


def test_the_plan_says_how_many_bytes_come_from_which_version(plan: Plan) -> None:
    assert amounts_left(plan, existing_paths(plan)) == (
        "1 file to fetch, 8 bytes; 95.6 kB from version 1.0"
    )
    owners = {path: copy.owner for path, copy in plan.copies.items()}
    assert owners == dict.fromkeys(LARGE, "version 1.0")
    fetch(plan, retry=quick_retry())
    assert amounts_left(plan, existing_paths(plan)) == "0 files to fetch, 0 bytes"


def test_the_bytes_are_stored_once_and_no_name_can_be_written_to(
    plan: Plan, old: DatasetFolder, tmp_path: Path
) -> None:
    if has_reflinks(tmp_path / "reflinks"):
        pytest.skip("files share their blocks here, and need no hard link")
    new = fetch(plan, retry=quick_retry()).root

    for path in LARGE:
        assert os.path.samestat((new / path).lstat(), (old.native / path).lstat())
        assert mode(new / path) == 0o444
    for note in (new / "note.txt", old.native / "note.txt"):
        assert (note.lstat().st_nlink, mode(note)) == (1, 0o644)


def test_both_versions_stay_verified_and_are_not_read_again(
    plan: Plan, old: DatasetFolder, monkeypatch: pytest.MonkeyPatch, server: FileServer
) -> None:
    fetch(plan, retry=quick_retry())
    server.requests.clear()
    read: list[Path] = []
    for module in ("verification.hash_like", "download.local_files.hashes_like"):
        monkeypatch.setattr(f"sciml_data.transfer.{module}", lambda path, _: read.append(path))

    for folder in (old, plan.folder):
        cache = StatCache(folder.stat_cache, folder.native)
        for path in LARGE:
            state = (folder.native / path).lstat()
            assert cache.has(path, hash_file(folder.native / path), state)
    verify(load_fetched(plan.descriptor, plan.folder))
    fetch(plan, retry=quick_retry())

    assert (read, server.requests) == ([], [])


def test_a_third_version_and_another_path_share_the_bytes_too(
    plan: Plan, tmp_path: Path, server: FileServer, home: Home
) -> None:
    fetch(plan, retry=quick_retry())
    server.requests.clear()

    third = fetch(make_plan(described(tmp_path, server, "1.2"), home), retry=quick_retry())

    assert contents(third.root) == MOVED
    assert server.requests == []  # its note is that of version 1.1
    assert make_plan(plan.descriptor, home).copies == {}  # nothing is missing
    shutil.rmtree(plan.folder.native)
    assert amounts_left(make_plan(plan.descriptor, home), []) == (
        "0 files to fetch, 0 bytes; 95.6 kB from version 1.0; 8 bytes from version 1.2"
    )


def test_an_edit_of_one_version_does_not_reach_the_other(
    tmp_path: Path, server: FileServer
) -> None:
    """As a user writes, root may write to everything."""
    first, second = (described(tmp_path, server, version) for version in ("1.0", "1.1"))
    for warm_up in (first, second):  # imports everything that the other user needs
        fetch(make_plan(warm_up, Home(tmp_path / "home")), retry=quick_retry())
    with shared_folder() as shared:
        home = Home(shared / "home")
        note = shared / "note"

        def edit() -> None:
            for descriptor in (first, second):
                fetch(make_plan(descriptor, home), retry=quick_retry())
            place = home.dataset("tiny", "1.1").native / "a.bin"
            if place.lstat().st_nlink > 1:
                with pytest.raises(PermissionError):
                    place.open("r+b")
            # An editor that writes a new file and renames it leaves the other version alone.
            place.with_name("new").write_bytes(b"edited")
            place.with_name("new").replace(place)
            note.write_text("done")

        run_as(FIRST, edit)

        assert note.read_text() == "done"
        assert contents(home.dataset("tiny", "1.0").native) == OLD


def test_another_users_files_are_copied_and_their_modes_stay(
    tmp_path: Path, server: FileServer
) -> None:
    first, second = (described(tmp_path, server, version) for version in ("1.0", "1.1"))
    for warm_up in (first, second):
        fetch(make_plan(warm_up, Home(tmp_path / "home")), retry=quick_retry())
    with shared_folder() as shared:
        home = Home(shared / "home")
        run_as(FIRST, lambda: fetch(make_plan(first, home), retry=quick_retry()))
        server.requests.clear()
        run_as(SECOND, lambda: fetch(make_plan(second, home), retry=quick_retry()))

        old, new = (home.dataset("tiny", version).native for version in ("1.0", "1.1"))
        assert contents(new) == NEW
        assert [request.path for request in server.requests] == ["1.1/note.txt"]
        assert {(mode(old / path), (old / path).lstat().st_nlink) for path in LARGE} == {(0o664, 1)}


def test_a_file_with_a_name_outside_of_the_home_is_copied(
    tmp_path: Path, server: FileServer, home: Home
) -> None:
    """`adopt` links to the files of the user, and these stay writable."""
    write_files(tmp_path / "mine", OLD)
    adopt(described(tmp_path, server, "1.0"), home, tmp_path / "mine")

    new = fetch(make_plan(described(tmp_path, server, "1.1"), home), retry=quick_retry()).root

    assert contents(new) == NEW
    assert [request.path for request in server.requests] == ["1.1/note.txt"]
    for path in LARGE:
        assert mode(tmp_path / "mine" / path) == 0o644
        assert not os.path.samestat((new / path).lstat(), (tmp_path / "mine" / path).lstat())


def test_content_of_a_shared_home_is_taken_and_its_files_are_not_touched(
    tmp_path: Path, server: FileServer, home: Home, old: DatasetFolder
) -> None:
    other = Path("/dev/shm")  # noqa: S108 - another file system than that of the home
    if not other.is_dir():
        pytest.skip("no second file system")
    place = Path(tempfile.mkdtemp(dir=other))
    try:
        shutil.copytree(home.root, place / "home", dirs_exist_ok=True)
        folder = Home(place / "home").dataset("tiny", "1.0")
        verify(load_fetched(described(tmp_path, server, "1.0"), folder))
        stacked = Home(tmp_path / "mine", shared=(place / "home",))

        plan = make_plan(described(tmp_path, server, "1.1"), stacked)
        fetched = fetch(plan, retry=quick_retry())

        assert contents(fetched.root) == NEW
        assert [request.path for request in server.requests] == ["1.1/note.txt"]
        assert {mode(folder.native / path) for path in LARGE} == {0o644}
    finally:
        shutil.rmtree(place)


def test_content_that_changed_without_a_trace_is_fetched(
    plan: Plan, old: DatasetFolder, server: FileServer
) -> None:
    lines: list[str] = []
    wrong = old.native / "a.bin"
    state = wrong.stat()
    with wrong.open("r+b") as stream:
        stream.write(b"!")
    os.utime(wrong, ns=(state.st_atime_ns, state.st_mtime_ns))

    fetched = fetch(plan, retry=quick_retry(), log=lines.append)

    assert contents(fetched.root) == NEW
    assert {request.path for request in server.requests} == {"1.1/a.bin", "1.1/note.txt"}
    assert lines[0].startswith("a.bin cannot be taken from version 1.0, and is fetched: sha256 ")


def test_a_file_that_was_edited_is_no_source(
    tmp_path: Path, server: FileServer, home: Home, old: DatasetFolder
) -> None:
    write_files(old.native, {"a.bin": b"edited"})

    plan = make_plan(described(tmp_path, server, "1.1"), home)

    assert set(plan.copies) == {"deep/b.bin"}


def test_a_leftover_of_a_kill_is_never_written_through(plan: Plan, old: DatasetFolder) -> None:
    """Between link and rename the file has a name in partial/, and so has an old one."""
    (plan.folder.partial / "deep").mkdir(parents=True)
    os.link(old.native / "a.bin", plan.folder.partial / "a.bin.copy")
    os.link(old.native / "a.bin", plan.folder.partial / "deep" / "b.bin.copy")

    fetched = fetch(plan, retry=quick_retry())

    assert contents(fetched.root) == NEW
    assert contents(old.native) == OLD


def test_a_sample_is_no_source(tmp_path: Path, server: FileServer, home: Home) -> None:
    sample = home.dataset("tiny", "1.0", sample_seed=0)
    write_files(sample.native, OLD)
    cache = StatCache(sample.stat_cache, sample.native)
    for path in OLD:
        cache.add(path, hash_file(sample.native / path))
    cache.save()

    assert make_plan(described(tmp_path, server, "1.1"), home).copies == {}


def test_an_unpinned_version_takes_what_its_listed_etag_identifies(
    tmp_path: Path, home: Home
) -> None:
    """Version 1.0 was pinned by its listing, so it has md5 hashes."""
    write_files(tmp_path / "buckets" / "bucket", NEW)
    with S3Server(tmp_path / "buckets") as server:
        descriptor = write_unpinned(tmp_path / "registry", mirrors=[{"": f"{server.url}/bucket/"}])
        old = home.dataset("tiny", "0.9")
        write_files(old.native, OLD)
        cache = StatCache(old.stat_cache, old.native)
        for path in OLD:
            cache.add(path, hash_file(old.native / path, "md5"))
        cache.save()
        plan = make_plan(descriptor, home)
        server.add(status(404), path="bucket/a.bin", times=None)

        fetched = fetch(plan, retry=quick_retry())

    assert contents(fetched.root) == NEW
    assert {entry.hash[:7] for entry in fetched.manifest} == {"sha256:"}


@pytest.mark.parametrize("kind", ["copy", "link"])
def test_adopt_stores_no_second_copy(
    tmp_path: Path, server: FileServer, home: Home, old: DatasetFolder, kind: str
) -> None:
    write_files(tmp_path / "mine", NEW)

    adopted = adopt(
        described(tmp_path, server, "1.1"), home, tmp_path / "mine", copy=kind == "copy"
    )

    assert contents(adopted.root) == contents(tmp_path / "mine") == NEW
    for path in NEW:
        state, original = (adopted.root / path).lstat(), (old.native / path).lstat()
        mine = (tmp_path / "mine" / path).lstat()
        assert os.path.samestat(state, mine) is (kind == "link")
        if path in LARGE and kind == "copy" and not has_reflinks(tmp_path / "reflinks"):
            assert os.path.samestat(state, original)
    assert verify(adopted).manifest == adopted.manifest
