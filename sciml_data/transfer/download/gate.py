"""How many requests a mirror is asked at once, and when none: one gate for each mirror of a run.

What answers 503 or 429, or does not answer any more, is left alone by all workers together: the
first that hears it waits, the others until that one is through, and all refusals heard meanwhile
count as one round. After a round half as many may ask at once, and with each answer a little more
(additive increase, multiplicative decrease, as TCP does). Who asks stands in line, so that a file
that is always refused does not hold the others; the place is drawn from the line's later half, and
now and then from all of it, lest a mirror that refuses in turns always meet the same file.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

FROM_ALL = 0.25  # share of those who may stand anywhere in the line
LOOK_S = 0.5  # between looks of a waiting thread at whether the run is stopped


class Gate:
    """The gate of one mirror; safe to use from several threads.

    Attributes:
        refused_rounds: rounds of refusals since the last answer.
    """

    def __init__(self, most: int, chance: Callable[[], float] = random.random) -> None:
        """Take how many may ask at once when all is well, and what draws from 0 to below 1."""
        self._chance = chance
        self._most = float(most)
        self._limit = float(most)
        self._inside = 0
        self._line: list[object] = []
        self._round = 0
        self._waiter: int | None = None  # the thread that waits for all
        self._changed = threading.Condition()
        self.refused_rounds = 0

    def enter(self, check_stop: Callable[[], None]) -> int:
        """Wait until the mirror may be asked; return the round, for `leave`."""
        place = object()
        with self._changed:
            self._line.insert(self._drawn_place(), place)
            try:
                while self._line[0] is not place or self._is_closed():
                    check_stop()
                    self._changed.wait(LOOK_S)
                self._inside += 1
                return self._round
            finally:
                self._line.remove(place)
                self._changed.notify_all()

    def leave(self, entered: int, *, is_refused: bool = False) -> None:
        """End a request; the first refusal of a round makes this thread the one that waits."""
        with self._changed:
            self._inside -= 1
            if is_refused and entered == self._round and self._waiter is None:
                self._round += 1
                self.refused_rounds += 1
                self._limit = max(self._limit / 2, 1.0)
                self._waiter = threading.get_ident()
            self._changed.notify_all()

    def answered(self) -> None:
        """Note an answer: refusals are counted anew, and a little more may be asked."""
        with self._changed:
            self.refused_rounds = 0
            self._limit = min(self._limit + 1 / self._limit, self._most)

    def _drawn_place(self) -> int:
        after = len(self._line)
        first = 0 if self._chance() < FROM_ALL else (after + 1) // 2
        return first + int(self._chance() * (after + 1 - first))

    def _is_closed(self) -> bool:
        return self._waiter is not None or self._inside >= int(self._limit)

    def hold(self, wait: Callable[[], None]) -> None:
        """Wait for all, if this thread is the one to; then open the gate."""
        if self._waiter != threading.get_ident():
            return
        try:
            wait()
        finally:
            with self._changed:
                self._waiter = None
                self._changed.notify_all()
