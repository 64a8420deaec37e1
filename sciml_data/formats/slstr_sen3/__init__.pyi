from .format import Options, read, shards
from .variables import CONFIDENCE, HORIZON, described, flag_bits, flag_variable, unsigned

__all__ = [
    "CONFIDENCE",
    "HORIZON",
    "Options",
    "described",
    "flag_bits",
    "flag_variable",
    "read",
    "shards",
    "unsigned",
]
