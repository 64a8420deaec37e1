"""What a run learns of its mirrors: which lie, which nobody answers at, how they are laid out."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

from sciml_data.progress import Log
from sciml_data.transfer.download.gate import Gate
from sciml_data.transfer.protocols.source import SourceError

MOST_LIES = 3  # wrong bodies from one mirror before it is not asked again in this run


class WrongBytesError(SourceError):
    """A mirror sent something else than the manifest says.

    Attributes:
        is_in_part: whether the wrong bytes were taken; else its headers told them in time.
    """

    def __init__(self, wrong: str, *, is_in_part: bool) -> None:
        """Keep whether bytes were taken."""
        super().__init__(wrong)
        self.is_in_part = is_in_part


class Mirrors:
    """Shared by all transfers of a run; speaks once for each mirror and reason."""

    def __init__(self, log: Log, jobs: int) -> None:
        """Take whom to tell, and how many requests a mirror gets at once."""
        self._notice = log
        self._jobs = jobs
        self._lock = threading.Lock()
        self._gates: dict[str, Gate] = {}
        self._left: dict[str, str] = {}
        self._answered: set[str] = set()
        self._lies: Counter[str] = Counter()
        self._said: set[tuple[str, str]] = set()
        self._layouts: dict[tuple[str, int], int] = {}

    def gate(self, mirror: str) -> Gate:
        """Return the gate of a mirror."""
        with self._lock:
            return self._gates.setdefault(mirror, Gate(self._jobs))

    def left_because(self, mirror: str) -> str:
        """Return why a mirror is not asked any more, or an empty string."""
        return self._left.get(mirror, "")

    def answered(self, mirror: str) -> None:
        """Note that somebody is there."""
        self._answered.add(mirror)

    def has_answered(self, mirror: str) -> bool:
        """Return whether somebody was there in this run."""
        return mirror in self._answered

    def in_order(self, mirror: str, urls: Sequence[str]) -> list[str]:
        """Return the addresses of a file at one mirror, the likeliest first.

        A mirror of a user may be laid out in several ways; the one that gave the last file, by
        its place among the addresses, is asked first.
        """
        best = self._layouts.get((mirror, len(urls)), 0)
        return [urls[best], *urls[:best], *urls[best + 1 :]]

    def gave(self, mirror: str, urls: Sequence[str], url: str) -> None:
        """Note under which of its addresses, as the plan has them, a mirror gave a file."""
        self._layouts[mirror, len(urls)] = urls.index(url)

    def lied(self, mirror: str, path: str, error: WrongBytesError) -> None:
        """Note a wrong body, and leave the mirror after several."""
        with self._lock:
            self._lies[mirror] += 1
            self._say(mirror, "lies", f"mirror {mirror} sent wrong bytes: {path}: {error.message}")
            if self._lies[mirror] == MOST_LIES:
                self._left[mirror] = f"it sent wrong bytes {MOST_LIES} times"
                self._say(mirror, "left", f"mirror {mirror} is left: {self._left[mirror]}")

    def failed(self, mirror: str, path: str, error: SourceError, *, is_left: bool) -> None:
        """Note that a mirror did not give a file, and whether it is asked for no other."""
        with self._lock:
            self._say(mirror, error.message, f"mirror {mirror} failed: {path}: {error.message}")
            if is_left:
                self._left[mirror] = error.message

    def _say(self, mirror: str, reason: str, sentence: str) -> None:
        if (mirror, reason) not in self._said:
            self._said.add((mirror, reason))
            self._notice(sentence)
