"""List the files of a version that the registry does not pin: trust on first use.

The first listing that meets the expectations of the descriptor is stored beside the files. From
then on it counts: a mirror that lists other files later is an error that names these files.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
