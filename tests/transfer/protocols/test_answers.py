"""Answers of servers, in any pieces: the bytes of the file, or an error."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator

import pytest

from sciml_data.transfer.protocols.https import HttpSource
from sciml_data.transfer.protocols.source import SourceError, Timeouts, TransientError
from tests.support.raw_server import RawRequest, RawServer

CONTENT = bytes(range(256)) * 4
HEAD = f'HTTP/1.1 200 OK\r\nContent-Length: {len(CONTENT)}\r\nETag: "a"\r\n\r\n'.encode()
WHOLE = HEAD + CONTENT
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" + CONTENT + b"\r\n0\r\n\r\n"
)


@contextlib.contextmanager
def server(*answers: list[bytes]) -> Iterator[RawServer]:
    """Yield a server that sends the pieces of an answer to each request, the last one again."""
    left = itertools.chain(answers, itertools.repeat(answers[-1]))

    def answer(_: RawRequest) -> list[bytes]:
        return next(left)

    with RawServer(answer) as raw:
        yield raw


def read(url: str, read_s: float = 5.0) -> bytes:
    """Return a file as `HttpSource` reads it, by blocks of 100 bytes."""
    source = HttpSource(1, Timeouts(read_s=read_s))
    try:
        content = b""
        with contextlib.closing(source.open(url)) as body:
            while block := body.read(100):
                content += block
        return content
    finally:
        source.close()


@pytest.mark.parametrize("answer", [WHOLE, CHUNKED], ids=["plain", "chunked"])
def test_an_answer_may_be_cut_into_pieces_anywhere(answer: bytes) -> None:
    for cut in [*range(0, 120, 7), len(HEAD) - 1, len(HEAD), len(HEAD) + 1, len(answer) - 1]:
        with server([answer[:cut], answer[cut:]]) as raw:
            assert read(f"{raw.url}/a") == CONTENT


def test_long_headers_are_read() -> None:
    long = HEAD[:-2] + b"X-Long: " + b"x" * 30_000 + b"\r\n\r\n" + CONTENT
    with server([long]) as raw:
        assert read(f"{raw.url}/a") == CONTENT


def test_an_answer_that_ends_early_is_asked_for_again_and_not_taken_as_whole() -> None:
    with server([WHOLE[:-1]]) as raw, pytest.raises(TransientError):
        read(f"{raw.url}/a")


def test_a_server_that_sends_nothing_is_not_waited_for_longer_than_a_timeout() -> None:
    def silent() -> Iterator[bytes]:
        yield b"H"
        raw.stopping.wait(60)

    with RawServer(lambda _: silent()) as raw, pytest.raises(TransientError):
        read(f"{raw.url}/a", read_s=0.3)


def test_bytes_after_the_announced_ones_are_no_answer_to_the_next_request() -> None:
    stray = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"
    with server([WHOLE + stray], [WHOLE]) as raw:
        source = HttpSource(1, Timeouts())
        for _ in range(2):
            with contextlib.suppress(TransientError):  # a cut connection: the caller asks again
                body = source.open(f"{raw.url}/a")
                assert body.size_bytes == len(CONTENT)
                while body.read(100):
                    pass
                body.close()
        source.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n\r\nabcd",
        b"HTTP/1.1 302 Found\r\nLocation: ftp://h/a\r\nContent-Length: 0\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"",
    ],
    ids=["not found", "two lengths", "redirect", "nonsense", "nothing"],
)
def test_what_is_not_a_file_is_an_error(answer: bytes) -> None:
    with server([answer]) as raw, pytest.raises(SourceError):
        read(f"{raw.url}/a")
