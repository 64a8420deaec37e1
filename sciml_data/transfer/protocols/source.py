"""The interface of a protocol: `Source`, what it returns, and the errors that it raises.

A source opens a URL at an offset and says where the bytes really start and stop. What to do about
a cut connection, a wrong range or a busy server is decided by `transfer.download`. A protocol is a
module with a function `make_source(connections, timeouts)`: in this package with a line in
`SCHEMES` of `mirrors`, or in an installed package (docs/how-to/extend/protocol.md). The modules
`s3` and `file` can also list the files below an address; plain HTTP has no listing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from sciml_data.errors import FetchError, printable

MAX_DIGITS = 18  # of a number that a server sends: such a number fits into 64 bits


class SourceError(FetchError):
    """This URL does not give the file; a second request would not help.

    Attributes:
        status: HTTP status of the answer, or that which says the same of another protocol (403,
            404); 0 if no answer came.
    """

    def __init__(self, message: str, *, status: int = 0) -> None:
        """Store the reason, which may contain text of a server."""
        super().__init__(printable(message))
        self.status = status


class RangeRefusedError(SourceError):
    """The server does not support this range request; it may give the whole file."""


class NoMirrorError(SourceError):
    """The mirror gives no file at all, so it is not asked for others."""


class OtherRegionError(SourceError):
    """The bucket is at another S3 endpoint; no URL of the bucket gives a file at this one."""


class TransientError(SourceError):
    """The request failed; a second one may succeed.

    Attributes:
        retry_after_s: seconds that the server asks to wait; None if it does not say.
        is_unreachable: whether no server answered.
        is_busy: whether the server asks for fewer requests.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        retry_after_s: float | None = None,
        is_unreachable: bool = False,
        is_busy: bool = False,
    ) -> None:
        """Store the reason, and when to ask again."""
        super().__init__(message, status=status)
        self.retry_after_s = retry_after_s
        self.is_unreachable = is_unreachable
        self.is_busy = is_busy

    @property
    def is_refusal(self) -> bool:
        """Return whether the server refuses all requests, not only those for one file."""
        return self.is_busy or self.is_unreachable


@dataclass(frozen=True)
class Body:
    """An answer whose bytes are still to be read.

    Attributes:
        start: offset in the file of the first byte that `read` gives.
        size_bytes: size of the whole file, as the mirror says; None if it does not say.
        tag: entity tag: changes when the file changes (for `Source.open`); None if unknown.
        read: returns at most this number of bytes as they arrive, and `b""` at the end; raises
            TransientError.
        close: gives the connection back, or ends it if bytes are left.
        stop: offset after the last byte that `read` gives, as the mirror says; None if it does not
            say.
        encoding: Content-Encoding of the answer, although none was requested; empty if there is
            none. Then all numbers and `read` are about the encoded bytes. A file that is stored in
            this form (`x.csv.gz`) is meant so by some servers.
        read_decoded: as `read`, for the decoded bytes; None if the encoding is unknown.
        moved_to: address to which a permanent redirect led; empty if there was none.
    """

    start: int
    size_bytes: int | None
    tag: str | None
    read: Callable[[int], bytes]
    close: Callable[[], None]
    stop: int | None = None
    encoding: str = ""
    read_decoded: Callable[[int], bytes] | None = None
    moved_to: str = ""

    def decoded(self) -> Body:
        """Return the body without its encoding; the size is unknown then.

        Raises:
            RangeRefusedError: it is a part of an encoded file, which cannot be decoded.
            SourceError: the encoding is unknown.
        """
        if not self.encoding:
            return self
        sent = f"it is sent with Content-Encoding: {self.encoding}, which was not requested"
        if self.read_decoded is None:
            raise SourceError(f"{sent} and cannot be decoded")
        if self.start or self.stop != self.size_bytes:
            raise RangeRefusedError(f"{sent}; only the whole file can be decoded")
        return replace(self, size_bytes=None, stop=None, encoding="", read=self.read_decoded)


@dataclass(frozen=True)
class Listed:
    """One file that a mirror lists below an address.

    Attributes:
        name: path below the address, percent-decoded.
        size_bytes: as the mirror says.
        etag: entity tag without its quotes; empty if the mirror gives none.
        modified: date of the last change, ISO 8601, as the mirror says; empty if it does not say.
    """

    name: str
    size_bytes: int
    etag: str = ""
    modified: str = ""


@dataclass(frozen=True)
class Timeouts:
    """Seconds to wait for a connection, and for the next bytes of an open one."""

    connect_s: float = 10.0
    read_s: float = 30.0


def whole_number(text: str) -> int | None:
    """Return a number that a server sent; None if it is not a number of at most 18 digits."""
    return int(text) if re.fullmatch(f"[0-9]{{1,{MAX_DIGITS}}}", text) else None


# What parsers raise for an answer that is malformed in a way that nobody has thought of. It must
# fail one mirror, and not the call: the next mirror is asked.
UNREADABLE = (ValueError, ArithmeticError, LookupError, TypeError, RecursionError)


def unreadable(error: Exception) -> SourceError:
    """Return the error for an answer over which a parser stumbled."""
    return SourceError(f"its answer cannot be read: {type(error).__name__}: {error}")


class Source(Protocol):
    """A protocol; several threads call its methods at once."""

    def open(
        self, url: str, *, start: int = 0, end: int | None = None, tag: str | None = None
    ) -> Body:
        """Request a file from the byte `start` on.

        Args:
            url: of the file, percent-encoded.
            start: offset of the first byte. The body may start at 0 instead.
            end: offset after the last byte; None asks for all. The body may be longer or shorter:
                see `Body.stop`.
            tag: entity tag of the answer that the bytes before `start` came from; the body starts
                at 0 if the file has changed since then.

        Raises:
            SourceError: its class says whether to ask again.
        """

    def close(self) -> None:
        """Close all connections."""
