"""Scientific machine-learning datasets and benchmarks: findable, verifiable, quick to train on.

The public names are loaded on first use, so that `import sciml_data` stays light:

    >>> import sciml_data
    >>> sciml_data.datasets()  # doctest: +SKIP
    ['tevolop_socal']
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciml_data.api import adopt_dataset as adopt_dataset
    from sciml_data.api import convert_dataset as convert_dataset
    from sciml_data.api import datasets as datasets
    from sciml_data.api import describe as describe
    from sciml_data.api import get_dataset as get_dataset
    from sciml_data.api import open_dataset as open_dataset
    from sciml_data.api import pooch as pooch
    from sciml_data.api import verify_dataset as verify_dataset
    from sciml_data.api import versions as versions

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "adopt_dataset",
    "convert_dataset",
    "datasets",
    "describe",
    "get_dataset",
    "open_dataset",
    "pooch",
    "verify_dataset",
    "versions",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        import importlib

        return getattr(importlib.import_module("sciml_data.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
