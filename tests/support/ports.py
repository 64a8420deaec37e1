"""Ports of the loopback interface: free for a program, or closed for as long as a test needs."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator

# Below the ports that Linux gives to connections and to sockets that ask for any port (from 32768
# on): nobody takes one of them by chance before the program of the test listens on it.
FIRST, LAST = 10_000, 32_767


def unused_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago, all different."""
    found: list[int] = []
    chance = random.SystemRandom()  # tests that run at the same time take others
    while len(found) < count:
        port = chance.randint(FIRST, LAST)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            found += [port] if port not in found else []
    return found


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """Yield a port that refuses connections: it is taken, and nobody listens on it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
