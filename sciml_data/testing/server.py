"""A loopback HTTP/1.1 server of a folder that can be told to misbehave.

Ranges, If-Range, kept-alive connections and a log of every request, as a good server has them;
faults as bad ones do (`faults.py`), each for the paths and the number of requests it is given for:

    with FileServer(folder) as server:
        server.add(cut(1000), path="train/*.h5", times=2)
        ...
        assert server.bytes_sent < 3000

`python -m sciml_data.testing.server DIR [PORT]` serves a folder until interrupted.
"""

from __future__ import annotations

import email.utils
import fnmatch
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
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from sciml_data.testing.faults import Fault, content, declared_length


@dataclass
class Request:
    """One request as it came, and what was answered.

    Attributes:
        path: percent-decoded, without the slash at the start.
        range: the Range header, or None.
        headers: all of them, names in lower case.
        status: of the answer.
        sent_bytes: of the body, given to the connection so far.
        connection: number of the connection it came on, from 0.
    """

    path: str
    range: str | None
    headers: dict[str, str]
    status: int = 0
    sent_bytes: int = 0
    connection: int = 0


class FileServer:
    """A folder on a free port of 127.0.0.1; a context manager.

    Attributes:
        root: the folder; what is added to it is served at once.
        requests: every request so far, in the order of arrival.
        connections: how many were opened.
        before: called with each request before it is answered; may wait.
    """

    def __init__(self, root: Path, *, port: int = 0, send_buffer_bytes: int | None = None) -> None:
        """Take the folder; a small send buffer keeps `bytes_sent` near to what was received."""
        self.root = root
        self.requests: list[Request] = []
        self.connections = 0
        self.before: Callable[[Request], object] = lambda _: None
        self._faults: list[Fault] = []
        self._watches: list[tuple[int, Callable[[], object]]] = []
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        self.send_buffer_bytes = send_buffer_bytes
        self._http = _Server(("127.0.0.1", port), partial(_Handler, owner=self))
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def url(self) -> str:
        """Return the address of the folder, without a slash at the end."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def bytes_sent(self) -> int:
        """Return the bytes of all bodies so far."""
        return sum(request.sent_bytes for request in self.requests)

    def add(self, fault: Fault, *, path: str = "*", times: int | None = 1) -> None:
        """Let a fault happen to the next requests whose path fits a glob; None means always.

        Faults are taken in the order they were added, one for each request.
        """
        with self._lock:
            self._faults.append(replace(fault, path=path, left=times))

    def forget_faults(self) -> None:
        """Behave from now on."""
        with self._lock:
            self._faults.clear()

    def when_sent(self, size_bytes: int, call: Callable[[], object]) -> None:
        """Call a function once, when this many bytes in all have been sent."""
        with self._lock:
            self._watches.append((size_bytes, call))

    def take_fault(self, path: str) -> Fault | None:
        """Return the fault of a request and count it; for the handler."""
        with self._lock:
            for number, fault in enumerate(self._faults):
                if fault.left != 0 and fnmatch.fnmatchcase(path, fault.path):
                    if fault.left is not None:
                        self._faults[number] = replace(fault, left=fault.left - 1)
                    return fault
        return None

    def count(self, request: Request, size_bytes: int) -> None:
        """Note bytes sent and call who waits for them; for the handler."""
        with self._lock:
            request.sent_bytes += size_bytes
            due = [watch for watch in self._watches if watch[0] <= self.bytes_sent]
            self._watches = [watch for watch in self._watches if watch not in due]
        for _, call in due:
            call()

    def connected(self) -> int:
        """Return the number of a new connection; for the handler."""
        with self._lock:
            self.connections += 1
            return self.connections - 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._http.close_connections()
        self._http.server_close()
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
        """Say nothing: clients that go away are what this server is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and the first bytes leave in one packet

    def __init__(self, *arguments: Any, owner: FileServer) -> None:
        self.owner = owner
        self.number = owner.connected()
        super().__init__(*arguments)

    def setup(self) -> None:
        size_bytes = self.owner.send_buffer_bytes
        if size_bytes is not None:
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size_bytes)
        super().setup()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 (its name above)
        """Keep stderr quiet: the log is `FileServer.requests`."""

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).removeprefix("/")
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(path, headers.get("range"), headers, connection=self.number)
        self.owner.requests.append(request)
        self.owner.before(request)
        fault = self.owner.take_fault(path)
        if fault is not None and fault.kind == "status":
            return self._answer(request, fault.status, dict(fault.headers))
        file = self.owner.root / path
        if ".." in Path(path).parts or not file.is_file():
            return self._answer(request, HTTPStatus.NOT_FOUND, {})
        return self._file(request, file, fault or Fault("none"))

    do_HEAD = do_GET  # noqa: N815 (named by http.server)

    def _answer(self, request: Request, code: int, headers: dict[str, str]) -> None:
        """Answer without a body."""
        request.status = code
        self._head(request, {"Content-Length": "0", **headers})

    def _head(self, request: Request, headers: dict[str, str]) -> None:
        self.send_response(request.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _file(self, request: Request, file: Path, fault: Fault) -> None:
        state = file.stat()
        headers = {
            "Accept-Ranges": "bytes",
            "ETag": f'"{state.st_size:x}-{state.st_mtime_ns:x}"',
            "Last-Modified": email.utils.formatdate(state.st_mtime, usegmt=True),
        }
        start, stop = self._extent(request, state.st_size, headers, fault)
        if request.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return self._answer(request, request.status, headers)
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
            return self._send(request, content(file, start, stop, fault), fault)
        self.close_connection = True
        return None

    def _extent(
        self, request: Request, size: int, headers: dict[str, str], fault: Fault
    ) -> tuple[int, int]:
        """Return the offsets to send; sets the status and Content-Range."""
        request.status = HTTPStatus.OK
        asked = None if fault.kind == "range-ignored" else _asked_range(request, headers)
        if asked is None:
            return 0, size
        start, stop = asked[0], min(asked[1], size)
        if fault.kind == "shifted":
            start = min(max(start + fault.at, 0), size)
        if start >= size:
            request.status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            headers["Content-Range"] = f"bytes */{size}"
        else:
            request.status = HTTPStatus.PARTIAL_CONTENT
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        return start, stop

    def _send(self, request: Request, blocks: Iterator[bytes], fault: Fault) -> None:
        """Send a body, cut, stopped or dripped where the fault says; `at` counts from its start."""
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
        self.wfile.write(block)
        self.wfile.flush()
        self.owner.count(request, len(block))


def _asked_range(request: Request, headers: dict[str, str]) -> tuple[int, int] | None:
    """Return the offsets asked for; None asks for all, also where If-Range does not hold."""
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", request.range or "")
    condition = request.headers.get("if-range")
    if found is None or condition not in {None, headers["ETag"], headers["Last-Modified"]}:
        return None
    return int(found[1]), int(found[2]) + 1 if found[2] else sys.maxsize


def main() -> None:
    """Serve a folder until interrupted, and print its address."""
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with FileServer(Path(sys.argv[1]), port=port) as server, suppress(KeyboardInterrupt):
        print(server.url, flush=True)  # noqa: T201 (stdout is the address)
        threading.Event().wait()


if __name__ == "__main__":
    main()
