"""Energy of the processor packages, read from the RAPL counters in Linux' powercap folder.

A counter is a file `energy_uj` in microjoules, which wraps to zero beyond `max_energy_range_uj`.
Since Linux 5.10 only root may read it (CVE-2020-8694), and virtual machines rarely have one. The
energy is that of whole packages, so it includes all other programs on the computer.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
# `intel-rapl-mmio:0` is the same package as `intel-rapl:0`, and `intel-rapl:0:0` a part of it. The
# counters of AMD have the same names.
ZONE = re.compile(r"intel-rapl:\d+")
PACKAGE = "package"  # start of the names of package zones; `psys` is the whole board
MICRO = 1e-6
# Two wraps between readings look like one, so readings must be frequent enough for the power of a
# package, which stays below this value. The smallest range in use, 65,532 J, lasts a minute.
MAX_POWER_W = 1000.0


@dataclass
class _Zone:
    """A package's counter, with its last reading."""

    folder: Path
    range_uj: int
    last_uj: int

    def used_uj(self) -> int:
        """Return the microjoules since the last call."""
        now = _number(self.folder / "energy_uj")
        used = now - self.last_uj
        self.last_uj = now
        return used if used >= 0 else used + self.range_uj


class Rapl:
    """The energy of all packages since the creation of this object, in joules.

    Attributes:
        reason: why the energy is not known; None while all counters can be read.
        method: how the energy is measured, for the record.
    """

    def __init__(self, root: Path = POWERCAP, *, now_s: float | None = None) -> None:
        """Open the counters.

        Args:
            root: the powercap folder of Linux.
            now_s: time by the clock of `read`; None means `time.perf_counter`.
        """
        self.reason: str | None = None
        self._joules = 0.0
        self._last_s = time.perf_counter() if now_s is None else now_s
        self._zones: list[_Zone] = []
        try:
            self._zones = _zones(root)
        except (OSError, ValueError) as error:
            self.reason = _cause(error)
        if not self._zones and self.reason is None:
            self.reason = "the system shows no RAPL counter of a processor package"
        count = len(self._zones)
        self.method = f"RAPL, {count} package{'s' if count != 1 else ''}, whole computer"

    def read(self, now_s: float) -> float | None:
        """Return the energy so far in joules; None after a reading has failed.

        Args:
            now_s: time of a monotonic clock in seconds.
        """
        if self.reason is not None:
            return None
        gap_s, self._last_s = now_s - self._last_s, now_s
        if gap_s * MAX_POWER_W > min(zone.range_uj for zone in self._zones) * MICRO:
            self.reason = f"RAPL counters may have wrapped twice in {gap_s:.0f} s without a sample"
            return None
        try:
            self._joules += sum(zone.used_uj() for zone in self._zones) * MICRO
        except (OSError, ValueError) as error:
            self.reason = _cause(error)
            return None
        return self._joules


def _zones(root: Path) -> list[_Zone]:
    zones = []
    for folder in sorted(root.glob("intel-rapl:*")):
        if not ZONE.fullmatch(folder.name):
            continue
        if (folder / "name").read_text(encoding="ascii").startswith(PACKAGE):
            energy = _number(folder / "energy_uj")
            zones.append(_Zone(folder, _number(folder / "max_energy_range_uj"), energy))
    return zones


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))


def _cause(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "RAPL counters may be read only by root here"
    return f"RAPL counters could not be read: {getattr(error, 'strerror', None) or error}"
