from .interface import (
    NOTICES,
    Format,
    Native,
    Shard,
    load_format,
    one_to_one,
    require_format,
    views_of,
)

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
