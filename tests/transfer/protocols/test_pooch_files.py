"""Mirrors of the kinds `doi:`, `ftp:` and `sftp:`, from real servers on loopback."""

from __future__ import annotations

import gc
import getpass
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

pytest.importorskip("pooch")
pytest.importorskip("paramiko")

from sciml_data.errors import CallError, FetchError
from sciml_data.home import Home
from sciml_data.testing.datasets import write_dataset, write_files
from sciml_data.testing.faults import cut
from sciml_data.testing.server import FileServer
from sciml_data.transfer.download.engine import fetch
from sciml_data.transfer.plan import make_plan
from sciml_data.transfer.protocols import (
    SourceError,
    Sources,
    Timeouts,
    TransientError,
    credentials,
)
from sciml_data.transfer.protocols.mirrors import MirrorNames, mirror_base
from sciml_data.transfer.protocols.pooch_files import split_doi
from tests.support.doi_server import DATAVERSE, FIGSHARE, HOSTS, OTHER, ZENODO, DoiServer
from tests.support.downloads import FOUR_FILES, contents, quick_retry
from tests.support.ftp_server import FtpServer
from tests.support.ports import closed_port
from tests.support.programs import sshd, vsftpd
from tests.support.proxy import ForwardProxy
from tests.support.raw_server import RawRequest, RawServer
from tests.support.tls import Authority

FILES = {**FOUR_FILES, "deep/a b+c ü.bin": b"odd name"}
FLAT = {path.rpartition("/")[2]: content for path, content in FILES.items()}
SECRET = "se/cret:77"  # noqa: S105 (of a test)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in (
        *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
        *("netrc", "ssh_auth_sock", "curl_ca_bundle", "requests_ca_bundle", "ssl_cert_dir"),
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(credentials, "_taken", {})
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    yield
    gc.collect()  # a socket that was left open is an error of the test that opened it


@pytest.fixture
def served(tmp_path: Path) -> Path:
    write_files(tmp_path / "served" / "tree", FILES)
    return tmp_path / "served"


def fetched(
    tmp_path: Path, home: Home, mirror: str, files: Mapping[str, bytes] = FILES
) -> tuple[dict[str, bytes], list[str]]:
    """Return the files that a mirror gave, and the lines that were logged."""
    lines: list[str] = []
    descriptor = write_dataset(tmp_path / "registry", files)
    plan = make_plan(descriptor, home, mirrors=[mirror])
    fetch(plan, retry=quick_retry(), log=lines.append, range_bytes=500_000)
    return contents(home.dataset("tiny", "1.0").native), lines


def failure(tmp_path: Path, home: Home, mirror: str) -> str:
    """Return everything that is said of a mirror that gives no file."""
    with pytest.raises(FetchError) as error:
        fetched(tmp_path, home, mirror, {"a.bin": FILES["a.bin"]})
    assert not contents(home.dataset("tiny", "1.0").native)
    return "\n".join([str(error.value), *(problem.message for problem in error.value.problems)])


# --- ftp -----------------------------------------------------------------------------------------


def test_files_of_an_ftp_server_are_fetched(tmp_path: Path, home: Home, served: Path) -> None:
    with FtpServer(served) as server:
        assert fetched(tmp_path, home, f"{server.url}/tree/") == (FILES, [])
    # Its threads have ended: each notes a file after the client was told of its end.
    assert sorted(server.sent) == [f"tree/{path}" for path in sorted(FILES) if FILES[path]]


def test_files_of_vsftpd_are_fetched(tmp_path: Path, home: Home, served: Path) -> None:
    with vsftpd(served, tmp_path) as port:
        assert fetched(tmp_path, home, f"ftp://127.0.0.1:{port}/tree") == (FILES, [])


@pytest.mark.parametrize("place", ["address", "netrc"])
def test_a_password_for_ftp_is_sent(tmp_path: Path, home: Home, served: Path, place: str) -> None:
    with FtpServer(served, "me", SECRET) as server:
        mirror = f"{server.url}/tree"
        if place == "address":
            mirror = mirror.replace("://", "://me:se%2Fcret%3A77@")
        else:
            (tmp_path / "user").mkdir()
            line = f"machine 127.0.0.1 login me password {SECRET}\n"
            (tmp_path / "user" / ".netrc").write_text(line)

        assert fetched(tmp_path, home, mirror) == (FILES, [])


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        ("me:wrong77@", "the user and password of the mirror's address are refused"),
        ("", "wants a user and a password: ftp://USER:PASSWORD@"),
    ],
)
def test_a_refused_password_for_ftp_is_named_without_it(
    tmp_path: Path, home: Home, served: Path, login: str, expected: str
) -> None:
    with FtpServer(served, "me", SECRET) as server:
        text = failure(tmp_path, home, server.url.replace("://", f"://{login}"))

    assert expected in text
    assert "wrong77" not in text


def test_a_missing_file_and_wrong_content_of_ftp_are_named(
    tmp_path: Path, home: Home, served: Path
) -> None:
    with FtpServer(served) as server:
        assert "no such file" in failure(tmp_path, home, f"{server.url}/absent")
        write_files(served / "wrong", {"a.bin": b"?" * len(FILES["a.bin"])})
        assert "expected" in failure(tmp_path, home, f"{server.url}/wrong")
        write_files(served / "long", {"a.bin": bytes(20 << 20)})
        assert "more than" in failure(tmp_path, home, f"{server.url}/long")
        assert "long/a.bin" not in server.sent  # the download is stopped, not stored


@pytest.mark.parametrize("scheme", ["ftp", "sftp"])
def test_a_host_that_cannot_be_reached_is_named(tmp_path: Path, home: Home, scheme: str) -> None:
    with closed_port() as port:
        assert "no connection" in failure(tmp_path, home, f"{scheme}://127.0.0.1:{port}/tree")


def test_an_ftp_server_that_stalls_is_left(served: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        Sources(connections=1, timeouts=Timeouts(1, 0.2)) as sources,
        pytest.raises(TransientError, match="no answer in time"),
    ):
        sources.of("ftp:").open(f"ftp://127.0.0.1:{silent.getsockname()[1]}/a.bin")


# --- sftp ----------------------------------------------------------------------------------------


@pytest.fixture
def sftp_port(tmp_path: Path) -> Iterator[int]:
    with sshd(tmp_path / "user") as port:
        yield port


def test_files_of_sshd_are_fetched_with_the_key_of_the_user(
    tmp_path: Path, home: Home, served: Path, sftp_port: int
) -> None:
    assert fetched(tmp_path, home, f"sftp://127.0.0.1:{sftp_port}{served}/tree") == (FILES, [])


def test_the_user_for_sftp_may_be_in_the_address(
    tmp_path: Path, home: Home, served: Path, sftp_port: int
) -> None:
    mirror = f"sftp://{getpass.getuser()}@127.0.0.1:{sftp_port}{served}/tree"

    assert fetched(tmp_path, home, mirror) == (FILES, [])


def test_a_missing_file_of_sftp_is_named(tmp_path: Path, home: Home, sftp_port: int) -> None:
    assert "no such file" in failure(tmp_path, home, f"sftp://127.0.0.1:{sftp_port}/absent")


def test_a_user_or_password_that_sshd_refuses_is_named_without_it(
    tmp_path: Path, home: Home, sftp_port: int
) -> None:
    (tmp_path / "user" / ".ssh" / "id_ed25519").unlink()
    base = f"127.0.0.1:{sftp_port}/tree"

    refused = failure(tmp_path, home, f"sftp://{getpass.getuser()}:wrong77@{base}")
    assert "the user and password of the mirror's address are refused" in refused
    assert "wrong77" not in refused
    credentials._taken.clear()
    assert "keys in ~/.ssh or an agent" in failure(tmp_path, home, f"sftp://{base}")


@pytest.mark.parametrize("known", [False, True])
def test_no_password_is_sent_to_a_host_with_an_unknown_or_a_changed_key(
    tmp_path: Path, home: Home, sftp_port: int, *, known: bool
) -> None:
    hosts = tmp_path / "user" / ".ssh" / "known_hosts"
    other = (tmp_path / "user" / ".ssh" / "id_ed25519.pub").read_text().split()
    hosts.write_text(f"[127.0.0.1]:{sftp_port} {other[0]} {other[1]}\n" if known else "")
    text = failure(tmp_path, home, f"sftp://me:secret77@127.0.0.1:{sftp_port}/tree")

    assert "~/.ssh/known_hosts" in text
    assert "secret77" not in text
    assert "Failed password" not in (tmp_path / "user" / "sshd.log").read_text()


OPEN = """
import sys
from sciml_data.transfer.protocols import Sources, Timeouts, TransientError

with Sources(connections=1, timeouts=Timeouts(5, 5)) as sources:
    try:
        sources.of("sftp:").open(sys.argv[1])
    except TransientError as error:
        print(error.message)
"""


def test_a_server_that_does_not_speak_ssh_is_one_sentence() -> None:
    def answer(_: RawRequest) -> list[bytes]:
        return []

    with RawServer(answer) as server:
        url = server.url.replace("http:", "sftp:") + "/a.bin"
        command = [sys.executable, "-c", OPEN, url]
        done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


# --- doi -----------------------------------------------------------------------------------------


@pytest.fixture
def file_server(served: Path) -> Iterator[FileServer]:
    write_files(served / "flat", FLAT)
    with FileServer(served / "flat") as server:
        yield server


@pytest.fixture
def doi_server(
    tmp_path: Path, file_server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DoiServer]:
    authority = Authority(tmp_path, *HOSTS, "zenodo.org.example.org")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with (
        DoiServer(authority, FLAT, file_server.url) as server,
        ForwardProxy(server.url) as proxy,
    ):
        monkeypatch.setenv("https_proxy", f"http://{proxy.address}")
        yield server


@pytest.mark.parametrize("doi", [ZENODO, FIGSHARE, DATAVERSE])
def test_files_of_a_doi_are_fetched_and_its_list_is_asked_for_once(
    tmp_path: Path, home: Home, doi_server: DoiServer, doi: str
) -> None:
    assert fetched(tmp_path, home, f"doi:{doi}") == (FILES, [])
    lists = [url for url in doi_server.requests if "/api/access/" not in url]
    assert len(lists) == len(set(lists))


def test_a_download_of_a_doi_is_resumed(
    tmp_path: Path, home: Home, doi_server: DoiServer, file_server: FileServer
) -> None:
    file_server.add(cut(1_000_000), path="c.bin")

    assert fetched(tmp_path, home, f"doi:{ZENODO}")[0] == FILES
    assert file_server.bytes_sent < sum(map(len, FILES.values())) + 500_000


def test_a_mirror_of_the_registry_may_be_a_doi(
    tmp_path: Path, home: Home, doi_server: DoiServer
) -> None:
    files = {"x/deep/c.bin": FILES["deep/c.bin"], "y/a.bin": FILES["a.bin"]}
    prefixes = {"x/deep/": f"doi:{DATAVERSE}/", "y/": f"doi:{ZENODO}#"}
    descriptor = write_dataset(tmp_path / "registry", files, mirrors=[prefixes])
    fetch(make_plan(descriptor, home), retry=quick_retry())

    assert contents(home.dataset("tiny", "1.0").native) == files


@pytest.mark.parametrize(
    ("doi", "answers", "expected"),
    [
        (ZENODO, {"https://zenodo.org/api/records/1234": (200, {"files": []})}, "no such file in"),
        (ZENODO, {f"https://doi.org/{ZENODO}": (404, {})}, "there is no such DOI"),
        (ZENODO, {"https://zenodo.org/api/records/1234": (429, {})}, "no list of files: KeyError"),
        (FIGSHARE, {f"https://doi.org/{FIGSHARE}": (503, {})}, "503 at doi.org"),
        (OTHER, {}, "Pooch knows Zenodo, figshare and Dataverse, but not"),
    ],
)
def test_a_doi_that_gives_no_file_says_why(
    tmp_path: Path,
    home: Home,
    doi_server: DoiServer,
    doi: str,
    answers: dict[str, tuple[int, object]],
    expected: str,
) -> None:
    doi_server.answers |= answers

    assert expected in failure(tmp_path, home, f"doi:{doi}")


def test_a_certificate_that_is_not_trusted_is_an_error_with_its_remedy(
    tmp_path: Path, home: Home, doi_server: DoiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")

    assert "SSL_CERT_FILE" in failure(tmp_path, home, f"doi:{ZENODO}")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("doi:10.5281/zenodo.1/deep/a%20b", ("10.5281/zenodo.1", "deep/a b")),
        ("doi:10.7910/DVN/X#deep/a%23b", ("10.7910/DVN/X", "deep/a#b")),
        ("doi:10.7910/DVN/X/a.bin", ("10.7910/DVN/X", "a.bin")),
    ],
)
def test_an_address_of_a_doi_has_the_doi_and_a_path(url: str, expected: tuple[str, str]) -> None:
    assert split_doi(url) == expected


# --- addresses and what is missing ---------------------------------------------------------------


@pytest.mark.parametrize("mirror", ["doi:", "doi:11.5281/x", "doi:10.5281"])
def test_a_mirror_that_is_not_a_doi_is_refused(mirror: str) -> None:
    with pytest.raises(CallError):
        mirror_base(mirror)


def test_mirrors_have_the_names_that_the_user_gave() -> None:
    for base in ("doi:10.5281/zenodo.1", "ftp://h.example/tree", "sftp://h.example:22/tree"):
        url = f"{base}#deep/a.bin" if base.startswith("doi:") else f"{base}/deep/a.bin"
        assert mirror_base(f"{base}/") == base
        assert MirrorNames([], [base]).of(url) == base


@pytest.mark.parametrize(
    ("mirror", "package"),
    [
        ("doi:10.5281/zenodo.1", "pooch"),
        ("ftp://127.0.0.1:9", "pooch"),
        ("sftp://h.example", "paramiko"),
    ],
)
def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch, mirror: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    assert f"needs {package}" in failure(tmp_path, home, mirror).replace("need ", "needs ")
    assert "sciml-data[pooch]" in failure(tmp_path, home, mirror)


def test_a_name_that_pooch_would_cut_is_refused(served: Path) -> None:
    with (
        Sources(connections=1, timeouts=Timeouts(1, 1)) as sources,
        pytest.raises(SourceError, match="name with"),
    ):
        sources.of("ftp://h/").open("ftp://127.0.0.1/a%23b.bin")
