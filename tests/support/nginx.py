"""A real nginx in a scratch folder, for tests against a server that was not written here."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.ports import unused_ports
from tests.support.programs import find_program

START_S = 20.0
MARK = "/mark-of-a-test-"

needs_nginx = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")


@contextmanager
def nginx(
    scratch: Path, root: Path, server: str = "", *, listen: str = "", host: str = "127.0.0.1"
) -> Iterator[str]:
    """Serve a folder on a free port of loopback and yield its URL, without a slash at the end.

    Args:
        scratch: folder for configuration and logs.
        root: folder to serve.
        server: further directives of the server block; `PORT` becomes the port.
        listen: parameters of `listen`, such as `ssl`.
        host: address of loopback to listen on.
    """
    (port,) = unused_ports(1)
    scratch.mkdir(parents=True, exist_ok=True)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {scratch}/{kind}; " for kind in kinds)
    configuration = scratch / "nginx.conf"
    configuration.write_text(
        f"daemon off; pid {scratch}/pid; error_log {scratch}/error; user root;\n"
        f"events {{}} http {{ access_log {scratch}/access; {temporary}\n"
        f"server {{ listen {host}:{port} {listen}; root {root};\n"
        f"{server.replace('PORT', str(port))} }} }}\n",
        encoding="utf-8",
    )
    command = [find_program("nginx"), "-c", str(configuration), "-e", str(scratch / "error")]
    with subprocess.Popen(command) as process:
        try:
            wait_for(f"http://{host}:{port}/")
            yield f"{'https' if 'ssl' in listen else 'http'}://{host}:{port}"
        finally:
            process.terminate()


def wait_for(url: str) -> None:
    """Wait until a server answers, with any status."""
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        with suppress(OSError):
            try:
                with urllib.request.urlopen(url, timeout=5):  # noqa: S310 (loopback)
                    return
            except urllib.error.HTTPError:
                return
        time.sleep(0.05)


def access_lines(scratch: Path) -> list[str]:
    """Return the lines of the access log so far.

    nginx writes a line after it has sent the answer, so a client may be ahead of the log. Its one
    worker does one thing after another: the line of a last request comes after all others.
    """
    mark = uuid.uuid4().hex
    listen = re.search(r"listen (\S+):(\d+)", (scratch / "nginx.conf").read_text("utf-8"))
    assert listen
    with socket.create_connection((listen[1], int(listen[2])), START_S) as connection:
        connection.sendall(f"GET {MARK}{mark} HTTP/1.0\r\n\r\n".encode())
        while connection.recv(4096):
            pass
    until = time.monotonic() + START_S
    while mark not in (text := (scratch / "access").read_text(encoding="utf-8")):
        assert time.monotonic() < until, text
        time.sleep(0.02)
    return [line for line in text.splitlines() if MARK not in line]
