from .engine import fetch
from .local_files import StatCache, existing_paths, requested_paths
from .partial_file import hash_like, hash_mismatch, hashes_like

__all__ = [
    "StatCache",
    "existing_paths",
    "fetch",
    "hash_like",
    "hash_mismatch",
    "hashes_like",
    "requested_paths",
]
