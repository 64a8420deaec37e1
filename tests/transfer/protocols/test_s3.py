"""Listing a bucket: pages that fit together, pages that do not, and ETags as hashes."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest

from sciml_data.testing.datasets import write_files
from sciml_data.testing.faults import Fault, cut, status, truncated
from sciml_data.testing.s3_server import S3Server
from sciml_data.transfer.protocols import (
    Body,
    Listed,
    Source,
    SourceError,
    Sources,
    Timeouts,
    TransientError,
)
from sciml_data.transfer.protocols.mirrors import mirror_base
from sciml_data.transfer.protocols.retry import RetryPolicy
from sciml_data.transfer.protocols.s3 import MIB, UnsteadyListingError, etag_hash, list_bucket

URL = "http://gateway.example/bucket/data/"
RETRY = RetryPolicy(tries=3, pause=lambda _: None)
MD5 = hashlib.md5(b"x", usedforsecurity=False).hexdigest()


def page(*keys: str, following: str = "", count: int | None = None, is_last: str = "") -> bytes:
    """Return a page as S3 writes it, keys percent-encoded."""
    contents = "".join(
        f"<Contents><Key>{quote(key, safe='')}</Key><Size>{len(key)}</Size>"
        f"<ETag>&quot;{MD5}&quot;</ETag><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
        "</Contents>"
        for key in keys
    )
    ends = is_last or ("false" if not following else "true")
    token = f"<NextContinuationToken>{following}</NextContinuationToken>" if following else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<EncodingType>url</EncodingType><IsTruncated>{ends}</IsTruncated>{contents}{token}"
        f"<KeyCount>{len(keys) if count is None else count}</KeyCount></ListBucketResult>"
    ).encode()


class Pages:
    """Gives prepared answers in turn, in place of `Sources`."""

    def __init__(self, *answers: bytes | SourceError) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def open(self, url: str) -> Body:
        self.asked.append(url)
        answer = self._answers.pop(0)
        if isinstance(answer, SourceError):
            raise answer
        stream = io.BytesIO(answer)
        return Body(0, len(answer), None, stream.read, stream.close)


def names(*answers: bytes | SourceError) -> list[str]:
    return [one.name for one in list_bucket(URL, cast(Source, Pages(*answers)), RETRY)]


def test_pages_are_asked_for_one_after_the_other() -> None:
    pages = Pages(page("data/a", "data/b", following="t/1+2"), page("data/c"))

    listed = list(list_bucket(URL, cast(Source, pages), RETRY))

    assert [one.name for one in listed] == ["a", "b", "c"]
    assert (listed[0].size_bytes, listed[0].etag) == (6, MD5)
    assert listed[0].modified == "2026-01-02T03:04:05.000Z"
    first, second = (parse_qs(urlsplit(url).query) for url in pages.asked)
    assert first == {
        "list-type": ["2"],
        "encoding-type": ["url"],
        "max-keys": ["1000"],
        "prefix": ["data/"],
    }
    assert second["continuation-token"] == ["t/1+2"]
    assert urlsplit(pages.asked[0]).path == "/bucket"


@pytest.mark.parametrize("key", ["a b", "a+b", "ä&<>", "%41", "new\nline", "\x01"])
def test_odd_keys_come_back_as_they_were(key: str) -> None:
    assert names(page(f"data/{key}")) == [key]


def test_nothing_below_a_prefix_is_an_empty_listing() -> None:
    assert names(page()) == []


@pytest.mark.parametrize(
    "broken",
    [
        page("data/a")[:-40],
        b"",
        page("data/a", count=2),
        page("data/a", is_last="true"),
        page("data/a", is_last="perhaps"),
        b"<Error><Code>SlowDown</Code></Error>",
        TransientError("503 Slow Down"),
    ],
    ids=["cut", "empty", "keys missing", "no token", "no end", "error with 200", "503"],
)
def test_a_page_that_fails_is_asked_for_again(broken: bytes | SourceError) -> None:
    first, second = page("data/a", following="t"), page("data/b")

    assert names(first, broken, broken, second) == ["a", "b"]
    with pytest.raises(TransientError):
        names(first, broken, broken, broken)


@pytest.mark.parametrize(
    ("pages", "message"),
    [
        ([page("data/a", following="t"), page("data/a")], "'data/a' is listed twice"),
        (
            [page("data/b", following="t"), page("data/a")],
            "'data/a' is listed twice, or out of order",
        ),
        ([page("data/a", following="t"), page("data/b", following="t")], "same continuation token"),
    ],
    ids=["twice", "out of order", "same token"],
)
def test_pages_that_do_not_fit_together_are_refused(pages: Sequence[bytes], message: str) -> None:
    with pytest.raises(UnsteadyListingError, match=message):
        names(*pages)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"<!doctype html><title>Index of /</title>", "not an S3 server"),
        (b"<?xml version='1.0'?><html/>", "<html> was sent"),
        (page("elsewhere/a"), "not below 'data/'"),
        (page("data/a").replace(b"<Size>6<", b"<Size>six<"), "a size that is not a number"),
        (
            b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><ListBucketResult/>",
            "declares a document type",
        ),
        (
            "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a/>".encode("utf-16"),
            "not an S3 server",
        ),
    ],
    ids=["html", "other xml", "other prefix", "size", "entities", "entities in UTF-16"],
)
def test_what_is_no_listing_is_refused_at_once(answer: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message) as error:
        names(answer)

    assert not isinstance(error.value, TransientError)


def test_a_host_without_a_bucket_cannot_be_listed() -> None:
    with pytest.raises(SourceError, match="has no bucket"):
        list(list_bucket("http://gateway.example/", cast(Source, Pages()), RETRY))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    write_files(tmp_path / "served/bucket", {f"data/{n}.bin": b"x" * n for n in range(1, 6)})
    with S3Server(tmp_path / "served", keys_per_page=2) as server:
        yield server


def listed(url: str) -> list[Listed]:
    with Sources(connections=1, timeouts=Timeouts()) as sources:
        return list(list_bucket(url, sources.of(url), RETRY))


def test_a_bucket_is_listed_page_by_page(server: S3Server) -> None:
    found = listed(f"{server.url}/bucket/data/")

    assert [(one.name, one.size_bytes) for one in found] == [(f"{n}.bin", n) for n in range(1, 6)]
    assert found[0].etag == MD5
    assert len(server.requests) == 3
    assert server.connections == 1


def test_a_prefix_need_not_be_a_folder(server: S3Server) -> None:
    assert [one.name for one in listed(f"{server.url}/bucket/data/1")] == [".bin"]
    assert listed(f"{server.url}/bucket/elsewhere/") == []


@pytest.mark.parametrize(
    "fault", [status(503), cut(100), truncated(30)], ids=["SlowDown", "cut", "cut, well-formed"]
)
def test_a_page_that_did_not_come_is_asked_for_again(server: S3Server, fault: Fault) -> None:
    server.add(fault, path="bucket", times=2)

    assert len(listed(f"{server.url}/bucket/data/")) == 5
    assert len(server.requests) == 5


@pytest.mark.parametrize(
    ("bucket", "message"),
    [("bucket", r"403 Forbidden \(AccessDenied\)"), ("none", r"404 Not Found \(NoSuchBucket\)")],
)
def test_the_code_of_an_s3_error_is_named(server: S3Server, bucket: str, message: str) -> None:
    server.add(status(403), path="bucket", times=None)

    with pytest.raises(SourceError, match=message):
        listed(f"{server.url}/{bucket}/")


def test_the_code_of_a_busy_server_is_named(server: S3Server) -> None:
    server.add(status(503), path="bucket", times=None)

    with pytest.raises(TransientError, match=r"\(SlowDown\)"):
        listed(f"{server.url}/bucket/")
    assert len(server.requests) == RETRY.tries


def test_a_listing_of_many_pages_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "served/bucket/many"
    folder.mkdir(parents=True)
    names = sorted(f"{n}.bin" for n in range(210))
    for name in names:
        (folder / name).touch()

    with S3Server(tmp_path / "served", keys_per_page=100) as server:
        assert [one.name for one in listed(f"{server.url}/bucket/many/")] == names


SIZE = 167_404_096  # a file of cloud_slstr_ds1


@pytest.mark.parametrize(
    ("etag", "size_bytes", "expected"),
    [
        (f'"{MD5}"', 1, f"md5:{MD5}"),
        (MD5.upper(), 1, f"md5:{MD5}"),
        (f'"{MD5}-20"', SIZE, f"s3etag:{MD5}-20:{8 * MIB}"),
        (f"{MD5}-32", SIZE, f"s3etag:{MD5}-32:{5 * MIB}"),
        (f"{MD5}-1", SIZE, f"s3etag:{MD5}-1:{SIZE}"),
        (f"{MD5}-2", SIZE, None),  # parts of 100 and of 128 MiB both make two
        (f"{MD5}-7", SIZE, None),  # no usual size makes seven
        (f"{MD5}-0", SIZE, None),
        (f'W/"{MD5}"', 1, None),
        ("0x8DCE1F2A3B4C5D6", 1, None),
        ("", 1, None),
    ],
)
def test_an_etag_is_a_hash_where_it_can_be_held(
    etag: str, size_bytes: int, expected: str | None
) -> None:
    assert etag_hash(etag, size_bytes) == expected


def test_a_known_part_size_decides() -> None:
    assert etag_hash(f"{MD5}-2", SIZE, 100 * MIB) == f"s3etag:{MD5}-2:{100 * MIB}"
    assert etag_hash(f"{MD5}-3", SIZE, 100 * MIB) is None


def test_an_s3_address_is_asked_at_the_endpoint_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    assert mirror_base("s3://bucket/a b/") == "https://s3.amazonaws.com/bucket/a%20b"

    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://any.example/")
    assert mirror_base("s3://bucket/key") == "https://any.example/bucket/key"

    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.example")
    assert unquote(mirror_base("s3://bucket")) == "https://s3.example/bucket"
