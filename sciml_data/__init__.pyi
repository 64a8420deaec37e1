from . import errors
from .api.datasets import (
    adopt_dataset,
    convert_dataset,
    datasets,
    describe,
    get_dataset,
    plan_dataset,
    pooch,
    verify_dataset,
    versions,
)
from .ready.open import open_dataset

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
    "plan_dataset",
    "pooch",
    "verify_dataset",
    "versions",
]
