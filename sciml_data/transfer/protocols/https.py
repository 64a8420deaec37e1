"""Files over HTTP and HTTPS: kept-alive connections, ranges, bounded redirects.

urllib3 opens the connections and sends the requests: it gives access to every header of a range
request. `read1` returns the bytes that have arrived instead of waiting for a full block: a kill
loses less, and it is faster than `read`.
"""

from __future__ import annotations

import http.client
import importlib.util
import io
import re
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3 import connection, exceptions

from sciml_data import __version__
from sciml_data.transfer.protocols.http_errors import (
    body_errors,
    is_refused_by_proxy,
    refused_by_proxy,
    request_errors,
)
from sciml_data.transfer.protocols.network import (
    GIVEN_BY,
    Login,
    Logins,
    Proxy,
    certificates,
    proxy_of,
)
from sciml_data.transfer.protocols.retry import retry_after_s
from sciml_data.transfer.protocols.signing import REFUSALS, Signer
from sciml_data.transfer.protocols.source import (
    MAX_DIGITS,
    Body,
    NoMirrorError,
    OtherRegionError,
    RangeRefusedError,
    Source,
    SourceError,
    Timeouts,
    TransientError,
    whole_number,
)

MAX_REDIRECTS = 5  # the number that curl's documentation calls usual; a loop ends here
REDIRECTS = {301, 302, 303, 307, 308}
PERMANENT = {301, 308}  # whoever has the old address should write down the new one
RETRIED = {408, 425, 429}  # and 5xx: a later request may succeed
BUSY = {429, 503}  # fewer requests, please; S3 sends its SlowDown as 503 (API, "Error responses")
MAY_REFUSE_SIGNATURE = {400, 401, 403}
MAX_ERROR_BYTES = 1 << 14  # to read of an error page; it is searched for S3's error code
MAX_QUOTED = 80  # characters of a header in an error message
QUICKACK: int = getattr(socket, "TCP_QUICKACK", 0)  # Linux only
REGION = re.compile(r"[a-z]{2}(-[a-z]{1,12}){1,3}-[0-9]{1,2}")  # such as eu-west-2
AWS_HOST = re.compile(r"s3(\.[a-z0-9-]{1,40})?\.amazonaws\.com")
DECODED = {"gzip", "x-gzip", "deflate"}  # what urllib3 decodes without further packages
MAX_HOSTS = 16  # hosts whose connections are kept open at once
# An entity tag or date that is sent back in If-Range: of one line and a sensible length.
TAG_PATTERN = re.compile(r"[\x20-\x7e\x80-\xff]{1,1024}")


def make_source(connections: int, timeouts: Timeouts) -> Source:
    """Return the source of `http:` and `https:` URLs."""
    return HttpSource(connections, timeouts)


class _TimedStream(io.RawIOBase):
    """The bytes of a connection until a deadline.

    The timeout of a socket counts from the last byte. A server that sends a byte now and then would
    never exceed it.
    """

    def __init__(self, stream: io.RawIOBase, sock: socket.socket) -> None:
        """Take the stream of the socket; the socket's timeout becomes that of a whole step."""
        self._stream = stream
        self._socket = sock
        self._step_s = sock.gettimeout()
        self.restart()

    def restart(self) -> None:
        """Begin a step: all headers, or one piece of the body."""
        self._deadline = None if self._step_s is None else time.monotonic() + self._step_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._deadline is not None:
            left_s = self._deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("timed out")
            self._socket.settimeout(left_s)
        return self._stream.readinto(buffer)

    def acknowledge(self) -> None:
        """Let the kernel acknowledge at once what has arrived."""
        self._socket.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    """An answer with one deadline for all headers, and one for each piece of the body.

    The length of a line (65,536 bytes) and the number of headers (100) are limited by http.client.
    """

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self._timed = _TimedStream(self.fp.detach(), sock)
        self.fp = io.BufferedReader(self._timed)

    def begin(self) -> None:
        super().begin()
        # A server that sends headers and a small body by two writes waits for an acknowledgment
        # before the second (Nagle's algorithm); the kernel would delay it by 40 ms.
        if QUICKACK and self.length:
            self._timed.acknowledge()

    def read(self, amt: int | None = None) -> bytes:
        self._timed.restart()
        return super().read(amt)

    def read1(self, n: int = -1) -> bytes:
        self._timed.restart()
        return super().read1(n)


class _TimedConnection(connection.HTTPConnection):
    response_class = _TimedResponse


class _TimedTlsConnection(connection.HTTPSConnection):
    response_class = _TimedResponse


class _TimedPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _TimedConnection


class _TimedTlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TimedTlsConnection


def _with_deadlines(manager: urllib3.PoolManager) -> urllib3.PoolManager:
    """Let the read timeout of a manager's connections count for all headers of an answer together.

    It counts for each call of `read` and `read1` as well.
    """
    manager.pool_classes_by_scheme = {"http": _TimedPool, "https": _TimedTlsPool}
    return manager


class HttpClient:
    """Sends all requests of this product: with the proxies, credentials and certificates of a user.

    It has one connection pool for each proxy, and one for direct requests.
    """

    def __init__(self, connections: int, timeouts: Timeouts) -> None:
        """Take the connections to keep for each host, and the timeouts."""
        self._connections = connections
        self._timeout = urllib3.Timeout(connect=timeouts.connect_s, read=timeouts.read_s)
        # By proxy and whether TLS is used; and of each scheme and host.
        self._managers: dict[tuple[Proxy | None, bool], urllib3.PoolManager] = {}
        self._of_host: dict[tuple[str, str], tuple[urllib3.PoolManager, Proxy | None]] = {}
        self._logins = Logins()
        self._signer = Signer()
        self._lock = threading.Lock()  # two threads must not create the same pool

    def get(
        self, url: str, headers: dict[str, str], moves: list[str] | None = None
    ) -> urllib3.BaseHTTPResponse:
        """Return the first answer that is not a redirect; its body is still to be read.

        Args:
            url: to request. The user's credentials for it are sent, and after a redirect those for
                the new address only.
            headers: of all requests.
            moves: gets the new address for each permanent redirect.

        Raises:
            TransientError: no answer came; a second request may succeed.
            SourceError: the address, a redirect, a proxy or a certificate is refused, or the
                credentials are.
        """
        headers = {"User-Agent": f"sciml-data/{__version__}", **headers}
        for _ in range(MAX_REDIRECTS + 1):
            login = self._logins.of(url)
            more = {"Authorization": login.header} if login else self._signer.headers(url)
            response = self._get(url, headers | more)
            if more and not login and response.status in MAY_REFUSE_SIGNATURE:
                self._check_signature(url, response)
                continue
            if response.status == HTTPStatus.UNAUTHORIZED or (
                login and response.status == HTTPStatus.FORBIDDEN
            ):
                raise _refused_login(url, response, login)
            if response.status not in REDIRECTS:
                return response
            response.close()
            url = redirected(url, response)
            if moves is not None and response.status in PERMANENT:
                moves.append(url)
        raise SourceError(f"redirected more than {MAX_REDIRECTS} times")

    def _check_signature(self, url: str, response: urllib3.BaseHTTPResponse) -> None:
        """Return if the same request is to be signed for the region that an answer names.

        Raises:
            SourceError: the request is refused.
        """
        status = f"{response.status} {response.reason or ''}".rstrip()
        body = _error_body(response)
        response.close()
        code = _in_error(body, b"Code")
        region = response.headers.get("x-amz-bucket-region", "") or _in_error(body, b"Region")
        if self._signer.learn_region(url, code, region):
            return
        reason = f"{status} ({code})" if code else status
        if response.status != HTTPStatus.BAD_REQUEST or code in REFUSALS:
            raise self._signer.refusal(reason)
        raise SourceError(reason)

    def send(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: bytes | IO[bytes] | None = None,
        login: Login | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Return the answer to a request of any method; no redirect is followed.

        Args:
            method: POST, PUT, DELETE or GET.
            url: to request.
            headers: of the request. For a stream they must have its Content-Length.
            body: bytes, or a stream that is read once.
            login: credentials to send; no others are.

        Raises:
            TransientError: no answer came; whether the request had an effect is not known.
            SourceError: the address, a proxy or a certificate is refused, or the credentials are.
        """
        more = {"Authorization": login.header} if login else {}
        headers = {"User-Agent": f"sciml-data/{__version__}", **headers, **more}
        response = self._send(method, url, headers, body)
        if response.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise _refused_login(url, response, login)
        return response

    def close(self) -> None:
        """Close all connections."""
        for manager in self._managers.values():
            manager.clear()

    def _get(self, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        return self._send("GET", url, headers, None)

    def _send(
        self, method: str, url: str, headers: dict[str, str], body: bytes | IO[bytes] | None
    ) -> urllib3.BaseHTTPResponse:
        manager, proxy = self._manager(url)
        # Redirects and retries are ours: redirects are checked, and retries need the rate limit.
        with request_errors(proxy):
            response = manager.request(
                method, url, headers=headers, body=body, redirect=False, retries=False,
                preload_content=False,
            )  # fmt: skip
        if proxy is not None and is_refused_by_proxy(response):
            response.close()
            raise NoMirrorError(refused_by_proxy(proxy))
        return response

    def _manager(self, url: str) -> tuple[urllib3.PoolManager, Proxy | None]:
        """Return the pool for a URL, and its proxy; the environment is read once for each host."""
        parts = urlsplit(url)
        host = parts.scheme, parts.netloc
        with self._lock:
            if host not in self._of_host:
                proxy = proxy_of(url)
                has_tls = "https" in {parts.scheme, urlsplit(proxy.url).scheme if proxy else ""}
                if (proxy, has_tls) not in self._managers:
                    self._managers[proxy, has_tls] = self._new_manager(proxy, has_tls=has_tls)
                self._of_host[host] = self._managers[proxy, has_tls], proxy
            return self._of_host[host]

    def _new_manager(self, proxy: Proxy | None, *, has_tls: bool) -> urllib3.PoolManager:
        options: dict[str, Any] = {"maxsize": self._connections, "timeout": self._timeout}
        if has_tls:
            options["ssl_context"] = certificates()
        if proxy is None:
            return _with_deadlines(urllib3.PoolManager(MAX_HOSTS, **options))
        if proxy.url.startswith("socks"):
            return _socks_manager(proxy, options)
        if proxy.url.startswith("https:"):
            options["proxy_ssl_context"] = options["ssl_context"]
        return _with_deadlines(
            urllib3.ProxyManager(proxy.url, MAX_HOSTS, proxy_headers=proxy.headers, **options)
        )


def _socks_manager(proxy: Proxy, options: dict[str, Any]) -> urllib3.PoolManager:
    if importlib.util.find_spec("socks") is None:
        raise NoMirrorError(
            f"the proxy {proxy.url} speaks SOCKS, which needs PySocks: "
            "pip install 'sciml-data[socks]'"
        )
    from sciml_data.transfer.protocols.socks import socks_manager

    return socks_manager(
        proxy.url, proxy.username, proxy.password, _TimedResponse, num_pools=MAX_HOSTS, **options
    )


class HttpSource:
    """Files of `http:` and `https:` URLs."""

    def __init__(self, connections: int, timeouts: Timeouts) -> None:
        """Take the connections to keep for each host, and the timeouts."""
        self._client = HttpClient(connections, timeouts)

    def open(
        self, url: str, *, start: int = 0, end: int | None = None, tag: str | None = None
    ) -> Body:
        """Request a file from an offset on; see `Source.open`."""
        # identity: a compressed answer would have other offsets. Some servers send one anyway.
        headers = {"Accept-Encoding": "identity"}
        if start or end is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
            if tag is not None:
                headers["If-Range"] = tag
        moves: list[str] = []
        response = self._client.get(url, headers, moves)
        try:
            _check_status(response)
            first, stop, size_bytes = _content_range(response, start)
        except SourceError:
            response.close()
            raise
        return Body(
            first,
            size_bytes,
            _tag(response),
            lambda max_bytes: _read(response, max_bytes),
            response.close,
            stop,
            *_encoding(response),
            moves[-1] if moves else "",
        )

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def redirected(url: str, response: urllib3.BaseHTTPResponse) -> str:
    """Return the address to which an answer redirects.

    Raises:
        OtherRegionError: it is a bucket of another region.
        SourceError: there is no address, or it is not valid or not allowed.
    """
    location = response.headers.get("Location")
    if location is None:
        return _in_other_region(url, response)
    try:
        target = urljoin(url, location)
        _check_redirect(url, target)
    except ValueError as error:
        raise SourceError(f"redirected to an address that is not valid: {error}") from error
    return target


def _in_other_region(url: str, response: urllib3.BaseHTTPResponse) -> str:
    """Return the address of an object or listing in the region that the answer names.

    For a bucket of another region, S3 redirects without an address.
    """
    region = response.headers.get("x-amz-bucket-region", "")
    if not REGION.fullmatch(region):
        raise SourceError(f"{response.status} redirects without an address")
    parts = urlsplit(url)
    endpoint = f"s3.{region}.amazonaws.com"
    if AWS_HOST.fullmatch(parts.netloc) and parts.netloc != endpoint:
        return parts._replace(netloc=endpoint).geturl()
    raise OtherRegionError(
        f"{response.status} redirects without an address; the bucket is in the region {region}: "
        f"set AWS_ENDPOINT_URL=https://{endpoint}, or name the endpoint of that region"
    )


def _check_redirect(url: str, target: str) -> None:
    """Refuse a redirect that leaves HTTP, or that drops the encryption of the first URL."""
    was, now = urlsplit(url).scheme, urlsplit(target).scheme
    if now not in {"http", "https"}:
        raise SourceError(f"redirected to the scheme {now!r}, which is refused")
    if was == "https" and now == "http":
        raise SourceError("redirected from https to http, which is refused")


def _check_status(response: urllib3.BaseHTTPResponse) -> None:
    status = response.status
    if status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
        return
    reason = f"{status} {response.reason or ''}".rstrip() + _s3_code(response)
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise RangeRefusedError(reason, status=status)
    if status in RETRIED or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        after_s = retry_after_s(response.headers.get("Retry-After"), datetime.now(UTC))
        raise TransientError(reason, status=status, retry_after_s=after_s, is_busy=status in BUSY)
    raise SourceError(reason, status=status)


def _refused_login(
    url: str, response: urllib3.BaseHTTPResponse, login: Login | None
) -> SourceError:
    """Return the error for a request that needs credentials, or other ones."""
    reason = f"{response.status} {response.reason or ''}".rstrip() + _s3_code(response)
    response.close()
    if login is not None:
        message = f"{reason}; the credentials {login.origin} are refused"
    else:
        host = urlsplit(url).hostname
        message = f"{reason}; no credentials are known for {host}: {GIVEN_BY}"
    return SourceError(message, status=response.status)


def _s3_code(response: urllib3.BaseHTTPResponse) -> str:
    """Return the code of an S3 server's error (NoSuchBucket, SlowDown …), or an empty string."""
    code = _in_error(_error_body(response), b"Code")
    return f" ({code})" if code else ""


def _error_body(response: urllib3.BaseHTTPResponse) -> bytes:
    """Return the XML of an S3 server's error, or nothing.

    The body is read even if it has no code: a connection can be used again only after all of it.
    """
    try:
        body = response.read(MAX_ERROR_BYTES)
    except exceptions.HTTPError:
        return b""
    return body if "xml" in response.headers.get("Content-Type", "") else b""


def _in_error(body: bytes, name: bytes) -> str:
    """Return the text of an element of an S3 server's error, or an empty string."""
    pattern = rb"<Error>.*?<%s>([A-Za-z0-9-]{1,64})</%s>" % (name, name)
    match = re.search(pattern, body, re.DOTALL)
    return match[1].decode() if match else ""


def _content_range(
    response: urllib3.BaseHTTPResponse, start: int
) -> tuple[int, int | None, int | None]:
    """Return the offsets of the body's first byte and after its last one, and the file's size."""
    if response.status == HTTPStatus.OK:
        length = response.headers.get("Content-Length", "").strip()
        size_bytes = whole_number(length)
        if size_bytes is None and length.isdecimal():
            raise SourceError(f"its Content-Length has {len(length)} digits")
        return 0, size_bytes, size_bytes
    content_range = response.headers.get("Content-Range", "")
    number = f"([0-9]{{1,{MAX_DIGITS}}})"
    match = re.fullmatch(rf"bytes {number}-{number}/({number}|\*)", content_range.strip())
    if match is None or int(match[1]) != start or int(match[2]) < start:
        sent = content_range[:MAX_QUOTED]
        raise RangeRefusedError(f"bytes from {start} requested, {sent!r} sent")
    return start, int(match[2]) + 1, None if match[3] == "*" else int(match[3])


def _tag(response: urllib3.BaseHTTPResponse) -> str | None:
    """Return a value for If-Range: a strong ETag, else the date of the last change."""
    etag = response.headers.get("ETag", "")
    tag = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
    return tag if TAG_PATTERN.fullmatch(tag) else None


def _encoding(
    response: urllib3.BaseHTTPResponse,
) -> tuple[str, Callable[[int], bytes] | None]:
    """Return the Content-Encoding of an answer, and what reads the decoded bytes if it is known."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()[:MAX_QUOTED]
    if encoding in {"", "identity"}:
        return "", None
    if encoding not in DECODED:
        return encoding, None
    return encoding, lambda max_bytes: _read(response, max_bytes, is_decoded=True)


def _read(response: urllib3.BaseHTTPResponse, max_bytes: int, *, is_decoded: bool = False) -> bytes:
    with body_errors():
        return response.read1(max_bytes, decode_content=is_decoded)
