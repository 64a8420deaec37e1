"""Who downloads what: workers take whole files, and then help with large ones.

The first worker of a large file, its owner, asks for all of it in one request. When another worker
has no file left to begin, the bytes that the owner has not reached are split into ranges, and both
take these in order, so that the hash can follow the bytes. A helper owns no file. Owners therefore
wait for helpers, but helpers never wait for anybody: there is no deadlock.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sciml_data.registry.stages import PlannedFile
from sciml_data.transfer.download.partial_file import Span, split_span
from sciml_data.transfer.protocols.retry import RetryPolicy
from sciml_data.transfer.protocols.source import TransientError

# Failures of helpers before the owner of a file continues alone: slower, but it works with servers
# that cannot serve several ranges at once.
MAX_FAILURES = 3


@dataclass
class ByteRange:
    """Bytes that one worker downloads; `start` moves on as they arrive."""

    start: int
    stop: int


class WorkerPool:
    """The tasks of all workers: files to begin, and large files that accept helpers.

    Attributes:
        changed: guards the pool and all its shared downloads. One condition for all of them,
            because an idle worker waits for ranges of any file, or for the end of the last one.
    """

    def __init__(self, files: Iterable[PlannedFile], stop: threading.Event) -> None:
        """Take the files in the order in which to begin them."""
        self._files = deque(files)
        self._stop = stop
        self._begun = 0  # files that are being downloaded
        self._idle = 0  # workers that wait for a task
        self._shared: list[SharedDownload] = []
        self.changed = threading.Condition()

    @property
    def has_idle(self) -> bool:
        """Return whether a worker waits for a task."""
        return self._idle > 0

    def next(self) -> PlannedFile | RangeTask | None:
        """Return the next task, and wait until there is one; None ends the worker."""
        with self.changed:
            while not self._stop.is_set():
                # Whole files first: they need no second request, and no helper.
                if self._files:
                    self._begun += 1
                    return self._files.popleft()
                # Then the download with the most bytes left, which would be the last to end.
                for shared in sorted(self._shared, key=SharedDownload.left_bytes, reverse=True):
                    if (task := shared.next_task()) is not None:
                        return task
                if self._begun == 0:
                    break  # nobody is downloading, so nothing to help with will come
                self._idle += 1
                self.changed.wait()
                self._idle -= 1
            self.changed.notify_all()  # the others see that all is done, too
            return None

    def finished(self) -> None:
        """Count a begun file as finished."""
        with self.changed:
            self._begun -= 1
            self.changed.notify_all()

    def wake(self) -> None:
        """Wake up all waiting workers, to see that the run is stopped."""
        with self.changed:
            self.changed.notify_all()

    def offer(self, shared: SharedDownload) -> None:
        """Let idle workers help with a download."""
        with self.changed:
            if shared not in self._shared:
                self._shared.append(shared)
                self.changed.notify_all()

    def withdraw(self, shared: SharedDownload) -> None:
        """Send no more helpers to a download."""
        with self.changed:
            if shared in self._shared:
                self._shared.remove(shared)


class SharedDownload:
    """One large file from one address: its owner, its helpers, and the spans nobody has begun.

    All fields are guarded by the condition of the pool.

    Attributes:
        is_over: whether helpers have to stop.
    """

    def __init__(
        self,
        pool: WorkerPool,
        spans: Sequence[Span],
        range_bytes: int,
        help_download: Callable[[ByteRange], int],
    ) -> None:
        """Take what is missing of a file.

        Args:
            pool: has the workers that may help.
            spans: the missing bytes.
            range_bytes: size of the ranges for helpers.
            help_download: downloads a range as a helper, and returns how many failures that was.
        """
        self._pool = pool
        self._todo = deque(spans)
        self._range_bytes = range_bytes
        self._help_download = help_download
        self._is_split = False  # whether the owner, too, takes single ranges
        self._own: ByteRange | None = None
        self._helpers = 0
        self._failures = 0
        self.is_over = False

    def download_all(self, download: Callable[[ByteRange], None], *, is_alone: bool) -> None:
        """Download all spans, as the owner; all helpers have left when this returns.

        Args:
            download: downloads a range.
            is_alone: whether to refuse helpers, because the server gives no ranges.

        Raises:
            SourceError: the owner's own request failed.
        """
        self._failures = MAX_FAILURES if is_alone else 0
        try:
            while (byte_range := self._next_own()) is not None:
                try:
                    download(byte_range)
                finally:
                    with self._pool.changed:
                        self._own = None
                        self._put_back(byte_range)
        finally:
            self._dismiss_helpers()

    def accept_helpers(self) -> None:
        """Let idle workers help: the server answers and may support range requests."""
        if self._failures < MAX_FAILURES:
            self._pool.offer(self)

    def continue_alone(self, byte_range: ByteRange, stop: int) -> None:
        """Extend the owner's range to the end of the file: the server ignores ranges."""
        with self._pool.changed:
            self._failures = MAX_FAILURES
            self._todo.clear()
            byte_range.stop = stop

    def advance(self, byte_range: ByteRange, size_bytes: int) -> int:
        """Move the start of a range on, and return how many of the bytes belong to it.

        The end of the owner's range may have moved closer meanwhile, when the rest was split.
        """
        with self._pool.changed:
            taken = max(min(size_bytes, byte_range.stop - byte_range.start), 0)
            byte_range.start += taken
            return taken

    def left_bytes(self) -> int:
        """Return the number of bytes that helpers could take."""
        own = 0 if self._own is None or self._is_split else self._own.stop - self._own.start
        return own + sum(stop - start for start, stop in self._todo)

    def next_task(self) -> RangeTask | None:
        """Return a range for a helper, or None; the caller holds the pool's condition."""
        if self.is_over or self._failures >= MAX_FAILURES:
            return None
        if not self._todo and not self._is_split and self._own is not None:
            self._split(self._own)
        if not self._todo:
            return None
        self._helpers += 1
        return RangeTask(self, self._next_range())

    def help_with(self, byte_range: ByteRange) -> None:
        """Download a range as a helper; bytes that did not arrive are put back."""
        failures = MAX_FAILURES  # if `help_download` raises
        try:
            failures = self._help_download(byte_range)
        finally:
            with self._pool.changed:
                self._helpers -= 1
                self._failures += failures
                self._put_back(byte_range)
                if self._failures >= MAX_FAILURES:
                    self._rejoin()
                self._pool.changed.notify_all()

    def _next_own(self) -> ByteRange | None:
        """Return the owner's next range; None when the file is complete.

        A helper that fails puts its range back, so the owner waits for all of them.
        """
        with self._pool.changed:
            while not self._todo and self._helpers:
                self._pool.changed.wait()
            if not self._todo:
                return None
            # Alone, the owner takes a whole span with one request. With helpers around, or idle
            # workers who will be, it takes one range, as they do.
            if self._failures >= MAX_FAILURES:
                self._own = ByteRange(*self._todo.popleft())
            elif self._is_split or self._pool.has_idle:
                self._is_split = True
                self._own = self._next_range()
            else:
                self._own = ByteRange(*self._todo.popleft())
            return self._own

    def _next_range(self) -> ByteRange:
        ranges = split_span(self._todo.popleft(), self._range_bytes)
        first = next(ranges)
        if rest := list(ranges):
            self._todo.appendleft((rest[0][0], rest[-1][1]))
        return ByteRange(*first)

    def _put_back(self, byte_range: ByteRange) -> None:
        if byte_range.start < byte_range.stop:
            # In front: the hash needs the first missing bytes first.
            self._todo.appendleft((byte_range.start, byte_range.stop))

    def _split(self, own: ByteRange) -> None:
        """Leave the owner its present range and the next one; the rest is for helpers.

        Two ranges, because the owner's request is open to the end of the file: it is used a little
        longer before it has to be closed.
        """
        stop = (own.start // self._range_bytes + 2) * self._range_bytes
        if stop < own.stop:
            self._todo.append((stop, own.stop))
            own.stop = stop
            self._is_split = True

    def _rejoin(self) -> None:
        """Give split-off spans back to the owner, as far as they continue its own range."""
        while self._own is not None and self._todo and self._todo[0][0] == self._own.stop:
            self._own.stop = self._todo.popleft()[1]

    def _dismiss_helpers(self) -> None:
        """Stop the helpers and wait for them: the owner may close or restart the file next."""
        self.is_over = True
        self._pool.withdraw(self)
        with self._pool.changed:
            while self._helpers:
                self._pool.changed.wait()


@dataclass(frozen=True)
class RangeTask:
    """A range of a file that another worker owns."""

    shared: SharedDownload
    byte_range: ByteRange

    def run(self) -> None:
        """Download the range."""
        self.shared.help_with(self.byte_range)


class SpeedCheck:
    """Raises an error when an answer is so slow that a new request is better.

    A read timeout alone does not notice a server that sends a byte now and then.
    """

    def __init__(self, retry: RetryPolicy) -> None:
        """Begin to count."""
        self._retry = retry
        self._since = time.monotonic()
        self._count_bytes = 0

    def add(self, size_bytes: int) -> None:
        """Count bytes; raise TransientError if too few arrived during one read timeout."""
        self._count_bytes += size_bytes
        elapsed_s = time.monotonic() - self._since
        if elapsed_s < self._retry.timeouts.read_s:
            return
        if self._count_bytes < self._retry.min_bytes_per_s * elapsed_s:
            raise TransientError(f"only {self._count_bytes} bytes came in {elapsed_s:.3g} s")
        self._since, self._count_bytes = time.monotonic(), 0
