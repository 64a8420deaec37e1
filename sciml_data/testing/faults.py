"""Faults of `FileServer`: make one with a function here and pass it to `FileServer.add`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import BinaryIO

BLOCK_BYTES = 1 << 16
INVERTED = bytes(255 - byte for byte in range(256))


@dataclass(frozen=True)
class Fault:
    """A fault of a response; the functions below make one.

    Attributes:
        kind: name of the fault.
        at: offset in the body in bytes, or a number of bytes.
        status: status of a response without a file.
        headers: headers of a response without a file.
        pause_s: pause between single bytes, in seconds.
        left: number of requests that still get the fault; None for all.
        path: glob of the paths.
        only_ranges: whether only requests of a range get the fault.
    """

    kind: str
    at: int = 0
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    pause_s: float = 0.0
    left: int | None = 1
    path: str = "*"
    only_ranges: bool = False


def cut(at: int) -> Fault:
    """Close the connection after `at` bytes of the body."""
    return Fault("cut", at=at)


def stall(at: int) -> Fault:
    """Send `at` bytes of the body, then nothing, and keep the connection open."""
    return Fault("stall", at=at)


def drip(at: int, *, pause_s: float) -> Fault:
    """Send `at` bytes of the body, then single bytes with a pause after each."""
    return Fault("drip", at=at, pause_s=pause_s)


def status(code: int, *, retry_after: str | None = None) -> Fault:
    """Respond with a status (403, 404, 416, 429, 500, 503 and others) and no body."""
    return Fault(
        "status", status=code, headers=(("Retry-After", retry_after),) if retry_after else ()
    )


def redirect(to: str) -> Fault:
    """Respond with 302 and an address; the address of the same path makes a loop."""
    return Fault("status", status=HTTPStatus.FOUND, headers=(("Location", to),))


def truncated(by: int) -> Fault:
    """Omit the last bytes, with a Content-Length that matches the sent bytes."""
    return Fault("truncated", at=by)


def lengthened(by: int, *, is_declared: bool = True) -> Fault:
    """Send more bytes than the file has; if not declared, without a Content-Length."""
    return Fault("lengthened" if is_declared else "lengthened-undeclared", at=by)


def wrong_bytes(at: int = 0) -> Fault:
    """Change one byte of the file."""
    return Fault("wrong", at=at)


def corrupted() -> Fault:
    """Send the right headers and number of bytes, but every byte wrong."""
    return Fault("corrupted")


def range_ignored() -> Fault:
    """Respond to a range request with the whole file and status 200."""
    return Fault("range-ignored")


def wrong_content_range(shift: int) -> Fault:
    """Respond to a range request with bytes from another offset, stated in Content-Range."""
    return Fault("shifted", at=shift)


def declared_length(length: int, fault: Fault) -> int | None:
    """Return the Content-Length of a body, or None to omit it."""
    if fault.kind == "lengthened-undeclared":
        return None
    change = {"truncated": -fault.at, "lengthened": fault.at}.get(fault.kind, 0)
    return max(length + change, 0)


def content(stream: BinaryIO, start: int, stop: int, fault: Fault) -> Iterator[bytes]:
    """Yield the bytes of a file between two offsets, changed by the fault."""
    if fault.kind == "truncated":
        stop = max(stop - fault.at, start)
    stream.seek(start)
    while block := stream.read(min(BLOCK_BYTES, stop - stream.tell())):
        index = fault.at - (stream.tell() - len(block))
        if fault.kind == "wrong" and 0 <= index < len(block):
            block = block[:index] + bytes([block[index] ^ 1]) + block[index + 1 :]
        yield block.translate(INVERTED) if fault.kind == "corrupted" else block
    if fault.kind.startswith("lengthened"):
        yield os.urandom(fault.at)
