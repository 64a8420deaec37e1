"""TCP proxies on loopback: one counts the bytes that a server sends, one is a forward proxy."""

from __future__ import annotations

import base64
import re
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

BLOCK_BYTES = 1 << 16
SEND_BUFFER_BYTES = 64 << 10  # small, so that counted bytes are close to received bytes
TIMEOUT_S = 20.0
REFUSAL = (
    b"HTTP/1.1 407 Proxy Authentication Required\r\n"
    b'Proxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
)


class Proxy(ABC):
    """Serves each connection in a thread of its own; a context manager."""

    def __init__(self, server_url: str) -> None:
        """Take the address of the server behind the proxy, and listen."""
        parts = urlsplit(server_url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    @property
    def address(self) -> str:
        """Return HOST:PORT, for clients."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve_and_close, args=[client], daemon=True).start()

    def _serve_and_close(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            self.serve(client)

    @abstractmethod
    def serve(self, client: socket.socket) -> None:
        """Serve one connection, which is closed afterwards."""


class CountingProxy(Proxy):
    """Forwards connections to a server that has no log of the bytes it sends.

    Attributes:
        received_bytes: bytes sent to clients so far, including headers.
    """

    def __init__(self, server_url: str) -> None:
        """Make a proxy of the server at an address."""
        super().__init__(server_url)
        self._lock = threading.Lock()  # several connections count at the same time
        self.received_bytes = 0

    @property
    def url(self) -> str:
        """Return the address for clients."""
        return f"http://{self.address}"

    def serve(self, client: socket.socket) -> None:
        """Pass bytes in both directions."""
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        with socket.create_connection(self._server) as server:
            _relay(client, server, self._count)

    def _count(self, size_bytes: int) -> None:
        with self._lock:
            self.received_bytes += size_bytes


class ForwardProxy(Proxy):
    """Forwards one request for each connection, or a tunnel, with or without a password.

    It knows no names: every host in an absolute URL or a CONNECT is the one server of the test.

    Attributes:
        heads: all of the head of each request.
    """

    def __init__(self, server_url: str, login: str | None = None) -> None:
        """Take the server that every name leads to, and USER:PASSWORD if there is one."""
        super().__init__(server_url)
        self._wanted = login and "Basic " + base64.b64encode(login.encode()).decode()
        self.heads: list[str] = []

    @property
    def requests(self) -> list[str]:
        """Return the first line of each request, without the version."""
        return [head.split("\r\n")[0].rpartition(" ")[0] for head in self.heads]

    def serve(self, client: socket.socket) -> None:
        """Refuse a request without the login; forward any other request."""
        client.settimeout(TIMEOUT_S)
        head = b""
        while b"\r\n\r\n" not in head:
            if not (block := client.recv(BLOCK_BYTES)):
                return
            head += block
        text = head.decode("latin-1")
        self.heads.append(text)
        sent = re.search(r"(?im)^proxy-authorization: (.*?)\r$", text)
        if self._wanted and (sent is None or sent[1] != self._wanted):
            client.sendall(REFUSAL)
            return
        with socket.create_connection(self._server, TIMEOUT_S) as server:
            if text.startswith("CONNECT "):
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                server.sendall(_for_origin(text).encode("latin-1"))
            _relay(client, server)


def _for_origin(head: str) -> str:
    """Return a request to a proxy as a request to the server: no host in its first line."""
    method, url, rest = head.split(" ", 2)
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    rest = re.sub(r"(?im)^(proxy-\S+|connection): .*?\r\n", "", rest)
    line, _, fields = rest.partition("\r\n")
    return f"{method} {target} {line}\r\nConnection: close\r\n{fields}"


def _relay(
    client: socket.socket, server: socket.socket, count: Callable[[int], None] | None = None
) -> None:
    """Pass bytes in both directions, and count those that the server sent."""
    back = threading.Thread(target=_pass, args=(server, client, count), daemon=True)
    back.start()
    _pass(client, server, None)
    back.join(TIMEOUT_S)


def _pass(
    source: socket.socket, target: socket.socket, count: Callable[[int], None] | None
) -> None:
    with suppress(OSError):
        while block := source.recv(BLOCK_BYTES):
            if count is not None:  # before it is sent: a client that has all of it finds the number
                count(len(block))
            target.sendall(block)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
