"""Requests of files over HTTP with little work for each: what thousands of small files need.

urllib3 opens and keeps the connections. On such a connection a request is one write, and a plain
answer (200 or 206 with a length, without an encoding) is read from the socket into the caller's
buffer. Every other answer is handed to http.client and urllib3, with the bytes that were read
already: nothing here knows redirects, chunks, errors or damaged headers. For files of 1 MB this
takes a tenth of the processor time that urllib3 takes for a request and its answer.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping

import urllib3
from urllib3 import connection, exceptions

from sciml_data.transfer.protocols.source import MAX_DIGITS

HEAD_BYTES = 1 << 14  # of a plain answer; most have less than 1 kB
# Addresses and headers that urllib3 would send unchanged. Dots in front of a name are left out,
# because urllib3 resolves "/../".
ADDRESS = re.compile(
    r"https?://(?P<host>[a-z0-9.-]+(?::[0-9]{1,5})?)"
    r"(?P<target>/(?!\.)(?:/(?!\.)|[A-Za-z0-9._~!$&'()*+,;=:@?-]|%[0-9A-F]{2})*)"
)
HEADER_TEXT = re.compile(r"[\x20-\x7e]*")
USUAL_PORTS = (":80", ":443")  # http.client leaves these out of the header Host
STATUS = re.compile(rb"HTTP/1\.1 (200|206) [\x20-\x7e]*")
NAME = re.compile(rb"[A-Za-z0-9-]{1,100}")
QUICKACK: int = getattr(socket, "TCP_QUICKACK", 0)  # Linux only
LENGTH = re.compile(f"[0-9]{{1,{MAX_DIGITS}}}")


class Headers:
    """The headers of an answer, by name in small letters; any spelling finds them."""

    def __init__(self, values: dict[str, str]) -> None:
        """Take the headers."""
        self._values = values

    def get(self, name: str, default: str = "") -> str:
        """Return a header, or the default."""
        return self._values.get(name.lower(), default)


class PlainAnswer:
    """An answer with a known length; its bytes are still to be read.

    Attributes:
        status: 200 or 206.
        headers: of the answer.
    """

    def __init__(
        self,
        pool: urllib3.HTTPConnectionPool,
        conn: connection.HTTPConnection,
        status: int,
        headers: Headers,
        ahead: bytes,
    ) -> None:
        """Take a connection, and what was read from it after the headers."""
        self.status = status
        self.headers = headers
        self._pool, self._conn = pool, conn
        self._left = int(headers.get("Content-Length"))
        # More than the announced bytes: what follows on this connection cannot be trusted.
        self._is_spoilt = len(ahead) > self._left
        self._ahead = ahead[: self._left]
        self._is_closed = False

    def read_into(self, buffer: memoryview) -> int:
        """Fill the start of a buffer with the bytes that arrive, and return their number.

        Raises:
            HTTPError: of urllib3; the connection was cut, or no bytes came in time.
        """
        if self._ahead:
            count = min(len(self._ahead), len(buffer))
            buffer[:count] = self._ahead[:count]
            self._ahead = self._ahead[count:]
        elif not self._left:
            return 0
        else:
            with _errors_of_urllib3(self._pool):
                size = min(len(buffer), self._left)
                count = self._conn.sock.recv_into(buffer[:size])
            if not count:
                raise exceptions.ProtocolError(f"{self._left} bytes are missing")
        self._left -= count
        return count

    def read(self, max_bytes: int) -> bytes:
        """Return at most a number of bytes as they arrive; see `read_into`."""
        block = bytearray(min(max_bytes, self._left))
        count = self.read_into(memoryview(block))
        del block[count:]
        return bytes(block)

    def close(self) -> None:
        """Give the connection back; it is closed first if bytes are left."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._left or self._is_spoilt:
            self._conn.close()
        _put_back(self._pool, self._conn)


def request_bytes(url: str, headers: Mapping[str, str]) -> bytes | None:
    """Return a GET request as urllib3 would send it; None if it would change something."""
    match = ADDRESS.fullmatch(url)
    if match is None or match["host"].endswith(USUAL_PORTS):
        return None
    if not all(map(HEADER_TEXT.fullmatch, headers.values())):
        return None
    lines = [f"GET {match['target']} HTTP/1.1", f"Host: {match['host']}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def ask(
    pool: urllib3.HTTPConnectionPool, url: str, request: bytes, read_s: float
) -> PlainAnswer | urllib3.BaseHTTPResponse:
    """Send a request over a connection of a pool, and return the answer.

    Args:
        pool: of the host, without a proxy.
        url: the address.
        request: as `request_bytes` makes it.
        read_s: longest time for all headers, and then for each piece of the body.

    Raises:
        HTTPError: of urllib3; as it would raise it for this request.
    """
    conn = pool._get_conn()  # noqa: SLF001 (as requests does; it tests whether it is still open)
    assert isinstance(conn, connection.HTTPConnection)  # noqa: S101 (for mypy: it has a socket)
    try:
        with _errors_of_urllib3(pool):
            if conn.sock is None:
                conn.connect()
            assert conn.sock is not None  # noqa: S101 (for mypy)
            conn.sock.settimeout(read_s)
            with contextlib.suppress(BrokenPipeError):  # it may have answered and closed
                conn.sock.sendall(request)
            head = _head(conn, read_s)
            answer = _plain(pool, conn, head)
            return answer if answer is not None else _rare(pool, conn, url, head)
    except BaseException:
        conn.close()
        _put_back(pool, conn)
        raise


def _head(conn: connection.HTTPConnection, read_s: float) -> bytes:
    """Return the first bytes of an answer: all headers, if they are plain."""
    deadline = time.monotonic() + read_s
    sock = conn.sock
    assert sock is not None  # noqa: S101 (for mypy: the caller has connected)
    head: bytes = sock.recv(HEAD_BYTES)
    last = head
    while last and b"\r\n\r\n" not in head and len(head) < HEAD_BYTES:
        if (left_s := deadline - time.monotonic()) <= 0:
            raise TimeoutError("timed out")
        sock.settimeout(left_s)
        last = sock.recv(HEAD_BYTES)
        head += last
        sock.settimeout(read_s)
    return head


def _plain(
    pool: urllib3.HTTPConnectionPool, conn: connection.HTTPConnection, head: bytes
) -> PlainAnswer | None:
    """Return an answer if nothing about it is unusual."""
    text, separator, ahead = head.partition(b"\r\n\r\n")
    first, *lines = text.split(b"\r\n")
    status = STATUS.fullmatch(first)
    if not separator or status is None:
        return None
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        key = name.decode("latin-1").lower()
        if not colon or key in headers or not NAME.fullmatch(name) or not value.isascii():
            return None
        headers[key] = value.decode().strip(" \t")
    if (
        not LENGTH.fullmatch(headers.get("content-length", ""))
        or "transfer-encoding" in headers
        or "content-encoding" in headers
        or headers.get("connection", "keep-alive").lower() != "keep-alive"
        or not all(map(HEADER_TEXT.fullmatch, headers.values()))
    ):
        return None
    if len(ahead) < int(headers["content-length"]) and conn.sock is not None and QUICKACK:
        # A server that sends headers and a small body by two writes waits for this acknowledgment
        # before the second (Nagle's algorithm); the kernel would delay it by 40 ms.
        conn.sock.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
    return PlainAnswer(pool, conn, int(status[1]), Headers(headers), ahead)


def _rare(
    pool: urllib3.HTTPConnectionPool, conn: connection.HTTPConnection, url: str, head: bytes
) -> urllib3.BaseHTTPResponse:
    """Return an answer as urllib3 reads it, from its first byte on."""
    answer = conn.response_class(conn.sock, method="GET", url=url)
    answer.read_first(head)  # type: ignore[attr-defined]  # of `https`
    try:
        answer.begin()
    except BaseException:
        answer.close()
        raise
    if answer.will_close:
        conn.close()  # the answer keeps the socket until it is read
    return urllib3.HTTPResponse(
        body=answer,
        headers=urllib3.HTTPHeaderDict(answer.msg.items()),
        status=answer.status,
        version=answer.version,
        reason=answer.reason,
        preload_content=False,
        original_response=answer,
        pool=pool,
        connection=conn,
        request_method="GET",
        request_url=url,
    )


def _put_back(pool: urllib3.HTTPConnectionPool, conn: connection.HTTPConnection) -> None:
    with contextlib.suppress(exceptions.FullPoolError):
        pool._put_conn(conn)  # noqa: SLF001 (as requests does)


@contextlib.contextmanager
def _errors_of_urllib3(pool: urllib3.HTTPConnectionPool) -> Iterator[None]:
    """Raise errors of sockets as those of urllib3, which the callers know."""
    try:
        yield
    except exceptions.HTTPError:
        raise
    except TimeoutError as error:
        raise exceptions.ReadTimeoutError(pool, "", "Read timed out.") from error
    except (ssl.SSLError, ssl.CertificateError) as error:
        raise exceptions.SSLError(error) from error
    except (OSError, http.client.HTTPException) as error:
        raise exceptions.ProtocolError("Connection aborted.", error) from error
