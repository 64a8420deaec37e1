"""What `FileServer` can do wrong; a fault is made by a function and given to `FileServer.add`."""

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
    """Something that goes wrong with an answer; make one with the functions below.

    Attributes:
        kind: its name.
        at: byte of the body where it shows.
        status, headers: of an answer that is no file.
        pause_s: between the drops of a drip.
        left: requests that it is still for; None means all.
        path: glob of the paths it is for.
    """

    kind: str
    at: int = 0
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    pause_s: float = 0.0
    left: int | None = 1
    path: str = "*"


def cut(at: int) -> Fault:
    """End the connection after so many bytes of the body."""
    return Fault("cut", at=at)


def stall(at: int) -> Fault:
    """Send so many bytes of the body, then nothing, the connection open."""
    return Fault("stall", at=at)


def drip(at: int, *, pause_s: float) -> Fault:
    """Send so many bytes of the body, then one byte at a time with a pause after each."""
    return Fault("drip", at=at, pause_s=pause_s)


def status(code: int, *, retry_after: str | None = None) -> Fault:
    """Answer with a status (403, 404, 416, 429, 500, 503 and the like) and no body."""
    return Fault(
        "status", status=code, headers=(("Retry-After", retry_after),) if retry_after else ()
    )


def redirect(to: str) -> Fault:
    """Answer 302 with this address; the path's own address makes a loop."""
    return Fault("status", status=HTTPStatus.FOUND, headers=(("Location", to),))


def truncated(by: int) -> Fault:
    """Leave the last bytes out, and give a Content-Length that fits what is sent."""
    return Fault("truncated", at=by)


def lengthened(by: int, *, is_declared: bool = True) -> Fault:
    """Send more bytes than the file has; undeclared: without a Content-Length."""
    return Fault("lengthened" if is_declared else "lengthened-undeclared", at=by)


def wrong_bytes(at: int = 0) -> Fault:
    """Change one byte of the file."""
    return Fault("wrong", at=at)


def lying() -> Fault:
    """Send the bytes asked for, headers and number right, every one of them wrong."""
    return Fault("lying")


def range_ignored() -> Fault:
    """Answer a range request with the whole file and status 200."""
    return Fault("range-ignored")


def wrong_content_range(shift: int) -> Fault:
    """Answer a range request with bytes from another offset, and say so in Content-Range."""
    return Fault("shifted", at=shift)


def declared_length(length: int, fault: Fault) -> int | None:
    """Return the Content-Length of a body; None leaves it out."""
    if fault.kind == "lengthened-undeclared":
        return None
    change = {"truncated": -fault.at, "lengthened": fault.at}.get(fault.kind, 0)
    return max(length + change, 0)


def content(stream: BinaryIO, start: int, stop: int, fault: Fault) -> Iterator[bytes]:
    """Yield the bytes of a file between two offsets, made wrong where the fault says."""
    if fault.kind == "truncated":
        stop = max(stop - fault.at, start)
    stream.seek(start)
    while block := stream.read(min(BLOCK_BYTES, stop - stream.tell())):
        place = fault.at - (stream.tell() - len(block))
        if fault.kind == "wrong" and 0 <= place < len(block):
            block = block[:place] + bytes([block[place] ^ 1]) + block[place + 1 :]
        yield block.translate(INVERTED) if fault.kind == "lying" else block
    if fault.kind.startswith("lengthened"):
        yield os.urandom(fault.at)
