"""Requests to S3 that are signed with the user's AWS credentials."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("botocore")

import boto3
from moto.core.authorization import enable_iam_authentication
from moto.server import ThreadedMotoServer

from sciml_data.errors import FetchError, SciMLDataError
from sciml_data.home import Home
from sciml_data.testing.datasets import write_dataset, write_files, write_unpinned
from sciml_data.testing.s3_server import S3Server
from sciml_data.testing.server import FileServer
from sciml_data.transfer.download import fetch
from sciml_data.transfer.plan import make_plan
from sciml_data.transfer.protocols import SourceError, signing
from sciml_data.transfer.protocols.signing import Signer, is_signed
from tests.support.downloads import contents, quick_retry
from tests.support.raw_server import RawRequest, RawServer
from tests.support.users import SECOND, run_as

FILES = {"a.bin": b"a" * 3000, "deep/b c+d.bin": b"b" * 2_000_000}
OWNER = {"aws_access_key_id": "owner", "aws_secret_access_key": "of the bucket"}
POLICY = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*signing.KEY_VARIABLES, *signing.KEY_FILES, signing.ANONYMOUS_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(signing, "_told", set())


@pytest.fixture(scope="module")
def private_bucket() -> Iterator[tuple[str, dict[str, str]]]:
    """Return a server with a private bucket, and the keys of a user who may read it.

    moto checks each signature with code of its own.
    """
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    more = {"endpoint_url": url, "region_name": "us-east-1", **OWNER}
    iam, s3 = boto3.client("iam", **more), boto3.client("s3", **more)
    iam.create_user(UserName="reader")
    iam.put_user_policy(UserName="reader", PolicyName="all", PolicyDocument=json.dumps(POLICY))
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    s3.create_bucket(Bucket="private")
    for path, content in FILES.items():
        s3.put_object(Bucket="private", Key=f"tree/{path}", Body=content)
    with enable_iam_authentication():
        yield url, {"id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
    server.stop()


def fetched(
    tmp_path: Path, home: Home, mirror: str, *, pinned: bool = True
) -> tuple[dict[str, bytes], list[str]]:
    """Return the files that a mirror gave, and the lines that were logged."""
    lines: list[str] = []
    if pinned:
        descriptor = write_dataset(tmp_path / "registry", FILES)
    else:
        descriptor = write_unpinned(tmp_path / "registry", mirrors=[])
    plan = make_plan(descriptor, home, mirrors=[mirror], log=lines.append, retry=quick_retry())
    fetch(plan, retry=quick_retry(), range_bytes=500_000, log=lines.append)
    return contents(home.dataset("tiny", "1.0").native), lines


def set_key(monkeypatch: pytest.MonkeyPatch, url: str, key_id: str, secret: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)


@pytest.mark.parametrize("pinned", [True, False])
def test_a_private_bucket_is_read_with_the_key_of_the_environment(
    tmp_path: Path,
    home: Home,
    private_bucket: tuple[str, dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    *,
    pinned: bool,
) -> None:
    url, key = private_bucket
    set_key(monkeypatch, url, key["id"], key["secret"])

    assert fetched(tmp_path, home, "s3://private/tree", pinned=pinned)[0] == FILES


@pytest.mark.parametrize("variable", ["", "AWS_SHARED_CREDENTIALS_FILE"])
def test_a_private_bucket_is_read_with_the_key_of_a_profile(
    tmp_path: Path,
    home: Home,
    private_bucket: tuple[str, dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    url, key = private_bucket
    place = tmp_path / ("keys" if variable else ".aws/credentials")
    if variable:
        monkeypatch.setenv(variable, str(place))
    place.parent.mkdir(exist_ok=True)
    place.write_text(
        f"[lab]\naws_access_key_id = {key['id']}\naws_secret_access_key = {key['secret']}\n"
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_PROFILE", "lab")

    assert fetched(tmp_path, home, "s3://private/tree")[0] == FILES


@pytest.mark.parametrize(
    ("wrong", "code"), [("id", "InvalidAccessKeyId"), ("secret", "SignatureDoesNotMatch")]
)
def test_a_refused_key_is_named_with_the_remedy_and_without_the_secret(
    tmp_path: Path,
    home: Home,
    private_bucket: tuple[str, dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
    code: str,
) -> None:
    url, key = private_bucket
    key = key | {wrong: "wrongsecret77"}
    set_key(monkeypatch, url, key["id"], key["secret"])

    with pytest.raises(FetchError) as error:
        fetched(tmp_path, home, "s3://private/tree")
    text = str(error.value)
    assert f"403 Forbidden ({code})" in text.replace("FORBIDDEN", "Forbidden")
    assert "the AWS credentials (env) are refused" in text
    assert "SCIML_DATA_ANONYMOUS=1" in text
    assert key["secret"] not in text


def test_a_profile_that_is_not_there_is_an_error_with_the_remedy(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "absent")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    with pytest.raises(SciMLDataError, match="absent") as error:
        fetched(tmp_path, home, "s3://bucket/tree")
    assert "SCIML_DATA_ANONYMOUS=1" in str(error.value)


def test_the_region_that_a_bucket_names_is_used(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    scopes: list[str] = []

    def answer(request: RawRequest) -> Iterator[bytes]:
        scopes.append("/".join(request.head.partition("Credential=")[2].split("/")[2:4]))
        if scopes[-1] != "eu-west-2/s3":
            body = (
                b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>x</Message>"
                b"<Region>eu-west-2</Region></Error>"
            )
            yield b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/xml\r\n"
        else:
            body = FILES["a.bin"]
            yield b"HTTP/1.1 200 OK\r\n"
        yield b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    descriptor = write_dataset(tmp_path / "registry", {"a.bin": FILES["a.bin"]})
    with RawServer(answer) as server:
        set_key(monkeypatch, server.url, "id", "secret")
        plan = make_plan(descriptor, home, mirrors=["s3://bucket/tree"])
        fetch(plan, retry=quick_retry())

    assert scopes == ["eu-central-1/s3", "eu-west-2/s3"]


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[S3Server]:
    write_files(tmp_path / "s3" / "bucket" / "tree", FILES)
    with S3Server(tmp_path / "s3") as server:
        yield server


def authorizations(server: FileServer) -> set[bool]:
    return {"authorization" in request.headers for request in server.requests}


@pytest.mark.parametrize("variable", ["", "AWS_ACCESS_KEY_ID", "SCIML_DATA_ANONYMOUS"])
def test_without_credentials_or_with_the_switch_requests_are_anonymous(
    tmp_path: Path,
    home: Home,
    bucket: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.url)
    if variable:
        set_key(monkeypatch, bucket.url, "id", "secret")
        monkeypatch.setenv(variable, "1")

    assert fetched(tmp_path, home, "s3://bucket/tree", pinned=False)[0] == FILES
    assert authorizations(bucket) == {variable == "AWS_ACCESS_KEY_ID"}


def test_credentials_are_not_sent_to_other_servers(
    tmp_path: Path, home: Home, bucket: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_key(monkeypatch, "https://s3.example.org", "id", "secret")

    assert fetched(tmp_path, home, f"{bucket.url}/bucket/tree", pinned=False)[0] == FILES
    assert authorizations(bucket) == {False}


def test_without_botocore_public_buckets_are_read_with_one_notice(
    tmp_path: Path, home: Home, bucket: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_key(monkeypatch, bucket.url, "id", "secret")
    monkeypatch.setitem(sys.modules, "botocore", None)

    files, lines = fetched(tmp_path, home, "s3://bucket/tree", pinned=False)

    assert files == FILES
    assert sum("sciml-data[s3]" in line for line in lines) == 1
    assert authorizations(bucket) == {False}


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://s3.amazonaws.com/bucket/a", "us-east-1"),
        ("https://s3.eu-west-2.amazonaws.com/bucket/a", "eu-west-2"),
        ("https://bucket.s3.eu-west-2.amazonaws.com/a", "eu-west-2"),
        ("https://s3-us-gov-west-1.amazonaws.com/bucket/a", "us-gov-west-1"),
        ("https://s3.example.org/bucket/a", ""),
        ("https://s3.amazonaws.com.example.org/bucket/a", ""),
        ("https://s3.amazonaws.com/bucket/a?X-Amz-Signature=1", ""),
    ],
)
def test_requests_to_amazon_are_signed_for_the_region_of_the_host(
    monkeypatch: pytest.MonkeyPatch, url: str, region: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    headers = Signer().headers(url)

    assert is_signed(url) == bool(region)
    assert (f"/{region}/s3/aws4_request" in headers.get("Authorization", "")) == bool(region)
    assert headers.get("X-Amz-Security-Token") == ("token" if region else None)


def test_half_a_key_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")

    with pytest.raises(SourceError, match="the AWS credentials cannot be used"):
        Signer().headers("https://s3.amazonaws.com/bucket/a")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_home_that_is_closed_to_the_process_has_no_credentials(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A job may run as another user, with the environment of the one who submitted it."""
    write_files(tmp_path, {".aws/credentials": b"[default]\naws_access_key_id = owner\n"})
    tmp_path.chmod(0o700)
    monkeypatch.setenv("HOME", str(tmp_path))

    def find_none() -> None:
        assert not signing.has_credentials()

    assert signing.has_credentials()
    run_as(SECOND, find_none)
