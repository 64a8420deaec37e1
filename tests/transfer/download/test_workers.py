"""Large files: ranges by several workers, of one state of the file, and what outlives a kill."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sciml_data.errors import FetchError
from sciml_data.home import Home
from sciml_data.registry.stages import Fetched, Plan
from sciml_data.testing.datasets import write_dataset, write_files
from sciml_data.testing.faults import Fault, corrupted, range_ignored, stall, status
from sciml_data.testing.server import FileServer, Request
from sciml_data.transfer.download import fetch
from sciml_data.transfer.plan import make_plan
from sciml_data.transfer.protocols import Timeouts
from sciml_data.transfer.protocols.retry import RetryPolicy
from tests.support.downloads import plan_from, quick_retry

RANGE = 1 << 16
NAME = "dir/large.bin"
CONTENT = random.Random(0).randbytes(16 * RANGE + 17)  # noqa: S311 (no secret)
FILES = {NAME: CONTENT}
RETRY = quick_retry()
GOOD = Fault("none")


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[FileServer, FileServer]]:
    """Return two mirrors of one large file, each with a small buffer."""
    for name in ("first", "second"):
        write_files(tmp_path / name, FILES)
    with (
        FileServer(tmp_path / "first", send_buffer_bytes=RANGE) as first,
        FileServer(tmp_path / "second", send_buffer_bytes=RANGE) as second,
    ):
        yield first, second


@pytest.fixture
def plan(tmp_path: Path, first: FileServer, second: FileServer, home: Home) -> Plan:
    return plan_from(tmp_path, FILES, [first.url, second.url], home)


def get(plan: Plan, *, jobs: int = 4, retry: RetryPolicy = RETRY) -> tuple[Fetched, list[str]]:
    lines: list[str] = []
    fetched = fetch(plan, jobs=jobs, retry=retry, log=lines.append, range_bytes=RANGE)
    return fetched, lines


def is_right(fetched: Fetched) -> bool:
    return (fetched.root / NAME).read_bytes() == CONTENT


def let_helpers_come(server: FileServer, requests: int, *, wait_s: float = 20.0) -> None:
    """Hold the first answer after a range until so many requests were made."""
    have_come = threading.Event()

    def count(_: Request) -> None:
        if len(server.requests) >= requests:
            have_come.set()

    server.before = count
    server.when_sent(RANGE, lambda: have_come.wait(wait_s))


def test_ranges_of_one_file_are_fetched_at_once(plan: Plan, first: FileServer) -> None:
    """The first answer waits in its middle until three others were asked for."""
    let_helpers_come(first, 4)

    fetched, lines = get(plan)

    assert is_right(fetched)
    assert lines == []
    # The owner's first connection ends where it gave the rest away.
    assert 4 <= len({request.connection for request in first.requests}) <= 5
    asked = starts(first)
    assert asked == sorted(set(asked))  # nothing was asked for twice
    tags = {request.headers.get("if-range") for request in first.requests[1:]}
    assert len(tags) == 1
    assert not plan.folder.partial.exists()


def test_one_worker_asks_once(plan: Plan, first: FileServer) -> None:
    fetched, _ = get(plan, jobs=1)

    assert is_right(fetched)
    assert [request.range for request in first.requests] == [None]
    assert first.bytes_sent == len(CONTENT)


def test_files_that_are_not_large_are_not_cut(tmp_path: Path, home: Home) -> None:
    files = {f"{number}.bin": CONTENT[: 2 * RANGE - 1] for number in range(3)}
    write_files(tmp_path / "served", files)
    with FileServer(tmp_path / "served") as server:
        descriptor = write_dataset(tmp_path / "registry", files, mirrors=[{"": f"{server.url}/"}])

        get(make_plan(descriptor, home), jobs=8)

        assert [request.range for request in server.requests] == [None] * 3


def test_a_file_that_changes_between_two_ranges_starts_again(
    plan: Plan, first: FileServer, second: FileServer
) -> None:
    """What comes first is of an older state; the second answer is of the newer one.

    The tags of two nodes may differ for the same bytes, so only the hash tells.
    """
    served = first.root / NAME
    served.write_bytes(CONTENT[::-1])
    newer = first.root / "newer"
    newer.write_bytes(CONTENT)
    first.add(Fault("cut", at=5 * RANGE))
    first.when_sent(5 * RANGE, lambda: newer.replace(served))

    fetched, lines = get(plan, jobs=1)

    assert is_right(fetched)
    assert [(request.range, request.status) for request in first.requests] == [
        (None, 200),
        (f"bytes={5 * RANGE}-", 206),
        (None, 200),
    ]
    assert (lines, second.requests) == ([], [])


def test_a_server_that_ignores_ranges_gives_the_file_to_one_worker(
    plan: Plan, first: FileServer
) -> None:
    let_helpers_come(first, 2, wait_s=0.3)  # nobody comes where the first was refused a range
    first.add(range_ignored(), times=None)

    fetched, lines = get(plan)

    assert is_right(fetched)
    assert lines == []
    assert max(request.sent_bytes for request in first.requests) == len(CONTENT)


def test_a_server_that_refuses_ranges_gives_the_file_to_one_worker(
    plan: Plan, first: FileServer
) -> None:
    let_helpers_come(first, 4)
    first.add(GOOD)
    first.add(status(416), times=3, only_ranges=True)

    fetched, lines = get(plan)

    assert is_right(fetched)
    assert lines == []


def test_a_range_that_lies_is_found_out_and_the_second_mirror_asked(
    plan: Plan, first: FileServer, second: FileServer
) -> None:
    let_helpers_come(first, 4)
    first.add(GOOD)
    first.add(corrupted())

    fetched, lines = get(plan)

    assert is_right(fetched)
    assert len(lines) == 1
    assert lines[0].startswith(f"mirror {first.url} sent wrong bytes: {NAME}: sha256 ")
    (kept,) = (path for path in plan.folder.quarantine.rglob("*") if path.is_file())
    assert kept.stat().st_size == len(CONTENT)
    assert second.bytes_sent >= len(CONTENT)


def test_a_helper_that_stalls_loses_its_range_only(plan: Plan, first: FileServer) -> None:
    let_helpers_come(first, 4)
    first.add(GOOD)
    first.add(stall(100))
    retry = RetryPolicy(tries=4, pause=lambda _: None, timeouts=Timeouts(20, 2.0))

    fetched, lines = get(plan, retry=retry)

    assert is_right(fetched)
    assert lines == []
    assert first.bytes_sent <= len(CONTENT) + 8 * RANGE  # buffers of the cut request, and rounding


def test_the_second_mirror_finishes_what_the_first_began(
    plan: Plan, first: FileServer, second: FileServer
) -> None:
    let_helpers_come(first, 4)
    first.when_sent(8 * RANGE, first.vanish)

    fetched, lines = get(plan)

    assert is_right(fetched)
    assert len(lines) == 1
    assert lines[0].startswith(f"mirror {first.url} failed: ")
    assert 0 < second.bytes_sent < len(CONTENT)


def test_the_second_mirror_starts_over_where_the_first_lied(
    plan: Plan, first: FileServer, second: FileServer
) -> None:
    first.add(corrupted(), times=None)
    first.when_sent(8 * RANGE, first.vanish)

    fetched, _ = get(plan)

    assert is_right(fetched)
    assert second.bytes_sent >= len(CONTENT)  # nothing of the first is kept
    assert [path for path in plan.folder.quarantine.rglob("*") if path.is_file()] != []


def starts(server: FileServer) -> list[int]:
    """Return the first bytes that were asked for, sorted."""
    asked = (request.range or "bytes=0-" for request in server.requests)
    return sorted(int(text.removeprefix("bytes=").partition("-")[0]) for text in asked)


def write_part(plan: Plan, content: bytes, notes: str | None) -> None:
    write_files(plan.folder.partial, {f"{NAME}.part": content})
    if notes is not None:
        (plan.folder.partial / f"{NAME}.part.ranges").write_text(notes)


def with_gap(start: int, stop: int) -> bytes:
    return CONTENT[:start] + bytes(stop - start) + CONTENT[stop:]


@pytest.mark.parametrize("torn", ["", "0 9", f"0 {len(CONTENT)}", "x\n", "\n\n"])
def test_what_is_noted_is_not_fetched_again(plan: Plan, first: FileServer, torn: str) -> None:
    notes = f"0 {2 * RANGE}\n{5 * RANGE} {len(CONTENT)}\n{torn}"
    write_part(plan, with_gap(2 * RANGE, 5 * RANGE), notes)

    fetched, lines = get(plan, jobs=1)

    assert is_right(fetched)
    assert lines == []
    assert sum(request.sent_bytes for request in first.requests) == 3 * RANGE


def test_notes_that_lie_cost_a_second_try(plan: Plan, first: FileServer) -> None:
    write_part(plan, bytes(len(CONTENT)), f"0 {len(CONTENT)}\n")

    fetched, lines = get(plan)

    assert is_right(fetched)
    assert lines == []  # no mirror is blamed
    assert first.bytes_sent >= len(CONTENT)


def test_a_part_without_notes_counts_to_its_end(plan: Plan, first: FileServer) -> None:
    write_part(plan, CONTENT[: 10 * RANGE], None)

    fetched, _ = get(plan)

    assert is_right(fetched)
    assert min(starts(first)) == 10 * RANGE


def test_a_part_that_is_shorter_than_its_journal_counts_to_its_end(
    plan: Plan, first: FileServer
) -> None:
    """As after a power cut: the journal was on the disk, the bytes were not."""
    write_part(plan, CONTENT[: 2 * RANGE], f"0 {5 * RANGE}\n")

    fetched, lines = get(plan)

    assert is_right(fetched)
    assert lines == []
    assert min(starts(first)) == 2 * RANGE
    assert not plan.folder.quarantine.exists()


def test_a_whole_part_is_published_without_a_request(plan: Plan, first: FileServer) -> None:
    write_part(plan, CONTENT, f"0 {len(CONTENT)}\n")

    fetched, _ = get(plan)

    assert is_right(fetched)
    assert first.requests == []
    assert not plan.folder.partial.exists()


def test_a_link_where_the_notes_have_to_be_is_not_followed(plan: Plan, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    write_part(plan, b"", None)
    (plan.folder.partial / f"{NAME}.part.ranges").symlink_to(precious)

    with pytest.raises(FetchError):
        get(plan)

    assert precious.read_text() == "mine"


def test_an_interrupt_in_a_helper_stops_all(plan: Plan, first: FileServer) -> None:
    let_helpers_come(first, 4)
    main = threading.get_ident()

    def interrupt(done: int, total: int) -> None:
        assert threading.get_ident() != main
        if done > 3 * RANGE:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(plan, jobs=4, retry=RETRY, progress=interrupt, range_bytes=RANGE)

    assert is_right(get(plan)[0])


MEASURED = """
import re, sys
from pathlib import Path
from sciml_data.registry.descriptor import read_descriptor
from sciml_data.transfer.download import fetch
from sciml_data.home import Home
from sciml_data.transfer.plan import make_plan
fetch(make_plan(read_descriptor(Path(sys.argv[1])), Home(Path(sys.argv[2]))), jobs=8)
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""  # not ru_maxrss: that is inherited from whoever starts a program


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path, home: Home) -> None:
    """400 MB with all at its default: half the goal of 300 MB, and far below the file."""
    block = CONTENT[: 16 * RANGE]
    path = tmp_path / "served" / "huge.bin"
    path.parent.mkdir()
    with path.open("wb") as stream:
        for _ in range(400):
            stream.write(block)
    with FileServer(path.parent) as server:
        write_dataset(
            tmp_path / "registry",
            {"huge.bin": path.read_bytes()},
            mirrors=[{"": f"{server.url}/"}],
        )
        folder = tmp_path / "registry" / "datapackages" / "tiny" / "1.0"
        shown = subprocess.run(
            [sys.executable, "-c", MEASURED, str(folder), str(home.root)],
            capture_output=True,
            text=True,
            check=True,
        )

    assert int(shown.stdout) < 150_000
