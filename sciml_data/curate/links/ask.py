"""Ask each link for its first byte, and compare size and entity tag with what is known.

Servers belong to others, so the check is polite: one connection to a host at a time, a pause
between requests, the waits that a server asks for, and no further request to a host that does not
answer or asks for a long wait.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from urllib.parse import urlsplit

from sciml_data.curate.links.collect import FILE, LISTING, PAGE, Link, sampled
from sciml_data.progress import Log, counted
from sciml_data.registry.descriptor import Mirror
from sciml_data.transfer.listing.keys import find_others
from sciml_data.transfer.protocols.mirrors import SCHEMES, Sources
from sciml_data.transfer.protocols.retry import SILENT_TRIES, RetryPolicy
from sciml_data.transfer.protocols.s3 import KEYS_PER_PAGE, etag_hash, list_bucket
from sciml_data.transfer.protocols.source import (
    UNREADABLE,
    Body,
    RangeRefusedError,
    SourceError,
    TransientError,
    unreadable,
)

logger = logging.getLogger(__name__)

HOSTS_AT_ONCE = 8
PAUSE_S = 0.5  # between two requests to a host: crawlers that are called polite wait 0.2 to 10 s
TRIES = 3
GONE = {404, 410}
NOT_AGAIN = "(not asked again)"  # ends the reason of links whose host did not answer before
READ_BYTES = 1 << 12


class Outcome(StrEnum):
    """What became of a link."""

    OK = "ok"
    MOVED = "moved"  # it answers, at another address for good
    CHANGED = "changed"  # it answers with another size or entity tag
    GONE = "gone"
    REFUSED = "refused"  # a server answers, and does not give it to us
    UNREACHABLE = "unreachable"
    NOT_ASKED = "not asked"  # no protocol here has its scheme


@dataclass(frozen=True)
class LinkState:
    """A link, and what a request for it returned.

    Attributes:
        link: the address.
        outcome: in one word.
        reason: why, in words; empty if it is ok.
        size_bytes: as the server says; None if it does not say.
        tag: entity tag or date of the last change, as the server says; empty if it does not say.
        moved_to: the new address; empty if it did not move.
    """

    link: Link
    outcome: Outcome
    reason: str = ""
    size_bytes: int | None = None
    tag: str = ""
    moved_to: str = ""

    @property
    def is_dead(self) -> bool:
        """Return whether someone has to act: the link no longer gives what the registry says.

        Many sites refuse programs. A page that is refused is therefore not dead.
        """
        if self.outcome is Outcome.REFUSED:
            return self.link.kind != PAGE
        return self.outcome in {Outcome.CHANGED, Outcome.GONE, Outcome.UNREACHABLE}


def ask_links(  # noqa: PLR0913 - each is a bound on what is asked of other people's servers
    links: Sequence[Link],
    *,
    seed: int = 0,
    per_mirror: int = 50,
    known: Mapping[str, LinkState] | None = None,
    retry: RetryPolicy | None = None,
    pause_s: float = PAUSE_S,
    log: Log = logger.info,
) -> list[LinkState]:
    """Return the state of each link, and of a sample of the files that listings name.

    Args:
        links: of a registry.
        seed: chooses files of listings.
        per_mirror: most files to ask of one listing.
        known: states of an earlier check by URL. Where the registry has no hash of a file, its
            size and its entity tag must be the same as then.
        retry: timeouts and waits; `tries` is not used.
        pause_s: seconds between two requests to a host.
        log: gets a line for each host.
    """
    groups: dict[str, list[Link]] = {}
    for link in links:
        parts = urlsplit(link.url)
        groups.setdefault(parts.netloc or f"{parts.scheme}:", []).append(link)
    retry = retry or RetryPolicy(tries=TRIES)
    with Sources(connections=1, timeouts=retry.timeouts) as sources:
        stop = threading.Event()

        def ask(host: str) -> list[LinkState]:
            visit = HostVisit(sources, retry, known or {}, pause_s, stop)
            states = [state for link in groups[host] for state in visit.ask(link, seed, per_mirror)]
            bad = sum(state.is_dead for state in states)
            log(f"{host}: {counted(len(states), 'link')}, {bad} dead or changed")
            return states

        pool = ThreadPoolExecutor(HOSTS_AT_ONCE)
        try:
            answers = list(pool.map(ask, groups))
        except BaseException:
            # Ctrl-C: threads end at their next pause. A silent server is not waited for.
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        pool.shutdown()
    return [state for states in answers for state in states]


class HostVisit:
    """Asks the links of one host, one after the other."""

    def __init__(
        self,
        sources: Sources,
        retry: RetryPolicy,
        known: Mapping[str, LinkState],
        pause_s: float,
        stop: threading.Event,
    ) -> None:
        """Take connections, waits, earlier states by URL, the pause, and what ends the visit."""
        self._sources = sources
        self._retry = retry
        self._known = known
        self._pause_s = pause_s
        self._stop = stop
        self._closed: TransientError | None = None  # why the host is not asked again
        self._last_s: float | None = None

    def ask(self, link: Link, seed: int, per_mirror: int) -> Iterator[LinkState]:
        """Yield the state of a link; for a listing, also those of a sample of its files."""
        scheme = urlsplit(link.url).scheme
        if scheme not in SCHEMES:
            message = f"{scheme}: is not a protocol of sciml-data"
            yield LinkState(link, Outcome.NOT_ASKED, message)
            return
        if link.kind != LISTING:
            yield self._state(link, self._request)
            return
        files: list[Link] = []

        def list_files(listing: Link) -> LinkState:
            files[:] = self._listed(listing, seed, per_mirror)
            return LinkState(listing, Outcome.OK)

        yield self._state(link, list_files if link.has_s3_tags else self._request)
        yield from (self._state(file, self._request) for file in files)

    def _state(self, link: Link, request: Callable[[Link], LinkState]) -> LinkState:
        """Return the state of a link, after further tries if the server is busy."""
        if self._closed is not None:
            return _failed(link, self._closed, f" {NOT_AGAIN}")
        for tries in range(1, TRIES + 1):
            try:
                return request(link)
            except TransientError as error:
                after_s = error.retry_after_s or 0.0
                is_long = after_s > self._retry.max_retry_after_s
                if tries < (SILENT_TRIES if error.is_unreachable else TRIES) and not is_long:
                    self._wait(self._retry.wait_s(tries, error))
                    continue
                if is_long or error.is_unreachable:
                    self._closed = error
                wanted = f"; it asks to wait {after_s:.0f} s" if after_s else ""
                return _failed(link, error, wanted)
            except SourceError as error:
                return _failed(link, error)
            except UNREADABLE as error:
                return _failed(link, unreadable(error))
        raise AssertionError("the last try returns")

    def _request(self, link: Link) -> LinkState:
        """Return the state of a link that answers."""
        self._pause()
        source = self._sources.of(link.url)
        # A page may be made anew for each request: its size and tag say nothing.
        is_file = link.kind == FILE
        try:
            body = source.open(link.url, end=1 if is_file else None)
        except RangeRefusedError:  # an empty file has no first byte
            self._pause()
            body = source.open(link.url)
        try:
            first = body.read(READ_BYTES)
            if body.stop == 1:
                body.read(READ_BYTES)  # its end, after which the connection can be used again
        finally:
            body.close()
        if not is_file:
            return _moved_or_ok(link, body)
        if not first and 0 not in {body.size_bytes, link.size_bytes}:
            raise TransientError("no byte came")
        return self._compared(link, body)

    def _compared(self, link: Link, body: Body) -> LinkState:
        tag = (body.tag or "").strip('"')
        size_bytes = None if body.encoding else body.size_bytes
        found = (size_bytes, tag)
        before = self._known.get(link.url)
        reason = ""
        if link.size_bytes is not None and size_bytes not in {None, link.size_bytes}:
            reason = f"{link.size_bytes} bytes expected, {size_bytes} sent"
        elif link.hash and link.has_s3_tags and _is_other_hash(link, tag):
            reason = f"{link.hash} expected, entity tag {tag} sent"
        elif not link.hash and before is not None:
            if None not in (size_bytes, before.size_bytes) and size_bytes != before.size_bytes:
                reason = f"{before.size_bytes} bytes at first, {size_bytes} now"
            elif tag and before.tag and tag != before.tag:
                reason = f"entity tag {before.tag} at first, {tag} now"
            if reason:  # the first size and tag stay the reference
                found = before.size_bytes, before.tag
        if reason:
            return LinkState(link, Outcome.CHANGED, reason, *found, body.moved_to)
        state = _moved_or_ok(link, body)
        return LinkState(link, state.outcome, state.reason, *found, state.moved_to)

    def _listed(self, link: Link, seed: int, per_mirror: int) -> list[Link]:
        """Return links to files of a bucket, chosen from the first page of its listing."""
        self._pause()
        once = RetryPolicy(tries=1, timeouts=self._retry.timeouts)
        source = self._sources.of(link.url)
        files = {f.name: f for f in islice(list_bucket(link.url, source, once), KEYS_PER_PAGE)}
        others = find_others({name: file.size_bytes for name, file in files.items()}, ())
        names = sorted(files.keys() - {*others.left_out, *others.refused})
        if not names:
            raise SourceError("its listing has no file", status=404)
        mirror = Mirror(link.mirror, {"": link.url})
        chosen = sampled(names, mirror, seed, per_mirror)
        return [
            Link(
                FILE,
                mirror.url(name) or "",
                link.owners,
                link.mirror,
                link.path + name,
                files[name].size_bytes,
                has_s3_tags=True,
                sample=len(names) if len(chosen) < len(names) else 0,
            )
            for name in chosen
        ]

    def _pause(self) -> None:
        """Wait until the pause since the last request to the host is over."""
        if self._last_s is not None:
            self._wait(self._last_s + self._pause_s - time.monotonic())
        self._last_s = time.monotonic()

    def _wait(self, seconds: float) -> None:
        (self._retry.pause or self._stop.wait)(max(seconds, 0.0))
        if self._stop.is_set():
            raise SourceError("stopped")


def _moved_or_ok(link: Link, body: Body) -> LinkState:
    if not body.moved_to:
        return LinkState(link, Outcome.OK)
    parts = urlsplit(body.moved_to)
    # The query of such an address may be a temporary signature.
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return LinkState(link, Outcome.MOVED, f"now at {address}", moved_to=address)


def _is_other_hash(link: Link, tag: str) -> bool:
    """Return whether an entity tag is a hash that can be compared with that of the manifest."""
    kind, _, value = link.hash.partition(":")
    part_bytes = int(value.rpartition(":")[2]) if kind == "s3etag" and ":" in value else None
    sent = etag_hash(tag, link.size_bytes or 0, part_bytes)
    if sent is None:
        return False
    # An upload in other parts has another tag for the same bytes.
    shape = (kind, value.partition("-")[2])
    return (sent.partition(":")[0], sent.partition("-")[2]) == shape and sent != link.hash


def _failed(link: Link, error: SourceError, more: str = "") -> LinkState:
    if error.status in GONE:
        outcome = Outcome.GONE
    elif 400 <= error.status < 500:
        outcome = Outcome.REFUSED
    else:
        outcome = Outcome.UNREACHABLE
    if isinstance(error, TransientError) and error.is_busy:  # 429 and 503: fewer requests, please
        outcome = Outcome.REFUSED
    return LinkState(link, outcome, error.message + more)
