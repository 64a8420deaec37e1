"""Scientific machine-learning datasets and benchmarks: findable, verifiable, quick to train on.

    >>> import sciml_data
    >>> sciml_data.datasets()  # doctest: +SKIP
    ['cloud_slstr_ds1', 'cloud_slstr_ds2', ...]

The public names are listed in `__init__.pyi`. They are loaded on first use, so that
`import sciml_data` takes milliseconds.
"""

from __future__ import annotations

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
