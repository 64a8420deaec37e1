from .cbed import Stack, cbed_stacks
from .crystals import Crystal, NoCrystalError, Site, make_crystal
from .layers import Plane, strongest_planes
from .scans import Scan, scan

__all__ = [
    "Crystal",
    "NoCrystalError",
    "Plane",
    "Scan",
    "Site",
    "Stack",
    "cbed_stacks",
    "make_crystal",
    "scan",
    "strongest_planes",
]
