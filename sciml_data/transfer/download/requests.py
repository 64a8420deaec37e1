"""The requests to one URL for the bytes of one file; several workers ask through one object."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from dataclasses import dataclass

from sciml_data.registry.stages import PlannedFile
from sciml_data.transfer.download.crew import MOST_MISSES, Extent, Team
from sciml_data.transfer.download.mirrors import WrongBytesError
from sciml_data.transfer.download.part import Part, is_held
from sciml_data.transfer.download.ranges import MIB
from sciml_data.transfer.download.run import Run, StoppedError
from sciml_data.transfer.protocols.retry import RetryPolicy
from sciml_data.transfer.protocols.source import Body, SourceError, TransientError

READ_BYTES = MIB  # at most at once from a connection; what has arrived is taken
NOTE_BYTES = 4 * MIB  # of one request, between notes: what a kill may lose of each
SILENT_TRIES = 2  # of a mirror where nobody ever answered: there may be no network at all
S3_TAG = re.compile(r'"([0-9a-f]{32}(?:-[0-9]+)?)"')


class ChangedError(SourceError):
    """The answer is not of the state of the file that the bytes so far are of."""


@dataclass(frozen=True)
class Address:
    """Where a file is asked for; `is_last` where no other mirror is left to ask."""

    url: str
    mirror: str
    is_last: bool


class Requests:
    """What is asked of an address; made and restarted by one thread, the owner's.

    Attributes:
        team: those who bring a large file together, while they do; None for a small one.
    """

    def __init__(self, address: Address, file: PlannedFile, part: Part, run: Run) -> None:
        """Take where to ask, and where the bytes go."""
        self._address = address
        self._file = file
        self._part = part
        self._run = run
        self._gate = run.mirrors.gate(address.mirror)
        self._owner = threading.get_ident()
        # Of the answer that the part's bytes came from; where a hash is known, that decides.
        self._tag: str | None = None if is_held(file) else part.tag
        self.team: Team | None = None

    def bring(self, extent: Extent) -> None:
        """Ask for what an extent lacks until it is there; what came before an error stays."""
        while extent.at < extent.stop:
            entered = self._gate.enter(self._check_stop)
            refusal = None
            try:
                self._ask(extent)
            except SourceError as error:
                refusal = self._note(error)
                raise
            finally:
                self._gate.leave(entered, is_refused=refusal is not None)
                if refusal is not None:
                    self._wait_for_all(refusal)

    def help(self, extent: Extent) -> int:
        """Bring an extent as a helper, and return how much of a failure that was."""
        try:
            self.bring(extent)
        except TransientError as error:
            return 0 if error.is_refusal and not self.is_refused_for_good(error) else 1
        except StoppedError:
            return 0
        except (SourceError, OSError):  # the owner will meet it, too, and tells it
            return MOST_MISSES
        return 0

    def is_refused_for_good(self, error: TransientError) -> bool:
        """Return whether the mirror refused so often, without an answer, that it is left."""
        most = self._run.retry.last_tries if self._address.is_last else self._run.retry.tries
        if error.is_unreachable and not self._run.mirrors.has_answered(self._address.mirror):
            most = min(most, SILENT_TRIES)
        return self._gate.refused_rounds >= most

    def restart(self) -> None:
        """Forget all bytes; nobody else may be asking."""
        self._run.meter.advance(-self._part.received_bytes)
        self._part.restart()
        self._tag = None

    def set_aside(self) -> None:
        """Move all bytes to quarantine; nobody else may be asking."""
        self._run.meter.advance(-self._part.received_bytes)
        self._part.set_aside()
        self._tag = None

    def _ask(self, extent: Extent) -> None:
        """Make one request and take what it brings of an extent."""
        self._check_stop()
        end = extent.stop if extent.stop < self._file.size_bytes else None
        source = self._run.sources.of(self._address.url)
        body = source.open(self._address.url, start=extent.at, end=end, tag=self._tag)
        with contextlib.closing(body):
            self._gate.answered()
            self._run.mirrors.answered(self._address.mirror)
            self._check(body, extent)
            self._receive(body, extent)
        if extent.at < extent.stop and extent.at != body.stop:
            raise TransientError(
                f"the answer ended after {extent.at} of {self._file.size_bytes} bytes"
            )

    def _check(self, body: Body, extent: Extent) -> None:
        """Hold what an answer says of itself against what is expected."""
        expected = self._file.size_bytes
        if body.size_bytes not in {None, expected}:
            wrong = f"it has {body.size_bytes} bytes, {expected} expected"
            raise WrongBytesError(wrong, is_in_part=False)
        self._check_listed(body.tag)
        if body.start != extent.at or (self._tag is not None and body.tag != self._tag):
            if self.team is not None or body.start != 0:
                raise ChangedError("it changed meanwhile, or ranges of it are not given")
            self.restart()
            extent.at = 0
        if self._tag is None and body.tag is not None:
            self._tag = body.tag
            self._part.note_tag(body.tag)
        if self.team is not None:
            self._check_end(self.team, body, extent)

    def _check_end(self, team: Team, body: Body, extent: Extent) -> None:
        """Let others help where ranges may be had; else take all that is sent."""
        if body.stop is not None and body.stop <= extent.stop:
            if self._tag is not None:
                team.welcome()
        elif threading.get_ident() != self._owner or self._part.received_bytes > extent.at:
            raise ChangedError("ranges of it are not given")
        else:
            team.alone(extent, self._file.size_bytes)

    def _check_listed(self, tag: str | None) -> None:
        """Refuse an object whose ETag is not the one that was listed, where both can be held.

        Another mirror than the listed one may have been filled in parts of another size.
        """
        found = S3_TAG.fullmatch(tag or "")
        listed = (self._file.etag or "").partition(":")[2].partition(":")[0]
        if found is None or not listed or self._file.hash is not None or found[1] == listed:
            return
        if self._address.url == self._file.urls[0] or "-" not in listed + found[1]:
            raise SourceError(
                f"changed since it was listed: ETag {listed} was listed, {found[1]} is sent"
            )

    def _receive(self, body: Body, extent: Extent) -> None:
        pace = _Pace(self._run.retry)
        noted = at = extent.at
        try:
            while at < extent.stop and (block := body.read(READ_BYTES)):
                self._check_stop()
                fitting = block[: self._advance(extent, len(block))]
                self._part.write(at, fitting)
                at += len(fitting)
                self._run.meter.advance(len(fitting))
                pace.hold(len(block))
                if at - noted >= NOTE_BYTES:
                    self._note_bytes(noted, at)
                    noted = at
        finally:
            extent.at = at
            self._note_bytes(noted, at)
        if body.size_bytes is None and at == self._file.size_bytes and body.read(1):
            raise WrongBytesError(f"more than {at} bytes were sent", is_in_part=True)

    def _note_bytes(self, start: int, stop: int) -> None:
        """Note what is written, and let the disk have it before the last flush has to wait."""
        if self._part.note(start, stop):
            self._run.publisher.start_flush(self._part.path)

    def _advance(self, extent: Extent, size_bytes: int) -> int:
        """Count bytes as taken, and return how many of them belong to an extent."""
        if self.team is not None:
            return self.team.advance(extent, size_bytes)
        return min(size_bytes, extent.stop - extent.at)

    def _check_stop(self) -> None:
        self._run.check_stop()
        is_over = self.team is None or self.team.is_over
        if is_over and threading.get_ident() != self._owner:
            raise StoppedError("the owner of the file brings it no more")

    def _note(self, error: SourceError) -> TransientError | None:
        """Return an error that is a refusal; any other is an answer like a file."""
        refusal = error if isinstance(error, TransientError) and error.is_refusal else None
        if refusal is None or not refusal.is_unreachable:
            self._run.mirrors.answered(self._address.mirror)
        if refusal is None:
            self._gate.answered()
        return refusal

    def _wait_for_all(self, error: TransientError) -> None:
        """After a refusal, wait for all who ask this mirror, if this thread is the one to."""

        def wait() -> None:
            if not self.is_refused_for_good(error):
                self._run.wait(self._run.retry.wait_s(self._gate.refused_rounds, error))

        self._gate.hold(wait)


class _Pace:
    """Tells an answer that drips from one that flows."""

    def __init__(self, retry: RetryPolicy) -> None:
        self._retry = retry
        self._since = time.monotonic()
        self._moved_bytes = 0

    def hold(self, size_bytes: int) -> None:
        """Count bytes; raise TransientError if too few came in the time of a read timeout."""
        self._moved_bytes += size_bytes
        elapsed_s = time.monotonic() - self._since
        if elapsed_s < self._retry.timeouts.read_s:
            return
        if self._moved_bytes < self._retry.slowest_bytes_per_s * elapsed_s:
            raise TransientError(f"only {self._moved_bytes} bytes came in {elapsed_s:.3g} s")
        self._since, self._moved_bytes = time.monotonic(), 0
