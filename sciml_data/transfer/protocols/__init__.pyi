from .mirrors import Sources, configuration_path, user_mirrors
from .retry import RetryPolicy
from .source import (
    Body,
    Listed,
    RangeRefusedError,
    Source,
    SourceError,
    Timeouts,
    TransientError,
)

__all__ = [
    "Body",
    "Listed",
    "RangeRefusedError",
    "RetryPolicy",
    "Source",
    "SourceError",
    "Sources",
    "Timeouts",
    "TransientError",
    "configuration_path",
    "user_mirrors",
]
