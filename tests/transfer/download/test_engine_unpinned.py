"""Versions that nobody has pinned: sha256 as it arrives, the listed ETag held, both kept."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from sciml_data.errors import FetchError
from sciml_data.home import DatasetFolder, Home
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.manifest import Entry, Manifest, manifest_of, read_manifest
from sciml_data.registry.stages import Plan, PlannedFile
from sciml_data.testing.datasets import write_files, write_unpinned
from sciml_data.testing.faults import corrupted, cut, status
from sciml_data.testing.s3_server import S3Server
from sciml_data.transfer.download import fetch
from sciml_data.transfer.protocols.retry import RetryPolicy

PART = 1000
FILES = {"a.bin": b"a" * 700, "deep/b.bin": bytes(range(256)) * 40, "deep/c.bin": b""}
RETRY = RetryPolicy(tries=3, last_tries=3, pause=lambda _: None)
Plans = Callable[..., Plan]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    write_files(tmp_path / "served" / "bucket", FILES)
    with S3Server(tmp_path / "served", part_bytes={"*/b.bin": PART}) as server:
        yield server


@pytest.fixture
def descriptor(tmp_path: Path, server: S3Server) -> Descriptor:
    return write_unpinned(tmp_path / "registry", mirrors=[{"": f"{server.url}/bucket/"}])


@pytest.fixture
def folder(home: Home) -> DatasetFolder:
    return home.dataset("tiny", "1.0")


@pytest.fixture
def plan(descriptor: Descriptor, server: S3Server, folder: DatasetFolder) -> Plan:
    """Every file with the ETag that the server lists."""
    files = (
        PlannedFile(
            path,
            len(content),
            None,
            (f"{server.url}/bucket/{path}",),
            etag(server, path, PART),
        )
        for path, content in FILES.items()
    )
    return Plan(descriptor, tuple(files), folder)


def etag(server: S3Server, path: str, part_bytes: int) -> str:
    """Return the ETag as a hash that can be held."""
    text = server.describe("bucket", path)["ETag"].strip('"')
    return f"s3etag:{text}:{part_bytes}" if "-" in text else f"md5:{text}"


def with_file(plan: Plan, path: str, change: Callable[[PlannedFile], PlannedFile]) -> Plan:
    """Return a plan in which one file is another."""
    files = tuple(change(file) if file.path == path else file for file in plan.files)
    return dataclasses.replace(plan, files=files)


def manifest(files: Mapping[str, bytes]) -> Manifest:
    return Manifest(
        tuple(
            sorted(
                Entry(path, len(content), f"sha256:{hashlib.sha256(content).hexdigest()}")
                for path, content in files.items()
            )
        )
    )


def test_what_arrived_is_named_by_its_sha256_and_kept(plan: Plan, folder: DatasetFolder) -> None:
    fetched = fetch(plan, retry=RETRY)

    assert fetched.manifest == manifest(FILES)
    assert read_manifest(folder.manifest) == manifest(FILES)
    assert manifest_of(folder.native) == manifest(FILES)


def test_a_file_whose_etag_says_nothing_is_still_named(plan: Plan) -> None:
    plan = with_file(plan, "a.bin", lambda file: dataclasses.replace(file, etag=None))

    assert fetch(plan, retry=RETRY).manifest == manifest(FILES)


def test_a_part_that_nothing_would_hold_is_fetched_again(plan: Plan, server: S3Server) -> None:
    plan = with_file(plan, "a.bin", lambda file: dataclasses.replace(file, etag=None))
    write_files(plan.folder.partial, {"a.bin.part": b"z" * 700})

    assert fetch(plan, retry=RETRY).manifest == manifest(FILES)


@pytest.mark.parametrize("tag", ["same", "other", "two"])
def test_a_large_part_is_gone_on_with_under_the_tag_that_it_came_under(
    plan: Plan, server: S3Server, tag: str
) -> None:
    """Where the parts of an ETag are not known nothing else tells that the bytes fit."""
    path, content = "deep/b.bin", FILES["deep/b.bin"]
    plan = with_file(plan, path, lambda file: dataclasses.replace(file, etag=None))
    own = server.describe("bucket", path)["ETag"]
    tags = {"same": [own], "other": ['"0123-4"'], "two": [own, '"0123-4"']}[tag]
    notes = "".join(f"tag {one}\n" for one in tags) + "0 4000\n"
    write_files(
        plan.folder.partial,
        {f"{path}.part": content[:4000], f"{path}.part.ranges": notes.encode()},
    )

    fetched = fetch(plan, retry=RETRY, range_bytes=1000, jobs=1)

    asked = [request.range for request in server.requests if request.path.endswith("b.bin")]
    assert fetched.manifest == manifest(FILES)
    assert asked[0] == (None if tag == "two" else "bytes=4000-")
    is_whole_sent = server.bytes_sent >= sum(map(len, FILES.values()))
    assert is_whole_sent is (tag != "same")


def test_what_is_there_is_neither_asked_for_nor_read(
    plan: Plan, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fetch(plan, retry=RETRY)
    plan.folder.manifest.unlink()  # as after a kill
    server.requests.clear()
    read: list[Path] = []
    monkeypatch.setattr(
        "sciml_data.transfer.download.local_files.hashes_like", lambda path, _: read.append(path)
    )

    again = fetch(plan, retry=RETRY)

    assert again.manifest == first.manifest == read_manifest(plan.folder.manifest)
    assert (server.requests, read) == ([], [])


def test_a_whole_part_with_the_listed_etag_is_published_without_a_request(
    plan: Plan, server: S3Server
) -> None:
    write_files(plan.folder.partial, {"a.bin.part": FILES["a.bin"]})

    fetched = fetch(plan, retry=RETRY)

    assert fetched.manifest == manifest(FILES)
    assert "bucket/a.bin" not in {request.path for request in server.requests}


def test_what_came_another_way_is_hashed_and_its_etag_held(plan: Plan, server: S3Server) -> None:
    write_files(plan.folder.native, {**FILES, "a.bin": b"x" * 700})
    lines: list[str] = []

    fetched = fetch(plan, retry=RETRY, log=lines.append)

    assert fetched.manifest == manifest(FILES)
    assert [request.path for request in server.requests] == ["bucket/a.bin"]
    assert len(lines) == 1
    assert lines[0].startswith("a.bin differs from the listing")


def test_bytes_that_do_not_fit_the_etag_are_refused(
    plan: Plan, server: S3Server, folder: DatasetFolder
) -> None:
    server.add(corrupted(), path="bucket/a.bin", times=None)

    with pytest.raises(FetchError, match=r"1 of 3 files") as error:
        fetch(plan, retry=RETRY)

    (problem,) = error.value.problems
    listed = hashlib.md5(FILES["a.bin"], usedforsecurity=False).hexdigest()
    assert problem.place == "a.bin"
    assert f"of its listed ETag, md5 {listed[:12]}.. expected" in problem.message
    assert [path.name[:6] for path in folder.quarantine.iterdir()] == ["a.bin."]
    kept = {path: content for path, content in FILES.items() if path != "a.bin"}
    assert read_manifest(folder.manifest) == manifest(kept)


def test_an_etag_of_parts_is_held_and_the_assumed_part_size_told(
    plan: Plan, server: S3Server
) -> None:
    server.add(corrupted(), path="bucket/deep/b.bin", times=None)

    with pytest.raises(FetchError) as error:
        fetch(plan, retry=RETRY)

    (problem,) = error.value.problems
    assert "(with parts of 1000 bytes, which are assumed)" in problem.message


@pytest.mark.parametrize("path", ["a.bin", "deep/b.bin"])
def test_an_object_with_another_etag_than_listed_is_named(
    plan: Plan, server: S3Server, path: str
) -> None:
    content = FILES[path]
    write_files(server.root, {f"bucket/{path}": content[:-1] + b"!"})

    with pytest.raises(FetchError) as error:
        fetch(plan, retry=RETRY)

    (problem,) = error.value.problems
    assert problem.place == path
    assert "changed since it was listed: ETag" in problem.message
    assert not (plan.folder.native / path).exists()
    assert server.requests[-1].sent_bytes < 100_000


def test_another_mirror_may_have_been_filled_in_other_parts(
    plan: Plan, server: S3Server, tmp_path: Path
) -> None:
    with S3Server(server.root, part_bytes={"*/b.bin": 3 * PART}) as other:
        path = "deep/b.bin"
        urls = (f"{server.url}/bucket/{path}", f"{other.url}/bucket/{path}")
        both = with_file(plan, path, lambda file: dataclasses.replace(file, urls=urls))
        server.add(status(404), path=f"bucket/{path}", times=None)

        fetched = fetch(both, retry=RETRY)

    assert fetched.manifest == manifest(FILES)


def test_what_differs_from_what_was_fetched_first_is_refused(plan: Plan, server: S3Server) -> None:
    first = fetch(plan, retry=RETRY).manifest.by_path["a.bin"].hash
    (plan.folder.native / "a.bin").unlink()
    write_files(server.root, {"bucket/a.bin": b"z" * 700})

    known = with_file(plan, "a.bin", lambda file: dataclasses.replace(file, hash=first))
    with pytest.raises(FetchError) as error:
        fetch(known, retry=RETRY)

    (problem,) = error.value.problems
    assert f"not what was fetched first: sha256 {first[7:19]}.. expected" in problem.message
    assert read_manifest(plan.folder.manifest).by_path["a.bin"].hash == first


def test_a_run_that_fails_keeps_what_arrived(
    plan: Plan, server: S3Server, folder: DatasetFolder
) -> None:
    server.add(status(403), path="bucket/a.bin", times=None)

    with pytest.raises(FetchError):
        fetch(plan, retry=RETRY)

    kept = {path: content for path, content in FILES.items() if path != "a.bin"}
    assert read_manifest(folder.manifest) == manifest(kept)


def test_a_run_that_is_stopped_keeps_what_arrived(plan: Plan, folder: DatasetFolder) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > 10_240:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(plan, jobs=1, retry=RETRY, progress=interrupt)

    assert read_manifest(folder.manifest) == manifest({"deep/b.bin": FILES["deep/b.bin"]})


def test_parts_of_a_version_add_up(plan: Plan, folder: DatasetFolder) -> None:
    for file in plan.files:
        fetch(dataclasses.replace(plan, files=(file,), is_whole=False), retry=RETRY)

    assert read_manifest(folder.manifest) == manifest(FILES)


def test_a_cut_goes_on_and_both_hashes_are_right(plan: Plan, server: S3Server) -> None:
    server.add(cut(1234), path="bucket/deep/b.bin")

    assert fetch(plan, retry=RETRY).manifest == manifest(FILES)
    assert [r.range for r in server.requests if r.path.endswith("b.bin")] == [None, "bytes=1234-"]


def test_a_large_file_in_ranges_has_both_hashes_right(
    descriptor: Descriptor, server: S3Server, folder: DatasetFolder
) -> None:
    content = hashlib.shake_256(b"large").digest(300_000)
    write_files(server.root, {"bucket/large.b.bin": content, "bucket/deep/b.bin": content})
    url = f"{server.url}/bucket/deep/b.bin"
    file = PlannedFile("b.bin", 300_000, None, (url,), etag(server, "deep/b.bin", PART))
    assert "-300:" in (file.etag or "")

    fetched = fetch(Plan(descriptor, (file,), folder), jobs=4, retry=RETRY, range_bytes=1 << 15)

    assert fetched.manifest == manifest({"b.bin": content})
