"""STEMDL's scans for reconstruction: LMDB databases of diffraction patterns and what made them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
