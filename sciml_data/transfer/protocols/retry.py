"""How often to ask a mirror again, and how long to wait before."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from sciml_data.transfer.protocols.source import Timeouts, TransientError

# Tries when no server answers at all, and none has answered in this run: probably there is no
# network, and waiting through all retries is useless.
SILENT_TRIES = 2


@dataclass(frozen=True)
class RetryPolicy:
    """Retries and timeouts of one run; the defaults are chosen, not measured.

    Attributes:
        tries: requests for one file to one URL without progress, before the URL is given up; and
            rounds of nothing but refusals (busy or unreachable), before a mirror is given up.
        last_tries: such rounds for the last mirror; with the defaults about two minutes.
        first_wait_s: longest wait before the second try; doubled for each further one.
        max_wait_s: upper bound of that.
        max_retry_after_s: upper bound of the wait that a server may ask for (Retry-After).
        min_bytes_per_s: an answer slower than this for `timeouts.read_s` counts as stalled.
        timeouts: for connecting, and for the next bytes.
        pause: waits a number of seconds; None waits, and wakes up when the run is stopped.
    """

    tries: int = 5
    last_tries: int = 10
    first_wait_s: float = 0.5
    max_wait_s: float = 30.0
    max_retry_after_s: float = 60.0
    min_bytes_per_s: float = 1024.0
    timeouts: Timeouts = field(default_factory=Timeouts)
    pause: Callable[[float], object] | None = None

    def wait_s(self, tries: int, error: TransientError) -> float:
        """Return the seconds to wait after a number of tries (exponential backoff with jitter).

        Args:
            tries: number of failed tries so far.
            error: of the last one. The wait that its server asks for is the minimum: a server that
                asks for a short wait and refuses again still gets longer ones.
        """
        longest = min(self.first_wait_s * 2.0 ** (tries - 1), self.max_wait_s)
        # Jitter: clients that failed together must not come back together.
        wait_s = longest * random.uniform(0.5, 1.0)  # noqa: S311 (no secret)
        return max(min(error.retry_after_s or 0.0, self.max_retry_after_s), wait_s)


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Return the wait that a server asks for in its header Retry-After.

    Args:
        value: seconds or a date (RFC 9110, section 10.2.3); None if there is no such header.
        now: the present time, with its zone.

    Returns:
        Seconds, infinite for a number of hundreds of digits; None if the value is neither.
    """
    text = (value or "").strip()
    if re.fullmatch("[0-9]+", text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
        return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())
    except (ValueError, TypeError, ArithmeticError, LookupError):  # no date, or none in a calendar
        return None
