"""Who does what: workers take files, and when none is left to begin, help with a large one.

The first worker of a large file, its owner, asks for all of it in one request. Once another worker
has nothing to begin, what the owner has not reached is cut into ranges, which both take in order,
so that the hash of the file can follow. Who helps holds no file, so nobody waits in a circle.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sciml_data.registry.stages import PlannedFile
from sciml_data.transfer.download.ranges import Span, cut

MOST_MISSES = 3  # failures of helpers before the owner of a file goes on alone


@dataclass
class Extent:
    """Bytes that one worker brings: those from `at` to `stop` are still to come."""

    at: int
    stop: int


class Crew:
    """The workers of a run: files to begin, and large ones under way that welcome help."""

    def __init__(self, files: Iterable[PlannedFile], stop: threading.Event) -> None:
        """Take the files in the order to begin them."""
        self._files = deque(files)
        self._stop = stop
        self._begun = 0  # files under way
        self._idle = 0  # workers with nothing to do
        self._teams: list[Team] = []
        self.changed = threading.Condition()

    @property
    def has_idle(self) -> bool:
        """Return whether a worker has nothing to do."""
        return self._idle > 0

    def next(self) -> PlannedFile | Turn | None:
        """Return what to do next, when there is something; None when the run is over."""
        with self.changed:
            while not self._stop.is_set():
                if self._files:
                    self._begun += 1
                    return self._files.popleft()
                for team in sorted(self._teams, key=Team.left_bytes, reverse=True):
                    if (turn := team.share()) is not None:
                        return turn
                if self._begun == 0:
                    break
                self._idle += 1
                self.changed.wait()
                self._idle -= 1
            self.changed.notify_all()
            return None

    def finished(self) -> None:
        """Note that a file that was begun is over."""
        with self.changed:
            self._begun -= 1
            self.changed.notify_all()

    def wake(self) -> None:
        """Let all look again: the run is stopped."""
        with self.changed:
            self.changed.notify_all()

    def join(self, team: Team) -> None:
        """Let a team be helped."""
        with self.changed:
            if team not in self._teams:
                self._teams.append(team)
                self.changed.notify_all()

    def part(self, team: Team) -> None:
        """Let a team be helped no more."""
        with self.changed:
            if team in self._teams:
                self._teams.remove(team)


class Team:
    """Those who bring one large file from one address, and what of it nobody has begun.

    Its fields are guarded by the crew's condition.

    Attributes:
        is_over: whether helpers are to leave.
    """

    def __init__(
        self,
        crew: Crew,
        spans: Sequence[Span],
        range_bytes: int,
        help: Callable[[Extent], int],  # noqa: A002
    ) -> None:
        """Take the spans that are missing, and what a helper calls: it returns its misses."""
        self._crew = crew
        self._todo = deque(spans)
        self._range_bytes = range_bytes
        self._help = help
        self._is_cut = False
        self._own: Extent | None = None
        self._helpers = 0
        self._misses = 0
        self.is_over = False

    def bring_all(self, bring: Callable[[Extent], None], *, is_alone: bool) -> None:
        """Bring all, as the owner, with whoever helps; helpers are gone when this ends.

        Raises:
            SourceError: the owner's own request failed.
        """
        self._misses = MOST_MISSES if is_alone else 0
        try:
            while (extent := self._take()) is not None:
                try:
                    bring(extent)
                finally:
                    with self._crew.changed:
                        self._own = None
                        self._put_back(extent)
        finally:
            self._dismiss()

    def welcome(self) -> None:
        """Let idle workers help: the address answers, and may give ranges."""
        if self._misses < MOST_MISSES:
            self._crew.join(self)

    def alone(self, extent: Extent, stop: int) -> None:
        """Let the owner's extent reach to the end: ranges are not given here."""
        with self._crew.changed:
            self._misses = MOST_MISSES
            self._todo.clear()
            extent.stop = stop

    def advance(self, extent: Extent, size_bytes: int) -> int:
        """Move an extent on by some bytes, and return how many of them belong to it."""
        with self._crew.changed:
            taken = max(min(size_bytes, extent.stop - extent.at), 0)
            extent.at += taken
            return taken

    def left_bytes(self) -> int:
        """Return the bytes that nobody has begun, or that the owner would share."""
        own = 0 if self._own is None or self._is_cut else self._own.stop - self._own.at
        return own + sum(stop - start for start, stop in self._todo)

    def share(self) -> Turn | None:
        """Return a range for a helper, or None; the crew's condition is held."""
        if self.is_over or self._misses >= MOST_MISSES:
            return None
        if not self._todo and not self._is_cut and self._own is not None:
            self._cut(self._own)
        if not self._todo:
            return None
        self._helpers += 1
        return Turn(self, self._next_range())

    def turn(self, extent: Extent) -> None:
        """Bring an extent as a helper; what fails goes back to be done."""
        misses = MOST_MISSES
        try:
            misses = self._help(extent)
        finally:
            with self._crew.changed:
                self._helpers -= 1
                self._misses += misses
                self._put_back(extent)
                if self._misses >= MOST_MISSES:
                    self._rejoin()
                self._crew.changed.notify_all()

    def _take(self) -> Extent | None:
        """Return the owner's next extent, when helpers leave any; None when all is there."""
        with self._crew.changed:
            while not self._todo and self._helpers:
                self._crew.changed.wait()
            if not self._todo:
                return None
            if self._misses >= MOST_MISSES:
                self._own = Extent(*self._todo.popleft())
            elif self._is_cut or self._crew.has_idle:
                self._is_cut = True
                self._own = self._next_range()
            else:
                self._own = Extent(*self._todo.popleft())
            return self._own

    def _next_range(self) -> Extent:
        ranges = cut(self._todo.popleft(), self._range_bytes)
        first = next(ranges)
        if rest := list(ranges):
            self._todo.appendleft((rest[0][0], rest[-1][1]))
        return Extent(*first)

    def _put_back(self, extent: Extent) -> None:
        if extent.at < extent.stop:
            self._todo.appendleft((extent.at, extent.stop))

    def _cut(self, own: Extent) -> None:
        """Leave the owner the range it is in and the next; the rest is for whoever comes."""
        stop = (own.at // self._range_bytes + 2) * self._range_bytes
        if stop < own.stop:
            self._todo.append((stop, own.stop))
            own.stop = stop
            self._is_cut = True

    def _rejoin(self) -> None:
        """Give the owner back what was cut off its request, which may be open that far."""
        while self._own is not None and self._todo and self._todo[0][0] == self._own.stop:
            self._own.stop = self._todo.popleft()[1]

    def _dismiss(self) -> None:
        self.is_over = True
        self._crew.part(self)
        with self._crew.changed:
            while self._helpers:
                self._crew.changed.wait()


@dataclass(frozen=True)
class Turn:
    """A range of a file that another worker owns."""

    team: Team
    extent: Extent

    def take(self) -> None:
        """Bring it."""
        self.team.turn(self.extent)
