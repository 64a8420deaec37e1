"""Conversion on a Dask cluster: the same bytes, or a reason within seconds."""

from __future__ import annotations

import builtins
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed")

from distributed import Client, LocalCluster

from sciml_data.errors import CallError, ConversionError
from sciml_data.home import DatasetFolder
from sciml_data.ready import convert, find_converted, ready_folder, shards
from sciml_data.ready import dask_cluster as stage
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import Manifest, manifest_of
from sciml_data.registry.stages import Verified
from tests.support.ports import closed_port
from tests.support.slstr_scenes import write_many, write_scenes


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("scenes")).root


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def thread_cluster() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        dashboard_address="127.0.0.1:0",
        host="tcp://127.0.0.1",
    ) as cluster:
        yield cluster


def verified(scenes: Path, root: Path) -> Verified:
    folder = DatasetFolder(root)
    root.mkdir()
    folder.native.symlink_to(scenes)
    descriptor = load_descriptor(find_registry(), "cloud_slstr_ds1", "1.0")
    return Verified(descriptor, folder, manifest_of(scenes), is_synthetic=True)


@pytest.mark.slow
def test_a_cluster_a_pool_and_one_process_make_the_same_bytes(
    scenes: Path, cluster: LocalCluster, tmp_path: Path
) -> None:
    alone = convert(verified(scenes, tmp_path / "alone"))
    pool = convert(verified(scenes, tmp_path / "pool"), workers=2)
    dask = convert(verified(scenes, tmp_path / "dask"), workers=cluster.scheduler_address)

    assert len(alone.manifest) == 7
    assert alone.manifest == pool.manifest == dask.manifest
    assert manifest_of(dask.root).by_path.items() >= dask.manifest.by_path.items()


@pytest.fixture
def four_workers() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=4, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster


@pytest.mark.slow
def test_a_killed_worker_loses_the_file_that_it_was_making(
    four_workers: LocalCluster, tmp_path: Path
) -> None:
    many = write_many(tmp_path / "scenes", 40)
    alone = convert(verified(many.root, tmp_path / "alone"))
    files = verified(many.root, tmp_path / "dask")
    root = ready_folder(files.folder, {})
    before: dict[str, tuple[int, int]] = {}
    done: list[int] = []

    def progress(done_bytes: int, total_bytes: int) -> None:
        done.append(done_bytes)
        if len(done) == 10:
            before.update(stamps(root))
            os.kill(four_workers.workers[2].pid, signal.SIGKILL)
        assert total_bytes == files.manifest.total_bytes

    dask = convert(files, workers=four_workers.scheduler_address, progress=progress)

    assert dask.manifest == alone.manifest
    assert len(before) >= 9
    # The killed worker may have finished a file that nobody had recorded.
    assert len(before.items() - stamps(root).items()) <= 2
    assert not list(root.glob(".*"))
    assert done == sorted(done)
    assert (done[0], len(done), done[-1]) == (0, 41, files.manifest.total_bytes)


def stamps(root: Path) -> dict[str, tuple[int, int]]:
    states = {path.name: path.stat() for path in root.glob("*.nc")}
    return {name: (state.st_ino, state.st_mtime_ns) for name, state in states.items()}


@pytest.mark.slow
def test_a_dead_scheduler_ends_the_conversion_and_finished_files_are_kept(tmp_path: Path) -> None:
    file, log = tmp_path / "scheduler.json", (tmp_path / "log").open("w")
    root = tmp_path / "data"
    many = write_many(root / "native", 20)
    shutil.move(many.root, tmp_path / "scenes")
    shutil.rmtree(root)
    dask = [sys.executable, "-m", "dask"]
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    with ExitStack() as stack:
        stack.enter_context(log)
        scheduler, worker = (
            stack.enter_context(subprocess.Popen([*dask, *words, *common], stderr=log))
            for words in (["scheduler", "--host", "127.0.0.1"], ["worker", "--nthreads", "1"])
        )
        stack.callback(worker.kill)
        stack.callback(scheduler.kill)
        while not file.exists() or not file.stat().st_size:
            assert scheduler.poll() is None
            time.sleep(0.05)
        lines: list[str] = []

        with pytest.raises(ConversionError, match="the cluster gave up"):
            convert(
                verified(tmp_path / "scenes", root),
                workers=str(file),
                log=lines.append,
                progress=lambda *_: scheduler.kill(),
            )

    assert "of 20 ready files are there and are kept" in lines[-1]


def test_the_file_of_a_scheduler_works_like_its_address(
    scenes: Path, thread_cluster: LocalCluster, tmp_path: Path
) -> None:
    path = tmp_path / "scheduler.json"
    path.write_text(json.dumps({"address": thread_cluster.scheduler_address}))

    converted = convert(verified(scenes, tmp_path / "dask"), workers=str(path))

    assert len(converted.manifest) == 7


def test_an_address_without_scheduler_is_refused_within_seconds(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "SCHEDULER_TIMEOUT_S", 0.5)
    with closed_port() as port:
        address = f"tcp://127.0.0.1:{port}"
        with pytest.raises(CallError, match=f"no Dask scheduler answers at {address}"):
            convert(verified(scenes, tmp_path / "dask"), workers=address)


def test_a_scheduler_that_does_not_answer_is_refused_within_seconds(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "SCHEDULER_TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]

        with pytest.raises(CallError, match="no Dask scheduler answers"):
            convert(verified(scenes, tmp_path / "dask"), workers=f"tcp://127.0.0.1:{port}")


def test_ready_files_can_be_opened_after_a_cluster_was_unreachable(
    scenes: Path, tmp_path: Path
) -> None:
    whole = verified(scenes, tmp_path / "data")
    part = replace(whole, manifest=Manifest(whole.manifest.entries[:2]))
    before = convert(part)

    with pytest.raises(CallError):
        convert(whole, workers=str(tmp_path / "scheduler.json"))

    assert find_converted(whole.descriptor, whole.folder) == replace(
        before, descriptor=whole.descriptor
    )


@pytest.mark.parametrize("text", ["scheduler.json", "no address", "ftp://host:1"])
def test_a_text_that_is_neither_address_nor_file_is_refused(
    scenes: Path, tmp_path: Path, text: str
) -> None:
    with pytest.raises(CallError) as error:
        convert(verified(scenes, tmp_path / "dask"), workers=text)

    assert error.value.untouched == "nothing was converted"


def test_a_file_that_no_scheduler_wrote_is_refused(scenes: Path, tmp_path: Path) -> None:
    path = tmp_path / "scheduler.json"
    path.write_text("{}")

    with pytest.raises(CallError, match="neither an address nor the file"):
        convert(verified(scenes, tmp_path / "dask"), workers=str(path))


def test_a_scheduler_without_workers_is_refused(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "WORKERS_TIMEOUT_S", 0.2)
    with (
        LocalCluster(
            n_workers=0, processes=False, dashboard_address="127.0.0.1:0", host="tcp://127.0.0.1"
        ) as empty,
        pytest.raises(CallError, match="had no worker"),
    ):
        convert(verified(scenes, tmp_path / "dask"), workers=empty.scheduler_address)


def test_workers_that_see_other_folders_or_have_other_software_are_named(
    scenes: Path, thread_cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is a thread of this process here, so its report is replaced."""
    theirs = stage.software() | {"HDF5": "1.8.0"}
    monkeypatch.setattr(
        Client,
        "run",
        lambda _client, _function, folders: {"tcp://other:1": ([folders[0]], theirs)},
    )

    with pytest.raises(ConversionError, match="1 of the cluster's 1 workers") as error:
        convert(verified(scenes, tmp_path / "dask"), workers=thread_cluster.scheduler_address)

    assert [problem.kind for problem in error.value.problems] == ["unseen", "software"]
    assert "mounted under the same paths" in error.value.hint
    assert "has HDF5 1.8.0, and not " in error.value.problems[1].message


def test_workers_that_join_later_get_shards_and_are_checked(
    scenes: Path, thread_cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "COUNT_EVERY_S", 0.0)
    threads = stage._Threads(Client(thread_cluster.scheduler_address, set_as_default=False))
    before = threads()
    thread_cluster.scale(2)
    thread_cluster.wait_for_workers(2)
    after = threads()
    thread_cluster.scale(1)

    assert (before, after) == (2, 4)

    ours = stage.software() | {"HDF5": "1.8.0"}
    with pytest.raises(ConversionError) as error:
        stage.make_checked(None, ours)  # type: ignore[arg-type] # it is not looked at
    assert [problem.kind for problem in error.value.problems] == ["software"]
    assert shards._reason_to_stop(error.value) is error.value


def test_a_worker_reports_the_folders_that_it_does_not_see(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")

    assert stage.inspect_worker([str(tmp_path), missing]) == ([missing], stage.software())
    assert stage.inspect_worker([str(tmp_path), str(tmp_path)])[0] == []


def test_without_dask_the_extra_is_named(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = builtins.__import__

    def without(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name == "distributed":
            raise ModuleNotFoundError(name)
        return plain(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(CallError) as error:
        convert(verified(scenes, tmp_path / "dask"), workers="tcp://127.0.0.1:8786")

    assert error.value.hint == "pip install 'sciml-data[cluster]'"
