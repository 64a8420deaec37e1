"""A loopback replay of the USGS event service from any table of events.

It behaves like the real service: methods `count`, `query` and `version`; at most 20,000 events,
with the service's message for more; inclusive bounds; errors for unknown and repeated parameters;
204 for an empty result. Faults are set before the requests that they apply to. Every request is
logged.

    with FdsnServer(read_events(path)) as server:
        fetch_live(..., mirrors=[server.url])

`python -m sciml_data.testing.fdsn_server TABLE.csv [PORT]` serves a table until interrupted.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from numpy.typing import NDArray

from sciml_data.testing.fdsn_events import BadParameterError, EventTable, read_events

LIMIT = 20_000  # usgs/earthquake-event-ws, FDSNEventWebService.class.php, `serviceLimit`
VERSION = "1.14.1"
PATH = "/fdsnws/event/1/"
TIMES = ("starttime", "endtime", "updatedafter")
RANGES = tuple(
    f"{bound}{name}"
    for name in ("latitude", "longitude", "depth", "magnitude")
    for bound in ("min", "max")
)
CHOICES = ("format", "eventtype", "includedeleted", "limit", "offset", "orderby", "nodata")
KNOWN = frozenset((*TIMES, *RANGES, *CHOICES))
FORMATS = ("quakeml", "geojson", "csv", "kml", "kmlraw", "xml", "text", "cap")


@dataclass(frozen=True)
class Request:
    """A request: its method, its parameters, and the status of the response."""

    method: str
    parameters: dict[str, str]
    status: int


@dataclass
class Fault:
    """A fault of the next `times` requests of a method.

    Kinds: `busy` (429) and `unavailable` (503), with `retry_after` as a header if given; `cut`
    (half the body, then the connection is closed); `short` (the last event is missing, in a
    complete response); `garbage` (a body that is not CSV); `stall` (half the body, then nothing
    until the server stops); `change` (the function `change` changes the table first).
    """

    kind: str
    method: str = "query"
    times: int = 1
    retry_after: str | None = None
    change: Callable[[EventTable], EventTable] | None = None


@dataclass
class FdsnServer:
    """The service on a free port of 127.0.0.1; a context manager.

    Attributes:
        table: the served events; can be replaced at any time.
        limit: largest number of events in a response.
        declared_limit: limit in the response of `count`; None for `limit`.
        under: path before `/fdsnws/event/1/`, e.g. `/earthquake.usgs.gov`.
        faults: faults of the next requests.
        log: every request so far, in order.
    """

    table: EventTable
    limit: int = LIMIT
    declared_limit: int | None = None
    under: str = ""
    port: int = 0
    faults: list[Fault] = field(default_factory=list)
    log: list[Request] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._ended = threading.Event()
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"service": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Return the address to give as a mirror."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answered(self, method: str) -> list[Request]:
        """Return the requests of a method with a successful response."""
        return [r for r in self.log if r.method == method and r.status in (200, 204)]

    def next_fault(self, method: str) -> Fault | None:
        """Return the fault of the current request, and count it."""
        with self._lock:
            for fault in self.faults:
                if fault.times and fault.method == method:
                    fault.times -= 1
                    if fault.change is not None:
                        self.table = fault.change(self.table)
                    return fault
        return None

    def wait_for_end(self) -> None:
        """Block until the server stops."""
        self._ended.wait()


class _Handler(BaseHTTPRequestHandler):
    """A connection: `_answer` makes the response, and faults are applied here."""

    service: FdsnServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet: the second of two waits for an acknowledgement
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        method = parts.path.removeprefix(self.service.under + PATH)
        pairs = parse_qsl(parts.query)
        fault = self.service.next_fault(method)
        headers: dict[str, str] = {}
        if fault and fault.kind in ("busy", "unavailable"):
            status, body = (429 if fault.kind == "busy" else 503), b"later, please"
            if fault.retry_after is not None:
                headers["Retry-After"] = fault.retry_after
        else:
            status, body = _answer(self.service, parts.path, method, pairs)
        if fault and fault.kind == "short":
            body = body[: body.rstrip(b"\n").rfind(b"\n") + 1]
        if fault and fault.kind == "garbage":
            body = b"<html>Welcome to the hotel's network</html>\n"
        self.service.log.append(Request(method, dict(pairs), status))
        self._send(status, body, headers, fault.kind if fault else "")

    def _send(self, status: int, body: bytes, headers: dict[str, str], fault: str) -> None:
        if "gzip" in self.headers.get("Accept-Encoding", "") and len(body) > 1000:
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers["Content-Encoding"] = "gzip"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        is_half = fault in ("cut", "stall")
        self.wfile.write(body[: len(body) // 2] if is_half else body)
        self.wfile.flush()
        if fault == "stall":
            self.service.wait_for_end()
        self.close_connection = is_half

    def log_message(self, *_: Any) -> None:
        """Log nothing to stderr: the requests are in the server's log."""


def _answer(
    service: FdsnServer, path: str, method: str, pairs: Sequence[tuple[str, str]]
) -> tuple[int, bytes]:
    """Return the status and body of the service's response."""
    if not path.startswith(service.under + PATH) or method not in ("count", "query", "version"):
        return 404, b"Error 404: Not Found"
    if method == "version":
        return 200, VERSION.encode()
    try:
        parameters = _parameters(pairs)
        indices = service.table.find(parameters)
    except BadParameterError as error:
        return _refusal(str(error), path)
    if method == "count":
        return 200, _count(len(indices), service.declared_limit or service.limit, parameters)
    return _events(service, indices, parameters, path)


def _events(
    service: FdsnServer, indices: NDArray[np.intp], parameters: dict[str, str], path: str
) -> tuple[int, bytes]:
    if len(indices) > service.limit:
        message = f"{len(indices)} matching events exceeds search limit of {service.limit}. "
        return _refusal(message + "Modify the search to match fewer events.", path)
    if not len(indices):
        return int(parameters.get("nodata", "204")), b""
    table = service.table
    render = table.csv if parameters.get("format") == "csv" else table.text
    return 200, render(indices).encode()


def _parameters(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the parameters; raise an error for unknown and repeated names."""
    counts = Counter(name for name, _ in pairs)
    parameters = dict(pairs)
    for name, times in counts.items():
        if name not in KNOWN:
            raise BadParameterError(f'Unknown parameter "{name}".')
        if times > 1:
            raise BadParameterError(f'Parameter "{name}" may be given once.')
    if parameters.get("format", "csv") not in FORMATS:
        raise BadParameterError(f'Bad format value "{parameters["format"]}".')
    if parameters.get("includedeleted") and parameters.get("format") not in ("geojson", "csv"):
        raise BadParameterError(
            "Cannot use includedeleted parameter unless format is geojson or csv."
        )
    return parameters


def _count(number: int, limit: int, parameters: dict[str, str]) -> bytes:
    if parameters.get("format") != "geojson":
        return str(number).encode()
    answer: dict[str, Any] = {"count": number, "maxAllowed": limit}
    if number > limit:
        answer["error"] = f"{number} matching events exceeds search limit of {limit}."
    return json.dumps(answer).encode()


def _refusal(message: str, path: str) -> tuple[int, bytes]:
    text = (
        f"Error 400: Bad Request\n\n{message}\n\nUsage details are available from {PATH}\n\n"
        f"Request:\n{path}\n\nService version:\n{VERSION}\n"
    )
    return 400, text.encode()


def main() -> None:
    """Serve a table of events until interrupted, and print the address."""
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with FdsnServer(read_events(Path(sys.argv[1])), port=port) as server:
        print(server.url, flush=True)  # noqa: T201 - the address is the program's output
        try:
            server.wait_for_end()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
