"""Bytes from a mirror: one module for each protocol, found by the scheme of a URL.

A source opens a URL at an offset and says where the bytes really start and stop; what to do about
a cut, a wrong range or a busy server is decided by the stage above it. A new protocol is a module
with `make_source` and a line in `SCHEMES`. What lies below an address is listed by `s3` and
`file`: plain HTTP has no listing.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

from sciml_data.errors import FetchError

# scheme of a URL -> module of this package. `fdsn` is no source of files: it answers queries.
SCHEMES = {"https": "https", "http": "https", "file": "file", "datalad": "datalad"}


class SourceError(FetchError):
    """This URL does not give the file, however often it is asked."""


class RangeRefusedError(SourceError):
    """The bytes from the offset on are not to be had here; the whole file may be."""


class TransientError(SourceError):
    """It may work if asked again.

    Attributes:
        retry_after_s: seconds that the server asks to be left alone; None if it does not say.
        is_unreachable: whether nobody answered at all.
        is_busy: whether the server asks to be asked less.
    """

    def __init__(
        self,
        wrong: str,
        *,
        retry_after_s: float | None = None,
        is_unreachable: bool = False,
        is_busy: bool = False,
    ) -> None:
        """Keep what the server said of when to come back."""
        super().__init__(wrong)
        self.retry_after_s = retry_after_s
        self.is_unreachable = is_unreachable
        self.is_busy = is_busy

    @property
    def is_refusal(self) -> bool:
        """Return whether it concerns whatever is asked of this server, not one file."""
        return self.is_busy or self.is_unreachable


@dataclass(frozen=True)
class Body:
    """An answer whose bytes are still to be read.

    Attributes:
        start: offset in the file of the first byte that `read` gives.
        size_bytes: of the whole file, as the mirror says; None if it does not.
        tag: what tells this state of the file from another (for `Source.open`), or None.
        read: gives up to so many bytes as they arrive, and `b""` at the end; raises
            TransientError.
        close: gives the connection back, or ends it where bytes are left.
        stop: offset behind the last byte that `read` gives, as the mirror says; None if it does
            not.
    """

    start: int
    size_bytes: int | None
    tag: str | None
    read: Callable[[int], bytes]
    close: Callable[[], None]
    stop: int | None = None


@dataclass(frozen=True)
class Listed:
    """One file that a mirror lists below an address.

    Attributes:
        name: what follows the address, percent-decoded.
        size_bytes: as the mirror says.
        etag: entity tag without its quotes; empty where the mirror gives none.
        modified: date of the last change, ISO 8601, as the mirror says; empty where it does not.
    """

    name: str
    size_bytes: int
    etag: str = ""
    modified: str = ""


class Source(Protocol):
    """A protocol; its methods are called by several threads at once."""

    def open(
        self, url: str, *, start: int = 0, end: int | None = None, tag: str | None = None
    ) -> Body:
        """Ask for a file from the byte `start` on.

        Args:
            url: of the file, percent-encoded.
            start: offset wanted. The body may start at 0 instead.
            end: offset behind the last byte wanted; None asks for all. The body may go on behind
                it, or be shorter: `Body.stop` tells.
            tag: of the state of the file that the bytes before `start` came from; the body
                starts at 0 if the file is in another one now.

        Raises:
            SourceError: of the kind that says whether to ask again.
        """

    def close(self) -> None:
        """End all connections."""


@dataclass(frozen=True)
class Timeouts:
    """Seconds to wait for a connection, and for the next bytes of an open one."""

    connect_s: float = 10.0
    read_s: float = 30.0


class Sources:
    """The sources of one run, each made when first asked for; a context manager."""

    def __init__(self, *, connections: int, timeouts: Timeouts) -> None:
        """Take the number of connections to keep open to each host, and the timeouts."""
        self._connections = connections
        self._timeouts = timeouts
        self._made: dict[str, Source] = {}
        self._lock = threading.Lock()

    def of(self, url: str) -> Source:
        """Return the source of a URL's scheme.

        Raises:
            SourceError: there is none.
        """
        scheme = url.partition(":")[0].lower()
        if scheme not in SCHEMES:
            raise SourceError(f"the scheme {scheme!r} is not one of {', '.join(sorted(SCHEMES))}")
        name = SCHEMES[scheme]
        with self._lock:
            if name not in self._made:
                module = importlib.import_module(f"{__package__}.{name}")
                self._made[name] = module.make_source(self._connections, self._timeouts)
            return self._made[name]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for source in self._made.values():
            source.close()
