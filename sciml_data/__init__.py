"""Scientific machine-learning datasets and benchmarks: findable, verifiable, quick to train on.

    >>> import sciml_data
    >>> sciml_data.datasets()  # doctest: +SKIP
    ['cloud_slstr_ds1', 'cloud_slstr_ds2', ...]

The public names are listed in `__init__.pyi`. They are loaded on first use, so that
`import sciml_data` takes milliseconds.
"""

from __future__ import annotations

import os

import lazy_loader

# HDF5 locks every file that it opens, and fails where the file system has no locks. Files here are
# never written while others read them, so its locks are off, unless the user sets them. HDF5 reads
# the variable when it is loaded: this is the first module of the package that is imported.
os.environ["HDF5_USE_FILE_LOCKING"] = os.environ.get("HDF5_USE_FILE_LOCKING") or "FALSE"

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
