from .export import SHARD_BYTES, Exported, write_parquet

__all__ = ["SHARD_BYTES", "Exported", "write_parquet"]
