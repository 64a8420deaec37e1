"""HDF5 files whose arrays are the data: the descriptor says which array is which variable."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
