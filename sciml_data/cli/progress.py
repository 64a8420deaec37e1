"""How far a transfer or a sample is, on stderr: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

LINE_EVERY_S = 60.0  # in the log of a batch job: a day leaves 1,440 lines


@contextlib.contextmanager
def byte_bar(doing: str) -> Iterator[Callable[[int, int], None]]:
    """Yield what `fetch` and `verify` take as `progress`."""
    if not sys.stderr.isatty():
        yield byte_lines(doing, _say)
        return
    import tqdm

    with tqdm.tqdm(desc=doing, unit="B", unit_scale=True, file=sys.stderr, disable=None) as bar:

        def show(done_bytes: int, total_bytes: int) -> None:
            if bar.total != total_bytes:  # another stage begins
                bar.reset(total_bytes)
            bar.update(done_bytes - bar.n)

        yield show


@contextlib.contextmanager
def part_bar(doing: str) -> Iterator[Callable[[int, int], None]]:
    """Yield what `make_sample` takes as `progress`: parts that are done, and all parts."""
    if not sys.stderr.isatty():
        from sciml_data.synthetic.make import progress_lines

        yield progress_lines(doing, _say)
        return
    import tqdm

    with tqdm.tqdm(desc=doing, unit="part", file=sys.stderr, disable=None, leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def byte_lines(
    doing: str,
    say: Callable[[str], None],
    *,
    every_s: float = LINE_EVERY_S,
    clock: Callable[[], float] = time.monotonic,
) -> Callable[[int, int], None]:
    """Return a `progress` that says done, total, rate and time left, not oftener than asked.

    The rate is that since the line before. A stage that is done before the first line is due says
    nothing.

    Args:
        doing: begins each line.
        say: takes a line.
        every_s: seconds between lines.
        clock: seconds that do not go back.
    """
    from sciml_data.progress import format_bytes

    said_at, said_bytes, total = clock(), 0, None

    def show(done_bytes: int, total_bytes: int) -> None:
        nonlocal said_at, said_bytes, total
        now = clock()
        if total_bytes != total:  # another stage begins
            said_at, said_bytes, total = now, 0, total_bytes
        if now - said_at < every_s:
            return
        rate = max(done_bytes - said_bytes, 0) / (now - said_at)
        left = f"{_clock_time((total_bytes - done_bytes) / rate)} left" if rate else "stalled"
        say(
            f"{doing}: {format_bytes(done_bytes)} of {format_bytes(total_bytes)}, "
            f"{format_bytes(round(rate))}/s, {left}"
        )
        said_at, said_bytes = now, done_bytes

    return show


def _clock_time(seconds: float) -> str:
    """Return `1:02:03`, or `2:03` below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _say(sentence: str) -> None:
    import click

    click.echo(sentence, err=True)
