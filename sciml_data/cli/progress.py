"""A bar of bytes on stderr, with rate and time left; none where stderr is no terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def byte_bar(doing: str) -> Iterator[Callable[[int, int], None] | None]:
    """Yield what `fetch` and `verify` take as `progress`, or None where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    import tqdm

    with tqdm.tqdm(desc=doing, unit="B", unit_scale=True, file=sys.stderr, disable=None) as bar:

        def show(done_bytes: int, total_bytes: int) -> None:
            if bar.total != total_bytes:  # another stage begins
                bar.reset(total_bytes)
            bar.update(done_bytes - bar.n)

        yield show
