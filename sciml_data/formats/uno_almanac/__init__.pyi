from .format import LIST_HEADER, SMILES_HEADER, Options, read, shards
from .r_files import require_rdata

__all__ = ["LIST_HEADER", "SMILES_HEADER", "Options", "read", "require_rdata", "shards"]
