from . import errors
from .api import (
    adopt_dataset,
    convert_dataset,
    datasets,
    describe,
    get_dataset,
    open_dataset,
    pooch,
    verify_dataset,
    versions,
)

__version__: str
__all__ = [
    "__version__",
    "adopt_dataset",
    "convert_dataset",
    "datasets",
    "describe",
    "errors",
    "get_dataset",
    "open_dataset",
    "pooch",
    "verify_dataset",
    "versions",
]
