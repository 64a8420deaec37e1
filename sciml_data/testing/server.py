"""A loopback HTTP/1.1 server of a folder, with faults that a test chooses.

It supports ranges, If-Range and persistent connections, and logs every request. A fault
(`faults.py`) applies to matching paths, and to a number of requests:

    with FileServer(folder) as server:
        server.add(cut(1000), path="train/*.h5", times=2)
        ...
        assert server.bytes_sent < 3000

`python -m sciml_data.testing.server DIR [PORT]` serves a folder until interrupted.
"""

from __future__ import annotations

import email.utils
import fnmatch
import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Self
from urllib.parse import unquote, urlsplit

from sciml_data.testing.faults import Fault, content, declared_length


@dataclass
class Request:
    """A request and the state of its response.

    Attributes:
        path: percent-decoded path, without the slash at the start.
        range: the Range header, or None.
        headers: all headers, with names in lower case.
        query: query string, not decoded.
        status: status of the response.
        sent_bytes: bytes of the body that were given to the connection so far.
        connection: number of the connection, from 0.
    """

    path: str
    range: str | None
    headers: dict[str, str]
    query: str = ""
    status: int = 0
    sent_bytes: int = 0
    connection: int = 0


class Handler(BaseHTTPRequestHandler):
    """Responds with the files of the server's folder; other servers override `respond`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and the first bytes leave in one packet

    def __init__(self, *arguments: Any, owner: FileServer) -> None:
        self.owner = owner
        self.number = owner.count_connection()
        super().__init__(*arguments)

    def setup(self) -> None:
        """Set the size of the send buffer."""
        size_bytes = self.owner.send_buffer_bytes
        if size_bytes is not None:
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size_bytes)
        super().setup()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 (name of the base class)
        """Log nothing to stderr: `FileServer.requests` is the log."""

    def do_GET(self) -> None:
        """Log the request and respond to it, with a fault if there is one."""
        address = urlsplit(self.path)
        path = unquote(address.path).removeprefix("/")
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(
            path, headers.get("range"), headers, address.query, connection=self.number
        )
        self.owner.requests.append(request)
        self.owner.before(request)
        fault = self.owner.take_fault(path, has_range="Range" in self.headers)
        if fault is not None and fault.kind == "status":
            return self.refuse(request, fault.status, dict(fault.headers))
        return self.respond(request, fault or Fault("none"))

    do_HEAD = do_GET  # noqa: N815 (named by http.server)

    def respond(self, request: Request, fault: Fault) -> None:
        """Respond with the file at the path."""
        file = self.owner.root / request.path
        if ".." in Path(request.path).parts or not file.is_file():
            return self.refuse(request, HTTPStatus.NOT_FOUND, {})
        return self.send_file(request, file, fault)

    def refuse(self, request: Request, code: int, headers: dict[str, str]) -> None:
        """Respond with a status and an empty body."""
        request.status = code
        self._head(request, {"Content-Length": "0", **headers})

    def etag(self, file: Path, state: os.stat_result) -> str:
        """Return the ETag of a file, without quotes."""
        _ = file
        return f"{state.st_size:x}-{state.st_mtime_ns:x}"

    def send_file(self, request: Request, file: Path, fault: Fault) -> None:
        """Respond with a file or the requested range of it."""
        state = file.stat()
        headers = {
            "Accept-Ranges": "bytes",
            "ETag": f'"{self.etag(file, state)}"',
            "Last-Modified": email.utils.formatdate(state.st_mtime, usegmt=True),
        }
        with file.open("rb") as stream:
            self.send_stream(request, stream, size=state.st_size, headers=headers, fault=fault)

    def send_stream(
        self,
        request: Request,
        stream: BinaryIO,
        *,
        size: int,
        headers: dict[str, str],
        fault: Fault,
    ) -> None:
        """Respond with the content of a stream or the requested range of it.

        Args:
            request: gets the status.
            stream: content of the response, seekable.
            size: size of the content in bytes.
            headers: headers of the response; more are added.
            fault: fault of the response.
        """
        span = self._byte_range(request, size, headers, fault)
        if span is None:
            return self.refuse(request, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers)
        start, stop = span
        length = declared_length(stop - start, fault)
        if length is None:
            self.close_connection = True
            headers["Connection"] = "close"
        else:
            headers["Content-Length"] = str(length)
        self._head(request, headers)
        if self.command == "HEAD":
            return None
        with suppress(ConnectionError, TimeoutError):
            return self._send(request, content(stream, start, stop, fault), fault)
        self.close_connection = True
        return None

    def _head(self, request: Request, headers: dict[str, str]) -> None:
        self.send_response(request.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _byte_range(
        self, request: Request, size: int, headers: dict[str, str], fault: Fault
    ) -> tuple[int, int] | None:
        """Return the offsets to send, None if not satisfiable; set status and Content-Range."""
        request.status = request.status or HTTPStatus.OK
        wanted = None if fault.kind == "range-ignored" else _parse_range(request, headers, size)
        if wanted is None:
            return 0, size
        start, stop = wanted[0], min(wanted[1], size)
        if fault.kind == "shifted":
            start = min(max(start + fault.at, 0), size)
        if start >= size:
            headers["Content-Range"] = f"bytes */{size}"
            return None
        request.status = HTTPStatus.PARTIAL_CONTENT
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        return start, stop

    def _send(self, request: Request, blocks: Iterator[bytes], fault: Fault) -> None:
        """Send a body; a fault cuts, stalls or slows it after `at` bytes of the body."""
        limit = fault.at if fault.kind in {"cut", "stall", "drip"} else sys.maxsize
        for block in blocks:
            room = limit - request.sent_bytes
            if room >= len(block):
                self._put(request, block)
                continue
            self._put(request, block[: max(room, 0)])
            if fault.kind != "drip":
                break
            for byte in block[max(room, 0) :]:
                if self.owner.stopping.wait(fault.pause_s):
                    return
                self._put(request, bytes([byte]))
        if fault.kind == "stall":
            self.owner.stopping.wait()
        if fault.kind in {"cut", "stall"}:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def _put(self, request: Request, block: bytes) -> None:
        if self.owner.stopping.is_set():  # before its connections end, it waits for its own loop
            raise ConnectionAbortedError
        # Counted before: who reads the count after the last byte arrived finds that byte in it.
        self.owner.count(request, len(block))
        try:
            self.wfile.write(block)
            self.wfile.flush()
        except OSError:
            self.owner.count(request, -len(block))
            raise
        self.owner.notify_sent(len(block))


class FileServer:
    """A server of a folder on a free port of 127.0.0.1; a context manager.

    Attributes:
        root: the folder; new files are served at once.
        requests: every request so far, in the order of arrival.
        connections: number of opened connections.
        before: called with each request before the response; it can block.
        handler: class of the request handler.
    """

    handler: ClassVar[type[Handler]] = Handler

    def __init__(self, root: Path, *, port: int = 0, send_buffer_bytes: int | None = None) -> None:
        """Make a server, which starts when the context is entered.

        Args:
            root: folder to serve.
            port: 0 uses a free port.
            send_buffer_bytes: with a small buffer, `bytes_sent` is close to the received bytes.
        """
        self.root = root
        self.requests: list[Request] = []
        self.connections = 0
        self.before: Callable[[Request], object] = lambda _: None
        self._faults: list[Fault] = []
        self._watches: list[tuple[int, Callable[[], object]]] = []
        self._written_bytes = 0  # without blocks that are still being written
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        self.send_buffer_bytes = send_buffer_bytes
        self._http = _Server(("127.0.0.1", port), partial(self.handler, owner=self))
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def url(self) -> str:
        """Return the address of the folder, without a slash at the end."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def bytes_sent(self) -> int:
        """Return the sum of the bytes of all bodies so far."""
        return sum(request.sent_bytes for request in self.requests)

    def add(
        self, fault: Fault, *, path: str = "*", times: int | None = 1, only_ranges: bool = False
    ) -> None:
        """Add a fault for the next requests with a matching path.

        A request gets the first matching fault, in the order in which they were added.

        Args:
            fault: from a function of `faults`.
            path: glob.
            times: number of requests; None for all.
            only_ranges: whether requests of a whole file are answered well.
        """
        with self._lock:
            added = replace(fault, path=path, left=times, only_ranges=only_ranges)
            self._faults.append(added)

    def clear_faults(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()

    def when_sent(self, size_bytes: int, call: Callable[[], object]) -> None:
        """Call a function once, when the sum of sent bytes reaches a number."""
        with self._lock:
            self._watches.append((size_bytes, call))

    def take_fault(self, path: str, *, has_range: bool = False) -> Fault | None:
        """Return the fault of a request and count it (for the handler)."""
        with self._lock:
            for number, fault in enumerate(self._faults):
                if fault.left == 0 or (fault.only_ranges and not has_range):
                    continue
                if fnmatch.fnmatchcase(path.rstrip("/"), fault.path):
                    if fault.left is not None:
                        self._faults[number] = replace(fault, left=fault.left - 1)
                    return fault
        return None

    def count(self, request: Request, size_bytes: int) -> None:
        """Add bytes to those of a request (for the handler)."""
        with self._lock:
            request.sent_bytes += size_bytes

    def notify_sent(self, size_bytes: int) -> None:
        """Call the functions that wait for a number of sent bytes (for the handler)."""
        with self._lock:
            self._written_bytes += size_bytes
            due = [watch for watch in self._watches if watch[0] <= self._written_bytes]
            self._watches = [watch for watch in self._watches if watch not in due]
        for _, call in due:
            call()

    def count_connection(self) -> int:
        """Return the number of a new connection (for the handler)."""
        with self._lock:
            self.connections += 1
            return self.connections - 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def vanish(self) -> None:
        """Stop like a machine that fails: connections end, and no new one is accepted."""
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._http.close_connections()

    def __exit__(self, *_: object) -> None:
        self.vanish()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: clients that disconnect are part of the tests."""


def _parse_range(request: Request, headers: dict[str, str], size: int) -> tuple[int, int] | None:
    """Return the requested offsets; None for the whole content, or if If-Range does not match."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", request.range or "")
    condition = request.headers.get("if-range")
    tags = {None, headers.get("ETag"), headers.get("Last-Modified")}
    if match is None or match[0] == "bytes=-" or condition not in tags:
        return None
    if not match[1]:
        return max(size - int(match[2]), 0), size
    return int(match[1]), int(match[2]) + 1 if match[2] else sys.maxsize


def serve(kind: type[FileServer]) -> None:
    """Serve the folder named on the command line until interrupted, and print the address."""
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with kind(Path(sys.argv[1]), port=port) as server, suppress(KeyboardInterrupt):
        print(server.url, flush=True)  # noqa: T201 (stdout is the address)
        threading.Event().wait()


if __name__ == "__main__":
    serve(FileServer)
