"""Sources: bytes from an offset on, and errors that say whether to ask again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import HTTPResponse

from sciml_data.errors import CallError
from sciml_data.registry.descriptor import Mirror
from sciml_data.testing.datasets import write_files
from sciml_data.testing.faults import Fault, cut, redirect, stall, status, wrong_content_range
from sciml_data.testing.server import FileServer
from sciml_data.transfer.protocols import (
    Body,
    RangeRefusedError,
    SourceError,
    Sources,
    Timeouts,
    TransientError,
)
from sciml_data.transfer.protocols.file import file_url, list_folder, path_of
from sciml_data.transfer.protocols.https import _check_redirect, redirected
from sciml_data.transfer.protocols.mirrors import MirrorNames, mirror_base, user_mirrors
from tests.support.ports import closed_port

CONTENT = bytes(range(256)) * 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "served"
    write_files(root, {"a.bin": CONTENT, "dir/b c%20d#e?f.bin": CONTENT})
    return root


@pytest.fixture
def server(folder: Path) -> Iterator[FileServer]:
    with FileServer(folder) as server:
        yield server


@pytest.fixture
def sources() -> Iterator[Sources]:
    with Sources(connections=2, timeouts=Timeouts(connect_s=20, read_s=20)) as sources:
        yield sources


def read_all(body: Body) -> bytes:
    blocks = iter(lambda: body.read(1000), b"")
    content = b"".join(blocks)
    body.close()
    return content


@pytest.mark.parametrize("start", [0, 1, 2047])
def test_a_file_and_a_server_give_the_same_bytes(
    folder: Path, server: FileServer, sources: Sources, start: int
) -> None:
    for base in (folder.as_uri(), server.url):
        body = sources.of(base).open(f"{base}/a.bin", start=start)

        assert (body.start, body.size_bytes) == (start, len(CONTENT))
        assert read_all(body) == CONTENT[start:]


def test_names_with_url_characters_are_found(
    folder: Path, server: FileServer, sources: Sources
) -> None:
    for base in (folder.as_uri(), server.url):
        url = f"{base}/dir/b%20c%2520d%23e%3Ff.bin"

        assert read_all(sources.of(url).open(url)) == CONTENT


def test_an_old_tag_starts_at_the_beginning(
    folder: Path, server: FileServer, sources: Sources
) -> None:
    for base in (folder.as_uri(), server.url):
        url = f"{base}/a.bin"
        tags = [None, '"another"']
        with contextlib.closing(sources.of(url).open(url)) as body:
            tags[0] = body.tag

        starts = []
        for tag in tags:
            with contextlib.closing(sources.of(url).open(url, start=9, tag=tag)) as body:
                starts.append(body.start)

        assert starts == [9, 0]


def test_connections_are_used_again(server: FileServer, sources: Sources) -> None:
    for _ in range(5):
        read_all(sources.of(server.url).open(f"{server.url}/a.bin"))

    assert server.connections == 1


def test_identity_is_asked_for(server: FileServer, sources: Sources) -> None:
    read_all(sources.of(server.url).open(f"{server.url}/a.bin"))

    assert server.requests[0].headers["accept-encoding"] == "identity"


def test_an_offset_past_the_end_is_refused(
    folder: Path, server: FileServer, sources: Sources
) -> None:
    for base in (folder.as_uri(), server.url):
        with pytest.raises(RangeRefusedError):
            sources.of(base).open(f"{base}/a.bin", start=5000)


def test_another_range_than_asked_for_is_refused(server: FileServer, sources: Sources) -> None:
    server.add(wrong_content_range(3))

    with pytest.raises(RangeRefusedError, match="bytes from 10 requested"):
        sources.of(server.url).open(f"{server.url}/a.bin", start=10)


@pytest.mark.parametrize("code", [403, 404, 410, 451])
def test_a_refusal_is_final(server: FileServer, sources: Sources, code: int) -> None:
    server.add(status(code))

    with pytest.raises(SourceError, match=str(code)) as error:
        sources.of(server.url).open(f"{server.url}/a.bin")

    assert not isinstance(error.value, TransientError)


@pytest.mark.parametrize("code", [429, 500, 502, 503])
def test_a_busy_server_may_be_asked_again(server: FileServer, sources: Sources, code: int) -> None:
    server.add(status(code, retry_after="7"))

    with pytest.raises(TransientError, match=str(code)) as error:
        sources.of(server.url).open(f"{server.url}/a.bin")

    assert error.value.retry_after_s == 7
    assert not error.value.is_unreachable


def test_a_retry_after_that_is_no_time_is_passed_over(server: FileServer, sources: Sources) -> None:
    server.add(status(503, retry_after="soon"))

    with pytest.raises(TransientError) as error:
        sources.of(server.url).open(f"{server.url}/a.bin")

    assert error.value.retry_after_s is None


def test_a_redirect_is_followed(server: FileServer, sources: Sources) -> None:
    server.add(redirect("/a.bin"), path="old")

    assert read_all(sources.of(server.url).open(f"{server.url}/old")) == CONTENT


def test_a_redirect_loop_ends(server: FileServer, sources: Sources) -> None:
    server.add(redirect("/a.bin"), times=None)

    with pytest.raises(SourceError, match="redirected more than 5 times"):
        sources.of(server.url).open(f"{server.url}/a.bin")
    assert len(server.requests) == 6


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://x/"])
def test_a_redirect_to_another_protocol_is_refused(
    server: FileServer, sources: Sources, target: str
) -> None:
    server.add(redirect(target))

    with pytest.raises(SourceError, match="refused"):
        sources.of(server.url).open(f"{server.url}/a.bin")


def test_a_redirect_that_gives_up_encryption_is_refused() -> None:
    _check_redirect("http://a.example/x", "https://a.example/x")

    with pytest.raises(SourceError, match="from https to http"):
        _check_redirect("https://a.example/x", "http://a.example/x")


@pytest.mark.parametrize(
    ("host", "region", "expected"),
    [
        ("s3.amazonaws.com", "eu-west-2", "s3.eu-west-2.amazonaws.com"),
        ("s3.us-east-1.amazonaws.com", "eu-west-2", "s3.eu-west-2.amazonaws.com"),
        ("s3.eu-west-2.amazonaws.com", "eu-west-2", None),
        ("ceph.example", "eu-west-2", None),
        ("s3.amazonaws.com", "evil.example/x", None),
        ("s3.amazonaws.com", "", None),
    ],
)
def test_amazon_is_asked_again_in_the_region_that_it_names(
    host: str, region: str, expected: str | None
) -> None:
    answer = HTTPResponse(status=301, headers={"x-amz-bucket-region": region})
    url = f"https://{host}/bucket/a%20b?list-type=2"
    if expected is None:
        with pytest.raises(SourceError, match="redirects without an address"):
            redirected(url, answer)
    else:
        assert redirected(url, answer) == f"https://{expected}/bucket/a%20b?list-type=2"


@pytest.mark.parametrize("fault", [cut(100), stall(100)], ids=["cut", "stall"])
def test_a_cut_and_a_stall_may_be_asked_again(server: FileServer, fault: Fault) -> None:
    server.add(fault)
    with Sources(connections=1, timeouts=Timeouts(connect_s=20, read_s=0.5)) as sources:
        body = sources.of(server.url).open(f"{server.url}/a.bin")

        with pytest.raises(TransientError), contextlib.closing(body):
            read_all(body)


def test_a_closed_port_is_unreachable(sources: Sources) -> None:
    with closed_port() as port, pytest.raises(TransientError, match="no connection") as error:
        sources.of("http:").open(f"http://127.0.0.1:{port}/a.bin")
    assert error.value.is_unreachable


@pytest.mark.parametrize("name", ["absent.bin", "dir"])
def test_what_is_no_file_is_an_error(
    folder: Path, server: FileServer, sources: Sources, name: str
) -> None:
    for base in (folder.as_uri(), server.url):
        with pytest.raises(SourceError):
            sources.of(base).open(f"{base}/{name}")


def test_an_unknown_scheme_is_refused(sources: Sources) -> None:
    with pytest.raises(SourceError, match="'gopher' is not one of datalad, doi, file, ftp, http"):
        sources.of("gopher://host/a")


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1))
def test_any_folder_name_survives_its_url(name: str) -> None:
    if name in {".", ".."} or name.startswith("~"):
        return
    assert path_of(file_url(f"file:/data/{name}")) == Path("/data", name)


def test_mirrors_are_ordered_call_environment_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCIML_DATA_MIRRORS", "https://env.example/x/ http://env.example/y")
    config = tmp_path / "config" / "sciml-data" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('mirrors = ["https://config.example"]')

    assert user_mirrors([f"file:{tmp_path}"]) == (
        tmp_path.as_uri(),
        "https://env.example/x",
        "http://env.example/y",
        "https://config.example",
    )


@pytest.mark.parametrize("text", ["mirrors = 3", "mirrors = [", "mirrors = [1]"])
def test_a_bad_configuration_is_named(tmp_path: Path, text: str) -> None:
    config = tmp_path / "config" / "sciml-data" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(text)

    with pytest.raises(CallError, match=r"config\.toml"):
        user_mirrors()


def test_a_relative_folder_is_a_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert mirror_base("file:../a b") == (tmp_path.parent / "a b").as_uri()


@pytest.mark.parametrize(
    "mirror", ["../mirror", "gopher://host/x", "ftp://", "https:", "https:///path", ""]
)
def test_what_is_no_mirror_is_refused(mirror: str) -> None:
    with pytest.raises(CallError):
        mirror_base(mirror)


def test_a_folder_written_without_its_scheme_is_recognised() -> None:
    with pytest.raises(CallError) as error:
        mirror_base("../mirror")

    assert error.value.hint == "a folder is written as file:../mirror"


def test_a_given_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="no such folder"):
        user_mirrors([f"file:{tmp_path}/absent"])


def test_a_mirror_is_named_by_its_base() -> None:
    mirrors = [Mirror("origin", {"": "https://origin.example/tree/"})]
    names = MirrorNames(mirrors, ["http://mirror.example/m", "datalad:/srv/clone"])

    assert names.of("http://mirror.example/m/origin.example/tree/a/x") == "http://mirror.example/m"
    assert names.of("http://mirror.example/m/a/x") == "http://mirror.example/m"
    assert names.of("datalad:/srv/clone#id/1.0/a/x") == "datalad:/srv/clone"
    assert names.of("https://origin.example/tree/a/x") == "https://origin.example/tree"
    assert names.of("https://h.example/y/z") == "https://h.example"


def test_two_mirrors_on_one_host_have_different_names() -> None:
    mirrors = [
        Mirror("one", {"deep/": "https://h.example/one/x/", "": "https://h.example/one/"}),
        Mirror("two", {"deep/": "https://h.example/two/x/", "a/": "https://h.example/two/y/"}),
        Mirror("plain", {"": "http://h.example/one/"}),
        Mirror("top", {"": "https://g.example/"}),
        Mirror("below", {"x/": "https://g.example/b/x/", "y/": "https://g.example/b/y/"}),
        Mirror("hosts", {"x/": "https://i.example/x/", "y/": "https://j.example/y/"}),
        Mirror("doi", {"": "doi:10.5281/zenodo.1#"}),
    ]
    names = MirrorNames(mirrors, ["https://h.example/one/mine"])

    found = {
        mirror.name: {names.of(f"{url}f") for url in mirror.prefixes.values()} for mirror in mirrors
    }

    assert found == {
        "one": {"https://h.example/one"},
        "two": {"https://h.example/two"},
        "plain": {"http://h.example/one"},
        "top": {"https://g.example"},
        "below": {"https://g.example/b"},
        "hosts": {"https://i.example/x", "https://j.example/y"},
        "doi": {"doi:10.5281/zenodo.1"},
    }
    assert names.of("https://h.example/one/mine/f") == "https://h.example/one/mine"


def test_a_folder_lists_files_and_links_to_files(tmp_path: Path) -> None:
    write_files(tmp_path, {"blobs/1": b"waves", "s/a/b": b"b", "s/.git/x": b"", "s/.DS_Store": b""})
    (tmp_path / "s" / "link").symlink_to("../blobs/1")
    (tmp_path / "s" / "folder").symlink_to("a")

    listed = {(file.name, file.size_bytes) for file in list_folder(f"{tmp_path.as_uri()}/s/")}

    assert listed == {("a/b", 1), ("link", 5)}


def test_a_folder_with_broken_links_or_names_is_an_error_that_names_one(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xe9.csv")).touch()
    (tmp_path / "annexed").symlink_to(".git/annex/objects/none")

    with pytest.raises(SourceError, match=r"annexed: a link to a missing file .*and 1 more"):
        list(list_folder(f"{tmp_path.as_uri()}/"))
