"""What curl, requests, pooch and sciml-data do in situations that networks really have.

    python -m benchmarks.situations              # from the top of the checkout; a few minutes
    python -m benchmarks.situations --only netrc
    python -m benchmarks.situations --write      # into the table of docs/how-to/networks.md

Every client gets the same file from the same loopback server: nginx and tinyproxy where these can
make the situation, else the faulty servers of the tests. The clients are as people type them:

    curl --silent --show-error --fail --location --output FILE URL
    requests.get(URL), raise_for_status(), write(content)
    pooch.retrieve(URL, known_hash)
    sciml-data get ID

curl gets `--continue-at -` where a download is resumed. A cell is what happened: the file was
right, or wrong without an error, or the reason of the error.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from sciml_data.testing.datasets import write_dataset
from sciml_data.testing.faults import (
    Fault,
    cut,
    drip,
    lengthened,
    range_ignored,
    redirect,
    stall,
    status,
    truncated,
)
from sciml_data.testing.server import FileServer
from tests.support.nginx import nginx, wait_for
from tests.support.paths import ROOT
from tests.support.ports import unused_ports
from tests.support.tls import Authority, TlsFileServer

DOCUMENT = ROOT / "docs" / "how-to" / "networks.md"
START, END = "<!-- situations: python -m benchmarks.situations --write -->", "<!-- end -->"
CLIENTS = ("curl", "requests", "pooch", "sciml-data")
NAME = "data.csv"
CONTENT = b"".join(b"%d,%d\n" % (n, n * n) for n in range(30_000))
HALF = len(CONTENT) // 2
LIMIT_S = 45.0  # of one client; sciml-data gives a silent server 30 s
OTHER = "127.0.0.2"  # of loopback, too; sciml-data asks no proxy for 127.0.0.1
REQUESTS = """
import sys, requests
answer = requests.get(sys.argv[1])
answer.raise_for_status()
open(sys.argv[2], "wb").write(answer.content)
"""
POOCH = """
import os, sys, pooch
folder, name = os.path.split(sys.argv[2])
pooch.retrieve(sys.argv[1], sys.argv[3], name, folder)
"""
# Reason of an error -> what clients write; the first that fits counts.
REASONS = {
    "{}": r"\b(40[1347]|416|429|503)\b",
    "certificate": r"certificate|CERTIFICATE",
    "other hash": r"hash|sha256",
    "the server has no ranges": r"byte ranges",
    "other size": r"\d bytes, \d+ expected|bytes were sent",
    "too many redirects": r"edirect",
    "cut": r"IncompleteRead|outstanding|bytes remaining|was cut|reset|broken",
    "no answer in time": r"timed out|Read timed|in time",
    "proxy refused": r"proxy",
}


@dataclass
class Scene:
    """Servers that are up, and how a client is started.

    Attributes:
        url: address of the file.
        environment: variables of the client.
        is_half: whether half of the body was sent; the client is killed then, and started again.
            None starts it once.
        between: called between the two.
        verdict: further words on a success, from what the servers saw.
    """

    url: str
    environment: Mapping[str, str] = field(default_factory=dict)
    is_half: Callable[[], bool] | None = None
    between: Callable[[], None] = lambda: None
    verdict: Callable[[], str] = lambda: ""


Maker = Callable[[Path], AbstractContextManager[Scene]]
SITUATIONS: dict[str, Maker] = {}


def situation(title: str) -> Callable[[Callable[[Path], Iterator[Scene]]], Maker]:
    """Register a function that brings servers up in a scratch folder, under a title."""

    def register(function: Callable[[Path], Iterator[Scene]]) -> Maker:
        SITUATIONS[title] = contextmanager(function)
        return SITUATIONS[title]

    return register


def folder(scratch: Path) -> Path:
    """Return a folder to serve, with the file."""
    root = scratch / "www"
    root.mkdir(parents=True, exist_ok=True)
    (root / NAME).write_bytes(CONTENT)
    return root


@contextmanager
def behind_proxy(scratch: Path, rule: str, login: str = "") -> Iterator[tuple[str, str]]:
    """Yield the file's URL and HOST:PORT of a tinyproxy; a rule of nginx says who is refused."""
    (port,) = unused_ports(1)
    configuration = scratch / "tinyproxy.conf"
    configuration.write_text(
        f"Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nAllow 127.0.0.1\n{login}\n"
        f'LogFile "{scratch}/tinyproxy.log"\n'
    )
    command = ["tinyproxy", "-d", "-c", str(configuration)]
    with (
        nginx(scratch / "nginx", folder(scratch), rule, host=OTHER) as url,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process,
    ):
        try:
            wait_for(f"http://127.0.0.1:{port}/")
            yield f"{url}/{NAME}", f"127.0.0.1:{port}"
        finally:
            process.terminate()


ONLY_BY_PROXY = 'if ($http_via = "") { return 403; }'
NEVER_BY_PROXY = 'if ($http_via != "") { return 403; }'


@situation("proxy with a password, `http_proxy=http://me:p%2Ess@HOST:PORT`")
def _proxy_with_password(scratch: Path) -> Iterator[Scene]:
    with behind_proxy(scratch, ONLY_BY_PROXY, "BasicAuth me p.ss") as (url, proxy):
        yield Scene(url, {"http_proxy": f"http://me:p%2Ess@{proxy}"})


@situation("proxy without a scheme, `http_proxy=HOST:PORT`")
def _proxy_without_scheme(scratch: Path) -> Iterator[Scene]:
    with behind_proxy(scratch, ONLY_BY_PROXY) as (url, proxy):
        yield Scene(url, {"http_proxy": proxy})


@situation("`ALL_PROXY` only")
def _all_proxy(scratch: Path) -> Iterator[Scene]:
    with behind_proxy(scratch, ONLY_BY_PROXY) as (url, proxy):
        yield Scene(url, {"ALL_PROXY": f"http://{proxy}"})


@situation("a network in `no_proxy=127.0.0.0/8`")
def _no_proxy(scratch: Path) -> Iterator[Scene]:
    with behind_proxy(scratch, NEVER_BY_PROXY) as (url, proxy):
        yield Scene(url, {"http_proxy": f"http://{proxy}", "no_proxy": "127.0.0.0/8"})


@contextmanager
def with_password(scratch: Path) -> Iterator[str]:
    """Yield the file's URL on an nginx that asks for the user `me` and the password `p@ss`."""
    (scratch / "users").write_text("me:{PLAIN}p@ss\n")
    rule = f'auth_basic "x"; auth_basic_user_file {scratch}/users;'
    with nginx(scratch / "nginx", folder(scratch), rule) as url:
        yield f"{url}/{NAME}"


@situation("user and password in the address")
def _password_in_address(scratch: Path) -> Iterator[Scene]:
    with with_password(scratch) as url:
        yield Scene(url.replace("://", "://me:p%40ss@"))


@situation("password in `~/.netrc`")
def _password_in_netrc(scratch: Path) -> Iterator[Scene]:
    netrc = scratch / "home" / ".netrc"
    netrc.parent.mkdir()
    netrc.write_text("machine 127.0.0.1 login me password p@ss\n")
    netrc.chmod(0o600)
    with with_password(scratch) as url:
        yield Scene(url, {"HOME": str(netrc.parent)})


@situation("redirect (302) to another path")
def _redirected(scratch: Path) -> Iterator[Scene]:
    root = folder(scratch)
    (root / "real").mkdir()
    (root / NAME).rename(root / "real" / NAME)
    with nginx(
        scratch / "nginx", root, f"location = /{NAME} {{ return 302 /real/{NAME}; }}"
    ) as url:
        yield Scene(f"{url}/{NAME}")


@situation("redirect to another host, with a password in the address")
def _redirected_with_password(scratch: Path) -> Iterator[Scene]:
    with FileServer(folder(scratch)) as other:
        rule = f"location = /{NAME} {{ return 302 {other.url}/{NAME}; }}"
        with nginx(scratch / "nginx", scratch, rule, host=OTHER) as url:

            def verdict() -> str:
                sent = any("authorization" in request.headers for request in other.requests)
                return ", password sent there" if sent else ", password kept back"

            yield Scene(f"{url}/{NAME}".replace("://", "://me:secret@"), verdict=verdict)


def faulty(title: str, *faults: Fault, times: int | None = 1) -> None:
    """Register a situation of a server with faults, for each of its first requests or all."""

    def scene(scratch: Path) -> Iterator[Scene]:
        with FileServer(folder(scratch)) as server:
            for fault in faults:
                server.add(fault, path=NAME, times=times)
            yield Scene(f"{server.url}/{NAME}")

    situation(title)(scene)


faulty("connection ends after half of the body, once", cut(HALF))
faulty("half of the body, then silence, once", stall(HALF))
faulty("shorter body with a matching Content-Length", truncated(1000), times=None)
faulty("longer body with a matching Content-Length", lengthened(1000), times=None)
faulty("longer body without Content-Length", lengthened(1000, is_declared=False), times=None)
faulty("503 with `Retry-After: 1`, twice", status(503, retry_after="1"), status(503))
faulty("429 with `Retry-After: 1`, once", status(429, retry_after="1"))
faulty("404", status(404), times=None)
faulty("redirect in a circle", redirect(f"/{NAME}"), times=None)


@situation("page of a login portal instead of the file, status 200")
def _login_portal(scratch: Path) -> Iterator[Scene]:
    root = folder(scratch)
    (root / NAME).write_text("<html>Please log in</html>")
    with nginx(scratch / "nginx", root, "default_type text/html;") as url:
        yield Scene(f"{url}/{NAME}")


@situation("`Content-Encoding: gzip` that nobody requested")
def _unrequested_gzip(scratch: Path) -> Iterator[Scene]:
    root = folder(scratch)
    (root / f"{NAME}.gz").write_bytes(gzip.compress(CONTENT))
    with nginx(scratch / "nginx", root, "gzip_static always;") as url:
        yield Scene(f"{url}/{NAME}")


@contextmanager
def killed_half_way(scratch: Path) -> Iterator[tuple[FileServer, Callable[[], str]]]:
    """Yield a server that is slow from half of the body on, and words about bytes sent twice."""
    with FileServer(folder(scratch), send_buffer_bytes=1 << 14) as server:
        server.add(drip(HALF, pause_s=0.05), path=NAME)

        def verdict() -> str:
            return ", resumed" if server.bytes_sent < 1.4 * len(CONTENT) else ", from the start"

        yield server, verdict


def half_of(server: FileServer) -> Callable[[], bool]:
    """Return a function that says whether a server has sent half of the file."""
    return lambda: server.bytes_sent >= HALF


@situation("killed half-way and started again")
def _killed(scratch: Path) -> Iterator[Scene]:
    with killed_half_way(scratch) as (server, verdict):
        yield Scene(f"{server.url}/{NAME}", is_half=half_of(server), verdict=verdict)


@situation("the same, and the server ignores ranges")
def _killed_without_ranges(scratch: Path) -> Iterator[Scene]:
    with killed_half_way(scratch) as (server, verdict):

        def between() -> None:
            server.clear_faults()
            server.add(range_ignored(), path=NAME, times=None)

        yield Scene(f"{server.url}/{NAME}", {}, half_of(server), between, verdict)


@situation("the same, and the file (and its entity tag) was replaced meanwhile")
def _killed_and_replaced(scratch: Path) -> Iterator[Scene]:
    with killed_half_way(scratch) as (server, verdict):

        def between() -> None:
            server.clear_faults()
            (server.root / NAME).write_bytes(CONTENT.replace(b"1", b"7"))

        yield Scene(f"{server.url}/{NAME}", {}, half_of(server), between, verdict)


def private_authority(title: str, *variables: str) -> None:
    """Register a server with a certificate of a private authority, and variables that name it."""

    def scene(scratch: Path) -> Iterator[Scene]:
        authority = Authority(scratch)
        with TlsFileServer(folder(scratch), authority) as server:
            yield Scene(f"{server.url}/{NAME}", dict.fromkeys(variables, str(authority.file)))

    situation(title)(scene)


private_authority("certificate of a private authority")
private_authority("the same, with `REQUESTS_CA_BUNDLE`", "REQUESTS_CA_BUNDLE")
private_authority("the same, with `SSL_CERT_FILE`", "SSL_CERT_FILE")


def run(client: str, scene: Scene, scratch: Path) -> str:
    """Return what a client does, in words."""
    out = scratch / "out" / NAME
    out.parent.mkdir()
    command, result = _command(client, scene, scratch, out)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not re.search(r"(?i)_proxy$|_BUNDLE$|^SSL_CERT|^NETRC$|^SCIML_DATA|^AWS_", name)
    }
    environment |= {"HOME": str(scratch), "XDG_CONFIG_HOME": str(scratch), **scene.environment}
    if scene.is_half is not None:
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as first:
            until = time.monotonic() + LIMIT_S
            while not scene.is_half() and time.monotonic() < until:
                time.sleep(0.05)
            time.sleep(1)  # the client writes what has arrived; the rest would take hours
            first.kill()
        scene.between()
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no end within {LIMIT_S:.0f} s"
    if done.returncode:
        return f"error: {_reason(done.stderr + done.stdout)}"
    is_right = result.is_file() and result.read_bytes() == CONTENT
    return "right file" + scene.verdict() if is_right else "wrong file, no error"


def _command(client: str, scene: Scene, scratch: Path, out: Path) -> tuple[list[str], Path]:
    """Return the command of a client, and where it leaves the file."""
    digest = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    if client == "curl":
        resume = ["--continue-at", "-"] if scene.is_half else []
        options = ["--silent", "--show-error", "--fail", "--location", *resume]
        return ["curl", *options, "--output", str(out), scene.url], out
    if client == "requests":
        return [sys.executable, "-c", REQUESTS, scene.url, str(out)], out
    if client == "pooch":
        return [sys.executable, "-c", POOCH, scene.url, str(out), digest], out
    parts = urlsplit(scene.url)
    base = scene.url.removesuffix(f"/{NAME}")
    clean = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().removesuffix(NAME)
    write_dataset(scratch / "registry", {NAME: CONTENT}, mirrors=[{"": clean}])
    home = scratch / "data"
    command = [sys.executable, "-m", "sciml_data", "get", "tiny", "--home", str(home)]
    command += ["--registry", str(scratch / "registry")]
    # A registry has no passwords: they are given with the mirror.
    command += ["--mirror", base] if "@" in parts.netloc else []
    return command, home / "data" / "tiny" / "1.0" / "native" / NAME


def _reason(text: str) -> str:
    if "Traceback" in text:
        text = text.strip().splitlines()[-1]
    for reason, pattern in REASONS.items():
        if match := re.search(pattern, text):
            return reason.format(*match.groups())
    lines = text.strip().splitlines()
    return lines[-1][:60] if lines else "no reason is given"


def measure(titles: Sequence[str]) -> dict[str, list[str]]:
    """Return the cells of each situation, in the order of the clients."""
    cells: dict[str, list[str]] = {}
    for title in titles:
        cells[title] = []
        for client in CLIENTS:
            with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
                scene = stack.enter_context(SITUATIONS[title](Path(scratch)))
                cells[title].append(run(client, scene, Path(scratch)))
        print(_row(title, cells[title]), flush=True)
    return cells


def _row(title: str, cells: Sequence[str]) -> str:
    return f"| {title} | {' | '.join(cells)} |"


def table(cells: Mapping[str, Sequence[str]]) -> str:
    """Return the table in Markdown."""
    head = [_row("situation", CLIENTS), "|---" * (len(CLIENTS) + 1) + "|"]
    return "\n".join([*head, *(_row(title, row) for title, row in cells.items())])


def main() -> None:
    """Measure, print, and write the table of the document if asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="situations with this text in their title")
    parser.add_argument(
        "--write", action="store_true", help="write the table of docs/how-to/networks.md"
    )
    options = parser.parse_args()
    if missing := [name for name in ("curl", "nginx", "tinyproxy") if not shutil.which(name)]:
        sys.exit(f"not installed: {', '.join(missing)}")
    cells = measure([title for title in SITUATIONS if options.only in title])
    if options.write and not options.only:
        text = DOCUMENT.read_text(encoding="utf-8")
        before, _, rest = text.partition(START)
        after = rest.partition(END)[2]
        DOCUMENT.write_text(f"{before}{START}\n{table(cells)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
