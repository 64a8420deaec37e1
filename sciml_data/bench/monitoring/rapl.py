"""Energy of the processor packages, by the RAPL counters that Linux shows under powercap.

A counter is a file `energy_uj` of microjoules that begins at zero again beyond
`max_energy_range_uj`. Since Linux 5.10 only root may read it (CVE-2020-8694), and virtual machines
seldom have one. A package is counted whole: whatever else the computer does is in the figure.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
# `intel-rapl-mmio:0` counts the same package once more; `intel-rapl:0:0` is a part of one.
# AMD's counters come under the same names.
ZONE = re.compile(r"intel-rapl:\d+")
PACKAGE = "package"  # how the names of package zones begin; `psys` is the whole board
MICRO = 1e-6
# Two wraps between readings look like one. No package draws more for long; a range of 65,532 J,
# the smallest in use, is safe for a minute by this.
MOST_POWER_W = 1000.0


@dataclass
class _Zone:
    """A package's counter, as it was when last read."""

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
    """Joules of all packages since it was made.

    Attributes:
        reason: why there is no figure, or none any more; None while all counters can be read.
        method: what is counted, for the record.
    """

    def __init__(self, root: Path = POWERCAP, *, now_s: float | None = None) -> None:
        """Open the counters.

        Args:
            root: the folder that Linux calls /sys/class/powercap.
            now_s: by the clock that `read` is told of; now, by `time.perf_counter`, where None.
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
        """Return the joules so far; None from the first reading on that failed."""
        if self.reason is not None:
            return None
        gap_s, self._last_s = now_s - self._last_s, now_s
        if gap_s * MOST_POWER_W > min(zone.range_uj for zone in self._zones) * MICRO:
            self.reason = f"RAPL counters may have wrapped twice in {gap_s:.0f} s without a sample"
            return None
        try:
            self._joules += sum(zone.used_uj() for zone in self._zones) * MICRO
        except (OSError, ValueError) as error:
            self.reason = _cause(error)
            return None
        return self._joules


def _zones(root: Path) -> list[_Zone]:
    found = []
    for folder in sorted(root.glob("intel-rapl:*")):
        if not ZONE.fullmatch(folder.name):
            continue
        if (folder / "name").read_text(encoding="ascii").startswith(PACKAGE):
            energy = _number(folder / "energy_uj")
            found.append(_Zone(folder, _number(folder / "max_energy_range_uj"), energy))
    return found


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))


def _cause(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "RAPL counters may be read only by root here"
    return f"RAPL counters could not be read: {getattr(error, 'strerror', None) or error}"
