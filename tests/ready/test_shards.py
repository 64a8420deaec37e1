"""Shards are queued a few at a time; failures, interrupts and kills leave no unfinished file."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from sciml_data.errors import ConversionError, NativeFormatError, Problem
from sciml_data.formats import Native, Shard, open_netcdf
from sciml_data.home import DatasetFolder
from sciml_data.ready import convert, ready_folder, shards, write_netcdf
from sciml_data.ready.shards import MadeShard, ShardTask, WorkerPool, make_shards
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import Entry, manifest_of
from sciml_data.registry.stages import Verified
from tests.support.slstr_scenes import write_many

SCENES = 30
# Prints the number of ready files each time that there is one more.
CONVERTING = """
import sys
from pathlib import Path
from sciml_data.ready import convert
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.home import DatasetFolder
from sciml_data.registry.manifest import manifest_of
from sciml_data.registry.layout import find_registry
from sciml_data.registry.stages import Verified
descriptor = load_descriptor(find_registry(), "cloud_slstr_ds1", "1.0")
folder = DatasetFolder(Path(sys.argv[1]))
verified = Verified(descriptor, folder, manifest_of(folder.native), is_synthetic=True)
size = verified.manifest.entries[0].size_bytes
convert(
    verified,
    workers=2,
    progress=lambda done, total: print(done // size, flush=True),
    log=lambda text: print(text, file=sys.stderr),
)
"""


def tasks(count: int) -> list[ShardTask]:
    return [
        ShardTask(
            native=Native(Path(), Path(), {}, (f"{number}.hdf",)),
            shard=Shard(f"{number}.nc", "all", (f"{number}.hdf",)),
            options={},
            attributes={},
            root=Path(),
            inputs_bytes=1,
        )
        for number in range(count)
    ]


def entry_of(task: ShardTask) -> Entry:
    return Entry(task.shard.name, 1, f"sha256:{'0' * 64}")


class Counting(Executor):
    """An executor that counts what was handed to it and is not done."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(3)
        self.waiting: set[Future[Any]] = set()
        self.max_waiting = 0

    def submit(self, *arguments: Any, **keywords: Any) -> Future[Any]:
        future = self._pool.submit(*arguments, **keywords)
        self.waiting = {other for other in self.waiting if not other.done()} | {future}
        self.max_waiting = max(self.max_waiting, len(self.waiting))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


def failing(monkeypatch: pytest.MonkeyPatch, errors: dict[str, Exception]) -> list[str]:
    """Let shards of these names fail; return a list of the shards that were tried."""
    tried: list[str] = []

    def make(task: ShardTask) -> MadeShard:
        tried.append(task.shard.name)
        if task.shard.name in errors:
            raise errors[task.shard.name]
        return MadeShard(entry_of(task), ())

    monkeypatch.setattr(shards, "make_shard", make)
    return tried


def test_only_a_few_of_many_shards_are_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, {})
    made: list[str] = []

    with Counting() as executor:
        failed = make_shards(
            tasks(5000), WorkerPool(executor, 6), lambda task, _: made.append(task.shard.name)
        )

    assert executor.max_waiting <= 6
    assert failed == []
    assert len(set(made)) == 5000


def test_all_other_shards_are_made_after_any_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    native = NativeFormatError("no", problems=[Problem("shape", "1.hdf:bts", "too small")])
    errors = {"1.nc": native, "3.nc": KeyError("bts"), "5.nc": OSError(errno.EIO, "broken disk")}
    tried = failing(monkeypatch, errors)

    with ThreadPoolExecutor(1) as executor:
        failed = make_shards(tasks(8), WorkerPool(executor, 1), lambda *_: None)

    assert len(tried) == 8
    assert [problem for task, error in failed for problem in shards.problems_of(task, error)] == [
        Problem("shape", "1.hdf:bts", "too small"),
        Problem("failed", "3.hdf", "KeyError: 'bts'"),
        Problem("failed", "5.hdf", "OSError: [Errno 5] broken disk"),
    ]


def test_a_full_disk_stops_the_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = failing(monkeypatch, {"1.nc": OSError(errno.ENOSPC, "No space left on device")})

    with ThreadPoolExecutor(1) as executor, pytest.raises(ConversionError, match="is full"):
        make_shards(tasks(50), WorkerPool(executor, 1), lambda *_: None)

    assert tried == ["0.nc", "1.nc"]


def test_an_interrupt_waits_only_for_running_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = failing(monkeypatch, {})

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as executor, pytest.raises(KeyboardInterrupt):
        make_shards(tasks(500), WorkerPool(executor, 4), interrupt)

    assert len(tried) <= 5


# --- real processes -----------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> DatasetFolder:
    folder = DatasetFolder(tmp_path / "data")
    write_many(folder.native, SCENES)
    return folder


def start(folder: DatasetFolder) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CONVERTING, str(folder.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a terminal's interrupt reaches the whole group
    )


def read_until(process: subprocess.Popen[str], ready: int) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= ready:
            return
    pytest.fail("it ended before")


def descendants(pid: int) -> list[int]:
    """Return the pids of all descendants of a process."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid_ for child in map(int, listed) for pid_ in (child, *descendants(child))]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_gone(pids: list[int], timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while any(map(is_running, pids)) and time.monotonic() < end:
        time.sleep(0.02)
    assert [pid for pid in pids if is_running(pid)] == []


def ready_inodes(root: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in root.glob("*.nc")}


@pytest.mark.slow
def test_after_kill_9_no_worker_is_left_and_only_missing_files_are_made(
    folder: DatasetFolder,
) -> None:
    process = start(folder)
    read_until(process, 10)
    workers = descendants(process.pid)
    process.kill()
    process.communicate()
    assert len(workers) >= 2
    wait_until_gone(workers, 5)
    root = ready_folder(folder, {})
    before = ready_inodes(root)
    assert len(before) >= 10

    again = start(folder)
    _, log = again.communicate(timeout=60)

    assert again.returncode == 0, log
    after = ready_inodes(root)
    assert len(after) == SCENES
    # Of the four files that were handed out nothing was noted.
    assert len(before.items() - after.items()) <= 4
    assert not list(root.glob(".*"))
    straight = DatasetFolder(folder.root.with_name("straight"))
    straight.root.mkdir()
    straight.native.symlink_to(folder.native)
    descriptor = load_descriptor(find_registry(), "cloud_slstr_ds1", "1.0")
    verified = Verified(descriptor, straight, manifest_of(folder.native), is_synthetic=True)
    assert convert(verified).manifest == manifest_of_ready(root)


def manifest_of_ready(root: Path) -> Any:
    manifest = manifest_of(root)
    return manifest.select(path for path in manifest.by_path if path.endswith(".nc"))


@pytest.mark.slow
def test_an_interrupt_ends_the_conversion_without_unfinished_files(folder: DatasetFolder) -> None:
    process = start(folder)
    read_until(process, 10)
    workers = descendants(process.pid)
    at = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, log = process.communicate(timeout=20)

    assert time.monotonic() - at < 5
    assert process.returncode != 0
    wait_until_gone(workers, 5)
    root = ready_folder(folder, {})
    assert not list(root.glob(".*"))
    assert not (root / "manifest.csv").exists()
    finished = len(ready_inodes(root))
    assert 10 <= finished < SCENES
    assert f" of {SCENES} ready files are there and are kept" in log


@pytest.mark.slow
def test_a_killed_worker_is_an_error_and_finished_files_are_kept(folder: DatasetFolder) -> None:
    process = start(folder)
    read_until(process, 10)
    worker = max(descendants(process.pid))
    os.kill(worker, signal.SIGKILL)
    _, log = process.communicate(timeout=20)

    assert process.returncode != 0
    assert "was killed" in log
    assert not list(ready_folder(folder, {}).glob(".*"))


def test_no_group_of_a_file_has_the_time_at_which_it_was_made(tmp_path: Path) -> None:
    """Such a time would make two files of the same content differ."""
    content = xr.Dataset({"a": ("x", [1.0, 2.0])}, attrs={"title": "one"})
    write_netcdf(content, tmp_path / "a.nc", {"train": content, "test": content})

    with h5py.File(tmp_path / "a.nc") as file:
        objects: list[Any] = [file["/"]]
        file.visititems(lambda _, item: objects.append(item))
        times = {item.name: item.id.get_create_plist().get_obj_track_times() for item in objects}

    assert {"/", "/train", "/test", "/a"} <= set(times)
    assert not any(times.values())


def test_groups_are_read_as_they_were_written(tmp_path: Path) -> None:
    first = xr.Dataset({"a": ("x", [1.0, 2.0])}, attrs={"title": "one"})
    other = xr.Dataset({"b": ("y", ["text", ""])}, coords={"y": [3, 4]})
    write_netcdf(first, tmp_path / "deep" / "a.nc", {"other": other})

    with open_netcdf(tmp_path / "deep" / "a.nc") as opened:
        assert opened.load().identical(first)
    with open_netcdf(tmp_path / "deep" / "a.nc", group="other") as opened:
        assert opened.load().equals(other)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.nc"]


def test_texts_of_a_damaged_file_are_written_as_attributes(tmp_path: Path) -> None:
    """Found by `nox -s attack`: HDF5 refuses zero bytes, and h5py halves of characters."""
    odd = "CT\0RP.\udcff\ud800é"
    dataset = xr.Dataset({"x": ("row", np.arange(3), {"long_name": odd})}, attrs={"notices": odd})

    write_netcdf(dataset, tmp_path / "x.nc", {"part": dataset})

    for group in (None, "part"):
        with open_netcdf(tmp_path / "x.nc", group=group) as stored:
            texts = [stored.attrs["notices"], stored["x"].attrs["long_name"]]
        assert texts == ["CT?RP.??é"] * 2
    assert dataset.attrs["notices"] == odd


def test_a_native_file_keeps_its_history_makers_and_place() -> None:
    own = {
        "history": "2001: measured",
        "creator_name": "Roof",
        "Conventions": "CF-1.8",
        "title": "t",
    }
    origin = {
        "history": "converted by sciml-data 1", "creator_name": "All", "creator_type": "group",
        "title": "All roofs", "geospatial_lat_min": 3.0,
    }  # fmt: skip

    assert shards._with_origin(own, origin) == {
        "history": "2001: measured\nconverted by sciml-data 1",
        "creator_name": "Roof",
        "creator_type": "group",
        "Conventions": "CF-1.8, ACDD-1.3",
        "title": "All roofs",
        "geospatial_lat_min": 3.0,
    }
    assert shards._with_origin({}, {})["history"] == ""
