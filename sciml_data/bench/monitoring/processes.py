"""What a process and its children take: CPU seconds, memory, bytes from and to disks.

Linux adds a child's CPU time and disk bytes to its parent when the parent has waited for it, so
the figures of a process and of its living children are those of all that ever belonged to it.
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Usage:
    """Counted since the process began, memory as it is now.

    Attributes:
        cpu_s: user and system time.
        rss_bytes: resident memory, summed; pages that processes share count for each.
        read_bytes, write_bytes: what went through the disks' queue, not what a cache served; None
            where the system does not tell.
    """

    cpu_s: float
    rss_bytes: int
    read_bytes: int | None
    write_bytes: int | None


class ProcessTree:
    """This process and everything it has started."""

    def __init__(self) -> None:
        """Find this process.

        Raises:
            ImportError: psutil, of the extra `train`, is not installed.
        """
        import psutil

        self._psutil = psutil
        self._process = psutil.Process()

    def read(self) -> Usage:
        """Return what the processes have taken until now."""
        cpu_s = _cpu_s(resource.RUSAGE_SELF) + _cpu_s(resource.RUSAGE_CHILDREN)
        usages = [self._usage(self._process)]
        for child in self._process.children(recursive=True):
            with contextlib.suppress(self._psutil.Error):  # it has ended, or is another user's
                times = child.cpu_times()
                usages.append(self._usage(child))
                cpu_s += sum((times.user, times.system, times.children_user, times.children_system))
        return Usage(
            cpu_s,
            sum(rss for rss, _, _ in usages),
            _sum(read for _, read, _ in usages),
            _sum(written for _, _, written in usages),
        )

    def _usage(self, process: Any) -> tuple[int, int | None, int | None]:
        rss = process.memory_info().rss
        try:
            counters = process.io_counters()
        except (self._psutil.Error, OSError, AttributeError):
            return rss, None, None
        return rss, counters.read_bytes, counters.write_bytes


class Computer:
    """The whole computer: how busy its processors are, how much memory is in use."""

    def __init__(self) -> None:
        """Note the time from which the first share is counted.

        Raises:
            ImportError: psutil is not installed.
        """
        import psutil

        self._psutil = psutil
        self._before = psutil.cpu_times()

    def cpu_percent(self) -> float | None:
        """Return the busy share of all processors since the last call; None if no time passed."""
        now, before = self._psutil.cpu_times(), self._before
        self._before = now
        passed = {name: getattr(now, name) - getattr(before, name) for name in now._fields}
        for counted_twice in ("guest", "guest_nice"):  # Linux has them in user and nice, too
            passed.pop(counted_twice, None)
        whole = sum(passed.values())
        idle = passed["idle"] + passed.get("iowait", 0.0)
        return 100.0 * (whole - idle) / whole if whole > 0 else None

    def memory_used_bytes(self) -> int:
        """Return the memory that is in use and could not be given to another program."""
        memory = self._psutil.virtual_memory()
        return int(memory.total - memory.available)


def _cpu_s(whose: int) -> float:
    """Return user and system time of this process, or of the children it has waited for."""
    usage = resource.getrusage(whose)
    return usage.ru_utime + usage.ru_stime


def _sum(values: Iterator[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
