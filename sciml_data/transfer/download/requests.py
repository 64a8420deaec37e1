"""Requests to mirrors: how many at once, what is known of each mirror, and what an answer must be.

Read from top to bottom: `RateLimiter` (one for each mirror), `Mirrors` (all mirrors of a call of
`fetch`), `FetchContext` (what all downloads of the call share), and `Requests` (the requests for
one file to one URL).
"""

from __future__ import annotations

import contextlib
import logging
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sciml_data.errors import FetchError
from sciml_data.home import DatasetFolder
from sciml_data.progress import Log, Meter
from sciml_data.registry.stages import PlannedFile
from sciml_data.transfer.download.local_files import Publisher
from sciml_data.transfer.download.partial_file import MIB, PartialFile, is_verifiable
from sciml_data.transfer.download.workers import (
    MAX_FAILURES,
    ByteRange,
    SharedDownload,
    SpeedCheck,
    WorkerPool,
)
from sciml_data.transfer.protocols.mirrors import MirrorNames, Sources
from sciml_data.transfer.protocols.retry import SILENT_TRIES, RetryPolicy
from sciml_data.transfer.protocols.source import (
    UNREADABLE,
    Body,
    SourceError,
    TransientError,
    unreadable,
)

logger = logging.getLogger(__name__)

# Share of requests that may be queued anywhere, also before those that wait already.
ANYWHERE_SHARE = 0.25
STOP_CHECK_S = 0.5  # interval at which a queued request checks whether the run is stopped
# Wrong files from one mirror before it is not asked again in this run: one may be damaged by
# chance, three mean that the mirror has other files.
MAX_WRONG_FILES = 3
LEAST_BYTES = MIB  # of an answer that a server cuts short, for another request to follow at once
# Most bytes to read from a connection at once. Of 128, 256 and 1,024 KiB, this took the least
# processor time for 4 files of 500 MB (3.6, 3.1, 4.0 s): they are hashed and written while they are
# in the processor's cache.
READ_BYTES = 256 << 10
JOURNAL_BYTES = 4 * MIB  # of one request between journal entries: what a kill can lose of each
S3_TAG = re.compile(r'"([0-9a-f]{32}(?:-[0-9]+)?)"')


class StoppedError(FetchError):
    """The run is stopped, for a reason that another thread reports."""


class WrongBytesError(SourceError):
    """A mirror sent other content than the manifest says.

    Attributes:
        is_in_file: whether wrong bytes were written; if not, the headers were wrong already.
    """

    def __init__(self, message: str, *, is_in_file: bool) -> None:
        """Store whether wrong bytes were written."""
        super().__init__(message)
        self.is_in_file = is_in_file


class ChangedError(SourceError):
    """The answer does not continue the bytes that are here: the file changed, or no ranges."""


class RateLimiter:
    """Limits the requests to one mirror at once; safe to use from several threads.

    A mirror refuses when it answers 503 or 429, or does not answer at all. Then all workers leave
    it alone: the first one that was refused waits for all, the others wait for it. Refusals of
    requests that were open at the same time count as one round. Each round halves the number of
    requests at once, and each answer raises it a little (additive increase, multiplicative
    decrease, as in TCP).

    Requests wait in a queue, so that a file that is refused again and again does not hold up the
    others. The position is random in the later half of the queue, and now and then in all of it.
    Otherwise a mirror that refuses every n-th request would always refuse the same file.

    Attributes:
        refused_rounds: rounds of refusals since the last answer.
    """

    def __init__(self, max_requests: int, chance: Callable[[], float] = random.random) -> None:
        """Take the most requests at once, and a source of random numbers in [0, 1)."""
        self._chance = chance
        self._max = float(max_requests)
        self._limit = float(max_requests)
        self._open = 0  # requests that have begun and not ended
        self._queue: list[object] = []
        self._round = 0
        self._waiting_thread: int | None = None  # the one that waits for all
        # Guards all fields. Nobody holds it during a request or a wait for the mirror.
        self._changed = threading.Condition()
        self.refused_rounds = 0

    def acquire(self, check_stop: Callable[[], None]) -> int:
        """Wait until a request may begin, and return the current round for `release`.

        Args:
            check_stop: raises an error when the run is stopped; called while waiting.
        """
        ticket = object()
        with self._changed:
            # Only the first in the queue may begin, so that nobody overtakes.
            self._queue.insert(self._random_position(), ticket)
            try:
                while self._queue[0] is not ticket or self._is_closed():
                    check_stop()
                    self._changed.wait(STOP_CHECK_S)
                self._open += 1
                return self._round
            finally:
                self._queue.remove(ticket)
                if self._queue:
                    self._changed.notify_all()  # the next in the queue may begin, too

    def release(self, acquired_round: int, *, is_refused: bool = False) -> None:
        """End a request; after the first refusal of a round, this thread has to wait for all."""
        with self._changed:
            self._open -= 1
            # A request that was acquired before the last refusal belongs to the round of that one,
            # which is counted already.
            if is_refused and acquired_round == self._round and self._waiting_thread is None:
                self._round += 1
                self.refused_rounds += 1
                self._limit = max(self._limit / 2, 1.0)
                self._waiting_thread = threading.get_ident()
            if self._queue:
                self._changed.notify_all()

    def record_answer(self) -> None:
        """Count refusals from zero again, and allow a little more at once."""
        with self._changed:
            self.refused_rounds = 0
            self._limit = min(self._limit + 1 / self._limit, self._max)

    def wait_for_all(self, wait: Callable[[], None]) -> None:
        """Call `wait` if this thread has to wait for all, then let requests begin again."""
        if self._waiting_thread != threading.get_ident():
            return
        try:
            wait()
        finally:
            with self._changed:
                self._waiting_thread = None
                self._changed.notify_all()

    def _random_position(self) -> int:
        length = len(self._queue)
        first = 0 if self._chance() < ANYWHERE_SHARE else (length + 1) // 2
        return first + int(self._chance() * (length + 1 - first))

    def _is_closed(self) -> bool:
        return self._waiting_thread is not None or self._open >= int(self._limit)


class Mirrors:
    """What a call of `fetch` learns about its mirrors; logs each mirror and reason once."""

    def __init__(self, log: Log, jobs: int) -> None:
        """Take the callback for log lines, and the most requests to one mirror at once."""
        self._log = log
        self._jobs = jobs
        # Guards the counts and the set of logged reasons, so that no line is logged twice.
        self._lock = threading.Lock()
        self._limiters: dict[str, RateLimiter] = {}
        self._dropped: dict[str, str] = {}
        self._answered: set[str] = set()
        self._wrong_files: Counter[str] = Counter()
        self._logged: set[tuple[str, str]] = set()
        self._layouts: dict[tuple[str, int], int] = {}

    def limiter(self, mirror: str) -> RateLimiter:
        """Return the rate limiter of a mirror."""
        with self._lock:
            return self._limiters.setdefault(mirror, RateLimiter(self._jobs))

    def dropped_because(self, mirror: str) -> str:
        """Return why a mirror is not asked any more, or an empty string."""
        return self._dropped.get(mirror, "")

    def record_answer(self, mirror: str) -> None:
        """Record that a mirror can be reached."""
        self._answered.add(mirror)

    def has_answered(self, mirror: str) -> bool:
        """Return whether a mirror has answered in this run."""
        return mirror in self._answered

    def sort_urls(self, mirror: str, urls: Sequence[str]) -> list[str]:
        """Return the URLs of a file at one mirror, the most likely first.

        A user's mirror may have one of several layouts. The layout of its last file, known by its
        position among the URLs, is tried first.
        """
        best = self._layouts.get((mirror, len(urls)), 0)
        return [urls[best], *urls[:best], *urls[best + 1 :]]

    def record_success(self, mirror: str, urls: Sequence[str], url: str) -> None:
        """Record the layout of a mirror, for `sort_urls`.

        Args:
            mirror: name of the mirror.
            urls: of a file at this mirror, in the order of the plan.
            url: the one under which the mirror has the file.
        """
        self._layouts[mirror, len(urls)] = urls.index(url)

    def record_wrong_bytes(self, mirror: str, path: str, error: WrongBytesError) -> None:
        """Count a file with wrong content; after several, the mirror is dropped.

        Args:
            mirror: name of the mirror.
            path: of the file.
            error: what was wrong.
        """
        with self._lock:
            self._wrong_files[mirror] += 1
            line = f"mirror {mirror} sent wrong bytes: {path}: {error.message}"
            self._log_once(mirror, "wrong", line)
            if self._wrong_files[mirror] == MAX_WRONG_FILES:
                self._dropped[mirror] = f"it sent wrong bytes {MAX_WRONG_FILES} times"
                line = f"mirror {mirror} is not asked again: {self._dropped[mirror]}"
                self._log_once(mirror, "dropped", line)

    def record_failure(
        self, mirror: str, path: str, error: SourceError, *, is_dropped: bool
    ) -> None:
        """Record that a mirror did not give a file.

        Args:
            mirror: name of the mirror.
            path: of the file.
            error: the reason.
            is_dropped: whether the mirror is not asked for other files either.
        """
        with self._lock:
            line = f"mirror {mirror} failed: {path}: {error.message}"
            self._log_once(mirror, error.message, line)
            if is_dropped:
                self._dropped[mirror] = error.message

    def _log_once(self, mirror: str, reason: str, line: str) -> None:
        if (mirror, reason) not in self._logged:
            self._logged.add((mirror, reason))
            self._log(line)
        else:
            logger.debug(line)


@dataclass(frozen=True)
class FetchContext:
    """What all downloads of one call of `fetch` share.

    Attributes:
        folder: of the dataset.
        sources: open connections, by protocol.
        mirrors: what is known of the mirrors.
        names: of the mirrors in messages.
        retry: timeouts and retries.
        publisher: takes complete files.
        meter: counts the bytes for the progress bar.
        stop: set when all workers have to end.
        workers: the tasks.
        range_bytes: size of the ranges in which several workers download a large file.
        is_unpinned: whether the registry has no hashes, and those of the first fetch count.
    """

    folder: DatasetFolder
    sources: Sources
    mirrors: Mirrors
    names: MirrorNames
    retry: RetryPolicy
    publisher: Publisher
    meter: Meter
    stop: threading.Event
    workers: WorkerPool
    range_bytes: int
    is_unpinned: bool

    def check_stop(self) -> None:
        """Raise StoppedError if the run is stopped."""
        if self.stop.is_set():
            raise StoppedError("the run was stopped")

    def wait(self, seconds: float) -> None:
        """Wait, and raise StoppedError as soon as the run is stopped."""
        logger.debug("waiting %.1f s before the next try", seconds)
        (self.retry.pause or self.stop.wait)(seconds)
        self.check_stop()


@dataclass(frozen=True)
class Address:
    """A URL of a file, its mirror, and whether no other mirror is left to try."""

    url: str
    mirror: str
    is_last: bool


class Requests:
    """The requests for one file to one URL.

    The owner of the file creates and restarts it; helpers use it from their own threads.

    Attributes:
        shared: the download of a large file while helpers may take part; None for a small file.
    """

    def __init__(
        self, address: Address, file: PlannedFile, partial: PartialFile, context: FetchContext
    ) -> None:
        """Take the URL to ask, and where the bytes go."""
        self._address = address
        self._file = file
        self._partial = partial
        self._context = context
        self._limiter = context.mirrors.limiter(address.mirror)
        self._owner = threading.get_ident()
        # Entity tag of the answer that the bytes so far came from. It is needed only where no hash
        # tells whether the bytes of two answers fit together.
        self._tag: str | None = None if is_verifiable(file) else partial.tag
        self._tags: set[str] = set()  # of all answers since the first byte
        self.shared: SharedDownload | None = None

    def download(self, byte_range: ByteRange) -> None:
        """Send requests until a range is complete; after an error, what arrived stays.

        Raises:
            SourceError: a request failed.
            StoppedError: the run is stopped, or the owner needs no help any more.
            OSError: the disk is full or fails.
        """
        while byte_range.start < byte_range.stop:
            acquired_round = self._limiter.acquire(self._check_stop)
            refusal = None
            try:
                self._request(byte_range)
            except SourceError as error:
                refusal = self._refusal(error)
                raise
            finally:
                # Release before the wait: others must see the refusal, and may finish their
                # requests while this thread waits.
                self._limiter.release(acquired_round, is_refused=refusal is not None)
                if refusal is not None:
                    self._wait_for_all(refusal)

    def help_download(self, byte_range: ByteRange) -> int:
        """Download a range as a helper, and return how many failures that was."""
        try:
            self.download(byte_range)
        except TransientError as error:
            return 0 if error.is_refusal and not self.is_refused_for_good(error) else 1
        except StoppedError:
            return 0
        except (SourceError, OSError):  # the owner meets the same error, and reports it
            return MAX_FAILURES
        return 0

    def is_refused_for_good(self, error: TransientError) -> bool:
        """Return whether the mirror is dropped: it refused often, or asks for a long wait."""
        retry = self._context.retry
        if self.is_put_off(error):
            return True
        # With another mirror to try there is no reason to wait long for this one.
        max_rounds = retry.last_tries if self._address.is_last else retry.tries
        if error.is_unreachable and not self._context.mirrors.has_answered(self._address.mirror):
            max_rounds = min(max_rounds, SILENT_TRIES)
        return self._limiter.refused_rounds >= max_rounds

    def is_put_off(self, error: TransientError) -> bool:
        """Return whether the mirror asks for too long a wait, and another one is left."""
        max_s = self._context.retry.max_retry_after_s
        return not self._address.is_last and (error.retry_after_s or 0.0) > max_s

    @property
    def is_mixed(self) -> bool:
        """Return whether the bytes are of answers with different entity tags."""
        return len(self._tags) > 1

    def restart(self) -> None:
        """Discard all bytes; no other thread may be downloading."""
        self._context.meter.advance(-self._partial.received_bytes)
        self._partial.restart()
        self._tag = None
        self._tags.clear()

    def quarantine(self) -> None:
        """Move all bytes to quarantine; no other thread may be downloading."""
        self._context.meter.advance(-self._partial.received_bytes)
        self._partial.quarantine()
        self._tag = None
        self._tags.clear()

    def _request(self, byte_range: ByteRange) -> None:
        """Send one request and write what it brings of a range."""
        self._check_stop()
        start = byte_range.start
        end = byte_range.stop if byte_range.stop < self._file.size_bytes else None
        source = self._context.sources.of(self._address.url)
        # Without the URL, which may contain a password or a signature.
        logger.debug("%s from %s, byte %d on", self._file.path, self._address.mirror, start)
        try:
            body = source.open(self._address.url, start=start, end=end, tag=self._tag)
        except UNREADABLE as error:
            raise unreadable(error) from error
        with contextlib.closing(body):
            self._limiter.record_answer()
            self._context.mirrors.record_answer(self._address.mirror)
            sent = self._without_encoding(body)
            self._check_body(sent, byte_range)
            self._receive(sent, byte_range)
        if sent is not body and byte_range.start < byte_range.stop:
            raise WrongBytesError(
                f"it is sent with Content-Encoding: {body.encoding} and has {byte_range.start} "
                f"bytes when decoded, {self._file.size_bytes} expected",
                is_in_file=True,
            )
        # A server may limit the size of its answers, but not so far that a file takes for ever.
        is_limited = byte_range.start == body.stop and body.stop - start >= LEAST_BYTES
        if byte_range.start < byte_range.stop and not is_limited:
            raise TransientError(
                f"the answer ended after {byte_range.start} of {self._file.size_bytes} bytes"
            )

    def _without_encoding(self, body: Body) -> Body:
        """Return the bytes of the file from an answer that is encoded, though none was requested.

        An answer that has the size of the file is the file: `x.csv.gz` is sent so by some servers,
        and so is an object that was stored with such a header.
        """
        return body if body.size_bytes == self._file.size_bytes else body.decoded()

    def _check_body(self, body: Body, byte_range: ByteRange) -> None:
        """Compare the headers of an answer with what is expected."""
        expected = self._file.size_bytes
        if body.size_bytes not in {None, expected}:
            wrong = f"it has {body.size_bytes} bytes, {expected} expected"
            raise WrongBytesError(wrong, is_in_file=False)
        if body.stop is not None and body.stop > expected:
            wrong = f"it has {body.stop} bytes or more, {expected} expected"
            raise WrongBytesError(wrong, is_in_file=False)
        self._check_listed_tag(body.tag)
        if byte_range.start and self._tag is None and not is_verifiable(self._file):
            raise ChangedError("nothing tells whether it is the same file as in the last answer")
        if body.start != byte_range.start or (self._tag is not None and body.tag != self._tag):
            # The whole file comes instead of a range. A small file starts again with it; of a large
            # one, the owner has to stop its helpers first.
            if self.shared is not None or body.start != 0:
                raise ChangedError("it changed meanwhile, or range requests are not supported")
            self.restart()
            byte_range.start = 0
        self._note_tag(body.tag)
        if self.shared is not None:
            self._check_ranges(self.shared, body, byte_range)

    def _note_tag(self, tag: str | None) -> None:
        """Keep the tag of the bytes, with which the next ones have to agree if there is no hash.

        Nodes of one mirror may have different tags for the same bytes. Where a hash tells whether
        the bytes are right, a tag would only discard right ones.
        """
        if tag is None:
            return
        self._tags.add(tag)
        if self._tag is None and self._file.hash is None:
            self._tag = tag
            self._partial.set_tag(tag)

    def _check_ranges(self, shared: SharedDownload, body: Body, byte_range: ByteRange) -> None:
        """Accept helpers if the server supports ranges; else take the whole file alone."""
        if body.stop is not None and body.stop <= byte_range.stop:
            # Without a hash and a tag, ranges of two states could be mixed.
            if self._tag is not None or self._file.hash is not None:
                shared.accept_helpers()
        elif (
            threading.get_ident() != self._owner or self._partial.received_bytes > byte_range.start
        ):
            raise ChangedError("range requests are not supported")
        else:
            shared.continue_alone(byte_range, self._file.size_bytes)

    def _check_listed_tag(self, tag: str | None) -> None:
        """Refuse an unpinned object whose ETag is not the listed one, if both are comparable.

        The ETag of a multipart upload depends on the part size. Another mirror than the listed one
        may have been filled with another part size, so its multipart ETags say nothing.
        """
        sent = S3_TAG.fullmatch(tag or "")
        listed = (self._file.etag or "").partition(":")[2].partition(":")[0]
        if sent is None or not listed or self._file.hash is not None or sent[1] == listed:
            return
        if self._address.url == self._file.urls[0] or "-" not in listed + sent[1]:
            raise SourceError(
                f"changed since it was listed: ETag {listed} was listed, {sent[1]} is sent"
            )

    def _receive(self, body: Body, byte_range: ByteRange) -> None:
        speed = SpeedCheck(self._context.retry)
        journaled = offset = sent = byte_range.start
        end = self._file.size_bytes if body.stop is None else body.stop
        try:
            while offset < min(byte_range.stop, end) and (block := body.read(READ_BYTES)):
                self._check_stop()
                sent = offset + len(block)
                # The range may have been shortened meanwhile, for a helper.
                block_in_range = block[: self._advance(byte_range, offset, min(sent, end))]
                self._partial.write(offset, block_in_range)
                offset += len(block_in_range)
                self._context.meter.advance(len(block_in_range))
                speed.add(len(block))
                if offset - journaled >= JOURNAL_BYTES:
                    self._mark_written(journaled, offset)
                    journaled = offset
        finally:
            byte_range.start = offset
            self._mark_written(journaled, offset)
        is_whole = body.size_bytes is None and offset == self._file.size_bytes
        if sent > self._file.size_bytes or (is_whole and body.read(1)):
            raise WrongBytesError(
                f"more than {self._file.size_bytes} bytes were sent", is_in_file=True
            )

    def _mark_written(self, start: int, stop: int) -> None:
        """Record written bytes, and start to flush them before the last fsync has to wait."""
        if self._partial.mark_written(start, stop):
            self._context.publisher.start_flush(self._partial.path)

    def _advance(self, byte_range: ByteRange, offset: int, end: int) -> int:
        """Count bytes as received, and return how many of them belong to a range.

        Args:
            byte_range: the range; for a shared download its start moves on.
            offset: of the first byte.
            end: offset after the last byte.
        """
        if self.shared is not None:
            return self.shared.advance(byte_range, end - offset)
        return min(end, byte_range.stop) - offset

    def _check_stop(self) -> None:
        self._context.check_stop()
        is_over = self.shared is None or self.shared.is_over
        if is_over and threading.get_ident() != self._owner:
            raise StoppedError("the owner of the file needs no help any more")

    def _refusal(self, error: SourceError) -> TransientError | None:
        """Return an error if it is a refusal; any other shows that the mirror answers."""
        refusal = error if isinstance(error, TransientError) and error.is_refusal else None
        if refusal is None or not refusal.is_unreachable:
            self._context.mirrors.record_answer(self._address.mirror)
        if refusal is None:
            self._limiter.record_answer()
        return refusal

    def _wait_for_all(self, error: TransientError) -> None:
        """After a refusal, wait for all users of this mirror, if this thread has to."""

        def wait() -> None:
            if not self.is_refused_for_good(error):
                retry = self._context.retry
                self._context.wait(retry.wait_s(self._limiter.refused_rounds, error))

        self._limiter.wait_for_all(wait)
