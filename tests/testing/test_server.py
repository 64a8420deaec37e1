"""What a test may conclude from the numbers of a loopback server."""

from __future__ import annotations

import threading
import urllib.request
from pathlib import Path
from typing import Any

from sciml_data.testing.server import FileServer, Handler

CONTENT = bytes(200_000)


class LateStream:
    """A stream that returns late from its last write: its bytes are with the client by then."""

    def __init__(self, stream: Any, may_return: threading.Event) -> None:
        self._stream, self._may_return = stream, may_return
        self._size_bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, block: bytes) -> None:
        self._stream.write(block)
        self._size_bytes += len(block)

    def flush(self) -> None:
        self._stream.flush()
        if self._size_bytes > len(CONTENT):  # with the headers
            self._may_return.wait(60)


class LateHandler(Handler):
    """Sends its last bytes before it knows that it did."""

    may_return = threading.Event()

    def setup(self) -> None:
        super().setup()
        self.wfile: Any = LateStream(self.wfile, self.may_return)


class LateServer(FileServer):
    """A server of such answers."""

    handler = LateHandler


def test_a_client_that_has_all_bytes_finds_all_of_them_counted(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    with LateServer(tmp_path) as server:
        with urllib.request.urlopen(f"{server.url}/a.bin") as answer:  # noqa: S310 (loopback)
            content = answer.read()
        counted = server.bytes_sent
        LateHandler.may_return.set()

    assert content == CONTENT
    assert counted == len(CONTENT)
