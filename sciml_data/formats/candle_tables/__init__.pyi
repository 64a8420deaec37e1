from .entities import canonical_cell
from .format import VIEWS, Options, read, responding_drugs, shards

__all__ = ["VIEWS", "Options", "canonical_cell", "read", "responding_drugs", "shards"]
