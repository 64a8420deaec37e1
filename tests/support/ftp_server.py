"""An FTP server on loopback (pyftpdlib), for anonymous users or with a password."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any, Self

import pytest

with warnings.catch_warnings():  # of asyncore, which it takes from Python 3.11
    warnings.simplefilter("ignore")
    pytest.importorskip("pyftpdlib.servers")
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import ThreadedFTPServer

READ_ONLY = "elr"


class FtpServer:
    """A server of a folder; a context manager.

    Attributes:
        port: of 127.0.0.1.
        sent: paths of the files that were sent completely.
        logins: users who logged in, with the passwords that they gave.
    """

    def __init__(self, root: Path, user: str = "", password: str = "") -> None:
        """Take the folder, and a user; without one, everybody may read."""
        authorizer = DummyAuthorizer()
        if user:
            authorizer.add_user(user, password, str(root), perm=READ_ONLY)
        else:
            authorizer.add_anonymous(str(root), perm=READ_ONLY)
        self.sent: list[str] = []
        self.logins: list[tuple[str, str]] = []
        own = self

        class Handler(FTPHandler):  # type: ignore[misc] # pyftpdlib ships no types
            def on_file_sent(self, file: str) -> None:
                own.sent.append(Path(file).relative_to(root).as_posix())

            def on_login(self, username: str) -> None:
                own.logins.append((username, password))

        Handler.authorizer = authorizer
        Handler.auth_failed_timeout = 0
        self._server: Any = ThreadedFTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.address[1]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        """Return the address of the folder, without a slash at the end."""
        return f"ftp://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)  # what it leaves open would be an error of another test

    def _serve(self) -> None:
        # The sockets are closed by the thread that waits for them: closed by another thread, the
        # wait ends with "bad file descriptor".
        while not self._stop.is_set():
            self._server.serve_forever(timeout=0.1, blocking=False)
        self._server.close_all()
