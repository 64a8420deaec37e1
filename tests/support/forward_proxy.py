"""A forward proxy on loopback: absolute URLs and CONNECT, with or without a password.

It knows no names: every host that it is asked for is the one server of the test.
"""

from __future__ import annotations

import base64
import re
import socket
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

TIMEOUT_S = 20.0
HEAD_BYTES = 1 << 16
REFUSAL = (
    b"HTTP/1.1 407 Proxy Authentication Required\r\n"
    b'Proxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
)


class ForwardProxy:
    """Forwards one request for each connection, or a tunnel; a context manager.

    Attributes:
        requests: first line of each request.
        heads: all of the head of each request.
    """

    def __init__(self, server_url: str, login: str | None = None) -> None:
        """Take the server that every name leads to, and USER:PASSWORD if there is one."""
        parts = urlsplit(server_url)
        self._server = (parts.hostname or "", parts.port or 80)
        self._wanted = login and "Basic " + base64.b64encode(login.encode()).decode()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.heads: list[str] = []

    @property
    def address(self) -> str:
        """Return HOST:PORT."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def requests(self) -> list[str]:
        """Return the first line of each request, without the version."""
        return [head.split("\r\n")[0].rpartition(" ")[0] for head in self.heads]

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
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(TIMEOUT_S)
            head = b""
            while b"\r\n\r\n" not in head:
                if not (block := client.recv(HEAD_BYTES)):
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
                    method, url, rest = text.split(" ", 2)
                    parts = urlsplit(url)
                    target = parts.path + (f"?{parts.query}" if parts.query else "")
                    rest = re.sub(r"(?im)^(proxy-\S+|connection): .*?\r\n", "", rest)
                    line, _, fields = rest.partition("\r\n")
                    request = f"{method} {target} {line}\r\nConnection: close\r\n{fields}"
                    server.sendall(request.encode("latin-1"))
                back = threading.Thread(target=_pump, args=(server, client), daemon=True)
                back.start()
                _pump(client, server)
                back.join(TIMEOUT_S)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while block := source.recv(HEAD_BYTES):
            target.sendall(block)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
