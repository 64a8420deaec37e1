"""A loopback S3 gateway over a folder: what an anonymous reader of a public bucket sees.

Path-style addresses, /BUCKET/KEY, of the files root/BUCKET/KEY: GET with ranges, HEAD and
ListObjectsV2 in pages, ETags and errors as S3 words them; nothing can be written. Faults are those
of `FileServer`: a status becomes an error of S3 (503 SlowDown, 403 AccessDenied), and the path of a
listing is its bucket:

    with S3Server(folder, keys_per_page=2) as server:
        server.add(status(503, retry_after="1"), path="bucket", times=3)
        server.add(lying(), path="bucket/large/*")
        server.when_sent(10_000_000, server.vanish)

`python -m sciml_data.testing.s3_server DIR [PORT]` serves a folder until interrupted.
"""

from __future__ import annotations

import base64
import datetime
import fnmatch
import hashlib
import io
import os
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qsl, quote
from xml.etree import ElementTree as ET

from sciml_data.testing.faults import Fault
from sciml_data.testing.handler import Handler, Request
from sciml_data.testing.server import FileServer, serve

MOST_KEYS = 1000  # on a page (ListObjectsV2, MaxKeys)
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
BLOCK_BYTES = 1 << 20
AFTER_ALL = chr(0x10FFFF)  # behind every key of a folder
# Status -> code and message (Amazon S3 API reference, "Error responses").
ERRORS = {
    400: ("InvalidArgument", "Invalid Argument"),
    403: ("AccessDenied", "Access Denied"),
    404: ("NoSuchKey", "The specified key does not exist."),
    416: ("InvalidRange", "The requested range is not satisfiable"),
    500: ("InternalError", "We encountered an internal error. Please try again."),
    501: ("NotImplemented", "A header you provided implies functionality that is not implemented."),
    503: ("SlowDown", "Please reduce your request rate."),
}
NO_BUCKET = ("NoSuchBucket", "The specified bucket does not exist")


@dataclass(frozen=True)
class Page:
    """A page of a listing: keys, folders where a delimiter is given, and where the next starts."""

    keys: Sequence[str]
    prefixes: Sequence[str]
    marker: str | None


class _Handler(Handler):
    owner: S3Server

    def respond(self, request: Request, fault: Fault) -> None:
        """Answer with an object, a listing or an error."""
        bucket, _, key = request.path.partition("/")
        if not bucket:
            return self.refuse(request, HTTPStatus.FORBIDDEN, {})  # names of all buckets
        if ".." in Path(request.path).parts:
            return self.refuse(request, HTTPStatus.BAD_REQUEST, {})
        if not (self.owner.root / bucket).is_dir():
            request.status = HTTPStatus.NOT_FOUND
            return self._xml(request, _error(NO_BUCKET, request.path), Fault("none"))
        if not key:
            return self._list(request, bucket, fault)
        file = self.owner.root / request.path
        if not file.is_file() or key.endswith("/"):
            return self.refuse(request, HTTPStatus.NOT_FOUND, {})
        return self.send_file(request, file, fault)

    def refuse(self, request: Request, code: int, headers: dict[str, str]) -> None:
        """Answer with an error as S3 words it."""
        phrase = HTTPStatus(code).phrase
        body = _error(ERRORS.get(code, (phrase.replace(" ", ""), phrase)), request.path)
        request.status, request.range = code, None
        self._xml(request, body, Fault("none"), headers)

    def etag(self, file: Path, state: os.stat_result) -> str:
        return self.owner.etag(file, state)

    def _list(self, request: Request, bucket: str, fault: Fault) -> None:
        query = dict(parse_qsl(request.query, keep_blank_values=True))
        if query.get("list-type") != "2":
            return self.refuse(request, HTTPStatus.NOT_IMPLEMENTED, {})
        try:
            most = min(int(query.get("max-keys", MOST_KEYS)), self.owner.keys_per_page)
            token = query.get("continuation-token")
            marker = query.get("start-after", "") if token is None else _text_of(token)
        except ValueError:
            return self.refuse(request, HTTPStatus.BAD_REQUEST, {})
        keys = self.owner.keys(bucket, again=token is None)
        page = list_page(
            keys, query.get("prefix", ""), query.get("delimiter", ""), marker=marker, most=most
        )
        return self._xml(request, self._listing(bucket, query, page, most), fault)

    def _listing(self, bucket: str, query: Mapping[str, str], page: Page, most: int) -> ET.Element:
        encode = quote if query.get("encoding-type") == "url" else str
        objects = [(key, self.owner.describe(bucket, key)) for key in page.keys]
        objects = [(key, described) for key, described in objects if described]
        root = ET.Element("ListBucketResult", xmlns=NAMESPACE)
        texts = {
            "Name": bucket,
            "Prefix": encode(query.get("prefix", "")),
            "Delimiter": query.get("delimiter", ""),
            "StartAfter": encode(query.get("start-after", "")),
            "EncodingType": query.get("encoding-type", ""),
            "MaxKeys": str(most),
            "KeyCount": str(len(objects) + len(page.prefixes)),
            "IsTruncated": str(page.marker is not None).lower(),
            "ContinuationToken": query.get("continuation-token", ""),
            "NextContinuationToken": "" if page.marker is None else _token(page.marker),
        }
        _add(root, {name: text for name, text in texts.items() if text or name == "Prefix"})
        for key, described in objects:
            _add(ET.SubElement(root, "Contents"), {"Key": encode(key), **described})
        for prefix in page.prefixes:
            _add(ET.SubElement(root, "CommonPrefixes"), {"Prefix": encode(prefix)})
        return root

    def _xml(
        self,
        request: Request,
        root: ET.Element,
        fault: Fault,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        body = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
        told = {"Content-Type": "application/xml", **(headers or {})}
        self.send_stream(request, io.BytesIO(body), size=len(body), headers=told, fault=fault)


class S3Server(FileServer):
    """Folders as public buckets on a free port of 127.0.0.1; a context manager.

    Attributes:
        keys_per_page: the most that a page of a listing has, whatever is asked for.
    """

    handler: ClassVar[type[Handler]] = _Handler

    def __init__(
        self,
        root: Path,
        *,
        port: int = 0,
        keys_per_page: int = MOST_KEYS,
        part_bytes: Mapping[str, int] | None = None,
        send_buffer_bytes: int | None = None,
    ) -> None:
        """Take the folder of the buckets.

        Args:
            root: has the folder of each bucket.
            port: to listen on; 0 takes a free one.
            keys_per_page: of a listing.
            part_bytes: glob of BUCKET/KEY -> size of the parts in which such objects are uploaded,
                which shows in their ETags; the first that fits counts.
            send_buffer_bytes: as for `FileServer`.
        """
        super().__init__(root, port=port, send_buffer_bytes=send_buffer_bytes)
        self.keys_per_page = keys_per_page
        self._part_bytes = dict(part_bytes or {})
        self._etags: dict[tuple[Path, int, int], str] = {}
        self._keys: dict[str, list[str]] = {}

    def relist(self) -> None:
        """Let a listing under way see files that were added since its first page."""
        self._keys.clear()

    def keys(self, bucket: str, *, again: bool) -> list[str]:
        """Return the keys of a bucket, sorted as S3 does: by the bytes of their UTF-8."""
        if again or bucket not in self._keys:
            top = self.root / bucket
            files = (file for file in top.rglob("*") if file.is_file())
            self._keys[bucket] = sorted(file.relative_to(top).as_posix() for file in files)
        return self._keys.get(bucket, [])

    def describe(self, bucket: str, key: str) -> dict[str, str]:
        """Return what a listing says of a key, or nothing where its file has gone."""
        file = self.root / bucket / key
        try:
            state = file.stat()
        except FileNotFoundError:
            return {}
        modified = datetime.datetime.fromtimestamp(int(state.st_mtime), datetime.UTC)
        return {
            "LastModified": modified.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "ETag": f'"{self.etag(file, state)}"',
            "Size": str(state.st_size),
            "StorageClass": "STANDARD",
        }

    def etag(self, file: Path, state: os.stat_result) -> str:
        """Return the md5 of a file, or of its parts' md5s and their number."""
        version = (file, state.st_size, state.st_mtime_ns)
        if version not in self._etags:
            path = file.relative_to(self.root).as_posix()
            fitting = (n for glob, n in self._part_bytes.items() if fnmatch.fnmatchcase(path, glob))
            self._etags[version] = _etag(file, next(fitting, None))
        return self._etags[version]


def list_page(keys: Sequence[str], prefix: str, delimiter: str, *, marker: str, most: int) -> Page:
    """Return the page of sorted keys that starts behind a marker.

    Args:
        keys: of the bucket, sorted.
        prefix: of the keys wanted.
        delimiter: keys with it behind the prefix are told as one folder each; "" for none.
        marker: start behind it.
        most: keys and folders on the page.
    """
    found: list[str] = []
    prefixes: list[str] = []
    for key in keys[max(bisect_left(keys, prefix), bisect_right(keys, marker)) :]:
        if not key.startswith(prefix) or not most:
            break
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        folder = key[: cut + len(delimiter)] if cut >= 0 else ""
        if folder and folder in prefixes[-1:]:
            continue
        if len(found) + len(prefixes) == most:
            last = max([*found[-1:], *(f"{one}{AFTER_ALL}" for one in prefixes[-1:])])
            return Page(found, prefixes, last)
        if folder:
            prefixes.append(folder)
        else:
            found.append(key)
    return Page(found, prefixes, None)


def _etag(file: Path, part_bytes: int | None) -> str:
    parts: list[hashlib._Hash] = []
    with file.open("rb") as stream:
        while not parts or stream.tell() < file.stat().st_size:
            part = hashlib.md5(usedforsecurity=False)
            left = part_bytes or file.stat().st_size
            while block := stream.read(min(BLOCK_BYTES, left)):
                part.update(block)
                left -= len(block)
            parts.append(part)
    if part_bytes is None:
        return parts[0].hexdigest()
    whole = hashlib.md5(b"".join(part.digest() for part in parts), usedforsecurity=False)
    return f"{whole.hexdigest()}-{len(parts)}"


def _error(error: tuple[str, str], path: str) -> ET.Element:
    bucket, _, key = path.partition("/")
    root = ET.Element("Error")
    names = {"Key": key} if key else {"BucketName": bucket}
    _add(root, {"Code": error[0], "Message": error[1], **names, "RequestId": "0", "HostId": "0"})
    return root


def _add(element: ET.Element, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        ET.SubElement(element, name).text = text


def _token(marker: str) -> str:
    return base64.urlsafe_b64encode(marker.encode()).decode()


def _text_of(token: str) -> str:
    """Return the marker of a token; raise ValueError for one that was not given out."""
    return base64.urlsafe_b64decode(token.encode()).decode()


if __name__ == "__main__":
    serve(S3Server)
