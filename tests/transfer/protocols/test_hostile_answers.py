"""Answers that no honest server sends: one mirror fails, in bounded time, and the next is asked."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sciml_data.errors import CallError, FetchError, printable
from sciml_data.home import Home
from sciml_data.testing.datasets import write_files, write_unpinned
from sciml_data.testing.s3_server import S3Server
from sciml_data.testing.server import FileServer
from sciml_data.transfer.download import fetch
from sciml_data.transfer.plan import make_plan
from sciml_data.transfer.protocols import SourceError
from sciml_data.transfer.protocols.fdsn.service import Clock, Service
from sciml_data.transfer.protocols.fdsn.windows import BodyError, Window, read_window
from sciml_data.transfer.protocols.mirrors import Sources, mirror_base
from sciml_data.transfer.protocols.retry import RetryPolicy, retry_after_s
from sciml_data.transfer.protocols.s3 import list_bucket
from sciml_data.transfer.protocols.source import Timeouts
from tests.support.downloads import contents, plan_from, quick_retry
from tests.support.raw_server import RawRequest, RawServer, chunked

CONTENT = hashlib.shake_256(b"hostile").digest(3000)
NAME = "dir/file.bin"
NINES = b"9" * 5000
READ_S = 0.5
BOUND_S = 60.0  # several tries of half a second each, on a busy machine; a drip lasts 200 s

OK = b"HTTP/1.1 200 OK\r\n"
HEADERS = {
    "a length of 5,000 digits": OK + b"Content-Length: %s\r\n\r\n" % NINES,
    "two lengths": OK + b"Content-Length: 3000\r\nContent-Length: 2\r\n\r\n",
    "a negative length": OK + b"Content-Length: -5\r\n\r\n",
    "a range of 5,000 digits": b"HTTP/1.1 206 x\r\nContent-Length: 0\r\n"
    b"Content-Range: bytes 0-%s/9\r\n\r\n" % NINES,
    "a total of 5,000 digits": b"HTTP/1.1 206 x\r\nContent-Length: 0\r\n"
    b"Content-Range: bytes 0-2999/%s\r\n\r\n" % NINES,
    "a wait of 5,000 digits": b"HTTP/1.1 503 x\r\nContent-Length: 0\r\nRetry-After: %s\r\n\r\n"
    % NINES,
    "a wait until an impossible date": b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n"
    b"Retry-After: Mon, 01 Jan 99999 00:00:00 GMT\r\n\r\n",
    "a redirect to half an address": b"HTTP/1.1 302 x\r\nLocation: http://[\r\n\r\n",
    "a redirect to a port of 5,000 digits": b"HTTP/1.1 302 x\r\nLocation: http://h:%s/\r\n\r\n"
    % NINES,
    "a redirect to control characters": b"HTTP/1.1 302 x\r\nLocation: http://h\x1b[2J\x7f/\r\n\r\n",
    "a redirect to nowhere": b"HTTP/1.1 301 x\r\nx-amz-bucket-region: \x1b[31m\r\n\r\n",
    "a redirect to itself": b"HTTP/1.1 302 x\r\nLocation: /%s\r\nContent-Length: 0\r\n\r\n"
    % NAME.encode(),
    "a hundred thousand headers": OK + b"X: y\r\n" * 100_000 + b"\r\n",
    "a header of a megabyte": OK + b"X: %s\r\n\r\n" % (b"y" * (1 << 20)),
    "a status of 5,000 digits": b"HTTP/1.1 %s x\r\n\r\n" % NINES,
    "a status in another alphabet": "HTTP/1.1 ٢٠٠ x\r\n\r\n".encode(),
    "another protocol": b"220 ftp.example.org ready\r\n",
    "no byte": b"",
    "a reason that clears the screen": b"HTTP/1.1 404 \x1b[2J\x1b]0;x\x07\x9b\r\n\r\n",
    "a chunk of 5,000 digits": OK + b"Transfer-Encoding: chunked\r\n\r\n%s\r\n" % NINES,
    "a chunk of a negative size": OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n" + CONTENT[::-1],
    "a chunk of another number": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + CONTENT,
    "a tag of two lines": OK + b'ETag: "a\r\n b"\r\nContent-Length: 3000\r\n\r\n' + CONTENT[:100],
    "a tag of a megabyte": OK
    + b'ETag: "%s"\r\nContent-Length: 3000\r\n\r\n' % (b"a" * 60_000)
    + CONTENT[:100],
    "a page that claims to be an error of S3": b"HTTP/1.1 403 x\r\nContent-Type: text/xml\r\n"
    b"Content-Length: 9000000\r\n\r\n" + b"<Error>" * 3000 + b"<Code>\x1b[2J</Code>",
}


def drip(head: bytes, piece: bytes) -> Iterator[bytes]:
    """Send a head, and then a piece again and again, until the client goes away."""
    yield head
    for _ in range(10_000):
        time.sleep(0.02)
        yield piece


DRIPS = {
    "a header": (OK + b"X: ", b"y"),
    "a status line": (b"HT", b"T"),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "headers": (OK, b"X: y\r\n"),
    "a chunk extension": (OK + b"Transfer-Encoding: chunked\r\n\r\n5;", b"x"),
    "trailers": (OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(CONTENT)[:-2], b"X: y\r\n"),
    "a body": (OK + b"Content-Length: 3000\r\n\r\n", b"z"),
    "an error page": (b"HTTP/1.1 404 x\r\nContent-Length: 90000\r\n\r\n", b"z"),
}


@pytest.fixture
def honest(tmp_path: Path) -> Iterator[FileServer]:
    write_files(tmp_path / "served", {NAME: CONTENT})
    with FileServer(tmp_path / "served") as server:
        yield server


@pytest.mark.parametrize("name", HEADERS)
def test_a_bad_header_of_one_mirror_fails_that_mirror_only(
    tmp_path: Path, home: Home, honest: FileServer, name: str
) -> None:
    lines: list[str] = []
    with RawServer(lambda _: [HEADERS[name]]) as hostile:
        plan = plan_from(tmp_path, {NAME: CONTENT}, [hostile.url, honest.url], home)
        fetched = fetch(plan, retry=quick_retry(read_s=READ_S), log=lines.append)

    assert contents(fetched.root) == {NAME: CONTENT}
    assert lines
    assert all(line.isprintable() and len(line) < 3000 for line in lines)


@pytest.mark.parametrize("name", HEADERS)
def test_a_bad_header_of_the_only_mirror_is_a_sentence(
    tmp_path: Path, home: Home, name: str
) -> None:
    with RawServer(lambda _: [HEADERS[name]]) as hostile:
        plan = plan_from(tmp_path, {NAME: CONTENT}, [hostile.url], home)
        with pytest.raises(FetchError) as error:
            fetch(plan, retry=quick_retry(read_s=READ_S))

    (problem,) = error.value.problems
    assert problem.place == NAME
    assert problem.message.isprintable()
    assert not (plan.folder.native / NAME).exists()


@pytest.mark.parametrize("name", DRIPS)
def test_a_server_that_drips_is_left_in_bounded_time(
    tmp_path: Path, home: Home, honest: FileServer, name: str
) -> None:
    since = time.monotonic()
    with RawServer(lambda _: drip(*DRIPS[name])) as slow:
        plan = plan_from(tmp_path, {NAME: CONTENT}, [slow.url, honest.url], home)
        fetched = fetch(plan, retry=quick_retry(tries=2, read_s=READ_S))
        elapsed_s = time.monotonic() - since

    assert contents(fetched.root) == {NAME: CONTENT}
    assert elapsed_s < BOUND_S


def test_a_pipe_in_the_folder_of_a_mirror_does_not_block(
    tmp_path: Path, home: Home, honest: FileServer
) -> None:
    (tmp_path / "pipes" / "dir").mkdir(parents=True)
    os.mkfifo(tmp_path / "pipes" / NAME)
    descriptor = plan_from(tmp_path, {NAME: CONTENT}, [honest.url], home).descriptor
    plan = make_plan(descriptor, home, mirrors=[f"file:{tmp_path}/pipes"])

    assert contents(fetch(plan, retry=quick_retry()).root) == {NAME: CONTENT}


def test_half_an_address_of_a_mirror_is_a_wrong_call() -> None:
    with pytest.raises(CallError):
        mirror_base("http://[")


def page(text: str, more: str = "<IsTruncated>false</IsTruncated>") -> bytes:
    return f'<?xml version="1.0"?><ListBucketResult>{more}{text}</ListBucketResult>'.encode()


def contents_of(key: str, size: str = "1", etag: str = "") -> str:
    return f"<Contents><Key>{key}</Key><Size>{size}</Size><ETag>{etag}</ETag></Contents>"


PAGES = {
    "a size of 5,000 digits": page(contents_of("set/a", NINES.decode())),
    "a size of 4,000 digits": page(contents_of("set/a", "9" * 4000)),
    "a negative size": page(contents_of("set/a", "-1")),
    "a size in another alphabet": page(contents_of("set/a", "\N{ARABIC-INDIC DIGIT ONE}")),
    "a key of a megabyte": page(contents_of("set/" + "a" * (1 << 20))),
    "a key with an escape": page(contents_of("set/a%1B[2J"), "<IsTruncated>false</IsTruncated>"
                                 "<EncodingType>url</EncodingType>"),
    "a key out of the folder": page(contents_of("set/../../etc/passwd")),
    "entities": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    b"<ListBucketResult>&b;</ListBucketResult>",
    "elements in elements": b"<ListBucketResult>" + b"<a>" * 100_000,
    "elements without number": b"<ListBucketResult>" + b"<a/>" * 300_000 + b"</ListBucketResult>",
    "an unknown encoding": b'<?xml version="1.0" encoding="x-none"?><ListBucketResult/>',
    "an encoding of many bytes": b'<?xml version="1.0" encoding="shift_jis"?><ListBucketResult/>',
    "no UTF-8": b'<?xml version="1.0"?><ListBucketResult>\xff\xfe</ListBucketResult>',
    "a page of 20 MB": page(" " * (20 << 20)),
    "a count of 5,000 digits": page(f"<KeyCount>{NINES.decode()}</KeyCount>"),
    "a token of a megabyte": page(contents_of("set/a"), "<IsTruncated>true</IsTruncated>"
                                  f"<NextContinuationToken>{'t' * (1 << 20)}"
                                  "</NextContinuationToken>"),
    "an error with an escape": b"<Error><Code>\xc2\x9b2J</Code></Error>",
    "another root": b"<?xml version='1.0'?><html/>",
}  # fmt: skip


def answer_with(body: bytes) -> Iterable[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(
        body
    )
    yield body


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[S3Server]:
    write_files(tmp_path / "served" / "bucket", {f"set/{NAME}": CONTENT})
    with S3Server(tmp_path / "served") as server:
        yield server


@pytest.mark.parametrize("name", PAGES)
def test_a_bad_listing_of_one_mirror_fails_that_mirror_only(
    tmp_path: Path, home: Home, bucket: S3Server, name: str
) -> None:
    lines: list[str] = []
    with RawServer(lambda _: answer_with(PAGES[name])) as hostile:
        descriptor = write_unpinned(
            tmp_path / "registry",
            mirrors=[{"": f"{url}/bucket/set/"} for url in (hostile.url, bucket.url)],
        )
        plan = make_plan(descriptor, home, log=lines.append, retry=quick_retry(read_s=5.0))

    assert [file.path for file in plan.files] == [NAME]
    assert any("mirror-0 is skipped" in line for line in lines)
    assert all(line.isprintable() and len(line) < 3000 for line in lines)


@pytest.mark.parametrize("objects", [0, 1])
def test_a_listing_without_end_ends(objects: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sciml_data.transfer.protocols.s3.MAX_OBJECTS", 50)
    numbers = itertools.count()

    def endless(_: RawRequest) -> Iterable[bytes]:
        number = next(numbers)
        more = (
            "<IsTruncated>true</IsTruncated>"
            f"<NextContinuationToken>{number}</NextContinuationToken>"
        )
        return answer_with(page(contents_of(f"{number:09}") * objects, more))

    with (
        RawServer(endless) as server,
        Sources(connections=1, timeouts=Timeouts()) as sources,
        pytest.raises(SourceError),
    ):
        list(list_bucket(f"{server.url}/b/", sources.of("http:"), quick_retry()))
    assert next(numbers) < 100


COUNTS = {
    "a number of 5,000 digits": b'{"count": %s}' % NINES,
    "an infinite number": b'{"count": 1e999}',
    "no number": b'{"count": NaN}',
    "a negative number": b'{"count": -1}',
    "a list": b"[1, 2]",
    "nothing": b"null",
    "lists in lists": b"[" * 60_000,
    "no UTF-8": b'{"count": "\xff"}',
    "a megabyte": b" " * (1 << 20) + b'{"count": 1}',
    "a limit of another kind": b'{"count": 1, "maxAllowed": {}}',
}
DAY = Window(datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC))


def service(url: str) -> Service:
    clock = Clock(sleep=lambda _: None)
    return Service(f"{url}/fdsnws/event/1/", {}, lambda _: None, clock, attempts=2)


@pytest.mark.parametrize("name", COUNTS)
def test_a_count_that_is_no_number_is_a_sentence(name: str) -> None:
    with RawServer(lambda _: answer_with(COUNTS[name])) as server, pytest.raises(FetchError):
        service(server.url).count(DAY)


@pytest.mark.parametrize("name", HEADERS)
def test_a_bad_header_of_an_event_service_is_a_sentence(name: str) -> None:
    with RawServer(lambda _: [HEADERS[name]]) as server, pytest.raises(FetchError) as error:
        service(server.url).version()

    problems = error.value.problems
    assert all(text.isprintable() for text in [error.value.message, *map(str, problems)])


def test_a_redirect_with_an_endless_page_is_not_read() -> None:
    sent = itertools.count()

    def endless(_: RawRequest) -> Iterator[bytes]:
        yield b"HTTP/1.1 302 x\r\nLocation: /again\r\n\r\n"
        while next(sent) < 10_000:
            yield b"z" * (1 << 16)

    with RawServer(endless) as server, pytest.raises(FetchError):
        service(server.url).version()
    assert next(sent) < 2_000  # what the buffers of some connections take


@pytest.mark.parametrize(
    "row",
    [
        b"2020-01-01T00:00:00Z,x,0,1,a,2020-01-01T00:00:00Z",
        b"2020-13-01T00:00:00Z,0,0,1,a,2020-01-01T00:00:00Z",
        b"9999999-01-01T00:00:00Z,0,0,1,a,2020-01-01T00:00:00Z",
        b"2020-01-01T00:00:00Z,0,0,1,,2020-01-01T00:00:00Z",
        b"2020-01-01T00:00:00Z,0,0,1,a,",
        b"2020-01-01T00:00:00Z,0,0," + NINES + b"x,a,2020-01-01T00:00:00Z",
    ],
)
def test_an_event_that_cannot_be_read_is_a_damaged_body(row: bytes) -> None:
    with pytest.raises(BodyError):
        read_window(b"time,latitude,longitude,mag,id,updated\n" + row + b"\n")


@pytest.mark.parametrize("value", [None, "", "soon", "-1", "1.5", "Mon, 99 Jan 2020 00:00:00 GMT"])
def test_a_wait_that_is_none_is_not_waited(value: str | None) -> None:
    assert retry_after_s(value, DAY.start) is None


def test_a_wait_is_read_as_seconds_or_as_a_date() -> None:
    assert retry_after_s("7", DAY.start) == 7.0
    assert retry_after_s("Wed, 01 Jan 2020 00:01:00 GMT", DAY.start) == 60.0
    assert retry_after_s("Tue, 31 Dec 2019 00:00:00 GMT", DAY.start) == 0.0
    huge = retry_after_s(NINES.decode(), DAY.start)
    assert RetryPolicy().max_retry_after_s < (huge or 0.0)


def test_text_of_a_server_is_one_short_line_of_printable_characters() -> None:
    text = printable("\x1b[2J red\n\N{RIGHT-TO-LEFT OVERRIDE}\x9b\ttext \N{SNOWMAN}" + "a" * 9999)

    assert text.isprintable()
    assert text.startswith("?[2J red ?? text \N{SNOWMAN}aaa")
    assert len(text) == 2000
    assert json.loads(json.dumps(text)) == text
