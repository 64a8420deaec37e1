"""Proxies that were not written here: microsocks, tinyproxy and squid, before nginx with TLS."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from sciml_data.errors import FetchError
from sciml_data.home import Home
from sciml_data.testing.datasets import write_files
from sciml_data.transfer.download import fetch
from sciml_data.transfer.protocols import SourceError, Sources, Timeouts, TransientError
from tests.support.downloads import contents, plan_from, quick_retry
from tests.support.nginx import nginx
from tests.support.ports import closed_port
from tests.support.programs import find_program, microsocks, squid, tinyproxy
from tests.support.tls import Authority

FILES = {"a.bin": b"content of a file\n" * 5000, "deep/b c.bin": bytes(3_000_000)}
SECRET = "p@ss:w/77"  # noqa: S105 (of a test)
QUOTED = "p%40ss%3Aw%2F77"
Proxy = Callable[..., AbstractContextManager[tuple[str, Path]]]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "curl_ca_bundle"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(scope="module")
def name() -> str:
    """Return another name of this computer: `localhost` is never reached through a proxy."""
    name = socket.gethostname()
    try:
        address = socket.gethostbyname(name)
    except OSError:
        address = ""
    if address != "127.0.0.1" or name == "localhost":
        pytest.skip("this computer's name does not lead to 127.0.0.1")
    return name


@pytest.fixture(params=["http", "https"])
def url(
    request: pytest.FixtureRequest, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Serve the files by nginx, with and without TLS, and return their address under the name."""
    find_program("nginx")
    write_files(tmp_path / "served", FILES)
    server, listen = "", ""
    if request.param == "https":
        authority = Authority(tmp_path, name)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        file = authority.server_file
        server, listen = f"ssl_certificate {file}; ssl_certificate_key {file};", "ssl"
    with nginx(tmp_path / "nginx", tmp_path / "served", server, listen=listen) as address:
        yield address.replace("127.0.0.1", name)


def fetched(tmp_path: Path, home: Home, url: str) -> dict[str, bytes]:
    plan = plan_from(tmp_path, FILES, [url], home)
    fetch(plan, retry=quick_retry(), range_bytes=1_000_000)
    return contents(home.dataset("tiny", "1.0").native)


def failure(tmp_path: Path, home: Home, url: str) -> str:
    with pytest.raises(FetchError) as error:
        fetched(tmp_path, home, url)
    return str(error.value)


# --- SOCKS ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
@pytest.mark.parametrize("has_login", [False, True])
def test_files_are_fetched_through_a_socks_proxy(
    tmp_path: Path,
    home: Home,
    url: str,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    scheme: str,
    has_login: bool,
) -> None:
    pytest.importorskip("socks")
    login = ("me", SECRET) if has_login else ("", "")
    with microsocks(tmp_path / "proxy", *login) as (address, log):
        user = f"me:{QUOTED}@" if has_login else ""
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://{user}{address}")

        assert fetched(tmp_path, home, url) == FILES
        target = name if scheme == "socks5h" else "127.0.0.1"  # who looks the name up
        assert f"connected to {target}:" in log.read_text()


@pytest.mark.parametrize("login", ["", "me:wrong77@"])
def test_a_socks_proxy_that_refuses_the_password_is_named_without_it(
    tmp_path: Path, home: Home, url: str, monkeypatch: pytest.MonkeyPatch, login: str
) -> None:
    pytest.importorskip("socks")
    with microsocks(tmp_path / "proxy", "me", SECRET) as (address, _):
        monkeypatch.setenv("ALL_PROXY", f"socks5h://{login}{address}")
        text = failure(tmp_path, home, url)

    assert f"the proxy socks5h://{address}" in text
    assert "password" in text
    assert "wrong77" not in text
    assert SECRET not in text


def test_a_socks_proxy_that_does_not_answer_is_named(
    tmp_path: Path, home: Home, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("socks")
    with closed_port() as port:
        proxy = f"socks5h://127.0.0.1:{port}"
        monkeypatch.setenv("ALL_PROXY", proxy)

        assert f"the proxy {proxy} cannot be used" in failure(tmp_path, home, url)


def test_a_server_that_a_socks_proxy_cannot_reach_is_told_apart_from_the_proxy(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("socks")
    with (
        closed_port() as port,
        microsocks(tmp_path / "proxy") as (address, _),
        Sources(connections=1, timeouts=Timeouts(5, 5)) as sources,
    ):
        monkeypatch.setenv("ALL_PROXY", f"socks5h://{address}")
        with pytest.raises(TransientError, match="refused") as error:
            sources.of("http:").open(f"http://{name}:{port}/a.bin")

    assert error.value.is_unreachable
    assert "cannot be used" not in error.value.message


def test_a_socks_proxy_without_the_extra_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "socks", None)
    monkeypatch.setenv("all_proxy", "socks5h://me:secret77@127.0.0.1:1080")

    with (
        Sources(connections=1, timeouts=Timeouts(5, 5)) as sources,
        pytest.raises(SourceError, match=r"sciml-data\[socks\]") as error,
    ):
        sources.of("http:").open("http://data.example.org/a.bin")
    assert "secret77" not in str(error.value)


@pytest.mark.parametrize("jobs", [1, 8])
def test_a_proxy_that_serves_no_file_is_asked_once_by_each_worker_and_reported_once(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    files = {f"{number}.bin": b"x" for number in range(40)}
    plan = plan_from(tmp_path, files, ["http://data.example.org/"], home)
    with tinyproxy(tmp_path / "proxy", "me", "pass77") as (address, log):
        monkeypatch.setenv("all_proxy", f"http://{address}")
        with pytest.raises(FetchError) as error:
            fetch(plan, retry=quick_retry(), jobs=jobs)
        requests = log.read_text().count("data.example.org")

    assert "40 files" in str(error.value)
    assert str(error.value).count("wants a user and a password") == 1
    assert requests <= 8 * jobs  # a worker may have several connections


# --- HTTP ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("proxy", [tinyproxy, squid])
@pytest.mark.parametrize("has_login", [False, True])
def test_files_are_fetched_through_a_proxy(
    tmp_path: Path,
    home: Home,
    url: str,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    proxy: Proxy,
    has_login: bool,
) -> None:
    login = ("me", "pass77") if has_login else ("", "")
    with proxy(tmp_path / "proxy", *login) as (address, log):
        user = "me:pass77@" if has_login else ""
        monkeypatch.setenv("all_proxy", f"{user}{address}")

        assert fetched(tmp_path, home, url) == FILES
    assert name in log.read_text()
    assert ("CONNECT" in log.read_text()) == (url.startswith("https:") or proxy is tinyproxy)


@pytest.mark.parametrize("proxy", [tinyproxy, squid])
@pytest.mark.parametrize("login", ["", "me:wrong77@"])
def test_a_proxy_that_refuses_the_password_says_so_without_it(
    tmp_path: Path,
    home: Home,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    proxy: Proxy,
    login: str,
) -> None:
    with proxy(tmp_path / "proxy", "me", "pass77") as (address, _):
        monkeypatch.setenv("all_proxy", f"http://{login}{address}")
        text = failure(tmp_path, home, url)

    assert "407" in text
    assert ("refuses this password" if login else "wants a user and a password") in text
    assert "wrong77" not in text
