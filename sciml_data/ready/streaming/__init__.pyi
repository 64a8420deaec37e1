from .cache import ChunkCache
from .published import fetch_index, fetch_ready, open_stream, plan_ready, ready_manifest
from .reader import ChunkReader, RemoteFile
from .streamed import Streamed

__all__ = [
    "ChunkCache",
    "ChunkReader",
    "RemoteFile",
    "Streamed",
    "fetch_index",
    "fetch_ready",
    "open_stream",
    "plan_ready",
    "ready_manifest",
]
