"""List an S3 bucket: ListObjectsV2 over HTTP, page by page.

Objects themselves are plain HTTPS URLs in path style (https://HOST/BUCKET/KEY), which both AWS and
a Ceph RADOS gateway answer; only the listing is special to S3. A page that is cut off, comes twice
or is out of order is refused, because nobody would notice a file that the listing lacks.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from itertools import count
from urllib.parse import quote, unquote, unquote_plus, urlencode, urlsplit
from xml.etree import ElementTree as ET
from xml.parsers import expat

from sciml_data.transfer.protocols.retry import SILENT_TRIES, RetryPolicy
from sciml_data.transfer.protocols.source import (
    Listed,
    Source,
    SourceError,
    TransientError,
    whole_number,
)

AWS_ENDPOINT = "https://s3.amazonaws.com"  # answers path-style for buckets of us-east-1
ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")  # in the order of the aws command
KEYS_PER_PAGE = 1000  # the maximum of S3 (ListObjectsV2, MaxKeys)
# 1,000 keys of 1,024 bytes, each percent-encoded, and their tags are about 4 MB.
MAX_PAGE_BYTES = 16 << 20
BLOCK_BYTES = 1 << 16
# Bounds on what a server may make us read. The largest dataset of the registry has some 100,000
# files. A page of 1,000 keys has about 12 elements for each, in 4 levels.
MAX_OBJECTS = 2_000_000
MAX_ELEMENTS, MAX_DEPTH = 200_000, 16
MAX_EMPTY_PAGES = 10  # in a row; S3 may send pages without keys
MIN_KEYS_PER_S = 10  # a listing that is slower, after the time for a few pages, does not end
MAX_KEY_BYTES = 1024  # S3 user guide, "Naming Amazon S3 objects"
MAX_TAG_CHARACTERS = 200  # of an ETag, a date or a token of a listing
MAX_TOKEN_CHARACTERS = 8192
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
    limits = _Limits(retry)
    while True:
        page_query = query | ({"continuation-token": token} if token else {})
        page_url = f"{base}?{urlencode(page_query, quote_via=quote)}"
        objects, token = _page(page_url, source, retry)
        limits.add_page(len(objects))
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


class _Limits:
    """Ends a listing that would never end by itself."""

    def __init__(self, retry: RetryPolicy) -> None:
        self._since = time.monotonic()
        self._page_s = retry.timeouts.read_s
        self._objects = 0
        self._empty_pages = 0

    def add_page(self, objects: int) -> None:
        """Count a page.

        Raises:
            SourceError: the listing is too long, or too slow.
        """
        self._objects += objects
        self._empty_pages = 0 if objects else self._empty_pages + 1
        elapsed_s = time.monotonic() - self._since
        if self._objects > MAX_OBJECTS:
            raise SourceError(f"it lists more than {MAX_OBJECTS} files")
        if self._empty_pages > MAX_EMPTY_PAGES:
            raise SourceError(f"its listing has {self._empty_pages} pages without a file in a row")
        if elapsed_s > MAX_EMPTY_PAGES * self._page_s + self._objects / MIN_KEYS_PER_S:
            raise SourceError(f"it listed only {self._objects} files in {elapsed_s:.0f} s")


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
        body = body.decoded()
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
    depth, numbers = 0, count(1)

    def start(name: str, _: object) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH or next(numbers) > MAX_ELEMENTS:
            raise SourceError("its listing has too many elements, or elements too deep in others")
        builder.start(name.rpartition("}")[2], {})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name.rpartition("}")[2])

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise TransientError(f"a page of the listing is cut off or not XML: {error}") from error
    except (ValueError, LookupError) as error:
        raise SourceError(f"its listing is in an encoding that cannot be read: {error}") from error
    return builder.close()


def _refuse_doctype(*_: object) -> None:
    raise SourceError("its listing declares a document type, which is refused")


def _objects(root: ET.Element) -> tuple[list[Listed], str]:
    """Return the objects and the next token of a page, after checking them against its counts."""
    if root.tag == "Error":
        raise TransientError(f"it answers with the error {root.findtext('Code', '?')[:40]}")
    if root.tag != "ListBucketResult":
        raise SourceError(f"it has no listing: <{root.tag[:40]}> was sent")
    decode = unquote_plus if root.findtext("EncodingType") == "url" else str
    objects = [
        _listed(element, decode(element.findtext("Key", ""))) for element in root.iter("Contents")
    ]
    keys = root.findtext("KeyCount")
    if keys is not None and keys != str(len(objects)):
        raise TransientError(f"a page of {keys[:MAX_TAG_CHARACTERS]} keys has {len(objects)}")
    is_last = {"true": False, "false": True}.get(root.findtext("IsTruncated", "").lower())
    token = root.findtext("NextContinuationToken", "")
    if is_last is None or (not is_last and not token):
        raise TransientError("a page does not say whether and where the listing continues")
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise SourceError(f"its listing has a continuation token of {len(token)} characters")
    return objects, "" if is_last else token


def _listed(element: ET.Element, key: str) -> Listed:
    """Return the object of an element, whose texts are what the server wants them to be."""
    size = element.findtext("Size", "").strip()
    size_bytes = whole_number(size)
    if size_bytes is None:
        raise SourceError(f"its listing has a size that is not a number: {size[:40]!r}")
    if len(key.encode()) > MAX_KEY_BYTES:
        raise SourceError(f"its listing has a key of more than {MAX_KEY_BYTES} bytes")
    return Listed(
        key,
        size_bytes,
        _line(element.findtext("ETag", "").strip('"')),
        _line(element.findtext("LastModified", "")),
    )


def _line(text: str) -> str:
    """Return a text that is stored and printed, or nothing if it is not a short line."""
    return text if len(text) <= MAX_TAG_CHARACTERS and text.isprintable() else ""
