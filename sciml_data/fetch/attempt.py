"""One file from one URL, asked as often as patience allows."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass

from sciml_data.errors import FetchError
from sciml_data.fetch.checksum import short
from sciml_data.fetch.meter import Meter
from sciml_data.fetch.mirrors import Mirrors, WrongBytesError
from sciml_data.fetch.part import Part
from sciml_data.fetch.receipt import Receipt
from sciml_data.home import DatasetFolder
from sciml_data.manifest import READ_BLOCK_BYTES
from sciml_data.sources import Body, RangeRefusedError, Sources, TransientError
from sciml_data.sources.patience import Patience
from sciml_data.stages import PlannedFile

SILENT_TRIES = 2  # of a mirror where nobody ever answered: there may be no network at all


class StoppedError(FetchError):
    """The run ends, for a reason that another thread has."""


@dataclass(frozen=True)
class Run:
    """What all transfers of a run share."""

    folder: DatasetFolder
    sources: Sources
    mirrors: Mirrors
    patience: Patience
    receipt: Receipt
    meter: Meter
    stop: threading.Event

    def wait(self, seconds: float) -> None:
        """Wait, unless the run is stopped meanwhile."""
        (self.patience.pause or self.stop.wait)(seconds)
        if self.stop.is_set():
            raise StoppedError("the run was stopped")


class Attempt:
    """The requests for one file to one URL of a mirror."""

    def __init__(self, url: str, file: PlannedFile, *, mirror: str, part: Part, run: Run) -> None:
        """Start from what the part has already, which may be of another run or mirror."""
        self._url = url
        self._file = file
        self._mirror = mirror
        self._part = part
        self._run = run
        self._tag: str | None = None  # of the answer that the part's bytes came from
        self._is_own = part.received_bytes == 0  # whether all of them came from this URL
        self._most_bytes = part.received_bytes
        self._tries = 0

    def until_right(self) -> None:
        """Return once the part has the hash that the manifest says.

        Raises:
            SourceError: this URL does not give the file.
            StoppedError: the run is stopped.
            OSError: the disk refuses.
        """
        while True:
            try:
                return self._once()
            except WrongBytesError as error:
                if self._is_own or not error.is_in_part:
                    self._run.mirrors.lied(self._mirror, self._file.path, error)
                    raise
                self._is_own = True  # nothing is left of the other's bytes: a fair second try
            except RangeRefusedError:
                if self._part.received_bytes == 0:
                    raise
                self._restart()
            except TransientError as error:
                if not error.is_unreachable:
                    self._run.mirrors.answered(self._mirror)
                self._count(error)
                self._run.wait(self._run.patience.wait_s(self._tries, error))

    def _once(self) -> None:
        if self._part.received_bytes < self._file.size_bytes:
            source = self._run.sources.of(self._url)
            body = source.open(self._url, start=self._part.received_bytes, tag=self._tag)
            with contextlib.closing(body):
                self._run.mirrors.answered(self._mirror)
                self._receive(body)
        found = self._part.found_hash
        if found != self._file.hash:
            self._set_aside()
            raise WrongBytesError(
                f"{short(self._file.hash or '')} expected, {short(found)} found; "
                "what came is in quarantine",
                is_in_part=True,
            )

    def _receive(self, body: Body) -> None:
        expected = self._file.size_bytes
        if body.size_bytes not in {None, expected}:
            raise WrongBytesError(
                f"it has {body.size_bytes} bytes, {expected} expected", is_in_part=False
            )
        if body.start != self._part.received_bytes:
            self._restart()
        self._tag = body.tag
        pace = _Pace(self._run.patience)
        while block := body.read(READ_BLOCK_BYTES):
            if self._run.stop.is_set():
                raise StoppedError("the run was stopped")
            if self._part.received_bytes + len(block) > expected:
                self._set_aside()
                raise WrongBytesError(f"more than {expected} bytes were sent", is_in_part=True)
            self._part.write(block)
            self._run.meter.moved(len(block))
            pace.hold(len(block))
        if self._part.received_bytes < expected:
            raise TransientError(
                f"the answer ended after {self._part.received_bytes} of {expected} bytes"
            )

    def _count(self, error: TransientError) -> None:
        """Count a try, from one again where it brought a block more than any try before."""
        if self._part.received_bytes >= self._most_bytes + READ_BLOCK_BYTES:
            self._tries = 0
        self._most_bytes = max(self._most_bytes, self._part.received_bytes)
        self._tries += 1
        limit = self._run.patience.tries
        if error.is_unreachable and not self._run.mirrors.has_answered(self._mirror):
            limit = min(limit, SILENT_TRIES)
        if self._tries >= limit:
            raise error

    def _restart(self) -> None:
        self._run.meter.moved(-self._part.received_bytes)
        self._part.restart()
        self._tag = None
        self._is_own = True

    def _set_aside(self) -> None:
        self._run.meter.moved(-self._part.received_bytes)
        self._part.set_aside()
        self._tag = None


class _Pace:
    """Tells an answer that drips from one that flows."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._since = time.monotonic()
        self._moved_bytes = 0

    def hold(self, size_bytes: int) -> None:
        """Count bytes; raise TransientError if too few came in the time of a read timeout."""
        self._moved_bytes += size_bytes
        elapsed_s = time.monotonic() - self._since
        if elapsed_s < self._patience.timeouts.read_s:
            return
        if self._moved_bytes < self._patience.slowest_bytes_per_s * elapsed_s:
            raise TransientError(f"only {self._moved_bytes} bytes came in {elapsed_s:.3g} s")
        self._since, self._moved_bytes = time.monotonic(), 0
