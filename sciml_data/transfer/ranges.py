"""Read ranges of files from mirrors into memory: what streaming needs of a transfer.

`download` brings whole files to the disk and resumes them. A range of a few hundred kilobytes is
simpler: it is read at once, checked, and asked for again if a request fails. Connections, proxies,
credentials, signatures and waits between tries are those of `download`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from sciml_data.errors import FetchError, Problem
from sciml_data.progress import Log
from sciml_data.transfer.protocols.mirrors import Sources
from sciml_data.transfer.protocols.retry import SILENT_TRIES, RetryPolicy
from sciml_data.transfer.protocols.source import (
    UNREADABLE,
    Body,
    SourceError,
    TransientError,
    unreadable,
)

READ_BYTES = 1 << 20  # most bytes to read from a connection at once


class WrongRangeError(SourceError):
    """A mirror sent other bytes than the hash says."""


@dataclass
class RangeReader:
    """Reads ranges of the files below some addresses; several threads may use it.

    A copy in another process, after a fork or by pickle, opens connections of its own.

    Attributes:
        bases: addresses of the folder, in the order to try, each with a slash at the end.
        connections: to keep open to each host.
        retry: timeouts and retries.
        hint: what to type if no mirror gives a range.
        log: gets a line for each mirror and reason that fails, once.
    """

    bases: Sequence[str]
    connections: int
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    hint: str = ""
    log: Log = lambda _: None

    def __post_init__(self) -> None:
        self._start()

    def __getstate__(self) -> dict[str, Any]:
        names = ("bases", "connections", "retry", "hint")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"log": lambda _: None}
        self._start()

    def _start(self) -> None:
        self._sources = Sources(
            connections=self.connections, timeouts=self.retry.timeouts, log=self.log
        )
        self._best = self.bases[0]  # gave the last range
        self._answered: set[str] = set()
        self._logged: set[tuple[str, str]] = set()
        self._lock = threading.Lock()  # guards both sets
        self._process = os.getpid()  # last: other threads then use the new connections

    def read(self, path: str, start: int, stop: int, is_right: Callable[[bytes], bool]) -> bytes:
        """Return a range of a file, from the first mirror that sends the right bytes.

        Args:
            path: of the file, below the addresses.
            start: offset of the first byte.
            stop: offset after the last byte.
            is_right: whether these are the bytes; it compares their hash.

        Raises:
            FetchError: no mirror sent the right bytes; `.problems` has the reason of each.
        """
        if self._process != os.getpid():  # a fork shares sockets with its parent
            self._start()
        problems = []
        order = self._order()
        for position, base in enumerate(order):
            is_last = position == len(order) - 1
            try:
                content = self._ask(base, path, (start, stop), is_right, is_last=is_last)
            except SourceError as error:
                kind = "wrong" if isinstance(error, WrongRangeError) else "failed"
                problems.append(Problem(kind, f"{base}{quote(path)}", error.message))
                if is_last or error.status != HTTPStatus.NOT_FOUND:  # else another layout has it
                    self._log_once(base, path, error.message)
                continue
            self._best = base
            return content
        raise FetchError(
            f"no mirror sent bytes {start} to {stop - 1} of {path}",
            problems=problems,
            untouched="no sample was made of it; chunks in the cache are kept",
            hint=self.hint,
        )

    def close(self) -> None:
        """Close all connections."""
        self._sources.__exit__()

    def _order(self) -> list[str]:
        """Return the addresses to try, that of the last range first.

        A mirror of the user has one of several layouts. When one has given a range, the other
        addresses at the same host are not asked.
        """
        hosts = {urlsplit(base).netloc for base in self._answered}
        others = [
            base
            for base in self.bases
            if base in self._answered or urlsplit(base).netloc not in hosts
        ]
        return list(dict.fromkeys([self._best, *others]))

    def _ask(
        self,
        base: str,
        path: str,
        span: tuple[int, int],
        is_right: Callable[[bytes], bool],
        *,
        is_last: bool,
    ) -> bytes:
        """Return a range from one mirror; ask again while it fails and may succeed."""
        tries = 0
        while True:
            try:
                content = self._request(base + quote(path), *span)
                with self._lock:
                    self._answered = {*self._answered, base}
                if is_right(content):
                    return content
                # Bytes that a wire or a proxy damaged come right at the second time.
                if tries:
                    raise WrongRangeError("it sent bytes with another hash than the index says")
                tries += 1
            except TransientError as error:
                tries += 1
                most = self.retry.last_tries if is_last else self.retry.tries
                if error.is_unreachable and base not in self._answered:
                    most = min(most, SILENT_TRIES)
                if tries >= most:
                    raise
                self._log_once(base, path, f"{error.message}; asked again")
                (self.retry.pause or time.sleep)(self.retry.wait_s(tries, error))

    def _request(self, url: str, start: int, stop: int) -> bytes:
        """Return what one request brings of a range.

        Raises:
            SourceError: it failed, or the server does not give ranges.
        """
        try:
            body = self._sources.of(url).open(url, start=start, end=stop)
        except UNREADABLE as error:
            raise unreadable(error) from error
        try:
            if body.start != start or body.encoding or (body.stop is not None and body.stop > stop):
                raise SourceError("it does not support range requests")
            return _received(body, stop - start, self.retry)
        finally:
            body.close()

    def _log_once(self, base: str, path: str, reason: str) -> None:
        with self._lock:
            is_new = (base, reason) not in self._logged
            self._logged.add((base, reason))
        if is_new:
            self.log(f"mirror {base} failed: {path}: {reason}")


def _received(body: Body, size: int, retry: RetryPolicy) -> bytes:
    """Return all bytes of an answer.

    Raises:
        TransientError: it ended early, or is slower than a new request would be.
    """
    blocks: list[bytes] = []
    count, since = 0, time.monotonic()
    while count < size and (block := body.read(min(READ_BYTES, size - count))):
        blocks.append(block)
        count += len(block)
        elapsed_s = time.monotonic() - since
        if elapsed_s > retry.timeouts.read_s + count / retry.min_bytes_per_s:
            raise TransientError(f"only {count} bytes came in {elapsed_s:.3g} s")
    if count < size:
        raise TransientError(f"the answer ended after {count} of {size} bytes")
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)
