"""Records of runs: their schema, the folders they are in, repeats, printed reports."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
