from .database import require_lmdb
from .format import Options, read, shards
from .layout import COUNT_KEY, GENERATIONS, HEADER_KEYS, INPUT, TARGET, is_noise

__all__ = [
    "COUNT_KEY",
    "GENERATIONS",
    "HEADER_KEYS",
    "INPUT",
    "TARGET",
    "Options",
    "is_noise",
    "read",
    "require_lmdb",
    "shards",
]
