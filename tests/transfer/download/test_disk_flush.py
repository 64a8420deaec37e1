"""Many files reach the disk together, and no name is published before its bytes are there."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from sciml_data.errors import FetchError
from sciml_data.home import Home, fsync_path
from sciml_data.registry.descriptor import read_descriptor
from sciml_data.registry.stages import Plan
from sciml_data.testing.datasets import write_dataset, write_files
from sciml_data.testing.server import FileServer
from sciml_data.transfer.download import disk_flush, fetch, local_files
from sciml_data.transfer.download.disk_flush import DiskFlush
from sciml_data.transfer.download.local_files import Publisher, StatCache
from sciml_data.transfer.download.partial_file import CompleteFile
from sciml_data.transfer.plan import make_plan
from tests.support.downloads import contents, quick_retry
from tests.support.shared_library import compiled

FILES = {f"{number:03}/file.bin": f"content {number}".encode() * 50 for number in range(60)}
# Dies at a call of the publishing thread: after the bytes are flushed and before a name is
# published, or between two names.
DIES = """
import os, sys
from pathlib import Path
from sciml_data.home import Home
from sciml_data.registry.descriptor import read_descriptor
from sciml_data.transfer.download import fetch, local_files
from sciml_data.transfer.plan import make_plan
left = int(sys.argv[3])
check = local_files._check_size
def dies(complete):
    global left
    left -= 1
    if left < 0:
        os._exit(9)
    check(complete)
local_files._check_size = dies
fetch(make_plan(read_descriptor(Path(sys.argv[1])), Home(Path(sys.argv[2]))))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return the folder of a dataset of 60 files; it has no mirror."""
    write_dataset(tmp_path / "registry", FILES)
    return tmp_path / "registry" / "datapackages" / "tiny" / "1.0"


@pytest.fixture
def complete_files(package: Path, home: Home) -> tuple[Plan, list[CompleteFile]]:
    """Return the plan of the 60 files, and all of them complete in `partial/`."""
    plan = make_plan(read_descriptor(package), home)
    write_files(plan.folder.partial, {f"{path}.part": body for path, body in FILES.items()})
    return plan, [
        CompleteFile(
            plan.folder.partial / f"{file.path}.part", file.path, file.size_bytes, f"{file.hash}"
        )
        for file in plan.files
    ]


def can_flush_together(folder: Path) -> bool:
    """Return whether kernel and file system are ones on which `syncfs` is reliable."""
    major, minor = (int(number) for number in re.findall(r"\d+", os.uname().release)[:2])
    is_local = kind_of(folder) in disk_flush.LOCAL_KINDS
    return sys.platform == "linux" and (major, minor) >= disk_flush.SYNCFS_REPORTS and is_local


def kind_of(folder: Path) -> int:
    """Return the magic number of a file system by the program `stat`."""
    command = ["stat", "--file-system", "--format=%t", str(folder)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout, 16)


def publish(plan: Plan, files: list[CompleteFile]) -> tuple[Publisher, list[tuple[str, Exception]]]:
    """Publish files as one batch, and return the publisher and the problems."""
    failures: list[tuple[str, Exception]] = []
    publisher = Publisher(
        plan.folder, StatCache.of(plan.folder), lambda path, error: failures.append((path, error))
    )
    publisher._publish(files)
    with publisher:
        pass
    return publisher, failures


@pytest.mark.parametrize("names_before", [0, 1, 7])
def test_a_process_that_dies_between_flush_and_rename_leaves_only_whole_files(
    tmp_path: Path, home: Home, names_before: int
) -> None:
    write_files(tmp_path / "served", FILES)
    with FileServer(tmp_path / "served") as server:
        write_dataset(tmp_path / "registry", FILES, mirrors=[{"": f"{server.url}/"}])
        package = tmp_path / "registry" / "datapackages" / "tiny" / "1.0"
        command = [sys.executable, "-c", DIES, f"{package}", f"{home.root}", f"{names_before}"]
        assert subprocess.run(command, check=False).returncode == 9
        plan = make_plan(read_descriptor(package), home)
        published = contents(plan.folder.native) if plan.folder.native.exists() else {}
        assert len(published) == names_before
        assert published.items() <= FILES.items()
        partial = contents(plan.folder.partial)
        whole = {path for path, body in FILES.items() if partial.get(f"{path}.part") == body}

        fetch(plan, retry=quick_retry())

        assert contents(plan.folder.native) == FILES
        asked = Counter(request.path.removeprefix("/") for request in server.requests)
        assert {asked[path] for path in whole | published.keys()} == {1}  # not in the second run


def test_many_files_are_flushed_by_one_call(
    complete_files: tuple[Plan, list[CompleteFile]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, files = complete_files
    if not can_flush_together(plan.folder.partial):
        pytest.skip("this file system or kernel cannot flush everything reliably")
    flushed: list[Path] = []

    def record(path: Path, *, flags: int = 0) -> None:
        flushed.append(path)
        fsync_path(path, flags=flags)

    monkeypatch.setattr(local_files, "fsync_path", record)

    _, failures = publish(plan, files)

    assert failures == []
    assert contents(plan.folder.native) == FILES
    assert all(path.is_dir() for path in flushed)


@pytest.mark.parametrize("reason", ["old kernel", "other file system", "failed write"])
def test_where_the_call_is_not_reliable_every_file_is_flushed(
    complete_files: tuple[Plan, list[CompleteFile]], monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    plan, files = complete_files
    if reason == "old kernel":
        monkeypatch.setattr(disk_flush, "SYNCFS_REPORTS", (1000, 0))
    elif reason == "other file system":
        monkeypatch.setattr(disk_flush, "LOCAL_KINDS", set())
    else:  # on a descriptor that is not open, the real call fails
        monkeypatch.setattr(DiskFlush, "_open", lambda self: setattr(self, "_descriptor", 1 << 20))
        monkeypatch.setattr(DiskFlush, "close", lambda _: None)
    flushed: list[Path] = []

    def record(path: Path, *, flags: int = 0) -> None:
        flushed.append(path)
        if path.name == "file.bin.part" and path.parent.name == "007":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync_path(path, flags=flags)

    monkeypatch.setattr(local_files, "fsync_path", record)

    publisher, failures = publish(plan, files)

    assert {complete.place for complete in files} <= set(flushed)
    assert [path for path, _ in failures] == ["007/file.bin"]
    assert contents(plan.folder.native).keys() == FILES.keys() - {"007/file.bin"}
    assert publisher.published.keys() == FILES.keys() - {"007/file.bin"}


def test_after_a_failed_write_nothing_is_flushed_together_again(tmp_path: Path) -> None:
    if not can_flush_together(tmp_path):
        pytest.skip("this file system or kernel cannot flush everything reliably")
    flush = DiskFlush(tmp_path)
    assert flush.together()
    assert flush._descriptor is not None
    os.close(flush._descriptor)

    assert not flush.together()
    flush._descriptor = os.open(tmp_path, os.O_RDONLY)
    assert not flush.together()
    flush.close()


def test_only_local_file_systems_are_flushed_together(tmp_path: Path) -> None:
    with contextlib.closing(DiskFlush(tmp_path)) as flush:
        assert flush.together() == can_flush_together(tmp_path)
    with contextlib.closing(DiskFlush(Path("/proc"))) as flush:
        assert not flush.together()


@pytest.mark.skipif(sys.platform != "linux", reason="needs fstatfs of Linux")
@pytest.mark.parametrize("folder", ["/proc", "/sys", "."])
def test_the_kind_of_a_file_system_is_the_one_that_stat_prints(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        assert disk_flush._kind_of(descriptor) == kind_of(Path(folder))
    finally:
        os.close(descriptor)
    assert disk_flush._kind_of(descriptor) == 0  # closed, so unknown


def test_no_folder_stays_open(tmp_path: Path) -> None:
    flush = DiskFlush(tmp_path)
    flush.together()
    descriptor = flush._descriptor
    assert descriptor is not None
    flush.close()
    flush.close()

    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        os.fstat(descriptor)


def test_an_error_of_the_publishing_thread_reaches_the_caller(
    complete_files: tuple[Plan, list[CompleteFile]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, files = complete_files
    monkeypatch.setattr(local_files, "MAX_WAITING", 1)

    def fail(_: Publisher, __: list[CompleteFile]) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Publisher, "_publish", fail)

    def publish_all() -> None:
        with Publisher(plan.folder, StatCache.of(plan.folder), lambda *_: None) as publisher:
            for complete in files:
                publisher.add(complete)

    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        publish_all()


def test_a_file_that_grew_after_its_hash_was_checked_is_not_published(
    complete_files: tuple[Plan, list[CompleteFile]],
) -> None:
    plan, files = complete_files
    with files[3].place.open("ab") as stream:
        stream.write(b"x")

    _, failures = publish(plan, files)

    assert [(path, type(error)) for path, error in failures] == [(files[3].path, FetchError)]
    assert not (plan.folder.native / files[3].path).exists()


def test_writing_of_a_file_begins_and_nothing_of_it_changes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100_000)

    assert disk_flush.start_writing(tmp_path / "file") == sys.platform.startswith("linux")
    assert (tmp_path / "file").read_bytes() == b"x" * 100_000


# Prints the arguments that the system gets.
RECORDS = """
#include <stdio.h>
int sync_file_range(int file, long start, long size, unsigned int flags) {
    return printf("%ld %ld %u\\n", start, size, flags) < 0;
}
"""


def test_the_whole_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    code = f"from {disk_flush.__name__} import *; start_writing(Path(r'{tmp_path / 'file'}'))"

    environment = {**os.environ, "LD_PRELOAD": compiled(tmp_path, RECORDS)}
    command = [sys.executable, "-c", code]
    shown = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)

    assert shown.stdout == f"0 0 {disk_flush.SYNC_FILE_RANGE_WRITE}\n"


@pytest.mark.parametrize("reason", ["other system", "other library"])
def test_the_answer_is_false_where_writing_cannot_begin_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    if reason == "other system":
        monkeypatch.setattr(sys, "platform", "darwin")
    else:
        monkeypatch.setattr(disk_flush, "_libc", object)

    assert not disk_flush.start_writing(tmp_path / "file")


def test_writing_through_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")

    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        disk_flush.start_writing(tmp_path / "link")
