"""A loopback server that sends bytes as a test wrote them: wrong headers, odd framings, drips."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

TIMEOUT_S = 20.0  # of one connection: a test that hangs must end


@dataclass(frozen=True)
class RawRequest:
    """A request: path and query, the first and the last byte that it asks for, and its head."""

    target: str
    start: int | None
    last: int | None
    head: str


Answer = Callable[[RawRequest], Iterable[bytes]]


class RawServer:
    """Answers each request with the bytes of a callable, and closes the connection.

    Attributes:
        url: of the server, without a slash at the end.
        requests: those that were answered so far.
        stopping: set when the server ends, for an answer that never comes.
    """

    def __init__(self, answer: Answer) -> None:
        """Take the callable; it yields the pieces to send, and may wait between two of them."""
        self.answer = answer
        self.requests: list[RawRequest] = []
        self.stopping = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening; a blocked `accept` returns after a last connection."""
        self.stopping.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(TIMEOUT_S)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=[connection], daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(TIMEOUT_S)
            head = b""
            while b"\r\n\r\n" not in head:
                if not (block := connection.recv(1 << 16)):
                    return
                head += block
            text = head.decode("latin-1")
            span = re.search(r"^range: bytes=(\d+)-(\d*)\r$", text, re.MULTILINE | re.IGNORECASE)
            request = RawRequest(
                text.split(" ")[1],
                int(span[1]) if span else None,
                int(span[2]) if span and span[2] else None,
                text,
            )
            self.requests.append(request)
            for piece in self.answer(request):
                connection.sendall(piece)


def chunked(body: bytes, size_bytes: int = 700) -> bytes:
    """Return a body in chunks, with the last, empty one."""
    blocks = [body[at : at + size_bytes] for at in range(0, len(body), size_bytes)]
    return b"".join(b"%x\r\n%s\r\n" % (len(block), block) for block in blocks) + b"0\r\n\r\n"
