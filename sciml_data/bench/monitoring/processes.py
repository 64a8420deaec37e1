"""CPU time, memory and disk traffic of a process and its children.

Linux adds a child's CPU time and disk bytes to its parent when the parent has waited for it. So the
sum over a process and its living children includes all children that have ended.
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Usage:
    """Counters since the start of the process, and the present memory.

    Attributes:
        cpu_s: user and system time.
        rss_bytes: resident memory, summed over processes; shared pages count for each process.
        read_bytes: read from disks, not from the page cache; None if the system has no value.
        write_bytes: written to disks; None if the system has no value.
    """

    cpu_s: float
    rss_bytes: int
    read_bytes: int | None
    write_bytes: int | None


class ProcessTree:
    """This process and all its descendants."""

    def __init__(self) -> None:
        """Open this process.

        Raises:
            ImportError: psutil, of the extra `train`, is not installed.
        """
        import psutil

        self._psutil = psutil
        self._process = psutil.Process()

    def read(self) -> Usage:
        """Return the usage of all processes up to now."""
        cpu_s = _cpu_s(resource.RUSAGE_SELF) + _cpu_s(resource.RUSAGE_CHILDREN)
        usages = [self._usage(self._process)]
        for child in self._process.children(recursive=True):
            # A child may have ended meanwhile, or belong to another user.
            with contextlib.suppress(self._psutil.Error):
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
    """Processor load and memory of the whole computer."""

    def __init__(self) -> None:
        """Read the counters from which the first load is computed.

        Raises:
            ImportError: psutil is not installed.
        """
        import psutil

        self._psutil = psutil
        self._before = psutil.cpu_times()

    @property
    def processors(self) -> int:
        """Return the number of processors, those that this process may not use included."""
        return self._psutil.cpu_count() or 1

    def cpu_percent(self) -> float | None:
        """Return the load of all processors since the last call in percent, None without time."""
        now, before = self._psutil.cpu_times(), self._before
        self._before = now
        passed = {name: getattr(now, name) - getattr(before, name) for name in now._fields}
        for counted_twice in ("guest", "guest_nice"):  # Linux includes them in user and nice
            passed.pop(counted_twice, None)
        whole = sum(passed.values())
        idle = passed["idle"] + passed.get("iowait", 0.0)
        return 100.0 * (whole - idle) / whole if whole > 0 else None

    def memory_used_bytes(self) -> int:
        """Return the memory in use that other programs cannot get, in bytes."""
        memory = self._psutil.virtual_memory()
        return int(memory.total - memory.available)


def _cpu_s(who: int) -> float:
    """Return user and system time of this process, or of the children it has waited for."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def _sum(values: Iterator[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
