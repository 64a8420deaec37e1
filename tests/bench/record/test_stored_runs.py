"""Only what a run wrote counts as a run of a home; all else is named and left out."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sciml_data.bench.record.record import record_digest
from sciml_data.bench.record.runs import all_runs, as_ended, find_run, find_runs, stored_runs
from sciml_data.errors import CallError, Problem, RecordError
from sciml_data.home import HOLDER_NAME, DatasetFolder, Home
from tests.support.run_samples import written_run

OTHER_ID = "99345678-1234-4234-8234-123456789abc"


@pytest.fixture
def run(home: Home) -> Path:
    """Return the folder of a sound run, the oldest of its home."""
    folder = home.runs("tevolop") / "20260101T000000Z-a"
    written_run(folder)
    return folder


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a record, and make its digest anew."""
    path = folder / "record.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    change(record)
    record["record_digest"] = record_digest(record)
    path.write_text(json.dumps(record), encoding="utf-8")


def set_start(folder: Path, start: str) -> None:
    edit(folder, lambda record: record["timing"].update(start_time=start))


def replaced(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return apply


def only_the_record(folder: Path) -> None:
    """Leave what a dataset with one file, record.json, would put there."""
    for path in folder.iterdir():
        if path.name != "record.json":
            path.unlink()


FAKES: dict[str, Callable[[Path], object]] = {
    "only a record": only_the_record,
    "no log": lambda folder: (folder / "log.txt").unlink(),
    "no curve": lambda folder: (folder / "curve.jsonl").unlink(),
    "another curve": lambda folder: (folder / "curve.jsonl").write_text("{}\n"),
    "another benchmark's folder": lambda folder: edit(
        folder, lambda record: record["benchmark"].update(name="uno")
    ),
    "changed record": lambda folder: (
        (folder / "record.json").write_text(
            (folder / "record.json").read_text().replace('"score": 0.5', '"score": 0.25')
        )
        and None
    ),
    "record that names no curve": lambda folder: edit(
        folder, lambda record: record["outputs"].pop("curve")
    ),
    "record that names files elsewhere": lambda folder: edit(
        folder, lambda record: record["outputs"]["monitor"].update(path="../../../etc/passwd")
    ),
    "record that is a link": replaced("record.json", lambda path: path.symlink_to("/dev/zero")),
    "record that is a pipe": replaced("record.json", os.mkfifo),
    "record that is a folder": replaced("record.json", Path.mkdir),
    "predictions that are a pipe": replaced("predictions.nc", os.mkfifo),
    "log that is a link": replaced("log.txt", lambda path: path.symlink_to("/etc/hostname")),
}


@pytest.mark.parametrize("fake", FAKES.values(), ids=FAKES)
def test_a_folder_that_no_run_wrote_is_named_and_not_listed(
    home: Home, run: Path, fake: Callable[[Path], object]
) -> None:
    copy = Path(shutil.copytree(run, run.with_name("20260102T000000Z-b")))
    edit(copy, lambda record: record.update(run_id=OTHER_ID))
    assert find_run(home, "latest") == copy
    fake(copy)

    runs, problems = stored_runs(home)
    passed_over: list[Problem] = []

    assert [folder for folder, _ in runs] == all_runs(home) == [run]
    assert [(problem.kind, problem.place) for problem in problems] == [("run", copy.name)]
    assert find_run(home, "latest", on_left_out=passed_over.append) == run
    assert [problem.place for problem in passed_over] == [copy.name]
    with pytest.raises(CallError):
        find_run(home, OTHER_ID[:8])


def test_runs_with_any_name_are_in_the_order_of_their_start(home: Home, run: Path) -> None:
    copies = [Path(shutil.copytree(run, run.with_name(name))) for name in ("zeta", "alpha")]
    for copy, start in zip(copies, ("2026-01-02T00:00:00.5Z", "2026-01-03T00:00:00Z"), strict=True):
        set_start(copy, start)

    assert all_runs(home) == [run, *copies]
    assert find_run(home, "latest") == copies[1]


def test_large_files_may_be_removed_from_a_run(home: Home, run: Path) -> None:
    (run / "predictions.nc").unlink()

    assert all_runs(home) == [run]


def test_a_run_that_stopped_in_its_first_epoch_is_a_run(home: Home) -> None:
    folder = home.runs("tevolop") / "a"
    written_run(folder, status="aborted", reason="stopped by a signal", curve=[], metrics=[])
    only_the_record(folder)

    assert all_runs(home) == [folder]


def test_a_resumed_run_has_newer_files_than_its_record(home: Home, run: Path) -> None:
    edit(run, lambda record: record.update(status="running", reason="the run has not ended"))
    with (run / "curve.jsonl").open("a", encoding="utf-8") as file:
        file.write("{}\n")

    assert all_runs(home) == [run]


def test_of_named_runs_the_broken_ones_are_left_out_and_one_has_to_be_left(
    home: Home, run: Path
) -> None:
    broken = Path(shutil.copytree(run, run.with_name("broken")))
    (broken / "record.json").write_text("[" * 200_000, encoding="utf-8")

    runs, problems = find_runs(home, ["broken", run.name])

    assert [folder for folder, _ in runs] == [run]
    assert [(problem.kind, problem.place) for problem in problems] == [("run", "broken")]
    with pytest.raises(RecordError):
        find_runs(home, ["broken"])


def running(folder: Path, holder: dict[str, Any] | None) -> None:
    """Make a run one that has not ended, with or without a process that works on it."""
    edit(folder, lambda record: record.update(status="running", reason="the run has not ended"))
    if holder is not None:
        (folder / HOLDER_NAME).write_text(json.dumps(holder), encoding="utf-8")


def status_of(home: Home) -> tuple[str, str]:
    ((_, record),) = stored_runs(home)[0]
    return record["status"], record["reason"]


def test_a_run_whose_process_works_is_running(home: Home, run: Path) -> None:
    running(run, {"pid": os.getpid(), "host": socket.gethostname()})

    assert status_of(home)[0] == "running"


def test_a_run_whose_process_was_killed_is_aborted_and_says_how_to_resume(
    home: Home, run: Path
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    running(run, {"pid": ended.pid, "host": socket.gethostname()})
    before = (run / "record.json").read_bytes()

    status, reason = status_of(home)

    assert status == "aborted"
    assert f"process {ended.pid} was killed" in reason
    assert f"sciml-data run tevolop --resume {run.name}" in reason
    assert (run / "record.json").read_bytes() == before


def test_a_process_that_is_younger_than_the_lock_is_another_one(home: Home, run: Path) -> None:
    running(run, {"pid": os.getpid(), "host": socket.gethostname()})
    long_ago = time.time() - 86_400 * 365
    os.utime(run / HOLDER_NAME, (long_ago, long_ago))

    assert status_of(home)[0] == "aborted"


def test_without_a_process_a_run_that_has_not_ended_is_aborted(home: Home, run: Path) -> None:
    running(run, None)

    assert status_of(home)[0] == "aborted"


@pytest.mark.parametrize(("silent_s", "status"), [(0, "running"), (3600, "aborted")])
def test_a_run_of_another_computer_is_judged_by_its_monitor(
    home: Home, run: Path, silent_s: float, status: str
) -> None:
    running(run, {"pid": 1, "host": "elsewhere"})
    (run / "monitor.csv").touch()
    last = time.time() - silent_s
    os.utime(run / "monitor.csv", (last, last))

    assert status_of(home)[0] == status


@pytest.mark.parametrize(
    "holder",
    [
        pytest.param({"pid": 2**22 + 1, "host": socket.gethostname()}, id="number of a container"),
        pytest.param({"pid": 1, "host": "elsewhere"}, id="monitor on a silent file server"),
        pytest.param(None, id="disk was full when the lock was taken"),
    ],
)
def test_a_run_with_a_locked_folder_is_running_though_its_process_is_not_found(
    home: Home, run: Path, holder: dict[str, Any] | None
) -> None:
    (run / "monitor.csv").touch()
    os.utime(run / "monitor.csv", (0, 0))
    with DatasetFolder(run).lock("run"):
        (run / HOLDER_NAME).unlink()
        running(run, holder)
        assert status_of(home)[0] == "running"

    running(run, holder)
    assert status_of(home)[0] == "aborted"


def test_a_run_that_ends_while_it_is_looked_at_is_not_aborted(home: Home, run: Path) -> None:
    ended = (run / "record.json").read_bytes()
    running(run, None)
    ((_, before),) = stored_runs(home)[0]
    before = {**before, "status": "running"}
    (run / "record.json").write_bytes(ended)

    assert as_ended(run, before)["status"] == "success"
