"""The name of a level-1 granule: platform, times, cycle, orbit and place along it.

Sentinel-3's file naming (GMES-S3GS-EOPG-TN-09-0009; ESA, SLSTR user guide, "Naming Convention"), of
type `SL_1_RBT___` in frames. The CloudMask files keep the name and end in `.hdf` instead of
`.SEN3`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

ORBITS_PER_CYCLE = 385  # of 27 days: Sentinel-3's repeat cycle (ESA, SLSTR user guide, "Coverage")
TIME = "%Y%m%dT%H%M%S"
NAME = re.compile(
    r"(?P<platform>S3[A-D])_SL_1_RBT____"
    r"(?P<start>\d{8}T\d{6})_(?P<stop>\d{8}T\d{6})_(?P<created>\d{8}T\d{6})_"
    r"(?P<duration>\d{4})_(?P<cycle>\d{3})_(?P<relative_orbit>\d{3})_(?P<frame>\d{4}|____)_"
    r"(?P<centre>[A-Z0-9]{3})_(?P<mode>[A-Z])_(?P<timeliness>N[RT]|ST)_(?P<baseline>\d{3})"
)


@dataclass(frozen=True)
class GranuleName:
    """What a granule's name says.

    Attributes:
        platform: "S3A" or a sister. start, stop, created: UTC, whole seconds. duration_s: length of
        the granule. cycle, relative_orbit: 27-day cycle, and orbit in it, 1 to 385. frame: seconds
        from the ascending node to the start; None where the name leaves it open. That
            it is this was checked with one granule: 11:34:20 less its node's 11:10:21 is 1439 s.
        origin: centre, mode, timeliness and processing baseline, as in the name.
    """

    platform: str
    start: datetime
    stop: datetime
    created: datetime
    duration_s: int
    cycle: int
    relative_orbit: int
    frame: int | None
    origin: str

    @property
    def orbit(self) -> int:
        """Return a running number of the orbit: granules of one orbit share it, per platform."""
        return (self.cycle - 1) * ORBITS_PER_CYCLE + self.relative_orbit

    @property
    def stem(self) -> str:
        """Return the name without its extension."""
        frame = "____" if self.frame is None else f"{self.frame:04d}"
        times = "_".join(f"{time:{TIME}}" for time in (self.start, self.stop, self.created))
        orbit = f"{self.duration_s:04d}_{self.cycle:03d}_{self.relative_orbit:03d}_{frame}"
        return f"{self.platform}_SL_1_RBT____{times}_{orbit}_{self.origin}"


def parse_granule_name(path: str) -> GranuleName | None:
    """Return what the last component of a path says, None where it is no granule's name."""
    found = NAME.fullmatch(PurePosixPath(path).stem)
    if found is None:
        return None
    try:
        start, stop, created = (_time(found[key]) for key in ("start", "stop", "created"))
    except ValueError:
        return None
    origin = "_".join(found[key] for key in ("centre", "mode", "timeliness", "baseline"))
    return GranuleName(
        platform=found["platform"],
        start=start,
        stop=stop,
        created=created,
        duration_s=int(found["duration"]),
        cycle=int(found["cycle"]),
        relative_orbit=int(found["relative_orbit"]),
        frame=None if found["frame"] == "____" else int(found["frame"]),
        origin=origin,
    )


def _time(text: str) -> datetime:
    return datetime.strptime(text, TIME)  # noqa: DTZ007 - UTC by the convention, and kept plain
