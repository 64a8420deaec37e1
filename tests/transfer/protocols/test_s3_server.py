"""Our S3 gateway answers the standard client as moto's server does, and faults as S3 words them.

The same files lie in both; the same calls of boto3, anonymous, must give the same answers.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pytest
import urllib3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from sciml_data.testing.datasets import write_files
from sciml_data.testing.faults import corrupted, cut, status, truncated
from sciml_data.testing.s3_server import S3Server
from tests.support.proxy import CountingProxy

BUCKET = "bucket"
PART_BYTES = 5 << 20  # the least that S3 takes
FILES = {
    "a.bin": bytes(range(256)) * 4,
    "deep/b.bin": b"b" * 3000,
    "deep/er/c d+e%20f&<g>.bin": b"c",
    "deep/er/ü.bin": "ü".encode(),
    "empty.bin": b"",
    "parts/one.bin": b"1" * PART_BYTES,
    "parts/two.bin": b"2" * (PART_BYTES + 7),
    "z/1.bin": b"1",
    "z/2.bin": b"2",
}
Client = Any  # boto3 makes its classes when it runs


def client(url: str, **keys: str) -> Client:
    config = Config(
        signature_version=None if keys else UNSIGNED,
        s3={"addressing_style": "path"},
        retries={"total_max_attempts": 1},
    )
    return boto3.client("s3", endpoint_url=url, config=config, region_name="us-east-1", **keys)


def fill(owner: Client) -> None:
    """Put the files into a bucket that everybody may list and read."""
    owner.create_bucket(Bucket=BUCKET, ACL="public-read")
    for key, content in FILES.items():
        named = {"Bucket": BUCKET, "Key": key}
        if not key.startswith("parts/"):
            owner.put_object(**named, Body=content, ACL="public-read")
            continue
        upload = {**named, "UploadId": owner.create_multipart_upload(**named)["UploadId"]}
        parts = []
        for number, start in enumerate(range(0, len(content), PART_BYTES), 1):
            body = content[start : start + PART_BYTES]
            answer = owner.upload_part(**upload, PartNumber=number, Body=body)
            parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        owner.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        owner.put_object_acl(**named, ACL="public-read")


@pytest.fixture(scope="module")
def theirs() -> Iterator[Client]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    fill(client(url, aws_access_key_id="owner", aws_secret_access_key="of the bucket"))  # noqa: S106
    yield client(url)
    server.stop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("s3")
    write_files(root / BUCKET, FILES)
    return root


@pytest.fixture
def server(folder: Path) -> Iterator[S3Server]:
    with S3Server(folder, part_bytes={f"{BUCKET}/parts/*": PART_BYTES}) as server:
        yield server


def listed(s3: Client, **arguments: object) -> list[Mapping[str, Any]]:
    """Return what each page of a listing says, without dates and tokens."""
    pages: list[Mapping[str, Any]] = []
    token: dict[str, object] = {}
    while True:
        answer = s3.list_objects_v2(Bucket=BUCKET, **arguments, **token)
        pages.append(
            {
                "keys": [
                    (one["Key"], one["Size"], one["ETag"], one["StorageClass"])
                    for one in answer.get("Contents", ())
                ],
                "prefixes": [one["Prefix"] for one in answer.get("CommonPrefixes", ())],
                **{
                    name: answer.get(name)
                    for name in ("Name", "Prefix", "Delimiter", "MaxKeys", "KeyCount")
                },
            }
        )
        assert answer["IsTruncated"] == ("NextContinuationToken" in answer)
        if not answer["IsTruncated"]:
            return pages
        token = {"ContinuationToken": answer["NextContinuationToken"]}


def got(s3: Client, key: str, **arguments: str) -> Mapping[str, Any]:
    """Return what a GET says and brings."""
    answer = s3.get_object(Bucket=BUCKET, Key=key, **arguments)
    names = ("ContentLength", "ContentRange", "ETag", "AcceptRanges")
    with answer["Body"] as body:
        content = body.read()
    return {
        "body": content,
        "status": answer["ResponseMetadata"]["HTTPStatusCode"],
        **{name: answer.get(name) for name in names},
    }


def headed(s3: Client, key: str) -> Mapping[str, Any]:
    answer = s3.head_object(Bucket=BUCKET, Key=key)
    return {name: answer[name] for name in ("ContentLength", "ETag")}


def refusal(call: Callable[..., object], **arguments: object) -> tuple[str, str, int]:
    """Return code, message and status of an error."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    error = answer["Error"]
    return error["Code"], error["Message"], answer["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"MaxKeys": 2},
        {"MaxKeys": 1, "Prefix": "deep/"},
        {"Prefix": "deep/er/c d+"},
        {"Prefix": "nothing/"},
        {"Delimiter": "/"},
        {"Delimiter": "/", "Prefix": "deep/"},
        {"StartAfter": "deep/b.bin"},
        {"StartAfter": "deep/zzz", "MaxKeys": 3},
    ],
)
def test_lists_what_moto_lists(
    server: S3Server, theirs: Client, arguments: dict[str, object]
) -> None:
    assert listed(client(server.url), **arguments) == listed(theirs, **arguments)


def test_lists_all_files_with_the_tags_of_their_parts(server: S3Server) -> None:
    def md5(content: bytes) -> Any:
        return hashlib.md5(content, usedforsecurity=False)

    tags = {key: md5(content).hexdigest() for key, content in FILES.items()}
    first, second = md5(b"2" * PART_BYTES), md5(b"2" * 7)
    tags["parts/one.bin"] = md5(md5(b"1" * PART_BYTES).digest()).hexdigest() + "-1"
    tags["parts/two.bin"] = md5(first.digest() + second.digest()).hexdigest() + "-2"

    (page,) = listed(client(server.url))

    assert {key: tag.strip('"') for key, _, tag, _ in page["keys"]} == tags


def test_folders_are_listed_page_by_page(server: S3Server) -> None:
    pages = listed(client(server.url), Delimiter="/", MaxKeys=1)

    assert [[*(key for key, *_ in page["keys"]), *page["prefixes"]] for page in pages] == [
        ["a.bin"], ["deep/"], ["empty.bin"], ["parts/"], ["z/"],
    ]  # fmt: skip


@pytest.mark.parametrize("extent", ["0-9", "1000-", "1000-99999", "-24", "1023-1023"])
def test_sends_the_range_that_moto_sends(server: S3Server, theirs: Client, extent: str) -> None:
    asked = {"key": "a.bin", "Range": f"bytes={extent}"}

    assert got(client(server.url), **asked) == got(theirs, **asked)


@pytest.mark.parametrize("key", FILES)
def test_sends_the_objects_that_moto_sends(server: S3Server, theirs: Client, key: str) -> None:
    ours = got(client(server.url), key)

    assert ours["body"] == FILES[key]
    assert ours == got(theirs, key)
    assert headed(client(server.url), key) == headed(theirs, key)


def test_refuses_as_moto_does(server: S3Server, theirs: Client) -> None:
    def refusals(s3: Client) -> list[tuple[str, str, int]]:
        named = {"Bucket": BUCKET, "Key": "a.bin"}
        return [
            refusal(s3.get_object, Bucket=BUCKET, Key="not/there"),
            refusal(s3.list_objects_v2, Bucket="no-such-bucket"),
            refusal(s3.get_object, Bucket="no-such-bucket", Key="a.bin"),
            refusal(s3.get_object, **named, Range="bytes=2000-2001"),
            refusal(s3.head_object, Bucket=BUCKET, Key="not/there"),
        ]

    assert refusals(client(server.url)) == refusals(theirs)


def test_storms_and_refusals_are_said_as_s3_says_them(server: S3Server) -> None:
    server.add(status(503, retry_after="1"), path=BUCKET)
    server.add(status(403), path=f"{BUCKET}/a.bin")
    s3 = client(server.url)

    assert refusal(s3.list_objects_v2, Bucket=BUCKET) == (
        "SlowDown",
        "Please reduce your request rate.",
        503,
    )
    assert refusal(s3.get_object, Bucket=BUCKET, Key="a.bin") == (
        "AccessDenied",
        "Access Denied",
        403,
    )
    assert refusal(s3.list_buckets)[0] == "AccessDenied"


def test_a_lying_range_has_the_right_length_and_no_right_byte(server: S3Server) -> None:
    server.add(corrupted(), path=f"{BUCKET}/a.bin")
    asked = {"key": "a.bin", "Range": "bytes=10-19"}

    lie, truth = got(client(server.url), **asked), got(client(server.url), **asked)

    assert {**lie, "body": None} == {**truth, "body": None}
    assert all(one != other for one, other in zip(lie["body"], truth["body"], strict=True))


def test_a_listing_may_be_cut_with_or_without_saying_so(server: S3Server) -> None:
    server.add(truncated(100), path=BUCKET)
    server.add(cut(100), path=BUCKET)
    url = f"{server.url}/{BUCKET}/?list-type=2"

    answer = urllib3.request("GET", url, retries=False)

    assert int(answer.headers["Content-Length"]) == len(answer.data)
    assert not answer.data.endswith(b"</ListBucketResult>")
    with pytest.raises(urllib3.exceptions.ProtocolError):
        urllib3.request("GET", url, retries=False)
    assert urllib3.request("GET", url, retries=False).data.endswith(b"</ListBucketResult>")


def test_a_listing_can_change_between_two_pages(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / BUCKET, tmp_path / BUCKET)
    with S3Server(tmp_path, keys_per_page=5) as server:
        s3 = client(server.url)
        first = s3.list_objects_v2(Bucket=BUCKET)
        write_files(tmp_path / BUCKET, {"a2.bin": b"", "zz.bin": b""})
        (tmp_path / BUCKET / "z/1.bin").unlink()
        server.relist()

        second = s3.list_objects_v2(Bucket=BUCKET, ContinuationToken=first["NextContinuationToken"])

    assert [one["Key"] for one in second["Contents"]] == [
        "parts/one.bin", "parts/two.bin", "z/2.bin", "zz.bin",
    ]  # fmt: skip


def test_an_endpoint_can_vanish_in_the_middle(folder: Path) -> None:
    with S3Server(folder, send_buffer_bytes=1 << 16) as server:
        server.when_sent(1 << 20, server.vanish)
        url = f"{server.url}/{BUCKET}/parts/one.bin"

        with pytest.raises(urllib3.exceptions.ProtocolError):
            urllib3.request("GET", url, retries=False)
        with pytest.raises(urllib3.exceptions.NewConnectionError):
            urllib3.request("GET", url, retries=False)


@pytest.mark.slow
def test_twenty_thousand_keys_are_listed_in_seconds(tmp_path: Path) -> None:
    names = {f"{n // 1000:02}/{n:05}.bin" for n in range(20_000)}
    write_files(tmp_path / BUCKET, dict.fromkeys(names, b""))
    found: list[str] = []
    with S3Server(tmp_path) as server, urllib3.PoolManager() as pool:
        query, began = "list-type=2", time.monotonic()
        while query:
            page = pool.request("GET", f"{server.url}/{BUCKET}?{query}").data.decode()
            found += re.findall("<Key>(.*?)</Key>", page)
            token = re.search("<NextContinuationToken>(.*)</NextContinuationToken>", page)
            query = f"list-type=2&continuation-token={quote(token[1])}" if token else ""

        assert time.monotonic() - began < 10
    assert found == sorted(names)


def test_a_proxy_passes_everything_on_and_counts_it(server: S3Server) -> None:
    with CountingProxy(server.url) as proxy, urllib3.PoolManager() as pool:
        answers = [pool.request("GET", f"{proxy.url}/{BUCKET}/parts/two.bin") for _ in range(2)]

    assert [answer.data for answer in answers] == [FILES["parts/two.bin"]] * 2
    bodies = 2 * len(FILES["parts/two.bin"])
    assert bodies < proxy.received_bytes < bodies + 2000  # and two heads
