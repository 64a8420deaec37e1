"""What a bucket lists, anonymously: ListObjectsV2 over the HTTP source, page by page.

Objects themselves are plain HTTPS URLs, path-style (https://HOST/BUCKET/KEY), as a Ceph RADOS
gateway and AWS both answer them; only the listing is S3's own. A listing is worth what its pages
are: one that is cut, comes twice or jumps is refused, for a file that is not listed is not missed.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from urllib.parse import quote, unquote, unquote_plus, urlencode, urlsplit
from xml.etree import ElementTree as ET
from xml.parsers import expat

from sciml_data.transfer.protocols.retry import RetryPolicy
from sciml_data.transfer.protocols.source import Listed, SourceError, Sources, TransientError

AWS_ENDPOINT = "https://s3.amazonaws.com"  # answers path-style for buckets of us-east-1
ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")  # as the aws command reads them
KEYS_PER_PAGE = 1000  # the most that S3 gives (ListObjectsV2, MaxKeys)
MOST_PAGE_BYTES = 16 << 20  # 1,000 keys of 1,024 bytes, each percent-encoded, and their tags: 4 MB
BLOCK_BYTES = 1 << 16
SILENT_TRIES = 2  # where nobody answers at all
MIB = 1 << 20
# Sizes of the parts that clients upload in when nobody tells them otherwise, in MiB, from their
# documentation: 5 rclone, bun, older SDKs; 8 aws and boto3; 10 s3fs-fuse; 15 s3cmd; 16 mc; 50 s5cmd
# and fsspec's s3fs; 64 Hadoop s3a and several SDKs; 100 older s3a; 128 older minio-go, and what
# sites with a Ceph gateway advise for large files, as they do 256 and 512.
USUAL_PART_MIB = (5, 8, 10, 15, 16, 50, 64, 100, 128, 256, 512)


class UnsteadyListingError(SourceError):
    """The pages of a listing do not fit together: it changed meanwhile, or the server errs."""


def s3_endpoint() -> str:
    """Return where buckets are asked for: the environment's endpoint, else that of AWS."""
    named = (os.environ.get(name, "") for name in ENDPOINT_VARIABLES)
    return next(filter(None, named), AWS_ENDPOINT).rstrip("/")


def s3_url(text: str) -> str:
    """Return the path-style URL of ``s3://BUCKET/KEY``."""
    return f"{s3_endpoint()}/{quote(text.partition('://')[2])}"


def list_bucket(url: str, sources: Sources, retry: RetryPolicy) -> Iterator[Listed]:
    """Yield what a bucket lists below ``http(s)://HOST/BUCKET/START``, in order of the keys.

    A page that fails is requested again as often as the retry policy allows; those before it are
    not.

    Raises:
        UnsteadyListingError: the pages do not fit together.
        TransientError: a page did not come.
        SourceError: there is no such bucket, or it does not list itself, or this is no S3 server.
    """
    parts = urlsplit(url)
    bucket, _, start = unquote(parts.path).removeprefix("/").partition("/")
    if not bucket:
        raise SourceError("the address names no bucket to list")
    base = f"{parts.scheme}://{parts.netloc}/{quote(bucket)}"
    query = {"list-type": "2", "encoding-type": "url", "max-keys": KEYS_PER_PAGE, "prefix": start}
    token, seen, last = "", set[str](), b""
    while True:
        asked = query | ({"continuation-token": token} if token else {})
        keys, token = _page(f"{base}?{urlencode(asked, quote_via=quote)}", sources, retry)
        for one in keys:
            if not one.name.startswith(start):
                raise SourceError(f"it lists {one.name!r}, which is not below {start!r}")
            if (key := one.name.encode()) <= last:
                raise UnsteadyListingError(f"{one.name!r} is listed twice, or out of order")
            last = key
            yield Listed(one.name[len(start) :], one.size_bytes, one.etag, one.modified)
        if not token:
            return
        if token in seen:
            raise UnsteadyListingError("the same continuation token was given twice")
        seen.add(token)


def etag_hash(etag: str, size_bytes: int, part_bytes: int | None = None) -> str | None:
    """Return an ETag as a hash that can be held, or None where it is none.

    An object uploaded at once has the md5 of its bytes, one in N parts the md5 of the parts' md5s
    with -N behind it. What is encrypted with a key of the owner's has neither, and cannot be told
    apart here; but it cannot be read anonymously either.

    Args:
        etag: as listed, with or without quotes.
        size_bytes: of the object.
        part_bytes: size of the parts, where it is known; else the one usual size that gives so
            many parts, if there is but one.

    Returns:
        ``md5:HEX`` or ``s3etag:HEX-N:PART_BYTES``.
    """
    found = re.fullmatch(r"([0-9a-f]{32})(?:-([1-9][0-9]{0,4}))?", etag.strip('"').lower())
    if found is None:
        return None
    if found[2] is None:
        return f"md5:{found[1]}"
    count = int(found[2])
    usual = [size_bytes] if count == 1 and size_bytes else [mib * MIB for mib in USUAL_PART_MIB]
    sizes = [part_bytes] if part_bytes else usual
    fitting = [size for size in sizes if -(-size_bytes // size) == count]
    return f"s3etag:{found[1]}-{count}:{fitting[0]}" if len(fitting) == 1 else None


def _page(url: str, sources: Sources, retry: RetryPolicy) -> tuple[list[Listed], str]:
    """Return the keys of one page and the token of the next, or an empty one after the last."""
    tries = 0
    while True:
        try:
            return _keys(_parse(_body(url, sources, retry)))
        except TransientError as error:
            tries += 1
            if tries >= (SILENT_TRIES if error.is_unreachable else retry.tries):
                raise
            (retry.pause or time.sleep)(retry.wait_s(tries, error))


def _body(url: str, sources: Sources, retry: RetryPolicy) -> bytes:
    body = sources.of(url).open(url)
    found = bytearray()
    since = time.monotonic()
    try:
        while block := body.read(BLOCK_BYTES):
            found += block
            if len(found) > MOST_PAGE_BYTES:
                raise SourceError(f"its listing has pages of more than {MOST_PAGE_BYTES} bytes")
            elapsed_s = time.monotonic() - since
            if elapsed_s > retry.timeouts.read_s + len(found) / retry.slowest_bytes_per_s:
                raise TransientError(f"only {len(found)} bytes came in {elapsed_s:.3g} s")
    finally:
        body.close()
    return bytes(found)


def _parse(body: bytes) -> ET.Element:
    """Return the root of a page, names without their namespace; what declares entities is none."""
    if not body.lstrip(b"\xef\xbb\xbf \r\n\t").startswith((b"<?xml", b"<ListBucket", b"<Error")):
        if not body:
            raise TransientError("an empty page was sent")
        raise SourceError("it does not list: this is no S3 server")
    builder = ET.TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = lambda name, _: builder.start(name.rpartition("}")[2], {})
    parser.EndElementHandler = lambda name: builder.end(name.rpartition("}")[2])
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise TransientError(f"a page of the listing is cut, or no XML: {error}") from error
    return builder.close()


def _refuse_doctype(*_: object) -> None:
    raise SourceError("its listing declares a document type, which is refused")


def _keys(root: ET.Element) -> tuple[list[Listed], str]:
    """Return what a page lists, held against what it says of itself."""
    if root.tag == "Error":
        raise TransientError(f"it answers with the error {root.findtext('Code', '?')}")
    if root.tag != "ListBucketResult":
        raise SourceError(f"it does not list: <{root.tag}> was sent")
    decode = unquote_plus if root.findtext("EncodingType") == "url" else str
    try:
        keys = [_listed(one, decode(one.findtext("Key", ""))) for one in root.iter("Contents")]
    except ValueError as error:
        raise SourceError(f"its listing gives a size that is none: {error}") from error
    count = root.findtext("KeyCount")
    if count is not None and count != str(len(keys)):
        raise TransientError(f"a page of {count} keys has {len(keys)}")
    is_last = {"true": False, "false": True}.get(root.findtext("IsTruncated", "").lower())
    token = root.findtext("NextContinuationToken", "")
    if is_last is None or (not is_last and not token):
        raise TransientError("a page does not say whether and where the listing goes on")
    return keys, "" if is_last else token


def _listed(element: ET.Element, key: str) -> Listed:
    return Listed(
        key,
        int(element.findtext("Size", "")),
        element.findtext("ETag", "").strip('"'),
        element.findtext("LastModified", ""),
    )
