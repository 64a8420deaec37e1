from .curves import HEADER, read_points
from .format import SMILES_HEADER, Options, read, read_areas, shards
from .images import PIXELS, SIDE, ccle_names, expression, image_ids, short_name

__all__ = [
    "HEADER",
    "PIXELS",
    "SIDE",
    "SMILES_HEADER",
    "Options",
    "ccle_names",
    "expression",
    "image_ids",
    "read",
    "read_areas",
    "read_points",
    "shards",
    "short_name",
]
