from .interface import (
    Format,
    Native,
    Shard,
    load_format,
    one_to_one,
    require_format,
    views_of,
)
from .reporting import NOTICES

__all__ = [
    "NOTICES",
    "Format",
    "Native",
    "Shard",
    "load_format",
    "one_to_one",
    "require_format",
    "views_of",
]
