"""What servers do wrong: in the end the right bytes are published, or none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sciml_data.errors import FetchError
from sciml_data.home import Home
from sciml_data.registry.stages import Fetched, Plan
from sciml_data.testing.datasets import write_dataset, write_files
from sciml_data.testing.faults import (
    Fault,
    cut,
    drip,
    lengthened,
    range_ignored,
    redirect,
    stall,
    status,
    truncated,
    wrong_bytes,
    wrong_content_range,
)
from sciml_data.testing.server import FileServer
from sciml_data.transfer.download import fetch
from sciml_data.transfer.plan import make_plan
from sciml_data.transfer.protocols import TransientError
from sciml_data.transfer.protocols.retry import RetryPolicy
from tests.support.downloads import plan_from, quick_retry
from tests.support.ports import closed_port
from tests.support.raw_server import RawRequest, RawServer

CONTENT = hashlib.shake_256(b"content").digest(3000)
NAME = "dir/file.bin"
FILES = {NAME: CONTENT}


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[FileServer, FileServer]]:
    """Return two mirrors of one file; faults are given to the first."""
    write_files(tmp_path / "served", FILES)
    with FileServer(tmp_path / "served") as first, FileServer(tmp_path / "served") as second:
        yield first, second


@pytest.fixture
def plan(tmp_path: Path, first: FileServer, second: FileServer, home: Home) -> Plan:
    return plan_from(tmp_path, FILES, [first.url, second.url], home)


@pytest.fixture
def lone_plan(tmp_path: Path, first: FileServer, home: Home) -> Plan:
    return plan_from(tmp_path, FILES, [first.url], home)


def is_right(fetched: Fetched) -> bool:
    return (fetched.root / NAME).read_bytes() == CONTENT


def test_a_cut_goes_on_from_the_last_byte(lone_plan: Plan, first: FileServer) -> None:
    first.add(cut(1000))
    first.add(cut(500))

    assert is_right(fetch(lone_plan, retry=quick_retry()))

    assert [request.range for request in first.requests] == [None, "bytes=1000-", "bytes=1500-"]
    assert first.bytes_sent == len(CONTENT)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=30,
)
@given(cuts=st.lists(st.integers(0, len(CONTENT)), min_size=1, max_size=3))
def test_cut_at_any_byte_ends_like_no_cut(
    lone_plan: Plan, first: FileServer, cuts: list[int]
) -> None:
    first.requests.clear()
    (lone_plan.folder.native / NAME).unlink(missing_ok=True)
    first.clear_faults()
    for at in cuts:
        first.add(cut(at))

    assert is_right(fetch(lone_plan, retry=quick_retry()))
    assert first.bytes_sent == len(CONTENT)


def test_a_stall_is_ended_and_gone_on_from(lone_plan: Plan, first: FileServer) -> None:
    first.add(stall(1000))

    assert is_right(fetch(lone_plan, retry=quick_retry(read_s=1.0)))
    # On a busy computer, the second request may be too slow, too: the third is like it.
    assert {request.range for request in first.requests[1:]} == {"bytes=1000-"}
    assert first.requests[0].sent_bytes == 1000


def test_a_drip_counts_as_a_stall(lone_plan: Plan, first: FileServer) -> None:
    first.add(drip(1000, pause_s=0.02))

    assert is_right(fetch(lone_plan, retry=quick_retry(read_s=1.0)))
    resumed = [request.range or "" for request in first.requests[1:]]
    assert resumed
    assert all(1000 <= int(text.removeprefix("bytes=").rstrip("-")) < 2900 for text in resumed)


@pytest.mark.parametrize("code", [403, 404])
def test_what_a_mirror_does_not_have_the_next_is_asked_for_at_once(
    plan: Plan, first: FileServer, code: int
) -> None:
    waits: list[float] = []
    first.add(status(code), times=None)

    assert is_right(fetch(plan, retry=quick_retry(waits)))
    assert (len(first.requests), waits) == (1, [])


def test_416_starts_from_the_beginning(lone_plan: Plan, first: FileServer) -> None:
    write_files(lone_plan.folder.partial, {f"{NAME}.part": CONTENT[:100]})
    first.add(status(416))

    assert is_right(fetch(lone_plan, retry=quick_retry()))
    assert [request.range for request in first.requests] == ["bytes=100-", None]


def test_416_for_ever_ends(plan: Plan, first: FileServer) -> None:
    write_files(plan.folder.partial, {f"{NAME}.part": CONTENT[:100]})
    first.add(status(416), times=None)

    assert is_right(fetch(plan, retry=quick_retry()))
    assert len(first.requests) == 2


def test_retry_after_is_honoured_and_bounded(lone_plan: Plan, first: FileServer) -> None:
    waits: list[float] = []
    first.add(status(429, retry_after="7"))
    first.add(status(429, retry_after="100000"))

    assert is_right(fetch(lone_plan, retry=quick_retry(waits)))
    assert waits == [7, 60]


@pytest.mark.parametrize("code", [429, 500])
def test_a_mirror_that_asks_for_a_day_is_left_for_the_next(
    plan: Plan, first: FileServer, code: int
) -> None:
    waits: list[float] = []
    first.add(status(code, retry_after="86400"), times=None)

    assert is_right(fetch(plan, retry=quick_retry(waits)))
    assert (len(first.requests), waits) == (1, [])


@pytest.mark.parametrize("code", [500, 503])
def test_a_storm_is_waited_out_longer_each_time(
    lone_plan: Plan, first: FileServer, code: int
) -> None:
    waits: list[float] = []
    first.add(status(code), times=3)

    assert is_right(fetch(lone_plan, retry=quick_retry(waits)))
    assert [(0.25 <= waits[0] <= 0.5), (0.5 <= waits[1] <= 1), (1 <= waits[2] <= 2)] == [True] * 3


def test_a_storm_without_end_goes_to_the_next_mirror(plan: Plan, first: FileServer) -> None:
    lines: list[str] = []
    first.add(status(503), times=None)

    assert is_right(fetch(plan, retry=quick_retry(), log=lines.append))
    assert len(first.requests) == 4
    assert lines == [f"mirror {first.url} failed: {NAME}: 503 Service Unavailable"]


def test_waits_are_bounded() -> None:
    retry = RetryPolicy()

    waits = [retry.wait_s(tries, TransientError("cut")) for tries in range(1, 40)]

    assert 15 <= max(waits) <= 30


@pytest.mark.parametrize("fault", [truncated(10), lengthened(10)])
def test_another_size_goes_to_the_next_mirror_before_its_bytes(
    plan: Plan, first: FileServer, fault: Fault
) -> None:
    lines: list[str] = []
    first.add(fault, times=None)

    assert is_right(fetch(plan, retry=quick_retry(), log=lines.append))
    assert len(first.requests) == 1
    assert "sent wrong bytes" in lines[0]


def test_a_body_that_does_not_end_is_stopped(plan: Plan, first: FileServer) -> None:
    first.add(lengthened(10_000_000, is_declared=False), times=None)

    assert is_right(fetch(plan, retry=quick_retry()))
    assert len(first.requests) == 1
    part = next(lone for lone in plan.folder.quarantine.rglob("*") if lone.is_file())
    assert part.stat().st_size <= len(CONTENT)


def test_wrong_bytes_are_quarantined_and_the_next_mirror_asked(
    plan: Plan, first: FileServer
) -> None:
    lines: list[str] = []
    first.add(wrong_bytes(17), times=None)

    assert is_right(fetch(plan, retry=quick_retry(), log=lines.append))

    wrong = CONTENT[:17] + bytes([CONTENT[17] ^ 1]) + CONTENT[18:]
    digest = hashlib.sha256(wrong).hexdigest()
    kept = plan.folder.quarantine / f"{NAME}.sha256-{digest[:12]}"
    assert kept.read_bytes() == wrong
    assert lines == [
        f"mirror {first.url} sent wrong bytes: {NAME}: sha256 "
        f"{hashlib.sha256(CONTENT).hexdigest()[:12]}.. expected, sha256 {digest[:12]}.. found; "
        "what came is in quarantine"
    ]


def test_wrong_bytes_everywhere_publish_nothing(
    plan: Plan, first: FileServer, second: FileServer
) -> None:
    first.add(wrong_bytes(0), times=None)
    second.add(wrong_bytes(2999), times=None)

    with pytest.raises(FetchError) as error:
        fetch(plan, retry=quick_retry())

    assert len(error.value.problems) == 2
    assert not (plan.folder.native / NAME).exists()
    assert len([path for path in plan.folder.quarantine.rglob("*") if path.is_file()]) == 2


def test_a_mirror_that_keeps_lying_is_left(tmp_path: Path, home: Home) -> None:
    files = {f"{number}.bin": CONTENT + bytes([number]) for number in range(8)}
    write_files(tmp_path / "served", files)
    lines: list[str] = []
    with FileServer(tmp_path / "served") as liar, FileServer(tmp_path / "served") as good:
        liar.add(wrong_bytes(5), times=None)
        descriptor = write_dataset(
            tmp_path / "registry", files, mirrors=[{"": f"{s.url}/"} for s in (liar, good)]
        )

        fetch(make_plan(descriptor, home), jobs=1, retry=quick_retry(), log=lines.append)

        assert len(liar.requests) == 3
    assert len(lines) == 2
    assert lines[1] == f"mirror {liar.url} is not asked again: it sent wrong bytes 3 times"


def test_an_ignored_range_starts_from_the_beginning(lone_plan: Plan, first: FileServer) -> None:
    first.add(cut(1000))
    first.add(range_ignored())

    assert is_right(fetch(lone_plan, retry=quick_retry()))
    assert [r.sent_bytes for r in first.requests] == [1000, len(CONTENT)]


@pytest.mark.parametrize("shift", [-3, 3])
def test_a_range_from_another_offset_is_not_taken(
    lone_plan: Plan, first: FileServer, shift: int
) -> None:
    first.add(cut(1000))
    first.add(wrong_content_range(shift))

    assert is_right(fetch(lone_plan, retry=quick_retry()))
    assert [r.range for r in first.requests] == [None, "bytes=1000-", None]


def test_a_server_that_cuts_and_ignores_ranges_is_not_asked_for_ever(
    plan: Plan, first: FileServer
) -> None:
    for _ in range(20):
        first.add(cut(1000))
        first.add(status(416))

    assert is_right(fetch(plan, retry=quick_retry()))
    assert len(first.requests) <= 8


def test_a_redirect_loop_goes_to_the_next_mirror(plan: Plan, first: FileServer) -> None:
    first.add(redirect(f"/{NAME}"), times=None)

    assert is_right(fetch(plan, retry=quick_retry()))
    assert len(first.requests) == 6


def test_a_mirror_that_is_away_is_left_after_two_tries(tmp_path: Path, home: Home) -> None:
    files = {f"{number}.bin": CONTENT for number in range(5)}
    write_files(tmp_path / "served", files)
    lines: list[str] = []
    waits: list[float] = []
    with closed_port() as port, FileServer(tmp_path / "served") as good:
        away = f"http://127.0.0.1:{port}"
        descriptor = write_dataset(
            tmp_path / "registry", files, mirrors=[{"": f"{url}/"} for url in (away, good.url)]
        )

        fetch(make_plan(descriptor, home), jobs=1, retry=quick_retry(waits), log=lines.append)

    assert len(waits) == 1
    assert len(lines) == 1
    assert f"mirror {away} failed" in lines[0]


def test_no_network_names_every_mirror_and_what_to_do(tmp_path: Path, home: Home) -> None:
    (tmp_path / "served").mkdir()
    with FileServer(tmp_path / "served") as one, FileServer(tmp_path / "served") as two:
        urls = [one.url, two.url]

    with pytest.raises(FetchError) as error:
        fetch(plan_from(tmp_path, FILES, urls, home), retry=quick_retry())

    assert all(url in error.value.message for url in urls)
    assert "--mirror file:DIR" in error.value.hint
    assert error.value.done.endswith(" has 0 files")


def test_a_second_mirror_goes_on_with_the_bytes_of_the_first(
    plan: Plan, first: FileServer, second: FileServer
) -> None:
    first.add(cut(1000))
    first.add(status(503), times=None)

    assert is_right(fetch(plan, retry=quick_retry()))
    assert [request.range for request in second.requests] == ["bytes=1000-"]


def test_a_mirror_is_not_blamed_for_the_bytes_of_another(
    plan: Plan, first: FileServer, second: FileServer
) -> None:
    """The first sends a wrong start and dies; the second is right from the beginning on."""
    write_files(plan.folder.partial, {f"{NAME}.part": b"wrong" * 100})
    first.add(status(404), times=None)
    lines: list[str] = []

    assert is_right(fetch(plan, retry=quick_retry(), log=lines.append))
    assert [request.range for request in second.requests] == ["bytes=500-", None]
    assert not any("wrong bytes" in sentence for sentence in lines)


def test_a_bucket_of_another_region_is_asked_once_for_all_files(tmp_path: Path, home: Home) -> None:
    def answer(_: RawRequest) -> list[bytes]:
        return [
            b"HTTP/1.1 301 Moved Permanently\r\nx-amz-bucket-region: eu-west-2\r\n"
            b"Content-Length: 0\r\nConnection: close\r\n\r\n"
        ]

    files = {f"{number}.bin": bytes([number]) for number in range(30)}
    with RawServer(answer) as server:
        plan = plan_from(tmp_path, files, [f"{server.url}/bucket"], home)
        with pytest.raises(FetchError) as error:
            fetch(plan, jobs=1, retry=quick_retry())

    assert len(server.requests) == 1
    assert "AWS_ENDPOINT_URL=https://s3.eu-west-2.amazonaws.com" in str(error.value)
