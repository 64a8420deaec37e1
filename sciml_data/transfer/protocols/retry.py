"""How long to wait for a mirror, and how often to ask it again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from sciml_data.transfer.protocols.source import Timeouts, TransientError


@dataclass(frozen=True)
class RetryPolicy:
    """Settings of one run; the defaults are a choice, not a measurement.

    Attributes:
        tries: requests for one file to one URL that bring nothing new before it is left; and
            rounds of nothing but refusals (busy, or away) before a mirror is left for another.
        last_tries: such rounds where there is no other mirror: with the defaults two minutes.
        first_wait_s: before the second try; doubled each time, less a random part.
        longest_wait_s: bound of that.
        longest_retry_after_s: bound of what a server may ask for with Retry-After.
        slowest_bytes_per_s: an answer slower than this for `timeouts.read_s` counts as stalled.
        timeouts: for connecting, and for the next bytes.
        pause: waits so many seconds; None waits, and wakes up where the run is stopped.
    """

    tries: int = 5
    last_tries: int = 10
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0
    longest_retry_after_s: float = 60.0
    slowest_bytes_per_s: float = 1024.0
    timeouts: Timeouts = field(default_factory=Timeouts)
    pause: Callable[[float], object] | None = None

    def wait_s(self, tries: int, error: TransientError) -> float:
        """Return the seconds to wait after so many tries, the last of which gave `error`.

        What a server asks for is the least; one that asks for little and refuses still is left
        alone longer each time.
        """
        longest = min(self.first_wait_s * 2.0 ** (tries - 1), self.longest_wait_s)
        wait_s = longest * random.uniform(0.5, 1.0)  # noqa: S311 (spreads the clients, no secret)
        return max(min(error.retry_after_s or 0.0, self.longest_retry_after_s), wait_s)
