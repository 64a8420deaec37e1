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

import fnmatch
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Self

from sciml_data.testing.faults import Fault
from sciml_data.testing.handler import Handler, Request

__all__ = ["FileServer", "Request"]


class FileServer:
    """A folder on a free port of 127.0.0.1; a context manager.

    Attributes:
        root: the folder; what is added to it is served at once.
        requests: every request so far, in the order of arrival.
        connections: how many were opened.
        before: called with each request before it is answered; may wait.
        handler: class of what answers.
    """

    handler: ClassVar[type[Handler]] = Handler

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
                if fault.left != 0 and fnmatch.fnmatchcase(path.rstrip("/"), fault.path):
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

    def vanish(self) -> None:
        """Go away as a machine does that fails: connections end, nobody listens any more."""
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
        """Say nothing: clients that go away are what this server is for."""


def serve(kind: type[FileServer]) -> None:
    """Serve the folder of the command line until interrupted, and print the address."""
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with kind(Path(sys.argv[1]), port=port) as server, suppress(KeyboardInterrupt):
        print(server.url, flush=True)  # noqa: T201 (stdout is the address)
        threading.Event().wait()


if __name__ == "__main__":
    serve(FileServer)
