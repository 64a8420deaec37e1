"""Servers that compress although nobody asked them to: the file comes out as it is."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from sciml_data.errors import FetchError
from sciml_data.home import Home
from sciml_data.transfer.download import fetch
from sciml_data.transfer.listing.query import head
from sciml_data.transfer.protocols import SourceError, Sources, Timeouts
from tests.support.downloads import contents, plan_from, quick_retry
from tests.support.nginx import needs_nginx, nginx
from tests.support.raw_server import RawRequest, RawServer

TEXT = b"a line of a table, 1.0, 2.0\n" * 4000
PACKED = gzip.compress(TEXT, mtime=0)


def answer_with(encoding: str, body: bytes, *, has_ranges: bool = False) -> RawServer:
    """Return a server that sends these bytes with this encoding, whatever is requested."""

    def answer(request: RawRequest) -> Iterator[bytes]:
        part, line = body, "200 OK"
        more = f'Content-Encoding: {encoding}\r\nETag: "x"\r\nConnection: close\r\n'
        if has_ranges and request.start is not None:
            stop = len(body) if request.last is None else min(request.last + 1, len(body))
            part, line = body[request.start : stop], "206 Partial Content"
            more += f"Content-Range: bytes {request.start}-{stop - 1}/{len(body)}\r\n"
        yield f"HTTP/1.1 {line}\r\nContent-Length: {len(part)}\r\n{more}\r\n".encode() + part

    return RawServer(answer)


@pytest.mark.parametrize("has_ranges", [False, True])
@pytest.mark.parametrize("range_bytes", [1 << 30, 1000], ids=["small", "large"])
@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", PACKED),
        ("x-gzip", PACKED),
        ("GZIP", PACKED),
        ("deflate", zlib.compress(TEXT)),
        ("identity", TEXT),
    ],
)
def test_a_file_that_is_sent_compressed_is_decoded(
    tmp_path: Path,
    home: Home,
    encoding: str,
    body: bytes,
    range_bytes: int,
    has_ranges: bool,  # noqa: FBT001
) -> None:
    with answer_with(encoding, body, has_ranges=has_ranges) as server:
        plan = plan_from(tmp_path, {"a.csv": TEXT}, [server.url], home)
        fetched = fetch(plan, retry=quick_retry(), range_bytes=range_bytes)

    assert contents(fetched.folder.native) == {"a.csv": TEXT}


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "br"])
def test_a_compressed_file_keeps_its_own_bytes(tmp_path: Path, home: Home, encoding: str) -> None:
    with answer_with(encoding, PACKED, has_ranges=True) as server:
        plan = plan_from(tmp_path, {"a.csv.gz": PACKED}, [server.url], home)
        fetched = fetch(plan, retry=quick_retry())

    assert contents(fetched.folder.native) == {"a.csv.gz": PACKED}


@pytest.mark.parametrize(
    ("encoding", "body", "words"),
    [
        ("br", b"x" * 50, "Content-Encoding: br, which was not requested and cannot be decoded"),
        ("gzip, gzip", PACKED, "Content-Encoding: gzip, gzip"),
        ("gzip", b"no gzip at all" * 9, "its compressed answer cannot be decoded"),
        ("gzip", gzip.compress(TEXT[:-1]), f"has {len(TEXT) - 1} bytes when decoded"),
        ("gzip", gzip.compress(TEXT + b"x"), f"more than {len(TEXT)} bytes"),
        ("gzip", gzip.compress(bytes(len(TEXT))), "sha256"),
    ],
)
def test_an_encoding_that_does_not_give_the_file_is_named(
    tmp_path: Path, home: Home, encoding: str, body: bytes, words: str
) -> None:
    with answer_with(encoding, body) as server:
        plan = plan_from(tmp_path, {"a.csv": TEXT}, [server.url], home)
        with pytest.raises(FetchError) as error:
            fetch(plan, retry=quick_retry())

    assert words in str(error.value)
    assert len(server.requests) <= 3


def test_a_compressed_size_is_not_listed_as_the_size_of_the_file() -> None:
    timeouts = Timeouts(connect_s=5, read_s=5)
    with (
        answer_with("gzip", PACKED, has_ranges=True) as server,
        Sources(connections=1, timeouts=timeouts) as sources,
    ):
        assert head("a.csv.gz", f"{server.url}/a.csv.gz", sources).size_bytes == len(PACKED)
        with pytest.raises(SourceError, match="Content-Encoding: gzip, so its size is not known"):
            head("a.csv", f"{server.url}/a.csv", sources)


@needs_nginx
@pytest.mark.parametrize("range_bytes", [1 << 30, 1000], ids=["small", "large"])
def test_nginx_with_compressed_copies_only_gives_the_file(
    tmp_path: Path, home: Home, range_bytes: int
) -> None:
    root = tmp_path / "www"
    root.mkdir()
    (root / "a.csv.gz").write_bytes(PACKED)
    with nginx(tmp_path / "nginx", root, "gzip_static always;") as url:
        plan = plan_from(tmp_path, {"a.csv": TEXT}, [url], home)
        fetched = fetch(plan, retry=quick_retry(), range_bytes=range_bytes)

    assert contents(fetched.folder.native) == {"a.csv": TEXT}
