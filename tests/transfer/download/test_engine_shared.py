"""Homes that several people write to, and file systems that cannot do everything."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sciml_data.errors import FetchError, NoSpaceError
from sciml_data.home import Home, fsync_path
from sciml_data.registry.stages import Plan
from sciml_data.testing.datasets import write_dataset
from sciml_data.testing.faults import cut
from sciml_data.testing.server import FileServer
from sciml_data.transfer.download import fetch
from sciml_data.transfer.plan import make_plan
from tests.support.downloads import FOUR_FILES, contents, quick_retry
from tests.support.users import FIRST, GROUP, SECOND, run_as, shared_folder

LARGEST = "deep/c.bin"
RANGE_BYTES = 1 << 19  # with which the largest file has ranges and a journal
# fsync() as on SMB before Linux 4.17: it refuses folders.
NO_FSYNC = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/stat.h>
int fsync(int fd) {
    static int (*real)(int);
    struct stat s;
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    if (fstat(fd, &s) == 0 && S_ISDIR(s.st_mode)) { errno = EINVAL; return -1; }
    return real(fd);
}
"""
FETCH = """
import sys
from pathlib import Path
from sciml_data.home import Home
from sciml_data.registry.descriptor import read_descriptor
from sciml_data.transfer import fetch, make_plan
registry, home, mirror = sys.argv[1:]
plan = make_plan(read_descriptor(Path(registry)), Home(Path(home)), mirrors=[mirror])
print(len(fetch(plan).manifest))
"""


def fail_after(plan: Plan, server: FileServer) -> None:
    """Fetch what arrives of each file before its connection is cut."""
    server.add(cut(1_200_000), path=LARGEST, times=None)
    with pytest.raises(FetchError):
        fetch(plan, retry=quick_retry(tries=1), range_bytes=RANGE_BYTES, jobs=1)


def test_another_member_of_the_group_resumes_a_cut_transfer(
    tmp_path: Path, server: FileServer
) -> None:
    descriptor = write_dataset(tmp_path / "registry", FOUR_FILES, mirrors=[{"": f"{server.url}/"}])
    fail_after(make_plan(descriptor, Home(tmp_path / "home")), server)  # imports everything
    with shared_folder() as shared:
        plan = make_plan(descriptor, Home(shared / "home"))
        run_as(FIRST, lambda: fail_after(plan, server))
        server.clear_faults()
        server.requests.clear()
        run_as(SECOND, lambda: fetch(plan, retry=quick_retry(), range_bytes=RANGE_BYTES))

        assert contents(plan.folder.native) == FOUR_FILES
        # What the first member received is not requested again.
        assert [(request.path, request.range) for request in server.requests] == [
            (LARGEST, "bytes=1200000-")
        ]
        for place in shared.rglob("*"):
            state = place.lstat()
            mode = 0o2775 if place.is_dir() else 0o664
            assert (place, stat.S_IMODE(state.st_mode)) == (place, mode)
            assert state.st_gid == GROUP


def test_a_closed_umask_keeps_files_private(tmp_path: Path, plan: Plan) -> None:
    before = os.umask(0o077)
    try:
        fetch(plan, retry=quick_retry())
    finally:
        os.umask(before)

    files = [path for path in plan.folder.root.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.lstat().st_mode) for path in files} == {0o600}


def test_a_folder_that_cannot_be_flushed_is_no_failure(tmp_path: Path, server: FileServer) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    descriptor = write_dataset(tmp_path / "registry", FOUR_FILES)
    source, library = tmp_path / "nofsync.c", tmp_path / "nofsync.so"
    source.write_text(NO_FSYNC)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    arguments = [str(descriptor.folder), str(tmp_path / "home"), f"file:{server.root}"]

    done = subprocess.run(
        [sys.executable, "-c", FETCH, *arguments],
        env=os.environ | {"LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "4\n", "")


def test_a_disk_that_fails_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr("os.fsync", fail)

    with pytest.raises(OSError, match="input/output error"):
        fsync_path(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_quota_ends_the_run_as_a_full_disk_does(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write = os.pwrite

    def pwrite(descriptor: int, data: bytes, offset: int) -> int:
        if offset >= 1 << 20:
            raise OSError(number, os.strerror(number))
        return write(descriptor, data[: (1 << 20) - offset], offset)

    monkeypatch.setattr("os.pwrite", pwrite)

    with pytest.raises(NoSpaceError) as error:
        fetch(plan, retry=quick_retry())

    assert error.value.message.startswith("the disk quota") is (number == errno.EDQUOT)
    monkeypatch.setattr("os.pwrite", write)
    assert contents(fetch(plan, retry=quick_retry()).root) == FOUR_FILES
