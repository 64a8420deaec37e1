"""Progress and messages of long work: callbacks, log lines, bars, and quantities for people.

Functions that take long have two callbacks, `log` and `progress`. Without `log`, a line goes to the
logger of the module, at level INFO; details go there at level DEBUG. All loggers are below
`sciml_data`, and print nothing until a program sets logging up:

    logging.basicConfig(level=logging.INFO)

Without `progress`, a line a minute says how far the work is.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import TextIO

# Gets one line of text, without a line break, for the user to read.
Log = Callable[[str], None]
# Gets (bytes done, total bytes). Several threads call it, but never two at once.
Progress = Callable[[int, int], None]
# None: lines of the log; True: a bar on the terminal or in the notebook; False: nothing.
ProgressOption = Progress | bool | None
LINE_EVERY_S = 60.0  # a batch job of a day then logs at most 1,440 lines

logging.getLogger("sciml_data").addHandler(logging.NullHandler())


class Meter:
    """Counts the bytes of one run and reports them to a progress callback."""

    def __init__(self, total_bytes: int, progress: Progress | None) -> None:
        """Start at zero of `total_bytes`; without a callback, nothing is counted."""
        self._total_bytes = total_bytes
        self._done_bytes = 0
        self._progress = progress
        # Held during the callback as well: progress bars are not thread-safe, and the counts
        # must reach them in order.
        self._lock = threading.Lock()

    def advance(self, size_bytes: int) -> None:
        """Add bytes; a negative number takes them back when a file has to start again."""
        if self._progress is None or size_bytes == 0:
            return
        with self._lock:
            self._done_bytes += size_bytes
            self._progress(self._done_bytes, self._total_bytes)


def format_bytes(size_bytes: int) -> str:
    """Return a size as people read it, in powers of 1000: `17 bytes`, `86.3 MB`, `4.9 TB`."""
    size = float(size_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return counted(round(size), "byte") if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number of things in words: `1 file`, `2,000 files`, `3 entries`.

    Args:
        number: of things.
        noun: its singular.
        plural: of the noun; default: with an `s`.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def format_duration(seconds: float) -> str:
    """Return a duration as people say it, with two units at most: `9 s`, `1 h 40 min`."""
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    if round(seconds) < 120:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours / 24:.1f} days".replace(".0 days", " days")


@contextlib.contextmanager
def reporting(
    progress: ProgressOption, activity: str, lines: Progress, *, unit: str = "B"
) -> Iterator[Progress | None]:
    """Yield the callback that reports the progress of a block of work.

    Args:
        progress: a callback, or how to show the progress.
        activity: name of the work, such as `get uno_ccle`, for a bar.
        lines: the callback that logs lines.
        unit: what is counted; "B" is bytes.
    """
    if progress is True:
        with draw_bar(activity, unit=unit) as bar:
            yield bar
    elif progress is False:
        yield None
    elif progress is None and isinstance(lines, ByteLines):
        with repeated(lines):
            yield lines
    else:
        yield progress or lines


@contextlib.contextmanager
def draw_bar(activity: str, *, unit: str = "B", file: TextIO | None = None) -> Iterator[Progress]:
    """Yield a `progress` callback that draws a bar: in a notebook, or on standard error.

    Args:
        activity: text before the bar.
        unit: what is counted; "B" is bytes, which are printed in MB and GB.
        file: stream of the terminal. None chooses between a notebook and standard error.
    """
    kind = importlib.import_module("tqdm.auto" if file is None else "tqdm.std").tqdm
    with kind(desc=activity, unit=unit, unit_scale=unit == "B", file=file) as bar:

        def show(done: int, total: int) -> None:
            if bar.total != total:  # another stage begins
                bar.reset(total)
            bar.update(done - bar.n)

        yield show


class ByteLines:
    """A `progress` callback that logs done, total, rate and time left at intervals.

    The rate is measured since the previous line. A stage that ends before its first line is due
    logs nothing.
    """

    def __init__(
        self, activity: str, log: Log, *, every_s: float, clock: Callable[[], float]
    ) -> None:
        """Begin; see `byte_lines`."""
        self.every_s = every_s
        self._activity, self._log, self._clock = activity, log, clock
        self._done = self._logged = 0
        self._total: int | None = None
        self._logged_s = clock()
        self._lock = threading.Lock()  # `repeat` is called from another thread

    def __call__(self, done_bytes: int, total_bytes: int) -> None:
        """Log a line if it is due."""
        with self._lock:
            now_s = self._clock()
            if total_bytes != self._total:  # another stage begins
                self._logged_s, self._logged, self._total = now_s, done_bytes, total_bytes
            self._done = done_bytes
            self._log_if_due(now_s)

    def repeat(self) -> None:
        """Log a line if it is due, although nothing was reported: a reader sees work go on."""
        with self._lock:
            self._log_if_due(self._clock())

    def _log_if_due(self, now_s: float) -> None:
        seconds = now_s - self._logged_s
        if self._total is None or seconds < self.every_s:
            return
        rate = max(self._done - self._logged, 0) / seconds
        state = f"no new bytes for {_clock_time(seconds)}"
        if rate:
            left = _clock_time((self._total - self._done) / rate)
            state = f"{format_bytes(round(rate))}/s, {left} left"
        done, total = format_bytes(self._done), format_bytes(self._total)
        self._log(f"{self._activity}: {done} of {total}, {state}")
        self._logged_s, self._logged = now_s, self._done


def byte_lines(
    activity: str,
    log: Log,
    *,
    every_s: float = LINE_EVERY_S,
    clock: Callable[[], float] = time.monotonic,
) -> ByteLines:
    """Return a `progress` callback that logs done, total, rate and time left at intervals.

    Args:
        activity: start of each line.
        log: gets a line.
        every_s: least time between lines, in seconds.
        clock: monotonic clock, in seconds.
    """
    return ByteLines(activity, log, every_s=every_s, clock=clock)


@contextlib.contextmanager
def repeated(lines: ByteLines) -> Iterator[ByteLines]:
    """Log a line at intervals during the block, also while the work reports nothing.

    A conversion reports whole files only, and a file can take many minutes.
    """
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(lines.every_s):
            lines.repeat()

    # A daemon: Ctrl-C does not wait for it.
    thread = threading.Thread(target=tick, name="progress lines", daemon=True)
    thread.start()
    try:
        yield lines
    finally:
        ended.set()


@contextlib.contextmanager
def minute_lines(
    log: Log, activity: Callable[[], str], *, every_s: float = LINE_EVERY_S
) -> Iterator[Log]:
    """Yield a `log`, and log that the work goes on where nothing else was logged for a while.

    Args:
        log: gets the lines.
        activity: returns what is being done, such as `training, epoch 3 of 20`.
        every_s: seconds without a line, after which one is logged.
    """
    started = last = time.monotonic()
    ended = threading.Event()

    def logged(line: str) -> None:
        nonlocal last
        last = time.monotonic()
        log(line)

    def tick() -> None:
        while not ended.wait(max(last + every_s - time.monotonic(), 0.0)):
            # A line may have been logged while this thread waited.
            if time.monotonic() - last >= every_s:
                logged(f"{activity()}, {format_duration(time.monotonic() - started)} so far")

    # A daemon: Ctrl-C does not wait for it.
    thread = threading.Thread(target=tick, name="minute lines", daemon=True)
    thread.start()
    try:
        yield logged
    finally:
        ended.set()


def _clock_time(seconds: float) -> str:
    """Return `1:02:03`, or `2:03` below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
