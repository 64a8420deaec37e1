"""Ask one mirror for its listing, until two answers in a row are equal.

Plain HTTP has no listing. If the descriptor names every file, the first byte of each is requested
instead: the answer has the size of the file.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from sciml_data.registry.descriptor import Mirror
from sciml_data.registry.manifest import clashes, unsafe_because
from sciml_data.transfer.listing.listing import ListedFile, join_names
from sciml_data.transfer.protocols.file import list_folder
from sciml_data.transfer.protocols.mirrors import Sources
from sciml_data.transfer.protocols.retry import SILENT_TRIES, RetryPolicy
from sciml_data.transfer.protocols.s3 import UnsteadyListingError, list_bucket
from sciml_data.transfer.protocols.source import (
    UNREADABLE,
    Listed,
    RangeRefusedError,
    SourceError,
    TransientError,
    unreadable,
)

# Listings of one mirror before it is given up. Two in a row must be equal: a bucket that is being
# filled, or a server that loses pages, gives another one each time.
MAX_PASSES = 3
# Files that are sent as they are, though some servers (Apache's mod_mime) call that an encoding.
COMPRESSED = (".gz", ".tgz")

Files = Mapping[str, ListedFile]


@dataclass(frozen=True)
class MirrorAnswer:
    """The files that a mirror lists, by path, or the reason why it lists none.

    Attributes:
        place: the mirror, in one of its possible layouts.
        files: by path.
        reason: why the mirror could not be listed; empty if it could.
    """

    place: Mirror
    files: Files
    reason: str = ""

    @property
    def sizes(self) -> dict[str, int]:
        """Return the bytes of each path."""
        return {path: file.size_bytes for path, file in self.files.items()}

    @property
    def empty_prefixes(self) -> list[str]:
        """Return the prefixes of the place below which no file is listed."""
        return sorted(
            set(self.place.prefixes) - {self.place.prefix_of(path) for path in self.files}
        )


class ListingClient:
    """Lists places one after the other; a host that does not answer is asked only once."""

    def __init__(self, sources: Sources, retry: RetryPolicy, names: Sequence[str] = ()) -> None:
        """Take the connections, and the paths of all files if they are known."""
        self._sources = sources
        self._retry = retry
        self._names = names
        self._unreachable: dict[str, str] = {}  # host -> reason

    def query(self, place: Mirror) -> MirrorAnswer:
        """Return the listing of a place, or the reason why there is none."""
        hosts = {urlsplit(url).netloc for url in place.prefixes.values()}
        for host in hosts & set(self._unreachable):
            return MirrorAnswer(place, {}, self._unreachable[host])
        try:
            return MirrorAnswer(place, self._list_twice(place))
        except TransientError as error:
            if error.is_unreachable:
                self._unreachable |= dict.fromkeys(hosts, error.message)
            return MirrorAnswer(place, {}, error.message)
        except SourceError as error:
            return MirrorAnswer(place, {}, error.message)
        except UNREADABLE as error:
            return MirrorAnswer(place, {}, unreadable(error).message)

    def _list_twice(self, place: Mirror) -> Files:
        """Return a listing that came twice in a row.

        Raises:
            SourceError: the place cannot be listed, or no two listings are equal.
        """
        before: Files | None = None
        reason = ""
        for _ in range(MAX_PASSES):
            try:
                now = self._list_once(place)
            except UnsteadyListingError as error:
                before, reason = None, error.message
                continue
            if now == before or (before is None and not now):
                return now
            if before is not None:
                changed = {path for path, _ in set(now.items()) ^ set(before.items())}
                reason = f"changed meanwhile: {join_names(sorted(changed))}"
            before = now
        raise SourceError(f"it gave no two equal listings in {MAX_PASSES} times: {reason}")

    def _list_once(self, place: Mirror) -> Files:
        if self._names:
            return self._list_by_name(place)
        files: dict[str, ListedFile] = {}
        for prefix, url in place.prefixes.items():
            for listed in self._list_url(url):
                path = prefix + listed.name
                if listed.size_bytes == 0 and path.endswith("/"):
                    continue  # an object that some clients upload to show an empty folder
                if place.prefix_of(path) == prefix:  # else a longer prefix has the URL of the file
                    files[path] = ListedFile(
                        path, listed.size_bytes, listed.etag, listed.modified, place.url(path) or ""
                    )
        unsafe = [f"{path!r} {reason}" for path in files if (reason := unsafe_because(path))]
        unsafe += [problem.message for problem in clashes(files, "listing")]
        if unsafe:
            raise SourceError(f"it lists paths that are refused: {join_names(unsafe)}")
        return files

    def _list_by_name(self, place: Mirror) -> Files:
        """Return those of the named files that a place has.

        Raises:
            TransientError: a request failed, and may succeed later.
            SourceError: the place has none of the files; the reason of the first one.
        """
        files: dict[str, ListedFile] = {}
        errors: list[SourceError] = []
        for path in self._names:
            if (url := place.url(path)) is None:
                continue
            try:
                files[path] = self._head_with_retries(path, url)
            except TransientError:
                raise
            except SourceError as error:
                errors.append(error)
        if errors and not files:
            raise errors[0]
        return files

    def _head_with_retries(self, path: str, url: str) -> ListedFile:
        tries = 0
        while True:
            try:
                return head(path, url, self._sources)
            except TransientError as error:
                tries += 1
                if tries >= (SILENT_TRIES if error.is_unreachable else self._retry.tries):
                    raise
                (self._retry.pause or time.sleep)(self._retry.wait_s(tries, error))

    def _list_url(self, url: str) -> Iterator[Listed]:
        if url.startswith("file:"):
            return list_folder(url)
        if url.startswith("datalad:"):
            raise SourceError("a DataLad dataset can be used for pinned versions only")
        return list_bucket(url, self._sources.of(url), self._retry)


def head(path: str, url: str, sources: Sources) -> ListedFile:
    """Return the size and the ETag of one file, from the answer to a request for its first byte.

    The ETag is stored as a weak one (`W/`): it shows a change, but is not an md5 of the bytes.

    Args:
        path: of the file in the dataset.
        url: of the file.
        sources: sends the request.

    Raises:
        SourceError: there is no such file, or the server does not say its size.
    """
    try:
        body = sources.of(url).open(url, end=1)
    except RangeRefusedError:  # an empty file has no first byte
        body = sources.of(url).open(url)
    body.close()
    if body.encoding and not path.endswith(COMPRESSED):
        raise SourceError(
            f"it sends {path} with Content-Encoding: {body.encoding}, so its size is not known"
        )
    if body.size_bytes is None:
        raise SourceError(f"it does not say how large {path} is")
    return ListedFile(path, body.size_bytes, f"W/{body.tag}" if body.tag else "", "", url)
