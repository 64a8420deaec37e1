"""How a loopback server answers one request: ranges and conditions as HTTP has them, and faults."""

from __future__ import annotations

import email.utils
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote, urlsplit

from sciml_data.testing.faults import Fault, content, declared_length

if TYPE_CHECKING:
    from sciml_data.testing.server import FileServer


@dataclass
class Request:
    """One request as it came, and what was answered.

    Attributes:
        path: percent-decoded, without the slash at the start.
        range: the Range header, or None.
        headers: all of them, names in lower case.
        query: what stands behind the question mark, as it came.
        status: of the answer.
        sent_bytes: of the body, given to the connection so far.
        connection: number of the connection it came on, from 0.
    """

    path: str
    range: str | None
    headers: dict[str, str]
    query: str = ""
    status: int = 0
    sent_bytes: int = 0
    connection: int = 0


class Handler(BaseHTTPRequestHandler):
    """Answers with the files of the server's folder; other servers override `respond`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and the first bytes leave in one packet

    def __init__(self, *arguments: Any, owner: FileServer) -> None:
        self.owner = owner
        self.number = owner.connected()
        super().__init__(*arguments)

    def setup(self) -> None:
        """Make the send buffer as small as the server was asked to."""
        size_bytes = self.owner.send_buffer_bytes
        if size_bytes is not None:
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size_bytes)
        super().setup()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 (its name above)
        """Keep stderr quiet: the log is `FileServer.requests`."""

    def do_GET(self) -> None:
        """Note the request and answer it, or do what the fault says."""
        address = urlsplit(self.path)
        path = unquote(address.path).removeprefix("/")
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(
            path, headers.get("range"), headers, address.query, connection=self.number
        )
        self.owner.requests.append(request)
        self.owner.before(request)
        fault = self.owner.take_fault(path)
        if fault is not None and fault.kind == "status":
            return self.refuse(request, fault.status, dict(fault.headers))
        return self.respond(request, fault or Fault("none"))

    do_HEAD = do_GET  # noqa: N815 (named by http.server)

    def respond(self, request: Request, fault: Fault) -> None:
        """Answer with the file that the path names."""
        file = self.owner.root / request.path
        if ".." in Path(request.path).parts or not file.is_file():
            return self.refuse(request, HTTPStatus.NOT_FOUND, {})
        return self.send_file(request, file, fault)

    def refuse(self, request: Request, code: int, headers: dict[str, str]) -> None:
        """Answer without a file, and without a body."""
        request.status = code
        self._head(request, {"Content-Length": "0", **headers})

    def etag(self, file: Path, state: os.stat_result) -> str:
        """Return the ETag of a file, without quotes."""
        _ = file
        return f"{state.st_size:x}-{state.st_mtime_ns:x}"

    def send_file(self, request: Request, file: Path, fault: Fault) -> None:
        """Answer with a file, or the part of it that is asked for."""
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
        """Answer with what a stream holds, or the part of it that is asked for."""
        extent = self._extent(request, size, headers, fault)
        if extent is None:
            return self.refuse(request, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers)
        start, stop = extent
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

    def _extent(
        self, request: Request, size: int, headers: dict[str, str], fault: Fault
    ) -> tuple[int, int] | None:
        """Return the offsets to send, None where there are none; set status and Content-Range."""
        request.status = request.status or HTTPStatus.OK
        asked = None if fault.kind == "range-ignored" else _asked_range(request, headers, size)
        if asked is None:
            return 0, size
        start, stop = asked[0], min(asked[1], size)
        if fault.kind == "shifted":
            start = min(max(start + fault.at, 0), size)
        if start >= size:
            headers["Content-Range"] = f"bytes */{size}"
            return None
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


def _asked_range(request: Request, headers: dict[str, str], size: int) -> tuple[int, int] | None:
    """Return the offsets asked for; None asks for all, also where If-Range does not hold."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", request.range or "")
    condition = request.headers.get("if-range")
    tags = {None, headers.get("ETag"), headers.get("Last-Modified")}
    if found is None or found[0] == "bytes=-" or condition not in tags:
        return None
    if not found[1]:
        return max(size - int(found[2]), 0), size
    return int(found[1]), int(found[2]) + 1 if found[2] else sys.maxsize
