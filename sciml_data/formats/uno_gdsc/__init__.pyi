from .format import Options, read, shards
from .names import ANNOTATION_HEADER, DRUGS_HEADER, LINES_HEADER, curve_names
from .plates import BLANK, NEGATIVE, fit_pairs, read_points

__all__ = [
    "ANNOTATION_HEADER",
    "BLANK",
    "DRUGS_HEADER",
    "LINES_HEADER",
    "NEGATIVE",
    "Options",
    "curve_names",
    "fit_pairs",
    "read",
    "read_points",
    "shards",
]
