"""Files over HTTP and HTTPS: kept-alive connections, ranges, bounded redirects.

urllib3 carries the requests: with sha256 in the stream, 8 threads and 2 cores shared with the
server it moves files of 1 MB at 0.93 and files of 150 MB at 1.06 of obstore's rate
(benchmarks/transfer.py), and every header of a range stays in our hands. `read1` takes what has
arrived, so that a kill loses no block that was gathered; it is quicker than `read`, too.
"""

from __future__ import annotations

import re
import threading
import urllib.request
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3 import exceptions

from sciml_data import __version__
from sciml_data.transfer.protocols.source import (
    Body,
    RangeRefusedError,
    Source,
    SourceError,
    Timeouts,
    TransientError,
)

MOST_REDIRECTS = 5  # as many as curl's documentation calls usual; a loop ends here
REDIRECTS = {301, 302, 303, 307, 308}
BUSY = {408, 425, 429}  # besides 5xx: asked again later
ASKS_FOR_LESS = {429, 503}  # S3 words its SlowDown as 503 (API reference, "Error responses")
MOST_ERROR_BYTES = 1 << 14  # read of an answer that is an error, for its code
HOSTS_KEPT = 16  # hosts whose connections are kept open at once
LOOPBACK = {"127.0.0.1", "::1", "localhost"}  # never asked through a proxy


def make_source(connections: int, timeouts: Timeouts) -> Source:
    """Return the source of `http:` and `https:` URLs."""
    return HttpSource(connections, timeouts)


class HttpSource:
    """One pool of connections for each proxy of the environment, and one without."""

    def __init__(self, connections: int, timeouts: Timeouts) -> None:
        """Take the connections to keep for each host, and the timeouts."""
        self._connections = connections
        self._timeout = urllib3.Timeout(connect=timeouts.connect_s, read=timeouts.read_s)
        self._pools: dict[str | None, urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    def open(
        self, url: str, *, start: int = 0, end: int | None = None, tag: str | None = None
    ) -> Body:
        """Ask for a URL from an offset on; see `Source.open`."""
        headers = {"Accept-Encoding": "identity", "User-Agent": f"sciml-data/{__version__}"}
        if start or end is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
            if tag is not None:
                headers["If-Range"] = tag
        response = self._follow(url, headers)
        try:
            _check_status(response)
            first, stop, size_bytes = _extent(response, start)
        except SourceError:
            response.close()
            raise
        return Body(
            first,
            size_bytes,
            _tag(response),
            lambda most: _read(response, most),
            response.close,
            stop,
        )

    def close(self) -> None:
        """End all connections."""
        for pool in self._pools.values():
            pool.clear()

    def _follow(self, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        for _ in range(MOST_REDIRECTS + 1):
            response = self._ask(url, headers)
            if response.status not in REDIRECTS:
                return response
            response.close()
            target = urljoin(url, response.headers.get("Location", ""))
            _check_redirect(url, target)
            url = target
        raise SourceError(f"redirected more than {MOST_REDIRECTS} times")

    def _ask(self, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool(url).request(
                "GET", url, headers=headers, redirect=False, retries=False, preload_content=False
            )
        except (exceptions.SSLError, exceptions.LocationValueError, exceptions.ProxyError) as error:
            raise SourceError(str(error)) from error
        except exceptions.HTTPError as error:
            raise _transient(error) from error

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        host = parts.hostname or ""
        proxy = None
        if host not in LOOPBACK and not urllib.request.proxy_bypass(host):
            proxy = urllib.request.getproxies().get(parts.scheme)
        with self._lock:
            if proxy not in self._pools:
                self._pools[proxy] = self._new_pool(proxy)
            return self._pools[proxy]

    def _new_pool(self, proxy: str | None) -> urllib3.PoolManager:
        if proxy is not None:
            return urllib3.ProxyManager(
                proxy, HOSTS_KEPT, maxsize=self._connections, timeout=self._timeout
            )
        return urllib3.PoolManager(HOSTS_KEPT, maxsize=self._connections, timeout=self._timeout)


def _check_redirect(url: str, target: str) -> None:
    """Refuse to leave HTTP, or to give up the encryption that was asked for."""
    was, now = urlsplit(url).scheme, urlsplit(target).scheme
    if now not in {"http", "https"}:
        raise SourceError(f"redirected to the scheme {now!r}, which is refused")
    if was == "https" and now == "http":
        raise SourceError("redirected from https to http, which is refused")


def _check_status(response: urllib3.BaseHTTPResponse) -> None:
    status = response.status
    if status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
        return
    said = f"{status} {response.reason or ''}".rstrip() + _s3_code(response)
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise RangeRefusedError(said)
    if status in BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise TransientError(
            said, retry_after_s=_retry_after_s(response), is_busy=status in ASKS_FOR_LESS
        )
    raise SourceError(said)


def _s3_code(response: urllib3.BaseHTTPResponse) -> str:
    """Return the code that an S3 server gives its errors (NoSuchBucket, SlowDown …), if any.

    The body is read even where it has none: a connection is used again only after all of it.
    """
    try:
        body = response.read(MOST_ERROR_BYTES)
    except exceptions.HTTPError:
        return ""
    if "xml" not in response.headers.get("Content-Type", ""):
        return ""
    found = re.search(rb"<Error>.*?<Code>([A-Za-z0-9]{1,64})</Code>", body, re.DOTALL)
    return f" ({found[1].decode()})" if found else ""


def _retry_after_s(response: urllib3.BaseHTTPResponse) -> float | None:
    """Return the seconds until the server wants to be asked again; it may give a date."""
    value = response.headers.get("Retry-After")
    if value is None:
        return None
    try:
        return urllib3.Retry().parse_retry_after(value)
    except exceptions.InvalidHeader:
        return None


def _extent(response: urllib3.BaseHTTPResponse, start: int) -> tuple[int, int | None, int | None]:
    """Return the offsets of the body's first byte and behind its last, and the file's size."""
    if response.status == HTTPStatus.OK:
        length = response.headers.get("Content-Length", "")
        size_bytes = int(length) if length.isdecimal() else None
        return 0, size_bytes, size_bytes
    content_range = response.headers.get("Content-Range", "")
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", content_range.strip())
    if found is None or int(found[1]) != start or int(found[2]) < start:
        raise RangeRefusedError(f"bytes from {start} asked for, {content_range!r} sent")
    return start, int(found[2]) + 1, None if found[3] == "*" else int(found[3])


def _tag(response: urllib3.BaseHTTPResponse) -> str | None:
    """Return what may stand in If-Range: a strong ETag, else the date of the last change."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified")


def _read(response: urllib3.BaseHTTPResponse, most: int) -> bytes:
    try:
        return response.read1(most, decode_content=False)
    except exceptions.HTTPError as error:
        raise _transient(error) from error


def _transient(error: exceptions.HTTPError) -> TransientError:
    if isinstance(error, exceptions.NameResolutionError):
        return TransientError("the name of the host is not known", is_unreachable=True)
    if isinstance(error, exceptions.ConnectTimeoutError | exceptions.NewConnectionError):
        reason = str(error.__cause__ or "no answer in time")
        return TransientError(f"no connection: {reason}", is_unreachable=True)
    if isinstance(error, exceptions.ReadTimeoutError):
        return TransientError("no bytes came in time")
    return TransientError(f"the connection was cut: {type(error).__name__}")
