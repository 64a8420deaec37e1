"""Ask one place for what it lists, as often as it takes for two answers to agree.

Plain HTTP has no listing. Where the descriptor names every file, each is asked for instead: its
first byte, with which the server says how large it is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from sciml_data.registry.descriptor import Mirror
from sciml_data.registry.manifest import clashes, unsafe_because
from sciml_data.transfer.listing.expected import named
from sciml_data.transfer.listing.listing import ListedFile
from sciml_data.transfer.protocols.file import list_folder
from sciml_data.transfer.protocols.retry import RetryPolicy
from sciml_data.transfer.protocols.s3 import SILENT_TRIES, UnsteadyListingError, list_bucket
from sciml_data.transfer.protocols.source import (
    Listed,
    RangeRefusedError,
    SourceError,
    Sources,
    TransientError,
)

MOST_PASSES = 3  # over a listing, until two in a row agree

Files = Mapping[str, ListedFile]


@dataclass(frozen=True)
class Answer:
    """What a place lists, by path; where it lists nothing, `reason` may say why."""

    place: Mirror
    files: Files
    reason: str = ""

    @property
    def sizes(self) -> dict[str, int]:
        """Return the bytes of each path."""
        return {path: file.size_bytes for path, file in self.files.items()}

    @property
    def empty(self) -> list[str]:
        """Return the prefixes of the place below which it lists nothing."""
        return sorted(
            set(self.place.prefixes) - {self.place.prefix_of(path) for path in self.files}
        )


class Asker:
    """Asks places, and no place again whose host does not answer at all."""

    def __init__(self, sources: Sources, retry: RetryPolicy, names: Sequence[str] = ()) -> None:
        """Take the means to ask, and the files where they are known by name."""
        self._sources = sources
        self._retry = retry
        self._names = names
        self._silent: dict[str, str] = {}

    def ask(self, place: Mirror) -> Answer:
        """Return what a place lists, or why it does not."""
        hosts = {urlsplit(url).netloc for url in place.prefixes.values()}
        for host in hosts & set(self._silent):
            return Answer(place, {}, self._silent[host])
        try:
            return Answer(place, self._steady(place))
        except TransientError as error:
            if error.is_unreachable:
                self._silent |= dict.fromkeys(hosts, error.message)
            return Answer(place, {}, error.message)
        except SourceError as error:
            return Answer(place, {}, error.message)

    def _steady(self, place: Mirror) -> Files:
        """Return a listing that came twice in a row.

        Raises:
            SourceError: there is none, or no two agree.
        """
        before: Files | None = None
        what = ""
        for _ in range(MOST_PASSES):
            try:
                now = self._once(place)
            except UnsteadyListingError as error:
                before, what = None, error.message
                continue
            if now == before or (before is None and not now):
                return now
            if before is not None:
                changed = {path for path, _ in set(now.items()) ^ set(before.items())}
                what = f"changed meanwhile: {named(sorted(changed))}"
            before = now
        raise SourceError(f"its listing did not come twice the same in {MOST_PASSES} times: {what}")

    def _once(self, place: Mirror) -> Files:
        if self._names:
            return self._by_name(place)
        files: dict[str, ListedFile] = {}
        for prefix, url in place.prefixes.items():
            for one in self._list(url):
                path = prefix + one.name
                if one.size_bytes == 0 and path.endswith("/"):
                    continue  # what some clients upload to show an empty folder
                if place.prefix_of(path) == prefix:  # else a longer one says where it lies
                    files[path] = ListedFile(
                        path, one.size_bytes, one.etag, one.modified, place.url(path) or ""
                    )
        unsafe = [f"{path!r} {reason}" for path in files if (reason := unsafe_because(path))]
        unsafe += [problem.message for problem in clashes(files, "listing")]
        if unsafe:
            raise SourceError(f"it lists paths that are refused: {named(unsafe)}")
        return files

    def _by_name(self, place: Mirror) -> Files:
        """Return those of the named files that a place has.

        Raises:
            TransientError: it may answer if it is asked again.
            SourceError: it has none of them; says why the first cannot be had.
        """
        files: dict[str, ListedFile] = {}
        refused: list[SourceError] = []
        for path in self._names:
            if (url := place.url(path)) is None:
                continue
            try:
                files[path] = self._patiently(path, url)
            except TransientError:
                raise
            except SourceError as error:
                refused.append(error)
        if refused and not files:
            raise refused[0]
        return files

    def _patiently(self, path: str, url: str) -> ListedFile:
        tries = 0
        while True:
            try:
                return head(path, url, self._sources)
            except TransientError as error:
                tries += 1
                if tries >= (SILENT_TRIES if error.is_unreachable else self._retry.tries):
                    raise
                (self._retry.pause or time.sleep)(self._retry.wait_s(tries, error))

    def _list(self, url: str) -> Iterator[Listed]:
        if url.startswith("file:"):
            return list_folder(url)
        if url.startswith("datalad:"):
            raise SourceError("a DataLad dataset holds what somebody pinned: pinned versions only")
        return list_bucket(url, self._sources, self._retry)


def head(path: str, url: str, sources: Sources) -> ListedFile:
    """Return what a server says of one file when its first byte is asked for.

    Its tag is kept as a weak one (`W/`): it tells a change, and is no md5 of the bytes.

    Raises:
        SourceError: there is no such file, or its size is not said.
    """
    try:
        body = sources.of(url).open(url, end=1)
    except RangeRefusedError:  # an empty file has no first byte
        body = sources.of(url).open(url)
    body.close()
    if body.size_bytes is None:
        raise SourceError(f"it does not say how large {path} is")
    return ListedFile(path, body.size_bytes, f"W/{body.tag}" if body.tag else "", "", url)
