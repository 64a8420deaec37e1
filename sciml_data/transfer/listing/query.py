"""Ask one mirror for its listing, until two answers in a row are equal.

Plain HTTP has no listing. If the descriptor names every file, the first byte of each is requested
instead: the answer has the size of the file.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from sciml_data.registry.descriptor import Mirror
from sciml_data.transfer.listing.keys import find_others
from sciml_data.transfer.listing.listing import ListedFile, join_names
from sciml_data.transfer.protocols.file import list_folder
from sciml_data.transfer.protocols.mirrors import Sources
from sciml_data.transfer.protocols.retry import SILENT_TRIES, RetryPolicy
from sciml_data.transfer.protocols.s3 import UnsteadyListingError, list_bucket
from sciml_data.transfer.protocols.source import (
    UNREADABLE,
    Listed,
    OtherRegionError,
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
UNLISTED = ("datalad:", "doi:", "ftp:", "sftp:")  # schemes without a listing here

Files = Mapping[str, ListedFile]


@dataclass(frozen=True)
class MirrorAnswer:
    """The files that a mirror lists, by path, or the reason why it lists none.

    Attributes:
        place: the mirror, in one of its possible layouts.
        files: by path.
        reason: why the mirror could not be listed; empty if it could.
        notes: what it lists besides files, in words.
    """

    place: Mirror
    files: Files
    reason: str = ""
    notes: tuple[str, ...] = ()

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

    def __init__(
        self,
        sources: Sources,
        retry: RetryPolicy,
        names: Sequence[str] = (),
        wanted: Collection[str] = (),
    ) -> None:
        """Take the connections, the paths of all files if they are known, and those that must be.

        Args:
            sources: connections.
            retry: timeouts and retries.
            names: paths of all files, if they are known; nothing else is asked for then.
            wanted: paths that are expected by name, of files among others.
        """
        self._sources = sources
        self._retry = retry
        self._names = names
        self._wanted = frozenset(wanted)
        self._closed: dict[str, str] = {}  # host, or host and bucket -> why it is not asked again
        self._notes: tuple[str, ...] = ()  # of the last listing

    def query(self, place: Mirror) -> MirrorAnswer:
        """Return the listing of a place, or the reason why there is none."""
        hosts = {urlsplit(url).netloc for url in place.prefixes.values()}
        buckets = {_bucket_of(url) for url in place.prefixes.values()}
        for name in (hosts | buckets) & set(self._closed):
            return MirrorAnswer(place, {}, self._closed[name])
        self._notes = ()
        try:
            files = self._list_twice(place)
            return MirrorAnswer(place, files, notes=self._notes)
        except SourceError as error:
            if isinstance(error, TransientError) and error.is_unreachable:
                self._closed |= dict.fromkeys(hosts, error.message)
            if isinstance(error, OtherRegionError):
                self._closed |= dict.fromkeys(buckets, error.message)
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
                if place.prefix_of(path) == prefix:  # else a longer prefix has the URL of the file
                    files[path] = ListedFile(
                        path, listed.size_bytes, listed.etag, listed.modified, place.url(path) or ""
                    )
        others = find_others({path: f.size_bytes for path, f in files.items()}, self._wanted)
        refused = [f"{path!r} {reason}" for path, reason in others.refused.items()]
        kept = files.keys() - {*others.left_out, *others.refused}
        # A key that nobody wants costs itself only; without any other there is no dataset here.
        if refused and (not kept or not self._wanted.isdisjoint(others.refused)):
            raise SourceError(f"it lists paths that are refused: {join_names(refused)}")
        self._notes = _notes(others.left_out, refused)
        return {path: file for path, file in files.items() if path in kept}

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
        if url.startswith(UNLISTED):
            raise SourceError(f"{url.partition(':')[0]}: mirrors are for pinned versions only")
        return list_bucket(url, self._sources.of(url), self._retry)


def _bucket_of(url: str) -> str:
    """Return host and bucket of a path-style URL."""
    parts = urlsplit(url)
    return f"{parts.netloc}/{parts.path.lstrip('/').partition('/')[0]}"


def _notes(left_out: Sequence[str], refused: Sequence[str]) -> tuple[str, ...]:
    notes = []
    if left_out:
        what = f"{len(left_out)} markers of folders and system files are left out"
        notes.append(f"{what}: {join_names(left_out)}")
    if refused:
        what = f"{len(refused)} keys cannot be paths of files and are left out"
        notes.append(f"{what}: {join_names(refused)}")
    return tuple(notes)


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
