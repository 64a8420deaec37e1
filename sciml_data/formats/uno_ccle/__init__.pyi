from .curves import HEADER
from .format import Options, read, shards
from .images import PIXELS, SIDE

__all__ = ["HEADER", "PIXELS", "SIDE", "Options", "read", "shards"]
