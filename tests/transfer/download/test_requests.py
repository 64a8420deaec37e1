"""Mirrors that ask to be asked less, and mirrors that are laid out in another way."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sciml_data.errors import FetchError
from sciml_data.home import Home
from sciml_data.registry.stages import Plan
from sciml_data.testing.datasets import write_dataset, write_files
from sciml_data.testing.faults import Fault, status
from sciml_data.testing.server import FileServer, Request
from sciml_data.transfer.download import fetch
from sciml_data.transfer.download.requests import RateLimiter
from sciml_data.transfer.plan import make_plan
from sciml_data.transfer.protocols import Timeouts
from sciml_data.transfer.protocols.retry import RetryPolicy
from tests.support.downloads import contents, plan_from, quick_retry

FILES = {f"{number:03}.bin": b"%d" % number * 100 for number in range(100)}
GOOD = Fault("none")
TIMEOUTS = Timeouts(connect_s=20, read_s=20)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[FileServer, FileServer]]:
    write_files(tmp_path / "served", FILES)
    with FileServer(tmp_path / "served") as first, FileServer(tmp_path / "served") as second:
        yield first, second


@pytest.fixture
def plan(tmp_path: Path, first: FileServer, home: Home) -> Plan:
    return plan_from(tmp_path, FILES, [first.url], home)


def storm(server: FileServer, refusals: int, answers: int) -> None:
    """Let so many requests be refused, three before each that is answered."""
    for _ in range(answers):
        server.add(status(503), times=refusals // answers)
        server.add(GOOD)


def test_a_storm_of_hundreds_is_outlasted_while_others_are_answered(
    plan: Plan, first: FileServer
) -> None:
    waits: list[float] = []
    lines: list[str] = []
    storm(first, refusals=300, answers=100)

    fetched = fetch(plan, retry=quick_retry(waits, last_tries=6), log=lines.append)

    assert contents(fetched.root) == FILES
    assert len(first.requests) == 400
    assert lines == []
    assert len(waits) <= 300


def test_a_mirror_that_only_refuses_is_left_for_all_files(
    tmp_path: Path, first: FileServer, second: FileServer, home: Home
) -> None:
    waits: list[float] = []
    lines: list[str] = []
    first.add(status(503, retry_after="3"), times=None)

    fetched = fetch(
        plan_from(tmp_path, FILES, [first.url, second.url], home),
        jobs=8,
        retry=quick_retry(waits, last_tries=6),
        log=lines.append,
    )

    assert contents(fetched.root) == FILES
    assert waits == [3.0] * 3  # rounds, whoever refused in them
    assert len(first.requests) <= 8 * 4 + 8
    assert [sentence.rpartition(": ")[2] for sentence in lines] == ["503 Service Unavailable"]


def test_the_only_mirror_is_given_more_time_and_then_left(plan: Plan, first: FileServer) -> None:
    waits: list[float] = []
    first.add(status(429), times=None)

    with pytest.raises(FetchError, match=r"100 of 100 files") as error:
        fetch(plan, jobs=1, retry=quick_retry(waits, last_tries=6))

    assert len(waits) == 5
    assert len(first.requests) == 6
    assert "not asked again: 429 Too Many Requests" in error.value.problems[-1].message


def test_one_waits_for_all(plan: Plan, first: FileServer) -> None:
    """Eight files are refused once, while all are being asked for: only one thread waits."""
    together = threading.Barrier(8, timeout=60)
    waits: list[float] = []
    refused = iter(range(8))

    def meet(request: Request) -> None:
        if next(refused, None) is not None:
            first.add(status(503, retry_after="9"), path=request.path)
            together.wait()

    first.before = meet

    fetched = fetch(plan, jobs=8, retry=quick_retry(waits, last_tries=6))

    assert contents(fetched.root) == FILES
    assert waits == [9.0]


def test_one_file_that_is_always_refused_does_not_hold_the_others(
    plan: Plan, first: FileServer
) -> None:
    first.add(status(503), path="007.bin", times=None)
    short = RetryPolicy(tries=4, last_tries=6, first_wait_s=0.01, max_wait_s=1, timeouts=TIMEOUTS)

    with pytest.raises(FetchError, match=r"1 of 100 files") as error:
        fetch(plan, jobs=2, retry=short)

    assert [problem.place for problem in error.value.problems] == ["007.bin"]
    assert set(contents(plan.folder.native)) == set(FILES) - {"007.bin"}
    assert len([r for r in first.requests if r.path == "007.bin"]) <= 40


def test_an_interrupt_ends_the_wait_of_all(plan: Plan, first: FileServer) -> None:
    first.add(GOOD)
    first.add(status(503), times=None)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    slow = RetryPolicy(first_wait_s=60, max_wait_s=60, timeouts=TIMEOUTS)
    with pytest.raises(KeyboardInterrupt):
        fetch(plan, retry=slow, progress=interrupt)

    assert len(first.requests) <= 9


class ClosedError(Exception):
    """The limiter would have made its caller wait."""


def closed() -> None:
    raise ClosedError


def enter(limiter: RateLimiter, times: int) -> list[int]:
    return [limiter.acquire(closed) for _ in range(times)]


def test_a_gate_lets_fewer_in_after_a_refusal_and_more_after_answers() -> None:
    limiter = RateLimiter(8)
    entered = enter(limiter, 8)
    with pytest.raises(ClosedError):
        limiter.acquire(closed)

    for one in entered:
        limiter.release(one, is_refused=True)
    assert limiter.refused_rounds == 1  # all eight are one round
    with pytest.raises(ClosedError):
        limiter.acquire(closed)  # somebody waits
    limiter.wait_for_all(lambda: None)

    entered = enter(limiter, 4)
    with pytest.raises(ClosedError):
        limiter.acquire(closed)
    for one in entered:
        limiter.release(one)
    for _ in range(5):
        limiter.record_answer()
    assert limiter.refused_rounds == 0
    enter(limiter, 5)
    with pytest.raises(ClosedError):
        limiter.acquire(closed)


def test_who_was_refused_stands_in_line_behind_those_who_wait() -> None:
    limiter = RateLimiter(1, chance=lambda: 0.5)
    order: list[str] = []
    entered = limiter.acquire(closed)
    has_asked = threading.Event()

    def ask() -> None:
        one = limiter.acquire(has_asked.set)
        order.append("who waited")
        limiter.release(one)

    waiting = threading.Thread(target=ask)
    waiting.start()
    assert has_asked.wait(60)
    limiter.release(entered, is_refused=True)
    limiter.wait_for_all(lambda: None)
    limiter.acquire(lambda: None)
    order.append("who was refused")
    waiting.join()

    assert order == ["who waited", "who was refused"]


def test_a_place_in_line_is_drawn_from_its_later_half_or_now_and_then_from_all() -> None:
    draws = iter([0.3, 0.0, 0.3, 0.0, 0.3, 0.99, 0.1, 0.0])
    limiter = RateLimiter(1, chance=lambda: next(draws))
    line: list[object] = limiter._queue

    for name in "abcd":
        line.insert(limiter._random_position(), name)

    assert "".join(map(str, line)) == "dabc"


def test_a_gate_opens_where_the_wait_is_ended_by_an_error() -> None:
    limiter = RateLimiter(2)
    limiter.release(limiter.acquire(closed), is_refused=True)

    with pytest.raises(ClosedError):
        limiter.wait_for_all(closed)

    enter(limiter, 1)


def test_a_gate_lets_one_in_however_often_it_was_refused() -> None:
    limiter = RateLimiter(8)
    for _ in range(9):
        limiter.release(limiter.acquire(closed), is_refused=True)
        limiter.wait_for_all(lambda: None)

    assert limiter.refused_rounds == 9
    enter(limiter, 1)
    with pytest.raises(ClosedError):
        limiter.acquire(closed)


def test_the_layout_that_gave_a_file_is_asked_first(
    tmp_path: Path, first: FileServer, home: Home
) -> None:
    """The user's mirror holds the files themselves, and not the trees of hosts."""
    descriptor = write_dataset(
        tmp_path / "registry", FILES, mirrors=[{"": "https://origin.example/x/"}]
    )
    plan = make_plan(descriptor, home, mirrors=[first.url])
    assert all(file.urls[0].endswith(f"origin.example/x/{file.path}") for file in plan.files)

    fetched = fetch(plan, jobs=1, retry=quick_retry(last_tries=6))

    assert contents(fetched.root) == FILES
    assert [request.status for request in first.requests] == [404] + [200] * len(FILES)


def test_a_file_that_lies_elsewhere_is_still_found(
    tmp_path: Path, first: FileServer, home: Home
) -> None:
    write_files(first.root / "origin.example" / "x", {"050.bin": FILES["050.bin"]})
    (first.root / "050.bin").unlink()
    descriptor = write_dataset(
        tmp_path / "registry", FILES, mirrors=[{"": "https://origin.example/x/"}]
    )
    plan = make_plan(descriptor, home, mirrors=[first.url])

    assert contents(fetch(plan, jobs=1, retry=quick_retry(last_tries=6)).root) == FILES


def test_connections_outlive_errors(plan: Plan, first: FileServer) -> None:
    first.add(status(404), times=5)

    with pytest.raises(FetchError, match="5 of 100"):
        fetch(dataclasses.replace(plan), jobs=1, retry=quick_retry(last_tries=6))

    assert first.connections == 1
