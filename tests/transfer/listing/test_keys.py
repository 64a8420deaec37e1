"""Buckets as people make them, on moto's server: markers of folders are not taken for files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from sciml_data.errors import ListingError
from sciml_data.home import DatasetFolder
from sciml_data.testing.datasets import write_unpinned
from sciml_data.transfer.listing import list_files
from sciml_data.transfer.listing.keys import find_others
from sciml_data.transfer.protocols.retry import RetryPolicy
from tests.support.buckets import Client, make_public, s3_client
from tests.support.raw_server import RawRequest, RawServer

FILES = {"train/one.csv": b"a,b\n1,2\n", "train/two.csv": b"a,b\n3,4\n", "test/one.csv": b"a\n"}
RETRY = RetryPolicy(tries=2, pause=lambda _: None)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def owner(moto: str) -> Client:
    return s3_client(moto, "key", "secret")


@pytest.mark.parametrize("start", ["set/", ""], ids=["below", "root"])
@pytest.mark.parametrize(
    ("name", "more", "left_out", "refused"),
    [
        ("plain", {}, 0, 0),
        ("slash-empty", {"train/": b"", "test/": b""}, 2, 0),
        ("slash-bytes", {"train/": b"\n", "new/": b"x"}, 2, 0),
        ("no-slash", {"train": b""}, 1, 0),
        ("no-slash-bytes", {"train": b"x"}, 0, 1),
        ("dollar-folder", {"train_$folder$": b"", "a/b_$folder$": b""}, 2, 0),
        ("macos", {"train/.DS_Store": b"\0" * 10, "train/._one.csv": b"\0", "._x": b"1"}, 3, 0),
        ("windows", {"train/Thumbs.db": b"x"}, 1, 0),
        ("double-slash", {"train//three.csv": b"a"}, 0, 1),
        ("own-folder", {"": b""}, 1, 0),
    ],
)
def test_what_is_no_file_is_left_out_counted_and_named(
    tmp_path: Path,
    moto: str,
    owner: Client,
    start: str,
    name: str,
    more: Mapping[str, bytes],
    left_out: int,
    refused: int,
) -> None:
    bucket = f"{name}-{'below' if start else 'root'}"
    make_public(owner, bucket)
    keys = {start + key: body for key, body in {**FILES, **more}.items() if start + key}
    for key, body in keys.items():
        owner.put_object(Bucket=bucket, Key=key, Body=body, ACL="public-read")
    expected = {"files": {"train/*": {"count": 2}, "**": {"count": 3}}}
    descriptor = write_unpinned(
        tmp_path / "registry", mirrors=[{"": f"{moto}/{bucket}/{start}"}], expected=expected
    )
    lines: list[str] = []
    found = list_files(descriptor, DatasetFolder(tmp_path / "data"), log=lines.append, retry=RETRY)
    is_marker_there = left_out and len(keys) > len(FILES)

    assert set(found.listing.by_path) == set(FILES)
    said = [line for line in lines if f"{left_out} markers of folders and system files" in line]
    assert len(said) == bool(is_marker_there)
    assert len([line for line in lines if f"{refused} keys cannot be paths" in line]) == refused


def test_a_system_file_that_is_wanted_by_name_is_a_file() -> None:
    others = find_others({"a/.DS_Store": 1, "a/b_$folder$": 0, "a/b.csv": 2}, {"a/.DS_Store"})

    assert others.left_out == ("a/b_$folder$",)


def test_a_bucket_of_another_region_is_asked_once_and_the_remedy_is_said(tmp_path: Path) -> None:
    def answer(_: RawRequest) -> Iterator[bytes]:
        yield (
            b"HTTP/1.1 301 Moved Permanently\r\nx-amz-bucket-region: eu-west-2\r\n"
            b"Content-Length: 0\r\nConnection: close\r\n\r\n"
        )

    with RawServer(answer) as server:
        mirrors = [{"": f"{server.url}/made-up/set/"}, {"": f"{server.url}/made-up/other/"}]
        descriptor = write_unpinned(tmp_path / "registry", mirrors=mirrors)
        with pytest.raises(ListingError) as error:
            list_files(descriptor, DatasetFolder(tmp_path / "data"), retry=RETRY)

    assert "region eu-west-2: set AWS_ENDPOINT_URL=https://s3.eu-west-2.amazonaws.com" in str(
        error.value
    )
    assert len(server.requests) == 1
