"""Run a function in a forked process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

LIMIT_S = 20  # of a fork that waits for a thread that it does not have


def in_fork(function: Callable[[], bool], *, meanwhile: Callable[[], object] = bool) -> bool:
    """Return whether a function returns true in a forked process within a time.

    Args:
        function: to call there.
        meanwhile: called here when the process exists.
    """
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LIMIT_S)
        try:
            os._exit(0 if function() else 1)
        finally:
            os._exit(2)
    meanwhile()
    return os.waitpid(pid, 0)[1] == 0
