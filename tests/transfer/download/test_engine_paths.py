"""Where fetching may write: refused paths, planted links, full disks, folders that are held."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sciml_data.errors import FetchError, LockedError, NoSpaceError
from sciml_data.home import Home, Waiting
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.stages import Plan, PlannedFile
from sciml_data.testing.datasets import write_files
from sciml_data.testing.server import FileServer, Request
from sciml_data.transfer.download import fetch
from sciml_data.transfer.plan import make_plan
from sciml_data.transfer.protocols import Timeouts
from tests.support.downloads import FOUR_FILES, contents, quick_retry

FILES = FOUR_FILES
RETRY = quick_retry(tries=3)


@pytest.mark.parametrize("path", ["../evil.bin", "/evil.bin", "a/../../evil.bin", "a//b", ""])
def test_a_path_that_leaves_the_folder_is_refused(
    plan: Plan, server: FileServer, path: str, tmp_path: Path
) -> None:
    hostile = PlannedFile(path, 3, f"sha256:{hashlib.sha256(b'abc').hexdigest()}", (server.url,))

    with pytest.raises(FetchError, match="1 path of tiny cannot be used"):
        fetch(dataclasses.replace(plan, files=(hostile,)), retry=RETRY)

    assert server.requests == []
    assert list(tmp_path.rglob("evil.bin*")) == []


@pytest.mark.parametrize("place", ["native", "partial"])
def test_a_planted_link_to_a_folder_is_not_followed(plan: Plan, tmp_path: Path, place: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    planted = plan.folder.root / place
    planted.mkdir(parents=True)
    (planted / "deep").symlink_to(outside)

    with pytest.raises(FetchError) as error:
        fetch(plan, retry=RETRY)

    assert {"deep/c.bin", "deep/er/b.bin"} == {p.place for p in error.value.problems}
    assert all("symbolic link" in problem.message for problem in error.value.problems)
    assert list(outside.iterdir()) == []
    assert (plan.folder.native / "a.bin").read_bytes() == FILES["a.bin"]


@pytest.mark.parametrize(("place", "name"), [("native", "a.bin"), ("partial", "a.bin.part")])
def test_a_planted_link_to_a_file_is_not_followed(
    plan: Plan, tmp_path: Path, place: str, name: str
) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine")
    planted = plan.folder.root / place
    planted.mkdir(parents=True)
    (planted / name).symlink_to(precious)

    if place == "native":  # the link is moved away and the file put in its place
        fetch(plan, retry=RETRY)
        assert not (plan.folder.native / name).is_symlink()
    else:
        with pytest.raises(FetchError, match="not a regular file"):
            fetch(plan, retry=RETRY)

    assert precious.read_bytes() == b"mine"


def test_the_disk_is_asked_before_the_first_byte(
    plan: Plan, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(plan.folder.partial, {"deep/c.bin.part": FILES["deep/c.bin"][:1_000_000]})
    full = os.statvfs_result((4096, 4096, 1000, 100, 100, 1000, 100, 100, 0, 255))
    monkeypatch.setattr("os.statvfs", lambda _: full)

    with pytest.raises(NoSpaceError, match=r"580\.2 kB .*409\.6 kB .*free"):
        fetch(plan, retry=RETRY)
    assert server.requests == []


def test_a_full_disk_in_the_middle_keeps_what_came(descriptor: Descriptor, tmp_path: Path) -> None:
    """Another program fills the disk after the free space was asked for: a real, small one."""
    mount = tmp_path / "small"
    mount.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(mount)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"a tmpfs cannot be mounted: {mounted.stderr.decode().strip()}")
    try:
        plan = make_plan(descriptor, Home(mount))
        filler = mount / "filler"

        def fill(done: int, total: int) -> None:
            if not filler.exists():
                filler.write_bytes(b"f" * 900_000)

        with pytest.raises(NoSpaceError):
            fetch(plan, jobs=1, retry=RETRY, progress=fill)

        published = contents(plan.folder.native) if plan.folder.native.exists() else {}
        kept = contents(plan.folder.partial)["deep/c.bin.part"]
        assert published.items() <= FILES.items()
        assert len(kept) > 0
        assert kept == FILES["deep/c.bin"][: len(kept)]

        filler.unlink()
        assert contents(fetch(plan, jobs=1, retry=RETRY).root) == FILES
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_a_held_folder_is_left_alone(plan: Plan, server: FileServer) -> None:
    hurried = dataclasses.replace(plan.folder, waiting=Waiting(is_on=False))
    with plan.folder.lock("test"), pytest.raises(LockedError) as error:
        fetch(dataclasses.replace(plan, folder=hurried), retry=RETRY)

    assert f"process {os.getpid()} on" in error.value.message
    assert "(test)" in error.value.message

    assert server.requests == []


def test_of_two_processes_one_fetches_and_one_is_told(
    plan: Plan, server: FileServer, tmp_path: Path
) -> None:
    """The second starts while the first waits for a file."""
    second: list[subprocess.CompletedProcess[str]] = []
    command = [
        *(sys.executable, "-m", "sciml_data", "get", "tiny", "--version", "1.0"),
        *("--registry", str(tmp_path / "registry"), "--home", str(tmp_path / "home"), "--no-wait"),
    ]

    def start_second(request: Request) -> None:
        if request.path == "a.bin":
            second.append(subprocess.run(command, capture_output=True, text=True, check=False))

    server.before = start_second

    fetch(plan, retry=dataclasses.replace(RETRY, timeouts=Timeouts(20, 60)))

    assert contents(plan.folder.native) == FILES
    assert second[0].returncode == 1
    assert "(fetch tiny 1.0) works in" in second[0].stderr
    assert f"process {os.getpid()} on" in second[0].stderr
    assert server.bytes_sent == sum(map(len, FILES.values()))
