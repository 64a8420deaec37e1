"""List an S3 bucket, anonymously: ListObjectsV2 over HTTP, page by page.

Objects themselves are plain HTTPS URLs in path style (https://HOST/BUCKET/KEY), which both AWS and
a Ceph RADOS gateway answer; only the listing is special to S3. A page that is cut off, comes twice
or is out of order is refused, because nobody would notice a file that the listing lacks.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from urllib.parse import quote, unquote, unquote_plus, urlencode, urlsplit
from xml.etree import ElementTree as ET
from xml.parsers import expat

from sciml_data.transfer.protocols.retry import SILENT_TRIES, RetryPolicy
from sciml_data.transfer.protocols.source import Listed, Source, SourceError, TransientError

AWS_ENDPOINT = "https://s3.amazonaws.com"  # answers path-style for buckets of us-east-1
ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")  # in the order of the aws command
KEYS_PER_PAGE = 1000  # the maximum of S3 (ListObjectsV2, MaxKeys)
# 1,000 keys of 1,024 bytes, each percent-encoded, and their tags are about 4 MB.
MAX_PAGE_BYTES = 16 << 20
BLOCK_BYTES = 1 << 16
MIB = 1 << 20
# Default part sizes of upload clients, in MiB, from their documentation: 5 rclone, bun, older SDKs;
# 8 aws and boto3; 10 s3fs-fuse; 15 s3cmd; 16 mc; 50 s5cmd and fsspec's s3fs; 64 Hadoop s3a and
# several SDKs; 100 older s3a; 128 older minio-go; 128, 256 and 512 are recommended for large files
# by sites with a Ceph gateway.
USUAL_PART_MIB = (5, 8, 10, 15, 16, 50, 64, 100, 128, 256, 512)


class UnsteadyListingError(SourceError):
    """The pages of a listing do not fit together: it changed meanwhile, or the server is wrong."""


def s3_endpoint() -> str:
    """Return the URL of the S3 server: the environment's endpoint, else that of AWS."""
    endpoints = (os.environ.get(name, "") for name in ENDPOINT_VARIABLES)
    return next(filter(None, endpoints), AWS_ENDPOINT).rstrip("/")


def s3_url(text: str) -> str:
    """Return the path-style URL of ``s3://BUCKET/KEY``."""
    return f"{s3_endpoint()}/{quote(text.partition('://')[2])}"


def list_bucket(url: str, source: Source, retry: RetryPolicy) -> Iterator[Listed]:
    """Yield the objects below ``http(s)://HOST/BUCKET/START``, in the order of their keys.

    Args:
        url: of the bucket, or of a folder in it.
        source: sends the requests.
        retry: how often a single page is requested again.

    Raises:
        UnsteadyListingError: the pages do not fit together.
        TransientError: a page could not be fetched.
        SourceError: there is no such bucket, listing it is not allowed, or this is not an S3
            server.
    """
    parts = urlsplit(url)
    bucket, _, start = unquote(parts.path).removeprefix("/").partition("/")
    if not bucket:
        raise SourceError("the address has no bucket to list")
    base = f"{parts.scheme}://{parts.netloc}/{quote(bucket)}"
    query = {"list-type": "2", "encoding-type": "url", "max-keys": KEYS_PER_PAGE, "prefix": start}
    token, tokens, last = "", set[str](), b""
    while True:
        page_query = query | ({"continuation-token": token} if token else {})
        page_url = f"{base}?{urlencode(page_query, quote_via=quote)}"
        objects, token = _page(page_url, source, retry)
        for listed in objects:
            if not listed.name.startswith(start):
                raise SourceError(f"it lists {listed.name!r}, which is not below {start!r}")
            if (key := listed.name.encode()) <= last:
                raise UnsteadyListingError(f"{listed.name!r} is listed twice, or out of order")
            last = key
            yield Listed(listed.name[len(start) :], listed.size_bytes, listed.etag, listed.modified)
        if not token:
            return
        if token in tokens:  # the listing would never end
            raise UnsteadyListingError("the same continuation token was given twice")
        tokens.add(token)


def etag_hash(etag: str, size_bytes: int, part_bytes: int | None = None) -> str | None:
    """Return the hash that an ETag contains, or None if it contains none.

    The ETag of an object that was uploaded at once is the md5 of its bytes; of one in N parts it is
    the md5 of the parts' md5s, and -N. The ETag of an object that is encrypted with the owner's key
    is neither of them and looks the same; but such an object cannot be read anonymously.

    Args:
        etag: as listed, with or without quotes.
        size_bytes: of the object.
        part_bytes: size of the parts, if it is known. Otherwise the usual size that gives this
            number of parts is assumed, if there is only one.

    Returns:
        ``md5:HEX`` or ``s3etag:HEX-N:PART_BYTES``.
    """
    match = re.fullmatch(r"([0-9a-f]{32})(?:-([1-9][0-9]{0,4}))?", etag.strip('"').lower())
    if match is None:
        return None
    if match[2] is None:
        return f"md5:{match[1]}"
    count = int(match[2])
    usual = [size_bytes] if count == 1 and size_bytes else [mib * MIB for mib in USUAL_PART_MIB]
    sizes = [part_bytes] if part_bytes else usual
    fitting = [size for size in sizes if -(-size_bytes // size) == count]
    return f"s3etag:{match[1]}-{count}:{fitting[0]}" if len(fitting) == 1 else None


def _page(url: str, source: Source, retry: RetryPolicy) -> tuple[list[Listed], str]:
    """Return the objects of one page, and the token of the next page or "" after the last."""
    tries = 0
    while True:
        try:
            return _objects(_parse(_body(url, source, retry)))
        except TransientError as error:
            tries += 1
            if tries >= (SILENT_TRIES if error.is_unreachable else retry.tries):
                raise
            (retry.pause or time.sleep)(retry.wait_s(tries, error))


def _body(url: str, source: Source, retry: RetryPolicy) -> bytes:
    body = source.open(url)
    page = bytearray()
    since = time.monotonic()
    try:
        while block := body.read(BLOCK_BYTES):
            page += block
            if len(page) > MAX_PAGE_BYTES:  # a server must not fill the memory
                raise SourceError(f"its listing has pages of more than {MAX_PAGE_BYTES} bytes")
            elapsed_s = time.monotonic() - since
            if elapsed_s > retry.timeouts.read_s + len(page) / retry.min_bytes_per_s:
                raise TransientError(f"only {len(page)} bytes came in {elapsed_s:.3g} s")
    finally:
        body.close()
    return bytes(page)


def _parse(body: bytes) -> ET.Element:
    """Return the root element of a page, with names without their namespace.

    Raises:
        TransientError: the page is empty or cut off.
        SourceError: the page is not a listing, or declares a document type. Entities in one could
            fill the memory ("billion laughs").
    """
    if not body.lstrip(b"\xef\xbb\xbf \r\n\t").startswith((b"<?xml", b"<ListBucket", b"<Error")):
        if not body:
            raise TransientError("an empty page was sent")
        raise SourceError("it has no listing: this is not an S3 server")
    builder = ET.TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = lambda name, _: builder.start(name.rpartition("}")[2], {})
    parser.EndElementHandler = lambda name: builder.end(name.rpartition("}")[2])
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise TransientError(f"a page of the listing is cut off or not XML: {error}") from error
    return builder.close()


def _refuse_doctype(*_: object) -> None:
    raise SourceError("its listing declares a document type, which is refused")


def _objects(root: ET.Element) -> tuple[list[Listed], str]:
    """Return the objects and the next token of a page, after checking them against its counts."""
    if root.tag == "Error":
        raise TransientError(f"it answers with the error {root.findtext('Code', '?')}")
    if root.tag != "ListBucketResult":
        raise SourceError(f"it has no listing: <{root.tag}> was sent")
    decode = unquote_plus if root.findtext("EncodingType") == "url" else str
    try:
        objects = [
            _listed(element, decode(element.findtext("Key", "")))
            for element in root.iter("Contents")
        ]
    except ValueError as error:
        raise SourceError(f"its listing has a size that is not a number: {error}") from error
    count = root.findtext("KeyCount")
    if count is not None and count != str(len(objects)):
        raise TransientError(f"a page of {count} keys has {len(objects)}")
    is_last = {"true": False, "false": True}.get(root.findtext("IsTruncated", "").lower())
    token = root.findtext("NextContinuationToken", "")
    if is_last is None or (not is_last and not token):
        raise TransientError("a page does not say whether and where the listing continues")
    return objects, "" if is_last else token


def _listed(element: ET.Element, key: str) -> Listed:
    return Listed(
        key,
        int(element.findtext("Size", "")),
        element.findtext("ETag", "").strip('"'),
        element.findtext("LastModified", ""),
    )
