"""Any framing, any cut: exactly the listed bytes are published, or no byte."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sciml_data.curate.pin import pin_fetched
from sciml_data.errors import FetchError, VerificationError
from sciml_data.home import Home
from sciml_data.registry.manifest import Entry, Manifest, read_manifest
from sciml_data.registry.stages import Plan, PlannedFile
from sciml_data.testing.datasets import write_dataset, write_files, write_unpinned
from sciml_data.transfer.download import fetch
from sciml_data.transfer.download.local_files import StatCache
from sciml_data.transfer.listing.listing import ListedFile, new_listing, save_listing
from sciml_data.transfer.verification import load_fetched, repair, verify
from tests.support.downloads import contents, quick_retry
from tests.support.raw_server import RawRequest, RawServer, chunked

CONTENT = hashlib.shake_256(b"framings").digest(3000)
NAME = "dir/file.bin"
HASH = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
MD5 = f"md5:{hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()}"
LARGE = 512  # range size with which the file is large
EXAMPLES = 200 if "SCIML_ATTACK" in os.environ else 40  # for each kind of plan and size
EXTRA = b"<html>proxy says hello</html>"


@dataclass(frozen=True)
class Reply:
    """One answer of the server.

    Attributes:
        framing: how the end of the body is marked.
        extra: bytes after the content.
        cut: bytes of the body that are sent; None sends all.
        tag: header that identifies the content.
        shift: added to the offset that was requested, in the header and in the body.
        total: added to the size of the file in Content-Range; None sends `*`.
        partial: whether a request for a range gets a range, and any other gets a part.
        flip: whether a byte is wrong.
    """

    framing: str
    extra: bytes = b""
    cut: int | None = None
    tag: bytes = b'ETag: "one"\r\n'
    shift: int = 0
    total: int | None = 0
    partial: bool = True
    flip: bool = False

    def pieces(self, request: RawRequest) -> Iterator[bytes]:
        start, stop, status = 0, len(CONTENT), b"200 OK"
        headers = self.tag
        if (self.partial and request.start is not None) or self.shift:
            start = min(max((request.start or 0) + self.shift, 0), len(CONTENT) - 1)
            stop = max(min((request.last or stop) + 1, stop), start + 1)
            size = b"*" if self.total is None else b"%d" % (len(CONTENT) + self.total)
            status = b"206 Partial Content"
            headers += b"Content-Range: bytes %d-%d/%s\r\n" % (start, stop - 1, size)
        body = CONTENT[start:stop] + self.extra
        if self.flip:
            body = bytes([body[0] ^ 1]) + body[1:]
        version = b"HTTP/1.0" if self.framing == "http10" else b"HTTP/1.1"
        if self.framing == "length":
            headers += b"Content-Length: %d\r\n" % len(body)
        elif self.framing == "short":
            headers += b"Content-Length: %d\r\n" % (len(body) // 2)
        elif self.framing == "long":
            headers += b"Content-Length: %d\r\n" % (len(body) + 100)
        elif self.framing == "chunked":
            headers += b"Transfer-Encoding: chunked\r\n"
            body = chunked(body)
        yield b"%s %s\r\nConnection: close\r\n%s\r\n" % (version, status, headers)
        yield body[: self.cut]


HONEST = Reply("length")
FRAMINGS = ["length", "short", "long", "chunked", "none", "http10"]
REPLIES = st.builds(
    Reply,
    framing=st.sampled_from(FRAMINGS),
    extra=st.sampled_from([b"", b"", b"!", EXTRA, EXTRA * 200]),
    cut=st.none() | st.integers(0, len(CONTENT) + 40),
    tag=st.sampled_from([b"", b'ETag: "one"\r\n', b"Last-Modified: yesterday\r\n"]),
    shift=st.sampled_from([0, 0, 0, -1, 7]),
    total=st.sampled_from([0, 0, None, 29, -1]),
    partial=st.booleans(),
)
# Wrong bytes of the right number can only be noticed with a hash.
WRONG_REPLIES = st.builds(dataclasses.replace, REPLIES, flip=st.booleans())


class Script:
    """Answers with replies in order, and honestly after the last."""

    def __init__(self) -> None:
        self.replies: Iterator[Reply] = iter(())

    def __call__(self, request: RawRequest) -> Iterable[bytes]:
        return next(self.replies, HONEST).pieces(request)

    def set(self, replies: Iterable[Reply]) -> None:
        self.replies = iter([*replies])


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def server(script: Script) -> Iterator[RawServer]:
    with RawServer(script) as server:
        yield server


@pytest.fixture(params=["pinned", "etag", "bare"])
def plan(request: pytest.FixtureRequest, tmp_path: Path, home: Home, server: RawServer) -> Plan:
    """Return the plan of one file: with its hash, with its listed ETag, or with its size only."""
    kind = request.param
    mirrors = [{"": f"{server.url}/"}]
    if kind == "pinned":
        descriptor = write_dataset(tmp_path / "registry", {NAME: CONTENT}, mirrors=mirrors)
    else:
        descriptor = write_unpinned(tmp_path / "registry", mirrors=mirrors)
    file = PlannedFile(
        NAME,
        len(CONTENT),
        HASH if kind == "pinned" else None,
        (f"{server.url}/{NAME}",),
        MD5 if kind == "etag" else None,
    )
    return Plan(descriptor, (file,), home.dataset("tiny", "1.0"))


def published(plan: Plan) -> bytes | None:
    place = plan.folder.native / NAME
    return place.read_bytes() if place.is_file() else None


def check_all_or_nothing(
    plan: Plan, script: Script, replies: list[Reply], range_bytes: int
) -> None:
    (plan.folder.native / NAME).unlink(missing_ok=True)
    script.set(replies)
    try:
        fetch(plan, jobs=3, retry=quick_retry(read_s=2.0), range_bytes=range_bytes)
    except FetchError:
        assert published(plan) is None
        # What is left of the failure does not stand in the way of an honest server.
        script.set([])
        fetch(plan, jobs=3, retry=quick_retry(), range_bytes=range_bytes)
    assert published(plan) == CONTENT


@pytest.mark.parametrize("range_bytes", [1 << 20, LARGE], ids=["one", "ranges"])
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=EXAMPLES,
)
@given(data=st.data())
def test_the_listed_bytes_are_published_or_no_byte(
    plan: Plan, script: Script, range_bytes: int, data: st.DataObject
) -> None:
    (file,) = plan.files
    replies = REPLIES if file.hash is None and file.etag is None else WRONG_REPLIES

    check_all_or_nothing(
        plan, script, data.draw(st.lists(replies, min_size=1, max_size=6)), range_bytes
    )


@pytest.mark.parametrize("range_bytes", [1 << 20, LARGE], ids=["one", "ranges"])
@pytest.mark.parametrize("extra", [b"!", EXTRA, EXTRA * 200])
@pytest.mark.parametrize("framing", ["none", "http10", "chunked"])
def test_a_body_that_is_longer_than_listed_is_not_published(
    plan: Plan, script: Script, framing: str, extra: bytes, range_bytes: int
) -> None:
    """Of case security-oversize-body: the size is only known from the listing."""
    script.set(itertools.repeat(Reply(framing, extra, tag=b""), 3))

    check_all_or_nothing(plan, script, [Reply(framing, extra, tag=b"")] * 20, range_bytes)


def test_answers_of_a_few_bytes_each_do_not_take_for_ever(plan: Plan, server: RawServer) -> None:
    def one_byte(request: RawRequest) -> Iterable[bytes]:
        at = request.start or 0
        yield b"HTTP/1.1 206 x\r\nConnection: close\r\nContent-Length: 1\r\n"
        yield b'ETag: "one"\r\nContent-Range: bytes %d-%d/3000\r\n\r\n' % (at, at)
        yield CONTENT[at : at + 1]

    server.answer = one_byte

    with pytest.raises(FetchError):
        fetch(plan, retry=quick_retry())
    assert len(server.requests) < 10


@pytest.fixture
def old(plan: Plan) -> Plan:
    """Return a plan whose home has a longer file than is listed, and its hash as that of the file.

    That is what a call stored which did not compare the size.
    """
    if plan.descriptor.manifest is not None:
        pytest.skip("a pinned version has no stored manifest")
    wrong = CONTENT + EXTRA
    digest = f"sha256:{hashlib.sha256(wrong).hexdigest()}"
    write_files(plan.folder.native, {NAME: wrong})
    plan.folder.manifest.write_text(Manifest((Entry(NAME, len(CONTENT), digest),)).dump())
    listed = ListedFile(NAME, len(CONTENT), "", "", plan.files[0].urls[0])
    save_listing(new_listing([listed]), plan.folder.listing)
    cache = StatCache(plan.folder.stat_cache, plan.folder.native)
    cache.add(NAME, digest)
    cache.save()
    return dataclasses.replace(plan, files=(dataclasses.replace(plan.files[0], hash=digest),))


def test_get_trusts_the_listing_more_than_a_stored_hash_of_a_longer_file(old: Plan) -> None:
    lines: list[str] = []

    fetch(old, retry=quick_retry(), log=lines.append)

    assert published(old) == CONTENT
    assert read_manifest(old.folder.manifest).by_path[NAME].hash == HASH
    assert list(contents(old.folder.quarantine).values()) == [CONTENT + EXTRA]
    assert f"{NAME}: {len(CONTENT)} bytes are listed" in lines[0]
    assert verify(load_fetched(old.descriptor, old.folder)).manifest.by_path[NAME].hash == HASH


def test_verify_names_a_file_that_is_longer_than_listed_and_repair_fetches_it(old: Plan) -> None:
    digest = old.files[0].hash or ""
    # The stored size may be wrong as well as the hash.
    wrong = Manifest((Entry(NAME, len(CONTENT + EXTRA), digest),))
    old.folder.manifest.write_text(wrong.dump())
    fetched = load_fetched(old.descriptor, old.folder)

    with pytest.raises(VerificationError) as error:
        verify(fetched)
    with pytest.raises(VerificationError):
        pin_fetched(old.descriptor, old.folder)
    repaired = repair(fetched, old, retry=quick_retry())

    assert [problem.place for problem in error.value.problems] == [NAME]
    assert repaired.manifest.by_path[NAME] == Entry(NAME, len(CONTENT), HASH)
    assert published(old) == CONTENT


def test_a_stored_hash_outlives_an_edit_of_its_file(old: Plan) -> None:
    """Only a hash that is really that of the longer file contradicts the listing."""
    right = Manifest((Entry(NAME, len(CONTENT), HASH),))
    old.folder.manifest.write_text(right.dump())
    write_files(old.folder.native, {NAME: CONTENT + b"edited"})
    plan = dataclasses.replace(old, files=(dataclasses.replace(old.files[0], hash=HASH),))
    lines: list[str] = []

    fetch(plan, retry=quick_retry(), log=lines.append)

    assert published(plan) == CONTENT
    assert [line for line in lines if "stored hash" in line] == []
