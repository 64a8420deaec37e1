"""Fetching where all goes well, is interrupted, or finds something in its way."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import time
from pathlib import Path

import pytest

from sciml_data.errors import FetchError
from sciml_data.home import Home
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.stages import Plan, PlannedFile
from sciml_data.testing.datasets import write_dataset, write_files
from sciml_data.testing.faults import cut, status
from sciml_data.testing.server import FileServer
from sciml_data.transfer.download import fetch
from sciml_data.transfer.download.partial_file import hash_like
from sciml_data.transfer.plan import make_plan
from sciml_data.transfer.protocols.retry import RetryPolicy
from tests.support.downloads import FOUR_FILES, contents, quick_retry

FILES = FOUR_FILES
RETRY = quick_retry(tries=3)


def test_every_file_arrives_whole(plan: Plan, descriptor: Descriptor) -> None:
    fetched = fetch(plan, retry=RETRY)

    assert contents(fetched.root) == FILES
    assert fetched.manifest == descriptor.manifest
    assert not fetched.is_synthetic
    assert not plan.folder.partial.exists()


def test_a_folder_is_a_mirror(tmp_path: Path, home: Home) -> None:
    write_files(tmp_path / "served", FILES)
    descriptor = write_dataset(tmp_path / "registry", FILES)

    fetched = fetch(make_plan(descriptor, home, mirrors=[f"file:{tmp_path}/served"]))

    assert contents(fetched.root) == FILES


def test_a_tree_of_hosts_is_a_mirror(tmp_path: Path, home: Home) -> None:
    write_files(tmp_path / "tree" / "origin.example" / "x y", FILES)
    descriptor = write_dataset(
        tmp_path / "registry", FILES, mirrors=[{"": "https://origin.example/x%20y/"}]
    )
    with FileServer(tmp_path / "tree") as server:
        plan = make_plan(descriptor, home, mirrors=[server.url])

        assert contents(fetch(plan, retry=RETRY).root) == FILES


def test_what_is_there_is_not_fetched_again(plan: Plan, server: FileServer) -> None:
    fetch(plan, retry=RETRY)
    asked = len(server.requests)

    fetch(plan, retry=RETRY)

    assert len(server.requests) == asked


def test_a_receipt_saves_the_hashing(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch(plan, retry=RETRY)
    hashed: list[Path] = []
    monkeypatch.setattr(
        "sciml_data.transfer.download.local_files.hashes_like", lambda path, _: hashed.append(path)
    )

    fetch(plan, retry=RETRY)

    assert hashed == []


@pytest.mark.parametrize("text", ["", "[]", '{"a.bin": 3}', "\x00"])
def test_a_receipt_that_cannot_be_read_costs_hashing_only(
    plan: Plan, server: FileServer, text: str
) -> None:
    fetch(plan, retry=RETRY)
    plan.folder.stat_cache.write_text(text)
    asked = len(server.requests)

    fetch(plan, retry=RETRY)

    assert len(server.requests) == asked


def test_files_that_came_another_way_are_taken_over(plan: Plan, server: FileServer) -> None:
    write_files(plan.folder.native, FILES)

    fetch(plan, retry=RETRY)

    assert server.requests == []


def test_a_changed_file_is_quarantined_and_fetched(plan: Plan) -> None:
    fetch(plan, retry=RETRY)
    (plan.folder.native / "a.bin").write_bytes(b"changed")
    lines: list[str] = []

    fetch(plan, retry=RETRY, log=lines.append)

    assert contents(plan.folder.native) == FILES
    assert list(contents(plan.folder.quarantine).values()) == [b"changed"]
    assert "a.bin differs from the manifest" in lines[0]


def test_few_connections_carry_many_files(plan: Plan, server: FileServer) -> None:
    fetch(plan, jobs=2, retry=RETRY)

    assert server.connections <= 2


def test_files_are_fetched_at_once(tmp_path: Path, home: Home) -> None:
    """Each of four answers waits until four were asked for."""
    files = {f"{number}.bin": b"x" * (number + 1) for number in range(4)}
    write_files(tmp_path / "served", files)
    barrier = threading.Barrier(4, timeout=60)
    with FileServer(tmp_path / "served") as server:
        server.before = lambda _: barrier.wait()
        descriptor = write_dataset(tmp_path / "registry", files, mirrors=[{"": f"{server.url}/"}])

        fetched = fetch(make_plan(descriptor, home), jobs=4, retry=RETRY)

    assert contents(fetched.root) == files


def test_a_part_goes_on_from_its_last_byte(plan: Plan, server: FileServer) -> None:
    write_files(plan.folder.partial, {"deep/c.bin.part": FILES["deep/c.bin"][:1_000_000]})

    fetch(plan, retry=RETRY)

    assert contents(plan.folder.native) == FILES
    assert {"bytes=1000000-"} == {r.range for r in server.requests if r.path == "deep/c.bin"}
    assert server.bytes_sent == sum(map(len, FILES.values())) - 1_000_000


def test_a_whole_part_is_published_without_a_mirror(plan: Plan) -> None:
    write_files(plan.folder.partial, {f"{path}.part": data for path, data in FILES.items()})
    lone = tuple(dataclasses.replace(file, urls=()) for file in plan.files)

    fetch(dataclasses.replace(plan, files=lone), retry=RETRY)

    assert contents(plan.folder.native) == FILES


@pytest.mark.parametrize("part", [b"z" * 500, b"z" * 10_240, b"z" * 20_000])
def test_a_wrong_part_is_not_trusted(plan: Plan, server: FileServer, part: bytes) -> None:
    """The mirror is not blamed for bytes that it did not send."""
    write_files(plan.folder.partial, {"a.bin.part": part})
    lines: list[str] = []

    fetch(plan, retry=RETRY, log=lines.append)

    assert contents(plan.folder.native) == FILES
    assert lines == []


def test_another_tag_of_the_same_bytes_does_not_discard_them(
    plan: Plan, server: FileServer
) -> None:
    """Replicas behind one name have different dates, and so different tags."""
    server.add(cut(1000), path="a.bin")
    served = server.root / "a.bin"
    server.when_sent(1000, lambda: os.utime(served, ns=(5, 5)))

    fetch(dataclasses.replace(plan, files=plan.files[:1]), retry=RETRY)

    first, second = server.requests
    assert (first.status, first.sent_bytes) == (200, 1000)
    assert (second.range, second.status) == ("bytes=1000-", 206)
    assert "if-range" not in second.headers
    assert (plan.folder.native / "a.bin").read_bytes() == FILES["a.bin"]


def test_a_file_that_changed_between_two_answers_starts_again(
    plan: Plan, server: FileServer
) -> None:
    """The hash finds the mixture; the mirror gets a second try, and only one."""
    right = FILES["a.bin"]
    served = server.root / "a.bin"
    served.write_bytes(bytes(len(right)))
    server.add(cut(1000), path="a.bin")
    server.when_sent(1000, lambda: served.write_bytes(right))

    fetch(dataclasses.replace(plan, files=plan.files[:1]), retry=RETRY)

    assert [(r.range, r.status) for r in server.requests] == [
        (None, 200),
        ("bytes=1000-", 206),
        (None, 200),
    ]
    assert (plan.folder.native / "a.bin").read_bytes() == right


def test_a_part_of_a_dataset_is_noted(descriptor: Descriptor, home: Home) -> None:
    fetched = fetch(make_plan(descriptor, home, split="deep"), retry=RETRY)
    noted = json.loads((fetched.folder.root / "asked.json").read_text())["paths"]
    assert noted == ["deep/c.bin", "deep/er/b.bin"]
    assert [entry.path for entry in fetched.manifest] == noted

    fetch(make_plan(descriptor, home, include=["a.bin", "empty.bin"]), retry=RETRY)
    assert json.loads((fetched.folder.root / "asked.json").read_text())["paths"] is None


def test_progress_ends_at_the_total(plan: Plan, server: FileServer) -> None:
    write_files(plan.folder.partial, {"a.bin.part": FILES["a.bin"][:5]})
    server.add(cut(70), path="deep/c.bin")
    lines: list[tuple[int, int]] = []

    fetch(plan, retry=RETRY, progress=lambda done, total: lines.append((done, total)))

    total = sum(map(len, FILES.values()))
    assert lines[-1] == (total, total)


def test_an_interrupt_stops_all_and_keeps_the_parts(plan: Plan, server: FileServer) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > 300_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(plan, jobs=1, retry=RETRY, progress=interrupt)

    kept = contents(plan.folder.partial)["deep/c.bin.part"]
    assert 0 < len(kept) < 1_500_000
    assert contents(fetch(plan, retry=RETRY).root) == FILES


def test_an_interrupt_ends_the_waits_of_other_files(plan: Plan, server: FileServer) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    server.add(status(503), path="a.bin", times=None)
    began = time.monotonic()

    with pytest.raises(KeyboardInterrupt):
        fetch(plan, progress=interrupt, retry=RetryPolicy(first_wait_s=600, max_wait_s=600))

    assert time.monotonic() - began < 60


def test_all_failures_are_told_at_once_and_the_rest_stays(plan: Plan, server: FileServer) -> None:
    server.add(status(404), path="a.bin", times=None)
    server.add(status(503), path="deep/er/*", times=None)

    with pytest.raises(FetchError, match=r"2 of 4 files of tiny 1\.0") as error:
        fetch(plan, retry=RETRY)

    assert [(p.place, p.message.rpartition(": ")[2]) for p in error.value.problems] == [
        ("a.bin", "404 Not Found"),
        ("deep/er/b.bin", "503 Service Unavailable"),
    ]
    assert server.url in error.value.message
    assert set(contents(plan.folder.native)) == {"deep/c.bin", "empty.bin"}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        # `printf hello | git hash-object --stdin`, `… | md5sum`
        ("gitblob", "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"),
        ("md5", "5d41402abc4b2a76b9719d911017c592"),
    ],
)
def test_other_hashes_hold_a_file_too(
    plan: Plan, server: FileServer, kind: str, expected: str
) -> None:
    write_files(server.root, {"hello": b"hello"})
    file = PlannedFile("hello", 5, f"{kind}:{expected}", (f"{server.url}/hello",))

    fetched = fetch(dataclasses.replace(plan, files=(file,)), retry=RETRY)

    assert hash_like(fetched.root / "hello", f"{kind}:") == f"{kind}:{expected}"
