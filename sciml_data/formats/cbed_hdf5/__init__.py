"""STEMDL's stacks of diffraction patterns: HDF5 files with a group for each sample."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
