from .format import Options, read, shards

__all__ = ["Options", "read", "shards"]
