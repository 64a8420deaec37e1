"""Proxies, credentials and certificates of the user, as curl and requests take them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sciml_data.errors import CallError, redacted
from sciml_data.testing.datasets import write_dataset, write_files
from sciml_data.testing.faults import redirect, status
from sciml_data.testing.fdsn_server import FdsnServer
from sciml_data.testing.server import FileServer
from sciml_data.transfer.protocols import (
    SourceError,
    Sources,
    Timeouts,
    TransientError,
    credentials,
)
from sciml_data.transfer.protocols.credentials import take_credentials
from sciml_data.transfer.protocols.datalad import place_address
from sciml_data.transfer.protocols.fdsn.service import Service
from sciml_data.transfer.protocols.mirrors import mirror_base
from sciml_data.transfer.protocols.network import Logins, is_exempt, proxy_of
from tests.support.fdsn_fetch import made_up_events
from tests.support.ports import closed_port
from tests.support.proxy import ForwardProxy
from tests.support.tls import Authority, TlsFileServer

CONTENT = b"content of a file\n" * 50
FILES = {"a.bin": CONTENT}
HOST = "http://data.example.org"
VARIABLES = (
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("NETRC", "SCIML_DATA_TOKENS"),
)
Read = Callable[[str], bytes]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(credentials, "_taken", {})
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    write_files(tmp_path / "served", FILES)
    with FileServer(tmp_path / "served") as server:
        yield server


@pytest.fixture
def read() -> Iterator[Read]:
    """Return a callable that gives all bytes of a URL, with the settings of its first call."""
    with Sources(connections=1, timeouts=Timeouts(connect_s=5, read_s=5)) as sources:

        def read(url: str) -> bytes:
            body = sources.of(url).open(url)
            content = b"".join(iter(lambda: body.read(1000), b""))
            body.close()
            return content

        yield read


@pytest.mark.parametrize(
    ("variable", "form"),
    [
        ("http_proxy", "http://{}"),
        ("HTTP_PROXY", "http://{}/"),
        ("http_proxy", "{}"),
        ("all_proxy", "http://{}"),
        ("ALL_PROXY", "{}"),
    ],
)
def test_a_proxy_is_found_in_every_variable_with_and_without_its_scheme(
    monkeypatch: pytest.MonkeyPatch, server: FileServer, read: Read, variable: str, form: str
) -> None:
    with ForwardProxy(server.url) as proxy:
        monkeypatch.setenv(variable, form.format(proxy.address))

        assert read(f"{HOST}/a.bin") == CONTENT
        assert proxy.requests == [f"GET {HOST}/a.bin"]


def test_a_password_of_a_proxy_is_decoded_and_sent(
    monkeypatch: pytest.MonkeyPatch, server: FileServer, read: Read
) -> None:
    with ForwardProxy(server.url, login="me:p@ss é") as proxy:
        monkeypatch.setenv("http_proxy", f"http://me:p%40ss%20%C3%A9@{proxy.address}")

        assert read(f"{HOST}/a.bin") == CONTENT
    assert not any("authorization" in request.headers for request in server.requests)


def test_a_password_of_a_proxy_is_sent_for_a_tunnel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, read: Read
) -> None:
    authority = Authority(tmp_path, "data.example.org")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    write_files(tmp_path / "served", FILES)
    with (
        TlsFileServer(tmp_path / "served", authority) as server,
        ForwardProxy(server.url, login="me:p@ss") as proxy,
    ):
        monkeypatch.setenv("https_proxy", f"http://me:p%40ss@{proxy.address}")

        assert read("https://data.example.org/a.bin") == CONTENT
        assert proxy.requests == ["CONNECT data.example.org:443"]
        assert not any("proxy-authorization" in request.headers for request in server.requests)


@pytest.mark.parametrize("url", [f"{HOST}/a.bin", "https://data.example.org/a.bin"])
@pytest.mark.parametrize("login", ["", "me:wrongsecret@"])
def test_a_proxy_that_refuses_the_password_is_named_without_it(
    monkeypatch: pytest.MonkeyPatch, server: FileServer, read: Read, login: str, url: str
) -> None:
    with ForwardProxy(server.url, login="me:right") as proxy:
        monkeypatch.setenv("all_proxy", f"http://{login}{proxy.address}")

        with pytest.raises(SourceError, match=f"407: the proxy http://{proxy.address}") as error:
            read(url)
    assert not isinstance(error.value, TransientError)
    assert "wrongsecret" not in str(error.value)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_does_not_answer_may_be_asked_again(
    monkeypatch: pytest.MonkeyPatch, read: Read, scheme: str
) -> None:
    with closed_port() as port:
        monkeypatch.setenv("all_proxy", f"me:secret@127.0.0.1:{port}")
        expected = f"the proxy http://127.0.0.1:{port} cannot"

        with pytest.raises(TransientError, match=expected) as error:
            read(f"{scheme}://data.example.org/a.bin")
    assert error.value.is_unreachable


def test_empty_variables_count_as_not_set(
    monkeypatch: pytest.MonkeyPatch, server: FileServer, read: Read
) -> None:
    for name in VARIABLES:
        if name.islower() or os.name == "posix":
            monkeypatch.setenv(name, "")
    with ForwardProxy(server.url) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.address)

        assert read(f"{HOST}/a.bin") == CONTENT
        assert len(proxy.requests) == 1


@pytest.mark.parametrize("text", ["ftp://me:secret@host:1", "http://", "host:secret"])
def test_a_proxy_that_cannot_be_used_is_an_error_that_does_not_print_it(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("http_proxy", text)

    with pytest.raises(SourceError, match="HOST:PORT") as error:
        proxy_of(f"{HOST}/a.bin")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "expected"),
    [
        ("*", "a.example", 80, True),
        ("example.org", "example.org", 80, True),
        ("example.org", "data.example.org", 80, True),
        (".example.org", "data.example.org", 80, True),
        ("*.example.org", "data.example.org", 80, True),
        ("example.org", "notexample.org", 80, False),
        ("EXAMPLE.org", "data.Example.ORG.", 80, True),
        ("a.example, example.org", "example.org", 443, True),
        ("a.example b.example", "b.example", 443, True),
        ("example.org:8080", "example.org", 8080, True),
        ("example.org:8080", "example.org", 80, False),
        ("10.0.0.0/8", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "11.1.2.3", 80, False),
        ("10.1.2.3", "10.1.2.3", 80, True),
        ("10.1.2.3:80", "10.1.2.3", 81, False),
        ("2.3", "10.1.2.3", 80, False),
        ("fd00::/8", "fd12::1", 80, True),
        ("[fd12::1]:80", "fd12::1", 80, True),
        ("", "example.org", 80, False),
        (",, ", "example.org", 80, False),
        (".", "example.org", 80, False),
    ],
)
def test_no_proxy_names_hosts_domains_ports_and_networks(
    no_proxy: str,
    host: str,
    port: int,
    expected: bool,  # noqa: FBT001
) -> None:
    assert is_exempt(host, port, no_proxy) is expected


def test_a_host_of_no_proxy_is_not_asked_for_at_the_proxy(
    monkeypatch: pytest.MonkeyPatch, server: FileServer
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "example.org")

    assert proxy_of(f"{HOST}/a.bin") is None
    assert proxy_of("http://data.example.com/a.bin") is not None
    assert proxy_of(f"{server.url}/a.bin") is None  # this computer is never behind a proxy


def test_the_event_service_is_asked_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with FdsnServer(made_up_events()) as server, ForwardProxy(server.url) as proxy:
        monkeypatch.setenv("http_proxy", proxy.address)
        service = Service("http://quakes.example.org/fdsnws/event/1/", {}, lambda _: None)

        assert service.version()
        assert proxy.requests == ["GET http://quakes.example.org/fdsnws/event/1/version"]


# --- credentials ---------------------------------------------------------------------------------


def sent_to(server: FileServer) -> set[str | None]:
    return {request.headers.get("authorization") for request in server.requests}


ME = "Basic bWU6cEBzcw=="  # me:p@ss


def test_credentials_of_a_mirror_are_sent_and_not_part_of_its_address(
    server: FileServer, read: Read
) -> None:
    base = mirror_base(server.url.replace("://", "://me:p%40ss@") + "/tree/")
    server.add(redirect("/a.bin"), path="tree/a.bin")

    assert base == f"{server.url}/tree"
    assert read(f"{base}/a.bin") == CONTENT
    # The redirect leads out of the mirror's address.
    assert [r.headers.get("authorization") for r in server.requests] == [ME, None]


def test_credentials_are_not_sent_to_another_host_after_a_redirect(
    tmp_path: Path, server: FileServer, read: Read
) -> None:
    with FileServer(tmp_path / "served") as other:
        server.add(redirect(f"{other.url}/a.bin"))
        base = mirror_base(server.url.replace("://", "://me:p%40ss@"))

        assert read(f"{base}/a.bin") == CONTENT
        assert sent_to(server) == {ME}
        assert sent_to(other) == {None}


def test_two_addresses_of_one_host_may_have_different_credentials() -> None:
    take_credentials("https://one:1@two.example/x")
    take_credentials("https://two:2@two.example/x/y/")
    found = [Logins().of(f"https://two.example/{path}") for path in ("x/a", "x/y/a", "xy", "")]

    assert [login and login.header for login in found] == [
        "Basic b25lOjE=",
        "Basic dHdvOjI=",
        None,
        None,
    ]
    assert Logins().of("http://two.example/x/a") is None  # another scheme and port


def test_netrc_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: FileServer, read: Read
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password p@ss\n")
    read(f"{server.url}/a.bin")
    assert sent_to(server) == {ME}

    netrc.rename(tmp_path / "elsewhere")
    monkeypatch.setenv("NETRC", "~/elsewhere")
    assert Logins().of(f"{server.url}/a.bin") is not None
    monkeypatch.setenv("NETRC", "")
    assert Logins().of(f"{server.url}/a.bin") is None


def test_the_default_of_netrc_is_not_sent_to_every_server(
    tmp_path: Path, server: FileServer
) -> None:
    (tmp_path / ".netrc").write_text("default login anonymous password me@example.org\n")

    assert Logins().of(f"{server.url}/a.bin") is None


def test_a_netrc_that_cannot_be_read_is_as_none(tmp_path: Path, server: FileServer) -> None:
    (tmp_path / ".netrc").write_text("machine\n\x00nonsense")

    assert Logins().of(f"{server.url}/a.bin") is None


def test_a_token_is_sent_to_its_host_only_and_not_in_the_clear(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    config = tmp_path / "config" / "sciml-data" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[tokens]\n"b.example" = "of-file"\n"http://c.example" = "clear"\n')
    monkeypatch.setenv("SCIML_DATA_TOKENS", "a.example=abc== A.example:8443=other")
    found = {
        url: (login.header if (login := Logins().of(url)) else None)
        for url in (
            "https://a.example/x",
            "https://a.example:8443/x",
            "https://sub.a.example/x",
            "http://a.example/x",
            "https://b.example/x",
            "http://c.example/x",
        )
    }

    assert list(found.values()) == [
        "Bearer abc==",
        "Bearer other",
        None,
        None,
        "Bearer of-file",
        "Bearer clear",
    ]


def test_a_token_that_has_no_host_is_an_error_without_it(
    monkeypatch: pytest.MonkeyPatch, read: Read, server: FileServer
) -> None:
    monkeypatch.setenv("SCIML_DATA_TOKENS", "justatoken")

    with pytest.raises(SourceError, match="HOST=TOKEN") as error:
        read(f"{server.url}/a.bin")
    assert "justatoken" not in str(error.value)


def test_refused_credentials_and_missing_ones_are_different_sentences(
    tmp_path: Path, server: FileServer, read: Read
) -> None:
    server.add(status(401), times=2)
    with pytest.raises(SourceError, match=r"no credentials are known for 127\.0\.0\.1: https://"):
        read(f"{server.url}/a.bin")
    mirror_base(server.url.replace("://", "://me:secret77@"))
    with pytest.raises(SourceError, match="the credentials of the mirror's address are refused"):
        read(f"{server.url}/a.bin")


@pytest.mark.parametrize(
    "mirror",
    [
        "http://me:sec/ret@host.example/x",
        "ftp://me:sec/ret@host.example/x",
        "htp://me:sec@h",
        "s3://k:sec@",
    ],
)
def test_a_wrong_address_is_an_error_without_its_password(mirror: str) -> None:
    with pytest.raises(CallError) as error:
        mirror_base(mirror)

    assert "sec" not in str(error.value)


def test_texts_are_printed_without_credentials() -> None:
    assert redacted("git clone https://me:a@b@host/x failed") == "git clone https://host/x failed"
    assert redacted("ftp://me:a@host/x sftp://me:b@host/y") == "ftp://host/x sftp://host/y"
    assert redacted("ssh://git@host/x me@example.org") == "ssh://git@host/x me@example.org"


@pytest.mark.parametrize("answers", [[200], [403] * 20, [404] * 20])
def test_no_file_and_no_line_has_the_password(
    tmp_path: Path, server: FileServer, answers: list[int]
) -> None:
    write_dataset(tmp_path / "registry", FILES, mirrors=[{"": f"{server.url}/absent/"}])
    for answer in answers:
        if answer != 200:
            server.add(status(answer))
    command = [sys.executable, "-m", "sciml_data", "get", "tiny"]
    secret = server.url.replace("://", "://me:secret77@")
    options = ["--registry", str(tmp_path / "registry"), "--mirror", secret]
    environment = os.environ | {"SCIML_DATA_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [*command, *options], env=environment, capture_output=True, text=True, check=False
    )
    files = [path for path in tmp_path.glob("home/**/*") if path.is_file()]

    assert done.returncode == (0 if answers == [200] else 1), done.stderr
    assert "secret77" not in done.stdout + done.stderr
    assert not any(b"secret77" in path.read_bytes() for path in files)
    assert any(request.headers.get("authorization") for request in server.requests)


def test_a_clone_gets_the_password_and_no_error_has_it(server: FileServer, read: Read) -> None:
    # git sends the password when it is asked for it.
    asked = (("WWW-Authenticate", 'Basic realm="x"'),)
    server.add(replace(status(401), headers=asked), path="data.git*", times=1)
    place = place_address("datalad:" + server.url.replace("://", "://me:secret77@") + "/data.git")

    assert place == f"datalad:{server.url}/data.git"
    with pytest.raises(SourceError) as error:
        read(f"{place}#tiny/1.0/a.bin")
    assert "secret77" not in str(error.value)
    assert any(request.headers.get("authorization") for request in server.requests)


# --- certificates --------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def tls_server(tmp_path: Path, authority: Authority) -> Iterator[FileServer]:
    write_files(tmp_path / "served", FILES)
    with TlsFileServer(tmp_path / "served", authority) as server:
        yield server


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_an_authority_of_the_site_is_trusted(
    monkeypatch: pytest.MonkeyPatch,
    tls_server: FileServer,
    authority: Authority,
    read: Read,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, str(authority.file))

    assert read(f"{tls_server.url}/a.bin") == CONTENT


@pytest.mark.parametrize("variable", ["SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
def test_a_folder_of_authorities_is_trusted(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tls_server: FileServer,
    authority: Authority,
    read: Read,
    variable: str,
) -> None:
    folder = tmp_path / "authorities"
    folder.mkdir()
    name = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", authority.file],
        capture_output=True,
        text=True,
        check=True,
    )
    (folder / f"{name.stdout.strip()}.0").write_bytes(authority.file.read_bytes())
    monkeypatch.setenv(variable, str(folder))

    assert read(f"{tls_server.url}/a.bin") == CONTENT


def test_an_unknown_authority_is_an_error_that_says_where_to_name_it(
    monkeypatch: pytest.MonkeyPatch, tls_server: FileServer, read: Read
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "")
    with pytest.raises(SourceError, match="SSL_CERT_FILE") as error:
        read(f"{tls_server.url}/a.bin")

    assert not isinstance(error.value, TransientError)
    for name in ("SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "CERTIFICATE_VERIFY"):
        assert name in error.value.message


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("name", ["absent", "empty"])
def test_a_variable_without_certificates_is_named(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tls_server: FileServer,
    read: Read,
    variable: str,
    name: str,
) -> None:
    (tmp_path / "empty").write_text("")
    monkeypatch.setenv(variable, str(tmp_path / name))

    with pytest.raises(SourceError, match=f"{variable}={tmp_path}/{name} cannot be used"):
        read(f"{tls_server.url}/a.bin")


def test_a_certificate_of_another_name_is_an_error_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tls_server: FileServer, authority: Authority, read: Read
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))

    with pytest.raises(SourceError, match="ostname") as error:
        read(tls_server.url.replace("127.0.0.1", "localhost") + "/a.bin")
    assert "SSL_CERT_FILE" not in error.value.message
