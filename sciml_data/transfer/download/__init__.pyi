from .asked import requested_paths
from .checksum import hash_like, hash_mismatch, hashes_like
from .pool import fetch
from .present import existing_paths
from .receipt import StatCache

__all__ = [
    "StatCache",
    "existing_paths",
    "fetch",
    "hash_like",
    "hash_mismatch",
    "hashes_like",
    "requested_paths",
]
