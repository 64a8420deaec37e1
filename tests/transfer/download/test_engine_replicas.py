"""Replicas behind one name: each node has its own entity tag for the same bytes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from sciml_data.home import Home
from sciml_data.transfer.download import fetch
from tests.support.downloads import contents, plan_from, quick_retry
from tests.support.raw_server import RawRequest, RawServer

CONTENT = bytes(range(256)) * 40
CUT = 2500  # bytes of a body before its connection ends


def replicas() -> RawServer:
    """Return a server that has another tag in each answer, and cuts each answer."""
    numbers = itertools.count()

    def answer(request: RawRequest) -> Iterator[bytes]:
        start = request.start or 0
        last = len(CONTENT) - 1 if request.last is None else request.last
        line = "206 Partial Content" if request.start is not None else "200 OK"
        yield (
            f'HTTP/1.1 {line}\r\nETag: "node-{next(numbers)}"\r\nConnection: close\r\n'
            f"Content-Range: bytes {start}-{last}/{len(CONTENT)}\r\n"
            f"Content-Length: {last + 1 - start}\r\n\r\n"
        ).encode()
        yield CONTENT[start : min(last + 1, start + CUT)]

    return RawServer(answer)


@pytest.mark.parametrize("range_bytes", [1 << 30, 3000], ids=["small", "large"])
def test_a_download_resumes_across_nodes(tmp_path: Path, home: Home, range_bytes: int) -> None:
    with replicas() as server:
        plan = plan_from(tmp_path, {"a.bin": CONTENT}, [server.url], home)
        fetched = fetch(plan, retry=quick_retry(tries=8), range_bytes=range_bytes)
        starts = [request.start or 0 for request in server.requests]

    assert contents(fetched.folder.native) == {"a.bin": CONTENT}
    assert starts.count(0) == 1  # nothing was discarded
