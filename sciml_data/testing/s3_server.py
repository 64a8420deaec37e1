"""A loopback S3 gateway of a folder, for an anonymous reader of a public bucket.

The file root/BUCKET/KEY has the path-style address /BUCKET/KEY. GET with ranges, HEAD and
ListObjectsV2 with pages are supported; ETags and errors have the form of S3; nothing can be
written. Faults are those of `FileServer`: a status becomes an S3 error (503 SlowDown, 403
AccessDenied), and the path of a listing is its bucket:

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
from sciml_data.testing.server import FileServer, Handler, Request, serve

MAX_KEYS = 1000  # on a page (ListObjectsV2, MaxKeys)
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
BLOCK_BYTES = 1 << 20
LAST_CHARACTER = chr(0x10FFFF)  # sorts after every key of a folder
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
    """A page of a listing: keys, folders for a delimiter, and the marker of the next page."""

    keys: Sequence[str]
    prefixes: Sequence[str]
    marker: str | None


class _Handler(Handler):
    owner: S3Server

    def respond(self, request: Request, fault: Fault) -> None:
        """Respond with an object, a listing or an error."""
        bucket, _, key = request.path.partition("/")
        if not bucket:
            return self.refuse(request, HTTPStatus.FORBIDDEN, {})  # a listing of all buckets
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
        """Respond with an error in the form of S3."""
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
            max_keys = min(int(query.get("max-keys", MAX_KEYS)), self.owner.keys_per_page)
            token = query.get("continuation-token")
            marker = query.get("start-after", "") if token is None else _text_of(token)
        except ValueError:
            return self.refuse(request, HTTPStatus.BAD_REQUEST, {})
        keys = self.owner.keys(bucket, again=token is None)
        page = list_page(
            keys,
            query.get("prefix", ""),
            query.get("delimiter", ""),
            marker=marker,
            max_keys=max_keys,
        )
        return self._xml(request, self._listing(bucket, query, page, max_keys), fault)

    def _listing(
        self, bucket: str, query: Mapping[str, str], page: Page, max_keys: int
    ) -> ET.Element:
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
            "MaxKeys": str(max_keys),
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
        headers = {"Content-Type": "application/xml", **(headers or {})}
        self.send_stream(request, io.BytesIO(body), size=len(body), headers=headers, fault=fault)


class S3Server(FileServer):
    """A server of folders as public buckets on a free port of 127.0.0.1; a context manager.

    Attributes:
        keys_per_page: largest number of keys on a page of a listing.
    """

    handler: ClassVar[type[Handler]] = _Handler

    def __init__(
        self,
        root: Path,
        *,
        port: int = 0,
        keys_per_page: int = MAX_KEYS,
        part_bytes: Mapping[str, int] | None = None,
        send_buffer_bytes: int | None = None,
    ) -> None:
        """Make a server, which starts when the context is entered.

        Args:
            root: folder with a folder for each bucket.
            port: 0 uses a free port.
            keys_per_page: largest number of keys on a page of a listing.
            part_bytes: glob of BUCKET/KEY -> part size of a multipart upload, which determines the
                ETag; the first matching glob is used.
            send_buffer_bytes: as for `FileServer`.
        """
        super().__init__(root, port=port, send_buffer_bytes=send_buffer_bytes)
        self.keys_per_page = keys_per_page
        self._part_bytes = dict(part_bytes or {})
        self._etags: dict[tuple[Path, int, int], str] = {}
        self._keys: dict[str, list[str]] = {}

    def relist(self) -> None:
        """Let the next page of a listing include files that were added since its first page."""
        self._keys.clear()

    def keys(self, bucket: str, *, again: bool) -> list[str]:
        """Return the keys of a bucket, sorted by their UTF-8 bytes as S3 does."""
        if again or bucket not in self._keys:
            top = self.root / bucket
            files = (file for file in top.rglob("*") if file.is_file())
            self._keys[bucket] = sorted(file.relative_to(top).as_posix() for file in files)
        return self._keys.get(bucket, [])

    def describe(self, bucket: str, key: str) -> dict[str, str]:
        """Return the entry of a key in a listing; an empty one if its file was deleted."""
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
        """Return the md5 of a file, or the md5 of its parts' md5s and the number of parts."""
        version = (file, state.st_size, state.st_mtime_ns)
        if version not in self._etags:
            path = file.relative_to(self.root).as_posix()
            sizes = (n for glob, n in self._part_bytes.items() if fnmatch.fnmatchcase(path, glob))
            self._etags[version] = _etag(file, next(sizes, None))
        return self._etags[version]


def list_page(
    keys: Sequence[str], prefix: str, delimiter: str, *, marker: str, max_keys: int
) -> Page:
    """Return the page of sorted keys that starts after a marker.

    Args:
        keys: all keys of the bucket, sorted.
        prefix: prefix of the listed keys.
        delimiter: keys that share the part up to it are listed as a folder; "" for none.
        marker: last key or folder of the page before.
        max_keys: largest number of keys and folders on the page.
    """
    listed: list[str] = []
    prefixes: list[str] = []
    for key in keys[max(bisect_left(keys, prefix), bisect_right(keys, marker)) :]:
        if not key.startswith(prefix) or not max_keys:
            break
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        folder = key[: cut + len(delimiter)] if cut >= 0 else ""
        if folder and folder in prefixes[-1:]:
            continue
        if len(listed) + len(prefixes) == max_keys:
            last = max([*listed[-1:], *(f"{name}{LAST_CHARACTER}" for name in prefixes[-1:])])
            return Page(listed, prefixes, last)
        if folder:
            prefixes.append(folder)
        else:
            listed.append(key)
    return Page(listed, prefixes, None)


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
    """Return the marker of a token; raise ValueError for an invalid token."""
    return base64.urlsafe_b64decode(token.encode()).decode()


if __name__ == "__main__":
    serve(S3Server)
